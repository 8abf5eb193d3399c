//! Listing runs. What is due is found by hints; everything else by looking at each run.
//!
//! A hint is a guess that is never late: a live run has one under a minute that is not after its due. So who looks at the
//! hints up to an instant misses nothing that is due by then, and asks the run itself what is true. A hint of a minute that
//! is past is filed anew under the minute that the run told, and then removed.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use futures_util::FutureExt;
use milepost_core::{BoxStream, Head, Operation, Query, Result, RunId, Status, Timestamp};
use milepost_store_memory::{Listing, apart, paged};

use crate::{
    error::during,
    judge::Moment,
    layout::{self, DUE, Hint, RUNS, hex, minute},
    run::{READS, side_by_side},
    store::Inner,
};

/// How many runs are read side by side at first. It doubles while all of them find room on the page, and is how many did if
/// not, so that large outcomes are neither held nor read in vain.
const FIRST_READS: usize = 4;

/// A hint for an entry that has not come is left for so many minutes: whoever filed it may be about to write the entry.
const PATIENCE: u64 = 2;

/// Where the runs of a listing come from.
enum Source {
    /// Every run: what is left of the folder that stands in the names, page by page.
    All { found: Vec<RunId>, next: Option<String>, begun: bool },
    /// Those with hints, the next one last.
    Hinted(Vec<RunId>),
}

struct Lister {
    inner: Arc<Inner>,
    listing: Listing,
    query: Query,
    source: Option<Source>,
    /// How many runs are read side by side.
    at_once: usize,
}

/// The runs that match.
pub(crate) fn runs(inner: &Arc<Inner>, query: Query) -> BoxStream<'static, Result<Head>> {
    let lister = Lister {
        inner: inner.clone(),
        listing: Listing::new(query.clone(), Timestamp::default()),
        query,
        source: None,
        at_once: FIRST_READS,
    };
    paged(lister, |mut lister| {
        apart(async move {
            let page = lister.page().await.map_err(during(lister.inner.backend, Operation::List, None))?;
            Ok((!page.is_empty()).then_some((page, lister)))
        })
    })
}

