//! What an author supplies: a name, a way to connect, and what the kit may do to time.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
    future::Future,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use milepost_core::{Error, ErrorKind, Ids, ManualClock, Result, Store, SystemIds, Timestamp};
use tempfile::TempDir;

type Connect = dyn Fn(Scope) -> BoxFuture<'static, Result<Arc<dyn Store>>> + Send + Sync;

/// A backend under test.
#[derive(Clone)]
pub struct Harness {
    name: String,
    connect: Arc<Connect>,
    clock: bool,
    tuning: Tuning,
}

/// The backend `name`, whose handles `connect` makes.
///
/// `connect` is called at least twice for each case with the same [`Scope`]: two handles on the same data, empty at
/// first. Different scopes must not see each other's data.
///
/// ```
/// use milepost_conformance::harness;
/// use milepost_store_memory::MemoryStore;
///
/// let memory = harness("memory", |scope| async move {
///     Ok(scope.shared(|| MemoryStore::builder().clock(scope.clock()).build()))
/// })
/// .with_clock();
/// # assert_eq!(memory.name(), "memory");
/// ```
pub fn harness<S, F, Connected>(name: impl Into<String>, connect: F) -> Harness
where
    S: Store,
    F: Fn(Scope) -> Connected + Send + Sync + 'static,
    Connected: Future<Output = Result<S>> + Send + 'static,
{
    let connect = move |scope| -> BoxFuture<'static, Result<Arc<dyn Store>>> {
        let connected = connect(scope);
        Box::pin(async move { Ok(Arc::new(connected.await?) as Arc<dyn Store>) })
    };
    Harness { name: name.into(), connect: Arc::new(connect), clock: false, tuning: Tuning::default() }
}

impl Harness {
    /// Says that `connect` builds its stores with [`Scope::clock`], so that the kit moves time instead of waiting.
    pub fn with_clock(mut self) -> Self {
        self.clock = true;
        self
    }

    /// Sets times and sizes for a slower backend.
    pub fn with_tuning(mut self, tuning: Tuning) -> Self {
        self.tuning = tuning;
        self
    }

    /// The backend's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Times and sizes.
    pub fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    /// Whether the stores run by [`Scope::clock`].
    pub fn moves_clock(&self) -> bool {
        self.clock
    }

    pub(crate) async fn connect(&self, scope: &Scope) -> Result<Arc<dyn Store>> {
        (self.connect)(scope.clone()).await
    }
}

impl fmt::Debug for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness")
            .field("name", &self.name)
            .field("clock", &self.clock)
            .field("tuning", &self.tuning)
            .finish_non_exhaustive()
    }
}

/// How patient the kit is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tuning {
    /// The lease of a case that waits for its end, where no clock can be moved: 400 ms. Raised to the store's
    /// `min_ttl`.
    pub ttl: Duration,
    /// How late the store may judge that an instant has come: 20 ms.
    pub slack: Duration,
    /// How long a case may take: 20 s.
    pub timeout: Duration,
    /// The largest body that a case writes, where the store declares a higher limit: 8 MiB.
    pub body: u64,
    /// How often a race is run that a broken store loses only now and then: 1,000 times.
    pub rounds: u32,
    /// How many runs the largest listing has: 10,000. A slow backend is given fewer, as many as half of the timeout
    /// allows.
    pub runs: u32,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            ttl: Duration::from_millis(400),
            slack: Duration::from_millis(20),
            timeout: Duration::from_secs(20),
            body: 8 << 20,
            rounds: 1000,
            runs: 10_000,
        }
    }
}

/// The world of one case: a place of its own in the backend, a clock of its own. A cheap clone.
#[derive(Clone, Debug)]
pub struct Scope(Arc<World>);

#[derive(Debug)]
struct World {
    name: String,
    clock: Arc<ManualClock>,
    folder: Mutex<Option<TempDir>>,
    slots: Mutex<HashMap<TypeId, Box<dyn Any + Send + Sync>>>,
}

impl Scope {
    /// A fresh one, unlike any other of any process.
    pub(crate) fn fresh() -> Self {
        /// Makes names short to tell apart within a process.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let unique = SystemIds.bits() as u64;
        Self(Arc::new(World {
            name: format!("mp_{unique:016x}_{count}"),
            clock: Arc::new(ManualClock::new(Timestamp(1_800_000_000_000_000))),
            folder: Mutex::new(None),
            slots: Mutex::new(HashMap::new()),
        }))
    }

    /// A name that no other scope has: lower-case ASCII letters, digits and underscores, a letter first, at most 32
    /// bytes. It can name a schema, a key prefix, a bucket folder or a file.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The clock that the kit moves, for stores whose clock can be given. Say [`Harness::with_clock`] too.
    pub fn clock(&self) -> Arc<ManualClock> {
        self.0.clock.clone()
    }

    /// An empty folder of this scope alone, removed when the case is over.
    ///
    /// # Errors
    ///
    /// When the operating system gives none.
    pub fn dir(&self) -> Result<PathBuf> {
        let mut folder = self.0.folder.lock().unwrap_or_else(PoisonError::into_inner);
        if folder.is_none() {
            *folder = Some(TempDir::with_prefix("milepost-").map_err(|error| {
                Error::new(ErrorKind::Config, "no temporary folder can be made; set TMPDIR")
                    .with_source(error)
            })?);
        }
        Ok(folder.as_ref().map(TempDir::path).map(Path::to_path_buf).unwrap_or_default())
    }

    /// The scope's one value of type `T`, made at the first call: for stores whose data lives in the handle itself,
    /// so that every `connect` of this scope gives a clone of the same one.
    pub fn shared<T: Clone + Send + Sync + 'static>(&self, make: impl FnOnce() -> T) -> T {
        let mut slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(TypeId::of::<T>()).or_insert_with(|| Box::new(make()));
        slot.downcast_ref::<T>().cloned().expect("the slot of a type holds a value of it")
    }
}
