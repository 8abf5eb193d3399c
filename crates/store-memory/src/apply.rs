//! The rules of the contract in the plainest code: a pure function from a run's image and a write to the next image
//! and the answer. Every rule is judged before anything is changed.

use std::collections::{BTreeMap, VecDeque};

use milepost_core::{
    Capabilities, Clash, Commit, Committed, Cursor, Delete, Digest, Fence, Head, Incarnation, Lease,
    LeaseChange, Message, Mode, NewMessage, Open, Opened, Outcome, Refusal, Renew, Result, RunId, Sent,
    Sizes, Takeover, Timestamp, Token, Wake,
};

use crate::{
    Request,
    image::{Image, LastCommit, LastOpen, Remembered},
};

/// The random bits of an open, drawn beforehand so that [`apply`] is a pure function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mint {
    /// For the run, should it be created.
    pub incarnation: Incarnation,
    /// For the fence.
    pub token: Token,
}

/// A write to one run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Write {
    /// [`milepost_core::Store::open`].
    Open(Open, Mint),
    /// [`milepost_core::Store::commit`].
    Commit(Commit),
    /// [`milepost_core::Store::renew`].
    Renew(Renew),
    /// [`milepost_core::Store::send`].
    Send(NewMessage),
    /// [`milepost_core::Store::delete`].
    Delete(Delete),
}

/// The answer to a write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// To [`Write::Open`].
    Opened(Box<Opened>),
    /// To [`Write::Commit`].
    Committed(Committed),
    /// To [`Write::Renew`].
    Renewed,
    /// To [`Write::Send`].
    Sent(Sent),
    /// To [`Write::Delete`].
    Deleted(bool),
}

/// Applies one write to the image of one run; `None` is a run that does not exist.
///
/// Pure: the same image, write, capabilities and `now` give the same image and the same answer. A refusal leaves the
/// image as it was. What the `check` functions of `milepost-core` refuse is refused here too, first.
///
/// # Errors
///
/// Those that [`milepost_core::Store`] documents for the operation, in its order.
pub fn apply(
    image: &mut Option<Image>,
    run: &RunId,
    write: Write,
    capabilities: &Capabilities,
    now: Timestamp,
) -> Result<Answer> {
    match write {
        Write::Open(open, mint) => {
            (open, mint).apply(image, run, capabilities, now).map(|opened| Answer::Opened(Box::new(opened)))
        }
        Write::Commit(commit) => commit.apply(image, run, capabilities, now).map(Answer::Committed),
        Write::Renew(renew) => renew.apply(image, run, capabilities, now).map(|()| Answer::Renewed),
        Write::Send(message) => message.apply(image, run, capabilities, now).map(Answer::Sent),
        Write::Delete(guard) => guard.apply(image, run, capabilities, now).map(Answer::Deleted),
    }
}

fn lease_end(now: Timestamp, ttl: std::time::Duration, capabilities: &Capabilities) -> Timestamp {
    now + ttl.max(capabilities.limits.min_ttl)
}

pub(crate) fn open(
    slot: &mut Option<Image>,
    run: &RunId,
    open: Open,
    mint: Mint,
    capabilities: &Capabilities,
    now: Timestamp,
) -> Result<Opened> {
    let lease = Lease { owner: open.owner.clone(), until: lease_end(now, open.ttl, capabilities) };
    let Some(image) = slot else {
        let image = slot.insert(create(run, open, mint, lease, now)?);
        return Ok(Opened { fence: image.head.fence, head: image.head(now), created: true });
    };
    if image.last_open.id == open.id && image.last_open.version == image.head.version {
        let created = image.last_open.created;
        return Ok(Opened { fence: image.head.fence, head: image.head(now), created });
    }
    may_open(&image.head, &open, now)?;

    let head = &mut image.head;
    if head.outcome.take().is_some() {
        head.delete_after = None;
        head.lapses = 0;
    } else if head.lease.is_some() {
        head.lapses += 1;
    }
    head.fence = Fence { epoch: head.fence.epoch + 1, token: mint.token, ..head.fence };
    head.version += 1;
    head.updated_at = now;
    head.due = (!head.draft).then_some(lease.until);
    head.lease = Some(lease);
    image.wake_after = None;
    image.last_open = LastOpen { id: open.id, version: image.head.version, created: false };
    Ok(Opened { fence: image.head.fence, head: image.head(now), created: false })
}

