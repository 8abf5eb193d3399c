//! Operations as text, so that what the clients of several processes have written down can be checked together.

use std::time::Duration;

use milepost_core::{
    At, BlobInfo, Bytes, Capability, Clash, Commit, Committed, Cursor, Delete, Digest, Fence, Head, Manifest,
    Message, NewMessage, Open, Opened, Outcome, Owner, Record, Refusal, Renew, RunId, Sent, Snapshot, Span,
};
use milepost_store_memory::{Answer, Write};
use serde::{Deserialize, Serialize};

use super::{
    ask::{Ask, Told},
    history::Operation,
    resolve::UNKNOWN,
};

/// An operation, as it is written.
#[derive(Serialize, Deserialize)]
pub(crate) struct Portable {
    client: u64,
    invoked: u64,
    answered: u64,
    ask: Asked,
    told: Answered,
}

#[derive(Serialize, Deserialize)]
enum Asked {
    Open(RunId, Open),
    Commit(RunId, Commit),
    Renew(RunId, Renew),
    Send(RunId, NewMessage),
    Delete(RunId, Delete),
    Head(RunId),
    Snapshot(RunId, At),
    Stream(RunId, Span),
    Inbox(RunId, Span),
    Blob(RunId, Digest),
    Blobs(RunId),
}

#[derive(Serialize, Deserialize)]
enum Answered {
    Opened(Opened),
    Committed(Committed),
    Renewed,
    Sent(Sent),
    Deleted(bool),
    Head(Option<Head>),
    Snapshot(Option<Snapshot>),
    Records(Vec<Record>),
    Messages(Vec<Message>),
    Blob(Option<Bytes>),
    Blobs(Vec<BlobInfo>),
    Refused(Why),
    Lost,
}

/// A [`Refusal`].
#[expect(clippy::large_enum_variant, reason = "it is read and written, and not kept")]
#[derive(Serialize, Deserialize)]
enum Why {
    NotFound,
    AlreadyExists,
    LeaseHeld { owner: Option<Owner>, expires_in: Option<Duration> },
    ManifestMismatch { stored: Manifest, given: Manifest },
    Finished { outcome: Outcome },
    IdReused,
    Fenced { current: Fence },
    Conflict { head: Head, clash: About },
    Duplicate { cursor: Cursor },
    Trimmed { first: Cursor },
    Unsupported { capability: Capability },
}

/// A [`Clash`].
#[derive(Serialize, Deserialize)]
enum About {
    Version,
    NotWaiting(u64),
    MissingBlob(Digest),
    SnapshotCursor(Cursor),
    Trim(Cursor),
    NotFinished,
    Driven,
}

impl Portable {
    /// The operation as it is written; `None` for one that no history holds.
    pub(crate) fn of(operation: &Operation) -> Option<Self> {
        let Operation { client, invoked, answered, ask, told } = operation.clone();
        Some(Self { client, invoked, answered, ask: asked(ask)?, told: answered_with(told)? })
    }

    /// The operation, by a client of the `part`-th process.
    pub(crate) fn operation(self, part: u64) -> Operation {
        let Self { client, invoked, answered, ask, told } = self;
        Operation { client: part * 1000 + client, invoked, answered, ask: ask_of(ask), told: told_of(told) }
    }
}

fn asked(ask: Ask) -> Option<Asked> {
    Some(match ask {
        Ask::Write(run, write) => match *write {
            Write::Open(open, _) => Asked::Open(run, open),
            Write::Commit(commit) => Asked::Commit(run, commit),
            Write::Renew(renew) => Asked::Renew(run, renew),
            Write::Send(message) => Asked::Send(run, message),
            Write::Delete(guard) => Asked::Delete(run, guard),
        },
        Ask::Head(run) => Asked::Head(run),
        Ask::Snapshot(run, at) => Asked::Snapshot(run, at),
        Ask::Stream(run, span) => Asked::Stream(run, span),
        Ask::Inbox(run, span) => Asked::Inbox(run, span),
        Ask::Blob(run, name) => Asked::Blob(run, name),
        Ask::Blobs(run) => Asked::Blobs(run),
        Ask::Many(_) | Ask::List(_) => return None,
    })
}

fn ask_of(asked: Asked) -> Ask {
    let write = |run, write| Ask::Write(run, Box::new(write));
    match asked {
        Asked::Open(run, open) => write(run, Write::Open(open, UNKNOWN)),
        Asked::Commit(run, commit) => write(run, Write::Commit(commit)),
        Asked::Renew(run, renew) => write(run, Write::Renew(renew)),
        Asked::Send(run, message) => write(run, Write::Send(message)),
        Asked::Delete(run, guard) => write(run, Write::Delete(guard)),
        Asked::Head(run) => Ask::Head(run),
        Asked::Snapshot(run, at) => Ask::Snapshot(run, at),
        Asked::Stream(run, span) => Ask::Stream(run, span),
        Asked::Inbox(run, span) => Ask::Inbox(run, span),
        Asked::Blob(run, name) => Ask::Blob(run, name),
        Asked::Blobs(run) => Ask::Blobs(run),
    }
}

