//! The end of a run and its family: it takes its children down, and tells its parent.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use milepost_core::{
    Epoch, ErrorKind, FailureKind, Head, Incarnation, Kind, MessageKey, NewMessage, Open, Outcome, Query,
    Result, RunId, Status,
};
use tracing::{debug, warn};

use super::{
    kept::{ChildCause, ChildEnd},
    watch::used_by,
};
use crate::{
    Runner,
    event::Event,
    handler::Handler,
    inbox::{Body, CANCEL, ENDED, end_key},
    log::Means,
    open::{ask, enter},
    place::Place,
    run::Core,
    runner::Shared,
};

/// How many children are spoken to at once.
const AT_ONCE: usize = 16;
const REASON: &str = "the run that began it has ended";

/// Whether the children are down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Down {
    /// They are, or all that can be done was done: the request to end is durable in the inbox of each.
    Yes,
    /// The runner stops; whoever goes on with the run does this again.
    Stopping,
}

/// Cancels the children that have not ended, and waits until they have: longer than a lease, so that one whose process died
/// can be taken over and ended here. What goes wrong is logged.
pub(crate) async fn take_down(core: &Core) -> Down {
    let mut live = core.history().family.live();
    if live.is_empty() {
        return Down::Yes;
    }
    let epoch = core.log.fence().epoch;
    let give_up = core.clock.now() + core.log.ttl() * 2 + core.settings.grace;
    stream::iter(&live)
        .for_each_concurrent(AT_ONCE, |(_, run)| cancel(core.runner.shared(), run, epoch))
        .await;
    let mut pause = Duration::from_millis(5);
    loop {
        let looks = stream::iter(live).map(|child| async { (end(core, &child).await, child) });
        let left = looks
            .buffer_unordered(AT_ONCE)
            .filter_map(|(down, child)| async move { (!down).then_some(child) });
        live = left.collect().await;
        if live.is_empty() {
            return Down::Yes;
        }
        if core.stopping.is_cancelled() {
            return Down::Stopping;
        }
        if core.clock.now() >= give_up {
            let left: Vec<_> = live.iter().map(|(_, run)| run.as_str()).collect();
            warn!(run = %core.id, ?left, "children have not ended in time; they end when somebody drives them");
            return Down::Yes;
        }
        let changed = core.inbox.changed();
        tokio::select! {
            () = changed => {}
            () = core.clock.sleep(pause) => pause = (pause * 2).min(Duration::from_secs(1)),
            () = core.stopping.cancelled() => {}
        }
    }
}

/// Whether a child that was asked to end has; its end is then recorded with the end of its parent.
async fn end(core: &Core, (at, run): &(Place, RunId)) -> bool {
    let looked = look_down(core, at, run).await;
    looked.unwrap_or_else(|error| {
        warn!(run = %core.id, child = %run, %error, "a child could not be ended; it is tried again");
        false
    })
}

async fn look_down(core: &Core, at: &Place, run: &RunId) -> Result<bool> {
    let (outcome, used) = match core.log.means().store.head(run).await? {
        // The process died between the intent and the child.
        None => (None, Some(0)),
        Some(head) => match &head.outcome {
            Some(outcome) => (Some(outcome.clone()), used_by(core, &head).await?),
            None => {
                if head.status() == Status::Interrupted {
                    core.runner.end_cancelled(&head).await?;
                }
                return Ok(false);
            }
        },
    };
    let (cause, message) = match outcome {
        Some(Outcome::Failed { failure }) => (ChildCause::Failed(failure.kind), failure.message),
        // Nobody was there any more to receive what it gave.
        _ => (ChildCause::Failed(FailureKind::Cancelled), REASON.into()),
    };
    let end = Arc::new(ChildEnd::Failed { cause, message });
    core.history().family.settle(at, &end, used)?;
    core.log.push_last(core.log.entry(&[Event::ChildSettled { at: at.clone(), end, used }]));
    Ok(true)
}

