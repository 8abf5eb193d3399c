//! Signs of life of a run that is quiet.

use std::sync::Arc;

use milepost_core::{ErrorKind, Renew, RunId};
use tracing::warn;

use crate::{
    log::{Log, pauses, verdict},
    stop::Stop,
};

/// Renews the lease whenever a third of it has passed since it was last extended, by a commit or by this. Runs until the
/// run is lost, or until its task is ended.
pub(crate) async fn beat(run: RunId, log: Arc<Log>, stop: Arc<Stop>) {
    let means = log.means();
    let rhythm = log.ttl() / 3;
    let mut pauses = pauses();
    loop {
        let quiet = means.clock.elapsed().saturating_sub(log.extended());
        if quiet < rhythm {
            means.clock.sleep(rhythm - quiet).await;
            continue;
        }
        let began = means.clock.elapsed();
        let mut renew = Renew::new(log.fence(), log.ttl());
        renew.note = log.take_note();
        match means.store.renew(&run, renew).await {
            Ok(()) => {
                log.extend(began);
                pauses = self::pauses();
            }
            Err(error) if error.kind().is_transient() => {
                warn!(%run, %error, "the lease could not be renewed; it is tried again");
                means.clock.sleep(pauses()).await;
            }
            // The run's own end, which is told by who wrote it.
            Err(error) if error.kind() == ErrorKind::Finished => return,
            Err(error) => {
                stop.halt(verdict(error));
                return;
            }
        }
    }
}
