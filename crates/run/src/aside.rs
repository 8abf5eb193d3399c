//! Runs without durability: they live in the memory of this process, beside the store of their runner.
//!
//! Whoever asks for such a run by its id is led to the memory, its children live there with it, and the store hears of
//! none of them. So nothing else in this crate has to know: a handler, a signal, a session or a tree is the same with and
//! without durability, within what the store declares.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, OnceLock},
};

use async_trait::async_trait;
use futures_util::FutureExt;
use milepost_core::{
    At, BlobInfo, BoxStream, Bytes, Capabilities, Commit, Committed, Delete, Digest, Head, Message,
    NewMessage, Open, Opened, Query, Record, Refusal, Renew, Result, RunId, Sent, Snapshot, Span, Store,
};
use milepost_store_memory::MemoryStore;

use crate::log::Means;

/// A store, and beside it the runs that were asked to do without it.
#[derive(Debug)]
pub(crate) struct Aside {
    store: Arc<dyn Store>,
    memory: OnceLock<MemoryStore>,
    /// The run that was begun without durability, of each run in the memory: itself, or the root of its tree.
    guests: Mutex<HashMap<RunId, RunId>>,
}

/// A run in the memory. When the last of these is gone, it and its children are forgotten.
#[derive(Debug)]
pub(crate) struct Guest {
    aside: Arc<Aside>,
    run: RunId,
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.aside.forget(&self.run);
    }
}

impl Aside {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, memory: OnceLock::new(), guests: Mutex::default() }
    }

    fn guests(&self) -> MutexGuard<'_, HashMap<RunId, RunId>> {
        self.guests.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// From now on everything that is said of `run` is said of one in the memory.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`: there is one in the memory.
    pub(crate) fn admit(self: &Arc<Self>, run: &RunId, means: &Means) -> Result<Arc<Guest>> {
        self.memory.get_or_init(|| {
            let memory = MemoryStore::builder().capabilities(self.store.capabilities());
            memory.clock(means.clock.clone()).ids(means.ids.clone()).build()
        });
        match self.guests().entry(run.clone()) {
            Entry::Occupied(_) => return Err(Refusal::AlreadyExists.into()),
            Entry::Vacant(vacant) => vacant.insert(run.clone()),
        };
        Ok(Arc::new(Guest { aside: self.clone(), run: run.clone() }))
    }

    /// Whether the run lives in the memory.
    pub(crate) fn holds(&self, run: &RunId) -> bool {
        self.memory.get().is_some() && self.guests().contains_key(run)
    }

    fn forget(&self, root: &RunId) {
        let mut gone = Vec::new();
        self.guests().retain(|run, of| {
            let stays = of != root;
            if !stays {
                gone.push(run.clone());
            }
            stays
        });
        for run in gone {
            // The memory answers at once.
            let _ = self.memory.get().and_then(|memory| memory.delete(&run, Delete::Any).now_or_never());
        }
    }

    /// A child lives where its parent does.
    fn take_in(&self, run: &RunId, open: &Open) {
        let parent = open.info.as_ref().and_then(|info| info.parent.as_ref());
        if let (Some(_), Some(parent)) = (self.memory.get(), parent) {
            let mut guests = self.guests();
            if let Some(root) = guests.get(parent).cloned() {
                guests.entry(run.clone()).or_insert(root);
            }
        }
    }

    /// Where a run lives.
    fn of(&self, run: &RunId) -> &dyn Store {
        match self.memory.get() {
            Some(memory) if self.guests().contains_key(run) => memory,
            _ => &*self.store,
        }
    }
}

#[async_trait]
impl Store for Aside {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn open(&self, run: &RunId, open: Open) -> Result<Opened> {
        self.take_in(run, &open);
        self.of(run).open(run, open).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.of(&commit.run).commit(commit).await
    }

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        if !commits.iter().any(|commit| self.holds(&commit.run)) {
            return self.store.commit_many(commits).await;
        }
        let mut answers = Vec::with_capacity(commits.len());
        for commit in commits {
            answers.push(self.commit(commit).await);
        }
        answers
    }

    async fn renew(&self, run: &RunId, renew: Renew) -> Result<()> {
        self.of(run).renew(run, renew).await
    }

    async fn send(&self, run: &RunId, message: NewMessage) -> Result<Sent> {
        self.of(run).send(run, message).await
    }

    async fn delete(&self, run: &RunId, guard: Delete) -> Result<bool> {
        self.of(run).delete(run, guard).await
    }

    async fn head(&self, run: &RunId) -> Result<Option<Head>> {
        self.of(run).head(run).await
    }

    async fn snapshot(&self, run: &RunId, at: At) -> Result<Option<Snapshot>> {
        self.of(run).snapshot(run, at).await
    }

    fn stream(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Record>> {
        self.of(run).stream(run, span)
    }

    fn inbox(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Message>> {
        self.of(run).inbox(run, span)
    }

    async fn blob(&self, run: &RunId, name: &Digest) -> Result<Option<Bytes>> {
        self.of(run).blob(run, name).await
    }

    fn blobs(&self, run: &RunId) -> BoxStream<'static, Result<BlobInfo>> {
        self.of(run).blobs(run)
    }

    /// The children of a run in the memory; else what the store has, for what lives in the memory is never due.
    fn list(&self, query: Query) -> BoxStream<'static, Result<Head>> {
        match &query.parent {
            Some(parent) => self.of(parent).list(query.clone()),
            None => self.store.list(query),
        }
    }

    async fn close(&self) -> Result<()> {
        self.store.close().await
    }
}
