//! Listing runs page by page, from heads that are looked at one after another.

use std::{cmp::Reverse, collections::BTreeMap};

use milepost_core::{Head, Order, Query, RunId, Timestamp};

use crate::page::PAGE;

/// A listing that is being read: which heads belong to the next page.
///
/// For a backend that can ask no index: it shows each head that may match, and takes the page. Memory is bounded by a
/// page, whatever the number of runs.
///
/// ```
/// use milepost_core::{Head, Query, Timestamp};
/// use milepost_store_memory::Listing;
///
/// /// Everything that matches; a store would give a page at a time and read the heads anew for each.
/// fn list(query: Query, now: Timestamp, heads: &[Head]) -> Vec<Head> {
///     let (mut listing, mut all) = (Listing::new(query, now), Vec::new());
///     loop {
///         for head in heads {
///             listing.offer(Head { at: listing.cut(), ..head.clone() });
///         }
///         match listing.take() {
///             page if page.is_empty() => return all,
///             page => all.extend(page),
///         }
///     }
/// }
/// assert!(list(Query::all(), Timestamp(0), &[]).is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct Listing {
    query: Query,
    cut: Timestamp,
    last: Option<Place>,
    page: BTreeMap<Place, Head>,
}

/// Where a run stands in the order of a listing.
type Place = (Option<Reverse<Timestamp>>, RunId);

impl Listing {
    /// A listing that begins `now`, by the store's clock: its *cut*. Only runs that were created by then belong to it.
    pub fn new(query: Query, now: Timestamp) -> Self {
        Self { query, cut: now, last: None, page: BTreeMap::new() }
    }

    /// The first page's now: what every head that is offered is judged at.
    pub fn cut(&self) -> Timestamp {
        self.cut
    }

    /// What the ids of all its runs begin with.
    pub fn prefix(&self) -> &str {
        self.query.id_prefix.as_deref().unwrap_or_default()
    }

    /// The run behind which the next page begins, when runs are listed by their ids: those up to it need not be offered.
    pub fn after(&self) -> Option<&RunId> {
        self.last.as_ref().filter(|_| self.query.order == Order::Id).map(|(_, run)| run)
    }

    /// Looks at a head, read at [`Listing::cut`].
    pub fn offer(&mut self, head: Head) {
        let created = (self.query.order == Order::NewestFirst).then_some(Reverse(head.created_at));
        let place = (created, head.run.clone());
        let is_new = self.last.as_ref().is_none_or(|last| place > *last);
        if is_new && head.created_at <= self.cut && self.query.matches(&head) {
            self.page.insert(place, head);
            if self.page.len() > self.size() {
                self.page.pop_last();
            }
        }
    }

    /// Whether the page is complete, if heads are offered in the order of their ids: those behind belong to a later one.
    pub fn is_full(&self) -> bool {
        let size = self.size();
        size == 0 || self.query.order == Order::Id && self.page.len() >= size
    }

    /// The page; empty when nothing is left.
    pub fn take(&mut self) -> Vec<Head> {
        let page = std::mem::take(&mut self.page);
        self.last = page.last_key_value().map(|(place, _)| place.clone()).or(self.last.take());
        self.query.limit = self.query.limit.map(|limit| limit - page.len() as u64);
        page.into_values().collect()
    }

    fn size(&self) -> usize {
        let size = self.query.page.map_or(PAGE, |page| page.max(1) as usize);
        self.query.limit.map_or(size, |limit| size.min(usize::try_from(limit).unwrap_or(usize::MAX)))
    }
}
