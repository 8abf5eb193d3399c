//! Listings: the shards' indexes walked side by side and merged, and every candidate judged by its own head.
//!
//! An index is exact, changed by the same script as the run, so a candidate is looked at once and none is missed. Its head
//! is read when it is reached; a run that matches throughout is therefore returned exactly once.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::Arc,
};

use futures_util::{StreamExt, stream};
use milepost_core::{BoxStream, Head, Operation, Query, Result, RunId, Timestamp};

use crate::{
    error::{BACKEND, damaged},
    index::{Index, Wanted},
    layout::SHARDS,
    read,
    store::Inner,
};

/// How many candidates are merged at once when nothing else is asked for, and at most.
const PAGE: u32 = 128;
const LARGEST_PAGE: u32 = 1024;

/// How many heads a cluster is asked for in the first trip, since each shard may give a large one; a single server bounds its
/// answer by itself. It doubles with each trip that gives all of them, and is what one gave that did not: a page of large
/// outcomes takes little memory, and one of small ones few trips.
const FIRST_HEADS: usize = 32;

/// How many candidates a shard is asked for at first, and at most.
const FEWEST: usize = 8;
const MOST: usize = 512;

/// One shard's part of the index, as far as it was walked.
struct Shard {
    number: u16,
    /// What was fetched and not yet merged.
    ready: VecDeque<Vec<u8>>,
    last: Option<Vec<u8>>,
    asked: usize,
    ended: bool,
    /// Whether a candidate of this shard is among the listing's next ones.
    merged: bool,
}

/// A listing that is being read.
struct Listing {
    inner: Arc<Inner>,
    query: Query,
    /// The first page's now, which everything is judged by.
    cut: Option<Timestamp>,
    index: Index,
    shards: Vec<Shard>,
    /// The first candidate of each shard that has one.
    next: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
    /// Candidates in order, whose heads were not read yet.
    waiting: VecDeque<Vec<u8>>,
    /// How many of them are asked for at once.
    at_once: usize,
    page: VecDeque<Head>,
}

/// The runs that match.
pub(crate) fn runs(inner: &Arc<Inner>, query: Query) -> BoxStream<'static, Result<Head>> {
    let shard =
        |number| Shard { number, ready: VecDeque::new(), last: None, asked: 0, ended: false, merged: false };
    let listing = Listing {
        inner: inner.clone(),
        index: Index::All,
        query,
        cut: None,
        shards: (0..SHARDS).map(shard).collect(),
        next: BinaryHeap::new(),
        waiting: VecDeque::new(),
        at_once: if inner.link.is_cluster() { FIRST_HEADS } else { LARGEST_PAGE as usize },
        page: VecDeque::new(),
    };
    stream::try_unfold(listing, |mut listing| async move {
        let next = listing.next().await.map_err(|error| error.during(BACKEND, Operation::List, None))?;
        Ok(next.map(|head| (head, listing)))
    })
    .boxed()
}

impl Listing {
    async fn next(&mut self) -> Result<Option<Head>> {
        loop {
            self.inner.check_open()?;
            if self.query.limit == Some(0) {
                return Ok(None);
            }
            if let Some(head) = self.page.pop_front() {
                self.query.limit = self.query.limit.map(|limit| limit - 1);
                return Ok(Some(head));
            }
            if self.cut.is_none() {
                let cut = self.inner.look_at_clock().await?;
                self.cut = Some(cut);
                self.index = Index::of(&self.query, cut);
                self.refill().await?;
            }
            if self.waiting.is_empty() {
                self.waiting = self.candidates().await?;
            }
            if self.waiting.is_empty() {
                return Ok(None);
            }
            self.judge().await?;
        }
    }

    /// The next candidates in order.
    async fn candidates(&mut self) -> Result<VecDeque<Vec<u8>>> {
        let size = self.query.page.unwrap_or(PAGE).clamp(1, LARGEST_PAGE) as usize;
        let size = self.query.limit.map_or(size, |limit| size.min(usize::try_from(limit).unwrap_or(size)));
        let mut candidates = VecDeque::new();
        while candidates.len() < size {
            let Some(Reverse((member, at))) = self.next.pop() else { break };
            candidates.push_back(member);
            let shard = &mut self.shards[at];
            if let Some(member) = shard.ready.pop_front() {
                self.next.push(Reverse((member, at)));
                continue;
            }
            shard.merged = false;
            if !shard.ended {
                self.refill().await?;
            }
        }
        Ok(candidates)
    }

    /// Asks every shard for more that runs low, so that a long listing takes few trips.
    async fn refill(&mut self) -> Result<()> {
        let mut wanted = Vec::new();
        for shard in self.shards.iter_mut().filter(|shard| shard.is_low()) {
            shard.asked = (shard.asked * 2).clamp(FEWEST, MOST);
            wanted.push(Wanted { shard: shard.number, last: shard.last.clone(), asked: shard.asked });
        }
        let asked: Vec<usize> = wanted.iter().map(|wanted| wanted.shard.into()).collect();
        let (order, prefix) = (self.query.order, self.query.id_prefix.as_deref());
        let pages = self.index.fetch(&self.inner, order, prefix, wanted).await?;
        for (at, page) in asked.into_iter().zip(pages) {
            let shard = &mut self.shards[at];
            shard.ended = page.ended;
            shard.last = page.members.last().cloned().or(shard.last.take());
            shard.ready.extend(page.members);
            if !shard.merged
                && let Some(member) = shard.ready.pop_front()
            {
                shard.merged = true;
                self.next.push(Reverse((member, at)));
            }
        }
        Ok(())
    }

    /// Reads the heads of the next candidates and keeps those that match.
    async fn judge(&mut self) -> Result<()> {
        let cut = self.cut.unwrap_or_default();
        let order = self.query.order;
        let mut runs = Vec::new();
        for member in self.waiting.iter().take(self.at_once) {
            let id = self.index.run_of(member, order);
            let id = std::str::from_utf8(id).ok().and_then(|id| RunId::new(id).ok());
            runs.push(id.ok_or_else(damaged)?);
        }
        let heads = read::heads(&self.inner, &runs).await?;
        let all = heads.len() == runs.len();
        self.at_once = if all { (self.at_once * 2).min(LARGEST_PAGE as usize) } else { heads.len() };
        for (member, head) in self.waiting.drain(..heads.len()).zip(heads) {
            let Some(mut head) = head else { continue };
            head.at = cut;
            if head.created_at <= cut && Index::is_of(&member, &head, order) && self.query.matches(&head) {
                self.page.push_back(head);
            }
        }
        Ok(())
    }
}

impl Shard {
    fn is_low(&self) -> bool {
        !self.ended && self.ready.len() <= self.asked / 4
    }
}
