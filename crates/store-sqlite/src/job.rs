//! A write that waits for its turn: what it needs to be judged, and what it makes of it.

use milepost_core::{
    Capabilities, Clash, Commit, Committed, Delete, Digest, Fence, Ids, NewMessage, Open, Opened, Operation,
    Refusal, Renew, Result, RunId, Sent, Timestamp,
};
use tokio::sync::oneshot;

use crate::{
    commit, delete,
    error::BACKEND,
    image::{Here, Image},
    needs::{Needs, Parts},
    open,
    plan::{Step, Write},
    recent::Left,
    renew,
    row::Row,
    send,
};

/// A write of the contract to one run.
#[derive(Debug)]
pub(crate) enum Request {
    Open(RunId, Open),
    Commit(Commit, Digest),
    Renew(RunId, Renew),
    Send(RunId, NewMessage),
    Delete(RunId, Delete),
}

/// The answer to a [`Request`] of the same name.
#[derive(Debug)]
pub(crate) enum Answer {
    Opened(Box<Opened>),
    Committed(Committed),
    Renewed,
    Sent(Sent),
    Deleted(bool),
}

/// What an answer rests on, besides the run.
pub(crate) struct Context<'a> {
    pub(crate) now: Timestamp,
    pub(crate) here: &'a Here,
    pub(crate) ids: &'a dyn Ids,
    pub(crate) capabilities: &'a Capabilities,
}

/// A request that was judged good.
pub(crate) struct Decided {
    /// What to answer once it is durable.
    pub(crate) answer: Answer,
    /// What to write for it; nothing for an answer that was given before.
    pub(crate) writes: Vec<Write>,
    /// The row that it leaves.
    pub(crate) left: Option<Left>,
}

/// A request's verdict.
pub(crate) type Verdict = Result<Decided>;

impl Decided {
    /// An answer that changes nothing.
    pub(crate) fn unchanged(answer: Answer) -> Self {
        Self { answer, writes: Vec::new(), left: None }
    }

    /// An answer that changes the run's row to `row`, and what `writes` do.
    pub(crate) fn changed(answer: Answer, row: Row, mut writes: Vec<Write>) -> Self {
        let (values, checksum) = row.changed();
        writes.push(Write::new(Step::UpdateRun, values));
        Self { answer, writes, left: Some(Left { row, checksum }) }
    }

    /// As [`Decided::changed`], with the columns of the outcome.
    pub(crate) fn changed_outcome(answer: Answer, row: Row, mut writes: Vec<Write>) -> Self {
        let (values, checksum) = row.ended();
        writes.push(Write::new(Step::UpdateOutcome, values));
        Self { answer, writes, left: Some(Left { row, checksum }) }
    }
}

impl Context<'_> {
    /// The end of a lease that begins now.
    pub(crate) fn lease_end(&self, ttl: std::time::Duration) -> Timestamp {
        self.now + ttl.max(self.capabilities.limits.min_ttl)
    }

    /// The refusal of a write that assumed something else of the run.
    pub(crate) fn conflict(&self, image: &Image, clash: Clash) -> Result<Refusal> {
        Ok(Refusal::Conflict { head: Box::new(image.head(self.now, self.here)?), clash })
    }
}

/// Refuses a write by any fence but the newest, and any by that one once it has been released.
pub(crate) fn check_fence(image: &Image, fence: Fence) -> Result<()> {
    let row = &image.row;
    let released = row.lease.is_none() && row.outcome.is_none();
    if fence != row.fence || released {
        return Err(Refusal::Fenced { current: row.fence }.into());
    }
    if let Some(outcome) = &row.outcome {
        return Err(Refusal::Finished { outcome: outcome.clone() }.into());
    }
    Ok(())
}

impl Request {
    pub(crate) fn run(&self) -> &RunId {
        match self {
            Request::Commit(commit, _) => &commit.run,
            Request::Open(run, _)
            | Request::Renew(run, _)
            | Request::Send(run, _)
            | Request::Delete(run, _) => run,
        }
    }

    pub(crate) fn operation(&self) -> Operation {
        match self {
            Request::Open(..) => Operation::Open,
            Request::Commit(..) => Operation::Commit,
            Request::Renew(..) => Operation::Renew,
            Request::Send(..) => Operation::Send,
            Request::Delete(..) => Operation::Delete,
        }
    }

    /// About how many bytes it writes.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Request::Commit(commit, _) => {
                let records: usize = commit.records.iter().map(|record| record.body.len()).sum();
                let blobs: usize = commit.blobs.iter().map(|blob| blob.body.len()).sum();
                records + blobs + commit.snapshot.as_ref().map_or(0, |snapshot| snapshot.body.len())
            }
            Request::Send(_, message) => message.body.len(),
            _ => 0,
        }
    }

    /// Whether the verdict can be given by the run's row alone, and that is this one.
    pub(crate) fn needs_only(&self, row: &Row) -> bool {
        match self {
            Request::Commit(commit, _) => commit::needs_only(commit, row),
            Request::Renew(..) => true,
            Request::Open(..) | Request::Send(..) | Request::Delete(..) => false,
        }
    }

    /// Says what must be read besides the run's row.
    pub(crate) fn needs(&self, needs: &mut Needs) {
        match self {
            Request::Open(..) => needs.next_key = true,
            Request::Commit(commit, _) => commit::needs(commit, needs),
            Request::Send(run, message) => needs.keys.push((run.clone(), message.key.clone())),
            Request::Renew(..) | Request::Delete(..) => {}
        }
    }

    /// Judges it by what was read. Nothing has been written yet, by nobody of the batch.
    pub(crate) fn judge(&self, image: Option<Image>, parts: Parts, context: &Context<'_>) -> Verdict {
        match self {
            Request::Open(run, open) => open::judge(run, open, image, parts.next_key, context),
            Request::Commit(commit, digest) => commit::judge(commit, *digest, image, &parts, context),
            Request::Renew(_, renew) => renew::judge(renew, image, context),
            Request::Send(_, message) => send::judge(message, image, &parts, context),
            Request::Delete(_, guard) => delete::judge(*guard, image, context),
        }
    }
}

/// A request and where its answer goes.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) request: Request,
    pub(crate) reply: oneshot::Sender<Result<Answer>>,
}

impl Job {
    /// Gives the answer. Whoever asked may be gone: the write stands all the same.
    pub(crate) fn settle(self, answer: Result<Answer>) {
        let (operation, run) = (self.request.operation(), self.request.run());
        let _ = self.reply.send(answer.map_err(|error| error.during(BACKEND, operation, Some(run))));
    }
}
