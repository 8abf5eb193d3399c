//! Group commit: what waits at the same moment goes in one trip.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use futures_util::poll;
use milepost_core::{Applied, Commit, Committed, Error, ErrorKind, Operation, Outcome, Result, RunId, Store};
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
    task::yield_now,
};

use crate::{Layer, forward_store};

const LAYER: &str = "group-commit";

/// How [`GroupCommit`] packs.
///
/// ```
/// use milepost_layers::GroupCommitConfig;
///
/// let config = GroupCommitConfig { in_flight: 4, ..GroupCommitConfig::default() };
/// assert_eq!(config.max_commits, 256);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupCommitConfig {
    /// So many batches may be in flight at once; at least 1. Default: 1, which is right where commits go one after the
    /// other anyway, as in an embedded store with one writer; a server with several connections wants a few.
    pub in_flight: usize,
    /// A batch holds at most so many commits; at least 1. Default: 256.
    pub max_commits: usize,
    /// The bodies of a batch have at most so many bytes together; a commit that alone has more goes alone. Default: 8
    /// MiB.
    pub max_bytes: u64,
}

impl Default for GroupCommitConfig {
    fn default() -> Self {
        Self { in_flight: 1, max_commits: 256, max_bytes: 8 << 20 }
    }
}

/// A store that gathers the commits of many runs into [`Store::commit_many`].
///
/// A commit that finds a free place goes out at once, alone: nothing is held back by a timer. While all places
/// are taken, commits gather; whenever a place becomes free, what has gathered goes out together. So one run
/// alone pays nothing for the layer, and many at once share the backend's fixed costs (a disk flush, a round trip).
///
/// - Each commit has its own verdict.
/// - A batch holds a run once, and a run is in one batch at a time: its commits go in the order in which they came.
/// - [`Store::commit_many`] of callers joins in. Everything else goes straight through.
/// - Over a store without [`milepost_core::Capability::BatchCommit`] there is nothing to gain, and commits go straight
///   through too.
///
/// # Cancellation
///
/// A caller that drops its future takes nothing with it: a commit that is in flight goes on in a task of its own, one
/// that still waits is not sent. A caller that keeps its future without polling it holds nobody up either.
///
/// # Runtime
///
/// Commits need a Tokio runtime around them (any flavour, no driver), which drives the batches;
/// without one they are refused with [`ErrorKind::Config`]. When a runtime is shut down, what it has in flight is
/// answered to callers on other runtimes as [`Applied::Maybe`].
///
/// Clones share the places and the queue.
#[derive(Debug)]
pub struct GroupCommit<S>(Arc<Shared<S>>);

#[derive(Debug)]
struct Shared<S> {
    inner: S,
    config: GroupCommitConfig,
    /// Whether the inner store packs at all.
    packs: bool,
    state: Mutex<State>,
    /// Told when nothing is in flight and nothing waits.
    idle: Notify,
}

/// Between two changes of this, a free place means that no commit waits whose run is not in flight.
#[derive(Debug, Default)]
struct State {
    closed: bool,
    in_flight: usize,
    /// The runs that are in flight.
    busy: HashSet<RunId>,
    waiting: VecDeque<Waiting>,
}

/// A commit on its way, and who wants to know.
#[derive(Debug)]
struct Waiting {
    commit: Commit,
    answer: oneshot::Sender<Result<Committed>>,
    runtime: Handle,
}

impl<S> Clone for GroupCommit<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Store> GroupCommit<S> {
    /// Group commit in front of `inner`, as [`GroupCommitConfig::default`] has it.
    pub fn new(inner: S) -> Self {
        Self::with_config(inner, GroupCommitConfig::default())
    }

    /// Group commit in front of `inner`.
    pub fn with_config(inner: S, config: GroupCommitConfig) -> Self {
        Self(Arc::new(Shared {
            packs: inner.capabilities().supports_batch_commit(),
            inner,
            config,
            state: Mutex::default(),
            idle: Notify::new(),
        }))
    }

    /// Locks the queue for a caller.
    fn enter(&self) -> Result<Entry<'_, S>> {
        let runtime = Handle::try_current().map_err(|error| {
            let message = "group commit needs a Tokio runtime around it";
            Error::new(ErrorKind::Config, message).with_source(error).with_applied(Applied::No)
        })?;
        let state = self.0.state();
        if state.closed {
            let closed = Error::new(ErrorKind::Closed, "the store has been closed");
            return Err(closed.with_applied(Applied::No));
        }
        Ok(Entry { shared: &self.0, state, runtime })
    }
}

/// A caller at the locked queue.
struct Entry<'a, S> {
    shared: &'a Arc<Shared<S>>,
    state: MutexGuard<'a, State>,
    runtime: Handle,
}

impl<S: Store> Entry<'_, S> {
    fn queue(&mut self, commit: Commit) -> Verdict {
        let (answer, verdict) = oneshot::channel();
        let run = commit.run.clone();
        self.state.waiting.push_back(Waiting { commit, answer, runtime: self.runtime.clone() });
        Verdict { run, verdict }
    }

    /// Leaves with what may go at once.
    fn leave(mut self) -> Vec<Batch<S>> {
        Batch::all(self.shared, &mut self.state)
    }
}

