//! Broken checkpointers: each stands over a good one and spoils one thing that a program relies on.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use async_trait::async_trait;
use milepost_checkpoint::Checkpoints;
use milepost_core::*;

use crate::fault::Fault::{self, *};

/// What all factories of a harness share.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    saves: AtomicU32,
    /// The newest state but one of each run, for who restores an older one.
    older: Mutex<HashMap<RunId, Bytes>>,
}

/// A good factory with a fault in front of it.
#[derive(Clone, Debug)]
pub(crate) struct Faulty {
    good: Checkpoints,
    fault: Fault,
    memory: Arc<Memory>,
}

impl Faulty {
    /// Over the kit's own checkpoints.
    pub(crate) fn over(good: Checkpoints, fault: Fault, memory: Arc<Memory>) -> Self {
        Self { good, fault, memory }
    }

    fn begun(&self, begun: Begun) -> Begun {
        match begun {
            Begun::Driving(good) => Begun::Driving(Box::new(Spoiled {
                fault: self.fault,
                factory: self.clone(),
                good,
                held: None,
                last: None,
                saves: 0,
                ended: false,
            })),
            Begun::Finished(_) if self.fault == DrivesWhatHasFinished => Begun::Off,
            begun => begun,
        }
    }

    async fn over_the_owner(&self, run: &RunId, mut begin: Begin) -> Result<Begin> {
        if let Some(head) = self.good.store().head(run).await? {
            begin = begin.over(head.fence);
        }
        Ok(begin)
    }
}

#[async_trait]
impl CheckpointerFactory for Faulty {
    async fn begin(&self, mut begin: Begin) -> Result<Begun> {
        let run = begin.run.clone();
        match self.fault {
            BeginsWhatExists => begin.mode = Mode::CreateOrResume,
            BeginsWhatFailed => begin.reopen_failed = true,
            BeginsWhatIsDriven => begin = self.over_the_owner(&run, begin).await?,
            BeginsAnotherManifest => {
                if let Some(head) = self.good.store().head(&run).await? {
                    begin.manifest = head.manifest;
                }
            }
            _ => {}
        }
        match self.good.begin(begin).await {
            Err(error) if self.fault == IsOffWhenOutOfReach && error.kind().is_transient() => Ok(Begun::Off),
            Err(error)
                if self.fault == IsOffThoughItMayBeThere && error.applied() == Some(Applied::Maybe) =>
            {
                Ok(Begun::Off)
            }
            begun => {
                let mut begun = self.begun(begun?);
                if let (ReleasesWhenDropped, Begun::Driving(driver)) = (self.fault, &mut begun) {
                    driver.release(Wake::now()).await?;
                }
                Ok(begun)
            }
        }
    }

    async fn resume(&self, run: &RunId) -> Result<Begun> {
        match self.good.resume(run).await {
            Err(error) if self.fault == ResumesWhatIsNotThere && error.kind() == ErrorKind::NotFound => {
                let begin = Begin::new(run.clone(), RunInfo::named("case"), Manifest::of(b"case"));
                self.good.begin(begin).await.map(|begun| self.begun(begun))
            }
            begun => begun.map(|begun| self.begun(begun)),
        }
    }

    fn interrupted(&self) -> BoxStream<'static, Result<Head>> {
        match self.fault {
            ListsEveryRun => self.good.store().list(Query::all()),
            ListsTheFirstAlone => self.good.store().list(Query { limit: Some(1), ..Query::interrupted() }),
            _ => self.good.interrupted(),
        }
    }
}

/// A good checkpointer with a fault in front of it.
#[derive(Debug)]
struct Spoiled {
    fault: Fault,
    factory: Faulty,
    good: Box<dyn Checkpointer>,
    /// What the throttle holds, or a fault.
    held: Option<Bytes>,
    /// The state that was given last.
    last: Option<Bytes>,
    saves: u32,
    ended: bool,
}

