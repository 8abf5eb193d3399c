//! The journal: evidence, written beside the store, of what was done and what was acknowledged.
//!
//! It is a file of lines, only ever appended to, by every process that works on the run:
//!
//! ```text
//! digested <path>                       a file was read to its end (or found unreadable), just now
//! acknowledged <cursor> <files done>    the store has acknowledged the checkpoint at this cursor
//! ```
//!
//! Files are worked on in parallel, so the first kind of line comes in the order in which they got ready; an
//! acknowledgement covers the first so many files in the byte order of their paths. The promise that can be checked
//! is: below a line `acknowledged c n` none of those n files is digested again. With the whole journal of a finished
//! run at hand, the list of files is the journal's own:
//!
//! ```text
//! sed -n 's/^digested //p' journal | LC_ALL=C sort -u > files
//! awk 'NR == FNR { place[$0] = NR; next }
//!      $1 == "acknowledged" && $3 > done { done = $3 }
//!      $1 == "digested" && place[substr($0, 10)] <= done { print "twice: " substr($0, 10) }' files journal
//! ```

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::path::RelPath;

/// Appends to the journal. Shared by the workers: each line is one `write` at the end of the file, so lines are
/// whole, in one order, and in the hands of the operating system before the call returns. A process that is killed
/// with -9 takes none of them along.
#[derive(Debug)]
pub(crate) struct Journal(Option<File>);

impl Journal {
    /// The journal in `file`, which is made if it is not there; without a file, one that keeps nothing.
    pub(crate) fn open(file: Option<&Path>) -> io::Result<Self> {
        file.map(|file| File::options().append(true).create(true).open(file)).transpose().map(Self)
    }

    /// Says that the work on the file at `path` was just done.
    pub(crate) fn digested(&self, path: &RelPath) -> io::Result<()> {
        self.append(|| format!("digested {}\n", path.as_str()))
    }

    /// Says that the checkpoint at `cursor`, which holds the first `done` files, is durable.
    pub(crate) fn acknowledged(&self, cursor: u64, done: usize) -> io::Result<()> {
        self.append(|| format!("acknowledged {cursor} {done}\n"))
    }

    fn append(&self, line: impl FnOnce() -> String) -> io::Result<()> {
        match &self.0 {
            // Through a shared reference, which the system orders by itself.
            Some(file) => { file }.write_all(line().as_bytes()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(Path::new(text)).unwrap()
    }

    #[test]
    fn every_line_is_there_at_once_and_the_next_process_appends() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("journal");
        let first = Journal::open(Some(&file)).unwrap();
        first.digested(&path("a b/c.rs")).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "digested a b/c.rs\n");
        // Not dropped, as if it had been killed.
        std::mem::forget(first);
        let second = Journal::open(Some(&file)).unwrap();
        second.acknowledged(7, 1).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "digested a b/c.rs\nacknowledged 7 1\n");
    }

    #[test]
    fn workers_do_not_tear_each_others_lines() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("journal");
        let journal = Journal::open(Some(&file)).unwrap();
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let journal = &journal;
                scope.spawn(move || {
                    (0..250).for_each(|n| journal.digested(&path(&format!("{worker}/{n}"))).unwrap())
                });
            }
        });
        let text = fs::read_to_string(&file).unwrap();
        let mut lines: Vec<_> = text.lines().map(|line| line.strip_prefix("digested ").unwrap()).collect();
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), 1000);
    }

    #[test]
    fn without_a_file_nothing_is_kept() {
        Journal::open(None).unwrap().digested(&path("a")).unwrap();
    }
}
