//! The store: checks, then the queue of the writer or a read.

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
    Applied, At, BlobInfo, BoxStream, Capabilities, Capability, Commit, Committed, Delete, Digest, Error,
    ErrorKind, Head, Message, NewMessage, Open, Opened, Operation, Query, Record, Renew, Result, RunId, Sent,
    Snapshot, Span, Store,
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    SqliteConfig, batch, connection,
    error::{BACKEND, closed},
    follow::Followers,
    image::Here,
    job::{Answer, Job, Request},
    list,
    pool::Readers,
    read,
    recent::Recent,
    stream as pages,
    writer::{self, Writer},
};

/// Durable runs in one SQLite file.
///
/// A handle is a cheap clone; all clones share one writing connection and a few that read. Several handles and several
/// processes may use one file at once. Made by [`SqliteStore::connect`] or [`SqliteConfig::connect`].
#[derive(Clone)]
pub struct SqliteStore(Arc<Inner>);

/// What the clones of a handle share.
pub(crate) struct Inner {
    pub(crate) config: SqliteConfig,
    pub(crate) here: Here,
    pub(crate) readers: Readers,
    pub(crate) followers: Arc<Followers>,
    capabilities: Capabilities,
    queue: mpsc::Sender<writer::Message>,
    closed: AtomicBool,
}

/// So many messages wait for the writer before the next one waits for room.
const QUEUE: usize = 1024;

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.0.config.path())
            .field("durability", &self.0.capabilities.durability)
            .finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the database of a URL such as `sqlite:runs.db`, creating and preparing it when that is needed. See
    /// [`SqliteConfig::from_url`] for the parameters.
    ///
    /// # Errors
    ///
    /// Those of [`SqliteConfig::from_url`] and [`SqliteConfig::connect`].
    pub async fn connect(url: &str) -> Result<Self> {
        let config = SqliteConfig::from_url(url);
        config.map_err(|error| error.during(BACKEND, Operation::Connect, None))?.connect().await
    }

    pub(crate) async fn start(config: SqliteConfig) -> Result<Self> {
        let connection = connection::writer(&config).await;
        let connection = connection.map_err(|error| error.during(BACKEND, Operation::Connect, None))?;
        let capabilities = Capabilities::all(config.synchronous.durability());
        let (here, followers) = (Here::look(), Arc::new(Followers::default()));
        let (queue, messages) = mpsc::channel(QUEUE);
        let writer = Writer {
            config: config.clone(),
            capabilities,
            here: here.clone(),
            followers: followers.clone(),
            connection: Some(connection),
            recent: Recent::default(),
        };
        tokio::spawn(writer.work(messages));
        let readers = Readers::new(config.clone());
        let closed = AtomicBool::new(false);
        Ok(Self(Arc::new(Inner { config, here, readers, followers, capabilities, queue, closed })))
    }

    pub(crate) fn offered(&self) -> &Capabilities {
        &self.0.capabilities
    }

    fn check_open(&self) -> Result<()> {
        if self.0.closed.load(Ordering::Acquire) { Err(closed()) } else { Ok(()) }
    }

    /// Queues requests as one message, and gives the receivers of their answers.
    pub(crate) async fn queue(
        &self,
        requests: Vec<Request>,
    ) -> Result<Vec<oneshot::Receiver<Result<Answer>>>> {
        self.check_open()?;
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let job = |request| {
            let (reply, answer) = oneshot::channel();
            (Job { request, reply }, answer)
        };
        let (jobs, answers) = requests.into_iter().map(job).unzip();
        self.0.queue.send(writer::Message::Jobs(jobs)).await.map_err(|_| closed())?;
        Ok(answers)
    }

    async fn write(&self, request: Request) -> Result<Answer> {
        let (operation, run) = (request.operation(), request.run().clone());
        let answer = match self.queue(vec![request]).await {
            Ok(answers) => receive(answers).await.pop().unwrap_or_else(|| Err(lost())),
            Err(error) => Err(error.with_applied(Applied::No)),
        };
        answer.map_err(|error| error.during(BACKEND, operation, Some(&run)))
    }

    /// What `check` refuses has not happened.
    fn refuse(check: Result<()>, operation: Operation, run: &RunId) -> Result<()> {
        check.map_err(|error| error.with_applied(Applied::No).during(BACKEND, operation, Some(run)))
    }

    async fn read<T>(
        &self,
        operation: Operation,
        run: &RunId,
        check: Result<()>,
        read: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let answer = match check.and_then(|()| self.check_open()) {
            Ok(()) => read.await,
            Err(error) => Err(error),
        };
        answer.map_err(|error| error.during(BACKEND, operation, Some(run)))
    }
}

