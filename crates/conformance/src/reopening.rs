//! A handle that is another one for each operation: whatever a store keeps in a handle between two of them is lost, as
//! it would be if its process ended there.

use std::{fmt, panic::resume_unwind, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt, future, stream};
use milepost_core::{
    Applied, At, BlobInfo, BoxStream, Bytes, Capabilities, Clock, Commit, Committed, Delete, Digest, Error,
    Head, Message, NewMessage, Open, Opened, Query, Record, Renew, Result, RunId, Sent, Snapshot, Span,
    Store, SystemClock,
};
use tokio::sync::Mutex;

use crate::{Harness, Scope};

/// So many operations of a handle have one of their own each. What comes after them in a case is a loop that does the
/// same once more.
const ALWAYS: u32 = 24;
/// From then on, one in so many; a prime, so that it falls upon each step of a loop.
const LATER: u32 = 11;

/// A handle that is closed and made anew before each operation while nothing else of it is under way.
#[derive(Clone, Debug)]
pub(crate) struct Reopening(Arc<Inner>);

struct Inner {
    harness: Harness,
    scope: Scope,
    /// Whether a handle can be closed without the others of its scope.
    closing: bool,
    capabilities: Capabilities,
    current: Mutex<Current>,
    clock: SystemClock,
    /// Held once by this, and once by each call and stream that is under way.
    flights: Arc<()>,
}

struct Current {
    store: Arc<dyn Store>,
    turns: u32,
    /// How long its re-opens have taken so far.
    spent: Duration,
    closed: bool,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reopening").field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// Says that something of a handle is under way.
type Flight = Arc<()>;

impl Reopening {
    /// Connects for the first time.
    pub(crate) async fn connect(harness: &Harness, scope: &Scope, closing: bool) -> Result<Self> {
        let store = harness.connect(scope).await?;
        Ok(Self(Arc::new(Inner {
            harness: harness.clone(),
            scope: scope.clone(),
            closing,
            capabilities: store.capabilities(),
            current: Mutex::new(Current { store, turns: 0, spent: Duration::ZERO, closed: false }),
            clock: SystemClock::default(),
            flights: Flight::default(),
        })))
    }

    /// The handle for the next operation.
    async fn turn(&self) -> Result<(Arc<dyn Store>, Flight)> {
        let inner = &*self.0;
        let mut current = inner.current.lock().await;
        let idle = Arc::strong_count(&inner.flights) == 1;
        let due = current.turns > 0 && (current.turns < ALWAYS || current.turns.is_multiple_of(LATER));
        let affordable = current.spent < inner.harness.tuning().reopening;
        if due && idle && affordable && !current.closed {
            let start = inner.clock.elapsed();
            let next = inner.harness.connect(&inner.scope).await.map_err(not_asked)?;
            let before = std::mem::replace(&mut current.store, next);
            if inner.closing {
                before.close().await?;
            }
            current.spent += inner.clock.elapsed().saturating_sub(start);
        }
        current.turns += 1;
        Ok((current.store.clone(), inner.flights.clone()))
    }

    /// A stream of the next handle, which stays until the stream is dropped.
    fn streamed<T: Send + 'static>(
        &self,
        make: impl FnOnce(&dyn Store) -> BoxStream<'static, Result<T>> + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        let this = self.clone();
        let turned = async move {
            // By a task, which has its turn also while a reader looks elsewhere.
            let turn = tokio::spawn(async move { this.turn().await });
            match turn.await.unwrap_or_else(|ended| resume_unwind(ended.into_panic())) {
                Ok((store, flight)) => {
                    let hold = move |item| {
                        let _ = &flight;
                        item
                    };
                    make(&*store).map(hold).boxed()
                }
                Err(error) => failed(error),
            }
        };
        stream::once(turned).flatten().boxed()
    }
}

/// Who could not connect has asked for nothing yet, whether or not the store's `connect` says so.
fn not_asked(error: Error) -> Error {
    if error.applied().is_some() { error } else { error.with_applied(Applied::No) }
}

fn failed<T: Send + 'static>(error: Error) -> BoxStream<'static, Result<T>> {
    stream::once(future::ready(Err(error))).boxed()
}

#[async_trait]
impl Store for Reopening {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities
    }

    async fn open(&self, run: &RunId, open: Open) -> Result<Opened> {
        let (store, _flight) = self.turn().await?;
        store.open(run, open).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        let (store, _flight) = self.turn().await?;
        store.commit(commit).await
    }

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        match self.turn().await {
            Ok((store, _flight)) => store.commit_many(commits).await,
            Err(error) => commits.iter().map(|_| Err(error.repeat())).collect(),
        }
    }

    async fn renew(&self, run: &RunId, renew: Renew) -> Result<()> {
        let (store, _flight) = self.turn().await?;
        store.renew(run, renew).await
    }

    async fn send(&self, run: &RunId, message: NewMessage) -> Result<Sent> {
        let (store, _flight) = self.turn().await?;
        store.send(run, message).await
    }

    async fn delete(&self, run: &RunId, guard: Delete) -> Result<bool> {
        let (store, _flight) = self.turn().await?;
        store.delete(run, guard).await
    }

    async fn head(&self, run: &RunId) -> Result<Option<Head>> {
        let (store, _flight) = self.turn().await?;
        store.head(run).await
    }

    async fn snapshot(&self, run: &RunId, at: At) -> Result<Option<Snapshot>> {
        let (store, _flight) = self.turn().await?;
        store.snapshot(run, at).await
    }

    fn stream(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Record>> {
        let run = run.clone();
        self.streamed(move |store| store.stream(&run, span))
    }

    fn inbox(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Message>> {
        let run = run.clone();
        self.streamed(move |store| store.inbox(&run, span))
    }

    async fn blob(&self, run: &RunId, name: &Digest) -> Result<Option<Bytes>> {
        let (store, _flight) = self.turn().await?;
        store.blob(run, name).await
    }

    fn blobs(&self, run: &RunId) -> BoxStream<'static, Result<BlobInfo>> {
        let run = run.clone();
        self.streamed(move |store| store.blobs(&run))
    }

    fn list(&self, query: Query) -> BoxStream<'static, Result<Head>> {
        self.streamed(move |store| store.list(query))
    }

    /// The last handle is closed, and no further one is made.
    async fn close(&self) -> Result<()> {
        let mut current = self.0.current.lock().await;
        current.closed = true;
        let store = current.store.clone();
        drop(current);
        store.close().await
    }
}
