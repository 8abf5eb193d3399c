//! Keeping the lease while a run is quiet.

use std::{sync::Arc, time::Duration};

use milepost_core::{Error, ErrorKind, Fence, Renew, RunId};
use tokio::{sync::watch, task::JoinHandle};
use tracing::warn;

use crate::{engine::Means, vitals::Vitals};

/// Renews a run's lease at a third of its ttl whenever no commit has, until it is dropped or the run is lost.
#[derive(Debug)]
pub(crate) struct Keeper {
    task: Option<JoinHandle<()>>,
    lost: watch::Receiver<Option<Arc<Error>>>,
}

impl Keeper {
    /// Needs a tokio runtime if the settings ask for renewals.
    pub(crate) fn start(means: &Means, run: &RunId, fence: Fence, vitals: Arc<Vitals>) -> Self {
        let (sender, lost) = watch::channel(None);
        let task = means
            .settings
            .renew
            .then(|| tokio::spawn(keep(means.clone(), run.clone(), fence, vitals, sender)));
        Self { task, lost }
    }

    /// Why this process no longer drives the run, as soon as a renewal has found that out.
    pub(crate) fn lost(&self) -> Option<Arc<Error>> {
        self.lost.borrow().clone()
    }

    /// Waits until the run is lost; for ever while it is not.
    pub(crate) fn when_lost(&self) -> impl Future<Output = Arc<Error>> + Send + use<> {
        let mut lost = self.lost.clone();
        async move {
            match lost.wait_for(Option::is_some).await.ok().and_then(|lost| lost.clone()) {
                Some(error) => error,
                None => std::future::pending().await,
            }
        }
    }

    /// Ends the renewals: the run is no longer this process's.
    pub(crate) fn stop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn keep(
    means: Means,
    run: RunId,
    fence: Fence,
    vitals: Arc<Vitals>,
    lost: watch::Sender<Option<Arc<Error>>>,
) {
    let Means { store, clock, settings, .. } = means;
    let (interval, pause) = (settings.ttl / 3, settings.ttl / 10);
    loop {
        let quiet = clock.elapsed().saturating_sub(vitals.extended());
        if quiet < interval {
            clock.sleep((interval - quiet).max(Duration::from_millis(1))).await;
            continue;
        }
        let began = clock.elapsed();
        match store.renew(&run, Renew::new(fence, settings.ttl)).await {
            Ok(()) => vitals.extend(began),
            // The run's own end may have come before its acknowledgement: whoever sent it will be told.
            Err(error) if vitals.is_ending() && error.refusal().is_some() => return,
            Err(error)
                if matches!(error.kind(), ErrorKind::Fenced | ErrorKind::NotFound | ErrorKind::Finished) =>
            {
                warn!(%run, %error, "the run is no longer this process's");
                lost.send_replace(Some(Arc::new(error)));
                return;
            }
            Err(error) => {
                warn!(%run, %error, "the lease could not be renewed; trying again");
                clock.sleep(pause.max(Duration::from_millis(1))).await;
            }
        }
    }
}
