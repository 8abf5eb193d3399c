//! Stores that stand in front of the one under test: with less to offer, counting, or lying.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{StreamExt, future, stream};
use milepost_core::{
    At, BlobInfo, BoxStream, Bytes, Capabilities, Capability, Commit, Committed, Digest, Error, Head,
    Message, NewMessage, Open, Opened, Operation, Query, Record, Result, RunId, Sent, Snapshot, Span, Store,
};
use milepost_layers::{Layer, forward_store};

/// A store that declares less than the one behind it and refuses the rest, so that every way to degrade is tried on
/// every store that offers more.
#[derive(Debug)]
pub(crate) struct Reduced {
    inner: Arc<dyn Store>,
    offered: Capabilities,
}

impl Reduced {
    /// `inner` without `lacking`.
    pub(crate) fn over(inner: &Arc<dyn Store>, lacking: &[Capability]) -> Self {
        let all = inner.capabilities();
        let offered = lacking.iter().fold(all, |offered, capability| offered.without(*capability));
        Self { inner: inner.clone(), offered }
    }
}

impl Layer for Reduced {
    type Inner = Arc<dyn Store>;

    fn inner(&self) -> &Self::Inner {
        &self.inner
    }
}

/// The stream, unless the call is refused.
fn unless<T: Send + 'static>(
    refused: Result<()>,
    stream: impl FnOnce() -> BoxStream<'static, Result<T>>,
) -> BoxStream<'static, Result<T>> {
    match refused {
        Ok(()) => stream(),
        Err(error) => failed(error),
    }
}

fn failed<T: Send + 'static>(error: Error) -> BoxStream<'static, Result<T>> {
    stream::once(future::ready(Err(error))).boxed()
}

forward_store! {
    impl Store for Reduced;
    forward renew, delete, head, close;

    fn capabilities(&self) -> Capabilities {
        self.offered
    }

    async fn open(&self, run: &RunId, open: Open) -> Result<Opened> {
        open.check(run, &self.offered)?;
        self.inner.open(run, open).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        commit.check(&self.offered)?;
        self.inner.commit(commit).await
    }

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        let mut answers = Vec::with_capacity(commits.len());
        for commit in commits {
            answers.push(self.commit(commit).await);
        }
        answers
    }

    async fn send(&self, run: &RunId, message: NewMessage) -> Result<Sent> {
        message.check(run, &self.offered)?;
        self.inner.send(run, message).await
    }

    async fn snapshot(&self, run: &RunId, at: At) -> Result<Option<Snapshot>> {
        at.check(&self.offered)?;
        self.inner.snapshot(run, at).await
    }

    async fn blob(&self, run: &RunId, name: &Digest) -> Result<Option<Bytes>> {
        self.offered.require(Capability::Blobs)?;
        self.inner.blob(run, name).await
    }

    fn stream(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Record>> {
        unless(span.check_log(&self.offered), || self.inner.stream(run, span))
    }

    fn inbox(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Message>> {
        unless(span.check_inbox(&self.offered), || self.inner.inbox(run, span))
    }

    fn blobs(&self, run: &RunId) -> BoxStream<'static, Result<BlobInfo>> {
        unless(self.offered.require(Capability::Blobs), || self.inner.blobs(run))
    }

    fn list(&self, query: Query) -> BoxStream<'static, Result<Head>> {
        unless(query.check(&self.offered), || self.inner.list(query))
    }
}

/// A store that counts what is asked of it. A cheap clone: one is given away, the other tells.
#[derive(Clone, Debug)]
pub(crate) struct Counted(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    inner: Arc<dyn Store>,
    calls: Mutex<Vec<Operation>>,
    records: Arc<AtomicUsize>,
}

impl Counted {
    /// In front of `inner`, with nothing counted.
    pub(crate) fn over(inner: impl Store) -> Self {
        Self(Arc::new(Counts { inner: Arc::new(inner), calls: Mutex::default(), records: Arc::default() }))
    }

    fn called(&self) -> MutexGuard<'_, Vec<Operation>> {
        self.0.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was asked for, in order.
    pub(crate) fn calls(&self) -> Vec<Operation> {
        self.called().clone()
    }

    /// How many records were streamed.
    pub(crate) fn records(&self) -> usize {
        self.0.records.load(Ordering::Relaxed)
    }
}

impl Layer for Counted {
    type Inner = Arc<dyn Store>;

    fn inner(&self) -> &Self::Inner {
        &self.0.inner
    }

    async fn around<T: Send>(
        &self,
        operation: Operation,
        _: Option<&RunId>,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.called().push(operation);
        work.await
    }

    fn around_stream<T: Send + 'static>(
        &self,
        operation: Operation,
        _: Option<&RunId>,
        stream: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        self.called().push(operation);
        if operation != Operation::Stream {
            return stream;
        }
        let records = self.0.records.clone();
        let count = move |item: &Result<T>| {
            records.fetch_add(usize::from(item.is_ok()), Ordering::Relaxed);
        };
        stream.inspect(count).boxed()
    }
}

forward_store! {
    impl Store for Counted;
    forward capabilities, open, commit, renew, send, delete, head, snapshot, stream, inbox, blob, blobs, list, close;

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        self.called().extend(commits.iter().map(|_| Operation::Commit));
        self.0.inner.commit_many(commits).await
    }
}

type Lie = dyn Fn(At, Snapshot) -> Result<Snapshot> + Send + Sync;

/// A store that gives other snapshots than it keeps.
pub(crate) struct Lying {
    inner: Arc<dyn Store>,
    lie: Box<Lie>,
}

impl Lying {
    /// `inner`, with `lie` told of each snapshot that is read.
    pub(crate) fn over(
        inner: impl Store,
        lie: impl Fn(At, Snapshot) -> Result<Snapshot> + Send + Sync + 'static,
    ) -> Self {
        Self { inner: Arc::new(inner), lie: Box::new(lie) }
    }
}

impl fmt::Debug for Lying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lying").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Layer for Lying {
    type Inner = Arc<dyn Store>;

    fn inner(&self) -> &Self::Inner {
        &self.inner
    }
}

forward_store! {
    impl Store for Lying;
    forward capabilities, open, commit, renew, send, delete, head, stream, inbox, blob, blobs, list, close;

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        self.inner.commit_many(commits).await
    }

    async fn snapshot(&self, run: &RunId, at: At) -> Result<Option<Snapshot>> {
        self.inner.snapshot(run, at).await?.map(|snapshot| (self.lie)(at, snapshot)).transpose()
    }
}
