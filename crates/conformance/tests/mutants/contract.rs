//! The store of the rules, method by method.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use async_trait::async_trait;
use futures_util::{
    StreamExt,
    future::{lazy, ready},
    stream,
};
use milepost_core::*;

use crate::{
    flaw::*,
    list,
    narrow::About,
    read,
    rules::{Mint, Run},
    store::Broken,
};

/// What a run that is created anew finds of the one that was deleted, which is nothing in a good store.
fn inherit(store: &Broken, run: &mut Run, old: Run) {
    match store.rules.flaw {
        Some(DeletionLeavesRecords) => {
            (run.head.cursor, run.records) = (old.head.cursor, old.records);
        }
        Some(DeletionLeavesMessages) => {
            (run.head.newest_message, run.messages, run.keys) =
                (old.head.newest_message, old.messages, old.keys);
        }
        Some(DeletionLeavesKeys) => run.keys = old.keys,
        Some(DeletionLeavesRecordIds) => run.record_ids = old.record_ids,
        Some(DeletionLeavesBlobs) => run.blobs = old.blobs,
        Some(DeletionLeavesSnapshots) => run.snapshots = old.snapshots,
        Some(DeletionLeavesTheCommit) => run.last_commit = old.last_commit,
        Some(DeletionLeavesTheNote) => run.head.note = old.head.note,
        Some(DeletionLeavesTheVersion) => {
            run.head.version = old.head.version + 1;
            run.last_open.version = run.head.version;
        }
        Some(DeletionLeavesTheCursor) => {
            (run.head.cursor, run.head.first) = (old.head.cursor, old.head.cursor + 1);
        }
        Some(DeletionLeavesTheInfo) => run.head.info = old.head.info,
        _ => {}
    }
}

fn failed<T: Send + 'static>(error: Error) -> BoxStream<'static, Result<T>> {
    stream::once(ready(Err(error))).boxed()
}

impl Broken {
    /// The runs that a deletion takes along.
    fn delete_others(&self, run: &RunId) -> Result<()> {
        let mut data = self.data()?;
        let (name, key) = (run.as_str(), self.key(run));
        match self.rules.flaw {
            Some(DeletionTakesPrefixes) => {
                data.runs.retain(|id, _| *id == key || !id.as_str().starts_with(name))
            }
            Some(DeletionTakesPatterns) => {
                let stem = name.split(['*', '%', '?']).next().unwrap_or_default();
                let pattern = stem.len() < name.len();
                data.runs.retain(|id, _| *id == key || !pattern || !id.as_str().starts_with(stem));
            }
            Some(DeletionTakesChildren) => {
                data.runs.retain(|_, other| other.head.info.parent.as_ref() != Some(run));
            }
            _ => {}
        }
        Ok(())
    }

    /// What other runs have under a name that should be this run's alone.
    fn mix(&self, run: &RunId) -> Result<()> {
        let (key, mut data) = (self.key(run), self.data()?);
        let others: Vec<Run> =
            data.runs.iter().filter(|(id, _)| **id != key).map(|(_, run)| run.clone()).collect();
        let Some(own) = data.runs.get_mut(&key) else { return Ok(()) };
        for other in others {
            match self.rules.flaw {
                Some(BlobsAreShared) => own.blobs.extend(other.blobs),
                Some(KeysAreShared) => own.keys.extend(other.keys),
                Some(RecordIdsAreShared) => own.record_ids.extend(other.record_ids),
                Some(SnapshotsAreShared) => own.snapshots.extend(other.snapshots),
                Some(OperationIdsAreShared) => own.last_commit = own.last_commit.take().or(other.last_commit),
                _ => {}
            }
        }
        Ok(())
    }

    fn mixes(&self) -> bool {
        self.rules.has_any(&[
            BlobsAreShared,
            KeysAreShared,
            RecordIdsAreShared,
            SnapshotsAreShared,
            OperationIdsAreShared,
        ])
    }

    fn batch_verdict(&self, run: &RunId, twice: bool) -> Option<Error> {
        let error = Error::new(ErrorKind::Invalid, "a run occurs at most once in a batch of commits");
        twice.then(|| error.with_applied(Applied::No).during("broken", Operation::Commit, Some(run)))
    }
}

#[async_trait]
impl Store for Broken {
    fn capabilities(&self) -> Capabilities {
        let offered = self.rules.offered;
        match self.rules.flaw {
            Some(SecondHandleOffersLess) if self.number % 2 == 1 => offered.without(Capability::Follow),
            Some(OfferGrowsWithUse) if self.world.commits.load(Ordering::Relaxed) == 0 => {
                offered.without(Capability::BatchCommit)
            }
            _ => offered,
        }
    }

