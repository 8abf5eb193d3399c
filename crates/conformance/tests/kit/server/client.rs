//! A handle: a connection to the server, and what it makes of its death.

use std::{
    fmt,
    future::pending,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use futures_util::{
    StreamExt,
    future::{Either, ready},
    stream,
};
use milepost_core::*;
use milepost_store_memory::MemoryStore;

use super::{
    Flaw, SECRET,
    disk::{Entry, Reply, Server},
};

const BACKEND: &str = "served";

/// A handle.
#[derive(Clone)]
pub(super) struct Client {
    server: Server,
    /// The life of the server that it was connected with first.
    life: u32,
    closed: Arc<AtomicBool>,
    /// What its streams read, which end with the handle.
    reading: Arc<Mutex<Vec<MemoryStore>>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = if self.server.has(Flaw::HandlesShowTheSecret) { SECRET } else { "…" };
        f.debug_struct("Client").field("server", &self.server).field("secret", &secret).finish()
    }
}

impl Client {
    /// Connects, if the server is there.
    pub(super) fn connect(server: Server) -> Result<Self> {
        let life = match server.life() {
            Some(life) if life > 1 && server.has(Flaw::NobodyConnectsAgain) => None,
            None if server.has(Flaw::ConnectsToNothing) => Some(0),
            life => life,
        };
        let handle =
            Self { server, life: life.unwrap_or_default(), closed: Arc::default(), reading: Arc::default() };
        match life {
            Some(_) => Ok(handle),
            None => Err(handle.gone()),
        }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.server.has(flaw)
    }

    /// What a caller is told of a server that is down.
    fn gone(&self) -> Error {
        let kind = if self.has(Flaw::ErrorsAreFinal) { ErrorKind::Config } else { ErrorKind::Unavailable };
        let error = match self.server.has(Flaw::ErrorsShowTheSecret) {
            true => Error::new(kind, format!("the server for {SECRET} does not answer")),
            false => Error::new(kind, "the server does not answer; start it"),
        };
        match self.has(Flaw::CausesShowTheSecret) {
            true => error.with_source(format!("refused by served://user:{SECRET}@localhost")),
            false => error,
        }
    }

    fn check(&self) -> Result<()> {
        match self.closed.load(Ordering::Acquire) {
            true => Err(Error::new(ErrorKind::Closed, "the store has been closed").with_applied(Applied::No)),
            false => Ok(()),
        }
    }

    /// Whether there is a server to talk to.
    async fn up(&self) -> bool {
        match self.server.life() {
            Some(life) => life == self.life || !self.has(Flaw::HandlesStayDead),
            None if self.has(Flaw::HangsWhileDown) => pending().await,
            None => false,
        }
    }

    async fn write(&self, operation: Operation, run: &RunId, entry: Entry) -> Result<Reply> {
        let wrote = async {
            self.check()?;
            if self.up().await
                && let Some(reply) = self.server.write(entry.clone()).await
            {
                return reply;
            }
            if self.has(Flaw::HangsWhileDown) {
                return pending().await;
            }
            if self.has(Flaw::WritesAreTakenWhileDown) {
                return self.pretend(entry).await;
            }
            let error = self.gone();
            match self.has(Flaw::ErrorsDoNotSayApplied) {
                true => Err(error),
                false => Err(error.with_applied(Applied::Maybe)),
            }
        };
        wrote.await.map_err(|error| error.during(BACKEND, operation, Some(run)))
    }

    /// Answers as the server would have, if it only knew.
    async fn pretend(&self, entry: Entry) -> Result<Reply> {
        let store = self.server.store();
        Ok(match entry {
            Entry::Open(run, open) => Reply::Opened(Box::new(store.open(&run, open).await?)),
            Entry::Commit(commit) => Reply::Committed(store.commit(commit).await?),
            Entry::Renew(..) => Reply::Renewed,
            Entry::Send(run, message) => Reply::Sent(store.send(&run, message).await?),
            Entry::Delete(..) => Reply::Deleted(true),
        })
    }

    /// Where reads are answered from.
    async fn source(&self, operation: Operation, run: Option<&RunId>) -> Result<MemoryStore> {
        let found = match self.check() {
            Err(error) => Err(error),
            Ok(()) if self.up().await => Ok(self.server.store()),
            Ok(()) if self.has(Flaw::ReadsAnswerAfterDeath) || self.life == 0 => Ok(self.server.store()),
            Ok(()) if self.has(Flaw::EmptyWhileDown) => Ok(MemoryStore::new()),
            Ok(()) => Err(self.gone()),
        };
        found.map_err(|error| error.during(BACKEND, operation, run))
    }