impl Spoiled {
    /// Another checkpointer in place of the good one, which knows nothing of what is pending.
    async fn begin_anew(&mut self) -> Result<()> {
        let (Some(run), Some(fence)) = (self.good.run().cloned(), self.good.fence()) else { return Ok(()) };
        let begin = Begin::new(run, RunInfo::named("case"), Manifest::of(b"case")).or_resume().over(fence);
        if let Begun::Driving(good) = self.factory.good.begin(begin).await? {
            self.good = good;
        }
        Ok(())
    }

    /// Ends the run by a commit of its own that carries nothing else.
    async fn end_bare(&mut self, fill: impl FnOnce(Commit) -> Commit) -> Result<()> {
        let (Some(run), Some(fence)) = (self.good.run().cloned(), self.good.fence()) else { return Ok(()) };
        let store = self.factory.good.store().clone();
        let head = store.head(&run).await?.ok_or(Refusal::NotFound)?;
        store.commit(fill(Commit::new(run, fence, SystemIds.operation(), head.version))).await.map(drop)
    }

    fn persisted(&self) -> Saved {
        Saved::Persisted { cursor: self.good.cursor() }
    }

    fn remember(&mut self, state: &Bytes) {
        let mut older = self.factory.memory.older.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(run), Some(last)) = (self.good.run(), self.last.replace(state.clone())) {
            older.insert(run.clone(), last);
        }
    }

    async fn spoil_save(&mut self, state: Bytes) -> Result<Saved> {
        self.saves += 1;
        match self.fault {
            ThrottlesTheFirstSave if self.saves == 1 => {
                self.held = Some(state);
                return Ok(Saved::Throttled);
            }
            ThrottlesTheFactory if self.factory.memory.saves.fetch_add(1, Ordering::Relaxed) > 0 => {
                self.held = Some(state);
                return Ok(Saved::Throttled);
            }
            SavesOneBehind => {
                let before = self.held.replace(state.clone()).unwrap_or(state);
                return self.good.save(before).await;
            }
            GoesOnAfterItsEnd if self.ended => return Ok(Saved::Unchanged),
            _ => {}
        }
        self.remember(&state);
        let saved = self.good.save(state.clone()).await;
        match (self.fault, saved) {
            (SaysPersistedWhenThrottled, Ok(Saved::Throttled)) => Ok(self.persisted()),
            (SavesUnchangedStates, Ok(Saved::Unchanged)) => {
                self.end_bare(|commit| commit).await?;
                Ok(self.persisted())
            }
            (TellsTheNextCursor, Ok(Saved::Persisted { cursor })) => {
                Ok(Saved::Persisted { cursor: cursor + 1 })
            }
            (SwallowsErrors, Err(_)) => Ok(self.persisted()),
            (IgnoresTheLostLease, Err(error)) if error.kind() == ErrorKind::Fenced => Ok(self.persisted()),
            (SaysNoAfterMaybe, Err(error)) if error.refusal().is_some() => {
                Err(error.with_applied(Applied::No))
            }
            (CallsEveryErrorTransient, Err(error)) => {
                Err(Error::new(ErrorKind::Unavailable, error.to_string()))
            }
            (ForgetsTheStateThatFailed, Err(error)) => {
                self.begin_anew().await?;
                Err(error)
            }
            (fault, saved) => {
                if matches!(saved, Ok(Saved::Throttled)) && fault != FlushesNothing {
                    self.held = Some(state);
                }
                saved
            }
        }
    }

    /// Whether the state that is held gets lost with this end.
    fn loses(&self, fault: Fault) -> bool {
        self.fault == fault && self.held.is_some()
    }

    /// What an end answers that was asked for again.
    fn again(&self) -> Option<Result<()>> {
        (self.fault == EndsTwice && self.ended).then_some(Ok(()))
    }
}

#[async_trait]
impl Checkpointer for Spoiled {
    fn run(&self) -> Option<&RunId> {
        self.good.run()
    }

    fn fence(&self) -> Option<Fence> {
        self.good.fence()
    }

