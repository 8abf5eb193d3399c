//! How a follower learns that its run has changed: from a write of its own handle at once, from other processes by
//! looking again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use milepost_core::{Clock, RunId, SystemClock};
use tokio::sync::Notify;

/// The runs that are followed through one handle and its clones.
#[derive(Debug, Default)]
pub(crate) struct Followers {
    runs: Mutex<HashMap<RunId, Arc<Notify>>>,
}

impl Followers {
    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, Arc<Notify>>> {
        self.runs.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Wakes who follows a run.
    pub(crate) fn notify(&self, run: &RunId) {
        if let Some(changed) = self.runs().get(run) {
            changed.notify_waiters();
        }
    }

    /// Wakes everybody: the store closes.
    pub(crate) fn notify_all(&self) {
        self.runs().values().for_each(|changed| changed.notify_waiters());
    }
}

/// One follower of one run.
pub(crate) struct Follower {
    followers: Arc<Followers>,
    run: RunId,
    changed: Arc<Notify>,
    clock: SystemClock,
    pause: Duration,
}

impl Follower {
    /// Other processes' commits are seen after 25 ms where there were some just now, and 250 ms where it is quiet.
    const SHORTEST: Duration = Duration::from_millis(25);
    const LONGEST: Duration = Duration::from_millis(250);

    pub(crate) fn new(followers: &Arc<Followers>, run: &RunId) -> Self {
        let changed = followers.runs().entry(run.clone()).or_default().clone();
        let (followers, run) = (followers.clone(), run.clone());
        Self { followers, run, changed, clock: SystemClock::default(), pause: Self::SHORTEST }
    }

    /// What must be held while looking, so that a change after the look is not missed.
    pub(crate) fn changed(&self) -> Arc<Notify> {
        self.changed.clone()
    }

    /// The look found something.
    pub(crate) fn found(&mut self) {
        self.pause = Self::SHORTEST;
    }

    /// Waits until it is worth looking again. Real time, whatever the clock says: other processes live in it.
    pub(crate) async fn wait(&mut self, changed: impl Future<Output = ()>) {
        let pause = self.clock.sleep(self.pause);
        self.pause = (self.pause * 2).min(Self::LONGEST);
        futures_util::future::select(std::pin::pin!(changed), pause).await;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut runs = self.followers.runs();
        // The map's own and this one's.
        if Arc::strong_count(&self.changed) <= 2 {
            runs.remove(&self.run);
        }
    }
}
