//! What a run's log holds: entries that tell what happened, not what was asked for. Each was judged against everything
//! before it, so folding them needs no judgement and never changes its mind.
//!
//! The encoding is postcard's of these types, inside a frame. It is never changed in place: what is different is another
//! version of the frame, and this one is read for ever.

use bytes::Bytes;
use milepost_core::{
    Cursor, Digest, Fence, Kind, Lease, Manifest, MessageKey, Note, OperationId, Origin, Outcome, Process,
    RecordId, RunId, RunInfo, Timestamp,
};
use serde::{Deserialize, Serialize};

/// One object of a log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Unlike that of any other object: who reads its own token in a slot has won it.
    pub(crate) token: u128,
    /// The store's now.
    pub(crate) at: Timestamp,
    /// The minute under which a hint was filed for this entry, before it.
    pub(crate) hint: Option<u64>,
    pub(crate) deed: Deed,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Deed {
    /// The first entry of a life, and no other.
    Create(Box<Create>),
    Open(Box<Open>),
    Commit(Box<Commit>),
    Renew(Box<Renew>),
    Send(Box<Send>),
    /// The last entry of a life; it stays as long as there is no newer life.
    Delete,
}

/// A run begins.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Create {
    pub(crate) run: RunId,
    pub(crate) info: RunInfo,
    pub(crate) manifest: Manifest,
    pub(crate) origin: Option<Origin>,
    pub(crate) open: Open,
}

/// Somebody drives it from now on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Open {
    pub(crate) id: OperationId,
    pub(crate) fence: Fence,
    pub(crate) lease: Lease,
    /// Kept by embedded stores.
    pub(crate) holder: Option<Process>,
}

/// A body, and where it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Body {
    /// In the entry.
    Here(Bytes),
    /// In an object of its own, which was there before the entry.
    Apart(Part),
}

/// An object that holds a body.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) epoch: u64,
    pub(crate) token: u128,
    pub(crate) size: u64,
}

impl Body {
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Here(bytes) => bytes.len() as u64,
            Self::Apart(part) => part.size,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) id: Option<RecordId>,
    pub(crate) blobs: Vec<Digest>,
    pub(crate) body: Body,
}

/// A commit that holds: only what changes something is in it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Commit {
    pub(crate) id: OperationId,
    pub(crate) digest: Digest,
    /// The cursor of the first record, were there one.
    pub(crate) first: Cursor,
    pub(crate) records: Vec<Record>,
    pub(crate) blobs: Vec<(Digest, Body)>,
    pub(crate) snapshot: Option<(Cursor, Body)>,
    pub(crate) trim: Option<Cursor>,
    pub(crate) drop_blobs: Vec<Digest>,
    pub(crate) take: Vec<u64>,
    pub(crate) note: Option<Note>,
    pub(crate) advances: bool,
    pub(crate) change: Change,
}

/// What becomes of the lease.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Change {
    Keep,
    /// It lasts until then at least.
    Extend(Timestamp),
    Release {
        due: Option<Timestamp>,
        wake_after: Option<u64>,
    },
    Finish {
        outcome: Outcome,
        delete_after: Option<Timestamp>,
    },
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Renew {
    pub(crate) until: Timestamp,
    pub(crate) note: Option<Note>,
}

/// A message that is the first of its key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Send {
    pub(crate) number: u64,
    pub(crate) id: OperationId,
    pub(crate) key: MessageKey,
    pub(crate) kind: Kind,
    pub(crate) content: Digest,
    pub(crate) body: Bytes,
    /// When the run is due, if this changes it.
    pub(crate) due: Option<Timestamp>,
}
