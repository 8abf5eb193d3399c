//! Begins and resumes runs over a store.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::StreamExt;
use milepost_core::{
    Applied, Begin, Begun, BoxStream, Capability, CheckpointerFactory, Clock, Error, Head, Ids, Mode, Open,
    Outcome, Owner, Query, Result, Retain, RunId, Store, SystemClock, SystemIds, Wake,
};
use serde::{Serialize, de::DeserializeOwned};
use tracing::warn;

use crate::{
    checkpointer::{StoreCheckpointer, finished},
    codec::{Codec, Compact, RAW},
    engine::{End, Means},
    policy::SnapshotPolicy,
    restore::{Restore, restore},
    settings::{Availability, Keep, SaveMode, Settings, is_outage},
    typed::{Saver, Started, Stateful},
};

/// Begins, resumes and finds runs in a store, by one set of [`Settings`].
///
/// ```
/// use milepost_checkpoint::{Checkpoints, Started};
/// use milepost_core::{Begin, Manifest, RunId, RunInfo};
/// use milepost_store_memory::MemoryStore;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let checkpoints = Checkpoints::new(MemoryStore::new());
/// let begin = Begin::new(RunId::new("sum")?, RunInfo::named("sum"), Manifest::of(b"1..=10")).or_resume();
/// match checkpoints.begin_state(begin, || (0u64, 0u64)).await? {
///     Started::Driving(mut run) => {
///         while run.state().0 < 10 {
///             run.update(|(done, sum)| {
///                 *done += 1;
///                 *sum += *done;
///             })
///             .await?;
///         }
///         let sum = run.state().1;
///         run.complete(&sum).await?;
///         assert_eq!(sum, 55);
///     }
///     Started::Finished(outcome) => println!("done before: {outcome:?}"),
/// }
/// # Ok::<(), milepost_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Checkpoints {
    store: Arc<dyn Store>,
    settings: Settings,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    owner: Option<Owner>,
}

/// A run as it was opened, before anybody has said what its states are.
enum Entered {
    Driving(Box<StoreCheckpointer>),
    Finished(Outcome),
    Off,
}

impl Checkpoints {
    /// Over a store, with default settings.
    pub fn new(store: impl Store) -> Self {
        Self {
            store: Arc::new(store),
            settings: Settings::default(),
            clock: Arc::new(SystemClock::default()),
            ids: Arc::new(SystemIds),
            owner: None,
        }
    }

    /// All settings at once.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Keeps nothing at all: every handle does nothing and succeeds.
    pub fn off(mut self) -> Self {
        self.settings.durable = false;
        self
    }

    /// Saves at most so often.
    pub fn throttle(mut self, throttle: Duration) -> Self {
        self.settings.throttle = throttle;
        self
    }

    /// When snapshots are written.
    pub fn snapshots(mut self, policy: SnapshotPolicy) -> Self {
        self.settings.snapshots = policy;
        self
    }

    /// What stays of the history.
    pub fn keep(mut self, keep: Keep) -> Self {
        self.settings.keep = keep;
        self
    }

    /// When a save is durable.
    pub fn mode(mut self, mode: SaveMode) -> Self {
        self.settings.mode = mode;
        self
    }

    /// What a store that cannot be reached does.
    pub fn availability(mut self, availability: Availability) -> Self {
        self.settings.availability = availability;
        self
    }

