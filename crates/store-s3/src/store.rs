//! The store: what the clones of a handle share, and the contract on top of it.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    future::ready,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use milepost_core::{
    Applied, At, BlobInfo, BoxStream, Bytes, Capabilities, Capability, Commit, Committed, Delete, Digest,
    Error, ErrorKind, Head, Message, NewMessage, Open, Opened, Operation, Process, Query, Record, Renew,
    Result, RunId, Sent, Snapshot, Span, Store,
};
use tokio::sync::{Mutex as Shared, OwnedRwLockReadGuard, RwLock, watch};

use crate::{
    S3Config,
    error::{closed, during, settled},
    judge::{Ask, Committing, Moment, Opening, Renewing, Sending},
    list,
    objects::Objects,
    read,
    run::{Known, Reader},
    time::{FREED_AFTER, Time},
};

/// So many commits of a batch are under way at once.
const AT_ONCE: usize = 32;

/// Of so many runs a handle remembers what it has read, more or less.
const REMEMBERED: usize = 4096;

/// Durable runs in an object store or a local folder. A cheap clone; all clones share what is known of the runs.
///
/// Made by [`S3Store::connect`] or [`S3Config::connect`].
#[derive(Clone)]
pub struct S3Store(Arc<Inner>);

/// What is known of a run, behind a lock of its own: a handle does one thing with a run at a time.
#[derive(Default)]
pub(crate) struct Cell {
    pub(crate) known: Shared<Option<Known>>,
    /// Changes with every write of this handle, for who follows through it.
    pub(crate) changed: watch::Sender<()>,
}

#[derive(Default)]
pub(crate) struct Cells(Mutex<HashMap<RunId, Arc<Cell>>>);

impl Cells {
    pub(crate) fn of(&self, run: &RunId) -> Arc<Cell> {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cells.len() >= REMEMBERED && !cells.contains_key(run) {
            // Those that are in use stay, and of the others each second one.
            let mut odd = false;
            cells.retain(|_, cell| {
                odd = !odd;
                odd || Arc::strong_count(cell) > 1
            });
        }
        cells.entry(run.clone()).or_default().clone()
    }

    /// Lets everybody who follows look again.
    fn wake_all(&self) {
        let cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cells.values().for_each(|cell| cell.changed.send_replace(()));
    }
}

/// What the clones of a handle share.
pub(crate) struct Inner {
    pub(crate) config: S3Config,
    pub(crate) backend: &'static str,
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) capabilities: Capabilities,
    pub(crate) time: Time,
    pub(crate) cells: Cells,
    /// This process, if the store is embedded.
    here: Option<Process>,
    /// Runs with objects that may be freed from an instant on, by the boot-time clock.
    litter: Mutex<BTreeMap<RunId, Duration>>,
    closed: AtomicBool,
    /// Held by whatever is in flight; closing waits for all of it.
    flight: Arc<RwLock<()>>,
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store")
            .field("config", &self.0.config)
            .field("durability", &self.0.capabilities.durability)
            .finish_non_exhaustive()
    }
}

impl Inner {
    pub(crate) fn elapsed(&self) -> Duration {
        self.time.elapsed()
    }

    pub(crate) fn moment(&self) -> Moment {
        let place = self.objects.now();
        let now = self.time.now(place);
        let latest = now + self.time.behind(self.objects.behind());
        Moment { now, late: now - self.time.late(place), latest, here: self.here.clone() }
    }

    pub(crate) fn is_embedded(&self) -> bool {
        self.here.is_some()
    }

    pub(crate) fn bits(&self) -> u128 {
        self.config.ids.bits()
    }

    fn reader<'a>(&'a self, run: &'a RunId) -> Reader<'a> {
        Reader { objects: &*self.objects, run, began: self.elapsed() }
    }

    pub(crate) async fn load(&self, run: &RunId) -> Result<Known> {
        self.reader(run).load(|| self.elapsed()).await
    }

