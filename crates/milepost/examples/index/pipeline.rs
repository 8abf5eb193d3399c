//! Phase two, all of it: many files at once, results in order.

use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;

use futures_util::stream::{self, Stream, StreamExt};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::digest::digest;
use crate::journal::Journal;
use crate::progress::Progress;
use crate::scan::reason;
use crate::state::{FoundFile, Slot, Work};
use crate::stop::Stop;

/// How many files a worker may be ahead of the oldest one that is not done, so that one big file does not stop all
/// others. What is ahead waits in memory and is lost with the process, so it is not many.
const AHEAD: usize = 8;

/// What the workers need.
#[derive(Debug)]
pub(crate) struct Workers {
    pub(crate) root: PathBuf,
    pub(crate) files: Arc<[FoundFile]>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) progress: Progress,
    pub(crate) stop: Stop,
}

impl Workers {
    /// Digests the files from `first` on, as many at a time as there are cores, and yields the results in the order
    /// of the files: one that is ready early waits for its predecessors. So the state holds the first so many files
    /// whenever it is saved, and is the same at the end however the files raced.
    ///
    /// Ends with the last file, or early when the job is asked to stop.
    ///
    /// # Errors
    ///
    /// Only if the journal cannot be written. An unreadable file is a result.
    pub(crate) fn start(self, first: usize) -> impl Stream<Item = io::Result<Work>> {
        let cores = available_parallelism().map_or(1, NonZero::get);
        let permits = Arc::new(Semaphore::new(cores));
        let files = first..self.files.len();
        let workers = Arc::new(self);
        let digest_one = move |index| {
            let (permits, workers) = (Arc::clone(&permits), Arc::clone(&workers));
            // Spawned, so that the files ahead go on while the oldest result is saved.
            let task = tokio::spawn(async move {
                let _permit = permits.acquire_owned().await.expect("nobody closes the semaphore");
                spawn_blocking(move || workers.work(index)).await.map_err(io::Error::other)?
            });
            async move { task.await.map_err(io::Error::other)? }
        };
        stream::iter(files)
            .map(digest_one)
            .buffered(cores * AHEAD)
            .take_while(|work| std::future::ready(!matches!(work, Ok(None))))
            .filter_map(|work| std::future::ready(work.transpose()))
    }

    /// `None` if the job was asked to stop before the file was done.
    fn work(&self, index: usize) -> io::Result<Option<Work>> {
        if self.stop.asked().is_some() {
            return Ok(None);
        }
        let file = &self.files[index];
        let slot = match self.digest(&self.root.join(file.path.to_path()), file.length) {
            Ok(Some(slot)) => slot,
            Ok(None) => return Ok(None),
            Err(error) => Slot::Unreadable(reason(&error)),
        };
        self.journal.digested(&file.path)?;
        Ok(Some(Work::Digested { index, slot }))
    }

    /// Moves the progress by exactly the length that the scan saw, so that it ends at its end.
    fn digest(&self, path: &Path, length: u64) -> io::Result<Option<Slot>> {
        let mut left = length;
        let result = digest(path, |read| {
            let read = read.min(left);
            self.progress.bytes(read);
            left -= read;
            self.stop.asked().is_none()
        });
        if !matches!(result, Ok(None)) {
            self.progress.bytes(left);
        }
        Ok(result?.map(Slot::Digested))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::scan::scan;

    async fn results(
        root: &Path,
        first: usize,
        after_scan: impl FnOnce(),
    ) -> (Vec<(usize, Slot)>, Vec<String>) {
        let files = scan(root, &[], |_| true).unwrap().files;
        after_scan();
        let evidence = tempfile::NamedTempFile::new().unwrap();
        let journal = Arc::new(Journal::open(Some(evidence.path())).unwrap());
        let progress = Progress::digest(files.len(), 0, 0);
        let workers = Workers { root: root.to_owned(), files, journal, progress, stop: Stop::never() };
        let results = workers.start(first).map(|work| match work.unwrap() {
            Work::Digested { index, slot } => (index, slot),
            work => panic!("{work:?}"),
        });
        let results = results.collect().await;
        let mut journal: Vec<_> =
            fs::read_to_string(evidence.path()).unwrap().lines().map(str::to_owned).collect();
        journal.sort();
        (results, journal)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn results_come_in_order_and_only_what_is_asked_for_is_done() {
        let folder = tempfile::tempdir().unwrap();
        // The first ones are the biggest, so that the later ones are ready before them.
        for n in 0..60 {
            fs::write(folder.path().join(format!("{n:02}")), "a\n".repeat((60 - n) * 2000)).unwrap();
        }
        let (results, journal) = results(folder.path(), 10, || ()).await;
        assert!(results.iter().map(|(index, _)| *index).eq(10..60));
        assert_eq!(journal, (10..60).map(|n| format!("digested {n:02}")).collect::<Vec<_>>());
        for (n, slot) in results {
            let Slot::Digested(digested) = slot else { panic!("{slot:?}") };
            assert_eq!(digested.text.unwrap().lines, (60 - n as u64) * 2000);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_file_that_vanishes_after_the_scan_is_a_result() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("b");
        for name in ["a", "b", "c"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let (results, journal) = results(folder.path(), 0, || fs::remove_file(gone).unwrap()).await;
        assert_eq!(results.len(), 3);
        assert_eq!(results[1].1, Slot::Unreadable("vanished while the job ran".into()));
        assert_eq!(journal, ["digested a", "digested b", "digested c"]);
    }
}
