//! What is read of one run: streams in pages, snapshots, blobs.

use std::collections::VecDeque;

use futures_util::{StreamExt, stream as streams};
use milepost_core::*;
use tokio::sync::watch;

use crate::{
    flaw::*,
    rules::{Rules, Run},
    store::Broken,
};

const PAGE: usize = 64;

/// What is read in pages.
pub(crate) trait Entry: Clone + Send + 'static {
    /// The entries of a span, at most a page of them.
    fn page(rules: &Rules, run: &Run, span: &Span, page: usize) -> Result<Vec<Self>>;
    fn position(&self) -> u64;
    /// The newest position that the run has ever given.
    fn newest(run: &Run) -> u64;
}

/// Whether a position lies within a span.
fn is_within(rules: &Rules, span: &Span, position: u64) -> bool {
    let until = span.until.unwrap_or(u64::MAX);
    let after = match rules.flaw {
        Some(AfterIsInclusive) => position >= span.after,
        Some(AfterIsIgnored) => true,
        _ => position > span.after,
    };
    let before = match rules.flaw {
        Some(UntilIsExclusive) => position < until,
        Some(UntilIsIgnored) => true,
        _ => position <= until,
    };
    after && before
}

fn in_order<T: Entry>(rules: &Rules, mut items: Vec<T>, span: &Span, page: usize) -> Vec<T> {
    let limit = span.limit.map_or(page, |limit| page.min(usize::try_from(limit).unwrap_or(usize::MAX)));
    let limit = match (rules.flaw, span.limit) {
        (Some(LimitIsIgnored), _) => page,
        (Some(LimitOf0IsNone), Some(0)) => page,
        (Some(LimitGivesOneMore), Some(1..)) => limit + 1,
        _ => limit,
    };
    if span.reverse && rules.has(ReverseCutsFromTheOldest) {
        items.truncate(limit);
    }
    if span.reverse && !rules.has(ReverseIsIgnored) {
        items.reverse();
    }
    items.truncate(limit);
    items
}

impl Entry for Record {
    fn page(rules: &Rules, run: &Run, span: &Span, page: usize) -> Result<Vec<Self>> {
        check_incarnation(rules, run, span)?;
        let until = span.until.unwrap_or(Cursor::MAX);
        let asks_nothing = until <= span.after || span.limit == Some(0);
        if asks_nothing
            && !rules.has_any(&[
                EmptySpansAreTrimmed,
                LimitOf0IsNone,
                AfterIsInclusive,
                AfterIsIgnored,
                UntilIsIgnored,
                LimitIsIgnored,
            ])
        {
            return Ok(Vec::new());
        }
        let first = run.head.first;
        let trimmed = match rules.flaw {
            Some(TrimmedIsSkipped) => false,
            Some(TrimmedIsSkippedInReverse) => !span.reverse && span.after + 1 < first,
            Some(TrimmedIsSkippedByFollowers) => !span.follow && span.after + 1 < first,
            Some(TrimmedNamesTheFirst) => span.after < first && span.after > 0,
            Some(TrimmedOnlyWhenNothingIsLeft) => until < first,
            _ => span.after + 1 < first,
        };
        if trimmed {
            let first = if rules.has(TrimmedTellsTheLastTrimmed) { first - 1 } else { first };
            return Err(Refusal::Trimmed { first }.into());
        }
        if span.after > run.head.cursor && rules.has(PastTheHeadIsNotFound) {
            return Err(Refusal::NotFound.into());
        }
        let items = run.records.iter().filter(|record| is_within(rules, span, record.cursor)).cloned();
        Ok(in_order(rules, items.collect(), span, page))
    }

    fn position(&self) -> u64 {
        self.cursor
    }

    fn newest(run: &Run) -> u64 {
        run.head.cursor
    }
}

impl Entry for Message {
    fn page(rules: &Rules, run: &Run, span: &Span, page: usize) -> Result<Vec<Self>> {
        check_incarnation(rules, run, span)?;
        let until = span.until.unwrap_or(u64::MAX);
        if until <= span.after && !rules.has_any(&[AfterIsInclusive, AfterIsIgnored, UntilIsIgnored]) {
            return Ok(Vec::new());
        }
        if rules.has(TakenMessagesAreTrimmed)
            && span.after == 0
            && !run.messages.contains_key(&1)
            && run.head.newest_message > 0
        {
            return Err(Refusal::Trimmed { first: 1 }.into());
        }
        let items = run.messages.values().filter(|message| is_within(rules, span, message.number)).cloned();
        let mut items: Vec<Message> = items.collect();
        if rules.has(InboxIsByKey) {
            items.sort_by(|one, other| one.key.cmp(&other.key));
        }
        Ok(in_order(rules, items, span, page))
    }

