//! What handlers get and give when something fails.

use std::{error::Error as StdError, fmt};

use serde::{Deserialize, Serialize};

/// Any error. What handlers and steps return converts into it: the standard library's errors, those of
/// `thiserror` and `anyhow`, strings.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Returned anywhere in an error's chain, it says that the work stops because the process does: nothing is recorded of it,
/// and the run is released instead of failed.
///
/// For the body of a long step that watches [`Run::stopping`](crate::Run::stopping).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Shutdown;

impl fmt::Display for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped because the process shuts down; the run goes on when it is recovered")
    }
}

impl StdError for Shutdown {
    // Wrappers that hide the type of what they wrap, as `anyhow` does, still show its sources.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&Stopping)
    }
}

/// The source of every [`Shutdown`], by which it is known.
#[derive(Clone, Copy, Debug)]
struct Stopping;

impl fmt::Display for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shutdown.fmt(f)
    }
}

impl StdError for Stopping {}

/// Why a step has failed, in one word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FailureCause {
    /// Its body returned an error.
    Error,
    /// Its body took longer than its timeout.
    TimedOut,
    /// It was in doubt, and the answer was to give up.
    GivenUp,
}

/// A step that has failed for good, its retries included.
///
/// It is recorded, so the handler gets the same one after every crash: what it says, and nothing that only this process
/// knew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StepError {
    pub(crate) step: String,
    pub(crate) cause: FailureCause,
    pub(crate) message: String,
    pub(crate) attempts: u32,
}

impl StepError {
    /// The step's name.
    pub fn step(&self) -> &str {
        &self.step
    }

    /// Why it failed.
    pub fn cause(&self) -> FailureCause {
        self.cause
    }

    /// What the last attempt's error said, its sources included.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// How many attempts were made.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, message, attempts, .. } = self;
        match attempts {
            1 => write!(f, "step {step:?} failed: {message}"),
            _ => write!(f, "step {step:?} failed after {attempts} attempts: {message}"),
        }
    }
}

impl StdError for StepError {}

/// A session that has failed. It is recorded, so the handler gets the same one after every crash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionError {
    pub(crate) session: String,
    pub(crate) message: String,
}

impl SessionError {
    /// The session's name.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// Why it failed; what went wrong with the clean-up stands behind that.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {:?} failed: {}", self.session, self.message)
    }
}

impl StdError for SessionError {}

/// What came for a wait cannot be read as what was waited for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WaitError {
    pub(crate) signal: String,
    pub(crate) message: String,
}

impl WaitError {
    /// The signal's name.
    pub fn signal(&self) -> &str {
        &self.signal
    }
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "signal {:?} came with what cannot be read: {}", self.signal, self.message)
    }
}

impl StdError for WaitError {}

/// An error and its sources on one line, as they are recorded: `a: b: c`, no source that its error quotes already.
pub(crate) fn describe(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        source = error.source();
    }
    text
}

/// Whether the chain of an error holds [`Shutdown`].
pub(crate) fn is_shutdown(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<Stopping>() {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(BoxError);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("outer")
        }
    }

    impl StdError for Outer {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&*self.0)
        }
    }

    #[test]
    fn a_shutdown_is_found_anywhere_in_the_chain() {
        let deep = Outer(Outer(Shutdown.into()).into());
        assert!(is_shutdown(&deep) && is_shutdown(&Shutdown));
        assert!(!is_shutdown(&Outer("disk full".into())));
        let anyhow: BoxError = anyhow::Error::new(Shutdown).context("fetching").into();
        assert!(is_shutdown(&*anyhow));
        let bare: BoxError = anyhow::Error::new(Shutdown).into();
        assert!(is_shutdown(&*bare));
    }

    #[test]
    fn an_error_is_described_with_its_sources_once() {
        assert_eq!(describe(&Outer(Outer("disk full".into()).into())), "outer: disk full");
        let quoted = anyhow::anyhow!("disk full").context("saving");
        assert_eq!(describe(quoted.as_ref()), "saving: disk full");
    }
}
