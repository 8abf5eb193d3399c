//! The one atomic durable write of an owner.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    Blob, Cursor, Digest, Fence, Finish, NewRecord, Note, OperationId, Outcome, Retain, RunId, Snapshot,
    Timestamp, Version, digest::Canonical,
};

/// What wakes a run that lets go of its lease: an instant, a message, or whichever comes first.
///
/// When it lets go, the run is due at `at`, but not before that commit's now; and at that now if the run ever got a
/// message numbered above `after`, taken or not. With neither it has no due, until a message is sent whose number is above
/// `after`: then it is due at that sending's now, unless it was due earlier.
///
/// Held by: `inbox/is-due-*`, `inbox/the-instant-wakes-when-it-comes-first`,
/// `inbox/the-message-wakes-when-it-comes-first`, `inbox/a-send-racing-the-release-never-loses-the-wake`,
/// `leases/a-release-*`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Wake {
    /// Due at this instant, by the store's clock.
    pub at: Option<Timestamp>,
    /// Due as soon as the inbox holds a message numbered above this; at once if it does already.
    pub after: Option<u64>,
}

impl Wake {
    /// Due at once: a shutdown, after which anyone may go on.
    pub fn now() -> Self {
        Self::at(Timestamp(i64::MIN))
    }

    /// Due at an instant.
    pub fn at(at: Timestamp) -> Self {
        Self { at: Some(at), after: None }
    }

    /// Due with the first message numbered above `after`.
    pub fn message(after: u64) -> Self {
        Self { at: None, after: Some(after) }
    }

    /// Due at `at` at the latest.
    pub fn or_at(mut self, at: Timestamp) -> Self {
        self.at = Some(self.at.map_or(at, |own| own.min(at)));
        self
    }
}

/// What a commit does to its owner's lease.
///
/// Held by: `leases/a-commit-*`, `leases/a-release-*`, `fencing/a-release-ends-its-fence`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum LeaseChange {
    /// Nothing.
    #[default]
    Keep,
    /// It lasts at least so long from now; never shortened.
    Extend(Duration),
    /// The owner lets go: its fence is dead ([`crate::Refusal::Fenced`] with that same fence for everything but this
    /// commit's own replay), nobody holds a lease, and the run is due as the wake says, but not before this commit.
    Release(Wake),
}

