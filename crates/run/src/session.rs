//! Sessions: streams of events that are durable before anybody sees them.
//!
//! The handler's side. A producer (a model that streams its answer, a process that reports) is opened, its events are
//! recorded as they come, and a last record says how it ended. Others read them with [`crate::Runner::subscribe`].

use std::{collections::HashSet, fmt, panic::AssertUnwindSafe};

use futures_util::{FutureExt, Stream, StreamExt, TryStreamExt, future::BoxFuture, stream::BoxStream};
use serde::{Serialize, de::DeserializeOwned};
use tracing::warn;

use crate::{
    BoxError, Happened, Run, SessionError,
    activity::Busy,
    drive::message_of,
    error::{describe, is_shutdown},
    event::Event,
    history::{self, Entry},
    place::Place,
    run::Core,
    stop::Halt,
};

/// At most so many events that are there at once are written before the producer is asked again.
const AT_ONCE: usize = 64;

type Opening<'a, E> = BoxFuture<'a, Result<BoxStream<'a, Result<E, BoxError>>, BoxError>>;
type Open<'a, E> = Box<dyn FnOnce(Option<String>) -> Opening<'a, E> + Send + 'a>;
type Close<'a> = Box<dyn FnOnce() -> BoxFuture<'a, Result<(), BoxError>> + Send + 'a>;
type Id<'a, E> = Box<dyn Fn(&E) -> String + Send + 'a>;

/// A session, made by [`Run::session`]: await it. It gives all its events, or why it failed.
#[must_use = "a session does nothing until it is awaited"]
pub struct Session<'a, E> {
    run: &'a Run,
    name: String,
    place: Place,
    entry: Option<Entry>,
    open: Option<Open<'a, E>>,
    close: Option<Close<'a>>,
    id: Option<Id<'a, E>>,
}

impl<E> fmt::Debug for Session<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.place.to_string();
        f.debug_struct("Session").field("name", &self.name).field("at", &at).finish_non_exhaustive()
    }
}

impl Run {
    /// A session: a producer's events, each durable before the next one is asked for and before any
    /// [subscriber](crate::Runner::subscribe) sees it, and at last how it ended.
    ///
    /// `open` makes the producer: when its future is ready, so is the producer, and nothing of the session is stored before.
    /// A session that has ended, well or not, is answered from the log and opens no producer. One whose process died in it
    /// opens it again: from its beginning, and what the attempt before had said counts no more; or, with [`Session::ids`],
    /// behind the last event that is durable, whose id `open` gets.
    ///
    /// ```
    /// use futures_util::{Stream, stream};
    /// # use milepost_run::{BoxError, Run};
    /// # async fn ask(_: &str) -> Result<impl Stream<Item = Result<String, BoxError>>, BoxError> {
    /// #     Ok(stream::iter(["Hel", "lo"].map(|token| Ok(token.to_owned()))))
    /// # }
    /// async fn handler(run: Run, prompt: String) -> Result<String, BoxError> {
    ///     let tokens: Vec<String> = run.session("answer", |_| ask(&prompt)).await?;
    ///     Ok(tokens.concat())
    /// }
    /// ```
    ///
    /// An error of `open` or of the stream ends the session, and is recorded as its final event; so is a panic, which then
    /// goes on. A run that is cancelled or lost drops its session as it drops everything: what ended it is in its outcome.
    pub fn session<'a, E, P, F, X, Y>(
        &'a self,
        name: impl Into<String>,
        open: impl FnOnce(Option<String>) -> F + Send + 'a,
    ) -> Session<'a, E>
    where
        E: Serialize + DeserializeOwned + Send + 'a,
        F: Future<Output = Result<P, X>> + Send + 'a,
        P: Stream<Item = Result<E, Y>> + Send + 'a,
        X: Into<BoxError> + 'a,
        Y: Into<BoxError> + 'a,
    {
        let (place, entry) = self.arrive();
        let open: Open<'a, E> = Box::new(move |after| {
            let opening = open(after);
            async move {
                let producer = opening.await.map_err(Into::into)?;
                Ok(producer.map_err(Into::into).boxed())
            }
            .boxed()
        });
        Session { run: self, name: name.into(), place, entry, open: Some(open), close: None, id: None }
    }
}

impl<'a, E> Session<'a, E> {
    /// The producer can go on where it was: `id` gives the name by which it knows an event. After a crash `open` gets the name
    /// of the last event that is durable, and what the producer says a second time is dropped.
    pub fn ids(mut self, id: impl Fn(&E) -> String + Send + 'a) -> Self {
        self.id = Some(Box::new(id));
        self
    }

    /// Cleans up after a producer that was opened, however it ended. What goes wrong with that is told behind the session's
    /// own error, and logged where it has none.
    pub fn close<F, X>(mut self, close: impl FnOnce() -> F + Send + 'a) -> Self
    where
        F: Future<Output = Result<(), X>> + Send + 'a,
        X: Into<BoxError> + 'a,
    {
        self.close = Some(Box::new(move || {
            let closing = close();
            async move { closing.await.map_err(Into::into) }.boxed()
        }));
        self
    }
}

impl<'a, E> IntoFuture for Session<'a, E>
where
    E: Serialize + DeserializeOwned + Send + 'a,
{
    type Output = Result<Vec<E>, SessionError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.execute().boxed()
    }
}