/// A run as its first open leaves it.
fn create(run: &RunId, open: Open, mint: Mint, lease: Lease, now: Timestamp) -> Result<Image> {
    let (Some(info), Some(manifest)) = (open.info, open.manifest) else {
        return Err(Refusal::NotFound.into());
    };
    if open.mode == Mode::Resume {
        return Err(Refusal::NotFound.into());
    }
    let start = open.origin.as_ref().map_or(0, |origin| origin.cursor);
    let draft = open.origin.is_some();
    Ok(Image {
        head: Head {
            run: run.clone(),
            info,
            manifest,
            version: 1,
            cursor: start,
            first: start + 1,
            snapshots: Vec::new(),
            fence: Fence { incarnation: mint.incarnation, epoch: 1, token: mint.token },
            due: (!draft).then_some(lease.until),
            lease: Some(lease),
            lapses: 0,
            newest_message: 0,
            note: None,
            created_at: now,
            updated_at: now,
            sizes: Sizes::default(),
            origin: open.origin,
            draft,
            outcome: None,
            delete_after: None,
            at: now,
        },
        wake_after: None,
        last_open: LastOpen { id: open.id, version: 1, created: true },
        last_commit: None,
        records: VecDeque::new(),
        record_ids: BTreeMap::new(),
        snapshots: BTreeMap::new(),
        blobs: BTreeMap::new(),
        messages: BTreeMap::new(),
        keys: BTreeMap::new(),
    })
}

/// Whether a run that exists may be opened.
fn may_open(head: &Head, open: &Open, now: Timestamp) -> Result<()> {
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
    if open.takeover == Takeover::Over(head.fence) || head.due.is_some_and(|due| due <= now) {
        return Ok(());
    }
    let owner = head.lease.as_ref().map(|lease| lease.owner.clone());
    Err(Refusal::LeaseHeld { owner, expires_in: head.due.map(|due| due.since(now)) }.into())
}

/// Refuses a write by any fence but the newest, and any by that one once it has been released.
fn check_fence(head: &Head, fence: Fence) -> Result<()> {
    let released = head.lease.is_none() && head.outcome.is_none();
    if fence != head.fence || released {
        return Err(Refusal::Fenced { current: head.fence }.into());
    }
    if let Some(outcome) = &head.outcome {
        return Err(Refusal::Finished { outcome: outcome.clone() }.into());
    }
    Ok(())
}

pub(crate) fn commit(
    image: &mut Image,
    commit: Commit,
    capabilities: &Capabilities,
    now: Timestamp,
) -> Result<Committed> {
    if commit.fence.incarnation != image.head.fence.incarnation {
        return Err(Refusal::NotFound.into());
    }
    let digest = commit.digest();
    if let Some(last) = image.last_commit.as_ref().filter(|last| last.id == commit.id) {
        if last.digest != digest {
            return Err(Refusal::IdReused.into());
        }
        if last.fence == commit.fence {
            return Ok(Committed { version: last.version, cursor: last.cursor, replayed: true });
        }
    }
    check_fence(&image.head, commit.fence)?;
    let history = capabilities.supports_history();
    if let Some(clash) = clash(image, &commit, history) {
        return Err(Refusal::Conflict { head: Box::new(image.head(now)), clash }.into());
    }
    if let Some(cursor) = duplicate(image, &commit) {
        return Err(Refusal::Duplicate { cursor }.into());
    }

    let (id, fence) = (commit.id, commit.fence);
    write_commit(image, commit, capabilities, now);
    let (version, cursor) = (image.head.version, image.head.cursor);
    image.last_commit = Some(LastCommit { id, digest, fence, version, cursor });
    Ok(Committed { version, cursor, replayed: false })
}

