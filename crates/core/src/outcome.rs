//! How a run ends.

use std::{fmt, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Timestamp, record::Size};

/// How a run ended.
///
/// Held by: `commit/an-outcome-*`, `open/a-completed-run-answers-its-outcome`,
/// `open/a-failed-run-is-reopened-only-when-asked`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Final.
    Completed {
        /// What the run returned, opaque to the store.
        output: Bytes,
    },
    /// Stands until the run is reopened on purpose ([`crate::Open::reopen_failed`]).
    Failed {
        /// Why.
        failure: Failure,
    },
}

impl Outcome {
    /// How many bytes its output has, or its failure's message.
    pub fn size(&self) -> usize {
        match self {
            Outcome::Completed { output } => output.len(),
            Outcome::Failed { failure } => failure.message.len(),
        }
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Completed { output } => {
                f.debug_struct("Completed").field("output", &Size(output)).finish()
            }
            Outcome::Failed { failure } => f.debug_struct("Failed").field("failure", failure).finish(),
        }
    }
}

/// Why a run failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// In one word.
    pub kind: FailureKind,
    /// For people.
    pub message: String,
}

impl Failure {
    /// A failure of `kind`, told to people by `message`.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

/// Why a run failed, in one word.
///
/// Held by: `commit/every-failure-comes-back`, `listing/by-kind-of-failure`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum FailureKind {
    /// It returned an error.
    Error,
    /// It panicked.
    Panicked,
    /// It was cancelled for good.
    Cancelled,
    /// It ran into its deadline.
    TimedOut,
    /// It took its process down too often.
    Poison,
    /// An operator ended it.
    Operator,
}

impl FailureKind {
    /// Every kind, in the order of [`FailureKind::as_str`]'s table.
    pub const ALL: [FailureKind; 6] =
        [Self::Error, Self::Panicked, Self::Cancelled, Self::TimedOut, Self::Poison, Self::Operator];

    /// The stable name that stores keep.
    pub const fn as_str(self) -> &'static str {
        match self {
            FailureKind::Error => "error",
            FailureKind::Panicked => "panicked",
            FailureKind::Cancelled => "cancelled",
            FailureKind::TimedOut => "timed-out",
            FailureKind::Poison => "poison",
            FailureKind::Operator => "operator",
        }
    }

    /// The kind of a stored name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What becomes of a finished run's data.
///
/// Held by: `commit/retention-counts-from-the-commit`, `listing/expired-gives-what-may-be-deleted`,
/// `listing/a-run-expires-at-its-instant`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Retain {
    /// It stays until somebody deletes it.
    #[default]
    Keep,
    /// It may be deleted after so long a time.
    KeepFor(Duration),
    /// It may be deleted at once. The outcome is readable until that happens.
    Delete,
}

impl Retain {
    /// From when on a run that finished `at` may be deleted; [`crate::Query::expired`] finds it then.
    pub fn delete_after(self, at: Timestamp) -> Option<Timestamp> {
        match self {
            Retain::Keep => None,
            Retain::KeepFor(duration) => Some(at + duration),
            Retain::Delete => Some(at),
        }
    }
}

/// The last part of a run's last commit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Finish {
    /// How the run ended.
    pub outcome: Outcome,
    /// What becomes of its data.
    pub retain: Retain,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_failure_is_found_by_its_name() {
        for kind in FailureKind::ALL {
            assert_eq!(FailureKind::from_name(kind.as_str()), Some(kind));
        }
        assert_eq!(FailureKind::from_name("bored"), None);
    }
}
