//! Drives runs.

use std::{collections::HashMap, sync::Arc};

use milepost_core::{
    Clock, Error, ErrorKind, Ids, Open, Owner, Result, RunId, Store, SystemClock, SystemIds,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    BoxError, Handle, Happened, Run, Settings, Start, Watchdog,
    aside::Aside,
    drive::drive,
    handler::Handler,
    log::Means,
    observe::Observers,
    open::{Entered, enter},
};

/// Drives runs with the handlers that are registered under their names. A cheap clone shares everything.
///
/// ```
/// use milepost_run::{BoxError, Run, Runner};
/// use milepost_core::RunId;
/// use milepost_store_memory::MemoryStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let runner = Runner::new(MemoryStore::new())
///     .handler("double", |run: Run, n: u64| async move { run.step("double", || async { Ok::<_, BoxError>(2 * n) }).await });
/// let handle = runner.start(RunId::new("double-21")?, "double", &21).await?;
/// assert_eq!(handle.output::<u64>().await?, 42);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Runner {
    shared: Arc<Shared>,
    /// The runs that are driven here.
    tasks: TaskTracker,
}

/// What a runner is made of.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) means: Means,
    /// The store of `means`: the runs without durability.
    pub(crate) aside: Arc<Aside>,
    handlers: HashMap<String, Handler>,
    pub(crate) settings: Settings,
    pub(crate) owner: Owner,
    pub(crate) observers: Observers,
    pub(crate) stopping: CancellationToken,
    pub(crate) watchdog: Option<Watchdog>,
}

