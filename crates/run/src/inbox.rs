//! What outsiders have sent to a driven run, as far as it has come here.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::TryStreamExt;
use milepost_core::{Digest, Epoch, Fence, Head, Message, MessageKey, Result, RunId, Span};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::{Notify, futures::Notified};
use tracing::warn;

use crate::{
    log::{Means, pauses},
    stop::{Halt, Stop},
};

/// The kinds of messages that this crate sends.
pub(crate) const SIGNAL: &str = "milepost/run.signal";
pub(crate) const CANCEL: &str = "milepost/run.cancel";
pub(crate) const ANSWER: &str = "milepost/run.answer";
/// A child has ended.
pub(crate) const ENDED: &str = "milepost/run.ended";
/// The key of a request to cancel: there is one for a run.
pub(crate) const CANCEL_KEY: &str = "cancel";

/// The body of each of them.
#[derive(Serialize, Deserialize)]
pub(crate) struct Body<T> {
    v: u32,
    #[serde(rename = "value")]
    pub(crate) value: T,
}

impl<T> Body<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { v: 1, value }
    }
}

/// The messages that wait for their handler.
#[derive(Debug)]
pub(crate) struct Inbox {
    means: Means,
    run: RunId,
    fence: Fence,
    /// How often to look where the store cannot be followed.
    poll: Duration,
    stop: Arc<Stop>,
    waiting: Mutex<BTreeMap<u64, Message>>,
    /// The newest message that came here.
    seen: AtomicU64,
    changed: Notify,
}

impl Inbox {
    pub(crate) fn new(means: Means, run: RunId, fence: Fence, poll: Duration, stop: Arc<Stop>) -> Self {
        let (waiting, seen, changed) = Default::default();
        Self { means, run, fence, poll, stop, waiting, seen, changed }
    }

    /// Whether messages can come at all.
    pub(crate) fn exists(&self) -> bool {
        self.means.store.capabilities().supports_inbox()
    }

    /// Reads what waited when the run was opened.
    pub(crate) async fn load(&self, head: &Head) -> Result<()> {
        if head.newest_message > 0 {
            self.read(Span::all().until(head.newest_message)).await?;
            self.seen.fetch_max(head.newest_message, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Reads what comes, until its task is ended.
    pub(crate) async fn follow(self: Arc<Self>) {
        let follows = self.means.store.capabilities().supports_follow();
        let mut pauses = pauses();
        loop {
            let span = Span::after(self.seen());
            let read = self.read(if follows { span.follow() } else { span }).await;
            match read {
                Ok(()) if follows => return,
                Ok(()) => self.means.clock.sleep(self.poll).await,
                Err(error) if error.kind().is_transient() => {
                    warn!(run = %self.run, %error, "the inbox could not be read; it is tried again");
                    self.means.clock.sleep(pauses()).await;
                }
                Err(error) => {
                    warn!(run = %self.run, %error, "the inbox cannot be read; messages do not reach the run");
                    return;
                }
            }
        }
    }

    async fn read(&self, span: Span) -> Result<()> {
        let span = span.incarnation(self.fence.incarnation);
        let mut messages = self.means.store.inbox(&self.run, span);
        while let Some(message) = messages.try_next().await? {
            self.arrive(message);
        }
        Ok(())
    }

    fn arrive(&self, message: Message) {
        let number = message.number;
        if message.kind.as_str() == CANCEL {
            let reason = serde_json::from_slice::<Body<String>>(&message.body);
            let reason = reason.map_or_else(|_| "no reason given".into(), |body| body.value);
            self.stop.halt(Halt::Cancelled { reason, message: number });
        }
        self.waiting().insert(number, message);
        self.changed.notify_waiters();
        // Last: a message that counts as seen is one that the handler was told of.
        self.seen.fetch_max(number, Ordering::AcqRel);
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<u64, Message>> {
        self.waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The number of the newest message that came here.
    pub(crate) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Acquire)
    }

    /// Told of every message that comes. To be held while looking, so that none is missed.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Lets everyone look again.
    pub(crate) fn tell(&self) {
        self.changed.notify_waiters();
    }

    /// The message of this kind and key, given to who asks first. Without one, whether there is one that does not `fit`.
    pub(crate) fn take(
        &self,
        kind: &str,
        key: &str,
        fit: impl Fn(&Message) -> bool,
    ) -> std::result::Result<Message, bool> {
        let mut waiting = self.waiting();
        let is_it = |message: &&Message| message.kind.as_str() == kind && message.key.as_str() == key;
        let found = waiting.values().find(is_it).ok_or(false)?;
        if !fit(found) {
            return Err(true);
        }
        let number = found.number;
        waiting.remove(&number).ok_or(false)
    }

    /// The number of a message that this child has ended, given to who asks first.
    pub(crate) fn take_end(&self, child: &RunId) -> Option<u64> {
        let prefix = end_prefix(child);
        let mut waiting = self.waiting();
        let is_it =
            |message: &&Message| message.kind.as_str() == ENDED && message.key.as_str().starts_with(&prefix);
        let number = waiting.values().find(is_it)?.number;
        waiting.remove(&number).map(|message| message.number)
    }

    /// The message of this kind and key, as soon as it is here.
    pub(crate) async fn wait(&self, kind: &str, key: &str) -> Message {
        loop {
            let changed = self.changed();
            if let Ok(message) = self.take(kind, key, |_| true) {
                return message;
            }
            changed.await;
        }
    }
}

/// The inbox key of the message that a child has ended: one for each time that it ends.
pub(crate) fn end_key(child: &RunId, epoch: Epoch) -> Result<MessageKey> {
    MessageKey::new(format!("{}{epoch}", end_prefix(child)))
}

fn end_prefix(child: &RunId) -> String {
    format!("ended:{}:", &Digest::of(child.as_str().as_bytes()).to_string()[..32])
}

/// What a message says.
pub(crate) fn value_of(message: &Message) -> std::result::Result<Box<RawValue>, String> {
    let body = serde_json::from_slice::<Body<Box<RawValue>>>(&message.body);
    body.map(|body| body.value).map_err(|error| error.to_string())
}