/// One atomic write of a run's owner: all of it or nothing, visible at once or not at all.
///
/// Made once and sent until it is settled: a retry is the same value with the same `id`.
///
/// ```
/// use milepost_core::{Commit, Fence, Incarnation, Kind, NewRecord, OperationId, RunId, Token};
///
/// let fence = Fence { incarnation: Incarnation(1), epoch: 1, token: Token(1) };
/// let commit = Commit::new(RunId::new("import")?, fence, OperationId(1), 1)
///     .record(NewRecord::new(Kind::new("row")?, "a,b,c"));
/// assert_eq!(commit.digest(), commit.clone().digest());
/// assert_ne!(commit.digest(), commit.clone().advances().digest());
/// # Ok::<(), milepost_core::Error>(())
/// ```
///
/// Held by: `commit/*`, `lost-ack/*`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Commit {
    /// To which run.
    pub run: RunId,
    /// By whose right.
    pub fence: Fence,
    /// Names this commit over all its retries.
    pub id: OperationId,
    /// The version that the owner saw last.
    pub expect: Version,
    /// Appended in this order behind the run's newest record.
    ///
    /// Held by: `commit/cursors-are-additive-and-gapless`.
    pub records: Vec<NewRecord>,
    /// Stored once a run; one that the run holds already is ignored.
    ///
    /// Held by: `blobs/a-blob-is-stored-once`.
    pub blobs: Vec<Blob>,
    /// The state as of any cursor up to the last record of this commit. At the cursor of a kept one it replaces that
    /// one. One that would shorten no resume is dropped without an error: older than the newest in a store without
    /// [`crate::Capability::History`], or with a tail that was trimmed (below [`Head::first`](crate::Head::first) by two or
    /// more). Without `History` only the newest two are kept.
    ///
    /// Held by: `snapshots/the-same-cursor-replaces`, `snapshots/past-the-end-is-refused`,
    /// `snapshots/a-snapshot-below-the-trimmed-is-dropped`.
    pub snapshot: Option<Snapshot>,
    /// Removes the records up to this cursor and the snapshots below it, at most up to the second-newest snapshot that
    /// is kept with this commit (its own snapshot counts, if it is kept), so that an undecodable newest one still has a
    /// way back. With fewer than two nothing can be trimmed. Trimming what is trimmed already changes nothing.
    ///
    /// Held by: `snapshots/a-trim-*`, `snapshots/nothing-is-trimmed-before-two-are-kept`.
    pub trim: Option<Cursor>,
    /// Blobs to remove; one that is not there is ignored.
    ///
    /// Held by: `blobs/a-blob-is-dropped-on-request`, `blobs/a-named-blob-is-dropped-and-its-record-stays`.
    pub drop_blobs: Vec<Digest>,
    /// Numbers of messages to take from the inbox.
    ///
    /// Held by: `inbox/taken-exactly-when-the-commit-holds`, `inbox/taking-what-is-not-waiting-is-a-conflict`.
    pub take: Vec<u64>,
    /// What a listing shows of the run from now on; `None` leaves the old one.
    ///
    /// Held by: `open/a-note-is-shown-*`.
    pub note: Option<Note>,
    /// Whether work was finished (a step, a phase, a saved state; never an intent or an attempt); resets the lapses.
    ///
    /// Held by: `open/lapses-are-reset-by-work-that-advances`, `lost-ack/a-replay-forgets-no-lapse`.
    pub advances: bool,
    /// What happens to the lease.
    pub lease: LeaseChange,
    /// Ends the run: nobody holds a lease from then on, and it has no due. Its fence stays the newest, so that what it
    /// writes afterwards is `Finished`.
    ///
    /// Held by: `commit/an-outcome-*`.
    pub finish: Option<Finish>,
}

impl Commit {
    /// An empty commit: it raises the version and nothing else.
    pub fn new(run: RunId, fence: Fence, id: OperationId, expect: Version) -> Self {
        Self {
            run,
            fence,
            id,
            expect,
            records: Vec::new(),
            blobs: Vec::new(),
            snapshot: None,
            trim: None,
            drop_blobs: Vec::new(),
            take: Vec::new(),
            note: None,
            advances: false,
            lease: LeaseChange::Keep,
            finish: None,
        }
    }

    /// Appends a record.
    pub fn record(mut self, record: NewRecord) -> Self {
        self.records.push(record);
        self
    }

    /// Appends records.
    pub fn records(mut self, records: impl IntoIterator<Item = NewRecord>) -> Self {
        self.records.extend(records);
        self
    }

    /// Carries a blob.
    pub fn blob(mut self, blob: Blob) -> Self {
        self.blobs.push(blob);
        self
    }

    /// Adds the snapshot.
    pub fn snapshot(mut self, snapshot: Snapshot) -> Self {
        self.snapshot = Some(snapshot);
        self
    }

    /// Removes the records up to `through`.
    pub fn trim(mut self, through: Cursor) -> Self {
        self.trim = Some(through);
        self
    }

    /// Drops a blob.
    pub fn drop_blob(mut self, name: Digest) -> Self {
        self.drop_blobs.push(name);
        self
    }

    /// Takes a message from the inbox.
    pub fn take(mut self, number: u64) -> Self {
        self.take.push(number);
        self
    }

    /// Says how far the run is.
    pub fn note(mut self, note: Note) -> Self {
        self.note = Some(note);
        self
    }

    /// Says that work was finished.
    pub fn advances(mut self) -> Self {
        self.advances = true;
        self
    }

    /// Extends the lease to at least `ttl` from now.
    pub fn extend(mut self, ttl: Duration) -> Self {
        self.lease = LeaseChange::Extend(ttl);
        self
    }

    /// Lets go of the run.
    pub fn release(mut self, wake: Wake) -> Self {
        self.lease = LeaseChange::Release(wake);
        self
    }