    fn position(&self) -> u64 {
        self.number
    }

    fn newest(run: &Run) -> u64 {
        run.head.newest_message
    }
}

fn check_incarnation(rules: &Rules, run: &Run, span: &Span) -> Result<()> {
    let other = span.incarnation.is_some_and(|incarnation| incarnation != run.head.fence.incarnation);
    if other && !rules.has(StreamsIgnoreTheIncarnation) { Err(Refusal::NotFound.into()) } else { Ok(()) }
}

/// A stream that is being read: `span` is what is still to come.
struct Reader<T> {
    store: Broken,
    run: RunId,
    span: Span,
    operation: Operation,
    page: VecDeque<T>,
    changed: Option<watch::Receiver<()>>,
    pages: usize,
    last: Option<T>,
}

/// A stream of `span`.
pub(crate) fn stream<T: Entry>(
    store: &Broken,
    run: &RunId,
    span: Span,
    operation: Operation,
) -> BoxStream<'static, Result<T>> {
    let mut span = span;
    if store.has(LimitsHave32Bits) {
        span.limit = span.limit.map(|limit| limit & u64::from(u32::MAX));
    }
    let reader = Reader {
        changed: span.follow.then(|| store.world.changed.subscribe()),
        store: store.clone(),
        run: run.clone(),
        span,
        operation,
        page: VecDeque::new(),
        pages: 0,
        last: None,
    };
    streams::try_unfold(reader, |mut reader| async move {
        let next = reader.next().await?;
        Ok(next.map(|entry| (entry, reader)))
    })
    .boxed()
}

impl<T: Entry> Reader<T> {
    async fn next(&mut self) -> Result<Option<T>> {
        loop {
            if let Some(entry) = self.page.pop_front() {
                self.last = Some(entry.clone());
                return Ok(Some(entry));
            }
            let fetched = self.fetch_by_connection().await;
            let last = match fetched {
                Err(error) if self.ends_silently(&error) => return Ok(None),
                fetched => fetched?,
            };
            if last && self.store.has(FollowersMissTheLastRecords) && self.span.follow {
                return Ok(None);
            }
            if !self.page.is_empty() {
                continue;
            }
            let done = last || self.span.limit == Some(0) || self.store.has(FollowersEndAtTheHead);
            match &mut self.changed {
                Some(changed) if !done => {
                    if self.store.has(FollowersMissWakeups) {
                        tokio::task::yield_now().await;
                        changed.mark_unchanged();
                    }
                    let _ = changed.changed().await;
                    if self.store.has(FollowersRepeatTheLast)
                        && let Some(last) = self.last.take()
                    {
                        self.page.push_back(last);
                    }
                }
                _ => return Ok(None),
            }
        }
    }

    /// Fetches a page, which takes a moment and a connection where that is the flaw.
    async fn fetch_by_connection(&mut self) -> Result<bool> {
        let flaw = if self.span.follow { FollowersKeepAConnection } else { PagesKeepAConnection };
        let store = self.store.clone();
        let connection = store.connection(&[flaw]).await;
        if connection.is_some() {
            tokio::task::yield_now().await;
        }
        self.fetch()
    }

    fn ends_silently(&self, error: &Error) -> bool {
        match (self.store.rules.flaw, error.kind()) {
            (Some(UnknownRunsStreamNothing), ErrorKind::NotFound) => self.pages <= 1,
            (Some(FollowersOfDeletedRunsEnd), ErrorKind::NotFound) => self.pages > 1,
            (Some(FollowersOfClosedStoresEnd), ErrorKind::Closed) => true,
            (Some(TrimmedStreamsEnd), ErrorKind::Trimmed) => true,
            _ => false,
        }
    }

