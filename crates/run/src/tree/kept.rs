//! What a parent's log has of a child, and what the driven parent knows of all its children.

use std::collections::{BTreeMap, HashMap};

use milepost_core::{Cursor, Digest, FailureKind, RunId, Timestamp, Version};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{place::Place, value::Stored};

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

/// How a child ended, and where the log says so.
#[derive(Clone, Debug)]
pub(crate) struct Settled {
    pub(crate) cursor: Cursor,
    pub(crate) end: ChildEnd,
    /// What it used of its slice, if that is known.
    pub(crate) used: Option<u64>,
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
    pub(crate) settled: Option<Settled>,
}

/// The children of a driven run, as far as its handler has come to them, and those that its log has unsettled.
#[derive(Debug, Default)]
pub(crate) struct Brood {
    keys: HashMap<String, (Identity, Option<ChildEnd>)>,
    live: BTreeMap<Place, RunId>,
}

/// What a key that is asked for stands for.
#[derive(Debug)]
pub(crate) enum Known {
    New,
    /// The same, and this is how it ended.
    Ended(ChildEnd),
    /// The same, and it has not ended.
    Live,
    /// Another one.
    Other(Identity),
}

impl Brood {
    /// With the children that the log has unsettled.
    pub(crate) fn new(live: impl IntoIterator<Item = (Place, RunId)>) -> Self {
        Self { live: live.into_iter().collect(), ..Self::default() }
    }

    pub(crate) fn look(&self, identity: &Identity) -> Known {
        match self.keys.get(&identity.key) {
            None => Known::New,
            Some((known, _)) if known != identity => Known::Other(known.clone()),
            Some((_, Some(end))) => Known::Ended(end.clone()),
            Some((_, None)) => Known::Live,
        }
    }

    /// The handler has come to this child.
    pub(crate) fn enter(&mut self, at: &Place, identity: &Identity, end: Option<ChildEnd>) {
        if end.is_none() {
            self.live.insert(at.clone(), identity.run.clone());
        }
        self.keys.entry(identity.key.clone()).or_insert_with(|| (identity.clone(), end));
    }

    pub(crate) fn settle(&mut self, at: &Place, key: &str, end: &ChildEnd) {
        self.live.remove(at);
        if let Some((_, known)) = self.keys.get_mut(key) {
            *known = Some(end.clone());
        }
    }

    /// The children that have not settled.
    pub(crate) fn live(&self) -> Vec<(Place, RunId)> {
        self.live.iter().map(|(at, run)| (at.clone(), run.clone())).collect()
    }
}