    /// A stream that asks the server for each of its items.
    fn read<T: Send + 'static>(
        &self,
        operation: Operation,
        run: Option<&RunId>,
        make: impl FnOnce(MemoryStore) -> BoxStream<'static, Result<T>> + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        let (handle, run) = (self.clone(), run.cloned());
        let (asking, about) = (handle.clone(), run.clone());
        let begun = async move {
            match asking.source(operation, about.as_ref()).await {
                Ok(store) => {
                    let store = store.handle();
                    asking.reading.lock().unwrap_or_else(PoisonError::into_inner).push(store.clone());
                    Either::Left(make(store))
                }
                Err(error) => Either::Right(stream::once(ready(Err(error)))),
            }
        };
        let life = self.server.life();
        let ended = self.has(Flaw::StreamsEndSilently);
        let goes_on = self.has(Flaw::StreamsGoOn);
        let items = stream::once(begun).flatten();
        items
            .enumerate()
            .filter_map(move |(number, item)| {
                let dead = life.is_some() && handle.server.life() != life;
                let error = || handle.gone().during(BACKEND, operation, run.as_ref());
                let served = handle.has(Flaw::ReadsAnswerAfterDeath) || handle.has(Flaw::EmptyWhileDown);
                ready(match item {
                    Ok(_) if dead && ended => None,
                    Ok(_) if dead && goes_on && number % 7 == 6 => None,
                    Ok(_) if dead && !goes_on && !served => Some(Err(error())),
                    item => Some(item),
                })
            })
            .boxed()
    }
}

#[async_trait]
impl Store for Client {
    fn capabilities(&self) -> Capabilities {
        self.server.capabilities()
    }

    async fn open(&self, run: &RunId, open: Open) -> Result<Opened> {
        match self.write(Operation::Open, run, Entry::Open(run.clone(), open)).await? {
            Reply::Opened(opened) => Ok(*opened),
            other => unreachable!("{other:?} is no answer to an open"),
        }
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        let run = commit.run.clone();
        match self.write(Operation::Commit, &run, Entry::Commit(commit)).await? {
            Reply::Committed(committed) => Ok(committed),
            other => unreachable!("{other:?} is no answer to a commit"),
        }
    }

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        milepost_store_memory::one_by_one(self, BACKEND, commits).await
    }

    async fn renew(&self, run: &RunId, renew: Renew) -> Result<()> {
        self.write(Operation::Renew, run, Entry::Renew(run.clone(), renew)).await.map(drop)
    }

    async fn send(&self, run: &RunId, message: NewMessage) -> Result<Sent> {
        match self.write(Operation::Send, run, Entry::Send(run.clone(), message)).await? {
            Reply::Sent(sent) => Ok(sent),
            other => unreachable!("{other:?} is no answer to a message"),
        }
    }

    async fn delete(&self, run: &RunId, guard: Delete) -> Result<bool> {
        match self.write(Operation::Delete, run, Entry::Delete(run.clone(), guard)).await? {
            Reply::Deleted(deleted) => Ok(deleted),
            other => unreachable!("{other:?} is no answer to a deletion"),
        }
    }

    async fn head(&self, run: &RunId) -> Result<Option<Head>> {
        self.source(Operation::Head, Some(run)).await?.head(run).await
    }

    async fn snapshot(&self, run: &RunId, at: At) -> Result<Option<Snapshot>> {
        self.source(Operation::Snapshot, Some(run)).await?.snapshot(run, at).await
    }

    fn stream(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Record>> {
        let asked = run.clone();
        self.read(Operation::Stream, Some(run), move |store| store.stream(&asked, span))
    }

    fn inbox(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Message>> {
        let asked = run.clone();
        self.read(Operation::Inbox, Some(run), move |store| store.inbox(&asked, span))
    }

    async fn blob(&self, run: &RunId, name: &Digest) -> Result<Option<Bytes>> {
        self.source(Operation::Blob, Some(run)).await?.blob(run, name).await
    }

    fn blobs(&self, run: &RunId) -> BoxStream<'static, Result<BlobInfo>> {
        let asked = run.clone();
        self.read(Operation::Blobs, Some(run), move |store| store.blobs(&asked))
    }

    fn list(&self, query: Query) -> BoxStream<'static, Result<Head>> {
        self.read(Operation::List, None, move |store| store.list(query))
    }

    async fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        let reading = std::mem::take(&mut *self.reading.lock().unwrap_or_else(PoisonError::into_inner));
        for store in reading {
            store.close().await?;
        }
        Ok(())
    }
}