    /// Fetches a page and moves the span past it; tells whether nothing can come after it.
    fn fetch(&mut self) -> Result<bool> {
        let rules = self.store.rules;
        let size = self.span.page.map_or(PAGE, |page| page.max(1) as usize);
        if let Some(changed) = &mut self.changed {
            changed.mark_unchanged();
        }
        let paged = self.pages > 0;
        self.pages += 1;
        if paged && rules.has(OnlyTheFirstPageComes) {
            return Ok(true);
        }
        let span = &mut self.span;
        let (page, last) = self.store.read(&self.run, self.operation, |run| {
            let page = T::page(&rules, run, span, size)?;
            if !rules.has(StreamsGoOnInAnotherLife) {
                span.incarnation = Some(run.head.fence.incarnation);
            }
            let ended = span.until.is_some_and(|until| until <= T::newest(run).max(span.after));
            let ended = ended && !rules.has(FollowersIgnoreUntil);
            let finished = match rules.flaw {
                Some(FollowersNeverEnd) => false,
                Some(FollowersEndWithTheRelease) => run.head.outcome.is_some() || run.head.lease.is_none(),
                Some(FollowersEndWithTheTakeover) => run.head.outcome.is_some() || run.head.fence.epoch > 1,
                Some(FollowersOfFailedRunsNeverEnd) => {
                    matches!(run.head.outcome, Some(Outcome::Completed { .. }))
                }
                _ => run.head.outcome.is_some(),
            };
            Ok((page, ended || finished))
        })?;
        if let Some(newest) = page.last() {
            let taken = if rules.has(LimitIsPerPage) { 0 } else { page.len() as u64 };
            span.limit = span.limit.map(|limit| limit.saturating_sub(taken));
            if rules.has(LimitIsIgnored) {
                span.limit = None;
            }
            let skipped = u64::from(rules.has(PagesSkipOne) && page.len() == size);
            let doubled = u64::from(rules.has(PagesOverlap) && page.len() == size && size > 1);
            if span.reverse && !rules.has(ReverseIsIgnored) {
                span.until = Some((newest.position() - 1 + doubled).saturating_sub(skipped));
            } else {
                span.after = newest.position() + skipped - doubled;
            }
            if rules.has_any(&[AfterIsInclusive]) {
                span.after += 1;
            }
        }
        self.page = page.into();
        Ok(last)
    }
}

/// The newest snapshot that fits.
pub(crate) fn snapshot(rules: &Rules, run: &Run, at: At) -> Option<Snapshot> {
    let fits = |cursor: Cursor| match at {
        At::Latest => true,
        At::OrBefore(_) if rules.has(OrBeforeGivesTheNewest) => true,
        At::OrBefore(before) if rules.has(OrBeforeIsExclusive) => cursor < before,
        At::OrBefore(before) if rules.has(OrBeforeIsExact) => cursor == before,
        At::OrBefore(before) => cursor <= before,
    };
    let mut kept = run.snapshots.iter().filter(|(cursor, _)| fits(**cursor));
    let found = match (rules.flaw, at) {
        (Some(OldestSnapshotIsRead), At::Latest) => kept.next(),
        (Some(OrBeforeGivesTheOldest), At::OrBefore(_)) => kept.next(),
        (Some(NewestSnapshotIsTheLargest), At::Latest) => kept.max_by_key(|(_, body)| body.len()),
        _ => kept.next_back(),
    };
    let (cursor, body) = found?;
    let cursor = if rules.has(SnapshotsTellTheHeadsCursor) { run.head.cursor } else { *cursor };
    Some(Snapshot { cursor, body: body.clone() })
}

/// The blob of a name.
pub(crate) fn blob(rules: &Rules, run: &Run, name: &Digest) -> Option<Bytes> {
    let body = run.blobs.get(name).cloned();
    match rules.flaw {
        Some(MissingBlobsAreEmpty) => Some(body.unwrap_or_default()),
        _ => body,
    }
}

/// Every blob, by name.
pub(crate) fn blobs(rules: &Rules, run: &Run) -> Vec<BlobInfo> {
    let infos = run.blobs.iter().map(|(name, body)| BlobInfo { name: *name, size: body.len() as u64 });
    let mut infos: Vec<BlobInfo> = infos.collect();
    match rules.flaw {
        Some(BlobsComeBySize) => infos.sort_by_key(|info| info.size),
        Some(BlobsComeInReverse) => infos.reverse(),
        Some(BlobsEndAt10) => infos.truncate(10),
        Some(BlobsHaveNoSize) => infos.iter_mut().for_each(|info| info.size = 0),
        _ => {}
    }
    infos
}
