//! A run that is driven, and the requests that most tests begin with.

use std::time::Duration;

use milepost_core::{
    Bytes, Commit, Committed, Fence, Ids, Kind, Manifest, NewRecord, Open, OperationId, RunId, RunInfo,
    Store, SystemIds,
};

/// The id of a run.
pub fn run(id: &str) -> RunId {
    RunId::new(id).unwrap()
}

/// A new name for a write.
pub fn operation() -> OperationId {
    SystemIds.operation()
}

/// The request that creates a run, under the shortest lease that every store grants.
pub fn create() -> Open {
    Open::create(operation(), RunInfo::named("job"), Manifest::of(b"input")).ttl(Duration::from_secs(60))
}

/// A record to be committed.
pub fn record(body: impl Into<Bytes>) -> NewRecord {
    NewRecord::new(Kind::from_static("state"), body)
}

/// A created run with what its next commit needs.
#[derive(Clone, Debug)]
pub struct Driver<S> {
    /// By which it is driven.
    pub store: S,
    /// Which run.
    pub run: RunId,
    /// By whose right.
    pub fence: Fence,
    /// As of its last open or commit.
    pub version: u64,
}

impl<S: Store + Clone> Driver<S> {
    /// Creates a run.
    pub async fn create(store: &S, id: &str) -> Self {
        Self::open(store, id, create()).await
    }

    /// Opens a run.
    pub async fn open(store: &S, id: &str, open: Open) -> Self {
        let opened = store.open(&run(id), open).await.unwrap();
        Self { store: store.clone(), run: run(id), fence: opened.fence, version: opened.head.version }
    }

    /// An empty commit that fits.
    pub fn next(&self) -> Commit {
        Commit::new(self.run.clone(), self.fence, operation(), self.version)
    }

    /// A commit that holds.
    pub async fn commit(&mut self, commit: Commit) -> Committed {
        let committed = self.store.commit(commit).await.unwrap();
        self.version = committed.version;
        committed
    }

    /// Commits a record with its number as the body until a write fails because the server is gone; the newest cursor that
    /// was acknowledged.
    pub async fn commit_until_gone(&mut self) -> u64 {
        let mut acknowledged = 0;
        loop {
            let commit = self.next().record(record((acknowledged + 1).to_string()));
            match self.store.commit(commit).await {
                Ok(committed) => (acknowledged, self.version) = (committed.cursor, committed.version),
                Err(error) => {
                    assert!(error.kind().is_transient(), "{error:?}");
                    return acknowledged;
                }
            }
        }
    }
}
