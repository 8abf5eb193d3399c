//! The thin store around the pure rules: a map of images behind a lock, and streams that read it page by page.

use std::{
    collections::BTreeMap,
    fmt,
    future::ready,
    ops::Bound,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use milepost_core::{
    At, BlobInfo, BoxStream, Capabilities, Capability, Clock, Commit, Committed, Delete, Digest, Durability,
    Error, ErrorKind, Head, Ids, Message, NewMessage, Open, Opened, Operation, Query, Record, Refusal, Renew,
    Result, RunId, Sent, Snapshot, Span, Store, SystemClock, SystemIds,
};
use tokio::sync::watch;

use crate::{Entry, Image, Listing, Mint, Page, Request, one_by_one, paged};

const BACKEND: &str = "memory";

/// A store in the memory of this process: clones and [`MemoryStore::handle`]s share the data, and it dies with the last
/// of them.
///
/// For tests and for trying things out. A run that must survive its process needs another one.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    /// Of this handle and its clones.
    closed: Arc<AtomicBool>,
}

struct Shared {
    capabilities: Capabilities,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    runs: Mutex<Runs>,
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
        let shared = Arc::new(Shared {
            capabilities: self.capabilities,
            clock: self.clock,
            ids: self.ids,
            runs: Mutex::default(),
            changed: watch::Sender::new(()),
        });
        MemoryStore { shared, closed: Arc::default() }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("capabilities", &self.shared.capabilities).finish_non_exhaustive()
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

    /// Another handle on the same data, which is open until it is closed itself.
    pub fn handle(&self) -> Self {
        Self { shared: self.shared.clone(), closed: Arc::default() }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Runs) -> Result<T>) -> Result<T> {
        let mut runs = self.shared.runs.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // Asked under the lock, so that nothing is under way any more when `close` has had it.
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Closed, "the store has been closed"));
        }
        f(&mut runs)
    }

    /// Reads one run.
    fn read<T>(&self, run: &RunId, operation: Operation, f: impl FnOnce(&Image) -> Result<T>) -> Result<T> {
        self.with(|runs| f(runs.get(run).and_then(Option::as_ref).ok_or(Refusal::NotFound)?))
            .map_err(|error| error.during(BACKEND, operation, Some(run)))
    }

    fn require_blobs(&self, run: &RunId, operation: Operation) -> Result<()> {
        let required = self.shared.capabilities.require(Capability::Blobs);
        required.map_err(|error| error.during(BACKEND, operation, Some(run)))
    }

    /// The next page of a listing.
    fn page(&self, listing: &mut Listing) -> Result<Vec<Head>> {
        self.with(|runs| {
            let after = listing.after().map_or(Bound::Unbounded, |run| Bound::Excluded(run.clone()));
            for image in runs.range((after, Bound::Unbounded)).filter_map(|(_, image)| image.as_ref()) {
                listing.offer(image.head(listing.cut()));
                if listing.is_full() {
                    break;
                }
            }
            Ok(listing.take())
        })
    }

    /// Applies one request, and tells who follows.
    fn write<R: Request>(&self, run: &RunId, request: R) -> Result<R::Answer> {
        let Shared { capabilities, clock, changed, .. } = &*self.shared;
        let answer = self.with(|runs| {
            let slot = runs.entry(run.clone()).or_default();
            let answer = request.apply(slot, run, capabilities, clock.now());
            if slot.is_none() {
                runs.remove(run);
            }
            answer
        });
        if answer.is_ok() && changed.receiver_count() > 0 {
            changed.send_replace(());
        }
        answer.map_err(|error| error.during(BACKEND, R::OPERATION, Some(run)))
    }

    /// The entries of a span, a page at a time.
    fn entries<T: Entry>(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<T>> {
        if let Err(error) = T::check(&span, &self.shared.capabilities) {
            return failed(error, T::OPERATION, Some(run));
        }
        let changed = span.follow.then(|| self.shared.changed.subscribe());
        let reader = Reader { store: self.clone(), run: run.clone(), span, changed };
        paged(reader, |mut reader| async move { Ok(reader.page().await?.map(|page| (page, reader))) })
    }
}