impl<S> Shared<S> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.waiting.is_empty()
    }

    /// Takes what goes together now, in the order in which it came; empty when nothing may go.
    ///
    /// It stops at the first commit for which there is no room, so that a later and smaller one of the same run does
    /// not overtake it.
    fn gather(&mut self, config: &GroupCommitConfig) -> Vec<Waiting> {
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

fn of_commit(error: Error, run: &RunId) -> Error {
    error.during(LAYER, Operation::Commit, Some(run))
}

/// All bodies of a commit together.
fn weight(commit: &Commit) -> u64 {
    let records = commit.records.iter().map(|record| record.body.len());
    let blobs = commit.blobs.iter().map(|blob| blob.body.len());
    let snapshot = commit.snapshot.iter().map(|snapshot| snapshot.body.len());
    let outcome = commit.finish.iter().map(|finish| match &finish.outcome {
        Outcome::Completed { output } => output.len(),
        Outcome::Failed { failure } => failure.message.len(),
    });
    records.chain(blobs).chain(snapshot).chain(outcome).sum::<usize>() as u64
}

/// Commits that hold one place. However it ends (done, panicked, its runtime shut down), dropping it frees the place and
/// sends what has gathered.
struct Batch<S: Store> {
    shared: Arc<Shared<S>>,
    runs: Vec<RunId>,
    commits: Vec<Waiting>,
    runtime: Handle,
}

impl<S: Store> Batch<S> {
    /// Takes the next batch, if there is a free place and something for it.
    fn next(shared: &Arc<Shared<S>>, state: &mut State) -> Option<Self> {
        if state.in_flight >= shared.config.in_flight.max(1) {
            return None;
        }
        let commits = state.gather(&shared.config);
        let runtime = commits.first()?.runtime.clone();
        state.in_flight += 1;
        let runs = commits.iter().map(|waiting| waiting.commit.run.clone()).collect();
        Some(Self { shared: shared.clone(), runs, commits, runtime })
    }

    /// Takes batches until no place is free or nothing is left for them. They begin when the lock is released: beginning
    /// one may end another, which takes the lock.
    fn all(shared: &Arc<Shared<S>>, state: &mut State) -> Vec<Self> {
        std::iter::from_fn(|| Self::next(shared, state)).collect()
    }

    /// Sends it from the caller's own task, so that a backend that answers at once costs no other. One that does not is
    /// driven by a task from there on, because the caller may drop its future, or keep it and stop polling.
    async fn begin(self) {
        let runtime = self.runtime.clone();
        let mut work = Box::pin(self.drive());
        if poll!(&mut work).is_pending() {
            runtime.spawn(work);
        }
    }

    /// Sends it and tells each its verdict.
    async fn drive(mut self) {
        let (mut commits, answers): (Vec<_>, Vec<_>) = std::mem::take(&mut self.commits)
            .into_iter()
            .map(|waiting| (waiting.commit, waiting.answer))
            .unzip();
        let inner = &self.shared.inner;
        let verdicts = match commits.pop() {
            Some(only) if commits.is_empty() => vec![inner.commit(only).await],
            last => inner.commit_many(commits.into_iter().chain(last).collect()).await,
        };
        for (answer, verdict) in answers.into_iter().zip(verdicts) {
            // Who has dropped its future does not want to know.
            let _ = answer.send(verdict);
        }
        // Those who were answered together come back together, if they get to run before the place is free; otherwise
        // the first of them would go alone, and the others wait for it. No timer: one turn of the scheduler.
        if self.runs.len() > 1 || !self.shared.state().waiting.is_empty() {
            yield_now().await;
        }
    }
}

impl<S: Store> Drop for Batch<S> {
    fn drop(&mut self) {
        let batches = {
            let mut state = self.shared.state();
            state.in_flight -= 1;
            for run in &self.runs {
                state.busy.remove(run);
            }
            let batches = Self::all(&self.shared, &mut state);
            if state.is_idle() {
                self.shared.idle.notify_waiters();
            }
            batches
        };
        for batch in batches {
            batch.runtime.clone().spawn(batch.drive());
        }
    }
}

/// Where a queued commit's verdict will come from.
struct Verdict {
    run: RunId,
    verdict: oneshot::Receiver<Result<Committed>>,
}

impl Verdict {
    async fn settle(self) -> Result<Committed> {
        self.verdict.await.unwrap_or_else(|_| {
            let gone = Error::new(ErrorKind::Unavailable, "the task that drove the batch has ended early");
            Err(of_commit(gone.with_applied(Applied::Maybe), &self.run))
        })
    }
}

impl<S: Store> Layer for GroupCommit<S> {
    type Inner = S;

    fn inner(&self) -> &S {
        &self.0.inner
    }
}

forward_store! {
    impl<S: Store> Store for GroupCommit<S>;
    forward capabilities, open, renew, send, delete, head, snapshot, stream, inbox, blob, blobs, list;

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        if !self.0.packs {
            return self.0.inner.commit(commit).await;
        }
        let run = commit.run.clone();
        let (verdict, batches) = {
            let mut entry = self.enter().map_err(|error| of_commit(error, &run))?;
            (entry.queue(commit), entry.leave())
        };
        for batch in batches {
            batch.begin().await;
        }
        verdict.settle().await
    }

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        let each_once = commits.iter().map(|commit| &commit.run).collect::<HashSet<_>>().len() == commits.len();
        if !self.0.packs || !each_once {
            return self.0.inner.commit_many(commits).await;
        }
        let (verdicts, batches) = match self.enter() {
            Ok(mut entry) => {
                let verdicts: Vec<_> = commits.into_iter().map(|commit| entry.queue(commit)).collect();
                (verdicts, entry.leave())
            }
            Err(error) => {
                return commits.iter().map(|commit| Err(of_commit(error.repeat(), &commit.run))).collect();
            }
        };
        for batch in batches {
            batch.begin().await;
        }
        let mut answers = Vec::with_capacity(verdicts.len());
        for verdict in verdicts {
            answers.push(verdict.settle().await);
        }
        answers
    }

    async fn close(&self) -> Result<()> {
        self.0.state().closed = true;
        loop {
            let idle = self.0.idle.notified();
            if self.0.state().is_idle() {
                break;
            }
            idle.await;
        }
        self.0.inner.close().await
    }
}
