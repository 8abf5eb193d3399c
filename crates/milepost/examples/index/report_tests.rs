//! The report of a small folder, and of states made by hand.

use std::fs;

use super::*;
use crate::digest::digest;
use crate::scan::scan;
use crate::state::{Found, FoundFile, Text, Work};

/// The report of a folder with a file of everything: three copies, an empty file, a binary one that is named like
/// text, one that vanishes after the scan, and a link.
pub(crate) fn small_tree() -> Report {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir(root.join("src")).unwrap();
    for name in ["src/c.rs", "src/a.rs", "src/b.rs", "gone.rs"] {
        fs::write(root.join(name), "fn main() {}\n").unwrap();
    }
    fs::write(root.join("README.md"), "# Three words...").unwrap();
    fs::write(root.join("data.json"), "\0binary data\n\n").unwrap();
    fs::write(root.join("empty.txt"), "").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("src", root.join("link")).unwrap();

    let mut found = scan(root, &[], |_| true).unwrap();
    fs::remove_file(root.join("gone.rs")).unwrap();
    // Where links cannot be made as easily, the report is to be the same.
    found.skipped = 1;
    let files = std::sync::Arc::clone(&found.files);
    let mut state = State::default();
    state.record(Work::Scanned(found));
    for (index, file) in files.iter().enumerate() {
        let slot = match digest(&root.join(file.path.to_path()), |_| true) {
            Ok(digested) => Slot::Digested(digested.unwrap()),
            Err(error) => Slot::Unreadable(crate::scan::reason(&error)),
        };
        state.record(Work::Digested { index, slot });
    }
    Report::of(&state)
}

#[test]
fn the_json_is_the_same_byte_for_byte() {
    assert_eq!(small_tree().to_json(), include_str!("report_golden.json"));
}

#[test]
fn the_json_is_read_back_as_the_same_report() {
    let report = small_tree();
    assert_eq!(serde_json::from_str::<Report>(&report.to_json()).unwrap(), report);
}

#[test]
fn a_report_is_written_whole_over_an_older_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    fs::write(&file, "older").unwrap();
    small_tree().write(&file).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), small_tree().to_json());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// A state of files with these paths, sizes and contents, all of them text.
fn state_of(files: &[(&str, u64, &str)]) -> State {
    let mut files = files.to_owned();
    files.sort();
    let rel = |path: &str| RelPath::new(Path::new(path)).unwrap();
    let found =
        files.iter().map(|(path, length, _)| FoundFile { path: rel(path), length: *length }).collect();
    let mut state = State::default();
    state.record(Work::Scanned(Found { files: found, ..Found::default() }));
    for (index, (_, bytes, content)) in files.into_iter().enumerate() {
        let digest = Digest(*blake3::hash(content.as_bytes()).as_bytes());
        let text = Some(Text { lines: 1, words: 1 });
        state.record(Work::Digested { index, slot: Slot::Digested(Digested { digest, bytes, text }) });
    }
    state
}

#[test]
fn duplicates_are_ordered_by_what_they_waste_then_by_path() {
    let state = state_of(&[
        ("z1", 10, "ten"),
        ("z2", 10, "ten"),
        ("a1", 5, "five"),
        ("a2", 5, "five"),
        ("a3", 5, "five"),
        ("m1", 100, "hundred"),
        ("m2", 100, "hundred"),
        ("alone", 1000, "thousand"),
        ("e1", 0, ""),
        ("e2", 0, ""),
    ]);
    let report = Report::of(&state);
    let groups = report.duplicates.iter();
    let groups: Vec<_> =
        groups.map(|group| (group.wasted, group.paths[0].as_str(), group.paths.len())).collect();
    assert_eq!(groups, [(100, "m1", 2), (10, "a1", 3), (10, "z1", 2)]);
    assert_eq!(report.totals.wasted, 120);
}

#[test]
fn the_largest_twenty_are_named_and_ties_go_by_path() {
    let names: Vec<_> = (0..30).map(|n| format!("{n:02}")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), 7, name.as_str())).collect();
    let report = Report::of(&state_of(&files));
    assert!(report.largest.iter().map(|file| file.path.as_str()).eq(names[..20].iter().map(String::as_str)));
}

#[test]
fn the_fingerprint_tells_contents_and_names_apart() {
    let print = |files: &[_]| Report::of(&state_of(files)).fingerprint;
    let this = print(&[("a", 1, "x"), ("b", 1, "y")]);
    assert_eq!(this, print(&[("b", 1, "y"), ("a", 1, "x")]));
    assert_ne!(this, print(&[("a", 1, "y"), ("b", 1, "x")]));
    assert_ne!(this, print(&[("a", 1, "x"), ("c", 1, "y")]));
}
