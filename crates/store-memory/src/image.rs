//! All that a store knows of one run, and what can be read of it.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use milepost_core::{
    At, BlobInfo, Cursor, Digest, Head, Message, MessageKey, Record, RecordId, Refusal, Result, Sizes,
    Snapshot, Span, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::rules::{Known, LastCommit, LastOpen, Remembered};

/// All that a store knows of one run: plain data that a key-value backend can keep as one value.
///
/// It is changed by [`crate::apply`] alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    pub(crate) head: Head,
    /// While nobody drives the run: the message number above which a message wakes it.
    pub(crate) wake_after: Option<u64>,
    pub(crate) last_open: LastOpen,
    pub(crate) last_commit: Option<LastCommit>,
    /// The retained records: gapless from `head.first` to `head.cursor`.
    pub(crate) records: VecDeque<Record>,
    pub(crate) record_ids: BTreeMap<RecordId, Cursor>,
    pub(crate) snapshots: BTreeMap<Cursor, Bytes>,
    pub(crate) blobs: BTreeMap<Digest, Bytes>,
    /// The messages that wait.
    pub(crate) messages: BTreeMap<u64, Message>,
    pub(crate) keys: BTreeMap<MessageKey, Remembered>,
}

impl Image {
    /// The run's summary as of `now`.
    pub fn head(&self, now: Timestamp) -> Head {
        Head { at: now, ..self.head.clone() }
    }

    /// The records of a span, at most `page` of them.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] for another incarnation, [`Refusal::Trimmed`] when the span reaches below the oldest
    /// retained record.
    pub fn records(&self, span: &Span, page: usize) -> Result<Vec<Record>> {
        self.check_incarnation(span)?;
        let until = span.until.unwrap_or(Cursor::MAX);
        if until <= span.after || span.limit == Some(0) {
            return Ok(Vec::new());
        }
        let first = self.head.first;
        if span.after + 1 < first {
            return Err(Refusal::Trimmed { first }.into());
        }
        let index =
            |cursor: Cursor| usize::try_from(cursor - first).unwrap_or(usize::MAX).min(self.records.len());
        let (start, end) = (index(span.after + 1), index(until.saturating_add(1).max(first)));
        Ok(in_order(self.records.range(start..end.max(start)).cloned(), span, page))
    }

    /// The waiting messages of a span, at most `page` of them.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] for another incarnation.
    pub fn inbox(&self, span: &Span, page: usize) -> Result<Vec<Message>> {
        self.check_incarnation(span)?;
        let until = span.until.unwrap_or(u64::MAX);
        if until <= span.after {
            return Ok(Vec::new());
        }
        let messages = self.messages.range(span.after + 1..=until).map(|(_, message)| message.clone());
        Ok(in_order(messages, span, page))
    }

    /// The newest snapshot that fits.
    pub fn snapshot(&self, at: At) -> Option<Snapshot> {
        let until = match at {
            At::Latest => Cursor::MAX,
            At::OrBefore(cursor) => cursor,
        };
        let (cursor, body) = self.snapshots.range(..=until).next_back()?;
        Some(Snapshot { cursor: *cursor, body: body.clone() })
    }

    /// The blob of a name.
    pub fn blob(&self, name: &Digest) -> Option<Bytes> {
        self.blobs.get(name).cloned()
    }

    /// Every blob, by name.
    pub fn blobs(&self) -> Vec<BlobInfo> {
        self.blobs.iter().map(|(name, body)| BlobInfo { name: *name, size: body.len() as u64 }).collect()
    }

    /// Lets nobody be kept out by the lease any more: for embedded stores, which keep the holder's
    /// [`Process`](milepost_core::Process) beside the image and see that it is gone. The run is due now, and who opens
    /// it takes over a lease that was never released; until then the head shows the lease as it was given. A draft is
    /// never due: its lease itself ends.
    pub fn end_lease(&mut self, now: Timestamp) {
        let head = &mut self.head;
        match (&mut head.due, &mut head.lease) {
            (Some(due), Some(_)) => *due = (*due).min(now),
            (None, Some(lease)) => lease.until = lease.until.min(now),
            (_, None) => {}
        }
    }

    fn check_incarnation(&self, span: &Span) -> Result<()> {
        if span.incarnation.is_some_and(|incarnation| incarnation != self.head.fence.incarnation) {
            return Err(Refusal::NotFound.into());
        }
        Ok(())
    }

    /// Brings what the head tells of snapshots and sizes up to date.
    pub(crate) fn summarize(&mut self) {
        fn sum<'a>(bodies: impl Iterator<Item = &'a Bytes>) -> u64 {
            bodies.map(|body| body.len() as u64).sum()
        }
        self.head.snapshots = self.snapshots.keys().rev().take(2).copied().collect();
        self.head.sizes = Sizes {
            records: self.head.sizes.records,
            snapshots: sum(self.snapshots.values()),
            blobs: sum(self.blobs.values()),
            messages: sum(self.messages.values().map(|message| &message.body)),
        };
    }
}

impl Known for Image {
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

fn in_order<T>(items: impl DoubleEndedIterator<Item = T>, span: &Span, page: usize) -> Vec<T> {
    let limit = span.limit.map_or(page, |limit| page.min(usize::try_from(limit).unwrap_or(usize::MAX)));
    if span.reverse { items.rev().take(limit).collect() } else { items.take(limit).collect() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use milepost_core::{
        Capabilities, Durability, Incarnation, Manifest, Open, OperationId, Origin, RunId, RunInfo, Token,
    };

    use super::*;
    use crate::{Mint, Request};

    const CAPABILITIES: Capabilities = Capabilities::all(Durability::Process);

    fn open(image: &mut Option<Image>, open: Open, now: Timestamp) -> Result<Head> {
        let mint = Mint { incarnation: Incarnation(1), token: Token(1) };
        let opened = (open, mint).apply(image, &RunId::from_static("run"), &CAPABILITIES, now)?;
        Ok(opened.head)
    }

    fn create() -> Open {
        let open = Open::create(OperationId(1), RunInfo::named("test"), Manifest::of(b"test"));
        open.ttl(Duration::from_millis(100))
    }

    #[test]
    fn a_lease_that_was_ended_keeps_nobody_out() {
        let mut image = None;
        let lease = open(&mut image, create(), Timestamp(0)).unwrap().lease;
        let ended = Timestamp(10);
        open(&mut image, Open::resume(OperationId(2)), ended).unwrap_err();
        let driven = image.as_mut().unwrap();
        driven.end_lease(ended);
        assert_eq!((driven.head(ended).due, driven.head(ended).lease), (Some(ended), lease));
        driven.end_lease(Timestamp(20));
        assert_eq!(driven.head(ended).due, Some(ended), "it ends once");
        assert_eq!(open(&mut image, Open::resume(OperationId(2)), ended).unwrap().lapses, 1);
    }

    #[test]
    fn a_draft_whose_lease_was_ended_is_not_due() {
        let mut image = None;
        let origin = Origin { cursor: 5, lineage: None };
        open(&mut image, create().origin(origin), Timestamp(0)).unwrap();
        let draft = image.as_mut().unwrap();
        draft.end_lease(Timestamp(10));
        let head = draft.head(Timestamp(10));
        assert_eq!((head.due, head.lease.unwrap().until), (None, Timestamp(10)));
    }
}
