//! Telemetry: each operation of a store is a span of [`tracing`].

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, StreamExt};
use milepost_core::{
    BoxStream, Clock, Commit, Committed, Error, NewMessage, Operation, Result, RunId, Sent, Store,
    SystemClock,
};
use tracing::{Instrument, Span, debug_span, field};

use crate::{Layer, forward_store};

/// A store whose operations are spans of [`tracing`], for whatever collects them: a log, OpenTelemetry, metrics.
///
/// Each operation is one span named `store`, of the target `milepost::store` at the level `DEBUG`, a child of the caller's.
/// Nothing else changes: what is asked goes on as it is, and the answer comes back as it was. While nobody listens, an
/// operation costs a few comparisons more.
///
/// | field | says | at |
/// |---|---|---|
/// | `operation` | `open`, `commit`, `head`, `stream`, … | every operation |
/// | `otel.name` | the same, `store.commit`: how OpenTelemetry calls the span | every operation |
/// | `run` | the run's id | every operation of one run |
/// | `commits` | of how many runs | `commit_many`, whose `operation` is `commit` |
/// | `records` | how many records go | `commit` |
/// | `bytes` | those of all bodies together | `commit`, `send` |
/// | `items` | how many came | streams |
/// | `outcome` | `ok`; the [kind](milepost_core::ErrorKind) of the error; `dropped`, if the caller waited no longer | the end |
/// | `applied` | whether the write has happened, in the words of [`Applied`](milepost_core::Applied) | a write that failed, and every refusal |
/// | `failed` | how many of them failed; `outcome` is then that of the first | `commit_many` |
/// | `elapsed_us` | microseconds from the call to the answer, by the injected clock; a stream's to its end | the end |
///
/// No body, no label and no text of an error is among them; a run's id is. A stream is one span from when it is asked for
/// to its end, or to where its reader left it; a stream that follows a run is as long as the run.
///
/// It belongs outside of [`GroupCommit`](crate::GroupCommit), where it sees the time that a run waits, or behind it, where
/// it sees the trips to the backend.
///
/// ```
/// use milepost_core::{RunId, Store};
/// use milepost_layers::{GroupCommit, Traced};
/// use milepost_store_memory::MemoryStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> milepost_core::Result<()> {
/// // What the runs wait for, and what goes to the store.
/// let store = Traced::new(GroupCommit::new(Traced::new(MemoryStore::new())));
/// assert!(store.head(&RunId::new("import")?).await?.is_none()); // two spans, one in the other
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Traced<S> {
    inner: S,
    clock: Arc<dyn Clock>,
}

impl<S> Traced<S> {
    /// Spans around the operations of `inner`.
    pub fn new(inner: S) -> Self {
        Self::with_clock(inner, Arc::new(SystemClock::default()))
    }

    /// Spans around the operations of `inner`, whose `elapsed_us` is by `clock`.
    pub fn with_clock(inner: S, clock: Arc<dyn Clock>) -> Self {
        Self { inner, clock }
    }

    fn observe(&self, operation: Operation, run: Option<&RunId>) -> Observed {
        let span = debug_span!(
            target: "milepost::store",
            "store",
            %operation,
            otel.name = field::Empty,
            run = run.map(RunId::as_str),
            commits = field::Empty,
            records = field::Empty,
            bytes = field::Empty,
            items = field::Empty,
            outcome = field::Empty,
            applied = field::Empty,
            failed = field::Empty,
            elapsed_us = field::Empty,
        );
        if span.is_disabled() {
            return Observed { span, open: None };
        }
        span.record("otel.name", field::display(format_args!("store.{operation}")));
        let open = Some((self.clock.clone(), self.clock.elapsed()));
        Observed { span, open }
    }
}

/// The span of one operation, until it has ended or is dropped.
struct Observed {
    span: Span,
    /// Since when it is under way; `None` while nobody listens, and once it has ended.
    open: Option<(Arc<dyn Clock>, Duration)>,
}

impl Observed {
    fn is_heard(&self) -> bool {
        self.open.is_some()
    }

    fn carries(&self, records: usize, bytes: usize) {
        self.span.record("records", records as u64).record("bytes", bytes as u64);
    }

