//! What may not stand in the tree: markers of unfinished work, tests and examples that are switched off, and source
//! files that have grown into two.

use std::path::Path;

/// The longest source file of a crate.
pub(crate) const LONGEST: usize = 600;

/// What is looked for, put together so that this file does not find itself.
const FORBIDDEN: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("#[ig", "nore"),
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
];

/// Files that people write; anything else is data.
const WRITTEN: &[&str] = &["rs", "md", "toml", "sql", "sh", "yml", "yaml"];

/// Whether the file is one to look into.
pub(crate) fn is_written(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| WRITTEN.contains(&extension)) || path.ends_with(".ci/run")
}

/// What is wrong with a file, a line each: `path:line: what`.
pub(crate) fn findings(path: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let at = || format!("{}:{}", path.display(), number + 1);
        found.extend(
            FORBIDDEN.iter().filter(|word| line.contains(*word)).map(|word| format!("{}: `{word}`", at())),
        );
        if is_ignored_example(line) {
            found.push(format!("{}: an example that is not compiled", at()));
        }
    }
    let lines = text.lines().count();
    if lines > LONGEST && is_crate_source(path) {
        found.push(format!("{}: {lines} lines, more than {LONGEST}", path.display()));
    }
    found
}

/// A code fence with `ignore` among its attributes, in Markdown or in a doc comment.
fn is_ignored_example(line: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).unwrap_or(line).trim_start();
    let Some(attributes) = line.strip_prefix("```") else { return false };
    attributes.split([',', ' ']).any(|attribute| attribute.trim().starts_with("ignore"))
}

/// `crates/NAME/src/…`.
fn is_crate_source(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().collect();
    parts.first().is_some_and(|part| *part == "crates") && parts.get(2).is_some_and(|part| *part == "src")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_words_are_found_with_their_place() {
        for word in FORBIDDEN {
            let text = format!("fine\n  {word} later\n");
            let expected = format!("crates/core/src/lib.rs:2: `{word}`");
            assert_eq!(findings(Path::new("crates/core/src/lib.rs"), &text), [expected]);
        }
    }

    #[test]
    fn examples_that_are_switched_off_are_found_and_others_are_not() {
        let fence = "```";
        for line in
            [format!("/// {fence}ignore"), format!("{fence}rust,ignore"), format!("//! {fence} ignore-wasm")]
        {
            assert_eq!(findings(Path::new("README.md"), &line).len(), 1, "{line}");
        }
        for line in [format!("/// {fence}no_run"), fence.to_owned(), "cargo test -- --ignored".to_owned()] {
            assert_eq!(findings(Path::new("README.md"), &line), [""; 0], "{line}");
        }
    }

    #[test]
    fn only_crate_sources_have_a_longest_length() {
        let text = "\n".repeat(LONGEST + 1);
        assert_eq!(findings(Path::new("crates/core/src/a/b.rs"), &text).len(), 1);
        assert_eq!(findings(Path::new("crates/core/tests/all.rs"), &text), [""; 0]);
        assert_eq!(findings(Path::new("CHANGELOG.md"), &text), [""; 0]);
    }

    #[test]
    fn files_that_people_write_are_looked_into() {
        assert!(is_written(Path::new(".ci/run")) && is_written(Path::new("crates/core/src/lib.rs")));
        assert!(!is_written(Path::new("crates/checkpoint/tests/golden/v1.bin")));
    }
}
