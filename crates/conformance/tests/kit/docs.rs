//! The contract's documentation, compared with the table: every case that it names is there.

use std::{fs, path::Path};

use milepost_conformance::cases;

/// What the contract's documentation names its cases by.
const MARK: &str = "Held by:";

/// The sources of the contract, a name and a text each.
fn contract() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src");
    let files = fs::read_dir(folder).expect("the contract stands beside the kit");
    let named = files.map(|file| {
        let path = file.expect("it can be listed").path();
        (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(path).unwrap())
    });
    named.collect()
}

/// The text of a line of documentation.
fn said(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("///").map(str::trim)
}

/// The ids and globs that stand in backticks behind each mark, up to the end of its paragraph.
fn named(source: &str) -> Vec<&str> {
    let mut named = Vec::new();
    let mut inside = false;
    for line in source.lines() {
        let text = said(line).unwrap_or_default();
        inside = !text.is_empty() && (inside || text.starts_with(MARK));
        if inside {
            named.extend(text.split('`').skip(1).step_by(2));
        }
    }
    named
}

/// Whether a glob, in which a star stands for anything, means this id.
fn means(glob: &str, id: &str) -> bool {
    match glob.split_once('*') {
        Some((begin, end)) => id.strip_prefix(begin).is_some_and(|rest| rest.ends_with(end)),
        None => glob == id,
    }
}

#[test]
fn every_case_that_the_contract_names_is_there() {
    let mut count = 0;
    for (file, source) in contract() {
        for glob in named(&source) {
            count += 1;
            assert!(
                cases().any(|case| means(glob, case.id())),
                "{file} names {glob}, and no case is called so"
            );
        }
    }
    assert!(count > 100, "the contract names its cases");
}

#[test]
fn every_method_of_a_store_names_its_cases() {
    let (_, source) = contract().into_iter().find(|(file, _)| file == "store.rs").expect("it is there");
    let (_, body) = source.split_once("pub trait Store").expect("it is there");
    let (body, _) = body.split_once("\n}\n").expect("it ends");
    let (mut doc, mut methods) = (String::new(), 0);
    for line in body.lines() {
        if let Some(text) = said(line) {
            doc.push_str(text);
        } else if line.contains("fn ") {
            methods += 1;
            assert!(doc.contains(MARK), "{} does not say which cases hold it", line.trim());
            doc.clear();
        }
    }
    assert_eq!(methods, 15, "all of them were looked at");
}