    async fn open(&self, run: &RunId, open: Open) -> Result<Opened> {
        self.check_open(run, &open).map_err(|error| self.told(error, Operation::Open, run))?;
        let left = self
            .data()
            .map_err(|error| self.told(error, Operation::Open, run))?
            .left
            .get(&self.key(run))
            .cloned();
        if self.has(DeletedNamesAreTaken) && left.is_some() && open.mode != Mode::Resume {
            return Err(self.told(Refusal::AlreadyExists.into(), Operation::Open, run));
        }
        let ids = SystemIds;
        let mint = Mint { incarnation: ids.incarnation(), token: ids.token() };
        let racy = if open.mode == Mode::Resume { RacyTakeover } else { RacyCreation };
        let about = About::open(&open);
        let open_or_inherit = |slot: &mut Option<Run>, now| {
            let is_new = slot.is_none();
            let mut opened = self.rules.open(slot, run, open, mint, now)?;
            if is_new && let (Some(run), Some(old)) = (slot, left) {
                inherit(self, run, old);
                opened.head = run.head(now);
            }
            Ok(opened)
        };
        self.write(run, Operation::Open, (racy, about), open_or_inherit).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        let run = commit.run.clone();
        let told = |error| self.told(error, Operation::Commit, &run);
        let commit = self.check_commit(commit).map_err(told)?;
        if self.mixes() {
            self.mix(&run).map_err(told)?;
        }
        if self.has(DeletedRunsComeBack) {
            let mut data = self.data().map_err(told)?;
            if let Some(left) = data.left.remove(&self.key(&run)) {
                data.runs.entry(self.key(&run)).or_insert(left);
            }
        }
        match self.commit_one(commit).await {
            Err(error) if self.has(WritersOfDeletedRunsAreFenced) && error.kind() == ErrorKind::NotFound => {
                let left = self.data().map_err(told)?.left.get(&self.key(&run)).map(|old| old.head.fence);
                let current = left.ok_or(error)?;
                Err(told(Refusal::Fenced { current }.into()))
            }
            answer => answer,
        }
    }

    async fn commit_many(&self, mut commits: Vec<Commit>) -> Vec<Result<Committed>> {
        let mut seen = BTreeSet::new();
        let again = commits.iter().filter(|commit| !seen.insert(commit.run.clone()));
        let twice: BTreeSet<RunId> = again.map(|commit| commit.run.clone()).collect();
        for commit in &mut commits {
            match self.rules.flaw {
                Some(BatchesChangeNoLease) => commit.lease = LeaseChange::Keep,
                Some(BatchesEndNoRun) => commit.finish = None,
                Some(BatchesTakeNothing) => commit.take.clear(),
                Some(BatchesNeverAdvance) => commit.advances = false,
                _ => {}
            }
        }
        if self.has(BatchesEndAt100) {
            commits.truncate(100);
        }
        if self.has(BatchesAreSorted) {
            commits.sort_by(|one, other| one.run.cmp(&other.run));
        }
        let runs: Vec<RunId> = commits.iter().map(|commit| commit.run.clone()).collect();
        let near = |run: &RunId, at: usize| {
            runs.chunks(16).nth(at / 16).is_some_and(|some| some.iter().filter(|one| *one == run).count() > 1)
        };
        let mut answers: Vec<Result<Committed>> = Vec::with_capacity(commits.len());
        let mut met = BTreeSet::new();
        let mut store = self.clone();
        store.quiet = self.has(FollowersHearNoBatches);
        for (at, commit) in commits.into_iter().enumerate() {
            let run = commit.run.clone();
            let first = met.insert(run.clone());
            let invalid = match self.rules.flaw {
                Some(RunTwiceIsTaken) => false,
                Some(RunTwiceIsInvalidOnce) => !first,
                Some(RunTwiceIsSeenAmong16) => near(&run, at),
                Some(RunTwiceSpoilsTheBatch) => !twice.is_empty(),
                _ => twice.contains(&run),
            };
            let spoiled = answers.iter().rev().find_map(|answer| answer.as_ref().err()).map(Error::repeat);
            answers.push(match (self.rules.flaw, self.batch_verdict(&run, invalid), spoiled) {
                (Some(FailuresSpoilTheRestOfABatch), None, Some(error)) => Err(error),
                (_, Some(error), _) => Err(error),
                (Some(BatchesReplayNothing), ..) => {
                    store.commit(commit).await.map(|committed| Committed { replayed: false, ..committed })
                }
                (Some(BatchesAreNotChecked), ..) => store.commit_one(commit).await,
                _ => store.commit(commit).await,
            });
        }
        match self.rules.flaw {
            Some(BatchesAnswerInReverse) => answers.reverse(),
            Some(OneFailureFailsTheBatch) => {
                if let Some(error) =
                    answers.iter().find_map(|answer| answer.as_ref().err()).map(Error::repeat)
                {
                    answers.iter_mut().for_each(|answer| *answer = Err(error.repeat()));
                }
            }
            Some(BatchesAnswerWhatHeld) => answers.retain(Result::is_ok),
            _ => {}
        }
        answers
    }

