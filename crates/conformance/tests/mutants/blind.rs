//! Stores that somebody broke who had not read the other tables: a good store, and around it what a backend's author
//! might well ship.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::StreamExt;
use milepost_conformance::{Harness, Scope, Tuning, harness};
use milepost_core::*;

use crate::{rules::Run, store::Broken};

/// What is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Blind {
    /// A release forgets the keys of messages.
    ReleaseForgetsKeys,
    /// A trim forgets the keys of messages.
    TrimForgetsKeys,
    /// Reopening a failed run forgets its record ids.
    ReopeningForgetsRecordIds,
    /// Reopening a failed run takes its note.
    ReopeningForgetsTheNote,
    /// Reopening a failed run forgets the commit that failed it.
    ReopeningForgetsTheCommit,
    /// Reopening a failed run counts as a lapse.
    ReopeningCountsALapse,
    /// The remembered id is compared together with the fence.
    ReusedIdsOfAnOlderFenceAreFenced,
    /// A ttl beyond the calendar overflows.
    HugeTtlsOverflow,
    /// A renewal beyond the calendar overflows.
    HugeRenewalsOverflow,
    /// A retention beyond the calendar overflows.
    HugeRetentionsOverflow,
    /// A dropped blob is only marked, and stored again it has its old body.
    DroppedBlobsComeBackAsTheyWere,
    /// A dropped blob is only marked, and stored again it stays so.
    DroppedBlobsStayDropped,
    /// The sizes of a head count what was dropped.
    SizesKeepDroppedBlobs,
    /// Who follows gets more than the limit.
    FollowersIgnoreTheLimit,
    /// Who follows an inbox goes on in the next run of its name.
    InboxFollowersGoOnInAnotherLife,
    /// Between two pages in reverse a record is lost.
    ReversePagesLoseOne,
    /// The limit of an inbox counts numbers, not messages.
    InboxLimitCountsWhatWasTaken,
    /// A batch is refused when all of it is larger than a commit may be.
    BatchesHaveACommitsLimit,
    /// A commit that is dropped on its way keeps the lock.
    DroppedCommitsHoldTheLock,
    /// A prefix is a range that ends at U+FFFF.
    PrefixesEndBelowTheAstral,
    /// Cursor 0 is taken for no cursor.
    OrBeforeZeroIsNone,
    /// A snapshot at cursor 0 is taken for none.
    SnapshotsAtZeroAreDropped,
    /// A draft ends with its first record.
    RecordsEndADraft,
    /// A draft ends with a takeover.
    TakeoversEndADraft,
    /// A message is compared together with its sender's id.
    RepeatsUnderAnotherIdConflict,
    /// The deletion of a parent is written into its children.
    DeletedParentsAreForgotten,
    /// A parent that is not there is refused.
    ParentsMustExist,
    /// Run ids are brought into a normal form.
    RunIdsAreComposed,
    /// Keys of messages lose the blanks around them.
    KeysAreTrimmed,
    /// Blobs are found by the first bytes of their names.
    BlobNamesAreCut,
    /// `CreateOrResume` reopens a failed run.
    CreateOrResumeReopens,
    /// `CreateOrResume` compares no manifest.
    CreateOrResumeComparesNoManifest,
    /// A failed run is not finished, says the guard of a deletion.
    FailedRunsAreNotFinished,
    /// The digest of a commit leaves out what it takes.
    DigestLeavesOutTheTakes,
    /// The digest of a commit leaves out its blobs.
    DigestLeavesOutTheBlobs,
    /// The digest of a commit leaves out its trim.
    DigestLeavesOutTheTrim,
    /// The digest of a commit leaves out whether it advances.
    DigestLeavesOutAdvances,
    /// A batch of nothing fails.
    EmptyBatchesFail,
    /// A limit of 0 is taken for none.
    LimitOfNoneListsAll,
    /// A log is trimmed once.
    SecondTrimIsIgnored,
}

use Blind::*;

