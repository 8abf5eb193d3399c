//! A store that counts what it is asked for, and fails, lies and dawdles when told to.

use std::{
    collections::BTreeMap,
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use milepost_core::*;
use milepost_store_memory::MemoryStore;

/// What a snapshot is said to be instead of what it is.
#[derive(Clone)]
pub(crate) enum Lie {
    Body(Bytes),
    Error(ErrorKind),
    Cursor(Cursor),
}

type Bend = Box<dyn Fn(Vec<Record>) -> Vec<Record> + Send>;

#[derive(Default)]
pub(crate) struct Book {
    calls: BTreeMap<&'static str, usize>,
    pub(crate) commits: Vec<Commit>,
    pub(crate) bytes_out: usize,
    failures: Vec<(Operation, Error)>,
    lies: BTreeMap<Cursor, Lie>,
    bend: Option<Bend>,
    mirror: Option<MemoryStore>,
}

struct Shared {
    inner: Mutex<MemoryStore>,
    book: Mutex<Book>,
    down: AtomicBool,
    yields: AtomicUsize,
}

/// Clones share everything.
#[derive(Clone)]
pub(crate) struct Spy(Arc<Shared>);

impl fmt::Debug for Spy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spy")
    }
}

/// Is pending once, so that a future can be dropped there.
struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            return Poll::Ready(());
        }
        self.0 = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Spy {
    pub(crate) fn on(inner: MemoryStore) -> Self {
        Self(Arc::new(Shared {
            inner: Mutex::new(inner),
            book: Mutex::default(),
            down: AtomicBool::new(false),
            yields: AtomicUsize::new(0),
        }))
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap()
    }

    /// How often a method was called.
    pub(crate) fn calls(&self, method: &'static str) -> usize {
        self.book().calls.get(method).copied().unwrap_or(0)
    }

    /// The calls of open, snapshot and stream.
    pub(crate) fn reads(&self) -> [usize; 3] {
        ["open", "snapshot", "stream"].map(|method| self.calls(method))
    }

    /// The cursors of the snapshots that were written, in order.
    pub(crate) fn snapshots(&self) -> Vec<Cursor> {
        self.book().commits.iter().filter_map(|commit| commit.snapshot.as_ref()).map(|s| s.cursor).collect()
    }

    /// The bytes of the bodies that were handed over.
    pub(crate) fn bytes_in(&self) -> usize {
        let body = |commit: &Commit| {
            commit.records.iter().map(|record| record.body.len()).sum::<usize>()
                + commit.snapshot.as_ref().map_or(0, |snapshot| snapshot.body.len())
        };
        self.book().commits.iter().map(body).sum()
    }

    /// Forgets calls and bytes that were read, and keeps what was written.
    pub(crate) fn start_reading(&self) {
        let mut book = self.book();
        book.calls.clear();
        book.bytes_out = 0;
    }

    pub(crate) fn forget(&self) {
        let mut book = self.book();
        book.calls.clear();
        book.commits.clear();
        book.bytes_out = 0;
    }

    /// The store cannot be reached, until it can.
    pub(crate) fn down(&self, down: bool) {
        self.0.down.store(down, Ordering::SeqCst);
    }

    /// Each call is pending so often before and after what it does.
    pub(crate) fn yields(&self, yields: usize) {
        self.0.yields.store(yields, Ordering::SeqCst);
    }

    /// The next such operation fails, and does not happen.
    pub(crate) fn fail_next(&self, operation: Operation, error: Error) {
        self.book().failures.push((operation, error));
    }

    pub(crate) fn lie(&self, cursor: Cursor, lie: Lie) {
        self.book().lies.insert(cursor, lie);
    }

    /// What streams give is bent.
    pub(crate) fn bend(&self, bend: impl Fn(Vec<Record>) -> Vec<Record> + Send + 'static) {
        self.book().bend = Some(Box::new(bend));
    }

    /// Writes go to another store too, until [`Spy::set_back`].
    pub(crate) fn mirror(&self, other: MemoryStore) {
        self.book().mirror = Some(other);
    }

    pub(crate) fn stop_mirroring(&self) -> MemoryStore {
        self.book().mirror.take().unwrap()
    }

    pub(crate) fn swap(&self, inner: MemoryStore) {
        *self.0.inner.lock().unwrap() = inner;
    }

    fn inner(&self) -> MemoryStore {
        self.0.inner.lock().unwrap().clone()
    }

    fn mirrored(&self) -> Option<MemoryStore> {
        self.book().mirror.clone()
    }

    async fn dawdle(&self) {
        for _ in 0..self.0.yields.load(Ordering::SeqCst) {
            Yield(false).await;
        }
    }

    fn enter(&self, operation: Operation, method: &'static str) -> Result<()> {
        let mut book = self.book();
        *book.calls.entry(method).or_default() += 1;
        if self.0.down.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "down").with_applied(Applied::No));
        }
        match book.failures.iter().position(|(fails, _)| *fails == operation) {
            Some(index) => Err(book.failures.remove(index).1),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Store for Spy {
    fn capabilities(&self) -> Capabilities {
        self.inner().capabilities()
    }

    async fn open(&self, run: &RunId, open: Open) -> Result<Opened> {
        self.dawdle().await;
        self.enter(Operation::Open, "open")?;
        if let Some(mirror) = self.mirrored() {
            mirror.open(run, open.clone()).await?;
        }
        let opened = self.inner().open(run, open).await;
        self.dawdle().await;
        opened
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.dawdle().await;
        self.enter(Operation::Commit, "commit")?;
        if let Some(mirror) = self.mirrored() {
            mirror.commit(commit.clone()).await?;
        }
        let committed = self.inner().commit(commit.clone()).await;
        if committed.is_ok() {
            self.book().commits.push(commit);
        }
        self.dawdle().await;
        committed
    }

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        self.inner().commit_many(commits).await
    }

    async fn renew(&self, run: &RunId, renew: Renew) -> Result<()> {
        self.dawdle().await;
        self.enter(Operation::Renew, "renew")?;
        self.inner().renew(run, renew).await
    }

    async fn send(&self, run: &RunId, message: NewMessage) -> Result<Sent> {
        self.inner().send(run, message).await
    }

    async fn delete(&self, run: &RunId, guard: Delete) -> Result<bool> {
        self.enter(Operation::Delete, "delete")?;
        self.inner().delete(run, guard).await
    }

    async fn head(&self, run: &RunId) -> Result<Option<Head>> {
        self.enter(Operation::Head, "head")?;
        self.inner().head(run).await
    }

    async fn snapshot(&self, run: &RunId, at: At) -> Result<Option<Snapshot>> {
        self.dawdle().await;
        self.enter(Operation::Snapshot, "snapshot")?;
        let snapshot = self.inner().snapshot(run, at).await?;
        let Some(snapshot) = snapshot else { return Ok(None) };
        let mut book = self.book();
        book.bytes_out += snapshot.body.len();
        match book.lies.get(&snapshot.cursor).cloned() {
            Some(Lie::Body(body)) => Ok(Some(Snapshot { body, ..snapshot })),
            Some(Lie::Cursor(cursor)) => Ok(Some(Snapshot { cursor, ..snapshot })),
            Some(Lie::Error(kind)) => Err(Error::new(kind, "as told")),
            None => Ok(Some(snapshot)),
        }
    }

    fn stream(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Record>> {
        let (spy, run) = (self.clone(), run.clone());
        if let Err(error) = self.enter(Operation::Stream, "stream") {
            return stream::once(async { Err(error) }).boxed();
        }
        stream::once(async move {
            spy.dawdle().await;
            let records: Vec<_> = spy.inner().stream(&run, span).collect().await;
            let records: Result<Vec<Record>> = records.into_iter().collect();
            match records {
                Err(error) => vec![Err(error)],
                Ok(records) => {
                    let mut book = spy.book();
                    book.bytes_out += records.iter().map(|record| record.body.len()).sum::<usize>();
                    let records = if let Some(bend) = &book.bend { bend(records) } else { records };
                    records.into_iter().map(Ok).collect()
                }
            }
        })
        .flat_map(stream::iter)
        .boxed()
    }

    fn inbox(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Message>> {
        self.inner().inbox(run, span)
    }

    async fn blob(&self, run: &RunId, name: &Digest) -> Result<Option<Bytes>> {
        self.inner().blob(run, name).await
    }

    fn blobs(&self, run: &RunId) -> BoxStream<'static, Result<BlobInfo>> {
        self.inner().blobs(run)
    }

    fn list(&self, query: Query) -> BoxStream<'static, Result<Head>> {
        self.inner().list(query)
    }

    async fn close(&self) -> Result<()> {
        self.inner().close().await
    }
}