fn answered_with(told: Told) -> Option<Answered> {
    Some(match told {
        Told::Answer(answer) => match *answer {
            Answer::Opened(opened) => Answered::Opened(*opened),
            Answer::Committed(committed) => Answered::Committed(committed),
            Answer::Renewed => Answered::Renewed,
            Answer::Sent(sent) => Answered::Sent(sent),
            Answer::Deleted(deleted) => Answered::Deleted(deleted),
        },
        Told::Head(head) => Answered::Head(head.map(|head| *head)),
        Told::Snapshot(snapshot) => Answered::Snapshot(snapshot),
        Told::Records(records) => Answered::Records(records),
        Told::Messages(messages) => Answered::Messages(messages),
        Told::Blob(body) => Answered::Blob(body),
        Told::Blobs(blobs) => Answered::Blobs(blobs),
        Told::Refused(refusal) => Answered::Refused(why(*refusal)?),
        Told::Lost => Answered::Lost,
        Told::Many(_) | Told::Heads(_) | Told::Failed(_) | Told::Unreached | Told::Broken(_) => return None,
    })
}

fn told_of(answered: Answered) -> Told {
    let answer = |answer| Told::Answer(Box::new(answer));
    match answered {
        Answered::Opened(opened) => answer(Answer::Opened(Box::new(opened))),
        Answered::Committed(committed) => answer(Answer::Committed(committed)),
        Answered::Renewed => answer(Answer::Renewed),
        Answered::Sent(sent) => answer(Answer::Sent(sent)),
        Answered::Deleted(deleted) => answer(Answer::Deleted(deleted)),
        Answered::Head(head) => Told::Head(head.map(Box::new)),
        Answered::Snapshot(snapshot) => Told::Snapshot(snapshot),
        Answered::Records(records) => Told::Records(records),
        Answered::Messages(messages) => Told::Messages(messages),
        Answered::Blob(body) => Told::Blob(body),
        Answered::Blobs(blobs) => Told::Blobs(blobs),
        Answered::Refused(why) => Told::Refused(Box::new(refusal(why))),
        Answered::Lost => Told::Lost,
    }
}

fn why(refusal: Refusal) -> Option<Why> {
    Some(match refusal {
        Refusal::NotFound => Why::NotFound,
        Refusal::AlreadyExists => Why::AlreadyExists,
        Refusal::LeaseHeld { owner, expires_in } => Why::LeaseHeld { owner, expires_in },
        Refusal::ManifestMismatch { stored, given } => Why::ManifestMismatch { stored, given },
        Refusal::Finished { outcome } => Why::Finished { outcome },
        Refusal::IdReused => Why::IdReused,
        Refusal::Fenced { current } => Why::Fenced { current },
        Refusal::Conflict { head, clash } => Why::Conflict {
            head: *head,
            clash: match clash {
                Clash::Version => About::Version,
                Clash::NotWaiting(number) => About::NotWaiting(number),
                Clash::MissingBlob(name) => About::MissingBlob(name),
                Clash::SnapshotCursor(cursor) => About::SnapshotCursor(cursor),
                Clash::Trim(limit) => About::Trim(limit),
                Clash::NotFinished => About::NotFinished,
                Clash::Driven => About::Driven,
                _ => return None,
            },
        },
        Refusal::Duplicate { cursor } => Why::Duplicate { cursor },
        Refusal::Trimmed { first } => Why::Trimmed { first },
        Refusal::Unsupported { capability } => Why::Unsupported { capability },
        _ => return None,
    })
}

fn refusal(why: Why) -> Refusal {
    match why {
        Why::NotFound => Refusal::NotFound,
        Why::AlreadyExists => Refusal::AlreadyExists,
        Why::LeaseHeld { owner, expires_in } => Refusal::LeaseHeld { owner, expires_in },
        Why::ManifestMismatch { stored, given } => Refusal::ManifestMismatch { stored, given },
        Why::Finished { outcome } => Refusal::Finished { outcome },
        Why::IdReused => Refusal::IdReused,
        Why::Fenced { current } => Refusal::Fenced { current },
        Why::Conflict { head, clash } => {
            let clash = match clash {
                About::Version => Clash::Version,
                About::NotWaiting(number) => Clash::NotWaiting(number),
                About::MissingBlob(name) => Clash::MissingBlob(name),
                About::SnapshotCursor(cursor) => Clash::SnapshotCursor(cursor),
                About::Trim(limit) => Clash::Trim(limit),
                About::NotFinished => Clash::NotFinished,
                About::Driven => Clash::Driven,
            };
            Refusal::Conflict { head: Box::new(head), clash }
        }
        Why::Duplicate { cursor } => Refusal::Duplicate { cursor },
        Why::Trimmed { first } => Refusal::Trimmed { first },
        Why::Unsupported { capability } => Refusal::Unsupported { capability },
    }
}
