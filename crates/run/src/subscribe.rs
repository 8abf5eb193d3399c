//! Sessions as others see them, in any process: from the log, so nothing that is not durable.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use milepost_core::{BoxStream, Cursor, Record, Refusal, Result, RunId, Span, Store};
use serde::de::DeserializeOwned;

use crate::{Runner, event::Event, run::load};

/// What a [subscriber](Runner::subscribe) gets.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct StreamedEvent<E> {
    /// Where it stands in the run's log: subscribe behind it to go on.
    pub cursor: Cursor,
    /// What it is.
    pub what: Streamed<E>,
}

/// Something that a [session](crate::Run::session) says.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Streamed<E> {
    /// Its producer is ready. Unless it `keeps` what was said before, which it does if it went on where it was, the events of
    /// the attempts before count no more.
    Began {
        /// The attempt, counted from 0.
        attempt: u32,
        /// Whether the events of the attempts before still count.
        keeps: bool,
    },
    /// An event.
    Event(E),
    /// The last one: it is whole, or has failed for this reason.
    Ended(std::result::Result<(), String>),
}

impl Runner {
    /// The events of a run's sessions of this name from behind `after` on (0 is the beginning), as they become durable,
    /// whoever drives the run and however often it is taken over. Ends when the run has.
    ///
    /// Who loses the stream subscribes again behind the cursor of the last event that it got, in any process: there is no gap,
    /// and nothing comes twice. A store that cannot be [followed](milepost_core::Capability::Follow) is asked every
    /// [`Settings::poll`](crate::Settings::poll).
    ///
    /// # Errors
    ///
    /// As the last item: those of [`milepost_core::Store::stream`]; `Undecodable` where an event is no `E`.
    pub fn subscribe<E>(
        &self,
        run: &RunId,
        session: impl Into<String>,
        after: Cursor,
    ) -> BoxStream<'static, Result<StreamedEvent<E>>>
    where
        E: DeserializeOwned + Send + 'static,
    {
        let (store, run, session): (_, _, String) = (self.store().clone(), run.clone(), session.into());
        let records = if store.capabilities().supports_follow() {
            store.stream(&run, Span::after(after).follow())
        } else {
            self.polled(&run, after)
        };
        let streamed =
            records.try_filter_map(move |record| read(store.clone(), run.clone(), session.clone(), record));
        streamed.boxed()
    }

    /// The records of a run behind `after`, asked for again and again until it has ended.
    fn polled(&self, run: &RunId, after: Cursor) -> BoxStream<'static, Result<Record>> {
        let (runner, run) = (self.clone(), run.clone());
        let pages = stream::try_unfold(Some(after), move |after| {
            let (runner, run) = (runner.clone(), run.clone());
            async move {
                let Some(after) = after else { return Ok::<_, milepost_core::Error>(None) };
                // The head is older than the records: when it has ended, so have they.
                let head = runner.store().head(&run).await?.ok_or(Refusal::NotFound)?;
                let page: Vec<Record> = runner.store().stream(&run, Span::after(after)).try_collect().await?;
                let newest = page.last().map_or(after, |record| record.cursor);
                let next = head.outcome.is_none().then_some(newest);
                if page.is_empty() && next.is_some() {
                    runner.shared().means.clock.sleep(runner.shared().settings.poll).await;
                }
                Ok(Some((stream::iter(page.into_iter().map(Ok)), next)))
            }
        });
        pages.try_flatten().boxed()
    }
}

/// What a record says of a session, if it does.
async fn read<E: DeserializeOwned>(
    store: Arc<dyn Store>,
    run: RunId,
    name: String,
    record: Record,
) -> Result<Option<StreamedEvent<E>>> {
    let Some((_, event)) = Event::read(&record)? else { return Ok(None) };
    let what = match event {
        Event::SessionBegan { session, attempt, keeps, .. } if session == name => {
            Streamed::Began { attempt, keeps }
        }
        Event::SessionSaid { session, value, .. } if session == name => {
            Streamed::Event(load(&*store, &run, &value).await?)
        }
        Event::SessionEnded { session, failure, .. } if session == name => {
            Streamed::Ended(failure.map_or(Ok(()), Err))
        }
        _ => return Ok(None),
    };
    Ok(Some(StreamedEvent { cursor: record.cursor, what }))
}