    pub(crate) async fn refresh(&self, run: &RunId, known: &mut Known) -> Result<()> {
        self.reader(run).refresh(known, || self.elapsed()).await
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(closed()) } else { Ok(()) }
    }

    /// Remembers that something of a run can be freed in a while.
    pub(crate) fn litter(&self, run: &RunId) {
        let when = self.elapsed() + FREED_AFTER + Duration::from_secs(2);
        let mut litter = self.litter.lock().unwrap_or_else(PoisonError::into_inner);
        litter.entry(run.clone()).or_insert(when);
    }

    /// A run whose time has come.
    fn littered(&self) -> Option<RunId> {
        let mut litter = self.litter.lock().unwrap_or_else(PoisonError::into_inner);
        if litter.is_empty() {
            return None;
        }
        let now = self.elapsed();
        let run = litter.iter().find(|(_, when)| **when <= now).map(|(run, _)| run.clone())?;
        litter.remove(&run);
        Some(run)
    }

    /// Says that something is under way, unless the store has been closed.
    pub(crate) async fn fly(&self) -> Result<OwnedRwLockReadGuard<()>> {
        let flight = self.flight.clone().read_owned().await;
        self.check_open()?;
        Ok(flight)
    }
}

impl S3Store {
    /// Connects to the place of a URL such as `s3://bucket/prefix` or `file:///folder`. See [`S3Config::from_url`].
    ///
    /// # Errors
    ///
    /// Those of [`S3Config::from_url`] and [`S3Config::connect`].
    pub async fn connect(url: &str) -> Result<Self> {
        S3Config::from_url(url)?.connect().await
    }

    /// Makes the place that a URL names ready: idempotent, and safe from any number of processes at once.
    ///
    /// # Errors
    ///
    /// Those of [`S3Config::from_url`] and [`S3Config::prepare`].
    pub async fn prepare(url: &str) -> Result<()> {
        S3Config::from_url(url)?.prepare().await
    }

    pub(crate) fn new(config: S3Config, objects: Arc<dyn Objects>) -> Self {
        let here = if config.is_embedded() { Process::current() } else { None };
        Self(Arc::new(Inner {
            backend: config.backend(),
            capabilities: config.capabilities(),
            time: Time::new(config.clock.clone()),
            config,
            objects,
            cells: Cells::default(),
            here,
            litter: Mutex::default(),
            closed: AtomicBool::new(false),
            flight: Arc::default(),
        }))
    }

    /// Frees the objects of a run that nothing names any more and that nobody can be about to write again: those of a
    /// deleted life, trimmed entries below a base, bodies that a replaced owner never named. Gives how many they were.
    ///
    /// The store does this by itself, some time after what made it possible, when it is used; calling it is never needed,
    /// and harmless. A dropped future has freed some of them.
    ///
    /// # Errors
    ///
    /// What the place says; `Corrupt`.
    pub async fn sweep(&self, run: &RunId) -> Result<u64> {
        let _flight = self.0.fly().await?;
        self.0.sweep(run).await.map_err(during(self.0.backend, Operation::Delete, Some(run)))
    }

    /// Sweeps what is due, beside what the caller goes on with.
    fn tidy(&self) {
        if self.0.check_open().is_err() {
            return;
        }
        // Closing waits for what has begun.
        let Ok(flight) = self.0.flight.clone().try_read_owned() else { return };
        let Some(run) = self.0.littered() else { return };
        let inner = self.0.clone();
        tokio::spawn(async move {
            let _flight = flight;
            // What cannot be freed now is found by the next one who opens the run.
            let _ = inner.sweep(&run).await;
        });
    }

    async fn write<A: Ask>(
        &self,
        run: &RunId,
        check: Result<()>,
        ask: impl FnOnce() -> A,
    ) -> Result<A::Answer> {
        let work = async {
            check?;
            let _flight = self.0.fly().await?;
            self.0.write(run, ask()).await
        };
        let answer = work.await.map_err(settled);
        self.tidy();
        answer.map_err(during(self.0.backend, A::OPERATION, Some(run)))
    }

    async fn read<T>(
        &self,
        operation: Operation,
        run: &RunId,
        check: Result<()>,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let work = async {
            check?;
            let _flight = self.0.fly().await?;
            work.await
        };
        work.await.map_err(during(self.0.backend, operation, Some(run)))
    }