/// Each of them, and the case that catches it.
pub(crate) const BLIND: &[(Blind, &str)] = &[
    (ReleaseForgetsKeys, "inbox/messages-already-seen-wake-nobody"),
    (TrimForgetsKeys, "differential/inboxes-answer-as-the-model-does"),
    (ReopeningForgetsRecordIds, "commit/a-record-id-is-remembered-over-a-reopening"),
    (ReopeningForgetsTheNote, "differential/opens-renewals-and-deletions-answer-as-the-model-does"),
    (ReopeningForgetsTheCommit, "lost-ack/after-a-reopen-of-a-failed-run-it-is-the-same-commit"),
    (ReopeningCountsALapse, "open/a-failed-run-is-reopened-only-when-asked"),
    (ReusedIdsOfAnOlderFenceAreFenced, "commit/id-reused-comes-before-fenced"),
    (HugeTtlsOverflow, "leases/a-renewal-may-be-for-ever"),
    (HugeRenewalsOverflow, "leases/a-renewal-may-be-for-ever"),
    (HugeRetentionsOverflow, "commit/retention-counts-from-the-commit"),
    (DroppedBlobsComeBackAsTheyWere, "blobs/a-dropped-blob-can-be-stored-again"),
    (DroppedBlobsStayDropped, "blobs/a-dropped-blob-can-be-stored-again"),
    (SizesKeepDroppedBlobs, "blobs/a-blob-is-dropped-on-request"),
    (FollowersIgnoreTheLimit, "streams/following-a-finished-run-ends"),
    (InboxFollowersGoOnInAnotherLife, "inbox/a-follower-of-an-inbox-gets-not-found"),
    (ReversePagesLoseOne, "streams/every-bound-from-the-start"),
    (InboxLimitCountsWhatWasTaken, "inbox/every-span-gives-what-waits-in-it"),
    (BatchesHaveACommitsLimit, "commit/a-batch-may-be-larger-than-a-commit"),
    (DroppedCommitsHoldTheLock, "lost-ack/a-commit-dropped-after-some-polls-is-settled"),
    (PrefixesEndBelowTheAstral, "listing/by-prefix-as-bytes"),
    (OrBeforeZeroIsNone, "differential/reads-answer-as-the-model-does"),
    (SnapshotsAtZeroAreDropped, "snapshots/a-snapshot-is-any-bytes"),
    (RecordsEndADraft, "open/a-draft-continues-the-log-of-its-origin"),
    (TakeoversEndADraft, "differential/opens-renewals-and-deletions-answer-as-the-model-does"),
    (RepeatsUnderAnotherIdConflict, "inbox/the-same-content-again-is-repeated"),
    (DeletedParentsAreForgotten, "deletion/other-runs-stay"),
    (ParentsMustExist, "open/info-round-trips"),
    (RunIdsAreComposed, "ids/odd-ids-are-ordinary-ids"),
    (KeysAreTrimmed, "ids/odd-messages-come-back"),
    (BlobNamesAreCut, "blobs/names-that-are-nearly-alike-stay-apart"),
    (CreateOrResumeReopens, "differential/listings-answer-as-the-model-does"),
    (CreateOrResumeComparesNoManifest, "open/another-manifest-is-refused-of-a-live-run"),
    (FailedRunsAreNotFinished, "deletion/finished-removes-a-finished-run"),
    (DigestLeavesOutTheTakes, "lost-ack/the-same-id-with-other-content-is-reused"),
    (DigestLeavesOutTheBlobs, "lost-ack/the-same-id-with-other-content-is-reused"),
    (DigestLeavesOutTheTrim, "lost-ack/the-same-id-with-other-content-is-reused"),
    (DigestLeavesOutAdvances, "lost-ack/the-same-id-with-other-content-is-reused"),
    (EmptyBatchesFail, "commit/an-empty-batch-has-no-answers"),
    (LimitOfNoneListsAll, "listing/a-limit-cuts-the-listing"),
    (SecondTrimIsIgnored, "snapshots/a-trim-past-the-second-newest-is-refused"),
];

/// A good store with one of them around it.
#[derive(Clone, Debug)]
struct Shipped {
    good: Broken,
    blind: Blind,
    shared: Arc<Shared>,
}

/// What every handle of a scope has of the flaw.
#[derive(Debug, Default)]
struct Shared {
    commits: Mutex<BTreeMap<u128, Commit>>,
    dropped: Mutex<BTreeMap<(RunId, [u8; 32]), Bytes>>,
    busy: AtomicBool,
}

pub(crate) fn shipped(blind: Blind) -> Harness {
    let mut tuning = Tuning::default();
    tuning.timeout = Duration::from_secs(6);
    harness(format!("{blind:?}"), move |scope: Scope| async move {
        let all = Capabilities::all(Durability::Process);
        let offered = match blind {
            BatchesHaveACommitsLimit => {
                all.limits(Limits { record: 4 << 10, commit: 40 << 10, ..Limits::DEFAULT })
            }
            _ => all,
        };
        let good = Broken::offering(&scope, offered);
        Ok(Shipped { good, blind, shared: scope.shared(Arc::default) })
    })
    .with_clock()
    .with_tuning(tuning)
}

