//! Listing runs, page by page.

use std::{cmp::Reverse, collections::VecDeque};

use futures_util::{StreamExt, future::ready, stream as streams};
use milepost_core::*;

use crate::{flaw::*, rules::Run, store::Broken};

const PAGE: usize = 1024;

/// A listing that is being read.
struct Listing {
    store: Broken,
    query: Query,
    /// The first page's now.
    cut: Option<Timestamp>,
    last: Option<(Timestamp, RunId)>,
    page: VecDeque<Head>,
    pages: usize,
}

/// The runs that match.
pub(crate) fn stream(store: &Broken, query: Query) -> BoxStream<'static, Result<Head>> {
    let listing = Listing {
        cut: store.has(ListsAreCutAtTheCall).then(|| store.now()),
        store: store.clone(),
        query,
        last: None,
        page: VecDeque::new(),
        pages: 0,
    };
    streams::try_unfold(listing, |mut listing| {
        ready(listing.next().map(|head| head.map(|head| (head, listing))))
    })
    .boxed()
}

impl Listing {
    fn next(&mut self) -> Result<Option<Head>> {
        if self.page.is_empty() {
            let cut = *self.cut.get_or_insert_with(|| self.store.now());
            self.page = self.fetch(cut).map_err(|error| error.during("broken", Operation::List, None))?;
            self.pages += 1;
        }
        let head = self.page.pop_front();
        if let Some(head) = &head {
            self.last = Some((head.created_at, head.run.clone()));
            if !self.store.has(ListLimitIsPerPage) {
                self.query.limit = self.query.limit.map(|limit| limit - 1);
            }
        }
        Ok(head)
    }

    fn fetch(&self, cut: Timestamp) -> Result<VecDeque<Head>> {
        let query = &self.query;
        let size = query.page.map_or(PAGE, |page| page.max(1) as usize);
        let mut limit =
            query.limit.map_or(size, |limit| size.min(usize::try_from(limit).unwrap_or(usize::MAX)));
        let now = self.store.now();
        let (has, data) = (|flaw| self.store.has(flaw), self.store.data()?);
        if has(ListEndsAfterAPage) && self.pages > 0
            || has(ListLimitIsPerPage) && self.pages > 0 && query.limit.is_some() && limit < size
        {
            limit = 0;
        }
        if has(ListLimitIsIgnored) {
            limit = size;
        }
        let cut = if has(PagesAreJudgedByTheirOwnNow) { now } else { cut };
        let runs = data.runs.values().chain(data.left.values().filter(|_| has(DeletedRunsAreListed)));
        let mut heads: Vec<Head> = runs
            .filter_map(|run| self.matching(run, cut))
            .filter(|head| head.created_at <= cut || has(RunsThatComeLaterAreListed))
            .collect();
        let newest_first = match self.store.rules.flaw {
            Some(ListOrderIsIgnored) => false,
            Some(ListIsNewestFirstAlways) => true,
            _ => query.order == Order::NewestFirst,
        };
        heads.sort_by(|one, other| self.compare(one, other, newest_first));
        if has(OldestFirstForNewest) && newest_first {
            heads.reverse();
        }
        if let Some((created_at, run)) = &self.last {
            let last = heads.iter().position(|head| head.run == *run);
            heads.retain(|head| {
                let key = (Reverse(head.created_at), &head.run);
                match newest_first {
                    _ if has(PagesCountFromTheirStart) => true,
                    true if has(PagesSkipEqualTimes) => head.created_at < *created_at,
                    true if has(PagesRepeatEqualTimes) => {
                        head.created_at < *created_at || head.created_at == *created_at && head.run != *run
                    }
                    true if has(OldestFirstForNewest) => key < (Reverse(*created_at), run),
                    true => key > (Reverse(*created_at), run),
                    false if has(RunIdsAreListedIgnoringCase) => true,
                    false => head.run > *run,
                }
            });
            if has(PagesCountFromTheirStart) {
                let seen = (self.pages * size).min(heads.len());
                heads.drain(..seen);
            } else if has(RunIdsAreListedIgnoringCase)
                && let Some(last) = last
            {
                heads.drain(..=last);
            }
        }
        heads.truncate(limit);
        Ok(heads.into())
    }

