//! How a process' work on a run came to its end.

use std::fmt;

use milepost_core::{Failure, Outcome, Wake};

/// How a process' work on a run came to its end. The run itself has ended only if it completed or failed.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Ended {
    /// The run has completed. Its output is [`Handle::output`](crate::Handle::output).
    Completed,
    /// The run has failed, until it is [reopened](crate::Runner::reopen).
    Failed(Failure),
    /// The run waits, and was let go of; it is due as the wake says.
    Waiting(Wake),
    /// The run was let go of and is due at once: the runner stops, or the handler said [`Shutdown`](crate::Shutdown).
    Released,
    /// Another owner drives the run, or it is gone. Nothing was written.
    Lost,
    /// The end could not be written. The run is recovered when its lease runs out, if not before.
    Unwritten {
        /// How it was to end.
        meant: Box<Ended>,
        /// What the store said.
        error: String,
    },
}

impl From<Outcome> for Ended {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Completed { .. } => Ended::Completed,
            Outcome::Failed { failure } => Ended::Failed(failure),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Completed => f.write_str("completed"),
            Ended::Failed(failure) => write!(f, "failed, {failure}"),
            Ended::Waiting(_) => f.write_str("waiting"),
            Ended::Released => f.write_str("released, to be resumed"),
            Ended::Lost => f.write_str("lost to another owner"),
            Ended::Unwritten { meant, error } => write!(f, "{meant}; writing that failed: {error}"),
        }
    }
}
