//! Phase three: what there is to say about the folder.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::language;
use crate::path::RelPath;
use crate::state::{Digest, Digested, Problem, Slot, State};

/// How many of the largest files are named.
const LARGEST: usize = 20;

/// The report: a function of the state, and so of the files alone. It holds no times and nothing that hangs on how
/// often the job was interrupted; all its lists are sorted. Written as JSON it is the same byte for byte, whoever
/// makes it. It is also the outcome that a finished run keeps.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub(crate) struct Report {
    /// The version of this layout: 1.
    pub(crate) format: u32,
    pub(crate) totals: Totals,
    /// BLAKE3 over every digested file in the order of paths: its path as text, a NUL byte and its 32-byte digest.
    /// Two reports with the same one saw the same files with the same content.
    pub(crate) fingerprint: String,
    /// By bytes, most first, then by name.
    pub(crate) languages: Vec<Language>,
    /// By bytes, most first, then by path.
    pub(crate) largest: Vec<LargeFile>,
    /// By wasted bytes, most first, then by first path.
    pub(crate) duplicates: Vec<Duplicates>,
    /// By path.
    pub(crate) problems: Vec<Problem>,
}

/// Sums over all files that could be read.
#[derive(Serialize, Deserialize, Clone, Default, PartialEq, Debug)]
pub(crate) struct Totals {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Of text files only, as are the words.
    pub(crate) lines: u64,
    pub(crate) words: u64,
    /// What duplicate files could save.
    pub(crate) wasted: u64,
    /// Symbolic links and special files, which were not looked into.
    pub(crate) skipped: u64,
}

/// Sums over the files of one language.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub(crate) struct Language {
    pub(crate) name: String,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
    pub(crate) words: u64,
}

/// One of the largest files.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub(crate) struct LargeFile {
    pub(crate) path: RelPath,
    pub(crate) bytes: u64,
    pub(crate) language: String,
}

/// Files of the same content. Empty files are all the same and say nothing, so they are no duplicates.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub(crate) struct Duplicates {
    pub(crate) digest: String,
    /// Of each.
    pub(crate) bytes: u64,
    /// Of all but one.
    pub(crate) wasted: u64,
    /// In order; at least two.
    pub(crate) paths: Vec<RelPath>,
}

impl Report {
    /// Says what the state holds. Files that are not digested yet are left out.
    pub(crate) fn of(state: &State) -> Self {
        let digested: Vec<_> = state
            .files()
            .filter_map(|(file, slot)| match slot {
                Slot::Digested(digested) => Some((&file.path, digested)),
                Slot::Unreadable(_) | Slot::Pending => None,
            })
            .collect();
        let languages = languages(&digested);
        let duplicates = duplicates(&digested);
        let totals = Totals {
            files: digested.len() as u64,
            bytes: languages.iter().map(|language| language.bytes).sum(),
            lines: languages.iter().map(|language| language.lines).sum(),
            words: languages.iter().map(|language| language.words).sum(),
            wasted: duplicates.iter().map(|group| group.wasted).sum(),
            skipped: state.found().skipped,
        };
        Self {
            format: 1,
            totals,
            fingerprint: fingerprint(&digested),
            languages,
            largest: largest(&digested),
            duplicates,
            problems: problems(state),
        }
    }

    /// The report as JSON, indented, with a line feed at its end.
    pub(crate) fn to_json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self).expect("plain data with string keys is JSON");
        json.push('\n');
        json
    }

    /// Writes the JSON to `file`, whole or not at all: a job killed meanwhile leaves the old one.
    pub(crate) fn write(&self, file: &Path) -> io::Result<()> {
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".tmp");
        let beside = file.with_file_name(name);
        std::fs::write(&beside, self.to_json())?;
        std::fs::rename(&beside, file)
    }
}

type Files<'a> = [(&'a RelPath, &'a Digested)];

fn language_of(path: &RelPath, digested: &Digested) -> &'static str {
    if digested.text.is_some() { language::of(path.as_str()) } else { language::BINARY }
}

fn languages(files: &Files<'_>) -> Vec<Language> {
    let mut sums = BTreeMap::new();
    for (path, digested) in files {
        let name = language_of(path, digested);
        let none = || Language { name: name.to_owned(), files: 0, bytes: 0, lines: 0, words: 0 };
        let sum = sums.entry(name).or_insert_with(none);
        sum.files += 1;
        sum.bytes += digested.bytes;
        sum.lines += digested.text.map_or(0, |text| text.lines);
        sum.words += digested.text.map_or(0, |text| text.words);
    }
    let mut languages: Vec<_> = sums.into_values().collect();
    // A stable sort of what the map has put in the order of names.
    languages.sort_by_key(|language| Reverse(language.bytes));
    languages
}

fn largest(files: &Files<'_>) -> Vec<LargeFile> {
    let mut order: Vec<_> = files.iter().collect();
    order.sort_by(|(a_path, a), (b_path, b)| b.bytes.cmp(&a.bytes).then_with(|| a_path.cmp(b_path)));
    let named = order.into_iter().take(LARGEST);
    named
        .map(|(path, digested)| LargeFile {
            path: (*path).clone(),
            bytes: digested.bytes,
            language: language_of(path, digested).to_owned(),
        })
        .collect()
}

fn duplicates(files: &Files<'_>) -> Vec<Duplicates> {
    let mut groups: BTreeMap<Digest, (u64, Vec<&RelPath>)> = BTreeMap::new();
    for (path, digested) in files.iter().filter(|(_, digested)| digested.bytes > 0) {
        groups.entry(digested.digest).or_insert((digested.bytes, Vec::new())).1.push(path);
    }
    let group = |(digest, (bytes, paths)): (Digest, (u64, Vec<&RelPath>))| Duplicates {
        digest: digest.to_string(),
        bytes,
        wasted: bytes * (paths.len() as u64 - 1),
        paths: paths.into_iter().cloned().collect(),
    };
    let mut groups: Vec<_> =
        groups.into_iter().filter(|(_, (_, paths))| paths.len() > 1).map(group).collect();
    groups.sort_by(|a, b| b.wasted.cmp(&a.wasted).then_with(|| a.paths.cmp(&b.paths)));
    groups
}

fn fingerprint(files: &Files<'_>) -> String {
    let mut hasher = blake3::Hasher::new();
    for (path, digested) in files {
        // The NUL ends the path: the written form of a path holds none.
        hasher.update(path.as_str().as_bytes()).update(&[0]).update(&digested.digest.0);
    }
    Digest(*hasher.finalize().as_bytes()).to_string()
}

/// Those of the scan and those of the digests.
fn problems(state: &State) -> Vec<Problem> {
    let mut problems = state.found().problems.clone();
    problems.extend(state.files().filter_map(|(file, slot)| match slot {
        Slot::Unreadable(reason) => Some(Problem { path: file.path.clone(), reason: reason.clone() }),
        Slot::Pending | Slot::Digested(_) => None,
    }));
    problems.sort();
    problems
}

#[cfg(test)]
#[path = "report_tests.rs"]
pub(crate) mod tests;
