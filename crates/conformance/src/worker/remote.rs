//! The handle of the second process, as a store of the first one.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use milepost_core::{
    Applied, At, BlobInfo, BoxStream, Bytes, Capabilities, Commit, Committed, Delete, Digest, Error,
    ErrorKind, Head, Message, NewMessage, Open, Opened, Query, Record, Renew, Result, RunId, Sent, Snapshot,
    Span, Store,
};
use serde::de::DeserializeOwned;

use super::{
    process::{Process, Replies, value},
    wire::{Ask, Fault},
};

/// Asks the second process what it is asked itself.
#[derive(Clone, Debug)]
pub(crate) struct Remote(Arc<Process>);

impl Remote {
    /// The handle of `process`.
    pub(crate) fn of(process: &Arc<Process>) -> Self {
        Self(process.clone())
    }

    async fn read<T: DeserializeOwned>(&self, ask: Ask) -> Result<T> {
        let (operation, run) = ask.names();
        let answer = match self.0.ask(ask) {
            Ok((_, mut replies)) => replies.recv().await.ok_or_else(ended),
            Err(error) => Err(error),
        };
        let answer = answer.map_err(|error| error.during("second process", operation, run.as_ref()))?;
        value(answer.map_err(Error::from)?)
    }

    /// A process that ended before it answered may have done it.
    async fn write<T: DeserializeOwned>(&self, ask: Ask) -> Result<T> {
        self.read(ask).await.map_err(|error| match error.applied() {
            None if error.kind() == ErrorKind::Unavailable => error.with_applied(Applied::Maybe),
            _ => error,
        })
    }

    fn stream_of<T: DeserializeOwned + Send + 'static>(&self, ask: Ask) -> BoxStream<'static, Result<T>> {
        let start = match self.0.ask(ask) {
            Ok((id, replies)) => Ok(Flow { process: self.0.clone(), id, replies, ended: false }),
            Err(error) => Err(error),
        };
        stream::unfold(Some(start), |flow| async move {
            let mut flow = match flow? {
                Ok(flow) => flow,
                Err(error) => return Some((Err(error), None)),
            };
            match flow.next().await {
                Ok(None) => None,
                Ok(Some(item)) => Some((value(Some(item)), Some(Ok(flow)))),
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed()
    }
}

fn ended() -> Error {
    Error::new(ErrorKind::Unavailable, "the second process ended before it answered")
}

/// A stream of the second process.
struct Flow {
    process: Arc<Process>,
    id: u64,
    replies: Replies,
    ended: bool,
}

impl Flow {
    async fn next(&mut self) -> Result<Option<String>> {
        let told = self.replies.recv().await.ok_or_else(ended)?;
        self.ended = !matches!(told, Ok(Some(_)));
        Ok(told?)
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        if !self.ended {
            self.process.forget(self.id);
        }
    }
}

#[async_trait]
impl Store for Remote {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities
    }

    async fn open(&self, run: &RunId, open: Open) -> Result<Opened> {
        self.write(Ask::Open(run.clone(), Box::new(open))).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.write(Ask::Commit(Box::new(commit))).await
    }

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        let count = commits.len();
        let answers: Result<Vec<std::result::Result<Committed, Box<Fault>>>> =
            self.write(Ask::CommitMany(commits)).await;
        match answers {
            Ok(answers) => answers.into_iter().map(|answer| answer.map_err(Error::from)).collect(),
            Err(error) => (0..count).map(|_| Err(error.repeat())).collect(),
        }
    }

    async fn renew(&self, run: &RunId, renew: Renew) -> Result<()> {
        self.write(Ask::Renew(run.clone(), Box::new(renew))).await
    }

    async fn send(&self, run: &RunId, message: NewMessage) -> Result<Sent> {
        self.write(Ask::Send(run.clone(), message)).await
    }

    async fn delete(&self, run: &RunId, guard: Delete) -> Result<bool> {
        self.write(Ask::Delete(run.clone(), guard)).await
    }

    async fn head(&self, run: &RunId) -> Result<Option<Head>> {
        self.read(Ask::Head(run.clone())).await
    }

    async fn snapshot(&self, run: &RunId, at: At) -> Result<Option<Snapshot>> {
        self.read(Ask::Snapshot(run.clone(), at)).await
    }

    fn stream(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Record>> {
        self.stream_of(Ask::Stream(run.clone(), span))
    }

    fn inbox(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Message>> {
        self.stream_of(Ask::Inbox(run.clone(), span))
    }

    async fn blob(&self, run: &RunId, name: &Digest) -> Result<Option<Bytes>> {
        self.read(Ask::Blob(run.clone(), *name)).await
    }

    fn blobs(&self, run: &RunId) -> BoxStream<'static, Result<BlobInfo>> {
        self.stream_of(Ask::Blobs(run.clone()))
    }

    fn list(&self, query: Query) -> BoxStream<'static, Result<Head>> {
        self.stream_of(Ask::List(Box::new(query)))
    }

    async fn close(&self) -> Result<()> {
        self.read(Ask::Close).await
    }
}
