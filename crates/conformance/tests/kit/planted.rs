//! The oracle, tried itself: stores with one planted bug each. It must find every one within its usual budget, and tell
//! it by a short history.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use milepost_conformance::{Harness, Outcome, check, harness};
use milepost_core::*;
use milepost_store_memory::MemoryStore;

/// What is wrong with a store.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Bug {
    /// A commit's `expect` is not looked at.
    ExpectIgnored,
    /// A stale fence still commits.
    StaleFenceCommits,
    /// A commit that is sent again is another commit.
    ReplayForgotten,
    /// A run is opened over a fence that is not its newest.
    StaleFenceTakesOver,
    /// `advances` is lost.
    AdvancesLost,
    /// A release that waits for a message waits for an instant alone.
    WakeByMessageLost,
    /// A message that was sent already is told to be a new one.
    RepeatedTwice,
    /// A message is taken from the middle only.
    TakeKeepsTheLast,
    /// What a commit takes away is not taken away: trims are lost.
    TrimLost,
    /// A blob that is carried again gets the new body.
    SecondBlobWins,
    /// A deletion for finished runs deletes any.
    GuardIgnored,
    /// The newest snapshot is given for an older cursor.
    NewestSnapshotAlways,
    /// A stream in reverse forgets its lower end.
    ReverseForgetsAfter,
    /// An inbox forgets its limit.
    InboxForgetsLimit,
    /// A listing of what is due shows what has finished too.
    ListingForgetsStatus,
    /// The note of a renewal is lost.
    NoteOfRenewalLost,
    /// `KeepFor` is never over.
    RetentionLost,
    /// In a batch, what comes behind a commit that was refused is refused as well.
    BatchStopsAtRefusal,
    /// A refused commit leaves its message taken.
    RefusedCommitWakes,
}

/// A good store with a bug in front of it.
#[derive(Clone, Debug)]
struct Planted {
    inner: MemoryStore,
    bug: Bug,
    /// Commits that were sent.
    sent: Arc<Mutex<BTreeSet<u128>>>,
}

impl Planted {
    fn has(&self, bug: Bug) -> bool {
        self.bug == bug
    }

    async fn mended(&self, mut commit: Commit) -> Result<Commit> {
        if let Some(head) = self.inner.head(&commit.run).await? {
            let (mine, newest) = (commit.fence, head.fence);
            let stale = mine.incarnation == newest.incarnation && mine.epoch < newest.epoch;
            if self.has(Bug::ExpectIgnored) && mine == newest {
                commit.expect = head.version;
            }
            if self.has(Bug::StaleFenceCommits) && stale {
                commit.fence = newest;
            }
        }
        if self.has(Bug::ReplayForgotten)
            && !self.sent.lock().expect("nobody panics with it").insert(commit.id.0)
        {
            commit.id = SystemIds.operation();
        }
        if self.has(Bug::AdvancesLost) {
            commit.advances = false;
        }
        if self.has(Bug::WakeByMessageLost)
            && let LeaseChange::Release(wake) = &mut commit.lease
            && wake.at.is_some()
        {
            wake.after = None;
        }
        if self.has(Bug::TakeKeepsTheLast) && commit.take.len() > 1 {
            commit.take.pop();
        }
        if self.has(Bug::TrimLost) {
            commit.trim = None;
        }
        if let (true, Some(finish)) = (self.has(Bug::RetentionLost), &mut commit.finish)
            && let Retain::KeepFor(_) = finish.retain
        {
            finish.retain = Retain::Keep;
        }
        Ok(commit)
    }
}