/// In what the run is not as the commit assumes, if in anything.
fn clash(image: &Image, commit: &Commit, history: bool) -> Option<Clash> {
    if commit.expect != image.head.version {
        return Some(Clash::Version);
    }
    if let Some(number) = commit.take.iter().find(|number| !image.messages.contains_key(number)) {
        return Some(Clash::NotWaiting(*number));
    }
    let carried = |name: &Digest| commit.blobs.iter().any(|blob| blob.name == *name);
    let stored = |name: &Digest| image.blobs.contains_key(name) && !commit.drop_blobs.contains(name);
    let mut named = commit.records.iter().flat_map(|record| &record.blobs);
    if let Some(name) = named.find(|name| !carried(name) && !stored(name)) {
        return Some(Clash::MissingBlob(*name));
    }
    let end = image.head.cursor + commit.records.len() as u64;
    if let Some(snapshot) = commit.snapshot.as_ref().filter(|snapshot| snapshot.cursor > end) {
        return Some(Clash::SnapshotCursor(snapshot.cursor));
    }
    let limit = second_newest(image, commit, history);
    commit.trim.filter(|through| *through > limit).map(|_| Clash::Trim(limit))
}

/// Whether a snapshot at `cursor` would shorten a resume; one that would not is dropped.
fn is_kept(image: &Image, cursor: Cursor, history: bool) -> bool {
    let newest = image.snapshots.last_key_value().map(|(newest, _)| *newest);
    cursor + 1 >= image.head.first && (history || newest.is_none_or(|newest| cursor >= newest))
}

/// The cursor of the second-newest snapshot that is kept with this commit; 0 if there is none.
fn second_newest(image: &Image, commit: &Commit, history: bool) -> Cursor {
    let own = commit.snapshot.as_ref().map(|snapshot| snapshot.cursor);
    let own = own.filter(|cursor| is_kept(image, *cursor, history));
    let mut kept: Vec<Cursor> = image.snapshots.keys().copied().chain(own).collect();
    kept.sort_unstable();
    kept.dedup();
    kept.iter().rev().nth(1).copied().unwrap_or(0)
}

/// Where the first record stands whose id the commit repeats.
fn duplicate(image: &Image, commit: &Commit) -> Option<Cursor> {
    let ids = || {
        commit
            .records
            .iter()
            .zip(image.head.cursor + 1..)
            .filter_map(|(record, at)| Some((record.id.as_ref()?, at)))
    };
    if let Some(cursor) = ids().find_map(|(id, _)| image.record_ids.get(id)) {
        return Some(*cursor);
    }
    let mut seen = BTreeMap::new();
    ids().find_map(|(id, cursor)| seen.insert(id, cursor))
}

/// Writes a commit that holds.
fn write_commit(image: &mut Image, commit: Commit, capabilities: &Capabilities, now: Timestamp) {
    let head = &mut image.head;
    head.version += 1;
    head.updated_at = now;
    for record in commit.records {
        head.cursor += 1;
        head.sizes.records += record.body.len() as u64;
        if let Some(id) = &record.id {
            image.record_ids.insert(id.clone(), head.cursor);
        }
        image.records.push_back(record.at(head.cursor, now));
    }
    let summarize = commit.snapshot.is_some()
        || commit.trim.is_some()
        || !(commit.blobs.is_empty() && commit.drop_blobs.is_empty() && commit.take.is_empty());
    for name in &commit.drop_blobs {
        image.blobs.remove(name);
    }
    for blob in commit.blobs {
        image.blobs.entry(blob.name).or_insert(blob.body);
    }
    for number in &commit.take {
        image.messages.remove(number);
    }
    if let Some(snapshot) = commit.snapshot {
        write_snapshot(image, snapshot, capabilities.supports_history());
    }
    if let Some(through) = commit.trim {
        write_trim(image, through);
    }
    if summarize {
        image.summarize();
    }

    let head = &mut image.head;
    head.note = commit.note.or(head.note.take());
    if commit.advances {
        head.lapses = 0;
    }
    match commit.lease {
        LeaseChange::Keep => {}
        LeaseChange::Extend(ttl) => extend(head, lease_end(now, ttl, capabilities)),
        LeaseChange::Release(wake) => release(image, wake, now),
    }
    let head = &mut image.head;
    if let Some(finish) = commit.finish {
        head.delete_after = finish.retain.delete_after(now);
        head.outcome = Some(finish.outcome);
        head.lease = None;
    }
    if head.outcome.is_some() || head.draft {
        head.due = None;
    } else if let Some(lease) = &head.lease {
        head.due = Some(lease.until);
    }
}

