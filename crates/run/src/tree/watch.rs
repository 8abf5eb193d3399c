//! Making a child, and waiting for its end.

use std::{sync::Arc, time::Duration};

use futures_util::TryStreamExt;
use milepost_core::{Blob, Cursor, ErrorKind, FailureKind, Head, Outcome, Result, Span, Status, Timestamp};
use serde_json::value::RawValue;

use super::kept::{ChildCause, ChildEnd, Identity, Restart};
use crate::{
    Start, activity::Busy, event::Event, log::pauses, place::Place, run::Core, stop::Halt, value::Encoded,
};

/// The longest pause between two looks at a child of which no message came.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// What a child is asked to do.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) at: Place,
    pub(super) identity: Identity,
    pub(super) input: Box<RawValue>,
    pub(super) within: Option<Duration>,
    pub(super) restarts: Option<(u32, Duration)>,
}

/// What is known of a child's end.
#[derive(Debug)]
pub(super) enum Watch {
    Settled(Cursor, Arc<ChildEnd>),
    Live(Box<Live>),
}

#[derive(Debug)]
pub(super) struct Live {
    grant: Option<u64>,
    began: Timestamp,
    restarts: Vec<Restart>,
    reopen: bool,
    /// The message that it has ended, once it is here.
    message: Option<u64>,
    /// When to look at its head; at once without one.
    look_at: Option<Timestamp>,
}

/// How a child ended, before that is recorded.
pub(super) struct Ending {
    end: ChildEnd,
    blobs: Vec<Blob>,
    used: Option<u64>,
    message: Option<u64>,
}

impl Watch {
    pub(super) fn settled(cursor: Cursor, end: Arc<ChildEnd>) -> Self {
        Self::Settled(cursor, end)
    }

    pub(super) fn live(grant: Option<u64>, began: Timestamp, restarts: Vec<Restart>, reopen: bool) -> Self {
        Self::Live(Box::new(Live { grant, began, restarts, reopen, message: None, look_at: None }))
    }

    /// It was made just now: there is nothing to look at yet.
    pub(super) fn begun(mut self, core: &Core) -> Self {
        if let Self::Live(live) = &mut self {
            live.look_at = Some(live.next_look(core));
        }
        self
    }

    /// Its end, if that is recorded, and by which record.
    pub(super) fn recorded(&self) -> Option<(Cursor, Arc<ChildEnd>)> {
        match self {
            Self::Settled(cursor, end) => Some((*cursor, end.clone())),
            Self::Live(_) => None,
        }
    }

    /// Waits for its end. Dropped, it has kept what it saw.
    pub(super) async fn ended(&mut self, core: &Core, spec: &Spec) -> Ending {
        let mut busy = core.activity.begin();
        let live = match self {
            Self::Live(live) => live,
            // Who asks has looked whether it is recorded.
            Self::Settled(..) => return core.over(&mut busy).await,
        };
        let mut pauses = pauses();
        loop {
            live.until_worth_a_look(core, spec, &mut busy).await;
            core.admit(&mut busy).await;
            match live.look(core, spec).await {
                Ok(Some(ending)) => return ending,
                Ok(None) => {
                    live.look_at = Some(live.next_look(core));
                    pauses = self::pauses();
                }
                Err(error) if error.kind().is_transient() => core.clock.sleep(pauses()).await,
                Err(error) => {
                    core.stop.halt(Halt::Broken(error));
                    core.over::<()>(&mut busy).await;
                }
            }
        }
    }

    /// Records its end.
    pub(super) async fn settle(&mut self, core: &Core, spec: &Spec, ending: Ending) -> Arc<ChildEnd> {
        let _busy = core.activity.begin();
        let Ending { end, blobs, used, message } = ending;
        let end = Arc::new(end);
        let settled = Event::ChildSettled { at: spec.at.clone(), end: end.clone(), used };
        let entry = core.log.entry(&[settled]).blobs(blobs);
        let entry = match message {
            Some(number) => entry.take(number),
            None => entry,
        };
        let number = core.log.write_entry(entry).await;
        if let Err(error) = core.history().family.settle(&spec.at, &end, used) {
            core.stop.halt(Halt::Broken(error));
        }
        *self = Self::Settled(number, end.clone());
        end
    }
}

impl Live {
    /// Less often the longer it has waited: a message says it sooner.
    fn next_look(&self, core: &Core) -> Timestamp {
        let now = core.clock.now();
        let often = if core.inbox.exists() { core.log.ttl() } else { core.settings.poll.min(core.log.ttl()) };
        now + (now.since(self.began) / 2).clamp(often, LONGEST.max(often))
    }

    /// Waits until a message came or it is time to look by oneself.
    async fn until_worth_a_look(&mut self, core: &Core, spec: &Spec, busy: &mut Busy<'_>) {
        loop {
            let changed = core.inbox.changed();
            if let Some(number) = core.inbox.take_end(&spec.identity.run) {
                self.message = Some(number);
                self.look_at = None;
            }
            let Some(at) = self.look_at.filter(|at| *at > core.clock.now()) else { break };
            busy.park(Some(at));
            tokio::select! {
                () = changed => {}
                () = core.clock.sleep_until(at) => {}
            }
        }
        busy.unpark();
    }

