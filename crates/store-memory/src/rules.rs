//! The contract's verdicts over what a store knows of a run, in their documented order, and what becomes of a run's summary:
//! for stores that judge in memory, however they keep the rest.
//!
//! Nothing here changes anything before all is judged. What the `check` functions of `milepost-core` refuse is refused
//! before, without the run.

use std::{collections::BTreeMap, time::Duration};

use milepost_core::{
    Capabilities, Clash, Commit, Committed, Cursor, Delete, Digest, Fence, Head, Lease, Manifest, Mode,
    NewMessage, Open, OperationId, Origin, Outcome, RecordId, Refusal, Result, RunId, RunInfo, Sent, Sizes,
    Takeover, Timestamp, Version, Wake,
};
use serde::{Deserialize, Serialize};

/// The open that a repeated id is compared with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LastOpen {
    /// Its id.
    pub id: OperationId,
    /// The version that it made: another one means that something has happened since.
    pub version: Version,
    /// Whether it created the run.
    pub created: bool,
}

/// The newest commit, remembered so that sending it again is answered as it was the first time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LastCommit {
    /// Its id.
    pub id: OperationId,
    /// [`Commit::digest`].
    pub digest: Digest,
    /// By whose right.
    pub fence: Fence,
    /// What it was answered.
    pub version: Version,
    /// What it was answered.
    pub cursor: Cursor,
}

/// What was sent under a key first, remembered when it has been taken too.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Remembered {
    /// The message's number.
    pub number: u64,
    /// [`content`].
    pub content: Digest,
}

/// What a commit is judged by.
pub trait Known {
    /// The run's summary; its `at` means nothing.
    fn summary(&self) -> &Head;

    /// The newest commit.
    fn last_commit(&self) -> Option<&LastCommit>;

    /// Whether the message of this number waits.
    fn is_waiting(&self, number: u64) -> bool;

    /// Whether the run holds the blob.
    fn has_blob(&self, name: &Digest) -> bool;

    /// The cursors of the two newest snapshots, the newest first.
    fn newest_snapshots(&self) -> [Option<Cursor>; 2];

    /// Where the record of this id stands, as far back as ids are remembered.
    fn record_id(&self, id: &RecordId) -> Option<Cursor>;
}

/// When a lease ends that begins now.
pub fn lease_end(now: Timestamp, ttl: Duration, capabilities: &Capabilities) -> Timestamp {
    now + ttl.max(capabilities.limits.min_ttl)
}

/// What a run is created with that does not exist.
///
/// # Errors
///
/// [`Refusal::NotFound`] for an open that only resumes.
pub fn may_create(open: &Open) -> Result<(&RunInfo, Manifest)> {
    match (&open.info, open.manifest) {
        (Some(info), Some(manifest)) if open.mode != Mode::Resume => Ok((info, manifest)),
        _ => Err(Refusal::NotFound.into()),
    }
}

/// The summary of a run as its first open leaves it.
pub fn created(
    run: RunId,
    (info, manifest): (RunInfo, Manifest),
    origin: Option<Origin>,
    (fence, lease): (Fence, Lease),
    now: Timestamp,
) -> Head {
    let start = origin.as_ref().map_or(0, |origin| origin.cursor);
    let draft = origin.is_some();
    Head {
        run,
        info,
        manifest,
        version: 1,
        cursor: start,
        first: start + 1,
        snapshots: Vec::new(),
        fence,
        due: (!draft).then_some(lease.until),
        lease: Some(lease),
        lapses: 0,
        newest_message: 0,
        note: None,
        created_at: now,
        updated_at: now,
        sizes: Sizes::default(),
        origin,
        draft,
        outcome: None,
        delete_after: None,
        at: now,
    }
}

/// Whether a run that exists may be opened, that is due at `due`, if ever.
///
/// # Errors
///
/// `AlreadyExists`, `ManifestMismatch`, `Finished`, `LeaseHeld`.
pub fn may_open(head: &Head, open: &Open, due: Option<Timestamp>, now: Timestamp) -> Result<()> {
    if open.mode == Mode::Create {
        return Err(Refusal::AlreadyExists.into());
    }
    if let Some(given) = open.manifest.filter(|given| *given != head.manifest) {
        return Err(Refusal::ManifestMismatch { stored: head.manifest, given }.into());
    }
    match &head.outcome {
        Some(Outcome::Failed { .. }) if open.reopen_failed => return Ok(()),
        Some(outcome) => return Err(Refusal::Finished { outcome: outcome.clone() }.into()),
        None => {}
    }
    if open.takeover == Takeover::Over(head.fence) || due.is_some_and(|due| due <= now) {
        return Ok(());
    }
    let owner = head.lease.as_ref().map(|lease| lease.owner.clone());
    Err(Refusal::LeaseHeld { owner, expires_in: due.map(|due| due.since(now)) }.into())
}

