//! The rules of the contract in the plainest code: a pure function from a run's image and a write to the next image
//! and the answer. Every rule is judged before anything is changed.

use std::collections::{BTreeMap, VecDeque};

use milepost_core::{
    Capabilities, Commit, Committed, Cursor, Delete, Fence, Incarnation, Lease, LeaseChange, Message,
    NewMessage, Open, Opened, Refusal, Renew, Result, RunId, Sent, Timestamp, Token, Wake,
};

use crate::{
    Request,
    image::Image,
    rules::{self, LastCommit, LastOpen, Remembered, check_fence, extend, lease_end, settle_due},
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
    rules::may_open(&image.head, &open, image.head.due, now)?;

    let fence = Fence { epoch: image.head.fence.epoch + 1, token: mint.token, ..image.head.fence };
    rules::take_over(&mut image.head, fence, lease, now);
    image.wake_after = None;
    image.last_open = LastOpen { id: open.id, version: image.head.version, created: false };
    Ok(Opened { fence: image.head.fence, head: image.head(now), created: false })
}

/// A run as its first open leaves it.
fn create(run: &RunId, open: Open, mint: Mint, lease: Lease, now: Timestamp) -> Result<Image> {
    let (info, manifest) = rules::may_create(&open)?;
    let info = (info.clone(), manifest);
    let fence = Fence { incarnation: mint.incarnation, epoch: 1, token: mint.token };
    Ok(Image {
        head: rules::created(run.clone(), info, open.origin, (fence, lease), now),
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

pub(crate) fn commit(
    image: &mut Image,
    commit: Commit,
    capabilities: &Capabilities,
    now: Timestamp,
) -> Result<Committed> {
    let digest = commit.digest();
    let history = capabilities.supports_history();
    if let Some(replayed) = rules::commit(image, &commit, digest, history, || image.head(now))? {
        return Ok(replayed);
    }

    let (id, fence) = (commit.id, commit.fence);
    write_commit(image, commit, capabilities, now);
    let (version, cursor) = (image.head.version, image.head.cursor);
    image.last_commit = Some(LastCommit { id, digest, fence, version, cursor });
    Ok(Committed { version, cursor, replayed: false })
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
    settle_due(head);
}

fn write_snapshot(image: &mut Image, snapshot: milepost_core::Snapshot, history: bool) {
    if !rules::is_kept(image, snapshot.cursor, history) {
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

fn release(image: &mut Image, wake: Wake, now: Timestamp) {
    let head = &mut image.head;
    head.lease = None;
    head.due = rules::due_of(head, wake, now);
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
    settle_due(head);
    head.note = renew.note.or(head.note.take());
    Ok(())
}

pub(crate) fn send(image: &mut Image, message: NewMessage, now: Timestamp) -> Result<Sent> {
    let head = &mut image.head;
    let content = rules::content(&message);
    if let Some(sent) = rules::send(head, image.keys.get(&message.key), &message, content)? {
        return Ok(sent);
    }

    head.due = rules::woken(head, image.wake_after, now).or(head.due);
    head.newest_message += 1;
    head.sizes.messages += message.body.len() as u64;
    let number = head.newest_message;
    image.keys.insert(message.key.clone(), Remembered { number, content });
    let NewMessage { id, key, kind, body, incarnation: _ } = message;
    image.messages.insert(number, Message { number, id, key, kind, body, at: now });
    Ok(Sent::Accepted { number })
}

pub(crate) fn delete(slot: &mut Option<Image>, guard: Delete, now: Timestamp) -> Result<bool> {
    let Some(image) = slot else { return Ok(false) };
    let head = &image.head;
    let driven = head.lease.as_ref().is_some_and(|lease| head.due.unwrap_or(lease.until) > now);
    rules::delete(head, guard, driven, || image.head(now))?;
    *slot = None;
    Ok(true)
}