    /// Looks at its head, and does what that asks for.
    async fn look(&mut self, core: &Core, spec: &Spec) -> Result<Option<Ending>> {
        let Some(head) = core.log.means().store.head(&spec.identity.run).await? else {
            // The process died between the intent and the child; or somebody has deleted it.
            make(core, spec, self.grant).await?;
            return Ok(None);
        };
        if head.manifest.0 != spec.identity.manifest {
            return Ok(Some(self.foreign(&head)));
        }
        match &head.outcome {
            None => {
                if head.status() == Status::Interrupted {
                    core.runner.adopt(&head, false).await?;
                }
                Ok(None)
            }
            Some(Outcome::Failed { failure }) => {
                if self.starts_again(core, spec, &head, failure.kind).await {
                    core.runner.adopt(&head, true).await?;
                    self.reopen = false;
                    return Ok(None);
                }
                let end = ChildEnd::Failed {
                    cause: ChildCause::Failed(failure.kind),
                    message: failure.message.clone(),
                };
                self.ending(core, &head, end, Vec::new()).await.map(Some)
            }
            Some(Outcome::Completed { output }) => {
                let (end, blobs) = recordable(core, output);
                self.ending(core, &head, end, blobs).await.map(Some)
            }
        }
    }

    /// Whether a failed child is to be reopened. A restart is recorded before it is made, and not again when that had been
    /// as far as its process came.
    async fn starts_again(&mut self, core: &Core, spec: &Spec, head: &Head, kind: FailureKind) -> bool {
        if self.reopen || self.restarts.last().is_some_and(|last| last.failed == head.version) {
            return true;
        }
        let Some((times, window)) = spec.restarts else { return false };
        let now = core.clock.now();
        let recent = self.restarts.iter().filter(|restart| now.since(restart.at) < window).count();
        if recent >= times as usize || matches!(kind, FailureKind::Cancelled | FailureKind::Operator) {
            return false;
        }
        let restarted = Event::ChildRestarted { at: spec.at.clone(), failed: head.version, when: now };
        core.log.write_entry(core.log.entry(&[restarted])).await;
        self.restarts.push(Restart { failed: head.version, at: now });
        true
    }

    async fn ending(&self, core: &Core, head: &Head, end: ChildEnd, blobs: Vec<Blob>) -> Result<Ending> {
        let used = match self.grant {
            Some(_) => used_by(core, head).await?,
            None => Some(0),
        };
        Ok(Ending { end, blobs, used, message: self.message })
    }

    /// A run under the child's id that somebody else began.
    fn foreign(&self, head: &Head) -> Ending {
        let message = format!("run {} was begun by somebody else to do something else", head.run);
        let end = ChildEnd::Failed { cause: ChildCause::Conflict, message };
        Ending { end, blobs: Vec::new(), used: Some(0), message: self.message }
    }
}

/// What a child that has ended says that it used. A child that died without a word, or does not know, has used an unknown
/// amount.
pub(super) async fn used_by(core: &Core, head: &Head) -> Result<Option<u64>> {
    let span = Span::all().until(head.cursor).reverse().limit(1).incarnation(head.fence.incarnation);
    let last = core.log.means().store.stream(&head.run, span).try_next().await?;
    let Some(last) = last else { return Ok(None) };
    Ok(match Event::read(&last)? {
        Some((_, Event::Accounted { spent, gaps })) if gaps.is_empty() => Some(spent),
        _ => None,
    })
}

/// A child's output as its parent's log will have it.
fn recordable(core: &Core, output: &[u8]) -> (ChildEnd, Vec<Blob>) {
    let unrecordable = |problem: String| {
        let message = format!("its output cannot be recorded: {problem}");
        (ChildEnd::Failed { cause: ChildCause::Unrecordable, message }, Vec::new())
    };
    match serde_json::from_slice::<Box<RawValue>>(output) {
        Err(error) => unrecordable(error.to_string()),
        Ok(json) => {
            let encoded = Encoded::of_json(json, core.inline());
            if let Err(error) = core.check_size(&encoded) {
                return unrecordable(error.to_string());
            }
            let (value, blobs) = encoded.split();
            (ChildEnd::Completed(value), blobs)
        }
    }
}

/// Makes a child whose intent is recorded, however long the store takes to answer.
pub(super) async fn plant(core: &Core, busy: &mut Busy<'_>, spec: &Spec, grant: Option<u64>) {
    let mut pauses = pauses();
    loop {
        match make(core, spec, grant).await {
            Ok(()) => return,
            Err(error) if error.kind().is_transient() => core.clock.sleep(pauses()).await,
            Err(error) => {
                core.stop.halt(Halt::Broken(error));
                core.over::<()>(busy).await;
            }
        }
    }
}

/// Makes it, if it is not there. It is driven here if its handler is known here, else by whoever knows it.
async fn make(core: &Core, spec: &Spec, grant: Option<u64>) -> Result<()> {
    let parent = (core.id.clone(), core.log.fence().incarnation);
    let identity = &spec.identity;
    let start = Start::child(&core.runner, identity.run.clone(), &identity.name, spec.input.clone(), parent);
    match start.bounds(spec.within, grant).plant().await {
        // It is there and driven, or it is another one; a look at its head will tell.
        Err(error) if matches!(error.kind(), ErrorKind::LeaseHeld | ErrorKind::ManifestMismatch) => Ok(()),
        other => other,
    }
}
