//! What a person or the CI sees. Results go to standard output, progress to standard error.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::stopwatch::{Pretty, Stopwatch};

/// How often a log without a terminal hears of a step that still runs.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Standard output and standard error. A reader that went away is no error: the exit code still tells.
#[derive(Debug)]
pub(crate) struct Console {
    interactive: bool,
}

impl Console {
    pub(crate) fn new() -> Self {
        Self { interactive: io::stderr().is_terminal() }
    }

    /// One line, or several, of a result.
    pub(crate) fn line(&self, text: &str) {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    /// One line that is no result.
    pub(crate) fn note(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Why the command itself could not be done.
    pub(crate) fn error(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "error: {text}");
    }

    /// Starts to show that something runs; dropped, it leaves no trace on a terminal.
    pub(crate) fn progress(&self, name: &str) -> Progress {
        let bar = self.interactive.then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Progress { name: name.to_owned(), bar, watch: Stopwatch::start(), told: Mutex::default() }
    }
}

/// A step under way: a spinner with its last line of output, or a line every half minute where there is no terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    name: String,
    bar: Option<ProgressBar>,
    watch: Stopwatch,
    told: Mutex<Duration>,
}

impl Progress {
    /// Called a few times a second with the newest line of output, by whatever runs.
    pub(crate) fn tick(&self, newest: &str) {
        let newest = newest.trim();
        if let Some(bar) = &self.bar {
            bar.set_message(newest.to_owned());
            return;
        }
        let elapsed = self.watch.elapsed();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if elapsed >= *told + HEARTBEAT {
            *told = elapsed;
            let _ = writeln!(io::stderr().lock(), "   {} runs, {}: {newest}", self.name, Pretty(elapsed));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
