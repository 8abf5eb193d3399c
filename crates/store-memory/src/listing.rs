//! Listing runs page by page, from heads that are looked at one after another.

use std::{cmp::Reverse, collections::BTreeMap};

use milepost_core::{Head, Order, Outcome, Query, RunId, Timestamp};

use crate::page::PAGE;

/// A page of outcomes that has so many bytes without its last one is complete.
const MOST_BYTES: usize = 1 << 20;

/// A listing that is being read: which heads belong to the next page.
///
/// For a backend that can ask no index: it shows each head that may match, and takes the page. Memory is bounded by a
/// page, whatever the number of runs and the size of their outcomes: a page of outcomes ends with the one that brings them
/// to a MiB.
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
    /// Only runs that were created by then belong to it.
    created_by: Timestamp,
    last: Option<Place>,
    page: BTreeMap<Place, Head>,
    /// What the outcomes of the page have.
    bytes: usize,
}

/// Where a run stands in the order of a listing.
type Place = (Option<Reverse<Timestamp>>, RunId);

impl Listing {
    /// A listing that begins `now`, by the store's clock: its *cut*. Only runs that were created by then belong to it, unless
    /// [`Listing::created_by`] says otherwise.
    pub fn new(query: Query, now: Timestamp) -> Self {
        Self { query, cut: now, created_by: now, last: None, page: BTreeMap::new(), bytes: 0 }
    }

    /// The same with the runs that were created up to `latest`, which is after the cut where the clocks of two handles may
    /// be apart by as much: what one of them has just created is there for the other.
    #[must_use]
    pub fn created_by(self, latest: Timestamp) -> Self {
        Self { created_by: latest, ..self }
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
        if is_new && head.created_at <= self.created_by && self.query.matches(&head) {
            self.bytes += weight(&head);
            self.page.insert(place, head);
            while self.is_over() {
                self.bytes -= self.page.pop_last().map_or(0, |(_, head)| weight(&head));
            }
        }
    }

    /// Whether the page is complete without its last head. One that was complete stays so, whatever is offered.
    fn is_over(&self) -> bool {
        let last = self.page.last_key_value().map_or(0, |(_, head)| weight(head));
        self.page.len() > self.size() || self.bytes - last >= MOST_BYTES
    }

    /// Whether the page is complete, if heads are offered in the order of their ids: those behind belong to a later one.
    pub fn is_full(&self) -> bool {
        let size = self.size();
        size == 0 || self.query.order == Order::Id && (self.page.len() >= size || self.bytes >= MOST_BYTES)
    }

    /// The page; empty when nothing is left.
    pub fn take(&mut self) -> Vec<Head> {
        let page = std::mem::take(&mut self.page);
        self.bytes = 0;
        self.last = page.last_key_value().map(|(place, _)| place.clone()).or(self.last.take());
        self.query.limit = self.query.limit.map(|limit| limit - page.len() as u64);
        page.into_values().collect()
    }

    fn size(&self) -> usize {
        let size = self.query.page.map_or(PAGE, |page| page.max(1) as usize);
        self.query.limit.map_or(size, |limit| size.min(usize::try_from(limit).unwrap_or(usize::MAX)))
    }
}

fn weight(head: &Head) -> usize {
    head.outcome.as_ref().map_or(0, Outcome::size)
}

#[cfg(test)]
mod tests {
    use milepost_core::{
        Capabilities, Durability, Ids, Incarnation, Manifest, Open, RunInfo, SystemIds, Token,
    };

    use super::*;
    use crate::{Mint, Request};

    /// A finished run with an output of so many bytes.
    fn finished(name: &str, output: usize) -> Head {
        let (run, mut image) = (RunId::new(name).unwrap(), None);
        let open = Open::create(SystemIds.operation(), RunInfo::named("test"), Manifest::of(b"test"));
        let mint = Mint { incarnation: Incarnation(1), token: Token(1) };
        let capabilities = Capabilities::all(Durability::Process);
        (open, mint).apply(&mut image, &run, &capabilities, Timestamp(0)).unwrap();
        let outcome = Outcome::Completed { output: vec![0; output].into() };
        Head { outcome: Some(outcome), ..image.unwrap().head(Timestamp(0)) }
    }

    #[test]
    fn a_listing_tells_what_need_not_be_offered() {
        let heads = ["a-1", "a-2", "b-1"].map(|name| finished(name, 0));
        for (order, after) in [(Order::Id, Some("a-1")), (Order::NewestFirst, None)] {
            let query = Query { order, page: Some(1), id_prefix: Some("a-".into()), ..Query::all() };
            let mut listing = Listing::new(query, Timestamp(0));
            assert_eq!((listing.prefix(), listing.after()), ("a-", None));
            heads.iter().for_each(|head| listing.offer(head.clone()));
            assert_eq!(listing.take(), heads[..1]);
            assert_eq!(listing.after().map(RunId::as_str), after);
        }
        assert_eq!(Listing::new(Query::all(), Timestamp(0)).prefix(), "");
    }

    #[test]
    fn a_page_is_full_once_what_follows_belongs_to_a_later_one() {
        for (order, by_id) in [(Order::Id, true), (Order::NewestFirst, false)] {
            let listing =
                |page, limit| Listing::new(Query { order, page, limit, ..Query::all() }, Timestamp(0));
            let mut by_count = listing(Some(2), None);
            by_count.offer(finished("a", 0));
            assert!(!by_count.is_full());
            by_count.offer(finished("b", 0));
            assert_eq!(by_count.is_full(), by_id, "{order:?}");
            let mut by_size = listing(None, None);
            by_size.offer(finished("a", MOST_BYTES));
            assert_eq!(by_size.is_full(), by_id, "{order:?}");
            assert!(listing(None, Some(0)).is_full(), "nothing belongs to it");
        }
    }

    #[test]
    fn a_page_of_large_outcomes_ends_early_and_none_is_left_out() {
        let sizes = [700 << 10, 700 << 10, 10, 2 << 20, 10, 10, 1 << 20, 0, 600 << 10, 600 << 10];
        let heads: Vec<Head> =
            sizes.iter().enumerate().map(|(n, size)| finished(&format!("run-{n}"), *size)).collect();
        let pages = |order: Order, offered: &[&Head]| {
            let mut listing = Listing::new(Query { order, ..Query::all() }, Timestamp(0));
            let mut pages: Vec<Vec<String>> = Vec::new();
            loop {
                for head in offered {
                    listing.offer((*head).clone());
                }
                match listing.take() {
                    page if page.is_empty() => return pages,
                    page => pages.push(page.iter().map(|head| head.run.to_string()).collect()),
                }
            }
        };
        let expected = [vec![0, 1], vec![2, 3], vec![4, 5, 6], vec![7, 8, 9]];
        let expected: Vec<Vec<String>> =
            expected.iter().map(|page| page.iter().map(|n| format!("run-{n}")).collect()).collect();
        let (forward, backward): (Vec<&Head>, Vec<&Head>) =
            (heads.iter().collect(), heads.iter().rev().collect());
        for order in [Order::Id, Order::NewestFirst] {
            assert_eq!(pages(order, &forward), expected);
            assert_eq!(pages(order, &backward), expected);
        }
    }
}