/// A stream that is being read: `span` is what is still to come.
struct Reader {
    store: MemoryStore,
    run: RunId,
    span: Span,
    /// Told of every write, if the span follows.
    changed: Option<watch::Receiver<()>>,
}

impl Reader {
    /// The next page, waited for if the span follows.
    async fn page<T: Entry>(&mut self) -> Result<Option<Vec<T>>> {
        loop {
            self.changed.iter_mut().for_each(watch::Receiver::mark_unchanged);
            let span = &mut self.span;
            match self.store.read(&self.run, T::OPERATION, |image| image.page(span))? {
                Page::Entries(entries) => return Ok(Some(entries)),
                Page::End => return Ok(None),
                Page::Wait => {
                    if let Some(changed) = &mut self.changed {
                        // An error means that the store itself is gone; the next look will say so.
                        let _ = changed.changed().await;
                    }
                }
            }
        }
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
        self.shared.capabilities
    }

    async fn open(&self, run: &RunId, open: Open) -> Result<Opened> {
        let mint = Mint { incarnation: self.shared.ids.incarnation(), token: self.shared.ids.token() };
        self.write(run, (open, mint))
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.write(&commit.run.clone(), commit)
    }

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        one_by_one(self, BACKEND, commits).await
    }

    async fn renew(&self, run: &RunId, renew: Renew) -> Result<()> {
        self.write(run, renew)
    }

    async fn send(&self, run: &RunId, message: NewMessage) -> Result<Sent> {
        self.write(run, message)
    }

    async fn delete(&self, run: &RunId, guard: Delete) -> Result<bool> {
        self.write(run, guard)
    }

    async fn head(&self, run: &RunId) -> Result<Option<Head>> {
        self.with(|runs| {
            Ok(runs.get(run).and_then(Option::as_ref).map(|image| image.head(self.shared.clock.now())))
        })
        .map_err(|error| error.during(BACKEND, Operation::Head, Some(run)))
    }

    async fn snapshot(&self, run: &RunId, at: At) -> Result<Option<Snapshot>> {
        at.check(&self.shared.capabilities)
            .map_err(|error| error.during(BACKEND, Operation::Snapshot, Some(run)))?;
        self.read(run, Operation::Snapshot, |image| Ok(image.snapshot(at)))
    }

    fn stream(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Record>> {
        self.entries(run, span)
    }

    fn inbox(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Message>> {
        self.entries(run, span)
    }

    async fn blob(&self, run: &RunId, name: &Digest) -> Result<Option<Bytes>> {
        self.require_blobs(run, Operation::Blob)?;
        self.read(run, Operation::Blob, |image| Ok(image.blob(name)))
    }

    fn blobs(&self, run: &RunId) -> BoxStream<'static, Result<BlobInfo>> {
        if let Err(error) = self.require_blobs(run, Operation::Blobs) {
            return failed(error, Operation::Blobs, Some(run));
        }
        paged(Some((self.clone(), run.clone())), |all| {
            let Some((store, run)) = all else { return ready(Ok(None)) };
            let blobs = store.read(&run, Operation::Blobs, |image| Ok(image.blobs()));
            ready(blobs.map(|blobs| Some((blobs, None))))
        })
    }

    fn list(&self, query: Query) -> BoxStream<'static, Result<Head>> {
        if let Err(error) = query.check(&self.shared.capabilities) {
            return failed(error, Operation::List, None);
        }
        paged((self.clone(), query, None), |(store, query, listing)| {
            let mut listing =
                listing.unwrap_or_else(|| Listing::new(query.clone(), store.shared.clock.now()));
            let page = store.page(&mut listing).map_err(|error| error.during(BACKEND, Operation::List, None));
            ready(page.map(|page| (!page.is_empty()).then_some((page, (store, query, Some(listing))))))
        })
    }

    async fn close(&self) -> Result<()> {
        let runs = self.shared.runs.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.closed.store(true, Ordering::Relaxed);
        drop(runs);
        self.shared.changed.send_replace(());
        Ok(())
    }
}
