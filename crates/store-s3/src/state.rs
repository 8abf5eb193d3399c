//! What the entries of a life come to: a fold, pure and deterministic. Bodies stay in their entries; a state knows where.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use milepost_core::{At, Cursor, Digest, Head, MessageKey, Process, RecordId, Result, Timestamp};
use milepost_store_memory::rules::{self, Known, LastCommit, LastOpen, Remembered, extend, settle_due};
use serde::{Deserialize, Serialize};

use crate::{
    entry::{Body, Change, Commit, Create, Deed, Entry, Open, Part, Record, Send},
    error::corrupt,
    layout::Slot,
};

/// So many of a run's newest record ids are remembered at least.
pub(crate) const RECORD_IDS: usize = 1 << 16;

/// So many of its newest message keys.
pub(crate) const MESSAGE_KEYS: usize = 1 << 16;

/// By so many more than are promised either may grow before the oldest are forgotten, all at once.
const SLACK: usize = 1 << 12;

/// The records that an entry holds and that are retained.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Piece {
    pub(crate) slot: Slot,
    /// The cursor of the first one.
    pub(crate) first: Cursor,
    /// The lengths of their bodies.
    pub(crate) sizes: VecDeque<u64>,
    /// The bodies that stand apart.
    pub(crate) parts: Vec<(Cursor, Part)>,
}

impl Piece {
    /// The cursor behind its last record.
    pub(crate) fn end(&self) -> Cursor {
        self.first + self.sizes.len() as u64
    }
}

/// Where a snapshot, a blob or a message is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) slot: Slot,
    pub(crate) size: u64,
    /// In this object, which the entry names.
    pub(crate) part: Option<Part>,
}

/// All that is known of a life of a run after an entry.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    /// As of the newest entry, whose instant is its `at`; a base keeps that beside the state.
    pub(crate) head: Head,
    /// The entry that this is the state after.
    pub(crate) slot: Slot,
    /// While nobody drives the run: the message number above which a message wakes it.
    pub(crate) wake_after: Option<u64>,
    /// The newest minute that a hint was filed under.
    pub(crate) hint: Option<u64>,
    pub(crate) holder: Option<Process>,
    pub(crate) last_open: LastOpen,
    pub(crate) last_commit: Option<LastCommit>,
    /// Gapless from `head.first` to `head.cursor`.
    pub(crate) log: VecDeque<Piece>,
    pub(crate) record_ids: BTreeMap<RecordId, Cursor>,
    pub(crate) snapshots: BTreeMap<Cursor, Place>,
    pub(crate) blobs: BTreeMap<Digest, Place>,
    pub(crate) messages: BTreeMap<u64, Place>,
    pub(crate) keys: BTreeMap<MessageKey, Remembered>,
    /// The parts that this epoch has named and dropped. Those of earlier epochs are told by their names.
    pub(crate) dropped: BTreeSet<Part>,
}

impl State {
    /// The state after the first entry of a life; `None` for one that begins no life.
    pub(crate) fn begin(entry: &Entry) -> Option<Self> {
        let Deed::Create(create) = &entry.deed else { return None };
        let Create { run, info, manifest, origin, open } = &**create;
        let info = (info.clone(), *manifest);
        let granted = (open.fence, open.lease.clone());
        Some(Self {
            head: rules::created(run.clone(), info, origin.clone(), granted, entry.at),
            slot: 1,
            wake_after: None,
            hint: entry.hint,
            holder: open.holder.clone(),
            last_open: LastOpen { id: open.id, version: 1, created: true },
            last_commit: None,
            log: VecDeque::new(),
            record_ids: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            blobs: BTreeMap::new(),
            messages: BTreeMap::new(),
            keys: BTreeMap::new(),
            dropped: BTreeSet::new(),
        })
    }