    fn compare(&self, one: &Head, other: &Head, newest_first: bool) -> std::cmp::Ordering {
        let name = |head: &Head| head.run.as_str().to_lowercase();
        match newest_first {
            true if self.store.has(EqualTimesAreInReverse) => {
                other.created_at.cmp(&one.created_at).then(other.run.cmp(&one.run))
            }
            true if self.store.has(NewestFirstIsByUpdate) => {
                other.updated_at.cmp(&one.updated_at).then(one.run.cmp(&other.run))
            }
            true => other.created_at.cmp(&one.created_at).then(one.run.cmp(&other.run)),
            false if self.store.has(RunIdsAreListedIgnoringCase) => {
                name(one).cmp(&name(other)).then(one.run.cmp(&other.run))
            }
            false => one.run.cmp(&other.run),
        }
    }

    /// The head of a run, if it is one of those that are asked for.
    fn matching(&self, run: &Run, cut: Timestamp) -> Option<Head> {
        let mut head = run.head(cut);
        let query = &self.query;
        let labels = &head.info.labels;
        let label = |(key, value): &(String, String)| labels.get(key) == Some(value);
        let without = |query: Query| query.matches(&head);
        let matches = match self.store.rules.flaw {
            Some(FirstRetentionStands) if query.expired => {
                let expires = run.expiry.is_some_and(|expiry| expiry <= cut) && head.outcome.is_some();
                expires && without(Query { expired: false, ..query.clone() })
            }
            Some(StatusIsIgnored) => without(Query { status: None, ..query.clone() }),
            Some(NameFilterIsIgnored) => without(Query { name: None, ..query.clone() }),
            Some(NamesMatchByPrefix) => {
                without(Query { name: None, ..query.clone() })
                    && query.name.as_ref().is_none_or(|name| head.info.name.starts_with(name.as_str()))
            }
            Some(NamesIgnoreCase) => {
                without(Query { name: None, ..query.clone() })
                    && query.name.as_ref().is_none_or(|name| head.info.name.eq_ignore_ascii_case(name))
            }
            Some(AnyLabelIsEnough) => {
                without(Query { labels: vec![], ..query.clone() })
                    && (query.labels.is_empty() || query.labels.iter().any(label))
            }
            Some(OnlyTheFirstLabelCounts) => {
                without(Query { labels: query.labels.iter().take(1).cloned().collect(), ..query.clone() })
            }
            Some(LabelKeysAreEnough) => {
                without(Query { labels: vec![], ..query.clone() })
                    && query.labels.iter().all(|(key, _)| labels.contains_key(key))
            }
            Some(LabelValuesMatchByPrefix) => {
                without(Query { labels: vec![], ..query.clone() })
                    && query.labels.iter().all(|(key, value)| {
                        labels.get(key).is_some_and(|own| own.starts_with(value.as_str()))
                    })
            }
            Some(ParentFilterIsIgnored) => without(Query { parent: None, ..query.clone() }),
            Some(OrphansMatchEveryParent) => {
                without(query.clone())
                    || head.info.parent.is_none() && without(Query { parent: None, ..query.clone() })
            }
            Some(PrefixIsASubstring) => {
                without(Query { id_prefix: None, ..query.clone() })
                    && query.id_prefix.as_ref().is_none_or(|part| head.run.as_str().contains(part.as_str()))
            }
            Some(PrefixIsAPattern) => {
                without(Query { id_prefix: None, ..query.clone() })
                    && query.id_prefix.as_ref().is_none_or(|prefix| is_like(head.run.as_str(), prefix))
            }
            Some(PrefixIgnoresCase) => {
                let name = head.run.as_str().to_lowercase();
                without(Query { id_prefix: None, ..query.clone() })
                    && query.id_prefix.as_ref().is_none_or(|prefix| name.starts_with(&prefix.to_lowercase()))
            }
            Some(EveryFailureMatches) => {
                without(Query { failure: None, ..query.clone() })
                    && query.failure.is_none_or(|_| matches!(head.outcome, Some(Outcome::Failed { .. })))
            }
            Some(IdleIsStrict) => {
                without(query.clone()) && query.idle_since.is_none_or(|since| head.updated_at < since)
            }
            Some(IdleLooksAtCreation) => {
                without(Query { idle_since: None, ..query.clone() })
                    && query.idle_since.is_none_or(|since| head.created_at <= since)
            }
            Some(IdleIsTheOtherWayRound) => {
                without(Query { idle_since: None, ..query.clone() })
                    && query.idle_since.is_none_or(|since| head.updated_at >= since)
            }
            Some(DueByIsStrict) => {
                without(query.clone()) && query.due_by.is_none_or(|by| head.due.is_some_and(|due| due < by))
            }
            Some(DueByIsNow) => without(Query { due_by: query.due_by.map(|_| cut), ..query.clone() }),
            Some(DueByLooksAtLeases) => {
                without(query.clone()) && (query.due_by.is_none() || head.lease.is_some())
            }
            Some(ExpiredIsStrict) => {
                without(query.clone())
                    && (!query.expired || head.delete_after.is_some_and(|after| after < cut))
            }
            Some(ExpiredIgnoresTheTime) => {
                without(Query { expired: false, ..query.clone() })
                    && (!query.expired || head.delete_after.is_some())
            }
            Some(ExpiredTakesEveryFinishedRun) => {
                without(Query { expired: false, ..query.clone() })
                    && (!query.expired || head.outcome.is_some())
            }
            Some(ExpiredIsIgnored) => without(Query { expired: false, ..query.clone() }),
            Some(OneFilterIsEnough) => matches_one(query, &head),
            Some(FinishedRunsAreNotListed) => head.outcome.is_none() && without(query.clone()),
            Some(DraftsAreNotListed) => !head.draft && without(query.clone()),
            Some(WaitingRunsAreInterrupted) => {
                without(query.clone())
                    || query.status == Some(Status::Interrupted)
                        && without(Query { status: Some(Status::Waiting), ..query.clone() })
            }
            Some(InterruptedMeansExpired) => {
                without(query.clone()) && (query.status != Some(Status::Interrupted) || head.lease.is_some())
            }
            Some(RunningMeansALease) => {
                if query.status == Some(Status::Running) {
                    without(Query { status: None, ..query.clone() }) && head.lease.is_some()
                } else {
                    without(query.clone())
                }
            }
            _ => query.matches(&head),
        };
        match self.store.rules.flaw {
            Some(ListsLeaveOutNotes) => head.note = None,
            Some(ListsLeaveOutLabels) => head.info.labels.clear(),
            Some(ListsLeaveOutMeta) => head.info.meta = Bytes::new(),
            Some(ListsLeaveOutSizes) => head.sizes = Sizes::default(),
            _ => {}
        }
        matches.then_some(head)
    }
}

