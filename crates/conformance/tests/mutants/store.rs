//! A store in memory by the rules, with switches of its own: how it names, locks, batches, closes and forgets.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use milepost_conformance::Scope;
use milepost_core::*;
use tokio::sync::watch;

use crate::{
    flaw::*,
    narrow::{About, by_its_look, puts_back_all},
    rules::{Rules, Run},
};

/// What every handle of a scope shares.
#[derive(Debug)]
pub(crate) struct World {
    data: Mutex<Data>,
    clock: Arc<ManualClock>,
    pub(crate) changed: watch::Sender<()>,
    /// One writer at a time, for the flaws whose writes take their time in the sight of readers.
    writing: tokio::sync::Mutex<()>,
    /// For the flaws whose readers take them from everybody else.
    pub(crate) connections: tokio::sync::Semaphore,
    connected: AtomicU32,
    pub(crate) commits: AtomicU32,
}

#[derive(Debug, Default)]
pub(crate) struct Data {
    pub(crate) runs: BTreeMap<RunId, Run>,
    /// What deletions have left behind.
    pub(crate) left: BTreeMap<RunId, Run>,
    /// What lagging readers see.
    behind: BTreeMap<RunId, Run>,
}

impl Data {
    /// Puts a run back, or remembers what a deletion has taken.
    fn put(&mut self, key: &RunId, run: Option<Run>, old: Option<Run>) {
        match run {
            Some(run) => {
                self.runs.insert(key.clone(), run);
            }
            None => {
                self.runs.remove(key);
                self.left.extend(old.map(|old| (key.clone(), old)));
            }
        }
    }
}

/// A handle.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) rules: Rules,
    pub(crate) world: Arc<World>,
    closed: Arc<AtomicBool>,
    pub(crate) number: u32,
    /// Tells no follower of its writes.
    pub(crate) quiet: bool,
}

impl Broken {
    /// Another handle on the data of `scope`.
    pub(crate) fn connect(scope: &Scope, flaw: Option<Flaw>) -> Self {
        let offered = flaw.map_or(Capabilities::all(Durability::Process), Flaw::offered);
        Self { rules: Rules { flaw, offered }, ..Self::offering(scope, offered) }
    }

    /// Another handle on the data of `scope`, of a good store that declares this.
    pub(crate) fn offering(scope: &Scope, offered: Capabilities) -> Self {
        let world = scope.shared(|| {
            Arc::new(World {
                data: Mutex::default(),
                clock: scope.clock(),
                changed: watch::Sender::new(()),
                writing: tokio::sync::Mutex::default(),
                connections: tokio::sync::Semaphore::new(4),
                connected: AtomicU32::new(0),
                commits: AtomicU32::new(0),
            })
        });
        let number = world.connected.fetch_add(1, Ordering::Relaxed);
        Self { rules: Rules { flaw: None, offered }, world, closed: Arc::default(), number, quiet: false }
    }

    pub(crate) fn has(&self, flaw: Flaw) -> bool {
        self.rules.has(flaw)
    }