    /// Takes in the next entry.
    ///
    /// # Errors
    ///
    /// `Corrupt`: an entry that cannot stand here.
    pub(crate) fn fold(&mut self, entry: &Entry) -> Result<()> {
        self.slot += 1;
        self.head.at = entry.at;
        self.hint = entry.hint.or(self.hint);
        match &entry.deed {
            Deed::Create(_) | Deed::Delete => return Err(corrupt()),
            Deed::Open(open) => self.open(open, entry.at),
            Deed::Commit(commit) => self.commit(commit, entry.at)?,
            Deed::Renew(renew) => {
                let head = &mut self.head;
                extend(head, renew.until);
                head.note = renew.note.clone().or(head.note.take());
                settle_due(head);
            }
            Deed::Send(send) => self.send(send)?,
        }
        Ok(())
    }

    fn open(&mut self, open: &Open, at: Timestamp) {
        rules::take_over(&mut self.head, open.fence, open.lease.clone(), at);
        self.wake_after = None;
        self.holder = open.holder.clone();
        self.last_open = LastOpen { id: open.id, version: self.head.version, created: false };
        self.dropped.clear();
    }

    fn commit(&mut self, commit: &Commit, at: Timestamp) -> Result<()> {
        if commit.first != self.head.cursor + 1 {
            return Err(corrupt());
        }
        self.append(commit);
        for name in &commit.drop_blobs {
            if let Some(place) = self.blobs.remove(name) {
                self.head.sizes.blobs -= place.size;
                self.dropped.extend(place.part);
            }
        }
        for (name, body) in &commit.blobs {
            self.head.sizes.blobs += body.size();
            self.blobs.insert(*name, self.place(body));
        }
        for number in &commit.take {
            let taken = self.messages.remove(number).ok_or_else(corrupt)?;
            self.head.sizes.messages -= taken.size;
        }
        if let Some((cursor, body)) = &commit.snapshot {
            let replaced = self.snapshots.insert(*cursor, self.place(body));
            self.head.sizes.snapshots += body.size();
            self.forget_snapshot(replaced);
            if self.head.origin.as_ref().is_some_and(|origin| origin.cursor == *cursor) {
                self.head.draft = false;
            }
        }
        if let Some(through) = commit.trim {
            self.trim(through);
        }
        self.head.snapshots = self.snapshots.keys().rev().take(2).copied().collect();
        self.conclude(commit, at);
        Ok(())
    }

    fn place(&self, body: &Body) -> Place {
        let part = match body {
            Body::Here(_) => None,
            Body::Apart(part) => Some(*part),
        };
        Place { slot: self.slot, size: body.size(), part }
    }

    fn append(&mut self, commit: &Commit) {
        if commit.records.is_empty() {
            return;
        }
        let first = commit.first;
        for (record, cursor) in commit.records.iter().zip(first..) {
            self.head.sizes.records += record.body.size();
            if let Some(id) = &record.id {
                self.record_ids.insert(id.clone(), cursor);
            }
        }
        self.head.cursor += commit.records.len() as u64;
        let sizes = commit.records.iter().map(|record| record.body.size()).collect();
        let apart = |record: &Record| if let Body::Apart(part) = record.body { Some(part) } else { None };
        let parts = commit.records.iter().zip(first..);
        let parts = parts.filter_map(|(record, cursor)| Some((cursor, apart(record)?))).collect();
        self.log.push_back(Piece { slot: self.slot, first, sizes, parts });
        if self.record_ids.len() > RECORD_IDS + SLACK {
            let oldest = nth_newest(self.record_ids.values().copied(), RECORD_IDS);
            self.record_ids.retain(|_, cursor| *cursor >= oldest);
        }
    }

    fn forget_snapshot(&mut self, gone: Option<Place>) {
        if let Some(place) = gone {
            self.head.sizes.snapshots -= place.size;
            self.dropped.extend(place.part);
        }
    }

    fn trim(&mut self, through: Cursor) {
        while let Some(piece) = self.log.front_mut() {
            if piece.first > through {
                break;
            }
            while piece.first <= through
                && let Some(size) = piece.sizes.pop_front()
            {
                self.head.sizes.records -= size;
                piece.first += 1;
            }
            let gone = piece.parts.partition_point(|(cursor, _)| *cursor <= through);
            self.dropped.extend(piece.parts.drain(..gone).map(|(_, part)| part));
            if !piece.sizes.is_empty() {
                break;
            }
            self.log.pop_front();
        }
        self.head.first = self.head.first.max(through + 1);
        let kept = self.snapshots.split_off(&through);
        for (_, place) in std::mem::replace(&mut self.snapshots, kept) {
            self.forget_snapshot(Some(place));
        }
    }

