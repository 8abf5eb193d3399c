//! The world of one case: a place of its own in the backend, a clock, a folder.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use milepost_core::{Clock, Error, ErrorKind, Ids, ManualClock, Result, SystemIds, Timestamp};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// The world of one case: a place of its own in the backend, a clock of its own. A cheap clone.
#[derive(Clone, Debug)]
pub struct Scope(Arc<World>);

#[derive(Debug)]
struct World {
    name: String,
    clock: Arc<ManualClock>,
    folder: Mutex<Option<Folder>>,
    slots: Mutex<HashMap<TypeId, Box<dyn Any + Send + Sync>>>,
    own_server: bool,
    begun: OnceCell<()>,
    /// The other scopes of the same case.
    beside: Mutex<Vec<Scope>>,
}

#[derive(Debug)]
enum Folder {
    /// Removed with the scope.
    Own(TempDir),
    /// Of the process that made the scope.
    Attached(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Folder::Own(folder) => folder.path(),
            Folder::Attached(path) => path,
        }
    }
}

/// What another process needs to know of a scope to find the same data.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Attachment {
    name: String,
    folder: PathBuf,
    now: Timestamp,
    own_server: bool,
}

impl Scope {
    /// A fresh one, unlike any other of any process.
    pub(crate) fn fresh() -> Self {
        Self::with(false)
    }

    /// A fresh one whose server, and nobody else's, the case is going to kill.
    pub(crate) fn with_own_server() -> Self {
        Self::with(true)
    }

    fn with(own_server: bool) -> Self {
        /// Makes names short to tell apart within a process.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let unique = SystemIds.bits() as u64;
        Self(Arc::new(World {
            name: format!("mp_{unique:016x}_{count}"),
            clock: Arc::new(ManualClock::new(Timestamp(1_800_000_000_000_000))),
            folder: Mutex::new(None),
            slots: Mutex::new(HashMap::new()),
            own_server,
            begun: OnceCell::new(),
            beside: Mutex::default(),
        }))
    }

    /// What lets another process take part in this scope.
    pub(crate) fn attachment(&self) -> Result<Attachment> {
        let (name, now) = (self.0.name.clone(), self.0.clock.now());
        Ok(Attachment { name, folder: self.dir()?, now, own_server: self.0.own_server })
    }

    /// The scope of another process, seen from this one.
    pub(crate) fn attached(attachment: Attachment) -> Self {
        let Attachment { name, folder, now, own_server } = attachment;
        Self(Arc::new(World {
            name,
            clock: Arc::new(ManualClock::new(now)),
            folder: Mutex::new(Some(Folder::Attached(folder))),
            slots: Mutex::new(HashMap::new()),
            own_server,
            begun: OnceCell::new_with(Some(())),
            beside: Mutex::default(),
        }))
    }

    /// A fresh one of the same case.
    pub(crate) fn another(&self) -> Self {
        let another = Self::fresh();
        self.0.beside.lock().unwrap_or_else(PoisonError::into_inner).push(another.clone());
        another
    }

    /// Those that [`Scope::another`] gave.
    pub(crate) fn beside(&self) -> Vec<Self> {
        self.0.beside.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Set once something has connected to this scope.
    pub(crate) fn begun(&self) -> &OnceCell<()> {
        &self.0.begun
    }

    /// A name that no other scope has: lower-case ASCII letters, digits and underscores, a letter first, at most 32
    /// bytes. It can name a schema, a key prefix, a bucket folder or a file.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The clock that the kit moves, for stores whose clock can be given. Say [`crate::Harness::with_clock`] too.
    pub fn clock(&self) -> Arc<ManualClock> {
        self.0.clock.clone()
    }

    /// Whether the case kills its server ([`crate::Harness::with_server`]): connect such a scope to a server that nobody
    /// else uses.
    pub fn own_server(&self) -> bool {
        self.0.own_server
    }

    /// An empty folder of this scope alone, removed when the case is over. Every process of the scope sees the same one,
    /// so whatever a second process needs to connect, such as a port, can stand in a file there.
    ///
    /// # Errors
    ///
    /// When the operating system gives none.
    pub fn dir(&self) -> Result<PathBuf> {
        let mut folder = self.0.folder.lock().unwrap_or_else(PoisonError::into_inner);
        if folder.is_none() {
            *folder = Some(Folder::Own(TempDir::with_prefix("milepost-").map_err(|error| {
                Error::new(ErrorKind::Config, "no temporary folder can be made; set TMPDIR")
                    .with_source(error)
            })?));
        }
        Ok(folder.as_ref().map(Folder::path).map(Path::to_path_buf).unwrap_or_default())
    }

    /// The scope's one value of type `T` in this process, made at the first call: for stores whose data lives in the
    /// handle itself, so that every `connect` of this scope gives a handle on the same one.
    pub fn shared<T: Clone + Send + Sync + 'static>(&self, make: impl FnOnce() -> T) -> T {
        let mut slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(TypeId::of::<T>()).or_insert_with(|| Box::new(make()));
        slot.downcast_ref::<T>().cloned().expect("the slot of a type holds a value of it")
    }
}
