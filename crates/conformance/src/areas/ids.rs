//! Ids and hostile input: every name is opaque bytes, and never a pattern, a path or a piece of a statement.

pub(crate) mod filters;
pub(crate) mod runs;
pub(crate) mod values;

use super::prelude::*;

/// Texts that some backend somewhere takes for more than they are. Each is a valid name: not empty, without NUL, short
/// enough for a kind.
pub(crate) const ODD: &[&str] = &[
    // Patterns.
    "*",
    "**",
    "?",
    "[a]",
    "[^a]",
    "{x}",
    "{x",
    "}",
    "%",
    "_",
    "%25",
    "a%2Fb",
    "^a$",
    ".*",
    "(a|b)",
    // Quotes, statements, escapes.
    "'",
    "''",
    "\"",
    "`",
    ";",
    "--",
    "/*",
    "*/",
    "'; DROP TABLE run; --",
    "\\",
    "\\'",
    "\\0",
    "\\u0041",
    "$1",
    "?1",
    ":a",
    "@a",
    "$.a",
    "$[0]",
    "#",
    "<a>",
    "&amp;",
    "${HOME}",
    "%s",
    "{}",
    "{\"a\":1}",
    "[]",
    "null",
    "NULL",
    "true",
    "0",
    "-1",
    "1e9",
    "0x10",
    "NaN",
    // Separators and paths.
    ":",
    "::",
    "/",
    "//",
    "///a",
    "a//b",
    "a/",
    "/a",
    "a/b",
    ".",
    "..",
    "../..",
    "./a",
    "a/../b",
    "a\\b",
    "C:",
    "CON",
    "~",
    "a,b",
    "a=b",
    "a&b",
    "|",
    "+",
    "a+b",
    "a b",
    // Spaces and line ends.
    " ",
    "  ",
    " a",
    "a ",
    " a ",
    "\t",
    "\n",
    "\r\n",
    "a\nb",
    "\r",
    "\u{b}",
    "\u{a0}",
    "\u{2028}",
    "\u{3000}",
    // What cannot be seen, and what reads the other way.
    "\u{1}",
    "\u{7f}",
    "\u{85}",
    "\u{200b}",
    "\u{200d}",
    "\u{feff}",
    "\u{feff}a",
    "\u{ad}",
    "\u{202e}abc",
    "\u{200f}",
    "\u{5d0}\u{5d1}",
    "\u{2066}a\u{2069}",
    // The ends of the planes, and many code points for one character.
    "\u{ffff}",
    "\u{fffd}",
    "\u{10ffff}",
    "\u{e000}",
    "\u{d7ff}",
    "\u{1f600}",
    "\u{1f469}\u{200d}\u{1f680}",
    "a\u{308}\u{323}",
];

/// Groups of texts of which each stays apart from the others, though somebody somewhere takes them for the same.
pub(crate) const ALIKE: &[&[&str]] = &[
    &["a", "A", "\u{e0}", "\u{ff41}", "\u{430}"],
    &["stra\u{df}e", "STRASSE", "strasse", "STRA\u{1e9e}E"],
    &["i", "I", "\u{130}", "\u{131}", "i\u{307}"],
    &["caf\u{e9}", "cafe\u{301}", "CAFE\u{301}", "cafe"],
    &["\u{212b}", "\u{c5}", "A\u{30a}"],
    &["\u{fb01}", "fi", "FI"],
    &["\u{3c3}", "\u{3c2}", "\u{3a3}"],
    &["\u{ac00}", "\u{1100}\u{1161}"],
    &["x", "x ", " x", "x\t", "x\n", "x\u{200b}", "x\u{a0}", "\u{feff}x"],
    &["1", "01", "1.0", "+1", "\u{ff11}", "\u{661}"],
    &["a/b", "a//b", "a/b/", "/a/b", "a/./b", "a\\b", "a%2Fb", "a:b", "a+b", "a b", "a%20b"],
    &["user1", "user10", "user", "user1 ", "user1/", "user1%", "user_", "user*"],
    &["o", "\u{f6}", "o\u{308}", "oe", "\u{f8}"],
];

/// A run that carries the text and its number: one of many that must not be taken for each other.
pub(crate) async fn carry(ctx: &Context, run: &RunId, number: u64) -> Verdict<Driver> {
    let mut driver = ctx.create(run).await?;
    let log = ctx.capabilities.supports_log();
    ctx.commit(&mut driver, |commit| {
        let commit = commit.note(Note { done: number, total: None, text: run.as_str().into() });
        if log { commit.record(record(number)) } else { commit }
    })
    .await?;
    Ok(driver)
}

/// The run must still be what [`carry`] made of it.
pub(crate) async fn is_carried(ctx: &Context, run: &RunId, number: u64) -> Verdict {
    for store in [&ctx.a, &ctx.b] {
        let image = image(&**store, run).await?;
        let head = image.head.as_ref();
        expect_eq(&format!("the id of {run:?}"), head.map(|head| &head.run), Some(run))?;
        let note = head.and_then(|head| head.note.clone());
        let want = Note { done: number, total: None, text: run.as_str().into() };
        expect_eq(&format!("the note of {run:?}"), note, Some(want))?;
        if ctx.capabilities.supports_log() {
            let bodies: Vec<_> = image.records.into_iter().map(|record| record.body).collect();
            expect_eq(&format!("the records of {run:?}"), bodies, vec![format!("record {number}")])?;
        }
    }
    Ok(())
}