    fn failed<T: Send + 'static>(
        &self,
        error: Error,
        operation: Operation,
        run: Option<&RunId>,
    ) -> BoxStream<'static, Result<T>> {
        stream::once(ready(Err(error.during(self.0.backend, operation, run)))).boxed()
    }
}

/// The runs that occur more than once.
fn twice(commits: &[Commit]) -> Vec<RunId> {
    let mut seen: HashMap<&RunId, u32> = HashMap::new();
    commits.iter().for_each(|commit| *seen.entry(&commit.run).or_default() += 1);
    seen.into_iter().filter(|(_, times)| *times > 1).map(|(run, _)| run.clone()).collect()
}

#[async_trait]
impl Store for S3Store {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities
    }

    async fn open(&self, run: &RunId, open: Open) -> Result<Opened> {
        let capabilities = self.0.capabilities;
        let check = open.check(run, &capabilities);
        let ids = &self.0.config.ids;
        let (incarnation, token) = (ids.incarnation(), ids.token());
        self.write(run, check, || Opening { run, open, incarnation, token, capabilities }).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        let (run, capabilities) = (commit.run.clone(), self.0.capabilities);
        let check = commit.check(&capabilities);
        self.write(&run, check, || Committing::new(commit, capabilities)).await
    }

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        let twice = twice(&commits);
        let commits = commits.into_iter().map(|commit| async {
            if !twice.contains(&commit.run) {
                return self.commit(commit).await;
            }
            let error = Error::new(ErrorKind::Invalid, "a run occurs at most once in a batch of commits");
            let error = error.with_applied(Applied::No);
            Err(error.during(self.0.backend, Operation::Commit, Some(&commit.run)))
        });
        // Each is one create, and they have nothing to do with each other.
        stream::iter(commits.collect::<Vec<_>>()).buffered(AT_ONCE).collect().await
    }

    async fn renew(&self, run: &RunId, renew: Renew) -> Result<()> {
        let (check, capabilities) = (renew.check(), self.0.capabilities);
        self.write(run, check, || Renewing { renew, capabilities }).await
    }

    async fn send(&self, run: &RunId, message: NewMessage) -> Result<Sent> {
        let check = message.check(run, &self.0.capabilities);
        self.write(run, check, || Sending::new(message)).await
    }

    async fn delete(&self, run: &RunId, guard: Delete) -> Result<bool> {
        self.write(run, Ok(()), || guard).await
    }

    async fn head(&self, run: &RunId) -> Result<Option<Head>> {
        self.read(Operation::Head, run, Ok(()), self.0.head(run)).await
    }

    async fn snapshot(&self, run: &RunId, at: At) -> Result<Option<Snapshot>> {
        self.read(Operation::Snapshot, run, at.check(&self.0.capabilities), self.0.snapshot(run, at)).await
    }

    fn stream(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Record>> {
        match span.check_log(&self.0.capabilities) {
            Ok(()) => read::pages(&self.0, run, span),
            Err(error) => self.failed(error, Operation::Stream, Some(run)),
        }
    }

    fn inbox(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Message>> {
        match span.check_inbox(&self.0.capabilities) {
            Ok(()) => read::pages(&self.0, run, span),
            Err(error) => self.failed(error, Operation::Inbox, Some(run)),
        }
    }

    async fn blob(&self, run: &RunId, name: &Digest) -> Result<Option<Bytes>> {
        let check = self.0.capabilities.require(Capability::Blobs);
        self.read(Operation::Blob, run, check, self.0.blob(run, name)).await
    }

    fn blobs(&self, run: &RunId) -> BoxStream<'static, Result<BlobInfo>> {
        read::blobs(&self.0, run)
    }

    fn list(&self, query: Query) -> BoxStream<'static, Result<Head>> {
        match query.check(&self.0.capabilities) {
            Ok(()) => list::runs(&self.0, query),
            Err(error) => self.failed(error, Operation::List, None),
        }
    }

    async fn close(&self) -> Result<()> {
        self.0.closed.store(true, Ordering::Release);
        let _all = self.0.flight.write().await;
        self.0.cells.wake_all();
        Ok(())
    }
}