/// How the production of events came to its end.
type Produced = std::thread::Result<Result<(), BoxError>>;

impl<E: Serialize + DeserializeOwned + Send> Session<'_, E> {
    async fn execute(mut self) -> Result<Vec<E>, SessionError> {
        let core = self.run.core().clone();
        let mut busy = core.activity.begin();
        let recorded = match self.entry.take() {
            None => None,
            Some(Entry::Session(session)) if session.name == self.name => Some(session),
            Some(other) => {
                core.diverge(&self.place, &self.asked(), &other);
                return core.over(&mut busy).await;
            }
        };
        let attempt = recorded.as_ref().map_or(0, |recorded| recorded.attempt + 1);
        let (mut events, mut ids) = (Vec::new(), Vec::new());
        if let Some(history::Session { events: durable, ended, .. }) = recorded {
            if let Some(Err(message)) = ended {
                core.observers.tell(&core.id, || Happened::SessionReplayed { session: self.name.clone() });
                return Err(SessionError { session: self.name, message });
            }
            if ended.is_some() || self.id.is_some() {
                for (id, event) in durable {
                    events.push(core.recall(&mut busy, &self.place, &self.asked(), &event).await);
                    ids.extend(id);
                }
            }
            if ended.is_some() {
                core.observers.tell(&core.id, || Happened::SessionReplayed { session: self.name.clone() });
                return Ok(events);
            }
        }
        core.admit(&mut busy).await;
        let produced = AssertUnwindSafe(self.produce(&core, attempt, ids, &mut events)).catch_unwind().await;
        self.end(&core, &mut busy, produced).await.map(|()| events)
    }

    fn asked(&self) -> String {
        format!("session {:?}", self.name)
    }

    /// Records what the producer says, until it ends. `ids` are those of the events that are durable.
    async fn produce(
        &mut self,
        core: &Core,
        attempt: u32,
        ids: Vec<String>,
        events: &mut Vec<E>,
    ) -> Result<(), BoxError> {
        // There is one: it is awaited once.
        let Some(open) = self.open.take() else { return Ok(()) };
        let producer = match open(ids.last().cloned()).await {
            Ok(producer) => producer,
            Err(error) => {
                self.close = None;
                return Err(error);
            }
        };
        let (at, session, keeps) = (self.place.clone(), self.name.clone(), self.id.is_some());
        let began = Event::SessionBegan { at, session: session.clone(), attempt, keeps };
        core.log.write_entry(core.log.entry(&[began])).await;
        core.observers.tell(&core.id, || Happened::SessionBegan { session: session.clone(), attempt });

        let mut seen: HashSet<String> = ids.into_iter().collect();
        let mut chunks = producer.ready_chunks(AT_ONCE);
        while let Some(chunk) = chunks.next().await {
            let mut ticket = 0;
            let mut come = Vec::with_capacity(chunk.len());
            let said = chunk.into_iter().try_for_each(|event| {
                let event = event?;
                let id = self.id.as_ref().map(|id| id(&event));
                if id.as_ref().is_some_and(|id| !seen.insert(id.clone())) {
                    return Ok(());
                }
                let unrecorded = |error| format!("an event cannot be recorded: {error}");
                let (event, encoded) = core.encode(&event).map_err(unrecorded)?;
                let (value, blobs) = encoded.split();
                let (at, session) = (self.place.clone(), self.name.clone());
                let said = Event::SessionSaid { at, session, id, value };
                ticket = core.log.push(core.log.entry(&[said]).blobs(blobs));
                come.push(event);
                Ok::<_, BoxError>(())
            });
            core.log.settle(ticket).await;
            events.append(&mut come);
            said?;
        }
        Ok(())
    }

    /// Cleans up, and records how it ended.
    async fn end(
        &mut self,
        core: &Core,
        busy: &mut Busy<'_>,
        produced: Produced,
    ) -> Result<(), SessionError> {
        let closed = match self.close.take() {
            Some(close) => close().await.map_err(|error| describe(&*error)),
            None => Ok(()),
        };
        let (failure, panic) = match produced {
            Ok(Ok(())) => (None, None),
            Ok(Err(error)) if is_shutdown(&*error) => {
                core.stop.halt(Halt::Released);
                return core.over(busy).await;
            }
            Ok(Err(error)) => (Some(describe(&*error)), None),
            Err(panic) => (Some(format!("its producer panicked: {}", message_of(&*panic))), Some(panic)),
        };
        let failure = match (failure, closed) {
            (None, Err(error)) => {
                warn!(run = %core.id, session = self.name, error, "a session could not be cleaned up");
                None
            }
            (Some(primary), Err(error)) => Some(format!("{primary}; its clean-up failed: {error}")),
            (failure, Ok(())) => failure,
        };
        let (at, session) = (self.place.clone(), self.name.clone());
        let ended = Event::SessionEnded { at, session: session.clone(), failure: failure.clone() };
        core.log.write_entry(core.log.entry(&[ended])).await;
        let told = || Happened::SessionEnded { session: session.clone(), failure: failure.clone() };
        core.observers.tell(&core.id, told);
        if let Some(panic) = panic {
            std::panic::resume_unwind(panic);
        }
        failure.map_or(Ok(()), |message| Err(SessionError { session, message }))
    }
}