impl Shipped {
    fn has(&self, blind: Blind) -> bool {
        self.blind == blind
    }

    /// Does something to the run as it stands.
    fn touch(&self, run: &RunId, work: impl FnOnce(&mut Run)) {
        if let Ok(mut data) = self.good.data()
            && let Some(run) = data.runs.get_mut(run)
        {
            work(run);
        }
    }

    fn name(&self, run: &RunId) -> RunId {
        match self.blind {
            RunIdsAreComposed => {
                let composed = run.as_str().replace("e\u{301}", "é").replace("a\u{308}", "ä");
                RunId::new(composed).unwrap_or_else(|_| run.clone())
            }
            _ => run.clone(),
        }
    }

    /// The same commit as the one of this id before, as far as this store looks.
    fn as_digested(&self, commit: Commit) -> Commit {
        let mut known = self.shared.commits.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = known.get(&commit.id.0).cloned() else {
            known.insert(commit.id.0, commit.clone());
            return commit;
        };
        let mut same = commit.clone();
        match self.blind {
            DigestLeavesOutTheTakes => same.take.clone_from(&first.take),
            DigestLeavesOutTheBlobs => same.blobs.clone_from(&first.blobs),
            DigestLeavesOutTheTrim => same.trim = first.trim,
            DigestLeavesOutAdvances => same.advances = first.advances,
            _ => return commit,
        }
        if same == first { first } else { commit }
    }
}

const HUGE: Duration = Duration::from_secs(3_000_000_000);

/// What an instant so far away comes to.
const OVERFLOWN: Duration = Duration::from_micros(1);

#[async_trait]
impl Store for Shipped {
    fn capabilities(&self) -> Capabilities {
        self.good.capabilities()
    }