/// Whether one of a query's filters holds, or it has none.
fn matches_one(query: &Query, head: &Head) -> bool {
    let none = Query { page: query.page, limit: query.limit, order: query.order, ..Query::default() };
    let filters = [
        Query { status: query.status, ..none.clone() },
        Query { due_by: query.due_by, ..none.clone() },
        Query { name: query.name.clone(), ..none.clone() },
        Query { labels: query.labels.clone(), ..none.clone() },
        Query { parent: query.parent.clone(), ..none.clone() },
        Query { id_prefix: query.id_prefix.clone(), ..none.clone() },
        Query { failure: query.failure, ..none.clone() },
        Query { idle_since: query.idle_since, ..none.clone() },
        Query { expired: query.expired, ..none.clone() },
    ];
    let mut set = filters.into_iter().filter(|filter| *filter != none).peekable();
    set.peek().is_none() || set.any(|filter| filter.matches(head))
}

/// SQL's LIKE with the pattern and a percent sign behind it.
fn is_like(name: &str, pattern: &str) -> bool {
    match pattern.chars().next() {
        None => true,
        Some('%') => name
            .char_indices()
            .map(|(at, _)| at)
            .chain([name.len()])
            .any(|at| is_like(&name[at..], &pattern[1..])),
        Some(wanted) => name.chars().next().is_some_and(|own| {
            (wanted == '_' || own == wanted)
                && is_like(&name[own.len_utf8()..], &pattern[wanted.len_utf8()..])
        }),
    }
}
