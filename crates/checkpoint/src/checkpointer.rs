//! The checkpointer of one driven run, over any store.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use milepost_core::{
    Applied, Capabilities, Checkpointer, Cursor, Delete, Error, Failure, Fence, Finish, Head, NewRecord,
    Outcome, Refusal, Restored, Result, RunId, Saved, Wake,
};
use tokio::sync::Mutex as AsyncMutex;
use tracing::warn;

use crate::{
    appender::{Appender, Offers},
    background::Background,
    engine::{End, Engine, Means, SnapshotWish, closed},
    keeper::Keeper,
    restore::Restore,
    settings::SaveMode,
    throttle::Throttle,
    vitals::Vitals,
};

/// Saves where one run has got to, into any [`milepost_core::Store`].
///
/// Every method may be cancelled by dropping its future: what was to be written is then either written or not, and the
/// next call settles which before it does anything else. Dropping the checkpointer itself writes nothing; the run is
/// interrupted once its lease has run out.
#[derive(Debug)]
pub struct StoreCheckpointer {
    means: Means,
    run: RunId,
    fence: Fence,
    capabilities: Capabilities,
    engine: Arc<AsyncMutex<Engine>>,
    vitals: Arc<Vitals>,
    keeper: Keeper,
    appender: Appender,
    background: Option<Background>,
    throttle: Arc<Mutex<Throttle>>,
    /// The newest state that was given to `save` and is not durable; newer than what the background has.
    pending: Option<Bytes>,
    restored: Option<Restored>,
    closed: bool,
}

impl StoreCheckpointer {
    pub(crate) fn start(means: Means, fence: Fence, head: &Head, restore: Restore, created: bool) -> Self {
        let capabilities = means.store.capabilities();
        let offers = Offers::default();
        let engine = Engine::new(means.clone(), fence, head, &restore, offers.clone());
        let vitals = engine.vitals();
        let engine = Arc::new(AsyncMutex::new(engine));
        let run = (head.run.clone(), fence);
        let appender = Appender::new(engine.clone(), offers, means.settings.clone(), capabilities, run);
        let throttle = Arc::new(Mutex::new(Throttle::new(means.settings.throttle)));
        let background = matches!(means.settings.mode, SaveMode::Async { .. })
            .then(|| Background::start(engine.clone(), throttle.clone(), means.clock.clone()));
        let restored =
            Restored { state: restore.state, cursor: restore.state_cursor, records: restore.records };
        Self {
            run: head.run.clone(),
            fence,
            capabilities,
            keeper: Keeper::start(&means, &head.run, fence, vitals.clone()),
            engine,
            vitals,
            appender,
            background,
            throttle,
            pending: None,
            restored: (!created).then_some(restored),
            closed: false,
            means,
        }
    }

    /// Appends from several tasks at once: what gathers while a commit is under way goes together in the next.
    pub fn appender(&self) -> Appender {
        self.appender.clone()
    }

    /// Waits until a renewal finds out that this process no longer drives the run: the moment to stop at once and write
    /// no outcome. Never, while it does.
    pub fn lost(&self) -> impl Future<Output = Arc<Error>> + Send + use<> {
        self.keeper.when_lost()
    }