    async fn open(&self, run: &RunId, mut open: Open) -> Result<Opened> {
        let run = &self.name(run);
        if self.has(HugeTtlsOverflow) && open.ttl > HUGE {
            open.ttl = OVERFLOWN;
        }
        let before = self.good.head(run).await?;
        if let (true, Some(parent)) =
            (self.has(ParentsMustExist), open.info.as_ref().and_then(|i| i.parent.as_ref()))
            && self.good.head(parent).await?.is_none()
        {
            let error = Error::new(ErrorKind::Invalid, "the parent is not there").with_applied(Applied::No);
            return Err(error.during("shipped", Operation::Open, Some(run)));
        }
        if open.mode == Mode::CreateOrResume && before.is_some() {
            open.reopen_failed |= self.has(CreateOrResumeReopens);
            if self.has(CreateOrResumeComparesNoManifest) {
                open.manifest = before.as_ref().map(|head| head.manifest);
            }
        }
        let opened = self.good.open(run, open).await?;
        let reopened = before.as_ref().is_some_and(|head| head.outcome.is_some());
        let taken = before.as_ref().is_some_and(|head| head.fence != opened.fence);
        self.touch(run, |run| match self.blind {
            ReopeningForgetsRecordIds if reopened => run.record_ids.clear(),
            ReopeningForgetsTheNote if reopened => run.head.note = None,
            ReopeningForgetsTheCommit if reopened => run.last_commit = None,
            ReopeningCountsALapse if reopened && taken => run.head.lapses = 1,
            TakeoversEndADraft if taken => run.head.draft = false,
            _ => {}
        });
        Ok(opened)
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        let commit = self.as_digested(Commit { run: self.name(&commit.run), ..commit });
        let run = commit.run.clone();
        if self.has(DroppedCommitsHoldTheLock) {
            while self.shared.busy.swap(true, Ordering::AcqRel) {
                tokio::time::sleep(Duration::from_micros(50)).await;
            }
            tokio::task::yield_now().await;
        }
        let mut known = None;
        let mut commit = commit;
        self.touch(&run, |run| known = run.last_commit.clone());
        if let (true, Some(last)) = (self.has(ReusedIdsOfAnOlderFenceAreFenced), known)
            && last.id == commit.id
            && last.fence != commit.fence
        {
            let current = self.good.head(&run).await?.map_or(commit.fence, |head| head.fence);
            let error = Error::from(Refusal::Fenced { current });
            return Err(error.during("shipped", Operation::Commit, Some(&run)));
        }
        if let (true, Some(finish)) = (self.has(HugeRetentionsOverflow), &mut commit.finish)
            && let Retain::KeepFor(keep) = &mut finish.retain
            && *keep > HUGE
        {
            *keep = Duration::ZERO;
        }
        if self.has(SecondTrimIsIgnored) && self.good.head(&run).await?.is_some_and(|head| head.first > 1) {
            commit.trim = None;
        }
        if self.has(SnapshotsAtZeroAreDropped) && commit.snapshot.as_ref().is_some_and(|s| s.cursor == 0) {
            commit.snapshot = None;
        }
        let key = |name: &Digest| (run.clone(), name.0);
        {
            let mut dropped = self.shared.dropped.lock().unwrap_or_else(PoisonError::into_inner);
            if self.has(DroppedBlobsComeBackAsTheyWere) {
                for blob in &mut commit.blobs {
                    if let Some(body) = dropped.get(&key(&blob.name)) {
                        blob.body = body.clone();
                    }
                }
            }
            let mut old = Vec::new();
            self.touch(&run, |run| {
                let of = |name: &Digest| Some((*name, run.blobs.get(name)?.clone()));
                old = commit.drop_blobs.iter().filter_map(of).collect();
            });
            for (name, body) in old {
                dropped.insert(key(&name), body);
            }
        }
        let blobs: Vec<Digest> = commit.blobs.iter().map(|blob| blob.name).collect();
        let (releases, trims, records) =
            (matches!(commit.lease, LeaseChange::Release(_)), commit.trim.is_some(), commit.records.len());
        let dropping = commit.drop_blobs.clone();
        let sizes = self.good.head(&run).await?.map(|head| head.sizes);
        let answer = self.good.commit(commit).await;
        self.shared.busy.store(false, Ordering::Release);
        let committed = answer?;
        if committed.replayed {
            return Ok(committed);
        }
        self.touch(&run, |run| match self.blind {
            ReleaseForgetsKeys if releases => run.keys.clear(),
            TrimForgetsKeys if trims => run.keys.clear(),
            RecordsEndADraft if records > 0 => run.head.draft = false,
            SizesKeepDroppedBlobs if !dropping.is_empty() => {
                run.head.sizes.blobs = sizes.map_or(0, |sizes| sizes.blobs);
            }
            DroppedBlobsStayDropped => {
                let dropped = self.shared.dropped.lock().unwrap_or_else(PoisonError::into_inner);
                for name in &blobs {
                    if dropped.contains_key(&key(name)) {
                        run.blobs.remove(name);
                    }
                }
            }
            _ => {}
        });
        Ok(committed)
    }

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        if self.has(EmptyBatchesFail) && commits.is_empty() {
            return vec![Err(Error::new(ErrorKind::Invalid, "nothing to commit"))];
        }
        let total: usize =
            commits.iter().flat_map(|commit| &commit.records).map(|record| record.body.len()).sum();
        if self.has(BatchesHaveACommitsLimit) && total as u64 > self.capabilities().limits.commit {
            let refuse = |commit: &Commit| {
                let error =
                    Error::new(ErrorKind::TooLarge, "the batch is too large").with_applied(Applied::No);
                Err(error.during("shipped", Operation::Commit, Some(&commit.run)))
            };
            return commits.iter().map(refuse).collect();
        }
        milepost_store_memory::one_by_one(self, "shipped", commits).await
    }

    async fn renew(&self, run: &RunId, mut renew: Renew) -> Result<()> {
        if self.has(HugeRenewalsOverflow) && renew.ttl > HUGE {
            renew.ttl = OVERFLOWN;
        }
        self.good.renew(&self.name(run), renew).await
    }

    async fn send(&self, run: &RunId, mut message: NewMessage) -> Result<Sent> {
        let run = &self.name(run);
        if self.has(KeysAreTrimmed) {
            message.key = MessageKey::new(message.key.as_str().trim()).unwrap_or(message.key);
        }
        let id = message.id;
        let key = message.key.clone();
        let sent = self.good.send(run, message).await?;
        if self.has(RepeatsUnderAnotherIdConflict)
            && let Sent::Repeated { number } = sent
        {
            let mut other = false;
            self.touch(run, |run| {
                other = run.messages.values().any(|waiting| waiting.key == key && waiting.id != id);
            });
            if other {
                return Ok(Sent::Conflicting { number });
            }
        }
        Ok(sent)
    }

    async fn delete(&self, run: &RunId, guard: Delete) -> Result<bool> {
        let run = &self.name(run);
        let head = self.good.head(run).await?;
        let failed = head.as_ref().is_some_and(|head| matches!(head.outcome, Some(Outcome::Failed { .. })));
        if let (true, true, Delete::Finished(_), Some(head)) =
            (self.has(FailedRunsAreNotFinished), failed, guard, head)
        {
            let error = Error::from(Refusal::Conflict { head: Box::new(head), clash: Clash::NotFinished });
            return Err(error.during("shipped", Operation::Delete, Some(run)));
        }
        let deleted = self.good.delete(run, guard).await?;
        if self.has(DeletedParentsAreForgotten)
            && let Ok(mut data) = self.good.data()
        {
            for other in data.runs.values_mut() {
                if other.head.info.parent.as_ref() == Some(run) {
                    other.head.info.parent = None;
                }
            }
        }
        self.shared.dropped.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _), _| of != run);
        Ok(deleted)
    }

    async fn head(&self, run: &RunId) -> Result<Option<Head>> {
        self.good.head(&self.name(run)).await
    }

    async fn snapshot(&self, run: &RunId, at: At) -> Result<Option<Snapshot>> {
        let snapshot = self.good.snapshot(&self.name(run), at).await?;
        Ok(snapshot.filter(|_| !(self.has(OrBeforeZeroIsNone) && at == At::OrBefore(0))))
    }

    fn stream(&self, run: &RunId, mut span: Span) -> BoxStream<'static, Result<Record>> {
        if self.has(FollowersIgnoreTheLimit) && span.follow {
            span.limit = None;
        }
        let loses = self.has(ReversePagesLoseOne) && span.reverse;
        let page = span.page.map_or(usize::MAX, |page| page as usize);
        let stream = self.good.stream(&self.name(run), span);
        let lost = move |(number, record)| {
            let lost = loses && number > 0 && number % page == 0;
            std::future::ready((!lost).then_some(record))
        };
        stream.enumerate().filter_map(lost).boxed()
    }

    fn inbox(&self, run: &RunId, mut span: Span) -> BoxStream<'static, Result<Message>> {
        let run = &self.name(run);
        if self.has(InboxLimitCountsWhatWasTaken)
            && let Some(limit) = span.limit.take()
            && !span.reverse
        {
            span.until = Some(span.until.unwrap_or(u64::MAX).min(span.after.saturating_add(limit)));
        }
        if self.has(InboxFollowersGoOnInAnotherLife) && span.follow {
            let (store, run, bound) = (self.good.clone(), run.clone(), span.incarnation.is_some());
            let first = store.inbox(&run, span);
            if bound {
                return first;
            }
            let then = futures_util::stream::once(async move {
                for _ in 0..200 {
                    if store.head(&run).await.ok().flatten().is_some_and(|head| head.outcome.is_none()) {
                        return store.inbox(&run, span);
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                futures_util::stream::empty().boxed()
            });
            let ended = |item: &Result<Message>| {
                std::future::ready(!item.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound))
            };
            return first.take_while(ended).chain(then.flatten()).boxed();
        }
        self.good.inbox(run, span)
    }

    async fn blob(&self, run: &RunId, name: &Digest) -> Result<Option<Bytes>> {
        let run = &self.name(run);
        let found = self.good.blob(run, name).await?;
        if found.is_none() && self.has(BlobNamesAreCut) {
            let mut near = None;
            self.touch(run, |run| {
                let same = |other: &&Digest| other.0[..8] == name.0[..8];
                near = run.blobs.keys().find(same).and_then(|other| run.blobs.get(other)).cloned();
            });
            return Ok(near);
        }
        Ok(found)
    }

    fn blobs(&self, run: &RunId) -> BoxStream<'static, Result<BlobInfo>> {
        self.good.blobs(&self.name(run))
    }

    fn list(&self, mut query: Query) -> BoxStream<'static, Result<Head>> {
        if self.has(LimitOfNoneListsAll) && query.limit == Some(0) {
            query.limit = None;
        }
        let prefix = query.id_prefix.clone().filter(|_| self.has(PrefixesEndBelowTheAstral));
        let heads = self.good.list(query);
        let found = move |head: &Result<Head>| {
            let beyond = prefix.as_ref().zip(head.as_ref().ok()).is_some_and(|(prefix, head)| {
                let rest = head.run.as_str().strip_prefix(prefix.as_str()).unwrap_or_default();
                rest.chars().next().is_some_and(|first| first > '\u{ffff}')
            });
            std::future::ready(!beyond)
        };
        heads.filter(found).boxed()
    }

    async fn close(&self) -> Result<()> {
        self.good.close().await
    }
}
