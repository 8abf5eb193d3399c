//! Stores that look under one lock and write under another: between the two there is no more than the time that
//! it takes to decide.

use milepost_core::*;

use crate::{flaw::*, rules::Run};

/// What a write is about, as far as these flaws tell writes apart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum About {
    Open { over: bool, reopens: bool },
    Commit { finishes: bool, releases: bool },
    Renew,
    Send,
    Delete,
}

impl About {
    pub(crate) fn open(open: &Open) -> Self {
        About::Open { over: open.takeover != Takeover::IfDue, reopens: open.reopen_failed }
    }

    pub(crate) fn commit(commit: &Commit) -> Self {
        let releases = matches!(commit.lease, LeaseChange::Release(_));
        About::Commit { finishes: commit.finish.is_some(), releases }
    }

    /// Whether a write of this store looks before it takes its lock.
    pub(crate) fn looks_first(self, flaw: Flaw) -> bool {
        match self {
            About::Open { over, reopens } => match flaw {
                CreationLooksFirst | OpenIdIsLookedUpFirst => true,
                TakeoverLooksFirst => !over && !reopens,
                OverLooksFirst => over,
                ReopeningLooksFirst => reopens,
                _ => false,
            },
            About::Commit { finishes, releases } => match flaw {
                CommitLooksFirst
                | ReplayIsLookedUpFirst
                | FenceIsLookedUpFirst
                | InboxIsReadFirst
                | CommitBringsTheRunBack => true,
                OutcomeLooksFirst | OutcomePutsBackWhatItRead => finishes,
                ReleaseLooksForTheMessageFirst => releases,
                _ => false,
            },
            About::Renew => [RenewalLooksFirst, RenewalPutsBackWhatItRead].contains(&flaw),
            About::Send => {
                [NumberIsReadFirst, KeyIsLookedUpFirst, SendLooksForTheWakeFirst, SendBringsTheRunBack]
                    .contains(&flaw)
            }
            About::Delete => {
                [DeletionLooksFirst, DriverIsLookedUpFirst, OutcomeIsLookedUpFirst].contains(&flaw)
            }
        }
    }
}

/// Whether a store with this flaw decides by the whole run that it saw, and puts all of it back.
pub(crate) fn puts_back_all(flaw: Flaw) -> bool {
    [
        CreationLooksFirst,
        TakeoverLooksFirst,
        OverLooksFirst,
        ReopeningLooksFirst,
        CommitLooksFirst,
        OutcomePutsBackWhatItRead,
        RenewalPutsBackWhatItRead,
        DeletionLooksFirst,
        DriverIsLookedUpFirst,
        OutcomeIsLookedUpFirst,
    ]
    .contains(&flaw)
}

/// Does `work` on the run as it is, but for what was `seen` of it before, which it takes for true.
pub(crate) fn by_its_look<T>(
    flaw: Flaw,
    slot: &mut Option<Run>,
    seen: Option<Run>,
    work: impl FnOnce(&mut Option<Run>) -> Result<T>,
) -> Result<T> {
    let stands = slot.clone();
    match (flaw, slot.as_mut(), &seen) {
        (OpenIdIsLookedUpFirst, Some(run), Some(seen)) => run.last_open = seen.last_open.clone(),
        (ReplayIsLookedUpFirst, Some(run), Some(seen)) => run.last_commit = seen.last_commit.clone(),
        (FenceIsLookedUpFirst, Some(run), Some(seen)) => {
            (run.head.fence, run.head.lease) = (seen.head.fence, seen.head.lease.clone());
            run.head.version = seen.head.version;
        }
        (OutcomeLooksFirst, Some(run), Some(seen)) => {
            (run.head.fence, run.head.version) = (seen.head.fence, seen.head.version);
        }
        (RenewalLooksFirst, Some(run), Some(seen)) => run.head.fence = seen.head.fence,
        (NumberIsReadFirst, Some(run), Some(seen)) => run.head.newest_message = seen.head.newest_message,
        (KeyIsLookedUpFirst, Some(run), Some(seen)) => run.keys = seen.keys.clone(),
        (InboxIsReadFirst, Some(run), Some(seen)) => run.messages = seen.messages.clone(),
        (ReleaseLooksForTheMessageFirst, Some(run), Some(seen)) => {
            run.head.newest_message = seen.head.newest_message;
        }
        (SendLooksForTheWakeFirst, Some(run), Some(seen)) => run.wake_after = seen.wake_after,
        (CommitBringsTheRunBack | SendBringsTheRunBack, None, Some(_)) => *slot = seen,
        _ => {}
    }
    let answer = work(slot);
    match (flaw, slot.as_mut(), stands) {
        // A refused write of such a store writes nothing.
        (_, _, stands) if answer.is_err() => *slot = stands,
        (RenewalLooksFirst, Some(run), Some(stands)) => run.head.fence = stands.head.fence,
        (ReleaseLooksForTheMessageFirst, Some(run), Some(stands)) => {
            run.head.newest_message = stands.head.newest_message;
        }
        (OutcomeLooksFirst, Some(run), Some(stands)) => run.head.fence = stands.head.fence,
        (FenceIsLookedUpFirst, Some(run), Some(stands)) if run.head.fence != stands.head.fence => {
            (run.head.fence, run.head.lease) = (stands.head.fence, stands.head.lease);
        }
        _ => {}
    }
    answer
}