#[async_trait]
impl Store for Planted {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn open(&self, run: &RunId, mut open: Open) -> Result<Opened> {
        if let (true, Takeover::Over(fence)) = (self.has(Bug::StaleFenceTakesOver), &mut open.takeover)
            && let Some(head) = self.inner.head(run).await?
        {
            *fence = head.fence;
        }
        self.inner.open(run, open).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        let commit = self.mended(commit).await?;
        let carried = commit.blobs.clone();
        let (run, fence) = (commit.run.clone(), commit.fence);
        let answer = self.inner.commit(commit).await;
        if let (true, Ok(committed), Some(blob)) = (self.has(Bug::SecondBlobWins), &answer, carried.first())
            && self.inner.blob(&run, &blob.name).await?.as_ref() != Some(&blob.body)
        {
            // The contract has no way to replace one; this is as near as a wrapper comes.
            let drop = Commit::new(run.clone(), fence, SystemIds.operation(), committed.version);
            let _ = self.inner.commit(drop.drop_blob(blob.name)).await;
        }
        if self.has(Bug::RefusedCommitWakes) && answer.is_err() {
            let renew = Renew::new(fence, Duration::from_secs(600));
            let _ = self.inner.renew(&run, renew).await;
        }
        answer
    }

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        let mut answers: Vec<Result<Committed>> = Vec::new();
        let mut mended = Vec::new();
        for commit in commits {
            mended.push(self.mended(commit).await.expect("the memory store answers"));
        }
        if !self.has(Bug::BatchStopsAtRefusal) {
            return self.inner.commit_many(mended).await;
        }
        let mut refused = None;
        for commit in mended {
            answers.push(match &refused {
                None => self.inner.commit(commit).await,
                Some(error) => Err(Error::repeat(error)),
            });
            refused = answers.last().and_then(|answer| answer.as_ref().err()).map(Error::repeat);
        }
        answers
    }

    async fn renew(&self, run: &RunId, mut renew: Renew) -> Result<()> {
        if self.has(Bug::NoteOfRenewalLost) {
            renew.note = None;
        }
        self.inner.renew(run, renew).await
    }

    async fn send(&self, run: &RunId, message: NewMessage) -> Result<Sent> {
        Ok(match self.inner.send(run, message).await? {
            Sent::Repeated { number } if self.has(Bug::RepeatedTwice) => Sent::Accepted { number },
            sent => sent,
        })
    }

    async fn delete(&self, run: &RunId, guard: Delete) -> Result<bool> {
        let guard = match guard {
            Delete::Finished(incarnation) if self.has(Bug::GuardIgnored) => Delete::NotDriven(incarnation),
            guard => guard,
        };
        self.inner.delete(run, guard).await
    }

    async fn head(&self, run: &RunId) -> Result<Option<Head>> {
        self.inner.head(run).await
    }

    async fn snapshot(&self, run: &RunId, at: At) -> Result<Option<Snapshot>> {
        let at = if self.has(Bug::NewestSnapshotAlways) { At::Latest } else { at };
        self.inner.snapshot(run, at).await
    }

    fn stream(&self, run: &RunId, mut span: Span) -> BoxStream<'static, Result<Record>> {
        if self.has(Bug::ReverseForgetsAfter) && span.reverse {
            span.after = 0;
        }
        self.inner.stream(run, span)
    }

    fn inbox(&self, run: &RunId, mut span: Span) -> BoxStream<'static, Result<Message>> {
        if self.has(Bug::InboxForgetsLimit) && !span.follow {
            span.limit = None;
        }
        self.inner.inbox(run, span)
    }

    async fn blob(&self, run: &RunId, name: &Digest) -> Result<Option<Bytes>> {
        self.inner.blob(run, name).await
    }

    fn blobs(&self, run: &RunId) -> BoxStream<'static, Result<BlobInfo>> {
        self.inner.blobs(run)
    }

    fn list(&self, mut query: Query) -> BoxStream<'static, Result<Head>> {
        let Some(by) = query.due_by.filter(|_| self.has(Bug::ListingForgetsStatus)) else {
            return self.inner.list(query);
        };
        query.due_by = None;
        let keeps = move |head: &Head| head.outcome.is_some() || head.due.is_some_and(|due| due <= by);
        let heads = self.inner.list(query).try_filter(move |head| std::future::ready(keeps(head)));
        heads.chain(stream::empty()).boxed()
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

fn planted(bug: Bug, clock: bool) -> Harness {
    let harness = harness(format!("{bug:?}"), move |scope| async move {
        let build = || {
            let memory = MemoryStore::builder();
            let inner = if clock { memory.clock(scope.clock()) } else { memory }.build();
            Planted { inner, bug, sent: Arc::default() }
        };
        Ok(scope.shared(build))
    });
    if clock { harness.with_clock() } else { harness }
}

/// How many steps the history has by which a failure is told.
fn steps(reason: &str) -> Option<usize> {
    let (_, told) = reason.split_once("made short: ")?;
    told.split_once(' ')?.0.parse().ok()
}

/// By how many steps a bug is told at most, by the case that does it best.
const SHORT: usize = 6;

/// The bug must be found, and told by a short history; what is wrong with that, if anything.
fn wrong(bug: Bug, clock: bool) -> Option<String> {
    let report = check(&planted(bug, clock), "differential/");
    let failed: Vec<_> = report.cases.iter().filter(|case| case.outcome == Outcome::Failed).collect();
    let reasons = failed.iter().filter_map(|case| case.reason.as_deref());
    let shortest = reasons.clone().min_by_key(|reason| steps(reason).unwrap_or(usize::MAX));
    let Some(shortest) = shortest else { return Some(format!("{bug:?} was not found (clock: {clock})")) };
    if steps(shortest).is_none_or(|steps| steps > SHORT) {
        return Some(format!("{bug:?} is told by more than {SHORT} steps:\n{shortest}"));
    }
    for reason in reasons {
        if steps(reason).is_none_or(|steps| steps > 12) {
            return Some(format!("{bug:?} is told at length by:\n{reason}"));
        }
        for part in ["the reference model answers:", "MILEPOST_SEED=0x", "came:"] {
            if !reason.contains(part) {
                return Some(format!("{part} is missing in:\n{reason}"));
            }
        }
    }
    None
}

#[test]
fn it_finds_planted_bugs_and_tells_each_by_a_short_history() {
    use Bug::*;
    let bugs = [
        ExpectIgnored,
        StaleFenceCommits,
        ReplayForgotten,
        StaleFenceTakesOver,
        AdvancesLost,
        WakeByMessageLost,
        RepeatedTwice,
        TakeKeepsTheLast,
        TrimLost,
        SecondBlobWins,
        GuardIgnored,
        NewestSnapshotAlways,
        ReverseForgetsAfter,
        InboxForgetsLimit,
        ListingForgetsStatus,
        NoteOfRenewalLost,
        RetentionLost,
        BatchStopsAtRefusal,
        RefusedCommitWakes,
    ];
    let wrong: Vec<_> = bugs.into_iter().filter_map(|bug| wrong(bug, true)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn it_finds_them_without_a_clock_to_move_too() {
    use Bug::*;
    let bugs = [ExpectIgnored, StaleFenceCommits, ReplayForgotten, AdvancesLost, GuardIgnored, TrimLost];
    let wrong: Vec<_> = bugs.into_iter().filter_map(|bug| wrong(bug, false)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
