//! What one sees while the job works.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use milepost::RunId;

use crate::console;

/// Seconds between two plain lines where there is no terminal to draw on.
const PLAIN_EVERY: u64 = 5;

/// A bar on standard error; a line every few seconds where that is no terminal. Clones draw on the same bar.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    /// How many files there are; `None` while that is what is being found out.
    files: Option<usize>,
    /// The second in which the next plain line is due.
    due: Arc<AtomicU64>,
}

impl Progress {
    /// For the scan, which does not know its end.
    pub(crate) fn scan() -> Self {
        Self::start(ProgressBar::new_spinner(), "{spinner:.cyan} scanning   {msg}", None)
    }

    /// For a wait until nobody has this run leased any more.
    pub(crate) fn lease(run: &RunId) -> Self {
        let progress =
            Self::start(ProgressBar::new_spinner(), "{spinner:.cyan} waiting for {msg}  {elapsed}", None);
        progress.bar.set_message(run.to_string());
        progress
    }

    /// For the digests of `files` files of `bytes` bytes, of which `done` bytes need no work any more.
    pub(crate) fn digest(files: usize, bytes: u64, done: u64) -> Self {
        let template = "{spinner:.cyan} digesting  {wide_bar:.cyan/blue} {percent:>3}%  {msg}  \
                        {bytes}/{total_bytes}  {bytes_per_sec}  eta {eta}";
        let progress = Self::start(ProgressBar::new(bytes).with_position(done), template, Some(files));
        progress.bar.reset_eta();
        progress
    }

    fn start(bar: ProgressBar, template: &str, files: Option<usize>) -> Self {
        let style = ProgressStyle::with_template(template).expect("the templates above are sound");
        bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, files, due: Arc::new(AtomicU64::new(PLAIN_EVERY)) }
    }

    /// So many bytes were read.
    pub(crate) fn bytes(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// So many files were found, or are done.
    pub(crate) fn files(&self, count: usize) {
        let counted = HumanCount(count as u64);
        let message = match self.files {
            Some(all) => format!("{counted}/{} files", HumanCount(all as u64)),
            None => format!("{counted} files"),
        };
        if self.bar.is_hidden() {
            self.plain(&message);
        } else {
            self.bar.set_message(message);
        }
    }

    fn plain(&self, message: &str) {
        let now = self.bar.elapsed().as_secs();
        if now < self.due.load(Ordering::Relaxed) {
            return;
        }
        self.due.store(now + PLAIN_EVERY, Ordering::Relaxed);
        match (self.files, self.bar.length()) {
            (Some(_), Some(all)) => {
                let read = HumanBytes(self.bar.position());
                console::note(&format!("digesting: {message}, {read} of {}", HumanBytes(all)));
            }
            _ => console::note(&format!("scanning: {message}")),
        }
    }

    /// Takes the bar away and says how long it stood.
    pub(crate) fn finish(&self) -> Duration {
        self.bar.finish_and_clear();
        self.bar.elapsed()
    }
}
