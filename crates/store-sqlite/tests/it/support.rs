//! The world that the tests live in.

use std::path::PathBuf;

use milepost_core::{
    Commit, Fence, Ids, Kind, Manifest, NewRecord, Open, Opened, OperationId, RunId, RunInfo, Store,
    SystemIds,
};
use milepost_store_sqlite::{SqliteConfig, SqliteStore};
use tempfile::TempDir;

/// A folder of its own with the path of a database in it.
pub(crate) struct World {
    pub(crate) folder: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("runs.db")
    }

    pub(crate) fn config(&self) -> SqliteConfig {
        SqliteConfig::new(self.path())
    }

    pub(crate) async fn store(&self) -> SqliteStore {
        self.config().connect().await.unwrap()
    }
}

pub(crate) fn run(id: &str) -> RunId {
    RunId::new(id).unwrap()
}

pub(crate) fn operation() -> OperationId {
    SystemIds.operation()
}

pub(crate) fn create() -> Open {
    Open::create(operation(), RunInfo::named("job"), Manifest::of(b"input"))
}

pub(crate) fn resume() -> Open {
    Open::resume(operation())
}

pub(crate) fn record(body: impl Into<milepost_core::Bytes>) -> NewRecord {
    NewRecord::new(Kind::from_static("state"), body)
}

/// A created run with what its next commit needs.
pub(crate) struct Driver {
    pub(crate) store: SqliteStore,
    pub(crate) run: RunId,
    pub(crate) fence: Fence,
    pub(crate) version: u64,
}

impl Driver {
    pub(crate) async fn create(store: &SqliteStore, id: &str) -> Self {
        let opened = store.open(&run(id), create()).await.unwrap();
        Self::of(store, id, &opened)
    }

    pub(crate) fn of(store: &SqliteStore, id: &str, opened: &Opened) -> Self {
        Self { store: store.clone(), run: run(id), fence: opened.fence, version: opened.head.version }
    }

    /// An empty commit that fits.
    pub(crate) fn next(&self) -> Commit {
        Commit::new(self.run.clone(), self.fence, operation(), self.version)
    }

    pub(crate) async fn commit(&mut self, commit: Commit) -> milepost_core::Committed {
        let committed = self.store.commit(commit).await.unwrap();
        self.version = committed.version;
        committed
    }

    pub(crate) async fn append(&mut self, body: impl Into<milepost_core::Bytes>) -> u64 {
        let commit = self.next().record(record(body));
        self.commit(commit).await.cursor
    }
}