impl Shared {
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`]: there is none of that name.
    pub(crate) fn handler(&self, name: &str) -> Result<Handler> {
        self.handlers.get(name).cloned().ok_or_else(|| {
            Error::new(
                ErrorKind::Invalid,
                format!("no handler is registered under {name:?}; add it to the runner"),
            )
        })
    }

    pub(crate) fn knows(&self, name: &str) -> bool {
        self.handlers.contains_key(name)
    }
}

impl Runner {
    /// A runner without handlers over `store`, which must offer a log.
    pub fn new(store: impl Store) -> Self {
        let aside = Arc::new(Aside::new(Arc::new(store)));
        Self {
            shared: Arc::new(Shared {
                means: Means {
                    store: aside.clone(),
                    clock: Arc::new(SystemClock::default()),
                    ids: Arc::new(SystemIds),
                },
                aside,
                handlers: HashMap::new(),
                settings: Settings::default(),
                owner: Owner::current(),
                observers: Observers::default(),
                stopping: CancellationToken::new(),
                watchdog: None,
            }),
            tasks: TaskTracker::new(),
        }
    }

    fn change(mut self, change: impl FnOnce(&mut Shared)) -> Self {
        change(Arc::make_mut(&mut self.shared));
        self
    }

    /// Drives the runs of this name with `handler`: an async function of the [`Run`] and its input. Input and output are
    /// kept as JSON. What a handler may do is said at the [top of this crate](crate).
    pub fn handler<I, O, E, F>(
        self,
        name: impl Into<String>,
        handler: impl Fn(Run, I) -> F + Send + Sync + 'static,
    ) -> Self
    where
        I: DeserializeOwned,
        O: Serialize,
        E: Into<BoxError>,
        F: Future<Output = Result<O, E>> + Send + 'static,
    {
        self.change(|shared| drop(shared.handlers.insert(name.into(), Handler::new(handler))))
    }

    /// How runs are driven.
    pub fn settings(self, settings: Settings) -> Self {
        self.change(|shared| shared.settings = settings)
    }

    /// Tells the time by `clock`; by default [`SystemClock`].
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        self.change(|shared| shared.means.clock = clock)
    }

    /// Draws ids and random numbers from `ids`; by default [`SystemIds`].
    pub fn ids(self, ids: Arc<dyn Ids>) -> Self {
        self.change(|shared| shared.means.ids = ids)
    }

    /// Labels the leases; by default [`Owner::current`].
    pub fn owner(self, owner: Owner) -> Self {
        self.change(|shared| shared.owner = owner)
    }

    /// Ends runs that finish no work for too long; by default none is.
    pub fn watchdog(self, watchdog: Watchdog) -> Self {
        self.change(|shared| shared.watchdog = Some(watchdog))
    }

    /// Tells `observer` what happens to the runs that are driven here, while it happens: it should be quick. What it panics
    /// with is logged and kills no run.
    pub fn observe(self, observer: impl Fn(&RunId, &Happened) + Send + Sync + 'static) -> Self {
        self.change(|shared| shared.observers.add(Arc::new(observer)))
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The store, and in front of it the runs of this process that do [without](Start::without_durability).
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.means.store
    }

    /// Begins a run of the handler `name`, which must not exist, and drives it here. See [`Start`] for more.
    pub fn start<I: Serialize + ?Sized>(&self, run: RunId, name: &str, input: &I) -> Start<'_> {
        Start::new(self, run, name, input)
    }

    /// Begins a run, or goes on with it, and waits here for its output: for programs that live for one run. What the run
    /// waits for is waited for in this process.
    ///
    /// # Errors
    ///
    /// Those of [`Start`] and of [`Handle::output`]. Dropped, it drops the handler and lets go of the run, in a task.
    pub async fn run<I: Serialize + ?Sized, O: DeserializeOwned>(
        &self,
        run: RunId,
        name: &str,
        input: &I,
    ) -> Result<O> {
        let (entered, handler) = self.start(run.clone(), name, input).or_resume().stay().enter().await?;
        let ended = match entered {
            Entered::Finished(outcome) => outcome.into(),
            Entered::Ready(ready) => self.tasks.track_future(drive(*ready, handler, true)).await,
        };
        Handle::new(run, self.clone(), watch::channel(Some(ended)).1, None).output().await
    }

    /// Goes on with a run that is due, whatever it was asked to do. One that has ended answers with its outcome, and no work
    /// is done.
    ///
    /// # Errors
    ///
    /// `NotFound`; `LeaseHeld` while somebody drives it or it waits; `Invalid` where its handler is not registered.
    pub async fn resume(&self, run: &RunId) -> Result<Handle> {
        self.open(run, Open::resume(self.shared.means.ids.operation())).await
    }

    /// Goes on with a run that has failed: the steps whose failure the handler has not acted upon are tried again, all else
    /// is answered from its log.
    ///
    /// # Errors
    ///
    /// As [`Runner::resume`].
    pub async fn reopen(&self, run: &RunId) -> Result<Handle> {
        self.open(run, Open::resume(self.shared.means.ids.operation()).reopen_failed()).await
    }

    pub(crate) async fn open(&self, run: &RunId, open: Open) -> Result<Handle> {
        let head = self.shared.means.store.head(run).await?.ok_or(milepost_core::Refusal::NotFound)?;
        let handler = self.shared.handler(&head.info.name)?;
        let open = open.owner(self.shared.owner.clone()).ttl(self.shared.settings.ttl);
        let entered = enter(self, run, open, None).await?;
        Ok(self.take_up(run.clone(), entered, handler))
    }

    /// Drives what was opened, in a task of its own.
    pub(crate) fn take_up(&self, run: RunId, entered: Entered, handler: Handler) -> Handle {
        let (sender, ended) = watch::channel(None);
        let mut guest = None;
        match entered {
            Entered::Finished(outcome) => {
                sender.send_replace(Some(outcome.into()));
            }
            Entered::Ready(ready) => {
                guest.clone_from(&ready.guest);
                self.tasks.spawn(async move {
                    // Nobody else could go on with one that lives in this process.
                    let stay = ready.core.is_aside;
                    let ended = drive(*ready, handler, stay).await;
                    sender.send_replace(Some(ended));
                });
            }
        }
        Handle::new(run, self.clone(), ended, guest)
    }

    /// Drives what was opened, or lets go of it for somebody who knows its handler.
    pub(crate) async fn take_up_or_release(
        &self,
        run: RunId,
        entered: Entered,
        handler: Option<Handler>,
    ) -> Result<()> {
        match (entered, handler) {
            (Entered::Ready(ready), None) => ready.let_go().await,
            (entered, Some(handler)) => {
                self.take_up(run, entered, handler);
                Ok(())
            }
            (Entered::Finished(_), None) => Ok(()),
        }
    }

    /// Asks all work to stop, and waits until it has: the steps that are under way may end within [`Settings::grace`], the
    /// runs are let go of and due at once. From then on nothing is driven by this runner.
    pub async fn stop(&self) {
        self.shared.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.shared.stopping.is_cancelled()
    }
}
