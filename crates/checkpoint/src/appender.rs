//! Appending, also from several tasks at once.

use std::{
    collections::VecDeque,
    mem::take,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use milepost_core::{
    Applied, Capabilities, Commit, Cursor, Error, ErrorKind, Fence, NewRecord, OperationId, Result, RunId,
};
use tokio::sync::{Mutex as AsyncMutex, oneshot};

use crate::{engine::Engine, restore::is_reserved, settings::Settings};

/// The records of one call, and who waits for what becomes of them. They stay together and have a verdict of their own.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) records: Vec<NewRecord>,
    waiting: Option<oneshot::Sender<Result<Cursor>>>,
}

impl Batch {
    /// Tells who waits, once; whether anybody has heard it.
    pub(crate) fn answer(&mut self, answer: &Result<Cursor>) -> bool {
        let Some(waiting) = self.waiting.take() else { return false };
        waiting.send(answer.as_ref().map(|cursor| *cursor).map_err(Error::repeat)).is_ok()
    }
}

/// What was offered while the engine was at work. Whoever has the engine next takes it all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offers(Arc<Mutex<Vec<Batch>>>);

impl Offers {
    fn lock(&self) -> MutexGuard<'_, Vec<Batch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn offer(&self, records: Vec<NewRecord>) -> oneshot::Receiver<Result<Cursor>> {
        let (sender, receiver) = oneshot::channel();
        self.lock().push(Batch { records, waiting: Some(sender) });
        receiver
    }

    pub(crate) fn drain_into(&self, pending: &mut VecDeque<Batch>) {
        pending.extend(take(&mut *self.lock()));
    }
}

/// A handle with which many tasks append to one run. While a commit is under way, what they append gathers and goes
/// together in the next one: parallel steps do not queue up trips.
#[derive(Clone, Debug)]
pub struct Appender {
    engine: Arc<AsyncMutex<Engine>>,
    offers: Offers,
    settings: Arc<Settings>,
    capabilities: Capabilities,
    /// A commit of nothing, to check what is offered before it can spoil anything else.
    blank: Commit,
}

impl Appender {
    pub(crate) fn new(
        engine: Arc<AsyncMutex<Engine>>,
        offers: Offers,
        settings: Arc<Settings>,
        capabilities: Capabilities,
        (run, fence): (RunId, Fence),
    ) -> Self {
        let blank = Commit::new(run, fence, OperationId(0), 0);
        Self { engine, offers, settings, capabilities, blank }
    }

    /// Appends records, contiguous and in order, and returns a cursor at or past the last of them once all are durable.
    ///
    /// Records that the store refuses (`Duplicate`, a missing blob) are dropped, those of this call alone. After any
    /// other error they stay pending and go with the next call, whatever it is; so they do when the future is dropped.
    ///
    /// # Errors
    ///
    /// As [`milepost_core::Checkpointer::append`]. A refusal ([`Error::refusal`]) of records is about those of this
    /// call; one of records that an earlier call has left pending is told without it, and those of this call then wait
    /// for the next.
    pub async fn append(&self, records: Vec<NewRecord>) -> Result<Cursor> {
        check_kinds(&records)?;
        self.blank.clone().records(records.iter().cloned()).check(&self.capabilities)?;
        if records.is_empty() {
            let mut engine = self.engine.lock().await;
            let flushed = engine.flush().await;
            return self.soften(&engine, flushed);
        }
        let mut answer = self.offers.offer(records);
        let mut engine = self.engine.lock().await;
        // Who had the engine before may have taken these along.
        if let Ok(answer) = answer.try_recv() {
            return self.soften(&engine, answer);
        }
        let flushed = engine.flush().await;
        let answer = answer.try_recv().unwrap_or_else(|_| flushed.map_err(about_others));
        self.soften(&engine, answer)
    }

    fn soften(&self, engine: &Engine, answer: Result<Cursor>) -> Result<Cursor> {
        answer.or_else(|error| self.settings.soften(&self.blank.run, error, engine.cursor()))
    }
}

/// Makes an error of records that others have left pending one that is not taken for one's own.
fn about_others(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Duplicate | ErrorKind::Conflict => {
            let applied = error.applied().unwrap_or(Applied::Maybe);
            Error::new(error.kind(), "records of an earlier append were refused and dropped")
                .with_source(error)
                .with_applied(applied)
        }
        _ => error,
    }
}

/// Refuses the kinds that are the checkpointer's own.
fn check_kinds(records: &[NewRecord]) -> Result<()> {
    match records.iter().find(|record| is_reserved(&record.kind)) {
        Some(record) => {
            let message =
                format!("the kind {:?} is reserved: kinds must not begin with `milepost/`", record.kind);
            Err(Error::new(ErrorKind::Invalid, message))
        }
        None => Ok(()),
    }
}
