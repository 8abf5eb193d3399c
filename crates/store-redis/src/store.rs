//! The store: checks, then one script call.

use std::{
    fmt,
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use milepost_core::{
    Applied, At, BlobInfo, BoxStream, Capabilities, Capability, Commit, Committed, Delete, Digest,
    Durability, Error, ErrorKind, Head, Limits, Message, NewMessage, Open, Opened, Operation, Query, Record,
    Renew, Result, RunId, Seen, Sent, Snapshot, Span, Store, Timestamp,
};
use tokio::sync::RwLock;

use crate::{
    RedisConfig, batch,
    error::{BACKEND, closed, during, from_driver},
    follow::Followers,
    known::KnownRows,
    layout::Keys,
    link::Link,
    list, read,
    server::MIN_TTL,
    stream as pages, write,
};

/// Bodies that a script copies in a few milliseconds, so that no other client of the server waits long.
const LIMITS: Limits = Limits {
    record: 16 << 20,
    commit: 32 << 20,
    snapshot: 16 << 20,
    blob: 16 << 20,
    min_ttl: MIN_TTL,
    ..Limits::DEFAULT
};

/// So many records at most go in one commit, for the same reason.
const MOST_RECORDS: usize = 1 << 16;

/// Durable runs in Redis or Valkey.
///
/// A handle is a cheap clone; all clones share one connection, or one to each node of a cluster, that is made again when it
/// was cut. Made by [`RedisStore::connect`] or [`RedisConfig::connect`].
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>);

/// What the clones of a handle share.
pub(crate) struct Inner {
    pub(crate) config: RedisConfig,
    pub(crate) link: Link,
    pub(crate) capabilities: Capabilities,
    pub(crate) followers: Arc<Followers>,
    pub(crate) seen: Seen,
    pub(crate) known: KnownRows,
    closed: AtomicBool,
    /// Held by whatever is in flight; closing waits for all of it.
    flight: RwLock<()>,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("config", &self.0.config)
            .field("durability", &self.0.capabilities.durability)
            .finish_non_exhaustive()
    }
}

impl Inner {
    pub(crate) fn keys(&self, run: &RunId) -> Keys {
        Keys::new(&self.config.prefix, run)
    }

    /// The clock as scripts take it: empty for the server's own.
    pub(crate) fn now(&self) -> Vec<u8> {
        self.config.clock.as_ref().map(|clock| clock.now().0.to_string().into_bytes()).unwrap_or_default()
    }

    /// The store's now.
    pub(crate) async fn look_at_clock(&self) -> Result<Timestamp> {
        if let Some(clock) = &self.config.clock {
            return Ok(clock.now());
        }
        let answer = self.link.send(&redis::cmd("TIME"), &[]).await?;
        let (seconds, micros): (i64, i64) =
            redis::from_redis_value(answer).map_err(|error| from_driver(&error.into()))?;
        Ok(Timestamp(seconds * 1_000_000 + micros))
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(closed()) } else { Ok(()) }
    }

    /// Does what was checked, unless the store has been closed.
    async fn perform<T>(&self, check: Result<()>, work: impl Future<Output = Result<T>>) -> Result<T> {
        check?;
        let _flight = self.flight.read().await;
        self.check_open()?;
        work.await
    }
}

impl RedisStore {
    /// Connects to the server of a URL such as `redis://localhost:6379/0?prefix=jobs`. See [`RedisConfig::from_url`] for
    /// the parameters.
    ///
    /// # Errors
    ///
    /// Those of [`RedisConfig::from_url`] and [`RedisConfig::connect`].
    pub async fn connect(url: &str) -> Result<Self> {
        let config = RedisConfig::from_url(url);
        config.map_err(|error| error.during(BACKEND, Operation::Connect, None))?.connect().await
    }

    /// Makes the place that a URL names ready: idempotent, and safe from any number of processes at once.
    ///
    /// # Errors
    ///
    /// Those of [`RedisConfig::from_url`] and [`RedisConfig::prepare`].
    pub async fn prepare(url: &str) -> Result<()> {
        let config = RedisConfig::from_url(url);
        config.map_err(|error| error.during(BACKEND, Operation::Prepare, None))?.prepare().await
    }

    pub(crate) fn new(config: RedisConfig, link: Link, durability: Durability) -> Self {
        Self(Arc::new(Inner {
            config,
            link,
            capabilities: Capabilities::all(durability).limits(LIMITS),
            followers: Arc::new(Followers::default()),
            seen: Seen::default(),
            known: KnownRows::default(),
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
        let check = check.and_then(|()| self.0.check_open()).map_err(refused);
        self.0.perform(check, work).await.map_err(during(operation, run))
    }
}

/// What this store takes less of than the contract's checks ask for.
pub(crate) fn check_commit(commit: &Commit, capabilities: &Capabilities) -> Result<()> {
    commit.check(capabilities)?;
    if commit.records.len() <= MOST_RECORDS {
        return Ok(());
    }
    let message =
        format!("a commit has at most {MOST_RECORDS} records, this one has {}", commit.records.len());
    Err(Error::new(ErrorKind::TooLarge, message))
}

fn failed<T: Send + 'static>(
    error: Error,
    operation: Operation,
    run: Option<&RunId>,
) -> BoxStream<'static, Result<T>> {
    stream::once(ready(Err(error.during(BACKEND, operation, run)))).boxed()
}

#[async_trait]
impl Store for RedisStore {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities
    }

    async fn open(&self, run: &RunId, open: Open) -> Result<Opened> {
        let check = open.check(run, &self.0.capabilities);
        self.write(Operation::Open, run, check, write::open(&self.0, run, open)).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        let check = check_commit(&commit, &self.0.capabilities);
        self.write(Operation::Commit, &commit.run, check, batch::commit(&self.0, &commit)).await
    }

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        let _flight = self.0.flight.read().await;
        batch::commit_many(&self.0, commits).await
    }

    async fn renew(&self, run: &RunId, renew: Renew) -> Result<()> {
        self.write(Operation::Renew, run, renew.check(), write::renew(&self.0, run, renew)).await
    }

    async fn send(&self, run: &RunId, message: NewMessage) -> Result<Sent> {
        let check = message.check(run, &self.0.capabilities);
        self.write(Operation::Send, run, check, write::send(&self.0, run, message)).await
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
        self.0.link.close();
        self.0.followers.notify_all();
        Ok(())
    }
}