fn write_snapshot(image: &mut Image, snapshot: milepost_core::Snapshot, history: bool) {
    if !is_kept(image, snapshot.cursor, history) {
        return;
    }
    if image.head.origin.as_ref().is_some_and(|origin| origin.cursor == snapshot.cursor) {
        image.head.draft = false;
    }
    image.snapshots.insert(snapshot.cursor, snapshot.body);
    while !history && image.snapshots.len() > 2 {
        image.snapshots.pop_first();
    }
}

fn write_trim(image: &mut Image, through: Cursor) {
    while let Some(record) = image.records.pop_front_if(|record| record.cursor <= through) {
        image.head.sizes.records -= record.body.len() as u64;
    }
    image.head.first = image.head.first.max(through + 1);
    image.snapshots = image.snapshots.split_off(&through);
}

/// Extends the lease, and with it the run's due; never shortens it.
fn extend(head: &mut Head, until: Timestamp) {
    if let Some(lease) = &mut head.lease {
        lease.until = lease.until.max(until);
    }
}

fn release(image: &mut Image, wake: Wake, now: Timestamp) {
    let head = &mut image.head;
    head.lease = None;
    head.due = if wake.after.is_some_and(|after| head.newest_message > after) {
        Some(now)
    } else {
        wake.at.map(|at| at.max(now))
    };
    image.wake_after = wake.after;
}

pub(crate) fn renew(
    image: &mut Image,
    renew: Renew,
    capabilities: &Capabilities,
    now: Timestamp,
) -> Result<()> {
    let head = &mut image.head;
    if renew.fence.incarnation != head.fence.incarnation {
        return Err(Refusal::NotFound.into());
    }
    check_fence(head, renew.fence)?;
    extend(head, lease_end(now, renew.ttl, capabilities));
    if !head.draft {
        head.due = head.lease.as_ref().map(|lease| lease.until);
    }
    head.note = renew.note.or(head.note.take());
    Ok(())
}

pub(crate) fn send(image: &mut Image, message: NewMessage, now: Timestamp) -> Result<Sent> {
    let head = &mut image.head;
    if message.incarnation.is_some_and(|incarnation| incarnation != head.fence.incarnation) {
        return Err(Refusal::NotFound.into());
    }
    let kind = message.kind.as_str().as_bytes();
    let content = Digest::of(&[&(kind.len() as u64).to_le_bytes(), kind, &message.body[..]].concat());
    if let Some(first) = image.keys.get(&message.key) {
        let number = first.number;
        let same = first.content == content;
        return Ok(if same { Sent::Repeated { number } } else { Sent::Conflicting { number } });
    }
    if let Some(outcome) = &head.outcome {
        return Err(Refusal::Finished { outcome: outcome.clone() }.into());
    }

    head.newest_message += 1;
    head.sizes.messages += message.body.len() as u64;
    let number = head.newest_message;
    let waits = head.lease.is_none() && image.wake_after.is_some_and(|after| number > after);
    if waits && !head.draft {
        head.due = Some(head.due.map_or(now, |due| due.min(now)));
    }
    image.keys.insert(message.key.clone(), Remembered { number, content });
    let NewMessage { id, key, kind, body, incarnation: _ } = message;
    image.messages.insert(number, Message { number, id, key, kind, body, at: now });
    Ok(Sent::Accepted { number })
}

pub(crate) fn delete(slot: &mut Option<Image>, guard: Delete, now: Timestamp) -> Result<bool> {
    let Some(image) = slot else { return Ok(false) };
    let head = &image.head;
    let clash = match guard {
        Delete::Any => None,
        Delete::Finished(incarnation) | Delete::NotDriven(incarnation)
            if incarnation != head.fence.incarnation =>
        {
            return Err(Refusal::NotFound.into());
        }
        Delete::Finished(_) => head.outcome.is_none().then_some(Clash::NotFinished),
        Delete::NotDriven(_) => {
            let driven = |lease: &Lease| head.due.unwrap_or(lease.until) > now;
            head.lease.as_ref().is_some_and(driven).then_some(Clash::Driven)
        }
    };
    if let Some(clash) = clash {
        return Err(Refusal::Conflict { head: Box::new(image.head(now)), clash }.into());
    }
    *slot = None;
    Ok(true)
}
