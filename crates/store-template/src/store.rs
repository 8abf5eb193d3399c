//! The contract over a map: a run is a value, a write is one compare-and-set.

use std::{fmt, future::ready, sync::Arc};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use milepost_core::{
    Applied, At, BlobInfo, BoxStream, Bytes, Capabilities, Capability, Checksum, Clock, Commit, Committed,
    Delete, Digest, Error, Head, Message, NewMessage, Open, Opened, Operation, Process, Query, Record,
    Refusal, Renew, Result, RunId, Sent, Snapshot, Span, Store, SystemClock, Timestamp,
};
use milepost_store_memory::{Entry, Image, Listing, Mint, Page, Request, one_by_one, paged};
use serde::{Deserialize, Serialize};
use tokio::sync::{RwLock, RwLockReadGuard};

use crate::{
    Kv, TemplateConfig,
    error::{BACKEND, closed, corrupt, during},
};

/// Durable runs in a [`Kv`]. A cheap clone.
#[derive(Clone)]
pub struct TemplateStore(Arc<Inner>);

struct Inner {
    config: TemplateConfig,
    capabilities: Capabilities,
    here: Option<Process>,
    /// Read by each operation for as long as it lasts; emptied by `close`, which so waits for all of them.
    kv: RwLock<Option<Arc<dyn Kv>>>,
}

impl fmt::Debug for TemplateStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemplateStore").field("kv", &self.0.config.kv).finish_non_exhaustive()
    }
}

/// The value of a run.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Stored {
    image: Image,
    /// Who opened it last.
    holder: Option<Process>,
}

/// The checksum, then the run. It covers the key too, so that a value at another key's place is told.
fn encode(key: &str, stored: &Stored) -> Result<Bytes> {
    let body = postcard::to_stdvec(stored).map_err(|error| corrupt().with_source(error))?;
    Ok([&Checksum::of_parts(key, &[&body]).0[..], &body].concat().into())
}

fn decode(key: &str, value: &[u8]) -> Result<Stored> {
    let (checksum, body) = value.split_first_chunk().ok_or_else(corrupt)?;
    if *checksum != Checksum::of_parts(key, &[body]).0 {
        return Err(corrupt());
    }
    postcard::from_bytes(body).map_err(|error| corrupt().with_source(error))
}

impl TemplateStore {
    pub(crate) fn new(config: TemplateConfig) -> Self {
        let (capabilities, kv) = (config.capabilities(), RwLock::new(Some(config.kv.clone())));
        Self(Arc::new(Inner { config, capabilities, here: Process::current(), kv }))
    }

    async fn kv(&self) -> Result<RwLockReadGuard<'_, dyn Kv>> {
        RwLockReadGuard::try_map(self.0.kv.read().await, |kv| kv.as_deref()).map_err(|_| closed())
    }

    fn now(&self) -> Timestamp {
        self.0.config.clock.now()
    }

    /// A stored run as of now: a lease whose holder certainly is gone has ended, whatever time it had left.
    fn read_back(&self, key: &str, value: &[u8], now: Timestamp) -> Result<Stored> {
        let mut stored = decode(key, value)?;
        let gone = match (&stored.holder, &self.0.here) {
            (Some(holder), Some(here)) => holder != here && holder.is_gone(here),
            _ => false,
        };
        if gone {
            stored.image.end_lease(now);
        }
        Ok(stored)
    }

    /// The image of a run, if it is there.
    async fn image(&self, run: &RunId) -> Result<Option<Image>> {
        let found = self.kv().await?.get(run.as_str()).await?;
        let stored = found.map(|(value, _)| self.read_back(run.as_str(), &value, self.now()));
        Ok(stored.transpose()?.map(|stored| stored.image))
    }

    /// Every write: atomic, because all of a run is one value, and exact, because a value is replaced only if it still is
    /// the one that the answer was judged by. A dropped future has put it or not.
    async fn write<R: Request>(&self, run: &RunId, request: R) -> Result<R::Answer> {
        self.put(run, request).await.map_err(settled).map_err(during(R::OPERATION, Some(run)))
    }

    async fn put<R: Request>(&self, run: &RunId, request: R) -> Result<R::Answer> {
        request.check(run, &self.0.capabilities)?;
        let (key, kv) = (run.as_str(), self.kv().await?);
        loop {
            let now = self.now();
            let (value, revision) = kv.get(key).await?.unzip();
            let stored = value.as_ref().map(|value| self.read_back(key, value, now)).transpose()?;
            let (mut image, holder) = stored.map(|stored| (stored.image, stored.holder)).unzip();
            let answer = request.clone().apply(&mut image, run, &self.0.capabilities, now)?;
            let opened = R::OPERATION == Operation::Open;
            let holder = if opened { self.0.here.clone() } else { holder.flatten() };
            let new = image.map(|image| encode(key, &Stored { image, holder })).transpose()?;
            // What changes nothing needs no trip: a replay, a repeated message, the deletion of nothing.
            if new == value || kv.put_if(key, revision.as_ref(), new).await.map_err(in_doubt)? {
                return Ok(answer);
            }
        }
    }

    async fn read<T>(
        &self,
        operation: Operation,
        run: &RunId,
        allowed: Result<()>,
        read: impl FnOnce(&Image) -> T,
    ) -> Result<T> {
        let image = match allowed {
            Ok(()) => self.image(run).await,
            Err(error) => Err(error),
        };
        let image = image.and_then(|image| image.ok_or_else(|| Refusal::NotFound.into()));
        image.map(|image| read(&image)).map_err(during(operation, Some(run)))
    }

    fn entries<T: Entry>(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<T>> {
        if let Err(error) = T::check(&span, &self.0.capabilities) {
            return failed(error, T::OPERATION, Some(run));
        }
        paged((self.clone(), run.clone(), span), |(store, run, mut span)| async move {
            let page = store.page(&run, &mut span).await.map_err(during(T::OPERATION, Some(&run)))?;
            Ok(page.map(|page| (page, (store, run, span))))
        })
    }

    /// The next page; who follows looks again and again. In real time, whatever the store's clock says: other processes
    /// live in it.
    async fn page<T: Entry>(&self, run: &RunId, span: &mut Span) -> Result<Option<Vec<T>>> {
        loop {
            let image = self.image(run).await?.ok_or(Refusal::NotFound)?;
            match image.page(span)? {
                Page::Entries(entries) => return Ok(Some(entries)),
                Page::Wait => SystemClock::default().sleep(self.0.config.poll).await,
                Page::End => return Ok(None),
            }
        }
    }

    /// The next page of a listing. Only that page is kept of what is looked at.
    async fn heads(&self, listing: &mut Listing) -> Result<Vec<Head>> {
        let mut after = listing.after().map_or_else(String::new, |run| run.as_str().to_owned());
        loop {
            let values = self.kv().await?.scan(listing.prefix(), &after, 64).await?;
            for (key, value) in &values {
                listing.offer(self.read_back(key, value, listing.cut())?.image.head(listing.cut()));
            }
            match values.into_iter().next_back() {
                Some((last, _)) if !listing.is_full() => after = last,
                _ => return Ok(listing.take()),
            }
        }
    }
}

