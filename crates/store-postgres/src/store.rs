//! The store: checks, then one statement.

use std::{
    fmt,
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use milepost_core::{
    Applied, At, BlobInfo, BoxStream, Capabilities, Capability, Commit, Committed, Delete, Digest, Error,
    Head, Limits, Message, NewMessage, Open, Opened, Operation, Query, Record, Renew, Result, RunId, Seen,
    Sent, Snapshot, Span, Store,
};
use tokio::sync::RwLock;

use crate::{
    PostgresConfig, batch,
    error::{BACKEND, closed, during},
    follow::Followers,
    link::Link,
    list, read,
    server::Reached,
    statements::Statements,
    stream as pages, write,
};

/// What a statement carries has to fit a value of PostgreSQL, in hexadecimal digits too, and the memory of both sides.
const LIMITS: Limits = Limits {
    record: 32 << 20,
    commit: 64 << 20,
    snapshot: 64 << 20,
    blob: 64 << 20,
    min_ttl: Duration::from_millis(1),
    ..Limits::DEFAULT
};

/// Durable runs in PostgreSQL.
///
/// A handle is a cheap clone; all clones share a few connections, which are made when they are needed and again when they
/// were cut. Made by [`PostgresStore::connect`] or [`PostgresConfig::connect`].
#[derive(Clone)]
pub struct PostgresStore(Arc<Inner>);

/// What the clones of a handle share.
pub(crate) struct Inner {
    pub(crate) config: PostgresConfig,
    pub(crate) link: Link,
    pub(crate) statements: Statements,
    pub(crate) capabilities: Capabilities,
    pub(crate) followers: Arc<Followers>,
    pub(crate) seen: Seen,
    closed: AtomicBool,
    /// Held by whatever is in flight; closing waits for all of it.
    flight: RwLock<()>,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("config", &self.0.config)
            .field("durability", &self.0.capabilities.durability)
            .field("direct", &self.0.link.direct)
            .finish_non_exhaustive()
    }
}

impl Inner {
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(closed()) } else { Ok(()) }
    }

    /// A commit holds: its followers look, and its version is remembered.
    pub(crate) fn acknowledged(&self, commit: &Commit, committed: &Committed) {
        self.seen.saw(&commit.run, (commit.fence.incarnation, committed.version));
        if !committed.replayed {
            self.followers.notify(&commit.run);
        }
    }

    /// Does what was checked, unless the store has been closed.
    async fn perform<T>(&self, check: Result<()>, work: impl Future<Output = Result<T>>) -> Result<T> {
        check?;
        let _flight = self.flight.read().await;
        self.check_open()?;
        work.await
    }
}

impl PostgresStore {
    /// Connects to the server of a URL such as `postgres://localhost/jobs?schema=milepost`. See
    /// [`PostgresConfig::from_url`] for the parameters.
    ///
    /// # Errors
    ///
    /// Those of [`PostgresConfig::from_url`] and [`PostgresConfig::connect`].
    pub async fn connect(url: &str) -> Result<Self> {
        let config = PostgresConfig::from_url(url);
        config.map_err(|error| error.during(BACKEND, Operation::Connect, None))?.connect().await
    }

    /// Sets up the schema that a URL names: idempotent, and safe from any number of processes at once.
    ///
    /// # Errors
    ///
    /// Those of [`PostgresConfig::from_url`] and [`PostgresConfig::prepare`].
    pub async fn prepare(url: &str) -> Result<()> {
        let config = PostgresConfig::from_url(url);
        config.map_err(|error| error.during(BACKEND, Operation::Prepare, None))?.prepare().await
    }

    pub(crate) fn new(config: PostgresConfig, reached: Reached) -> Self {
        Self(Arc::new(Inner {
            statements: Statements::new(&config.place),
            config,
            link: reached.link,
            capabilities: Capabilities::all(reached.durability).limits(LIMITS),
            followers: Arc::new(Followers::default()),
            seen: Seen::default(),
            closed: AtomicBool::new(false),
            flight: RwLock::new(()),
        }))
    }

