//! What the job knows: the value that is saved at every checkpoint and restored by the next process.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::path::RelPath;

/// The whole state of the job, and the only thing that a resumed process knows of its predecessor.
///
/// A save stores the difference to the bytes that were saved before, so the fields are laid out for their bytes to
/// change little. The list of files is written once, when the scan ends. With it every file gets a one-byte
/// [`Slot::Pending`], which its result replaces later: unlike pushing to a `Vec`, this changes no length that
/// stands ahead of all the results. From one save to the next the bytes keep a long prefix and a long suffix, and
/// only the results that are new lie between.
#[derive(Serialize, Deserialize, Clone, Default, PartialEq, Debug)]
pub(crate) struct State {
    found: Found,
    /// One a file, in the order of the files; those that are done are the first ones, without a gap.
    slots: Vec<Slot>,
    /// Last, because it changes with every phase and nothing behind it should move.
    phase: Phase,
}

/// What is being done. The phases follow one another in this order, once each.
#[derive(Serialize, Deserialize, Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// The files are looked for. Takes a second even on big folders, so an interrupted scan begins anew.
    #[default]
    Scan,
    /// The files are digested, one after another as far as the state can tell.
    Digest,
    /// All is known; the report follows from the state alone.
    Report,
}

/// What the scan has found. Shared, because the workers read it while the state is changed.
#[derive(Serialize, Deserialize, Clone, Default, PartialEq, Debug)]
pub(crate) struct Found {
    /// The regular files, ordered by path.
    pub(crate) files: Arc<[FoundFile]>,
    /// What could not be looked into, ordered by path.
    pub(crate) problems: Vec<Problem>,
    /// Symbolic links, sockets and the like, which are not indexed.
    pub(crate) skipped: u64,
}

/// A file as the scan saw it.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub(crate) struct FoundFile {
    pub(crate) path: RelPath,
    /// Its length at the scan, in bytes: what the progress goes by. The report counts what was digested.
    pub(crate) length: u64,
}

/// Something that could not be read, and why.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Problem {
    pub(crate) path: RelPath,
    pub(crate) reason: String,
}

/// What is known about the content of one file.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub(crate) enum Slot {
    /// Nothing yet.
    Pending,
    /// It was read to its end.
    Digested(Digested),
    /// It could not be read. That is a result, too: it is reported and not tried again.
    Unreadable(String),
}

/// The content of a file in numbers.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub(crate) struct Digested {
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
    /// `None` for a binary file.
    pub(crate) text: Option<Text>,
}

/// What only text has.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Debug)]
pub(crate) struct Text {
    pub(crate) lines: u64,
    pub(crate) words: u64,
}

/// A BLAKE3 digest; as text, in lower-case hex.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Digest(pub(crate) [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is to be done next.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Next {
    /// Look for the files.
    Scan,
    /// Digest the files from this one on.
    Digest {
        /// Its place in the list of files.
        first: usize,
    },
    /// Everything is recorded: make the report.
    Report,
}

/// One piece of work that was done.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Work {
    /// The folder was scanned.
    Scanned(Found),
    /// The file at `index` was digested, or turned out to be unreadable.
    Digested {
        /// Its place in the list of files.
        index: usize,
        /// What came out: anything but [`Slot::Pending`].
        slot: Slot,
    },
}

impl State {
    /// What is to be done next. Work that was recorded is never offered again.
    pub(crate) fn next(&self) -> Next {
        match self.phase {
            Phase::Scan => Next::Scan,
            Phase::Digest => Next::Digest { first: self.done() },
            Phase::Report => Next::Report,
        }
    }