    /// How long a run stays this process's after its last sign of life.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.settings.ttl = ttl;
        self
    }

    /// What becomes of the data of finished runs.
    pub fn retain(mut self, retain: Retain) -> Self {
        self.settings.retain = retain;
        self
    }

    /// Tells the time by `clock`.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Draws operation ids from `ids`.
    pub fn ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }

    /// Labels the leases.
    pub fn owner(mut self, owner: Owner) -> Self {
        self.owner = Some(owner);
        self
    }

    /// The store behind it.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Begins or resumes a run whose state the handle owns: the restored one, or `initial()`.
    ///
    /// # Errors
    ///
    /// As [`CheckpointerFactory::begin`]; `Undecodable` when the stored state is none of a `T`.
    pub async fn begin_state<T>(
        &self,
        begin: Begin,
        initial: impl FnOnce() -> T,
    ) -> Result<Started<Stateful<T>>>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        self.begin_state_in(Compact, begin, initial).await
    }

    /// As [`Checkpoints::begin_state`], with the states in another codec.
    ///
    /// # Errors
    ///
    /// As [`Checkpoints::begin_state`].
    pub async fn begin_state_in<T, C>(
        &self,
        codec: C,
        begin: Begin,
        initial: impl FnOnce() -> T,
    ) -> Result<Started<Stateful<T, C>>>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        C: Codec,
    {
        let (run, open) = self.opening(begin);
        match self.enter(&run, open, C::ID).await? {
            Entered::Driving(checkpointer) => {
                Stateful::restore(codec, Some(checkpointer), initial).await.map(Started::Driving)
            }
            Entered::Off => Stateful::restore(codec, None, initial).await.map(Started::Driving),
            Entered::Finished(outcome) => Ok(Started::Finished(outcome)),
        }
    }

    /// Begins or resumes a run whose program keeps the state itself; gives the restored one beside the handle.
    ///
    /// # Errors
    ///
    /// As [`Checkpoints::begin_state`].
    pub async fn begin_saver<T, C>(&self, codec: C, begin: Begin) -> Result<Started<(Saver<C>, Option<T>)>>
    where
        T: DeserializeOwned,
        C: Codec,
    {
        let (run, open) = self.opening(begin);
        match self.enter(&run, open, C::ID).await? {
            Entered::Driving(checkpointer) => {
                Saver::restore(codec, Some(checkpointer)).await.map(Started::Driving)
            }
            Entered::Off => Saver::restore(codec, None).await.map(Started::Driving),
            Entered::Finished(outcome) => Ok(Started::Finished(outcome)),
        }
    }

    fn opening(&self, begin: Begin) -> (RunId, Open) {
        let Begin { run, info, manifest, mode, takeover, reopen_failed } = begin;
        let open = Open { mode, ..Open::create(self.ids.operation(), info, manifest) };
        (run, Open { takeover, reopen_failed, ..open })
    }

    async fn enter(&self, run: &RunId, open: Open, codec: u8) -> Result<Entered> {
        if !self.settings.durable {
            return Ok(Entered::Off);
        }
        let mode = open.mode;
        let open = Open { ttl: self.settings.ttl, owner: self.owner.clone().unwrap_or(open.owner), ..open };
        let mut opened = self.store.open(run, open.clone()).await;
        if opened.as_ref().is_err_and(|error| error.applied() == Some(Applied::Maybe)) {
            // The lease may be held by this very request: the same one again settles it, a new one would have to wait.
            opened = self.store.open(run, open).await.map_err(|error| error.with_applied(Applied::Maybe));
        }
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => return self.not_opened(run, mode, error),
        };
        let settings = Settings {
            ttl: self.settings.ttl.max(self.store.capabilities().limits.min_ttl),
            ..self.settings.clone()
        };
        let means = Means {
            store: self.store.clone(),
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            settings: Arc::new(settings),
            codec,
        };
        let restored = match opened.created {
            true => Ok(Restore::default()),
            false => restore(&*self.store, &opened.head, codec, opened.head.cursor).await,
        };
        let started =
            |restored| StoreCheckpointer::start(means, opened.fence, &opened.head, restored, opened.created);
        match restored {
            Ok(restored) => Ok(Entered::Driving(Box::new(started(restored)))),
            Err(error) => {
                // What cannot be read back is not driven: let go, so that it shows as interrupted and not as running.
                let mut checkpointer = started(Restore::default());
                if let Err(error) = checkpointer.finish(None, End::Release(Wake::now())).await {
                    warn!(%run, %error, "the run could not be released again");
                }
                Err(error)
            }
        }
    }

    fn not_opened(&self, run: &RunId, mode: Mode, error: Error) -> Result<Entered> {
        if let Some(outcome) = finished(&error) {
            return Ok(Entered::Finished(outcome));
        }
        // What is resumed is there, and has work behind it: to begin it anew would do that again. What may have been begun
        // is not done without its log either: somebody would recover it beside us.
        let may_be_off = self.settings.availability == Availability::BestEffort
            && mode != Mode::Resume
            && error.applied() != Some(Applied::Maybe);
        if may_be_off && is_outage(error.kind()) {
            warn!(%run, %error, "the store cannot be reached; the run goes on without durability");
            return Ok(Entered::Off);
        }
        Err(error)
    }
}

#[async_trait]
impl CheckpointerFactory for Checkpoints {
    async fn begin(&self, begin: Begin) -> Result<Begun> {
        let (run, open) = self.opening(begin);
        self.enter(&run, open, RAW).await.map(Begun::from)
    }

    async fn resume(&self, run: &RunId) -> Result<Begun> {
        self.enter(run, Open::resume(self.ids.operation()), RAW).await.map(Begun::from)
    }

    fn interrupted(&self) -> BoxStream<'static, Result<Head>> {
        if !self.store.capabilities().set.contains(Capability::List) {
            let error = milepost_core::Refusal::Unsupported { capability: Capability::List };
            return futures_util::stream::once(std::future::ready(Err(error.into()))).boxed();
        }
        self.store.list(Query::interrupted())
    }
}

impl From<Entered> for Begun {
    fn from(entered: Entered) -> Self {
        match entered {
            Entered::Driving(checkpointer) => Begun::Driving(checkpointer),
            Entered::Finished(outcome) => Begun::Finished(outcome),
            Entered::Off => Begun::Off,
        }
    }
}
