//! The thin store around the pure rules: a map of images behind a lock, and streams that read it page by page.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    future::ready,
    ops::Bound,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use milepost_core::{
    At, BlobInfo, BoxStream, Capabilities, Capability, Clock, Commit, Committed, Delete, Digest, Durability,
    Error, ErrorKind, Head, Ids, Message, NewMessage, Open, Opened, Operation, Order, Query, Record, Refusal,
    Renew, Result, RunId, Sent, Snapshot, Span, Store, SystemClock, SystemIds, Timestamp,
};
use tokio::sync::watch;

use crate::{Answer, Image, Mint, Write, apply};

const BACKEND: &str = "memory";
const PAGE: usize = 256;

/// A store in the memory of this process: clones share the data, and it dies with the last of them.
///
/// For tests and for trying things out. A run that must survive its process needs another one.
#[derive(Clone)]
pub struct MemoryStore(Arc<Shared>);

struct Shared {
    capabilities: Capabilities,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    /// `None` once the store has been closed.
    runs: Mutex<Option<Runs>>,
    /// Changes with every write, for who follows.
    changed: watch::Sender<()>,
}

/// Every run that exists; a slot is empty only while a write looks at it.
type Runs = BTreeMap<RunId, Option<Image>>;

/// Builds a [`MemoryStore`] whose clock, ids or capabilities are not the usual ones.
#[derive(Clone, Debug)]
pub struct MemoryStoreBuilder {
    capabilities: Capabilities,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

impl MemoryStoreBuilder {
    /// Tells the time by `clock`; by default [`SystemClock`].
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Draws incarnations and tokens from `ids`; by default [`SystemIds`].
    pub fn ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }

    /// Declares these capabilities, and keeps to them; by default all of them at [`Durability::Process`].
    pub fn capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// The store, empty.
    pub fn build(self) -> MemoryStore {
        MemoryStore(Arc::new(Shared {
            capabilities: self.capabilities,
            clock: self.clock,
            ids: self.ids,
            runs: Mutex::new(Some(BTreeMap::new())),
            changed: watch::Sender::new(()),
        }))
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("capabilities", &self.0.capabilities).finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// An empty store with every capability.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// For a store whose clock, ids or capabilities are not the usual ones.
    pub fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder {
            capabilities: Capabilities::all(Durability::Process),
            clock: Arc::new(SystemClock::default()),
            ids: Arc::new(SystemIds),
        }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Runs) -> Result<T>) -> Result<T> {
        let mut runs = self.0.runs.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        f(runs.as_mut().ok_or_else(|| Error::new(ErrorKind::Closed, "the store has been closed"))?)
    }

    /// Reads one run.
    fn read<T>(&self, run: &RunId, operation: Operation, f: impl FnOnce(&Image) -> Result<T>) -> Result<T> {
        self.with(|runs| f(runs.get(run).and_then(Option::as_ref).ok_or(Refusal::NotFound)?))
            .map_err(|error| error.during(BACKEND, operation, Some(run)))
    }

    fn require_blobs(&self, run: &RunId, operation: Operation) -> Result<()> {
        let required = self.0.capabilities.require(Capability::Blobs);
        required.map_err(|error| error.during(BACKEND, operation, Some(run)))
    }

    /// Applies one write, and tells who follows.
    fn write(&self, run: &RunId, operation: Operation, write: Write) -> Result<Answer> {
        let Shared { capabilities, clock, changed, .. } = &*self.0;
        let answer = self.with(|runs| {
            let slot = runs.entry(run.clone()).or_default();
            let answer = apply(slot, run, write, capabilities, clock.now());
            if slot.is_none() {
                runs.remove(run);
            }
            answer
        });
        if answer.is_ok() && changed.receiver_count() > 0 {
            changed.send_replace(());
        }
        answer.map_err(|error| error.during(BACKEND, operation, Some(run)))
    }

    fn follow<T: Entry>(
        &self,
        run: &RunId,
        span: Span,
        operation: Operation,
    ) -> BoxStream<'static, Result<T>> {
        let reader = Reader {
            changed: span.follow.then(|| self.0.changed.subscribe()),
            store: self.clone(),
            run: run.clone(),
            span,
            operation,
            page: VecDeque::new(),
        };
        stream::try_unfold(reader, |mut reader| async move {
            let next = reader.next().await?;
            Ok(next.map(|entry| (entry, reader)))
        })
        .boxed()
    }
}

/// What is read in pages: records and messages.
trait Entry: Sized + Send + 'static {
    fn page(image: &Image, span: &Span, page: usize) -> Result<Vec<Self>>;
    fn position(&self) -> u64;
    /// The newest position that the run has ever given.
    fn newest(image: &Image) -> u64;
}