    /// The data, unless this handle was closed.
    pub(crate) fn data(&self) -> Result<MutexGuard<'_, Data>> {
        if self.closed.load(Ordering::Acquire) && !self.has(CloseDoesNothing) {
            let kind = if self.has(ClosedIsUnavailable) { ErrorKind::Unavailable } else { ErrorKind::Closed };
            return Err(Error::new(kind, "the store has been closed").with_applied(Applied::No));
        }
        Ok(self.world.data.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Closes this handle; tells whether it was closed already.
    pub(crate) fn close_handle(&self) -> bool {
        self.closed.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn now(&self) -> Timestamp {
        let now = self.world.clock.now();
        match self.rules.flaw {
            Some(CallersClockIsTrusted) if self.number % 2 == 1 => now + Duration::from_secs(3600),
            Some(ClockCountsSeconds) => Timestamp(now.0 / 1_000_000 * 1_000_000),
            _ => now,
        }
    }

    /// Under which name a run is kept.
    pub(crate) fn key(&self, run: &RunId) -> RunId {
        let name = run.as_str();
        let kept = match self.rules.flaw {
            Some(RunIdsIgnoreCase) => name.to_lowercase(),
            Some(RunIdsAreTrimmed) => name.trim().to_owned(),
            Some(RunIdsAreCut) => name[..name.floor_char_boundary(64)].to_owned(),
            Some(RunIdsLoseControlCharacters) => name.replace(char::is_control, ""),
            Some(RunIdsAreFileNames) => name.replace(['/', ':', '\\'], "_"),
            Some(RunIdsArePaths) => name.replace("//", "/"),
            _ => return run.clone(),
        };
        RunId::new(kept).unwrap_or_else(|_| run.clone())
    }

    /// Reads one run.
    pub(crate) fn read<T>(
        &self,
        run: &RunId,
        operation: Operation,
        work: impl FnOnce(&Run) -> Result<T>,
    ) -> Result<T> {
        let read = || {
            let data = self.data()?;
            let runs = if self.lags() { &data.behind } else { &data.runs };
            work(runs.get(&self.key(run)).ok_or(Refusal::NotFound)?)
        };
        read().map_err(|error| self.told(error, operation, run))
    }

    fn lags(&self) -> bool {
        self.has(SecondHandleLags) && self.number % 2 == 1
    }

    pub(crate) fn told(&self, error: Error, operation: Operation, run: &RunId) -> Error {
        let error = match self.rules.flaw {
            Some(RefusalsMayHaveApplied) if error.refusal().is_some() => error.with_applied(Applied::Maybe),
            Some(RefusalsAreUntyped) => Error::new(error.kind(), error.to_string()),
            Some(ConflictsAreBusy) if error.kind() == ErrorKind::Conflict => {
                Error::new(ErrorKind::Busy, "try again")
            }
            _ => error,
        };
        error.during("broken", operation, Some(run))
    }

    /// Applies one write in one step, unless `racy`, or how it looks first, is how this store is broken.
    pub(crate) async fn write<T>(
        &self,
        run: &RunId,
        operation: Operation,
        (racy, about): (Flaw, About),
        work: impl FnOnce(&mut Option<Run>, Timestamp) -> Result<T> + Send,
    ) -> Result<T> {
        let key = self.key(run);
        let answer = if self.has(racy) {
            let slot = self.data().map(|data| data.runs.get(&key).cloned());
            tokio::task::yield_now().await;
            slot.and_then(|mut slot| {
                let old = slot.clone();
                let answer = work(&mut slot, self.now());
                // A refused write of such a store writes nothing.
                if answer.is_ok() {
                    self.data()?.put(&key, slot, old);
                }
                answer
            })
        } else if let Some(flaw) = self.rules.flaw.filter(|flaw| about.looks_first(*flaw)) {
            let seen = self.data().map(|data| data.runs.get(&key).cloned());
            seen.and_then(|seen| {
                if !puts_back_all(flaw) {
                    // What was read is decoded, as a row would be, and only then the lock is taken again.
                    let seen = seen.clone();
                    let mut data = self.data()?;
                    let mut slot = data.runs.remove(&key);
                    let answer = by_its_look(flaw, &mut slot, seen, |slot| work(slot, self.now()));
                    data.put(&key, slot, None);
                    return answer;
                }
                let mut slot = seen;
                let answer = work(&mut slot, self.now())?;
                self.data()?.put(&key, slot, None);
                Ok(answer)
            })
        } else {
            self.data().and_then(|mut data| {
                if self.has(SecondHandleLags) {
                    data.behind = data.runs.clone();
                }
                let mut slot = data.runs.remove(&key);
                let old = slot.clone().filter(|_| operation == Operation::Delete);
                let answer = work(&mut slot, self.now());
                data.put(&key, slot, old);
                answer
            })
        };
        if answer.is_ok() && !self.quiet || self.has(SecondHandleLags) {
            self.world.changed.send_replace(());
        }
        answer.map_err(|error| self.told(error, operation, run))
    }

    pub(crate) fn found(slot: &mut Option<Run>) -> Result<&mut Run> {
        Ok(slot.as_mut().ok_or(Refusal::NotFound)?)
    }

    /// A commit that readers can see while it is written.
    async fn write_in_the_open(&self, commit: Commit) -> Result<Committed> {
        let _one = self.world.writing.lock().await;
        let key = self.key(&commit.run);
        let run = commit.run.clone();
        let seen = self.data()?.runs.get(&key).cloned();
        let Some(before) = seen else {
            return Err(Error::from(Refusal::NotFound).during("broken", Operation::Commit, Some(&run)));
        };
        let mut after = before.clone();
        let told = |error: Error| error.during("broken", Operation::Commit, Some(&run));
        let answer = self.rules.commit(&mut after, commit, self.now()).map_err(told)?;
        let half = match self.rules.flaw {
            Some(CommitShowsItsRecordsFirst) => {
                let mut half = before;
                half.records = after.records.clone();
                half.head.cursor = after.head.cursor;
                half
            }
            Some(CommitShowsItsHeadFirst) => Run { records: before.records, ..after.clone() },
            Some(CommitShowsItsSnapshotLater) => Run { snapshots: before.snapshots, ..after.clone() },
            Some(CommitShowsItsOutcomeLater) => {
                let mut half = after.clone();
                half.head.outcome = None;
                half
            }
            _ => after.clone(),
        };
        self.data()?.runs.insert(key.clone(), half);
        self.world.changed.send_replace(());
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        self.data()?.runs.insert(key, after);
        self.world.changed.send_replace(());
        Ok(answer)
    }

    /// A release that decides on its wake by what it has read before it got the lock.
    async fn release_by_an_old_look(&self, commit: Commit) -> Result<Committed> {
        let run = commit.run.clone();
        let key = self.key(&run);
        let seen = self.data()?.runs.get(&key).map(|run| run.head.newest_message);
        tokio::task::yield_now().await;
        let about = About::commit(&commit);
        self.write(&run, Operation::Commit, (RacyCommit, about), |slot, now| {
            let run = Self::found(slot)?;
            let newest = std::mem::replace(&mut run.head.newest_message, seen.unwrap_or_default());
            let answer = self.rules.commit(run, commit, now);
            run.head.newest_message = newest;
            answer
        })
        .await
    }

    /// What is wrong with the answers to commits that held.
    fn answered(&self, committed: Committed, records: usize) -> Committed {
        match self.rules.flaw {
            Some(CommitTellsTheFirstCursor) if records > 0 => {
                Committed { cursor: committed.cursor + 1 - records as u64, ..committed }
            }
            Some(CommitTellsTheOldVersion) => Committed { version: committed.version - 1, ..committed },
            Some(CommitSaysReplayed) => Committed { replayed: true, ..committed },
            _ => committed,
        }
    }

    pub(crate) async fn commit_one(&self, commit: Commit) -> Result<Committed> {
        if self.has(CloseDoesNotWait) {
            drop(self.data()?);
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            let rules = Rules { flaw: None, ..self.rules };
            let unguarded = Self { rules, closed: Arc::default(), ..self.clone() };
            return Box::pin(unguarded.commit_one(commit)).await;
        }
        let run = commit.run.clone();
        let records = commit.records.len();
        let _connection = self.connection(&[PagesKeepAConnection, FollowersKeepAConnection]).await;
        let shown = [
            CommitShowsItsHeadFirst,
            CommitShowsItsRecordsFirst,
            CommitShowsItsSnapshotLater,
            CommitShowsItsOutcomeLater,
        ];
        if self.rules.has_any(&shown) {
            return self.write_in_the_open(commit).await;
        }
        if self.has(WakeIsDecidedOutsideTheLock) && matches!(commit.lease, LeaseChange::Release(_)) {
            return self.release_by_an_old_look(commit).await;
        }
        let about = About::commit(&commit);
        let committed = self.write(&run, Operation::Commit, (RacyCommit, about), |slot, now| {
            let mut lost = self.is_lost().then(|| slot.clone());
            self.rules.commit(Self::found(lost.as_mut().unwrap_or(slot))?, commit, now)
        });
        Ok(self.answered(committed.await?, records))
    }

    /// One of the connections that all share, of a store with one of these flaws.
    pub(crate) async fn connection(&self, flaws: &[Flaw]) -> Option<tokio::sync::SemaphorePermit<'_>> {
        if self.rules.has_any(flaws) { self.world.connections.acquire().await.ok() } else { None }
    }

    fn is_lost(&self) -> bool {
        self.world.commits.fetch_add(1, Ordering::Relaxed) % 10 == 9 && self.has(EveryTenthCommitIsLost)
    }
}