    async fn renew(&self, run: &RunId, renew: Renew) -> Result<()> {
        self.check_renew(&renew).map_err(|error| self.told(error, Operation::Renew, run))?;
        self.write(run, Operation::Renew, (RacyRenewal, About::Renew), |slot, now| {
            self.rules.renew(Self::found(slot)?, renew, now)
        })
        .await
    }

    async fn send(&self, run: &RunId, message: NewMessage) -> Result<Sent> {
        self.check_send(run, &message).map_err(|error| self.told(error, Operation::Send, run))?;
        if self.mixes() {
            self.mix(run).map_err(|error| self.told(error, Operation::Send, run))?;
        }
        self.write(run, Operation::Send, (RacySend, About::Send), |slot, now| {
            self.rules.send(Self::found(slot)?, message, now)
        })
        .await
    }

    async fn delete(&self, run: &RunId, guard: Delete) -> Result<bool> {
        let deleted = self.write(run, Operation::Delete, (RacyDeletion, About::Delete), |slot, now| {
            let kept = slot.clone();
            let deleted = self.rules.delete(slot, guard, now);
            if self.has(DeletionDoesNothing) {
                *slot = kept;
            }
            deleted
        });
        let deleted = deleted.await?;
        self.delete_others(run)?;
        Ok(deleted)
    }

    async fn head(&self, run: &RunId) -> Result<Option<Head>> {
        let now = self.now();
        let head = self.read(run, Operation::Head, |run| Ok(run.head(now)));
        match head {
            Err(error) if error.kind() == ErrorKind::NotFound && !self.has(UnknownHeadsAreErrors) => Ok(None),
            Ok(head) if self.has(HeadsAreOfTheirLastWrite) => Ok(Some(Head { at: head.updated_at, ..head })),
            head => head.map(Some),
        }
    }

    async fn snapshot(&self, run: &RunId, at: At) -> Result<Option<Snapshot>> {
        self.check_at(at).map_err(|error| self.told(error, Operation::Snapshot, run))?;
        if self.mixes() {
            self.mix(run)?;
        }
        match self.read(run, Operation::Snapshot, |run| Ok(read::snapshot(&self.rules, run, at))) {
            Err(error) if error.kind() == ErrorKind::NotFound && self.has(UnknownRunsHaveNoSnapshot) => {
                Ok(None)
            }
            snapshot => snapshot,
        }
    }

    fn stream(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Record>> {
        match self.check_log(&span) {
            Ok(()) => read::stream(self, run, span, Operation::Stream),
            Err(error) => failed(self.told(error, Operation::Stream, run)),
        }
    }

    fn inbox(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Message>> {
        match self.check_inbox(&span) {
            Ok(()) => read::stream(self, run, span, Operation::Inbox),
            Err(error) => failed(self.told(error, Operation::Inbox, run)),
        }
    }

    async fn blob(&self, run: &RunId, name: &Digest) -> Result<Option<Bytes>> {
        self.check_blobs().map_err(|error| self.told(error, Operation::Blob, run))?;
        if self.mixes() {
            self.mix(run)?;
        }
        match self.read(run, Operation::Blob, |run| Ok(read::blob(&self.rules, run, name))) {
            Err(error) if error.kind() == ErrorKind::NotFound && self.has(UnknownRunsHaveNoBlob) => Ok(None),
            blob => blob,
        }
    }

    fn blobs(&self, run: &RunId) -> BoxStream<'static, Result<BlobInfo>> {
        let (store, name) = (self.clone(), run.clone());
        let look = move || {
            let read = || store.read(&name, Operation::Blobs, |run| Ok(read::blobs(&store.rules, run)));
            match store.check_blobs().and_then(|()| read()) {
                Ok(blobs) => stream::iter(blobs.into_iter().map(Ok)).boxed(),
                Err(error) => failed(store.told(error, Operation::Blobs, &name)),
            }
        };
        if self.has(BlobsAreReadAtTheCall) {
            look()
        } else {
            stream::once(lazy(move |_| look())).flatten().boxed()
        }
    }

    fn list(&self, query: Query) -> BoxStream<'static, Result<Head>> {
        match self.check_list(&query) {
            Ok(()) => list::stream(self, query),
            Err(error) => failed(error.during("broken", Operation::List, None)),
        }
    }

    async fn close(&self) -> Result<()> {
        if self.close_handle() && self.has(ClosingTwiceFails) {
            let error = Error::new(ErrorKind::Closed, "the store has been closed");
            return Err(error.during("broken", Operation::Close, None));
        }
        self.world.changed.send_replace(());
        Ok(())
    }
}