impl Entry for Record {
    fn page(image: &Image, span: &Span, page: usize) -> Result<Vec<Self>> {
        image.records(span, page)
    }

    fn position(&self) -> u64 {
        self.cursor
    }

    fn newest(image: &Image) -> u64 {
        image.head.cursor
    }
}

impl Entry for Message {
    fn page(image: &Image, span: &Span, page: usize) -> Result<Vec<Self>> {
        image.inbox(span, page)
    }

    fn position(&self) -> u64 {
        self.number
    }

    fn newest(image: &Image) -> u64 {
        image.head.newest_message
    }
}

/// A stream that is being read: `span` is what is still to come.
struct Reader<T> {
    store: MemoryStore,
    run: RunId,
    span: Span,
    operation: Operation,
    page: VecDeque<T>,
    changed: Option<watch::Receiver<()>>,
}

impl<T: Entry> Reader<T> {
    async fn next(&mut self) -> Result<Option<T>> {
        loop {
            if let Some(entry) = self.page.pop_front() {
                return Ok(Some(entry));
            }
            let last = self.fetch()?;
            if !self.page.is_empty() {
                continue;
            }
            let done = last || self.span.limit == Some(0);
            match &mut self.changed {
                Some(changed) if !done => {
                    // An error means that the store itself is gone; the next fetch will say so.
                    let _ = changed.changed().await;
                }
                _ => return Ok(None),
            }
        }
    }

    /// Fetches a page and moves the span past it; tells whether nothing can come after it.
    fn fetch(&mut self) -> Result<bool> {
        let size = self.span.page.map_or(PAGE, |page| page.max(1) as usize);
        if let Some(changed) = &mut self.changed {
            changed.mark_unchanged();
        }
        let span = &mut self.span;
        let (page, last) = self.store.read(&self.run, self.operation, |image| {
            let page = T::page(image, span, size)?;
            // From now on only this life of the run: another one is not its continuation.
            span.incarnation = Some(image.head.fence.incarnation);
            let ended = span.until.is_some_and(|until| until <= T::newest(image).max(span.after));
            Ok((page, ended || image.head.outcome.is_some()))
        })?;
        if let Some(newest) = page.last() {
            span.limit = span.limit.map(|limit| limit - page.len() as u64);
            if span.reverse {
                span.until = Some(newest.position() - 1);
            } else {
                span.after = newest.position();
            }
        }
        self.page = page.into();
        Ok(last)
    }
}

/// A listing that is being read.
struct Listing {
    store: MemoryStore,
    query: Query,
    /// The first page's now.
    cut: Timestamp,
    last: Option<(Timestamp, RunId)>,
    page: VecDeque<Head>,
}

impl Listing {
    fn next(&mut self) -> Result<Option<Head>> {
        if self.page.is_empty() {
            self.page = self.fetch().map_err(|error| error.during(BACKEND, Operation::List, None))?;
        }
        let head = self.page.pop_front();
        if let Some(head) = &head {
            self.last = Some((head.created_at, head.run.clone()));
            self.query.limit = self.query.limit.map(|limit| limit - 1);
        }
        Ok(head)
    }

