//! The world that the tests live in: a store, runners over it as if in several processes, and a look at the log.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

pub(crate) use futures_util::TryStreamExt;
pub(crate) use milepost_core::{ErrorKind, FailureKind, Head, Outcome, RunId, Status};
use milepost_core::{Record, Span, Store};
use milepost_layers::{FaultPlan, Faults};
pub(crate) use milepost_run::{BoxError, Ended, Run, Runner, Settings};
use milepost_store_memory::MemoryStore;
use milepost_store_sqlite::SqliteStore;
use serde_json::Value;

pub(crate) type Work<T> = Result<T, BoxError>;

/// Makes each function a test on every store.
macro_rules! on_every_store {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(&crate::support::World::memory()).await;
            })*
        }
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(&crate::support::World::sqlite().await).await;
            })*
        }
    };
}
pub(crate) use on_every_store;

/// A store with faults that are off until a test asks for some.
pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) faults: Faults<Arc<dyn Store>>,
    _folder: Option<tempfile::TempDir>,
}

impl World {
    pub(crate) fn over(store: Arc<dyn Store>, folder: Option<tempfile::TempDir>) -> Self {
        Self { faults: Faults::new(store.clone(), FaultPlan::none()), store, _folder: folder }
    }

    pub(crate) fn memory() -> Self {
        Self::over(Arc::new(MemoryStore::new()), None)
    }

    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/runs.db", folder.path().display());
        Self::over(Arc::new(SqliteStore::connect(&url).await.unwrap()), Some(folder))
    }

    /// A runner that lets go of waiting runs at once, as another process would have it.
    pub(crate) fn runner(&self) -> Runner {
        Runner::new(self.faults.clone()).settings(brisk())
    }

    /// Drives a run until `reached` holds something, in a process that then dies, and waits until the run is due.
    pub(crate) async fn die_in(&self, work: &impl Fn(Runner) -> Runner, run: &str, reached: &Tally) {
        let faults = Faults::new(self.store.clone(), FaultPlan::none());
        let settings = brisk().ttl(Duration::from_millis(60)).linger(Duration::from_secs(5));
        let runner = Runner::new(faults.clone()).settings(settings);
        let before = reached.all().len();
        let handle = match self.store.head(&id(run)).await.unwrap() {
            None => work(runner).start(id(run), "work", &()).await.unwrap(),
            Some(_) => work(runner).resume(&id(run)).await.unwrap(),
        };
        while reached.all().len() == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        faults.kill();
        drop(handle);
        self.until(&id(run), Status::Interrupted).await;
    }

    pub(crate) async fn head(&self, run: &RunId) -> Head {
        self.store.head(run).await.unwrap().unwrap()
    }

    pub(crate) async fn log(&self, run: &RunId) -> Vec<Logged> {
        let records: Vec<Record> = self.store.stream(run, Span::all()).try_collect().await.unwrap();
        records.into_iter().map(Logged::of).collect()
    }

    /// How many records of each kind there are, as `kind kind kind`, without the prefix.
    pub(crate) async fn kinds(&self, run: &RunId) -> String {
        let kinds: Vec<_> = self.log(run).await.into_iter().map(|logged| logged.kind).collect();
        kinds.join(" ")
    }

    /// Waits until a run has this status.
    pub(crate) async fn until(&self, run: &RunId, status: Status) -> Head {
        for _ in 0..2_000 {
            let head = self.head(run).await;
            if head.status() == status {
                return head;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never {status}: {:?}", self.head(run).await);
    }

    /// Waits until a run that has failed is open again.
    pub(crate) async fn until_open(&self, run: &RunId) {
        while self.head(run).await.outcome.is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn failure(&self, run: &RunId) -> (FailureKind, String) {
        match self.head(run).await.outcome {
            Some(Outcome::Failed { failure }) => (failure.kind, failure.message),
            other => panic!("not failed: {other:?}"),
        }
    }
}

/// Impatient: what waits is let go of at once, and what is due is found soon.
pub(crate) fn brisk() -> Settings {
    Settings::default().linger(Duration::ZERO).poll(Duration::from_millis(20)).grace(Duration::from_secs(5))
}

pub(crate) fn id(name: &str) -> RunId {
    RunId::new(name).unwrap()
}

/// A record of the run loop, read as JSON.
pub(crate) struct Logged {
    pub(crate) kind: String,
    pub(crate) epoch: u64,
    /// The event without its tag.
    pub(crate) event: Value,
}

impl Logged {
    fn of(record: Record) -> Self {
        let body: Value = serde_json::from_slice(&record.body).unwrap();
        let kind = record.kind.as_str().strip_prefix("milepost/run.").unwrap().to_owned();
        Self { epoch: body["epoch"].as_u64().unwrap(), event: body["event"][&kind].clone(), kind }
    }

    pub(crate) fn at(&self) -> &str {
        self.event["at"].as_str().unwrap_or_default()
    }
}

/// Counts what happens, by name.
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<Mutex<Vec<String>>>);

impl Tally {
    pub(crate) fn add(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    pub(crate) fn of(&self, what: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|seen| *seen == what).count()
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Fails so many times, then succeeds.
pub(crate) fn failing(times: u32) -> impl Fn() -> Work<u32> + Clone {
    let calls = Arc::new(AtomicU32::new(0));
    move || match calls.fetch_add(1, Ordering::SeqCst) {
        call if call < times => Err(format!("call {call} failed").into()),
        call => Ok(call),
    }
}