/// What an open makes of a run that exists.
pub fn take_over(head: &mut Head, fence: Fence, lease: Lease, now: Timestamp) {
    if head.outcome.take().is_some() {
        head.delete_after = None;
        head.lapses = 0;
    } else if head.lease.is_some() {
        head.lapses += 1;
    }
    head.fence = fence;
    head.version += 1;
    head.updated_at = now;
    head.lease = Some(lease);
    settle_due(head);
}

/// Refuses a write by any fence but the newest, and any by that one once it has been released.
///
/// # Errors
///
/// `Fenced`, `Finished`.
pub fn check_fence(head: &Head, fence: Fence) -> Result<()> {
    let released = head.lease.is_none() && head.outcome.is_none();
    if fence != head.fence || released {
        return Err(Refusal::Fenced { current: head.fence }.into());
    }
    if let Some(outcome) = &head.outcome {
        return Err(Refusal::Finished { outcome: outcome.clone() }.into());
    }
    Ok(())
}

/// Judges a commit of this digest: its answer if it is the newest one again, `None` if it holds and is to be written. A
/// conflict shows `head`.
///
/// # Errors
///
/// `NotFound`, `IdReused`, `Fenced`, `Finished`, `Conflict`, `Duplicate`, in this order.
pub fn commit(
    known: &impl Known,
    commit: &Commit,
    digest: Digest,
    history: bool,
    head: impl FnOnce() -> Head,
) -> Result<Option<Committed>> {
    let summary = known.summary();
    if commit.fence.incarnation != summary.fence.incarnation {
        return Err(Refusal::NotFound.into());
    }
    if let Some(last) = known.last_commit().filter(|last| last.id == commit.id) {
        if last.digest != digest {
            return Err(Refusal::IdReused.into());
        }
        if last.fence == commit.fence {
            let (version, cursor) = (last.version, last.cursor);
            return Ok(Some(Committed { version, cursor, replayed: true }));
        }
    }
    check_fence(summary, commit.fence)?;
    if let Some(clash) = clash(known, commit, history) {
        return Err(Refusal::Conflict { head: Box::new(head()), clash }.into());
    }
    match duplicate(known, commit) {
        Some(cursor) => Err(Refusal::Duplicate { cursor }.into()),
        None => Ok(None),
    }
}

/// In what the run is not as the commit assumes, if in anything.
fn clash(known: &impl Known, commit: &Commit, history: bool) -> Option<Clash> {
    let head = known.summary();
    if commit.expect != head.version {
        return Some(Clash::Version);
    }
    if let Some(number) = commit.take.iter().find(|number| !known.is_waiting(**number)) {
        return Some(Clash::NotWaiting(*number));
    }
    let carried = |name: &Digest| commit.blobs.iter().any(|blob| blob.name == *name);
    let stored = |name: &Digest| known.has_blob(name) && !commit.drop_blobs.contains(name);
    let mut named = commit.records.iter().flat_map(|record| &record.blobs);
    if let Some(name) = named.find(|name| !carried(name) && !stored(name)) {
        return Some(Clash::MissingBlob(*name));
    }
    let end = head.cursor + commit.records.len() as u64;
    if let Some(snapshot) = commit.snapshot.as_ref().filter(|snapshot| snapshot.cursor > end) {
        return Some(Clash::SnapshotCursor(snapshot.cursor));
    }
    let limit = second_newest(known, commit, history);
    commit.trim.filter(|through| *through > limit).map(|_| Clash::Trim(limit))
}

/// Whether a snapshot at `cursor` would shorten a resume; one that would not is dropped. With `history` older ones than the
/// newest are kept, too.
pub fn is_kept(known: &impl Known, cursor: Cursor, history: bool) -> bool {
    let [newest, _] = known.newest_snapshots();
    cursor + 1 >= known.summary().first && (history || newest.is_none_or(|newest| cursor >= newest))
}