    /// Records what was done, which must be what [`next`](Self::next) asked for.
    ///
    /// # Panics
    ///
    /// If it is anything else: a second scan, a file out of its turn. A state that took it could lose work without
    /// a trace.
    pub(crate) fn record(&mut self, work: Work) {
        match work {
            Work::Scanned(found) => {
                assert_eq!(self.next(), Next::Scan, "the folder is scanned once");
                self.slots = vec![Slot::Pending; found.files.len()];
                self.found = found;
                self.phase = Phase::Digest;
            }
            Work::Digested { index, slot } => {
                assert_eq!(self.next(), Next::Digest { first: index }, "files are recorded in their order");
                assert_ne!(slot, Slot::Pending, "a result says something");
                self.slots[index] = slot;
            }
        }
        if self.phase == Phase::Digest && self.done() == self.slots.len() {
            self.phase = Phase::Report;
        }
    }

    /// What the scan has found; nothing before it.
    pub(crate) fn found(&self) -> &Found {
        &self.found
    }

    /// How many files are done. They are the first ones of the list.
    pub(crate) fn done(&self) -> usize {
        self.slots.partition_point(|slot| *slot != Slot::Pending)
    }

    /// The files with what is known about them, in their order.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&FoundFile, &Slot)> {
        self.found.files.iter().zip(&self.slots)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn found(paths: &[&str]) -> Work {
        let file = |path: &&str| FoundFile { path: RelPath::new(Path::new(path)).unwrap(), length: 9 };
        Work::Scanned(Found { files: paths.iter().map(file).collect(), ..Found::default() })
    }

    fn digested(index: usize) -> Work {
        let digest = Digest(*blake3::hash(&index.to_le_bytes()).as_bytes());
        let slot = Slot::Digested(Digested { digest, bytes: 9, text: Some(Text { lines: 1, words: 2 }) });
        Work::Digested { index, slot }
    }

    #[test]
    fn the_phases_follow_one_another_and_done_files_are_not_offered_again() {
        let mut state = State::default();
        assert_eq!(state.next(), Next::Scan);
        state.record(found(&["a", "b"]));
        assert_eq!(state.next(), Next::Digest { first: 0 });
        state.record(digested(0));
        assert_eq!(state.next(), Next::Digest { first: 1 });
        state.record(Work::Digested { index: 1, slot: Slot::Unreadable("gone".into()) });
        assert_eq!(state.next(), Next::Report);
        assert_eq!(state.done(), 2);
    }

    #[test]
    fn an_empty_folder_needs_no_digest() {
        let mut state = State::default();
        state.record(found(&[]));
        assert_eq!(state.next(), Next::Report);
    }

    #[test]
    #[should_panic(expected = "files are recorded in their order")]
    fn a_file_is_not_recorded_twice() {
        let mut state = State::default();
        state.record(found(&["a", "b"]));
        state.record(digested(0));
        state.record(digested(0));
    }

    #[test]
    #[should_panic(expected = "the folder is scanned once")]
    fn a_second_scan_is_refused() {
        let mut state = State::default();
        state.record(found(&["a"]));
        state.record(found(&["a"]));
    }

    #[test]
    fn a_restored_state_goes_on_where_it_was() {
        let mut state = State::default();
        state.record(found(&["a", "b", "c"]));
        state.record(digested(0));
        let bytes = postcard::to_stdvec(&state).unwrap();
        let restored: State = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(restored, state);
        assert_eq!(restored.next(), Next::Digest { first: 1 });
    }

    #[test]
    fn between_two_saves_only_the_new_results_change() {
        let names: Vec<_> = (0..300).map(|n| format!("src/file-{n:04}.rs")).collect();
        let mut state = State::default();
        state.record(found(&names.iter().map(String::as_str).collect::<Vec<_>>()));
        let mut before = postcard::to_stdvec(&state).unwrap();
        for index in 0..299 {
            state.record(digested(index));
            let after = postcard::to_stdvec(&state).unwrap();
            let kept = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
            let suffix = before.iter().rev().zip(after.iter().rev()).take_while(|(a, b)| a == b).count();
            let replaced = after.len() - kept - suffix.min(before.len() - kept);
            assert!(replaced <= 38, "file {index}: {replaced} bytes");
            before = after;
        }
    }
}
