//! Appending from several tasks at once.

use std::{
    mem::take,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use milepost_core::{Cursor, NewRecord, Result};
use tokio::sync::{Mutex as AsyncMutex, oneshot};

use crate::{checkpointer::check_kinds, engine::Engine};

/// Records that wait for the commit under way to end.
#[derive(Debug, Default)]
struct Gathered {
    records: Vec<NewRecord>,
    waiting: Vec<oneshot::Sender<Result<Cursor>>>,
}

/// A handle with which many tasks append to one run. While a commit is under way, what they append gathers and goes
/// together in the next one: parallel steps do not queue up trips.
#[derive(Clone, Debug)]
pub struct Appender {
    engine: Arc<AsyncMutex<Engine>>,
    gathered: Arc<Mutex<Gathered>>,
}

impl Appender {
    pub(crate) fn new(engine: Arc<AsyncMutex<Engine>>) -> Self {
        Self { engine, gathered: Arc::default() }
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends records, contiguous and in order, and returns a cursor at or past the last of them once all are durable.
    ///
    /// # Errors
    ///
    /// As [`milepost_core::Checkpointer::append`]. Those who were gathered into one commit share its verdict. A dropped
    /// future leaves its records to go with the next commit.
    pub async fn append(&self, records: Vec<NewRecord>) -> Result<Cursor> {
        check_kinds(&records)?;
        let (sender, mut receiver) = oneshot::channel();
        {
            let mut gathered = self.gathered();
            gathered.records.extend(records);
            gathered.waiting.push(sender);
        }
        let mut engine = self.engine.lock().await;
        if let Ok(result) = receiver.try_recv() {
            return result;
        }
        // Nobody has answered: this task leads. If a leader before was dropped, its records are pending in the engine
        // and go first.
        let Gathered { records, waiting } = take(&mut *self.gathered());
        let result = engine.append(records).await;
        for sender in waiting {
            let answer = result.as_ref().map(|cursor| *cursor).map_err(milepost_core::Error::repeat);
            // Whoever dropped its future does not listen any more.
            let _ = sender.send(answer);
        }
        result
    }
}