/// The cursor of the second-newest snapshot that is kept with this commit; 0 if there is none.
fn second_newest(known: &impl Known, commit: &Commit, history: bool) -> Cursor {
    let own = commit.snapshot.as_ref().map(|snapshot| snapshot.cursor);
    let own = own.filter(|cursor| is_kept(known, *cursor, history));
    let mut kept: Vec<Cursor> = known.newest_snapshots().into_iter().flatten().chain(own).collect();
    kept.sort_unstable();
    kept.dedup();
    kept.iter().rev().nth(1).copied().unwrap_or(0)
}

/// Where the first record stands whose id the commit repeats.
fn duplicate(known: &impl Known, commit: &Commit) -> Option<Cursor> {
    let first = known.summary().cursor + 1;
    let ids =
        || commit.records.iter().zip(first..).filter_map(|(record, at)| Some((record.id.as_ref()?, at)));
    if let Some(cursor) = ids().find_map(|(id, _)| known.record_id(id)) {
        return Some(cursor);
    }
    let mut seen = BTreeMap::new();
    ids().find_map(|(id, cursor)| seen.insert(id, cursor))
}

/// Extends the lease; never shortens it.
pub fn extend(head: &mut Head, until: Timestamp) {
    if let Some(lease) = &mut head.lease {
        lease.until = lease.until.max(until);
    }
}

/// A driven run is due at its lease's end; a draft and a finished one never are; a released one as it was.
pub fn settle_due(head: &mut Head) {
    if head.outcome.is_some() || head.draft {
        head.due = None;
    } else if let Some(lease) = &head.lease {
        head.due = Some(lease.until);
    }
}

/// When a run is due that is released now.
pub fn due_of(head: &Head, wake: Wake, now: Timestamp) -> Option<Timestamp> {
    let woken = wake.after.is_some_and(|after| head.newest_message > after);
    if woken { Some(now) } else { wake.at.map(|at| at.max(now)) }
}

/// What tells a repeated message from another one.
pub fn content(message: &NewMessage) -> Digest {
    let kind = message.kind.as_str().as_bytes();
    Digest::of(&[&(kind.len() as u64).to_le_bytes(), kind, &message.body[..]].concat())
}

/// Judges a message of this content, whose key stands for `first` already or for nothing: its answer if nothing is to be
/// written.
///
/// # Errors
///
/// `NotFound`, `Finished`.
pub fn send(
    head: &Head,
    first: Option<&Remembered>,
    message: &NewMessage,
    content: Digest,
) -> Result<Option<Sent>> {
    if message.incarnation.is_some_and(|incarnation| incarnation != head.fence.incarnation) {
        return Err(Refusal::NotFound.into());
    }
    if let Some(Remembered { number, content: known }) = first {
        let number = *number;
        return Ok(Some(if *known == content {
            Sent::Repeated { number }
        } else {
            Sent::Conflicting { number }
        }));
    }
    match &head.outcome {
        Some(outcome) => Err(Refusal::Finished { outcome: outcome.clone() }.into()),
        None => Ok(None),
    }
}

/// When a run is due after its next message, if that wakes it: one that waits for a message above `after`.
pub fn woken(head: &Head, after: Option<u64>, now: Timestamp) -> Option<Timestamp> {
    let waits = head.lease.is_none() && after.is_some_and(|after| head.newest_message + 1 > after);
    (waits && !head.draft).then(|| head.due.map_or(now, |due| due.min(now)))
}

/// Judges a deletion of a run that is driven or not. A conflict shows `shown`.
///
/// # Errors
///
/// `NotFound`, `Conflict`.
pub fn delete(head: &Head, guard: Delete, driven: bool, shown: impl FnOnce() -> Head) -> Result<()> {
    let clash = match guard {
        Delete::Any => None,
        Delete::Finished(incarnation) | Delete::NotDriven(incarnation)
            if incarnation != head.fence.incarnation =>
        {
            return Err(Refusal::NotFound.into());
        }
        Delete::Finished(_) => head.outcome.is_none().then_some(Clash::NotFinished),
        Delete::NotDriven(_) => driven.then_some(Clash::Driven),
    };
    match clash {
        Some(clash) => Err(Refusal::Conflict { head: Box::new(shown()), clash }.into()),
        None => Ok(()),
    }
}