    /// What a commit does to the summary, once its parts are in.
    fn conclude(&mut self, commit: &Commit, at: Timestamp) {
        let head = &mut self.head;
        head.version += 1;
        head.updated_at = at;
        head.note = commit.note.clone().or(head.note.take());
        if commit.advances {
            head.lapses = 0;
        }
        match &commit.change {
            Change::Keep => {}
            Change::Extend(until) => extend(head, *until),
            Change::Release { due, wake_after } => {
                head.lease = None;
                head.due = *due;
                self.wake_after = *wake_after;
            }
            Change::Finish { outcome, delete_after } => {
                head.outcome = Some(outcome.clone());
                head.delete_after = *delete_after;
                head.lease = None;
            }
        }
        settle_due(head);
        self.last_commit = Some(LastCommit {
            id: commit.id,
            digest: commit.digest,
            fence: head.fence,
            version: head.version,
            cursor: head.cursor,
        });
    }

    fn send(&mut self, send: &Send) -> Result<()> {
        let head = &mut self.head;
        if send.number != head.newest_message + 1 {
            return Err(corrupt());
        }
        head.newest_message = send.number;
        head.sizes.messages += send.body.len() as u64;
        head.due = send.due.or(head.due);
        let remembered = Remembered { number: send.number, content: send.content };
        self.keys.insert(send.key.clone(), remembered);
        let place = Place { slot: self.slot, size: send.body.len() as u64, part: None };
        self.messages.insert(send.number, place);
        if self.keys.len() > MESSAGE_KEYS + SLACK {
            let oldest = nth_newest(self.keys.values().map(|first| first.number), MESSAGE_KEYS);
            self.keys.retain(|_, first| first.number >= oldest);
        }
        Ok(())
    }

    /// The newest snapshot that fits, and its cursor.
    pub(crate) fn snapshot(&self, at: At) -> Option<(Cursor, &Place)> {
        let until = match at {
            At::Latest => Cursor::MAX,
            At::OrBefore(cursor) => cursor,
        };
        let (cursor, place) = self.snapshots.range(..=until).next_back()?;
        Some((*cursor, place))
    }

    /// The parts that something still names.
    pub(crate) fn parts(&self) -> BTreeSet<Part> {
        let places = self.snapshots.values().chain(self.blobs.values()).filter_map(|place| place.part);
        let records = self.log.iter().flat_map(|piece| piece.parts.iter().map(|(_, part)| *part));
        records.chain(places).collect()
    }

    /// The entries that something still stands in.
    pub(crate) fn slots(&self) -> BTreeSet<Slot> {
        let places = self.snapshots.values().chain(self.blobs.values()).chain(self.messages.values());
        self.log.iter().map(|piece| piece.slot).chain(places.map(|place| place.slot)).collect()
    }
}

impl Known for State {
    fn summary(&self) -> &Head {
        &self.head
    }

    fn last_commit(&self) -> Option<&LastCommit> {
        self.last_commit.as_ref()
    }

    fn is_waiting(&self, number: u64) -> bool {
        self.messages.contains_key(&number)
    }

    fn has_blob(&self, name: &Digest) -> bool {
        self.blobs.contains_key(name)
    }

    fn newest_snapshots(&self) -> [Option<Cursor>; 2] {
        let mut newest = self.snapshots.keys().rev().copied();
        [newest.next(), newest.next()]
    }

    fn record_id(&self, id: &RecordId) -> Option<Cursor> {
        self.record_ids.get(id).copied()
    }
}

/// The smallest of the `count` largest numbers.
fn nth_newest(numbers: impl Iterator<Item = u64>, count: usize) -> u64 {
    let mut numbers: Vec<u64> = numbers.collect();
    let at = numbers.len().saturating_sub(count);
    *numbers.select_nth_unstable(at).1
}
