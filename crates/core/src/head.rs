//! A run's summary.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    Cursor, Error, ErrorKind, Fence, Manifest, NOTE_LIMIT, Origin, Outcome, Owner, RunId, RunInfo, Timestamp,
    Version,
};

/// Who drives a run and until when, by the store's clock. A courtesy that avoids needless takeovers; the fence is the
/// guarantee.
///
/// Held by: `leases/is-*`, `leases/stays-in-the-head-after-its-end`, `open/a-live-lease-is-refused-to-everyone`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Lease {
    /// A label for people, never an identity.
    pub owner: Owner,
    /// When it ends unless it is renewed.
    pub until: Timestamp,
}

/// How far a driven run is: done, total and a line of text; what a listing shows of it. Under 1 KiB.
///
/// Held by: `open/a-note-is-shown-*`, `commit/a-note-at-the-limit-is-taken`,
/// `commit/a-note-over-the-limit-is-refused`, `ids/odd-notes-come-back`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Note {
    /// How much is done, in whatever unit the run counts.
    pub done: u64,
    /// Out of how much, if that is known.
    pub total: Option<u64>,
    /// A line for people.
    pub text: String,
}

impl Note {
    /// A note.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooLarge`] when `text` has [`NOTE_LIMIT`] bytes or more.
    pub fn new(done: u64, total: Option<u64>, text: impl Into<String>) -> Result<Self, Error> {
        let note = Self { done, total, text: text.into() };
        note.check().map(|()| note)
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.text.len() < NOTE_LIMIT {
            return Ok(());
        }
        let size = self.text.len();
        Err(Error::new(
            ErrorKind::TooLarge,
            format!("a note has less than {NOTE_LIMIT} bytes, this one has {size}"),
        ))
    }
}

/// The bytes of bodies that a run keeps: sums of their lengths, and nothing of what the backend adds.
///
/// Held by: `commit/sizes-sum-up-the-records`, `blobs/blobs-are-enumerated-by-name`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Sizes {
    /// Of the records that are retained.
    pub records: u64,
    /// Of the snapshots that are kept.
    pub snapshots: u64,
    /// Of its blobs.
    pub blobs: u64,
    /// Of the messages in its inbox.
    pub messages: u64,
}

/// What a run is doing. Derived from its head, never stored.
///
/// Held by: `listing/each-run-is-listed-under-its-status-alone`, `listing/a-run-is-interrupted-from-its-due-on`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Status {
    /// Somebody holds its lease.
    Running,
    /// Nobody drives it, and its wake has not come.
    Waiting,
    /// Nobody drives it, and it is due: whoever comes first may take it over.
    Interrupted,
    /// It has its final outcome.
    Completed,
    /// It failed, until it is reopened.
    Failed,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Running => "running",
            Status::Waiting => "waiting",
            Status::Interrupted => "interrupted",
            Status::Completed => "completed",
            Status::Failed => "failed",
        })
    }
}

/// A run's summary, as of one instant of the store.
///
/// Held by: `open/begun-but-empty-is-known`, `listing/what-is-listed-is-the-head`,
/// `open/lapses-count-unreleased-takeovers-only`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Head {
    /// Which run.
    pub run: RunId,
    /// What it is; set when it was created.
    pub info: RunInfo,
    /// What it was asked to do.
    pub manifest: Manifest,
    /// Counts its opens and commits.
    pub version: Version,
    /// Its newest record; `0` while there is none.
    pub cursor: Cursor,
    /// Its oldest retained record: 1 until something was trimmed, one past `origin` for a fork, and `cursor + 1` when
    /// none is retained.
    pub first: Cursor,
    /// The cursors of its newest two snapshots, newest first.
    pub snapshots: Vec<Cursor>,
    /// The newest fence, whether or not it still drives the run.
    pub fence: Fence,
    /// Who drives it. A lease that has run out stays here until a takeover: it was never released.
    pub lease: Option<Lease>,
    /// From when on anyone may take it over: the lease's end while someone drives it, the wake while it waits. `None`
    /// once it has finished, for a draft, and while only a message can wake it.
    pub due: Option<Timestamp>,
    /// Takeovers of leases that were never released (run out, or taken by [`crate::Takeover::Over`]), since work last
    /// advanced or a failed run was reopened.
    pub lapses: u32,
    /// The number of the newest message ever sent to it; `0` while there is none.
    pub newest_message: u64,
    /// How far it says it is.
    pub note: Option<Note>,
    /// When it was created, by the store's clock.
    pub created_at: Timestamp,
    /// When it was last opened or committed to; renewals and messages do not count.
    pub updated_at: Timestamp,
    /// What it keeps.
    pub sizes: Sizes,
    /// Where its log begins, when that is not at 0.
    pub origin: Option<Origin>,
    /// Whether it still waits for the snapshot at its origin. A draft is never due.
    pub draft: bool,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// From when on its data may be deleted.
    pub delete_after: Option<Timestamp>,
    /// When this head was read, by the store's clock.
    pub at: Timestamp,
}

impl Head {
    /// What the run is doing, at the instant at which this head was read.
    ///
    /// An embedded store reports the `due` of a lease whose holder is a process of this host that is gone as already
    /// passed, so the rule is the same everywhere.
    pub fn status(&self) -> Status {
        match &self.outcome {
            Some(Outcome::Completed { .. }) => Status::Completed,
            Some(Outcome::Failed { .. }) => Status::Failed,
            None if self.due.is_some_and(|due| due <= self.at) => Status::Interrupted,
            None if self.lease.as_ref().is_some_and(|lease| lease.until > self.at) => Status::Running,
            None => Status::Waiting,
        }
    }
}
