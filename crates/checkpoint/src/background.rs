//! Saving in the background: one newest state under way, older ones dropped, an error kept for the next call.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use milepost_core::{Clock, Error, Result};
use tokio::{
    sync::{Mutex as AsyncMutex, Notify},
    task::JoinHandle,
};

use crate::{
    engine::{Engine, SnapshotWish},
    throttle::Throttle,
};

#[derive(Debug, Default)]
struct Slot {
    /// The newest state that nobody has begun to save.
    waiting: Option<Bytes>,
    /// Since when the oldest state that is not durable has waited.
    since: Option<Duration>,
    error: Option<Error>,
}

/// A task that saves the newest of the states that are handed to it.
#[derive(Debug)]
pub(crate) struct Background {
    slot: Arc<Mutex<Slot>>,
    more: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Background {
    /// Needs a tokio runtime.
    pub(crate) fn start(
        engine: Arc<AsyncMutex<Engine>>,
        throttle: Arc<Mutex<Throttle>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (slot, more) = (Arc::new(Mutex::new(Slot::default())), Arc::new(Notify::new()));
        let task = tokio::spawn(work(engine, throttle, clock, slot.clone(), more.clone()));
        Self { slot, more, task }
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        lock(&self.slot)
    }

    /// Hands a state over; tells since when the oldest one waits that is not durable.
    pub(crate) fn hand_over(&self, state: Bytes, now: Duration) -> Duration {
        let mut slot = self.slot();
        slot.waiting = Some(state);
        let since = *slot.since.get_or_insert(now);
        drop(slot);
        self.more.notify_one();
        since
    }

    /// Whether a state was handed over that is not durable yet.
    pub(crate) fn is_behind(&self) -> bool {
        self.slot().since.is_some()
    }

    /// The error of a save in the background, once. What it could not save is handed over again.
    pub(crate) fn take_error(&self) -> Result<()> {
        let Some(error) = self.slot().error.take() else { return Ok(()) };
        self.more.notify_one();
        Err(error)
    }

    /// Takes back what nobody has begun to save, for a caller that holds the engine and saves it itself.
    pub(crate) fn take_back(&self) -> Option<Bytes> {
        let mut slot = self.slot();
        slot.error = None;
        slot.waiting.take()
    }

    /// Nothing waits any more: the caller has saved the newest state itself.
    pub(crate) fn caught_up(&self) {
        self.slot().since = None;
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn work(
    engine: Arc<AsyncMutex<Engine>>,
    throttle: Arc<Mutex<Throttle>>,
    clock: Arc<dyn Clock>,
    slot: Arc<Mutex<Slot>>,
    more: Arc<Notify>,
) {
    loop {
        more.notified().await;
        // The engine is held until the slot says how it went, so that who holds it next sees no state in between.
        let mut engine = engine.lock().await;
        let Some(state) = lock(&slot).waiting.take() else { continue };
        let began = clock.elapsed();
        let result = engine.save(state.clone(), SnapshotWish::Policy).await;
        let mut slot = lock(&slot);
        match result {
            Ok(_) => {
                lock(&throttle).saved(began);
                slot.since = slot.waiting.is_some().then_some(began);
            }
            Err(error) => {
                slot.error = Some(error);
                slot.waiting.get_or_insert(state);
            }
        }
    }
}
