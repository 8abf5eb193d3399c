//! What concurrent clients of one run asked, and what they were answered.

use std::fmt;

use milepost_store_memory::{Answer, Write};

use crate::areas::prelude::*;

/// What a client asks.
#[expect(clippy::large_enum_variant, reason = "a history holds few, and most of them are writes")]
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    /// A write. The tokens of an open are those that its answer shows.
    Write(Write),
    /// The head.
    Head,
}

/// What it was answered.
#[derive(Debug)]
pub(crate) enum Told {
    /// The answer to a write.
    Answer(Box<Answer>),
    /// The head; `None` when there was no run.
    Head(Option<Box<Head>>),
    /// A refusal.
    Refused(Refusal),
}

/// One operation: what was asked, what was told, and when. It took effect at some moment in between.
#[derive(Debug)]
pub(crate) struct Operation {
    /// Who asked.
    pub(crate) client: usize,
    /// When, as a count of the moments of the history.
    pub(crate) invoked: u64,
    /// When the answer had come.
    pub(crate) answered: u64,
    /// What was asked.
    pub(crate) ask: Ask,
    /// What was told.
    pub(crate) told: Told,
}

/// What two answers must agree in: all but instants, which differ between the store's clock and the model's.
pub(crate) fn same(one: &Told, other: &Told) -> bool {
    match (one, other) {
        (Told::Head(one), Told::Head(other)) => match (one, other) {
            (Some(one), Some(other)) => timeless(one) == timeless(other),
            (None, None) => true,
            _ => false,
        },
        (Told::Answer(one), Told::Answer(other)) => match (&**one, &**other) {
            (Answer::Opened(one), Answer::Opened(other)) => {
                let heads = timeless(&one.head) == timeless(&other.head);
                heads && one.fence == other.fence && one.created == other.created
            }
            (one, other) => one == other,
        },
        (Told::Refused(one), Told::Refused(other)) => match (one, other) {
            (Refusal::LeaseHeld { owner: one, .. }, Refusal::LeaseHeld { owner: other, .. }) => one == other,
            (
                Refusal::Conflict { head: one, clash: why },
                Refusal::Conflict { head: other, clash: because },
            ) => why == because && timeless(one) == timeless(other),
            (one, other) => one == other,
        },
        _ => false,
    }
}

/// A head in which every instant is the same one.
fn timeless(head: &Head) -> Head {
    let never = Timestamp::default();
    Head {
        at: never,
        created_at: never,
        updated_at: never,
        lease: head.lease.clone().map(|lease| Lease { until: never, ..lease }),
        due: head.due.map(|_| never),
        delete_after: head.delete_after.map(|_| never),
        ..head.clone()
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ask::Head => f.write_str("head"),
            Ask::Write(Write::Open(open, _)) => {
                write!(f, "open {:?}, {:?}", open.mode, open.takeover)?;
                if open.reopen_failed { f.write_str(", reopen_failed") } else { Ok(()) }
            }
            Ask::Write(Write::Commit(commit)) => {
                let id = commit.id.0 as u16;
                write!(f, "commit {id:04x}, fence {}, expect {}", commit.fence, commit.expect)?;
                write!(f, ", {} records, {:?}, {:?}", commit.records.len(), commit.lease, commit.finish)
            }
            Ask::Write(other) => write!(f, "{other:?}"),
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = |f: &mut fmt::Formatter<'_>, head: &Head| {
            let (status, version, cursor) = (head.status(), head.version, head.cursor);
            write!(
                f,
                "{status}, version {version}, cursor {cursor}, lapses {}, fence {}",
                head.lapses, head.fence
            )
        };
        match self {
            Told::Head(None) => f.write_str("no run"),
            Told::Head(Some(read)) => head(f, read),
            Told::Answer(answer) => match &**answer {
                Answer::Opened(opened) => {
                    write!(f, "opened (created: {}): ", opened.created)?;
                    head(f, &opened.head)
                }
                other => write!(f, "{other:?}"),
            },
            Told::Refused(Refusal::Conflict { head: read, clash }) => {
                write!(f, "conflict about {clash:?}: ")?;
                head(f, read)
            }
            Told::Refused(refusal) => write!(f, "{refusal:?}"),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, invoked, answered, ask, told } = self;
        write!(f, "[{invoked:3} … {answered:3}] client {client}: {ask}\n              = {told}")
    }
}