    async fn read<T>(
        &self,
        operation: Operation,
        run: &RunId,
        check: Result<()>,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.0.perform(check, work).await.map_err(during(operation, run))
    }

    /// As a read; what was refused before it was sent has not happened.
    async fn write<T>(
        &self,
        operation: Operation,
        run: &RunId,
        check: Result<()>,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let refused =
            |error: Error| if error.applied().is_none() { error.with_applied(Applied::No) } else { error };
        self.0.perform(check, work).await.map_err(refused).map_err(during(operation, run))
    }
}

fn failed<T: Send + 'static>(
    error: Error,
    operation: Operation,
    run: Option<&RunId>,
) -> BoxStream<'static, Result<T>> {
    stream::once(ready(Err(error.during(BACKEND, operation, run)))).boxed()
}

#[async_trait]
impl Store for PostgresStore {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities
    }

    async fn open(&self, run: &RunId, open: Open) -> Result<Opened> {
        let check = open.check(run, &self.0.capabilities);
        self.write(Operation::Open, run, check, write::open(&self.0, run, &open)).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        let check = commit.check(&self.0.capabilities);
        self.write(Operation::Commit, &commit.run, check, batch::commit(&self.0, &commit)).await
    }

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        let _flight = self.0.flight.read().await;
        batch::commit_many(&self.0, &commits).await
    }

    async fn renew(&self, run: &RunId, renew: Renew) -> Result<()> {
        self.write(Operation::Renew, run, renew.check(), write::renew(&self.0, run, &renew)).await
    }

    async fn send(&self, run: &RunId, message: NewMessage) -> Result<Sent> {
        let check = message.check(run, &self.0.capabilities);
        self.write(Operation::Send, run, check, write::send(&self.0, run, &message)).await
    }

    async fn delete(&self, run: &RunId, guard: Delete) -> Result<bool> {
        self.write(Operation::Delete, run, Ok(()), write::delete(&self.0, run, guard)).await
    }

    async fn head(&self, run: &RunId) -> Result<Option<Head>> {
        self.read(Operation::Head, run, Ok(()), read::head(&self.0, run)).await
    }

    async fn snapshot(&self, run: &RunId, at: At) -> Result<Option<Snapshot>> {
        let check = at.check(&self.0.capabilities);
        self.read(Operation::Snapshot, run, check, read::snapshot(&self.0, run, at)).await
    }

    fn stream(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Record>> {
        match span.check_log(&self.0.capabilities).and_then(|()| self.0.check_open()) {
            Ok(()) => pages::entries(&self.0, run, span),
            Err(error) => failed(error, Operation::Stream, Some(run)),
        }
    }

    fn inbox(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Message>> {
        match span.check_inbox(&self.0.capabilities).and_then(|()| self.0.check_open()) {
            Ok(()) => pages::entries(&self.0, run, span),
            Err(error) => failed(error, Operation::Inbox, Some(run)),
        }
    }

    async fn blob(&self, run: &RunId, name: &Digest) -> Result<Option<Bytes>> {
        let check = self.0.capabilities.require(Capability::Blobs);
        self.read(Operation::Blob, run, check, read::blob(&self.0, run, name)).await
    }

    fn blobs(&self, run: &RunId) -> BoxStream<'static, Result<BlobInfo>> {
        match self.0.capabilities.require(Capability::Blobs).and_then(|()| self.0.check_open()) {
            Ok(()) => pages::blobs(&self.0, run),
            Err(error) => failed(error, Operation::Blobs, Some(run)),
        }
    }

    fn list(&self, query: Query) -> BoxStream<'static, Result<Head>> {
        match query.check(&self.0.capabilities).and_then(|()| self.0.check_open()) {
            Ok(()) => list::runs(&self.0, query),
            Err(error) => failed(error, Operation::List, None),
        }
    }

    async fn close(&self) -> Result<()> {
        self.0.closed.store(true, Ordering::Release);
        let _all = self.0.flight.write().await;
        self.0.link.close().await;
        self.0.followers.notify_all();
        Ok(())
    }
}