/// The writer has ended without an answer.
pub(crate) fn lost() -> Error {
    Error::new(ErrorKind::Unavailable, "the writing task of the store has ended").with_applied(Applied::Maybe)
}

pub(crate) async fn receive(answers: Vec<oneshot::Receiver<Result<Answer>>>) -> Vec<Result<Answer>> {
    let mut received = Vec::with_capacity(answers.len());
    for answer in answers {
        received.push(answer.await.unwrap_or_else(|_| Err(lost())));
    }
    received
}

pub(crate) fn committed(answer: Answer) -> Committed {
    match answer {
        Answer::Committed(committed) => committed,
        other => unreachable!("a commit is answered by {other:?}"),
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
impl Store for SqliteStore {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities
    }

    async fn open(&self, run: &RunId, open: Open) -> Result<Opened> {
        Self::refuse(open.check(run, &self.0.capabilities), Operation::Open, run)?;
        match self.write(Request::Open(run.clone(), open)).await? {
            Answer::Opened(opened) => Ok(*opened),
            other => unreachable!("an open is answered by {other:?}"),
        }
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        Self::refuse(commit.check(&self.0.capabilities), Operation::Commit, &commit.run)?;
        let digest = commit.digest();
        self.write(Request::Commit(commit, digest)).await.map(committed)
    }

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        batch::commit_many(self, commits).await
    }

    async fn renew(&self, run: &RunId, renew: Renew) -> Result<()> {
        Self::refuse(renew.check(), Operation::Renew, run)?;
        self.write(Request::Renew(run.clone(), renew)).await.map(drop)
    }

    async fn send(&self, run: &RunId, message: NewMessage) -> Result<Sent> {
        Self::refuse(message.check(run, &self.0.capabilities), Operation::Send, run)?;
        match self.write(Request::Send(run.clone(), message)).await? {
            Answer::Sent(sent) => Ok(sent),
            other => unreachable!("a message is answered by {other:?}"),
        }
    }

    async fn delete(&self, run: &RunId, guard: Delete) -> Result<bool> {
        match self.write(Request::Delete(run.clone(), guard)).await? {
            Answer::Deleted(deleted) => Ok(deleted),
            other => unreachable!("a deletion is answered by {other:?}"),
        }
    }

    async fn head(&self, run: &RunId) -> Result<Option<Head>> {
        self.read(Operation::Head, run, Ok(()), read::head(&self.0, run)).await
    }

    async fn snapshot(&self, run: &RunId, at: At) -> Result<Option<Snapshot>> {
        let check = at.check(&self.0.capabilities);
        self.read(Operation::Snapshot, run, check, read::snapshot(&self.0, run, at)).await
    }

    fn stream(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Record>> {
        match span.check_log(&self.0.capabilities).and_then(|()| self.check_open()) {
            Ok(()) => pages::entries(&self.0, run, span),
            Err(error) => failed(error, Operation::Stream, Some(run)),
        }
    }

    fn inbox(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Message>> {
        match span.check_inbox(&self.0.capabilities).and_then(|()| self.check_open()) {
            Ok(()) => pages::entries(&self.0, run, span),
            Err(error) => failed(error, Operation::Inbox, Some(run)),
        }
    }

    async fn blob(&self, run: &RunId, name: &Digest) -> Result<Option<Bytes>> {
        let check = self.0.capabilities.require(Capability::Blobs);
        self.read(Operation::Blob, run, check, read::blob(&self.0, run, name)).await
    }

    fn blobs(&self, run: &RunId) -> BoxStream<'static, Result<BlobInfo>> {
        match self.0.capabilities.require(Capability::Blobs).and_then(|()| self.check_open()) {
            Ok(()) => pages::blobs(&self.0, run),
            Err(error) => failed(error, Operation::Blobs, Some(run)),
        }
    }

    fn list(&self, query: Query) -> BoxStream<'static, Result<Head>> {
        match query.check(&self.0.capabilities).and_then(|()| self.check_open()) {
            Ok(()) => list::runs(&self.0, query),
            Err(error) => failed(error, Operation::List, None),
        }
    }

    async fn close(&self) -> Result<()> {
        self.0.closed.store(true, Ordering::Release);
        let (done, end) = oneshot::channel();
        // An error of either means that the writer has ended already.
        if self.0.queue.send(writer::Message::Close(done)).await.is_ok() {
            let _ = end.await;
        }
        self.0.queue.closed().await;
        self.0.readers.close().await;
        self.0.followers.notify_all();
        Ok(())
    }
}
