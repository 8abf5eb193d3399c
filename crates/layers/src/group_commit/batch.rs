//! What goes together, on its way.

use std::sync::Arc;

use futures_util::poll;
use milepost_core::{RunId, Store};
use tokio::{runtime::Handle, task::yield_now};

use super::{
    flight::{Driving, Flight},
    queue::{Shared, State, Waiting},
};

/// Commits that hold one place. However it ends (done, panicked, its runtime shut down), dropping it frees the place and
/// sends what has gathered.
pub(super) struct Batch<S: Store> {
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
    pub(super) fn all(shared: &Arc<Shared<S>>, state: &mut State) -> Vec<Self> {
        std::iter::from_fn(|| Self::next(shared, state)).collect()
    }

    /// Drives it in a task.
    pub(super) fn spawn(self) {
        self.runtime.clone().spawn(self.drive());
    }

    /// Drives it in the caller's task, until it is done or was handed over.
    pub(super) async fn fly(self) {
        let (shared, runtime) = (self.shared.clone(), self.runtime.clone());
        let mut work = Box::pin(self.drive());
        if poll!(&mut work).is_ready() {
            return;
        }
        let flight = Flight::new(work, runtime);
        let driving = Driving(flight);
        if shared.state().add_flight(&driving.0) {
            driving.await;
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
        batches.into_iter().for_each(Self::spawn);
    }
}
