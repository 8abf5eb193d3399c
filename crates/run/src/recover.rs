//! Finding what is due and going on with it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, TryStreamExt};
use milepost_core::{Delete, ErrorKind, Head, Open, Query, Result};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    Ended, Runner,
    open::{Entered, enter},
};

/// What a recovery came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Recovered {
    /// Runs that were resumed here.
    pub resumed: u32,
    /// Of these, runs that completed.
    pub completed: u32,
    /// Of these, runs that failed.
    pub failed: u32,
    /// Runs that were poison.
    pub poison: u32,
    /// Runs that could not be opened, and why was logged.
    pub unopened: u32,
    /// Runs whose handler is not registered here.
    pub unknown: u32,
}

#[derive(Default)]
struct Counts {
    resumed: AtomicU32,
    completed: AtomicU32,
    failed: AtomicU32,
    poison: AtomicU32,
    unopened: AtomicU32,
    unknown: AtomicU32,
}

impl Counts {
    fn read(&self) -> Recovered {
        let read = |count: &AtomicU32| count.load(Ordering::Relaxed);
        Recovered {
            resumed: read(&self.resumed),
            completed: read(&self.completed),
            failed: read(&self.failed),
            poison: read(&self.poison),
            unopened: read(&self.unopened),
            unknown: read(&self.unknown),
        }
    }
}

fn count(counter: &AtomicU32) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What a sweep works with.
struct Sweep {
    slots: Arc<Semaphore>,
    tasks: TaskTracker,
    counts: Arc<Counts>,
}

impl Sweep {
    fn new(runner: &Runner) -> Self {
        let slots = Arc::new(Semaphore::new(runner.shared().settings.concurrency.max(1)));
        Self { slots, tasks: TaskTracker::new(), counts: Arc::default() }
    }
}

impl Runner {
    /// Goes on with every run that is due, a bounded number at once, and waits until this process has ended its work on
    /// each. Others may recover at the same moment: each run is driven by one.
    ///
    /// # Errors
    ///
    /// Those of listing. A run that cannot be opened is logged and counted.
    pub async fn recover(&self) -> Result<Recovered> {
        let sweep = Sweep::new(self);
        let swept = self.sweep(&sweep).await;
        sweep.tasks.close();
        sweep.tasks.wait().await;
        swept.map(|()| sweep.counts.read())
    }

    /// Recovers at once and then every [`Settings::poll`](crate::Settings::poll), until `shutdown` is cancelled; then
    /// [stops](Runner::stop) this runner. Deletes runs whose [retention](crate::Settings::retain) is over, too.
    ///
    /// A store that cannot be reached is logged and asked again: this ends with the token alone.
    pub async fn serve(&self, shutdown: CancellationToken) {
        let sweep = Sweep::new(self);
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.shared().stopping.cancelled() => {}
            () = self.sweep_for_ever(&sweep) => {}
        }
        self.stop().await;
        sweep.tasks.close();
        sweep.tasks.wait().await;
    }

    async fn sweep_for_ever(&self, sweep: &Sweep) {
        let means = &self.shared().means;
        let mut deleted_at = None;
        loop {
            if let Err(error) = self.sweep(sweep).await {
                warn!(%error, "what is due could not be listed; it is tried again");
            }
            let now = means.clock.elapsed();
            if deleted_at.is_none_or(|at| now.saturating_sub(at) >= Duration::from_secs(60)) {
                deleted_at = Some(now);
                if let Err(error) = self.delete_expired().await {
                    warn!(%error, "runs whose retention is over could not be deleted; it is tried again");
                }
            }
            // A tenth more or less, so that hosts that began together do not stay together.
            let poll = self.shared().settings.poll;
            let jitter = means.ids.bits() as u32 % 1000;
            means.clock.sleep(poll * 9 / 10 + poll / 5 * jitter / 1000).await;
        }
    }

    /// Opens what is due, as slots become free.
    async fn sweep(&self, sweep: &Sweep) -> Result<()> {
        // Hosts that see the same listing begin at different runs, and do not race for each of them.
        const PAGE: usize = 256;
        let mut pages = self.store().list(Query::interrupted()).chunks(PAGE);
        while let Some(page) = pages.next().await {
            let mut heads = page.into_iter().collect::<Result<Vec<Head>>>()?;
            if !heads.is_empty() {
                let turn = self.shared().means.ids.bits() as usize % heads.len();
                heads.rotate_left(turn);
            }
            for head in heads {
                if !self.shared().knows(&head.info.name) {
                    count(&sweep.counts.unknown);
                    continue;
                }
                let Ok(slot) = sweep.slots.clone().acquire_owned().await else { return Ok(()) };
                let (runner, counts) = (self.clone(), sweep.counts.clone());
                sweep.tasks.spawn(async move {
                    runner.take_over(&head, &counts).await;
                    drop(slot);
                });
            }
        }
        Ok(())
    }

    /// Goes on with a run that was found, if it is still due.
    async fn take_over(&self, head: &Head, counts: &Counts) {
        let shared = self.shared();
        if self.is_stopping() {
            return;
        }
        let Ok(handler) = shared.handler(&head.info.name) else { return };
        let open =
            Open::resume(shared.means.ids.operation()).owner(shared.owner.clone()).ttl(shared.settings.ttl);
        match enter(self, &head.run, open, None).await {
            Ok(Entered::Finished(_)) => count(&counts.poison),
            Ok(entered) => {
                count(&counts.resumed);
                let handle = self.take_up(head.run.clone(), entered, handler);
                match handle.ended().await {
                    Ended::Completed => count(&counts.completed),
                    Ended::Failed(_) => count(&counts.failed),
                    _ => {}
                }
            }
            // Somebody else was quicker, or the run is gone.
            Err(error) if matches!(error.kind(), ErrorKind::LeaseHeld | ErrorKind::NotFound) => {}
            Err(error) => {
                count(&counts.unopened);
                warn!(run = %head.run, %error, "a run that is due could not be opened");
            }
        }
    }

    async fn delete_expired(&self) -> Result<()> {
        let mut expired = self.store().list(Query::expired());
        while let Some(head) = expired.try_next().await? {
            if self.store().delete(&head.run, Delete::Finished(head.fence.incarnation)).await? {
                info!(run = %head.run, "deleted, its retention being over");
            }
        }
        Ok(())
    }
}