    /// Ends the run.
    pub fn finish(mut self, outcome: Outcome, retain: Retain) -> Self {
        self.finish = Some(Finish { outcome, retain });
        self
    }

    /// What this commit would do, as 256 bits: everything but its id and its fence. Two commits with one id are the
    /// same commit exactly if this is equal.
    ///
    /// Held by: `lost-ack/the-same-id-with-other-content-is-reused`,
    /// `lost-ack/an-equal-commit-made-anew-is-the-same-commit`.
    pub fn digest(&self) -> Digest {
        let mut canonical = Canonical::new("commit");
        canonical
            .bytes(self.run.as_str().as_bytes())
            .number(self.expect)
            .list(self.records.iter(), feed_record)
            .list(self.blobs.iter(), |canonical, blob| {
                canonical.bytes(&blob.name.0).bytes(&blob.body);
            })
            .option(self.snapshot.as_ref(), |canonical, snapshot| {
                canonical.number(snapshot.cursor).bytes(&snapshot.body);
            })
            .option(self.trim, feed_number)
            .list(self.drop_blobs.iter(), |canonical, name| {
                canonical.bytes(&name.0);
            })
            .list(self.take.iter(), |canonical, number| {
                canonical.number(*number);
            })
            .option(self.note.as_ref(), |canonical, note| {
                canonical.number(note.done).option(note.total, feed_number).bytes(note.text.as_bytes());
            })
            .number(u8::from(self.advances));
        match self.lease {
            LeaseChange::Keep => canonical.number(0u8),
            LeaseChange::Extend(ttl) => canonical.number(1u8).number(ttl.as_nanos()),
            LeaseChange::Release(wake) => canonical
                .number(2u8)
                .option(wake.at, |canonical, at| feed_number(canonical, at.0 as u64))
                .option(wake.after, feed_number),
        };
        canonical.option(self.finish.as_ref(), feed_finish).digest()
    }
}

fn feed_number(canonical: &mut Canonical, number: u64) {
    canonical.number(number);
}

fn feed_record(canonical: &mut Canonical, record: &NewRecord) {
    canonical
        .bytes(record.kind.as_str().as_bytes())
        .bytes(&record.body)
        .option(record.id.as_ref(), |canonical, id| {
            canonical.bytes(id.as_str().as_bytes());
        })
        .list(record.blobs.iter(), |canonical, name| {
            canonical.bytes(&name.0);
        });
}

fn feed_finish(canonical: &mut Canonical, finish: &Finish) {
    match &finish.outcome {
        Outcome::Completed { output } => canonical.number(0u8).bytes(output),
        Outcome::Failed { failure } => {
            canonical.number(1u8).bytes(failure.kind.as_str().as_bytes()).bytes(failure.message.as_bytes())
        }
    };
    match finish.retain {
        Retain::Keep => canonical.number(0u8),
        Retain::KeepFor(duration) => canonical.number(1u8).number(duration.as_nanos()),
        Retain::Delete => canonical.number(2u8),
    };
}

/// The answer to a [`Commit`] that holds.
///
/// Held by: `commit/cursors-are-additive-and-gapless`, `lost-ack/the-same-commit-again-gives-its-first-answer`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Committed {
    /// The run's version with this commit: `expect + 1`.
    pub version: Version,
    /// The run's newest record with this commit.
    pub cursor: Cursor,
    /// Whether this commit held already, and this is the first answer again.
    pub replayed: bool,
}

/// A lease renewal between commits.
///
/// Held by: `leases/a-renewal-*`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Renew {
    /// By whose right.
    pub fence: Fence,
    /// The lease lasts at least so long from now, by the store's clock; never shortened.
    pub ttl: Duration,
    /// What a listing shows of the run from now on; `None` leaves the old one.
    pub note: Option<Note>,
}

impl Renew {
    /// Extends the lease to at least `ttl` from now.
    pub fn new(fence: Fence, ttl: Duration) -> Self {
        Self { fence, ttl, note: None }
    }

    /// Says how far the run is.
    pub fn note(mut self, note: Note) -> Self {
        self.note = Some(note);
        self
    }
}