/// The map did not say: whoever asked settles it by sending the same again.
fn in_doubt(error: Error) -> Error {
    error.with_applied(Applied::Maybe)
}

/// Every other error of a write comes before the put.
fn settled(error: Error) -> Error {
    if error.applied().is_some() { error } else { error.with_applied(Applied::No) }
}

fn failed<T: Send + 'static>(
    error: Error,
    operation: Operation,
    run: Option<&RunId>,
) -> BoxStream<'static, Result<T>> {
    stream::once(ready(Err(during(operation, run)(error)))).boxed()
}

#[async_trait]
impl Store for TemplateStore {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities
    }

    async fn open(&self, run: &RunId, open: Open) -> Result<Opened> {
        let ids = &self.0.config.ids;
        self.write(run, (open, Mint { incarnation: ids.incarnation(), token: ids.token() })).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.write(&commit.run.clone(), commit).await
    }

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        one_by_one(self, BACKEND, commits).await
    }

    async fn renew(&self, run: &RunId, renew: Renew) -> Result<()> {
        self.write(run, renew).await
    }

    async fn send(&self, run: &RunId, message: NewMessage) -> Result<Sent> {
        self.write(run, message).await
    }

    async fn delete(&self, run: &RunId, guard: Delete) -> Result<bool> {
        self.write(run, guard).await
    }

    async fn head(&self, run: &RunId) -> Result<Option<Head>> {
        let image = self.image(run).await.map_err(during(Operation::Head, Some(run)))?;
        Ok(image.map(|image| image.head(self.now())))
    }

    async fn snapshot(&self, run: &RunId, at: At) -> Result<Option<Snapshot>> {
        let allowed = at.check(&self.0.capabilities);
        self.read(Operation::Snapshot, run, allowed, |image| image.snapshot(at)).await
    }

    fn stream(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Record>> {
        self.entries(run, span)
    }

    fn inbox(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Message>> {
        self.entries(run, span)
    }

    async fn blob(&self, run: &RunId, name: &Digest) -> Result<Option<Bytes>> {
        let allowed = self.0.capabilities.require(Capability::Blobs);
        self.read(Operation::Blob, run, allowed, |image| image.blob(name)).await
    }

    fn blobs(&self, run: &RunId) -> BoxStream<'static, Result<BlobInfo>> {
        let allowed = self.0.capabilities.require(Capability::Blobs);
        paged(Some((self.clone(), run.clone(), allowed)), |all| async move {
            let Some((store, run, allowed)) = all else { return Ok(None) };
            Ok(Some((store.read(Operation::Blobs, &run, allowed, Image::blobs).await?, None)))
        })
    }

    fn list(&self, query: Query) -> BoxStream<'static, Result<Head>> {
        if let Err(error) = query.check(&self.0.capabilities) {
            return failed(error, Operation::List, None);
        }
        paged((self.clone(), query, None), |(store, query, listing)| async move {
            let mut listing = listing.unwrap_or_else(|| Listing::new(query.clone(), store.now()));
            let page = store.heads(&mut listing).await.map_err(during(Operation::List, None))?;
            Ok((!page.is_empty()).then_some((page, (store, query, Some(listing)))))
        })
    }

    async fn close(&self) -> Result<()> {
        self.0.kv.write().await.take();
        Ok(())
    }
}
