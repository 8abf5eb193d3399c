//! The rules of the contract over a state: what a request is answered with, or what is to be written.
//!
//! A judgement holds for the state that it was made on. Because an entry takes the one slot behind that state, it is
//! written only if nothing else has happened in between.

use milepost_core::{
    Capabilities, Commit, Committed, Delete, Digest, Fence, Head, LeaseChange, NewMessage, Open, Opened,
    Operation, Process, Refusal, Renew, Result, RunId, Sent, Timestamp, Token,
};
use milepost_store_memory::rules::{self, check_fence, lease_end};

use crate::{
    entry::{self, Body, Change, Deed},
    state::State,
};

/// Older snapshots than the newest are kept.
const HISTORY: bool = true;

/// The instant of a judgement.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// The store's now, which entries carry.
    pub(crate) now: Timestamp,
    /// The same, as late as clocks may be wrong: what has to be over by it certainly is.
    pub(crate) late: Timestamp,
    /// The latest that it may be for another handle, which hears the place's time elsewhere.
    pub(crate) latest: Timestamp,
    /// This process, where a holder that is gone holds nothing.
    pub(crate) here: Option<Process>,
}

impl Moment {
    /// An instant, as far ahead as the clock of another handle may be.
    pub(crate) fn ahead(&self, instant: Timestamp) -> Timestamp {
        instant + self.now.since(self.late)
    }

    /// The same for a run in this state: what stands in its log has happened, though its writer's clock be a little ahead.
    pub(crate) fn of(self, state: Option<&State>) -> Self {
        let written = state.map_or(self.now, |state| state.head.at).min(self.ahead(self.now));
        Self { now: self.now.max(written), ..self }
    }
}

impl State {
    /// Whether the lease's holder certainly is gone.
    fn is_orphaned(&self, here: Option<&Process>) -> bool {
        match (&self.holder, here) {
            (Some(holder), Some(here)) => self.head.lease.is_some() && holder != here && holder.is_gone(here),
            _ => false,
        }
    }

    /// From when on the run may be taken over, and until when it is driven: a lease whose holder is gone has ended,
    /// whatever time it had left.
    fn times(&self, moment: &Moment) -> (Option<Timestamp>, Option<Timestamp>) {
        let until = self.head.lease.as_ref().map(|lease| lease.until);
        if !self.is_orphaned(moment.here.as_ref()) {
            return (self.head.due, until);
        }
        let ended = |instant: Timestamp| instant.min(moment.late);
        (self.head.due.map(ended), until.map(ended))
    }

    /// The run's summary, as of a moment.
    pub(crate) fn head(&self, moment: &Moment) -> Head {
        let (due, until) = self.times(moment);
        let mut head = Head { at: moment.now, due, ..self.head.clone() };
        if let (Some(lease), Some(until)) = (&mut head.lease, until) {
            lease.until = until;
        }
        head
    }
}

/// What comes of a request.
pub(crate) enum Judged<A> {
    /// It is answered, and nothing is written.
    Answered(A),
    /// It holds once this is written.
    Holds(Deed),
}

/// A request for a write, with the type of its answer.
pub(crate) trait Ask: Send + Sync {
    type Answer: Send;

    const OPERATION: Operation;

    /// Judges it; `None` is a run that does not exist.
    ///
    /// # Errors
    ///
    /// Those that [`milepost_core::Store`] documents for the operation, in its order, but for what needs no store to see.
    fn judge(&self, state: Option<&State>, moment: &Moment) -> Result<Judged<Self::Answer>>;

    /// The answer once its entry is in the state; `None` is a run that has been deleted.
    fn answer(&self, state: Option<&State>, moment: &Moment) -> Result<Self::Answer>;
}

fn there(state: Option<&State>) -> Result<&State> {
    state.ok_or_else(|| Refusal::NotFound.into())
}

/// An open with the random bits that it may need.
pub(crate) struct Opening<'a> {
    pub(crate) run: &'a RunId,
    pub(crate) open: Open,
    pub(crate) incarnation: milepost_core::Incarnation,
    pub(crate) token: Token,
    pub(crate) capabilities: Capabilities,
}