    /// Refuses to go on once the run has been let go of, ended or lost.
    fn check_open(&self) -> Result<()> {
        if self.closed {
            return Err(closed());
        }
        let Some(error) = self.keeper.lost() else { return Ok(()) };
        let error = error.repeat();
        Err(if self.vitals.is_unsettled() { error.with_applied(Applied::Maybe) } else { error })
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a save now would be kept for later; asked before anything is encoded.
    pub(crate) fn holds(&self) -> Result<bool> {
        self.check_open()?;
        if self.means.settings.mode == SaveMode::OnExit {
            return Ok(true);
        }
        let throttle = self.throttle();
        Ok(!throttle.is_off() && throttle.holds(self.means.clock.elapsed()))
    }

    /// Saves a state that the throttle has let through.
    pub(crate) async fn persist(&mut self, state: Bytes) -> Result<Saved> {
        self.check_open()?;
        let SaveMode::Async { max_lag } = self.means.settings.mode else {
            return self.persist_now(state, SnapshotWish::Policy).await;
        };
        let now = self.means.clock.elapsed();
        self.pending = None;
        if let Some(background) = &self.background {
            let failed = background.take_error();
            let since = background.hand_over(state, now);
            failed.or_else(|error| self.soften(error, ()))?;
            if now.saturating_sub(since) >= max_lag {
                return self.write_pending().await;
            }
        }
        Ok(Saved::Persisted { cursor: self.vitals.cursor() })
    }

    /// Saves a state before it returns, whatever the throttle says.
    pub(crate) async fn persist_now(&mut self, state: Bytes, wish: SnapshotWish) -> Result<Saved> {
        self.check_open()?;
        let began = self.means.clock.elapsed();
        self.pending = Some(state.clone());
        let engine = self.engine.clone();
        let mut engine = engine.lock().await;
        self.take_back();
        let result = engine.save(state, wish).await;
        drop(engine);
        self.conclude(result, began)
    }

    /// Takes what the background has not begun to save, unless there is something newer. Needs the engine: the state
    /// that is being saved is not to be overtaken.
    fn take_back(&mut self) {
        let older = self.background.as_ref().and_then(Background::take_back);
        self.pending = self.pending.take().or(older);
    }

    /// Takes over what came of saving the newest state: it is durable now, or stays pending.
    fn conclude(&mut self, result: Result<Saved>, began: Duration) -> Result<Saved> {
        let saved = match result {
            Ok(saved) => saved,
            Err(error) => return self.soften(error, Saved::Throttled),
        };
        self.pending = None;
        if let Some(background) = &self.background {
            background.caught_up();
        }
        if matches!(saved, Saved::Persisted { .. }) {
            self.throttle().saved(began);
        }
        Ok(saved)
    }

    /// Whether a state is still under way in the background.
    pub(crate) fn is_behind(&self) -> bool {
        self.background.as_ref().is_some_and(Background::is_behind)
    }

    /// Writes the newest state that is not durable, and records that are pending.
    async fn write_pending(&mut self) -> Result<Saved> {
        self.check_open()?;
        let began = self.means.clock.elapsed();
        let engine = self.engine.clone();
        let mut engine = engine.lock().await;
        self.take_back();
        let before = engine.cursor();
        let result = match self.pending.clone() {
            Some(state) => engine.save(state, SnapshotWish::Policy).await,
            None => match engine.flush().await {
                Ok(cursor) if cursor == before => return Ok(Saved::Unchanged),
                Ok(cursor) => return Ok(Saved::Persisted { cursor }),
                Err(error) => Err(error),
            },
        };
        drop(engine);
        self.conclude(result, began)
    }

    /// Saves the last state and ends what this process has with the run, in one commit.
    pub(crate) async fn finish(&mut self, state: Option<Bytes>, end: End) -> Result<()> {
        if self.closed {
            return Err(closed());
        }
        // A run that seems lost is let through: an end that is in doubt is for the store to answer.
        let engine = self.engine.clone();
        let mut engine = engine.lock().await;
        self.pending = state.or(self.pending.take());
        self.take_back();
        engine.end(self.pending.clone(), end).await?;
        drop(engine);
        self.pending = None;
        self.closed = true;
        self.keeper.stop();
        Ok(())
    }

    pub(crate) async fn finish_with(&mut self, state: Option<Bytes>, outcome: Outcome) -> Result<()> {
        let retain = self.means.settings.retain;
        self.finish(state, End::Finish(Finish { outcome, retain })).await?;
        if retain == milepost_core::Retain::Delete {
            let guard = Delete::Finished(self.fence.incarnation);
            if let Err(error) = self.means.store.delete(&self.run, guard).await {
                warn!(run = %self.run, %error, "the finished run could not be deleted; `list(expired)` finds it");
            }
        }
        Ok(())
    }

    fn soften<T>(&self, error: Error, instead: T) -> Result<T> {
        self.means.settings.soften(&self.run, error, instead)
    }
}

#[async_trait]
impl Checkpointer for StoreCheckpointer {
    fn run(&self) -> Option<&RunId> {
        Some(&self.run)
    }

    fn fence(&self) -> Option<Fence> {
        Some(self.fence)
    }

    fn cursor(&self) -> Cursor {
        self.vitals.cursor()
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn restored(&mut self) -> Option<Restored> {
        self.restored.take()
    }

    async fn save(&mut self, state: Bytes) -> Result<Saved> {
        if self.holds()? {
            self.pending = Some(state);
            return Ok(Saved::Throttled);
        }
        self.persist(state).await
    }

    async fn append(&mut self, records: Vec<NewRecord>) -> Result<Cursor> {
        self.check_open()?;
        self.appender.append(records).await
    }

    async fn checkpoint(&mut self, state: Bytes) -> Result<Cursor> {
        self.persist_now(state, SnapshotWish::Always).await.map(|_| self.vitals.cursor())
    }

    async fn flush(&mut self) -> Result<Saved> {
        self.write_pending().await
    }

    async fn renew(&mut self) -> Result<()> {
        self.check_open()?;
        let began = self.means.clock.elapsed();
        let renew = milepost_core::Renew::new(self.fence, self.means.settings.ttl);
        match self.means.store.renew(&self.run, renew).await {
            Ok(()) => {
                self.vitals.extend(began);
                Ok(())
            }
            Err(error) => self.soften(error, ()),
        }
    }

    async fn release(&mut self, wake: Wake) -> Result<()> {
        self.finish(None, End::Release(wake)).await
    }

    async fn complete(&mut self, output: Bytes) -> Result<()> {
        self.finish_with(None, Outcome::Completed { output }).await
    }

    async fn fail(&mut self, failure: Failure) -> Result<()> {
        self.finish_with(None, Outcome::Failed { failure }).await
    }
}

/// Whether opening was refused because the run has its outcome.
pub(crate) fn finished(error: &Error) -> Option<Outcome> {
    match error.refusal() {
        Some(Refusal::Finished { outcome }) => Some(outcome.clone()),
        _ => None,
    }
}
