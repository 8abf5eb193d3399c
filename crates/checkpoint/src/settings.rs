//! What a program chooses about its checkpoints.

use std::time::Duration;

use milepost_core::{Error, ErrorKind, Open, Result, Retain, RunId};
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::policy::SnapshotPolicy;

/// When a save is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum SaveMode {
    /// When it returns.
    #[default]
    Sync,
    /// In the background: one newest state is under way, older ones are dropped, and an error comes with the next call.
    /// A save waits when the oldest state that is not durable yet has waited for `max_lag`.
    Async {
        /// The most work that a crash can take.
        max_lag: Duration,
    },
    /// When the run is released, completed, failed, or flushed by hand.
    OnExit,
}

/// What a store that cannot be reached does to a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Availability {
    /// The error is returned: a run that was asked to be durable is durable or fails.
    #[default]
    Required,
    /// A warning is logged and the run goes on; what could not be saved stays pending. A refusal, such as `Fenced`, is
    /// returned all the same; and so is the error of a resume, for that run is there and has work behind it, and that of a
    /// beginning after which the run may be there, for somebody would recover it.
    BestEffort,
}

/// What stays of a driven run's history.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Keep {
    /// Everything: each checkpointed state can be read again, compared and forked from. Differences make it cheap.
    #[default]
    All,
    /// What the newest two snapshots need: each new snapshot trims what the second-newest covers.
    Trim,
}

/// What a program chooses about its checkpoints. Plain data: it can stand in a configuration file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether anything is kept at all. `false` is the only way to a run that is not durable.
    pub durable: bool,
    /// A save within this time after the last successful one is kept for later; zero saves every time.
    pub throttle: Duration,
    /// When snapshots are written.
    pub snapshots: SnapshotPolicy,
    /// What stays of the history.
    pub keep: Keep,
    /// When a save is durable.
    pub mode: SaveMode,
    /// What a store that cannot be reached does.
    pub availability: Availability,
    /// How long the run stays this process's after its last sign of life.
    pub ttl: Duration,
    /// Whether a background task renews the lease at a third of its ttl when no commit has.
    pub renew: bool,
    /// What becomes of the data once the run has finished.
    pub retain: Retain,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            durable: true,
            throttle: Duration::ZERO,
            snapshots: SnapshotPolicy::default(),
            keep: Keep::default(),
            mode: SaveMode::default(),
            availability: Availability::default(),
            ttl: Open::DEFAULT_TTL,
            renew: true,
            retain: Retain::default(),
        }
    }
}

impl Settings {
    /// Under [`Availability::BestEffort`] an error of a store that cannot be reached becomes a warning and `instead`.
    pub(crate) fn soften<T>(&self, run: &RunId, error: Error, instead: T) -> Result<T> {
        if self.availability == Availability::Required || !is_outage(error.kind()) {
            return Err(error);
        }
        warn!(%run, %error, "not saved; the run goes on, and the next save tries again");
        Ok(instead)
    }
}

/// Whether it is the store that fails, rather than the run that is refused.
pub(crate) fn is_outage(kind: ErrorKind) -> bool {
    use ErrorKind::{Busy, Denied, Full, Other, ReadOnly, TimedOut, Unavailable};
    matches!(kind, Unavailable | Busy | TimedOut | Denied | Full | ReadOnly | Other)
}
