//! The documents, compared with the table: every case that they name is there, every area that is there is named, and the
//! counts are right.

use std::{collections::BTreeMap, env, fs, path::Path};

use milepost_conformance::cases;

/// What the contract's documentation names its cases by.
const MARK: &str = "Held by:";

/// Set to anything, the README's counts are written instead of compared.
const WRITE: &str = "MILEPOST_WRITE_DOCS";

const BEGIN: &str = "<!-- areas:begin -->\n";
const END: &str = "<!-- areas:end -->";

/// The sources of the contract, a name and a text each.
fn contract() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src");
    let files = fs::read_dir(folder).expect("the contract stands beside the kit");
    let named = files.map(|file| {
        let path = file.expect("it can be listed").path();
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        (name, fs::read_to_string(path).expect("it can be read"))
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
fn every_area_is_named_by_the_contract() {
    let sources = contract();
    let globs: Vec<&str> = sources.iter().flat_map(|(_, source)| named(source)).collect();
    for case in cases() {
        let area = case.area();
        let named = globs.iter().any(|glob| glob.split_once('/').is_some_and(|(its, _)| its == area));
        assert!(named, "nothing in the contract is held by {area}/*: name it where its rule stands");
    }
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

/// The README's table with the counts that the table of cases has; what an area is about is kept as it stands.
fn counted(table: &str) -> String {
    let about: BTreeMap<&str, &str> = table
        .lines()
        .filter_map(|row| {
            let mut cells = row.strip_prefix("| `")?.split(" | ");
            Some((cells.next()?.strip_suffix("/`")?, cells.nth(1)?.trim_end_matches(" |")))
        })
        .collect();
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for case in cases() {
        match counts.iter_mut().find(|(area, _)| *area == case.area()) {
            Some((_, count)) => *count += 1,
            None => counts.push((case.area(), 1)),
        }
    }
    let rows = counts.iter().map(|(area, count)| {
        format!("| `{area}/` | {count} | {} |\n", about.get(area).copied().unwrap_or("?"))
    });
    let total: usize = counts.iter().map(|(_, count)| count).sum();
    let rows: String = rows.collect();
    format!("| area | cases | about |\n|---|---:|---|\n{rows}| **all** | {total} | |\n")
}

#[test]
fn the_readme_counts_the_cases() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).expect("it is there");
    let (before, rest) = readme.split_once(BEGIN).expect("a table begins");
    let (table, after) = rest.split_once(END).expect("a table ends");
    let wanted = counted(table);
    if env::var_os(WRITE).is_some() {
        fs::write(path, format!("{before}{BEGIN}{wanted}{END}{after}")).expect("it can be written");
        return;
    }
    assert!(!wanted.contains("| ? |"), "the README does not say what an area is about:\n{wanted}");
    assert_eq!(table, wanted, "{WRITE}=1 writes it");
}
