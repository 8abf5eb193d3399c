//! Listings: the shards' indexes walked side by side and merged, and every candidate judged by its own head.
//!
//! An index is exact, changed by the same script as the run, so a candidate is looked at once and none is missed. Its head
//! is read when it is reached; a run that matches throughout is therefore returned exactly once.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::Arc,
};

use futures_util::{StreamExt, future::join_all, stream};
use milepost_core::{BoxStream, Head, Operation, Order, Query, Result, RunId, Timestamp};
use redis::Value;

use crate::{
    answer::{list, number, option},
    error::{BACKEND, damaged},
    index::Index,
    layout::SHARDS,
    read,
    store::Inner,
};

/// How many heads are read in a trip when nothing else is asked for, and at most.
const PAGE: u32 = 128;
const LARGEST_PAGE: u32 = 1024;

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
    page: VecDeque<Head>,
}

/// The runs that match.
pub(crate) fn runs(inner: &Arc<Inner>, query: Query) -> BoxStream<'static, Result<Head>> {
    let shard = |number| Shard { number, ready: VecDeque::new(), last: None, asked: 0, ended: false };
    let listing = Listing {
        inner: inner.clone(),
        index: Index::All,
        query,
        cut: None,
        shards: (0..SHARDS).map(shard).collect(),
        next: BinaryHeap::new(),
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
            let candidates = self.candidates().await?;
            if candidates.is_empty() {
                return Ok(None);
            }
            self.judge(candidates).await?;
        }
    }

    /// The next candidates in order.
    async fn candidates(&mut self) -> Result<Vec<Vec<u8>>> {
        let size = self.query.page.unwrap_or(PAGE).clamp(1, LARGEST_PAGE) as usize;
        let size = self.query.limit.map_or(size, |limit| size.min(usize::try_from(limit).unwrap_or(size)));
        let mut candidates = Vec::new();
        while candidates.len() < size {
            let Some(Reverse((member, at))) = self.next.pop() else { break };
            candidates.push(member);
            let shard = &mut self.shards[at];
            if let Some(member) = shard.ready.pop_front() {
                self.next.push(Reverse((member, at)));
            } else if !shard.ended {
                self.refill().await?;
            }
        }
        Ok(candidates)
    }

    /// Asks every shard for more that runs low, so that a long listing takes few trips.
    async fn refill(&mut self) -> Result<()> {
        let low = |shard: &&mut Shard| !shard.ended && shard.ready.len() <= shard.asked / 4;
        let (inner, index, order) = (&self.inner, &self.index, self.query.order);
        let prefix = self.query.id_prefix.as_deref();
        let asked = self.shards.iter_mut().filter(low).map(|shard| async move {
            let was_empty = shard.ready.is_empty();
            shard.fetch(inner, index, order, prefix).await?;
            Ok::<_, milepost_core::Error>((shard.number, was_empty))
        });
        for refilled in join_all(asked).await {
            let (number, was_empty) = refilled?;
            let at = usize::from(number);
            let waits = was_empty && !self.next.iter().any(|Reverse((_, shard))| *shard == at);
            if waits && let Some(member) = self.shards[at].ready.pop_front() {
                self.next.push(Reverse((member, at)));
            }
        }
        Ok(())
    }

    /// Reads the heads of candidates, a few at a time, and keeps those that match.
    async fn judge(&mut self, candidates: Vec<Vec<u8>>) -> Result<()> {
        let cut = self.cut.unwrap_or_default();
        let mut runs = Vec::with_capacity(candidates.len());
        for member in candidates {
            let id = self.index.run_of(&member, self.query.order);
            let id = std::str::from_utf8(id).ok().and_then(|id| RunId::new(id).ok());
            runs.push(id.ok_or_else(damaged)?);
        }
        for heads in join_all(runs.iter().map(|run| read::head(&self.inner, run))).await {
            let Some(mut head) = heads? else { continue };
            head.at = cut;
            if head.created_at <= cut && self.query.matches(&head) {
                self.page.push_back(head);
            }
        }
        Ok(())
    }
}

impl Shard {
    /// Fetches the next members of the index.
    async fn fetch(&mut self, inner: &Inner, index: &Index, order: Order, prefix: Option<&str>) -> Result<()> {
        self.asked = (self.asked * 2).clamp(FEWEST, MOST);
        let page = index.fetch(inner, self.number, order, prefix, self.last.as_deref(), self.asked).await?;
        self.ended = page.ended;
        if let Some(last) = page.members.last() {
            self.last = Some(last.clone());
        }
        self.ready.extend(page.members);
        Ok(())
    }
}

/// A part of an index, in order.
pub(crate) struct Page {
    pub(crate) members: Vec<Vec<u8>>,
    pub(crate) ended: bool,
}

/// Members that the server gave, of at most `asked`.
pub(crate) fn page(members: Value, asked: usize) -> Result<Page> {
    let members = list(members)?.into_iter().map(|member| Ok(option(member)?.ok_or_else(damaged)?.to_vec()));
    let members: Vec<Vec<u8>> = members.collect::<Result<_>>()?;
    Ok(Page { ended: members.len() < asked, members })
}

/// What `due.lua` gives: all members, or a page of a larger index.
pub(crate) fn due_page(answer: Value, last: Option<&[u8]>, asked: usize) -> Result<Page> {
    let mut answer = list(answer)?.into_iter();
    let whole = answer.next().as_ref().map(number).ok_or_else(damaged)?? == 1;
    let found = page(answer.next().ok_or_else(damaged)?, asked)?;
    if !whole {
        return Ok(found);
    }
    let mut members = found.members;
    members.retain(|member| last.is_none_or(|last| member.as_slice() > last));
    members.sort_unstable();
    Ok(Page { members, ended: true })
}
