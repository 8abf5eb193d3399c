//! What is asked of a store, and what it answers, as values that can be compared, told and tried again.

use std::{fmt::Debug, time::Duration};

use futures_util::FutureExt;
use milepost_core::{
    Applied, At, BlobInfo, BoxStream, Bytes, Commit, Digest, Error, ErrorKind, Head, Message, Query, Record,
    Refusal, Result, RunId, Snapshot, Span, Store,
};
use milepost_store_memory::{Answer, Mint, Write};
use tokio::time::timeout;

use crate::{expect::told, image::next};

/// One call of the contract.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Ask {
    /// A write to one run. The mint of an open is unknown until an answer shows it.
    Write(RunId, Box<Write>),
    /// `commit_many`.
    Many(Vec<Commit>),
    /// `head`.
    Head(RunId),
    /// `snapshot`.
    Snapshot(RunId, At),
    /// `stream`.
    Stream(RunId, Span),
    /// `inbox`.
    Inbox(RunId, Span),
    /// `blob`.
    Blob(RunId, Digest),
    /// `blobs`.
    Blobs(RunId),
    /// `list`.
    List(Query),
}

/// What came of it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Told {
    /// The answer to a write.
    Answer(Box<Answer>),
    /// The answers to `commit_many`.
    Many(Vec<Told>),
    /// The head; `None` when there was no run.
    Head(Option<Box<Head>>),
    /// A snapshot, if one fits.
    Snapshot(Option<Snapshot>),
    /// All that a stream gave.
    Records(Vec<Record>),
    /// All that an inbox gave.
    Messages(Vec<Message>),
    /// A blob, if there is one.
    Blob(Option<Bytes>),
    /// All blobs.
    Blobs(Vec<BlobInfo>),
    /// All that a listing gave.
    Heads(Vec<Head>),
    /// A refusal that says what it is about.
    Refused(Box<Refusal>),
    /// A refusal that says its kind alone: `Invalid`, `TooLarge`.
    Failed(ErrorKind),
    /// No answer: the write may have happened, or may happen yet.
    Lost,
    /// The store was not reached.
    Unreached,
    /// What the contract has no such answer for.
    Broken(String),
}

impl Told {
    /// What an error tells.
    pub(crate) fn failure(error: &Error) -> Self {
        if error.kind().is_transient() {
            return match error.applied() {
                Some(Applied::Maybe) => Told::Lost,
                _ if error.backend() == Some("faults") => Told::Unreached,
                _ => Told::Broken(told(error)),
            };
        }
        match (error.refusal(), error.kind()) {
            _ if error.applied() == Some(Applied::Maybe) => Told::Broken(told(error)),
            (Some(refusal), kind) if refusal.kind() == kind => Told::Refused(Box::new(refusal.clone())),
            (None, kind @ (ErrorKind::Invalid | ErrorKind::TooLarge)) => Told::Failed(kind),
            _ => Told::Broken(told(error)),
        }
    }

    fn of<T>(result: Result<T>, tell: impl FnOnce(T) -> Self) -> Self {
        match result {
            Ok(value) => tell(value),
            Err(error) => Self::failure(&error),
        }
    }

    fn answer(result: Result<Answer>) -> Self {
        Self::of(result, |answer| Told::Answer(Box::new(answer)))
    }

    /// The answer, if it is one to an open.
    pub(crate) fn opened(&self) -> Option<&milepost_core::Opened> {
        match self {
            Told::Answer(answer) => match &**answer {
                Answer::Opened(opened) => Some(opened),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Ask {
    /// The run that it is about.
    pub(crate) fn run(&self) -> Option<&RunId> {
        match self {
            Ask::Write(run, _)
            | Ask::Head(run)
            | Ask::Snapshot(run, _)
            | Ask::Stream(run, _)
            | Ask::Inbox(run, _)
            | Ask::Blob(run, _)
            | Ask::Blobs(run) => Some(run),
            Ask::Many(_) | Ask::List(_) => None,
        }
    }

    /// The same, with the random bits that the store drew for an open, as its answer shows them.
    pub(crate) fn minted(&self, told: &Told) -> Self {
        let mut ask = self.clone();
        if let (Ask::Write(_, write), Some(opened)) = (&mut ask, told.opened())
            && let Write::Open(_, mint) = &mut **write
        {
            *mint = Mint { incarnation: opened.fence.incarnation, token: opened.fence.token };
        }
        ask
    }

    /// Puts it to `store`. Of a stream that follows, `waiting` tells after how many items it is to wait for more; it is
    /// dropped then.
    pub(crate) async fn put(self, store: &dyn Store, waiting: Option<usize>) -> Told {
        match self {
            Ask::Write(run, write) => Told::answer(put_write(store, &run, *write).await),
            Ask::Many(commits) => {
                let answers = store.commit_many(commits).await.into_iter();
                Told::Many(answers.map(|answer| Told::answer(answer.map(Answer::Committed))).collect())
            }
            Ask::Head(run) => Told::of(store.head(&run).await, |head| Told::Head(head.map(Box::new))),
            Ask::Snapshot(run, at) => Told::of(store.snapshot(&run, at).await, Told::Snapshot),
            Ask::Stream(run, span) => drained(store.stream(&run, span), waiting, Told::Records).await,
            Ask::Inbox(run, span) => drained(store.inbox(&run, span), waiting, Told::Messages).await,
            Ask::Blob(run, name) => Told::of(store.blob(&run, &name).await, Told::Blob),
            Ask::Blobs(run) => drained(store.blobs(&run), None, Told::Blobs).await,
            Ask::List(query) => drained(store.list(query), None, Told::Heads).await,
        }
    }
}

async fn put_write(store: &dyn Store, run: &RunId, write: Write) -> Result<Answer> {
    Ok(match write {
        Write::Open(open, _) => Answer::Opened(Box::new(store.open(run, open).await?)),
        Write::Commit(commit) => Answer::Committed(store.commit(commit).await?),
        Write::Renew(renew) => {
            store.renew(run, renew).await?;
            Answer::Renewed
        }
        Write::Send(message) => Answer::Sent(store.send(run, message).await?),
        Write::Delete(guard) => Answer::Deleted(store.delete(run, guard).await?),
    })
}

/// More than any history puts into a stream.
const ENDLESS: usize = 100_000;

/// How long a stream may take for an item.
const PATIENCE: Duration = Duration::from_secs(4);

/// All that a stream gives, up to its end or to where it waits.
async fn drained<T: Debug>(
    mut stream: BoxStream<'static, Result<T>>,
    waiting: Option<usize>,
    tell: impl FnOnce(Vec<T>) -> Told,
) -> Told {
    let mut items = Vec::new();
    loop {
        let item = if waiting.is_some_and(|waiting| items.len() >= waiting) {
            match next(&mut stream).now_or_never() {
                None => return tell(items),
                Some(Ok(None)) => return Told::Broken("the stream ended where it had to wait".to_owned()),
                Some(item) => item,
            }
        } else {
            match timeout(PATIENCE, next(&mut stream)).await {
                Ok(item) => item,
                Err(_) => return Told::Broken(format!("{} items, then a wait without end", items.len())),
            }
        };
        match item {
            Ok(Some(item)) if items.len() < ENDLESS => items.push(item),
            Ok(Some(_)) => return Told::Broken("the stream went on where it had to end".to_owned()),
            Ok(None) => return tell(items),
            Err(error) if items.is_empty() => return Told::failure(&error),
            Err(error) => return Told::Broken(format!("{} items, then {}", items.len(), told(&error))),
        }
    }
}