impl Opening<'_> {
    fn lease(&self, fence: Fence, moment: &Moment) -> entry::Open {
        let until = lease_end(moment.now, self.open.ttl, &self.capabilities);
        let lease = milepost_core::Lease { owner: self.open.owner.clone(), until };
        entry::Open { id: self.open.id, fence, lease, holder: moment.here.clone() }
    }

    fn create(&self, moment: &Moment) -> Result<Deed> {
        let (info, manifest) = rules::may_create(&self.open)?;
        let fence = Fence { incarnation: self.incarnation, epoch: 1, token: self.token };
        Ok(Deed::Create(Box::new(entry::Create {
            run: self.run.clone(),
            info: info.clone(),
            manifest,
            origin: self.open.origin.clone(),
            open: self.lease(fence, moment),
        })))
    }

    /// Whether a run that exists may be opened.
    fn may_open(&self, state: &State, moment: &Moment) -> Result<()> {
        // A wake takes the run from nobody: only the end of a lease has to be certain.
        let judged = if state.head.lease.is_some() { moment.late } else { moment.now };
        rules::may_open(&state.head, &self.open, state.times(moment).0, judged)
    }
}

impl Ask for Opening<'_> {
    type Answer = Opened;
    const OPERATION: Operation = Operation::Open;

    fn judge(&self, state: Option<&State>, moment: &Moment) -> Result<Judged<Opened>> {
        let Some(state) = state else { return Ok(Judged::Holds(self.create(moment)?)) };
        let last = &state.last_open;
        if last.id == self.open.id && last.version == state.head.version {
            return Ok(Judged::Answered(self.answer(Some(state), moment)?));
        }
        self.may_open(state, moment)?;
        let fence = Fence { epoch: state.head.fence.epoch + 1, token: self.token, ..state.head.fence };
        Ok(Judged::Holds(Deed::Open(Box::new(self.lease(fence, moment)))))
    }

    fn answer(&self, state: Option<&State>, moment: &Moment) -> Result<Opened> {
        let state = there(state)?;
        Ok(Opened { fence: state.head.fence, head: state.head(moment), created: state.last_open.created })
    }
}

/// A commit and its digest, which is computed once.
pub(crate) struct Committing {
    pub(crate) commit: Commit,
    digest: Digest,
    capabilities: Capabilities,
}

impl Committing {
    pub(crate) fn new(commit: Commit, capabilities: Capabilities) -> Self {
        Self { digest: commit.digest(), commit, capabilities }
    }

    /// The snapshot, unless it would shorten no resume.
    fn kept_snapshot(&self, state: &State) -> Option<&milepost_core::Snapshot> {
        self.commit.snapshot.as_ref().filter(|snapshot| rules::is_kept(state, snapshot.cursor, HISTORY))
    }

    fn change(&self, state: &State, moment: &Moment) -> Change {
        let now = moment.now;
        if let Some(finish) = &self.commit.finish {
            let delete_after = finish.retain.delete_after(now);
            return Change::Finish { outcome: finish.outcome.clone(), delete_after };
        }
        match self.commit.lease {
            LeaseChange::Keep => Change::Keep,
            LeaseChange::Extend(ttl) => Change::Extend(lease_end(now, ttl, &self.capabilities)),
            LeaseChange::Release(wake) => {
                let due = rules::due_of(&state.head, wake, now);
                Change::Release { due, wake_after: wake.after }
            }
        }
    }

