//! What the two processes say to each other.

use milepost_core::{
    Applied, At, Commit, Delete, Digest, Error, ErrorKind, NewMessage, Open, Operation, Query, Refusal,
    Renew, RunId, Span, Timestamp,
};
use serde::{Deserialize, Serialize};

/// What stands before each answer, because others may print too.
pub(super) const MARK: &str = "milepost-worker: ";

/// What the second process is asked to do, at an instant of the scope's clock.
#[derive(Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) id: u64,
    pub(super) now: Timestamp,
    pub(super) ask: Ask,
}

/// An operation of its handle.
#[derive(Serialize, Deserialize)]
pub(super) enum Ask {
    Open(RunId, Box<Open>),
    Commit(Box<Commit>),
    CommitMany(Vec<Commit>),
    Renew(RunId, Box<Renew>),
    Send(RunId, NewMessage),
    Delete(RunId, Delete),
    Head(RunId),
    Snapshot(RunId, At),
    Stream(RunId, Span),
    Inbox(RunId, Span),
    Blob(RunId, Digest),
    Blobs(RunId),
    List(Box<Query>),
    Close,
    /// Nobody reads the stream of this request any more.
    Drop(u64),
}

impl Ask {
    /// The operation, for an error that the second process could not give itself, and its run.
    pub(super) fn names(&self) -> (Operation, Option<RunId>) {
        match self {
            Ask::Open(run, _) => (Operation::Open, Some(run.clone())),
            Ask::Commit(commit) => (Operation::Commit, Some(commit.run.clone())),
            Ask::CommitMany(_) => (Operation::Commit, None),
            Ask::Renew(run, _) => (Operation::Renew, Some(run.clone())),
            Ask::Send(run, _) => (Operation::Send, Some(run.clone())),
            Ask::Delete(run, _) => (Operation::Delete, Some(run.clone())),
            Ask::Head(run) => (Operation::Head, Some(run.clone())),
            Ask::Snapshot(run, _) => (Operation::Snapshot, Some(run.clone())),
            Ask::Stream(run, _) => (Operation::Stream, Some(run.clone())),
            Ask::Inbox(run, _) => (Operation::Inbox, Some(run.clone())),
            Ask::Blob(run, _) => (Operation::Blob, Some(run.clone())),
            Ask::Blobs(run) => (Operation::Blobs, Some(run.clone())),
            Ask::List(_) => (Operation::List, None),
            Ask::Close | Ask::Drop(_) => (Operation::Close, None),
        }
    }
}

/// One of the answers to a request: a value as JSON, the end of a stream, or an error.
#[derive(Serialize, Deserialize)]
pub(super) struct Reply {
    pub(super) id: u64,
    pub(super) told: Result<Option<String>, Box<Fault>>,
}

/// An error on its way.
#[derive(Serialize, Deserialize)]
pub(super) struct Fault {
    kind: ErrorKind,
    message: String,
    refusal: Option<Refusal>,
    applied: Option<Applied>,
    operation: Option<Operation>,
    run: Option<RunId>,
}

impl Fault {
    pub(super) fn of(error: &Error) -> Box<Self> {
        Box::new(Self {
            kind: error.kind(),
            message: error.to_string(),
            refusal: error.refusal().cloned(),
            applied: error.applied(),
            operation: error.operation(),
            run: error.run().cloned(),
        })
    }
}

impl From<Box<Fault>> for Error {
    fn from(fault: Box<Fault>) -> Self {
        let error = match fault.refusal {
            Some(refusal) => refusal.into(),
            None => Error::new(fault.kind, fault.message),
        };
        let error = match fault.applied {
            Some(applied) => error.with_applied(applied),
            None => error,
        };
        match fault.operation {
            Some(operation) => error.during("second process", operation, fault.run.as_ref()),
            None => error,
        }
    }
}