/// Asks a child to end. The request is this life's of its parent: a child that was reopened can be asked again.
async fn cancel(shared: &Shared, run: &RunId, epoch: Epoch) {
    let sent = async {
        let body = serde_json::to_vec(&Body::new(REASON)).unwrap_or_default();
        let key = MessageKey::new(format!("cancel:parent:{epoch}"))?;
        let message = NewMessage::new(shared.means.ids.operation(), key, Kind::from_static(CANCEL), body);
        ask(&shared.means, || shared.means.store.send(run, message.clone())).await
    };
    match sent.await {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ErrorKind::Finished | ErrorKind::NotFound) => {}
        Err(error) => warn!(child = %run, %error, "a child could not be asked to end"),
    }
}

/// Asks the children of a run whose handler is not called any more to end, as far as a listing finds them.
pub(crate) async fn ask_down(shared: &Shared, head: &Head) {
    let query = Query { parent: Some(head.run.clone()), ..Query::all() };
    let mut children = shared.means.store.list(query);
    loop {
        match children.try_next().await {
            Ok(Some(child)) if child.outcome.is_none() => cancel(shared, &child.run, head.fence.epoch).await,
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(error) => return debug!(run = %head.run, %error, "the children could not be listed"),
        }
    }
}

/// Tells a parent that its child has ended. A message that is lost costs time: the parent looks by itself, too.
pub(crate) async fn tell_parent(
    means: &Means,
    (parent, incarnation): &(RunId, Incarnation),
    run: RunId,
    epoch: Epoch,
) {
    let sent = async {
        let body = serde_json::to_vec(&Body::new(run.as_str())).unwrap_or_default();
        let key = end_key(&run, epoch)?;
        let mut message = NewMessage::new(means.ids.operation(), key, Kind::from_static(ENDED), body);
        message.incarnation = Some(*incarnation);
        ask(means, || means.store.send(parent, message.clone())).await
    };
    match sent.await {
        Ok(_) => {}
        // It has ended before its child, or is gone.
        Err(error) if matches!(error.kind(), ErrorKind::Finished | ErrorKind::NotFound) => {}
        Err(error) => warn!(%run, %parent, %error, "the parent could not be told; it looks by itself"),
    }
}

impl Runner {
    /// Goes on with a run that was found due: here, if its handler is known here. With `reopen`, one that has failed; if its
    /// handler is not known here, it is opened and let go of.
    ///
    /// Boxed, because a run that is driven drives this.
    pub(crate) fn adopt(&self, head: &Head, reopen: bool) -> BoxFuture<'static, Result<()>> {
        let handler = self.shared().handler(&head.info.name).ok();
        if handler.is_none() && !reopen {
            return Box::pin(std::future::ready(Ok(())));
        }
        self.open_child(head.run.clone(), handler, reopen)
    }

    /// Drives a due run that was cancelled to its end, for which its handler is not needed.
    fn end_cancelled(&self, head: &Head) -> BoxFuture<'static, Result<()>> {
        let handler = self.shared().handler(&head.info.name).unwrap_or_else(|_| Handler::absent());
        self.open_child(head.run.clone(), Some(handler), false)
    }

    fn open_child(
        &self,
        run: RunId,
        handler: Option<Handler>,
        reopen: bool,
    ) -> BoxFuture<'static, Result<()>> {
        let runner = self.clone();
        Box::pin(async move {
            let shared = runner.shared();
            let mut open = Open::resume(shared.means.ids.operation())
                .owner(shared.owner.clone())
                .ttl(shared.settings.ttl);
            open.reopen_failed = reopen;
            match enter(&runner, &run, open, None).await {
                Ok(entered) => runner.take_up_or_release(run, entered, handler).await,
                // Somebody else was quicker, or it is gone.
                Err(error) if matches!(error.kind(), ErrorKind::LeaseHeld | ErrorKind::NotFound) => Ok(()),
                Err(error) => Err(error),
            }
        })
    }
}
