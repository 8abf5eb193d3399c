//! Waiting for what an outsider says.

use std::{fmt, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use milepost_core::{Capability, Message, MessageKey, Result as StoreResult, Timestamp};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Run, WaitError,
    activity::Busy,
    event::{Event, Waited},
    history::Entry,
    inbox::{SIGNAL, value_of},
    place::Place,
    stop::Halt,
    value::{Encoded, Stored},
};

/// The inbox key of a signal. A name that makes none is no name of a signal.
pub(crate) fn key_of(signal: &str) -> StoreResult<MessageKey> {
    MessageKey::new(format!("signal:{signal}"))
}

/// A wait for a signal, made by [`Run::signal`]: await it.
///
/// As it is, it waits as long as it takes and gives the signal's value. [`Signal::within`] and [`Signal::until`] bound it
/// and give `None` where the time is over first; which of the two came first is judged by the store's clock, also when
/// nobody looked at the time. [`Signal::or`] names the value that then stands in.
#[must_use = "a wait does nothing until it is awaited"]
pub struct Signal<'a, T, O = T> {
    run: &'a Run,
    name: String,
    place: Place,
    entry: Option<Entry>,
    bound: Option<Bound>,
    default: Option<Result<Encoded, String>>,
    finish: fn(Option<T>) -> Option<O>,
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    Within(Duration),
    Until(Timestamp),
}

impl<T, O> fmt::Debug for Signal<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal").field("name", &self.name).field("bound", &self.bound).finish_non_exhaustive()
    }
}

impl<'a, T> Signal<'a, T> {
    pub(crate) fn new(run: &'a Run, name: String) -> Self {
        let (place, entry) = run.arrive();
        Self { run, name, place, entry, bound: None, default: None, finish: |value| value }
    }

    /// Waits no longer than `duration` from when the wait was reached first; over crashes it does not start anew.
    pub fn within(self, duration: Duration) -> Signal<'a, T, Option<T>> {
        self.bounded(Bound::Within(duration))
    }

    /// Waits until `instant` at the latest, by the store's clock.
    pub fn until(self, instant: Timestamp) -> Signal<'a, T, Option<T>> {
        self.bounded(Bound::Until(instant))
    }

    fn bounded(self, bound: Bound) -> Signal<'a, T, Option<T>> {
        let Self { run, name, place, entry, .. } = self;
        Signal { run, name, place, entry, bound: Some(bound), default: None, finish: Some }
    }
}

impl<'a, T: Serialize> Signal<'a, T, Option<T>> {
    /// `default` stands in when nobody has answered in time. It is recorded when the wait begins.
    pub fn or(self, default: T) -> Signal<'a, T> {
        let inline = self.run.core().inline();
        let default = Encoded::of(&default, inline).map_err(|error| error.to_string());
        let Self { run, name, place, entry, bound, .. } = self;
        Signal { run, name, place, entry, bound, default: Some(default), finish: |value| value }
    }
}

impl<'a, T, O> IntoFuture for Signal<'a, T, O>
where
    T: DeserializeOwned + Send + 'a,
    O: Send + 'a,
{
    type Output = Result<O, WaitError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.wait().boxed()
    }
}