/// By when a run must be due to match; `None` if due has nothing to do with it.
fn due_by(query: &Query, cut: Timestamp) -> Option<Timestamp> {
    let interrupted = (query.status == Some(Status::Interrupted)).then_some(cut);
    match (interrupted, query.due_by) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl Lister {
    async fn page(&mut self) -> Result<Vec<Head>> {
        let _flight = self.inner.fly().await?;
        if self.source.is_none() {
            let moment = self.inner.moment();
            self.listing = Listing::new(self.query.clone(), moment.now).created_by(moment.latest);
        }
        loop {
            if self.listing.is_full() {
                // Nothing is asked for any more.
                return Ok(Vec::new());
            }
            let source = match self.source.take() {
                Some(source) => source,
                None => self.begin().await?,
            };
            let ordered_by_id = self.query.order == milepost_core::Order::Id;
            let done = self.fill(source).await?;
            let page = self.listing.take();
            if done && !ordered_by_id && !page.is_empty() {
                // The next page of another order begins from the first run again.
                self.source = Some(self.begin().await?);
            }
            if !page.is_empty() || done {
                return Ok(page);
            }
        }
    }

    async fn begin(&self) -> Result<Source> {
        let inner = &self.inner;
        let Some(by) = due_by(&self.query, self.listing.cut()) else {
            return Ok(Source::All { found: Vec::new(), next: None, begun: false });
        };
        // Where a holder that is gone holds nothing, a run may be due before its time.
        let until = (!inner.is_embedded()).then(|| minute(inner.moment().ahead(by)));
        let mut found = inner.hinted(until, self.listing.prefix()).await?;
        found.reverse();
        Ok(Source::Hinted(found))
    }

    /// Offers runs until the page is full; whether there are no more.
    async fn fill(&mut self, source: Source) -> Result<bool> {
        match source {
            Source::Hinted(mut left) => {
                while !left.is_empty() && !self.listing.is_full() {
                    let at = left.len().saturating_sub(self.at_once);
                    let some: Vec<RunId> = left.split_off(at).into_iter().rev().collect();
                    let rest = self.offer(some).await?;
                    left.extend(rest.into_iter().rev());
                }
                let done = left.is_empty();
                self.source = Some(Source::Hinted(left));
                Ok(done)
            }
            Source::All { mut found, mut next, mut begun } => {
                while !self.listing.is_full() {
                    if found.is_empty() {
                        if begun && next.is_none() {
                            break;
                        }
                        let begin = hex(self.listing.prefix().as_bytes());
                        let folders = self.inner.objects.folders(RUNS, &begin, next).await?;
                        (next, begun) = (folders.next, true);
                        found = folders.names.iter().filter_map(|digits| layout::run_of(digits)).collect();
                        found.reverse();
                        continue;
                    }
                    let at = found.len().saturating_sub(self.at_once);
                    let some: Vec<RunId> = found.split_off(at).into_iter().rev().collect();
                    let rest = self.offer(some).await?;
                    found.extend(rest.into_iter().rev());
                }
                let done = found.is_empty() && begun && next.is_none();
                self.source = Some(Source::All { found, next, begun });
                Ok(done)
            }
        }
    }

    /// Reads the heads of some runs side by side and offers them in order; those behind a full page come back.
    async fn offer(&mut self, runs: Vec<RunId>) -> Result<Vec<RunId>> {
        let moment = Moment { now: self.listing.cut(), ..self.inner.moment() };
        let inner = &self.inner;
        let reads = runs.iter().map(|run| inner.glance(run).boxed());
        let states = side_by_side(reads.collect()).await?;
        let asked = runs.len();
        let mut runs = runs.into_iter().zip(states);
        while !self.listing.is_full() {
            let Some((_, state)) = runs.next() else { break };
            if let Some(state) = state {
                self.listing.offer(state.head(&moment.clone().of(Some(&state))));
            }
        }
        let left: Vec<RunId> = runs.map(|(run, _)| run).collect();
        let fits = if left.is_empty() { self.at_once * 2 } else { asked - left.len() };
        self.at_once = fits.clamp(1, READS);
        Ok(left)
    }
}

impl Inner {
    /// The runs that have a hint up to a minute, or any, by their ids; past hints are filed anew on the way.
    async fn hinted(&self, until: Option<u64>, prefix: &str) -> Result<Vec<RunId>> {
        let until = until.map(layout::behind_hints);
        let listed = self.objects.list(DUE, until.as_deref(), usize::MAX).await?;
        let begin = hex(prefix.as_bytes());
        let mut by_run: BTreeMap<String, Vec<Hint>> = BTreeMap::new();
        for hint in listed.iter().filter_map(|listed| layout::hint_of(&listed.name)) {
            if hint.digits.starts_with(&begin) {
                by_run.entry(hint.digits.clone()).or_default().push(hint);
            }
        }
        let now = minute(self.moment().late);
        let runs: Vec<(RunId, Vec<Hint>)> = by_run
            .into_iter()
            .filter_map(|(digits, hints)| Some((layout::run_of(&digits)?, hints)))
            .collect();
        side_by_side(runs.iter().map(|(run, hints)| self.refile(run, hints, now).boxed()).collect()).await?;
        Ok(runs.into_iter().map(|(run, _)| run).collect())
    }

    /// Files the hints of past minutes under the minute that the run is due in, and removes them: the new one first, and of
    /// the old ones only those that were listed before the run was read. The hint of an entry that has not come is left to
    /// whoever may be about to write it.
    async fn refile(&self, run: &RunId, hints: &[Hint], now: u64) -> Result<()> {
        let past: Vec<&Hint> = hints.iter().filter(|hint| hint.minute < now).collect();
        if past.is_empty() {
            return Ok(());
        }
        let Ok((state, life)) = self.look(run).await else {
            // A damaged run is told by the listing itself, and keeps its hints.
            return Ok(());
        };
        let (tail, due) = match &state {
            Some(state) => ((life, state.slot), state.head.due),
            None => ((life, u64::MAX), None),
        };
        let mut gone = past;
        gone.retain(|hint| hint.place <= tail || hint.minute + PATIENCE < now);
        if let Some(due) = due {
            let due = minute(due);
            if due < now {
                // Its hints are right, however old they are.
                return Ok(());
            }
            let stands = hints.iter().any(|hint| !gone.contains(&hint) && hint.minute <= due);
            if !stands && !gone.is_empty() {
                self.objects.put(&layout::hint(due, run, tail.0, tail.1), Bytes::new()).await?;
            }
        }
        let names: Vec<String> = gone.into_iter().map(|hint| hint.name.clone()).collect();
        if names.is_empty() { Ok(()) } else { self.objects.delete(names).await }
    }
}