    fn fetch(&self) -> Result<VecDeque<Head>> {
        let size = self.query.page.map_or(PAGE, |page| page.max(1) as usize);
        let size =
            self.query.limit.map_or(size, |limit| size.min(usize::try_from(limit).unwrap_or(usize::MAX)));
        let matching = |image: &Image| {
            let head = image.head(self.cut);
            (head.created_at <= self.cut && self.query.matches(&head)).then_some(head)
        };
        self.store.with(|runs| match self.query.order {
            Order::Id => {
                let after = self.last.as_ref().map_or(Bound::Unbounded, |(_, run)| Bound::Excluded(run));
                let page = runs.range::<RunId, _>((after, Bound::Unbounded));
                Ok(page.filter_map(|(_, image)| matching(image.as_ref()?)).take(size).collect())
            }
            Order::NewestFirst => {
                let key = |head: &Head| (std::cmp::Reverse(head.created_at), head.run.clone());
                let after = self.last.as_ref().map(|(at, run)| (std::cmp::Reverse(*at), run.clone()));
                let mut heads: Vec<Head> = runs.values().flatten().filter_map(matching).collect();
                heads.retain(|head| after.as_ref().is_none_or(|after| key(head) > *after));
                heads.sort_by_cached_key(key);
                heads.truncate(size);
                Ok(heads.into())
            }
        })
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
impl Store for MemoryStore {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities
    }

    async fn open(&self, run: &RunId, open: Open) -> Result<Opened> {
        let mint = Mint { incarnation: self.0.ids.incarnation(), token: self.0.ids.token() };
        match self.write(run, Operation::Open, Write::Open(open, mint))? {
            Answer::Opened(opened) => Ok(*opened),
            other => unreachable!("an open is answered by {other:?}"),
        }
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        match self.write(&commit.run.clone(), Operation::Commit, Write::Commit(commit))? {
            Answer::Committed(committed) => Ok(committed),
            other => unreachable!("a commit is answered by {other:?}"),
        }
    }

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        let mut seen = BTreeSet::new();
        let twice: BTreeSet<RunId> = commits
            .iter()
            .filter(|commit| !seen.insert(&commit.run))
            .map(|commit| commit.run.clone())
            .collect();
        let mut answers = Vec::with_capacity(commits.len());
        for commit in commits {
            answers.push(if twice.contains(&commit.run) {
                let error = Error::new(ErrorKind::Invalid, "a run occurs at most once in a batch of commits");
                let applied = milepost_core::Applied::No;
                Err(error.with_applied(applied).during(BACKEND, Operation::Commit, Some(&commit.run)))
            } else {
                self.commit(commit).await
            });
        }
        answers
    }

    async fn renew(&self, run: &RunId, renew: Renew) -> Result<()> {
        self.write(run, Operation::Renew, Write::Renew(renew)).map(|_| ())
    }

    async fn send(&self, run: &RunId, message: NewMessage) -> Result<Sent> {
        match self.write(run, Operation::Send, Write::Send(message))? {
            Answer::Sent(sent) => Ok(sent),
            other => unreachable!("a message is answered by {other:?}"),
        }
    }

    async fn delete(&self, run: &RunId, guard: Delete) -> Result<bool> {
        match self.write(run, Operation::Delete, Write::Delete(guard))? {
            Answer::Deleted(deleted) => Ok(deleted),
            other => unreachable!("a deletion is answered by {other:?}"),
        }
    }

    async fn head(&self, run: &RunId) -> Result<Option<Head>> {
        self.with(|runs| {
            Ok(runs.get(run).and_then(Option::as_ref).map(|image| image.head(self.0.clock.now())))
        })
        .map_err(|error| error.during(BACKEND, Operation::Head, Some(run)))
    }

    async fn snapshot(&self, run: &RunId, at: At) -> Result<Option<Snapshot>> {
        at.check(&self.0.capabilities)
            .map_err(|error| error.during(BACKEND, Operation::Snapshot, Some(run)))?;
        self.read(run, Operation::Snapshot, |image| Ok(image.snapshot(at)))
    }

    fn stream(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Record>> {
        match span.check_log(&self.0.capabilities) {
            Ok(()) => self.follow(run, span, Operation::Stream),
            Err(error) => failed(error, Operation::Stream, Some(run)),
        }
    }

    fn inbox(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Message>> {
        match span.check_inbox(&self.0.capabilities) {
            Ok(()) => self.follow(run, span, Operation::Inbox),
            Err(error) => failed(error, Operation::Inbox, Some(run)),
        }
    }

    async fn blob(&self, run: &RunId, name: &Digest) -> Result<Option<Bytes>> {
        self.require_blobs(run, Operation::Blob)?;
        self.read(run, Operation::Blob, |image| Ok(image.blob(name)))
    }

    fn blobs(&self, run: &RunId) -> BoxStream<'static, Result<BlobInfo>> {
        let blobs = self
            .require_blobs(run, Operation::Blobs)
            .and_then(|()| self.read(run, Operation::Blobs, |image| Ok(image.blobs())));
        match blobs {
            Ok(blobs) => stream::iter(blobs.into_iter().map(Ok)).boxed(),
            Err(error) => failed(error, Operation::Blobs, Some(run)),
        }
    }

    fn list(&self, query: Query) -> BoxStream<'static, Result<Head>> {
        if let Err(error) = query.check(&self.0.capabilities) {
            return failed(error, Operation::List, None);
        }
        let cut = self.0.clock.now();
        let listing = Listing { store: self.clone(), query, cut, last: None, page: VecDeque::new() };
        stream::try_unfold(listing, |mut listing| {
            ready(listing.next().map(|head| head.map(|head| (head, listing))))
        })
        .boxed()
    }

    async fn close(&self) -> Result<()> {
        self.0.runs.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        self.0.changed.send_replace(());
        Ok(())
    }
}
