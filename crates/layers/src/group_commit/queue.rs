//! Who waits, and what goes together.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, Weak},
};

use milepost_core::{Applied, Commit, Committed, Error, ErrorKind, Result, RunId, Store};
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
};

use super::{GroupCommitConfig, batch::Batch, flight::Flight, of_commit};

/// What the clones of a handle share.
#[derive(Debug)]
pub(super) struct Shared<S> {
    pub(super) inner: S,
    pub(super) config: GroupCommitConfig,
    state: Mutex<State>,
    /// Told when nothing is in flight and nothing waits.
    pub(super) idle: Notify,
}

/// Whenever this is unlocked, a free place means that no commit waits whose run is not in flight.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) closed: bool,
    pub(super) in_flight: usize,
    /// The runs that are in flight.
    pub(super) busy: HashSet<RunId>,
    pub(super) waiting: VecDeque<Waiting>,
    /// The batches that their callers drive themselves.
    flights: Vec<Weak<Flight>>,
}

/// A commit on its way, and who wants to know.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) commit: Commit,
    pub(super) answer: oneshot::Sender<Result<Committed>>,
    pub(super) runtime: Handle,
}

impl<S> Shared<S> {
    pub(super) fn new(inner: S, config: GroupCommitConfig) -> Self {
        Self { inner, config, state: Mutex::default(), idle: Notify::new() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Locks the queue for a caller.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Entry<'_, S>> {
        let runtime = Handle::try_current().map_err(|error| {
            let message = "group commit needs a Tokio runtime around it";
            Error::new(ErrorKind::Config, message).with_source(error).with_applied(Applied::No)
        })?;
        let state = self.state();
        if state.closed {
            let closed = Error::new(ErrorKind::Closed, "the store has been closed");
            return Err(closed.with_applied(Applied::No));
        }
        Ok(Entry { shared: self, state, runtime })
    }

    /// Takes no more commits, and returns when the last one is settled.
    pub(super) async fn drain(&self) {
        let flights = {
            let mut state = self.state();
            state.closed = true;
            state.take_flights()
        };
        flights.iter().for_each(|flight| flight.hand_over());
        loop {
            let idle = self.idle.notified();
            if self.state().is_idle() {
                return;
            }
            idle.await;
        }
    }
}

impl State {
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.waiting.is_empty()
    }

    /// Notes a batch that its caller drives, unless somebody waits for its end already.
    pub(super) fn add_flight(&mut self, flight: &Arc<Flight>) -> bool {
        if self.closed || !self.waiting.is_empty() {
            return false;
        }
        self.flights.retain(|flight| flight.strong_count() > 0);
        self.flights.push(Arc::downgrade(flight));
        true
    }

    fn take_flights(&mut self) -> Vec<Arc<Flight>> {
        std::mem::take(&mut self.flights).iter().filter_map(Weak::upgrade).collect()
    }

    /// Takes what goes together now, in the order in which it came; empty when nothing may go.
    ///
    /// It stops at the first commit for which there is no room, so that a later and smaller one of the same run does
    /// not overtake it.
    pub(super) fn gather(&mut self, config: &GroupCommitConfig) -> Vec<Waiting> {
        let mut gathered = Vec::new();
        let mut passed_over = VecDeque::new();
        let mut bytes = 0;
        while gathered.len() < config.max_commits.max(1) {
            let Some(waiting) = self.waiting.pop_front() else { break };
            if waiting.answer.is_closed() {
                continue;
            }
            if self.busy.contains(&waiting.commit.run) {
                passed_over.push_back(waiting);
                continue;
            }
            bytes += weight(&waiting.commit);
            if bytes > config.max_bytes && !gathered.is_empty() {
                self.waiting.push_front(waiting);
                break;
            }
            self.busy.insert(waiting.commit.run.clone());
            gathered.push(waiting);
        }
        if !passed_over.is_empty() {
            passed_over.append(&mut self.waiting);
            self.waiting = passed_over;
        }
        gathered
    }
}

/// All bodies of a commit together.
fn weight(commit: &Commit) -> u64 {
    let records = commit.records.iter().map(|record| record.body.len());
    let blobs = commit.blobs.iter().map(|blob| blob.body.len());
    let snapshot = commit.snapshot.iter().map(|snapshot| snapshot.body.len());
    let outcome = commit.finish.iter().map(|finish| finish.outcome.size());
    records.chain(blobs).chain(snapshot).chain(outcome).sum::<usize>() as u64
}

/// A caller at the locked queue.
pub(super) struct Entry<'a, S> {
    shared: &'a Arc<Shared<S>>,
    state: MutexGuard<'a, State>,
    runtime: Handle,
}

impl<S: Store> Entry<'_, S> {
    pub(super) fn queue(&mut self, commit: Commit) -> Verdict {
        let (answer, verdict) = oneshot::channel();
        let run = commit.run.clone();
        self.state.waiting.push_back(Waiting { commit, answer, runtime: self.runtime.clone() });
        Verdict { run, verdict }
    }

    /// Leaves, and sends what may go at once.
    pub(super) fn leave(mut self) -> Departure<S> {
        let batches = Batch::all(self.shared, &mut self.state);
        let waits = !self.state.waiting.is_empty();
        Departure { batches, blocking: if waits { self.state.take_flights() } else { Vec::new() } }
    }
}

/// What a caller has to set going once the queue is unlocked.
#[must_use]
pub(super) struct Departure<S: Store> {
    batches: Vec<Batch<S>>,
    /// Commits wait for the end of these.
    blocking: Vec<Arc<Flight>>,
}

impl<S: Store> Departure<S> {
    /// Drives one batch in the caller's own task, the others in tasks of theirs.
    pub(super) async fn go(mut self) {
        self.blocking.iter().for_each(|flight| flight.hand_over());
        let own = self.batches.pop();
        for batch in self.batches {
            batch.spawn();
        }
        if let Some(own) = own {
            own.fly().await;
        }
    }
}

/// Where a queued commit's verdict will come from.
pub(super) struct Verdict {
    run: RunId,
    verdict: oneshot::Receiver<Result<Committed>>,
}

impl Verdict {
    pub(super) async fn settle(self) -> Result<Committed> {
        self.verdict.await.unwrap_or_else(|_| {
            let gone = Error::new(ErrorKind::Unavailable, "the task that drove the batch has ended early");
            Err(of_commit(gone.with_applied(Applied::Maybe), &self.run))
        })
    }
}
