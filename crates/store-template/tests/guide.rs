//! The guide "Write your own backend", compared with what it shows: its excerpts are the template's lines, its skeleton
//! compiles, its first failure is what the kit prints.

/// A crate of the reader's, as the guide begins it.
#[path = "guide/skeleton.rs"]
#[expect(unreachable_pub, reason = "it is shown as a crate")]
mod milepost_store_acme;

/// Its test target, compiled; it is run as a function below.
#[path = "guide/conformance.rs"]
#[expect(dead_code, reason = "the main function of another program")]
mod five_lines {
    use super::milepost_store_acme;

    include!("guide/conformance.rs");
}

use std::{collections::BTreeSet, fs, path::Path};

use milepost_conformance::{check, harness};
use milepost_store_acme::AcmeStore;

const GUIDE: &str = include_str!("../../../docs/write-your-own-backend.md");

/// The bodies of the guide's blocks in this language.
fn blocks(language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let behind = GUIDE.split(&fence).skip(1);
    behind.filter_map(|rest| Some(rest.split_once("```\n")?.0.to_owned())).collect()
}

/// The lines that say something, however they are indented.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

/// Every file of this crate that the guide may quote.
fn sources() -> Vec<String> {
    ["src", "tests", "tests/guide"]
        .iter()
        .flat_map(|folder| {
            fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).expect("the folder is there")
        })
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| fs::read_to_string(path).expect("it can be read"))
        .collect()
}

#[test]
fn every_excerpt_is_in_the_template() {
    let sources = sources();
    let excerpts = blocks("rs");
    assert!(excerpts.len() > 10, "the guide shows the template");
    for excerpt in excerpts {
        let wanted = lines(&excerpt);
        let quoted = |source: &String| lines(source).windows(wanted.len()).any(|part| part == wanted);
        assert!(sources.iter().any(quoted), "no file of the template has these lines:\n{excerpt}");
    }
}

#[test]
fn the_excerpts_of_a_file_are_the_file() {
    let excerpts = blocks("rs");
    for (name, file) in [
        ("kv.rs", include_str!("../src/kv.rs")),
        ("folder.rs", include_str!("../src/folder.rs")),
        ("error.rs", include_str!("../src/error.rs")),
        ("config.rs", include_str!("../src/config.rs")),
        ("store.rs", include_str!("../src/store.rs")),
    ] {
        let whole: Vec<_> = lines(file).into_iter().filter(|line| !line.starts_with("//!")).collect();
        let its_own = |excerpt: &&String| {
            let wanted = lines(excerpt);
            whole.windows(wanted.len()).any(|part| part == wanted)
        };
        let shown: Vec<_> = excerpts.iter().filter(its_own).flat_map(|excerpt| lines(excerpt)).collect();
        assert_eq!(shown, whole, "the blocks of {name}, one after another, are not the file");
    }
}

#[test]
fn the_skeleton_is_as_shown() {
    let skeleton = include_str!("guide/skeleton.rs");
    assert!(blocks("rust").iter().any(|block| block == skeleton), "the skeleton has changed");
}

/// The names under `[dependencies]`.
fn dependencies(manifest: &str) -> BTreeSet<&str> {
    let table = manifest.split_once("[dependencies]\n").expect("a manifest has dependencies").1;
    let names = table.lines().take_while(|line| !line.is_empty());
    names.filter_map(|line| line.split([' ', '.']).next()).collect()
}

#[test]
fn the_dependencies_are_the_templates() {
    let shown = blocks("toml");
    assert_eq!(dependencies(&shown[0]), dependencies(include_str!("../Cargo.toml")));
}

/// A failure without what differs from one run to the next: the scope's unique name, where the case stands in its file,
/// and how it is run again, which is another way for a program than for a function.
fn plain(failure: &str) -> String {
    let mut plain = String::new();
    for line in failure.trim_end().lines() {
        let line = line.split_once("-mp_").map_or(line.to_owned(), |(before, rest)| {
            format!(
                "{before}-mp_…{}",
                rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_')
            )
        });
        let varies = ["at:", "replay:"].into_iter().find(|name| line.starts_with(name));
        let line = varies.unwrap_or(&line);
        plain.push_str(line);
        plain.push('\n');
    }
    plain
}

#[test]
fn the_first_failure_is_as_shown() {
    let acme = harness("acme", |_scope| async { Ok(AcmeStore) });
    let report = check(&acme, "open/creates-with");
    let came = plain(report.cases[0].reason.as_deref().expect("it fails"));
    let shown = blocks("text").into_iter().find(|block| block.starts_with("contract:"));
    assert_eq!(
        shown.as_deref().map(plain),
        Some(came.clone()),
        "the guide shows another failure than:\n{came}"
    );
}
