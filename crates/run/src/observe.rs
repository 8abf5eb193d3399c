//! Telling what happens to runs, for logs, metrics and the curious.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use milepost_core::{RunId, Timestamp};
use tracing::{debug, error};

use crate::Ended;

/// Something that happened to a run in this process.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Happened {
    /// This process drives it from now on.
    Opened {
        /// Under which epoch: 1 for a new run.
        epoch: u64,
        /// Up to which record its log was read.
        cursor: u64,
    },
    /// An attempt of a step is about to be made: its intent is durable.
    StepBegan {
        /// The step's name.
        step: String,
        /// The attempt, counted from 0 over all processes.
        attempt: u32,
    },
    /// A step's result is durable.
    StepDone {
        /// The step's name.
        step: String,
        /// The attempt.
        attempt: u32,
    },
    /// An attempt of a step has failed.
    StepFailed {
        /// The step's name.
        step: String,
        /// The attempt.
        attempt: u32,
        /// What its error says.
        message: String,
        /// When the next one is due; `None` if it was the last.
        retry_at: Option<Timestamp>,
    },
    /// A step was answered from the log.
    StepReplayed {
        /// The step's name.
        step: String,
    },
    /// A step may have happened, and waits for an answer.
    InDoubt {
        /// The step's name.
        step: String,
    },
    /// A phase is entered: anew, or again after its process died in it.
    PhaseBegan {
        /// The phase's name.
        phase: String,
        /// The round that it begins with.
        round: u32,
    },
    /// A phase saved its state: after a crash it goes on with this round.
    PhaseSaved {
        /// The phase's name.
        phase: String,
        /// The round.
        round: u32,
    },
    /// A phase's result is durable.
    PhaseDone {
        /// The phase's name.
        phase: String,
    },
    /// A phase was answered from the log.
    PhaseSkipped {
        /// The phase's name.
        phase: String,
    },
    /// The producer of a session is ready.
    SessionBegan {
        /// The session's name.
        session: String,
        /// The attempt, counted from 0 over all processes.
        attempt: u32,
    },
    /// A session's final event is durable.
    SessionEnded {
        /// The session's name.
        session: String,
        /// Why it failed, if it did.
        failure: Option<String>,
    },
    /// A session was answered from the log.
    SessionReplayed {
        /// The session's name.
        session: String,
    },
    /// This process does not drive it any more.
    Ended(Ended),
}

/// Who is told. What it panics with is logged, and kills no run.
#[derive(Clone, Default)]
pub(crate) struct Observers(Vec<Arc<Observer>>);

type Observer = dyn Fn(&RunId, &Happened) + Send + Sync;

impl Observers {
    pub(crate) fn add(&mut self, observer: Arc<Observer>) {
        self.0.push(observer);
    }

    pub(crate) fn tell(&self, run: &RunId, happened: impl FnOnce() -> Happened) {
        if self.0.is_empty() && !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let happened = happened();
        debug!(%run, ?happened);
        for observer in &self.0 {
            if catch_unwind(AssertUnwindSafe(|| observer(run, &happened))).is_err() {
                error!(%run, ?happened, "an observer panicked");
            }
        }
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} observers", self.0.len())
    }
}