    fn deed(&self, state: &State, moment: &Moment) -> Deed {
        let commit = &self.commit;
        let records = commit.records.iter().map(|record| entry::Record {
            kind: record.kind.clone(),
            id: record.id.clone(),
            blobs: record.blobs.clone(),
            body: Body::Here(record.body.clone()),
        });
        // One that the run holds already is stored once.
        let new = commit.blobs.iter().filter(|blob| !state.blobs.contains_key(&blob.name));
        Deed::Commit(Box::new(entry::Commit {
            id: commit.id,
            digest: self.digest,
            first: state.head.cursor + 1,
            records: records.collect(),
            blobs: new.map(|blob| (blob.name, Body::Here(blob.body.clone()))).collect(),
            snapshot: self
                .kept_snapshot(state)
                .map(|snapshot| (snapshot.cursor, Body::Here(snapshot.body.clone()))),
            trim: commit.trim,
            drop_blobs: commit.drop_blobs.clone(),
            take: commit.take.clone(),
            note: commit.note.clone(),
            advances: commit.advances,
            change: self.change(state, moment),
        }))
    }
}

impl Ask for Committing {
    type Answer = Committed;
    const OPERATION: Operation = Operation::Commit;

    fn judge(&self, state: Option<&State>, moment: &Moment) -> Result<Judged<Committed>> {
        let (state, commit) = (there(state)?, &self.commit);
        let head = || state.head(moment);
        if let Some(replayed) = rules::commit(state, commit, self.digest, HISTORY, head)? {
            return Ok(Judged::Answered(replayed));
        }
        Ok(Judged::Holds(self.deed(state, moment)))
    }

    fn answer(&self, state: Option<&State>, _: &Moment) -> Result<Committed> {
        let head = &there(state)?.head;
        Ok(Committed { version: head.version, cursor: head.cursor, replayed: false })
    }
}

pub(crate) struct Renewing {
    pub(crate) renew: Renew,
    pub(crate) capabilities: Capabilities,
}

impl Ask for Renewing {
    type Answer = ();
    const OPERATION: Operation = Operation::Renew;

    fn judge(&self, state: Option<&State>, moment: &Moment) -> Result<Judged<()>> {
        let head = &there(state)?.head;
        if self.renew.fence.incarnation != head.fence.incarnation {
            return Err(Refusal::NotFound.into());
        }
        check_fence(head, self.renew.fence)?;
        let until = lease_end(moment.now, self.renew.ttl, &self.capabilities);
        Ok(Judged::Holds(Deed::Renew(Box::new(entry::Renew { until, note: self.renew.note.clone() }))))
    }

    fn answer(&self, _: Option<&State>, _: &Moment) -> Result<()> {
        Ok(())
    }
}

/// A message and the digest of its content.
pub(crate) struct Sending {
    message: NewMessage,
    content: Digest,
}

impl Sending {
    pub(crate) fn new(message: NewMessage) -> Self {
        Self { content: rules::content(&message), message }
    }
}

impl Ask for Sending {
    type Answer = Sent;
    const OPERATION: Operation = Operation::Send;

    fn judge(&self, state: Option<&State>, moment: &Moment) -> Result<Judged<Sent>> {
        let (state, message) = (there(state)?, &self.message);
        let head = &state.head;
        if let Some(sent) = rules::send(head, state.keys.get(&message.key), message, self.content)? {
            return Ok(Judged::Answered(sent));
        }
        let number = head.newest_message + 1;
        let due = rules::woken(head, state.wake_after, moment.now);
        Ok(Judged::Holds(Deed::Send(Box::new(entry::Send {
            number,
            id: message.id,
            key: message.key.clone(),
            kind: message.kind.clone(),
            content: self.content,
            body: message.body.clone(),
            due,
        }))))
    }

    fn answer(&self, state: Option<&State>, _: &Moment) -> Result<Sent> {
        Ok(Sent::Accepted { number: there(state)?.head.newest_message })
    }
}

impl Ask for Delete {
    type Answer = bool;
    const OPERATION: Operation = Operation::Delete;

    fn judge(&self, state: Option<&State>, moment: &Moment) -> Result<Judged<bool>> {
        let Some(state) = state else { return Ok(Judged::Answered(false)) };
        let (_, until) = state.times(moment);
        let driven = until.is_some_and(|until| until > moment.late);
        rules::delete(&state.head, *self, driven, || state.head(moment))?;
        Ok(Judged::Holds(Deed::Delete))
    }

    fn answer(&self, _: Option<&State>, _: &Moment) -> Result<bool> {
        Ok(true)
    }
}