impl<T: DeserializeOwned + Send, O: Send> Signal<'_, T, O> {
    async fn wait(mut self) -> Result<O, WaitError> {
        let core = self.run.core();
        let mut busy = core.activity.begin();
        let waited = Waited::Signal(self.name.clone());
        let asked = format!("a wait for signal {:?}", self.name);
        let came = match self.entry.take() {
            Some(Entry::Wait(wait)) if wait.on == waited => match wait.done {
                Some(came) => came.or(wait.default),
                None => self.go_on(&mut busy, wait.until, wait.default).await,
            },
            None => {
                core.admit(&mut busy).await;
                self.begin(&mut busy).await?
            }
            Some(other) => {
                core.diverge(&self.place, &asked, &other);
                core.over(&mut busy).await
            }
        };
        let value = match &came {
            None => None,
            Some(value) => match core.load(value).await {
                Ok(value) => Some(value),
                // Whoever sent it is to blame, not the handler: an error that replay repeats.
                Err(error) if error.kind() == milepost_core::ErrorKind::Undecodable => {
                    return Err(WaitError { signal: self.name, message: error.to_string() });
                }
                Err(_) => Some(core.recall(&mut busy, &self.place, &asked, value).await),
            },
        };
        match (self.finish)(value) {
            Some(value) => Ok(value),
            // A wait without a bound is over only with a value.
            None => core.over(&mut busy).await,
        }
    }

    /// Records the wait, and waits.
    async fn begin(&mut self, busy: &mut Busy<'_>) -> Result<Option<Stored>, WaitError> {
        let core = self.run.core();
        if let Err(error) = key_of(&self.name) {
            return Err(WaitError { signal: self.name.clone(), message: error.to_string() });
        }
        if let Err(error) = core.log.capabilities().require(Capability::Inbox) {
            core.stop.halt(Halt::Broken(error));
            return core.over(busy).await;
        }
        let (default, blobs) = match self.default.take() {
            None => (None, Vec::new()),
            Some(Ok(encoded)) => {
                let (value, blobs) = encoded.split();
                (Some(value), blobs)
            }
            Some(Err(message)) => return Err(WaitError { signal: self.name.clone(), message }),
        };
        let until = self.bound.map(|bound| match bound {
            Bound::Within(duration) => core.clock.now() + duration,
            Bound::Until(instant) => instant,
        });
        let on = Waited::Signal(self.name.clone());
        let began = Event::WaitBegan { at: self.place.clone(), on, until, default: default.clone() };
        core.log.write_entry(core.log.entry(&[began]).blobs(blobs)).await;
        Ok(self.go_on(busy, until, default).await)
    }

    /// Waits for the message or the instant, and records which it was.
    async fn go_on(
        &self,
        busy: &mut Busy<'_>,
        until: Option<Timestamp>,
        default: Option<Stored>,
    ) -> Option<Stored> {
        let core = self.run.core();
        busy.park(until);
        let came = tokio::select! {
            biased;
            came = self.came(until) => came,
            () = sleep_until(core, until) => Came::Late,
        };
        busy.unpark();
        core.admit(busy).await;
        let (value, message) = match came {
            Came::Late => (None, None),
            Came::Before(value) => (Some(value), None),
            Came::Now(message) => (Some(self.value_of(&message)), Some(message.number)),
        };
        let (value, blobs) = match value {
            Some(encoded) => {
                let (value, blobs) = encoded.split();
                core.history().receive(&self.name, value.clone());
                core.inbox.tell();
                (Some(value), blobs)
            }
            None => (None, Vec::new()),
        };
        let done = Event::WaitDone { at: self.place.clone(), value: value.clone() };
        let entry = core.log.entry(&[done]).blobs(blobs);
        let entry = match message {
            Some(number) => entry.take(number),
            None => entry,
        };
        core.log.write_entry(entry).await;
        value.or(default)
    }

    /// The signal's message, as soon as it is here, or its value, if another wait had the message.
    async fn came(&self, until: Option<Timestamp>) -> Came {
        let core = self.run.core();
        let key = format!("signal:{}", self.name);
        let in_time = |message: &Message| until.is_none_or(|until| message.at <= until);
        loop {
            let changed = core.inbox.changed();
            if let Some(value) = core.history().signal(&self.name).cloned() {
                return Came::Before(Encoded { value, blob: None });
            }
            match core.inbox.take(SIGNAL, &key, in_time) {
                Ok(message) => return Came::Now(message),
                Err(true) => return Came::Late,
                Err(false) => changed.await,
            }
        }
    }

    fn value_of(&self, message: &Message) -> Encoded {
        let core = self.run.core();
        let json = value_of(message).unwrap_or_else(|error| {
            tracing::warn!(run = %core.id, signal = self.name, error, "a signal is none of this crate's");
            Box::default()
        });
        Encoded::of_json(json, core.inline())
    }
}

/// How a wait came to its end.
enum Came {
    /// By its instant.
    Late,
    /// By a message that another wait of the same name had taken.
    Before(Encoded),
    Now(Message),
}

async fn sleep_until(core: &crate::run::Core, until: Option<Timestamp>) {
    match until {
        Some(until) => core.clock.sleep_until(until).await,
        None => std::future::pending().await,
    }
}
