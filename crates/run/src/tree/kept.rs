//! What a parent's log has of a child.

use std::sync::Arc;

use milepost_core::{Cursor, Digest, FailureKind, RunId, Timestamp, Version};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::value::Stored;

/// What a child is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) key: String,
    /// Its handler.
    pub(crate) name: String,
    pub(crate) run: RunId,
    /// What it is asked to do.
    #[serde(serialize_with = "crate::value::write_digest", deserialize_with = "crate::value::read_digest")]
    pub(crate) manifest: Digest,
}

impl Identity {
    /// Whether the handler asks for the same. A fork has the children of the run that it comes from, whose ids and what is
    /// made of them are not its own.
    pub(super) fn is_asked_for_by(&self, asked: &Identity) -> bool {
        let same = self.run != asked.run || self.manifest == asked.manifest;
        self.key == asked.key && self.name == asked.name && same
    }
}

/// How a child ended, for its parent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ChildEnd {
    Completed(Stored),
    Failed { cause: ChildCause, message: String },
}

/// Why a child gave no output.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ChildCause {
    /// It failed, its restarts included.
    Failed(#[serde(serialize_with = "write_kind", deserialize_with = "read_kind")] FailureKind),
    /// There is a child of this key that was asked to do something else.
    Conflict,
    /// There is a child of this key already, and it has not ended yet.
    Duplicate,
    /// Its slice is more than what is left of the budget.
    OverBudget,
    /// Its input has no form in JSON.
    Invalid,
    /// It has completed, and its output is more than a record of its parent can carry.
    Unrecordable,
}

impl ChildCause {
    /// Whether there never was a run for it.
    pub(super) fn is_refusal(self) -> bool {
        !matches!(self, Self::Failed(_) | Self::Unrecordable)
    }
}

impl ChildEnd {
    /// What it gave.
    pub(crate) fn value(&self) -> Option<&Stored> {
        match self {
            Self::Completed(value) => Some(value),
            Self::Failed { .. } => None,
        }
    }

    pub(crate) fn is_failure(&self) -> bool {
        self.value().is_none()
    }

    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Failed { cause, .. } if cause.is_refusal())
    }
}

fn write_kind<S: Serializer>(kind: &FailureKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.as_str())
}

fn read_kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FailureKind, D::Error> {
    let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    FailureKind::from_name(&name).ok_or_else(|| serde::de::Error::custom("an unknown kind of failure"))
}

/// A child that was reopened after a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Restart {
    /// The version at which it had failed.
    pub(crate) failed: Version,
    pub(crate) at: Timestamp,
}

/// What is recorded of a child.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) identity: Identity,
    /// Its slice of the budget.
    pub(crate) grant: Option<u64>,
    pub(crate) began: Timestamp,
    pub(crate) restarts: Vec<Restart>,
    /// The parent was reopened, and tries it again.
    pub(crate) reopen: bool,
    /// By which record it ended, and how.
    pub(crate) settled: Option<(Cursor, Arc<ChildEnd>)>,
}