    fn cursor(&self) -> Cursor {
        self.good.cursor()
    }

    fn capabilities(&self) -> Capabilities {
        self.good.capabilities()
    }

    fn restored(&mut self) -> Option<Restored> {
        let mut restored = self.good.restored();
        match (self.fault, &mut restored) {
            (RestoresNothing, Some(restored)) => *restored = Restored::default(),
            (RestoresAnOlderState, Some(restored)) => {
                let older = self.factory.memory.older.lock().unwrap_or_else(PoisonError::into_inner);
                let older = self.good.run().and_then(|run| older.get(run));
                restored.state = older.cloned().or(restored.state.take());
            }
            (RestoresTwice, _) => return restored.or(Some(Restored::default())),
            (RestoresWithoutRecords, Some(restored)) => restored.records.clear(),
            (RestoresAnEmptyStateForNone, Some(restored)) => {
                restored.state.get_or_insert_default();
            }
            _ => {}
        }
        restored
    }

    async fn save(&mut self, state: Bytes) -> Result<Saved> {
        self.spoil_save(state).await
    }

    async fn append(&mut self, records: Vec<NewRecord>) -> Result<Cursor> {
        let count = records.len() as u64;
        let appended = self.good.append(records.clone()).await;
        match (self.fault, appended) {
            (TellsTheFirstCursorOfAnAppend, Ok(cursor)) => Ok(cursor + 1 - count.max(1)),
            (ForgetsRecordsThatFailed, Err(error)) => {
                self.begin_anew().await?;
                Err(error)
            }
            (AppendsAgainAfterDoubt, Err(error)) if error.applied() == Some(Applied::Maybe) => {
                self.good.append(records).await
            }
            (_, appended) => appended,
        }
    }

    async fn checkpoint(&mut self, state: Bytes) -> Result<Cursor> {
        if self.fault == ThrottlesCheckpoints {
            self.good.save(state).await?;
            return Ok(self.good.cursor());
        }
        self.good.checkpoint(state).await
    }

    async fn flush(&mut self) -> Result<Saved> {
        match self.fault {
            FlushesNothing => Ok(Saved::Unchanged),
            _ => self.good.flush().await,
        }
    }

    async fn renew(&mut self) -> Result<()> {
        if self.fault == RenewsNothing { Ok(()) } else { self.good.renew().await }
    }

    async fn release(&mut self, wake: Wake) -> Result<()> {
        if let Some(answer) = self.again() {
            return answer;
        }
        self.ended = true;
        match self.fault {
            ReleasesAtOnce => self.good.release(Wake::now()).await,
            KeepsTheLeaseAtTheRelease => self.good.flush().await.map(drop),
            _ if self.loses(ReleasesWithoutTheHeldState) => {
                self.end_bare(|commit| commit.release(wake)).await
            }
            _ => self.good.release(wake).await,
        }
    }

    async fn complete(&mut self, output: Bytes) -> Result<()> {
        if let Some(answer) = self.again() {
            return answer;
        }
        self.ended = true;
        if self.loses(CompletesWithoutTheHeldState) {
            let outcome = Outcome::Completed { output };
            return self.end_bare(|commit| commit.finish(outcome, Retain::Keep)).await;
        }
        let output = if self.fault == CompletesWithoutTheOutput { Bytes::new() } else { output };
        self.good.complete(output).await
    }

    async fn fail(&mut self, failure: Failure) -> Result<()> {
        if let Some(answer) = self.again() {
            return answer;
        }
        self.ended = true;
        match self.fault {
            FailsAsCompleted => self.good.complete(Bytes::new()).await,
            FailsWithAnotherKind => self.good.fail(Failure { kind: FailureKind::Operator, ..failure }).await,
            _ if self.loses(FailsWithoutTheHeldState) => {
                let outcome = Outcome::Failed { failure };
                self.end_bare(|commit| commit.finish(outcome, Retain::Keep)).await
            }
            _ => self.good.fail(failure).await,
        }
    }
}