    /// How long it took, said once.
    fn end(&mut self) -> bool {
        let Some((clock, began)) = self.open.take() else { return false };
        let elapsed = clock.elapsed().saturating_sub(began);
        self.span.record("elapsed_us", u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX));
        true
    }

    fn ended(&mut self, error: Option<&Error>) {
        if !self.end() {
            return;
        }
        match error {
            None => self.span.record("outcome", "ok"),
            Some(error) => self.span.record("outcome", field::debug(error.kind())),
        };
        if let Some(applied) = error.and_then(Error::applied) {
            self.span.record("applied", field::debug(applied));
        }
    }

    /// Does the work within the span.
    async fn around<T>(mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        if !self.is_heard() {
            return work.await;
        }
        let answer = work.instrument(self.span.clone()).await;
        self.ended(answer.as_ref().err());
        answer
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        if self.end() {
            self.span.record("outcome", "dropped");
        }
    }
}

/// The bytes of all bodies of a commit.
fn size(commit: &Commit) -> usize {
    let records = commit.records.iter().map(|record| record.body.len());
    let blobs = commit.blobs.iter().map(|blob| blob.body.len());
    let snapshot = commit.snapshot.iter().map(|snapshot| snapshot.body.len());
    records.chain(blobs).chain(snapshot).sum()
}

impl<S: Store> Layer for Traced<S> {
    type Inner = S;

    fn inner(&self) -> &S {
        &self.inner
    }

    async fn around<T: Send>(
        &self,
        operation: Operation,
        run: Option<&RunId>,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.observe(operation, run).around(work).await
    }

    fn around_stream<T: Send + 'static>(
        &self,
        operation: Operation,
        run: Option<&RunId>,
        stream: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        let observed = self.observe(operation, run);
        if observed.is_heard() { Items { stream, observed, count: 0 }.boxed() } else { stream }
    }
}

/// A stream within its span.
struct Items<T> {
    stream: BoxStream<'static, Result<T>>,
    observed: Observed,
    count: u64,
}

impl<T> Items<T> {
    fn ended(&mut self, error: Option<&Error>) {
        self.observed.span.record("items", self.count);
        self.observed.ended(error);
    }
}

impl<T> Stream for Items<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let this = &mut *self;
        let item = this.observed.span.in_scope(|| this.stream.poll_next_unpin(context));
        match &item {
            Poll::Ready(Some(Ok(_))) => this.count += 1,
            Poll::Ready(Some(Err(error))) => this.ended(Some(error)),
            Poll::Ready(None) => this.ended(None),
            Poll::Pending => {}
        }
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

impl<T> Drop for Items<T> {
    fn drop(&mut self) {
        if self.observed.is_heard() {
            self.observed.span.record("items", self.count);
        }
    }
}

forward_store! {
    impl<S: Store> Store for Traced<S>;
    forward capabilities, open, renew, delete, head, snapshot, stream, inbox, blob, blobs, list, close;

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        let observed = self.observe(Operation::Commit, Some(&commit.run));
        if observed.is_heard() {
            observed.carries(commit.records.len(), size(&commit));
        }
        observed.around(self.inner.commit(commit)).await
    }

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        let mut observed = self.observe(Operation::Commit, None);
        if !observed.is_heard() {
            return self.inner.commit_many(commits).await;
        }
        observed.span.record("commits", commits.len() as u64);
        let records = commits.iter().map(|commit| commit.records.len()).sum();
        observed.carries(records, commits.iter().map(size).sum());
        let answers = self.inner.commit_many(commits).instrument(observed.span.clone()).await;
        let mut errors = answers.iter().filter_map(|answer| answer.as_ref().err());
        let first = errors.next();
        if first.is_some() {
            observed.span.record("failed", 1 + errors.count() as u64);
        }
        observed.ended(first);
        answers
    }

    async fn send(&self, run: &RunId, message: NewMessage) -> Result<Sent> {
        let observed = self.observe(Operation::Send, Some(run));
        if observed.is_heard() {
            observed.span.record("bytes", message.body.len() as u64);
        }
        observed.around(self.inner.send(run, message)).await
    }
}
