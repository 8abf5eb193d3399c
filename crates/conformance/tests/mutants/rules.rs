//! The rules of the contract once more, with a switch at every place where a real backend went wrong or might: a store
//! by these rules with no switch set is a good one.

mod commit;
mod inbox;
mod open;
mod part;

use std::{collections::BTreeMap, time::Duration};

use milepost_core::*;

use crate::flaw::*;

/// The rules with at most one of them broken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) flaw: Option<Flaw>,
    pub(crate) offered: Capabilities,
}

/// The random bits of an open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mint {
    pub(crate) incarnation: Incarnation,
    pub(crate) token: Token,
}

/// The open that a repeated id is compared with.
#[derive(Clone, Debug)]
pub(crate) struct LastOpen {
    pub(crate) id: OperationId,
    pub(crate) version: Version,
    pub(crate) created: bool,
}

/// The newest commit and its answer.
#[derive(Clone, Debug)]
pub(crate) struct LastCommit {
    pub(crate) id: OperationId,
    pub(crate) digest: Digest,
    pub(crate) fence: Fence,
    pub(crate) version: Version,
    pub(crate) cursor: Cursor,
}

/// What was sent under a key first.
#[derive(Clone, Debug)]
pub(crate) struct Remembered {
    pub(crate) number: u64,
    pub(crate) kind: Kind,
    pub(crate) body: Bytes,
}

/// All that the store knows of one run.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) head: Head,
    pub(crate) wake_after: Option<u64>,
    pub(crate) last_open: LastOpen,
    pub(crate) last_commit: Option<LastCommit>,
    pub(crate) records: Vec<Record>,
    pub(crate) record_ids: BTreeMap<RecordId, Cursor>,
    pub(crate) snapshots: BTreeMap<Cursor, Bytes>,
    pub(crate) blobs: BTreeMap<Digest, Bytes>,
    pub(crate) messages: BTreeMap<u64, Message>,
    pub(crate) keys: BTreeMap<MessageKey, Remembered>,
    /// From when on it may be deleted, by the first of its ends that said so.
    pub(crate) expiry: Option<Timestamp>,
}

impl Run {
    /// The head as of `now`.
    pub(crate) fn head(&self, now: Timestamp) -> Head {
        Head { at: now, ..self.head.clone() }
    }
}

impl Rules {
    /// Whether this is the rule that is broken.
    pub(crate) fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// Whether one of these is.
    pub(crate) fn has_any(&self, flaws: &[Flaw]) -> bool {
        self.flaw.is_some_and(|flaw| flaws.contains(&flaw))
    }

    /// The end of a lease that is asked for now.
    fn lease_end(&self, now: Timestamp, ttl: Duration) -> Timestamp {
        match self.flaw {
            Some(TtlIsAlwaysTheDefault) => now + Open::DEFAULT_TTL,
            Some(ShortestLeaseIsIgnored) => now + ttl,
            Some(TtlIsInMilliseconds) => now + Duration::from_millis(ttl.as_millis() as u64),
            Some(TtlIsInSeconds) => now + Duration::from_secs(ttl.as_secs().max(1)),
            _ => now + ttl.max(self.offered.limits.min_ttl),
        }
    }

    /// Refuses a write by any fence but the newest, and any by that one once it has been released.
    fn check_fence(&self, head: &Head, fence: Fence, writes: Writes) -> Result<()> {
        let newest = match self.flaw {
            Some(FenceIsIgnored) => true,
            Some(FenceIsIgnoredByRenew) if writes == Writes::Renewal => true,
            Some(FenceIsIgnoredByRelease) if writes == Writes::Release => true,
            Some(FenceIsIgnoredByFinish) if writes == Writes::Finish => true,
            Some(FenceIsIgnoredWithoutRecords) if writes == Writes::NoRecords => true,
            Some(TokenIsIgnored) => fence.epoch == head.fence.epoch,
            Some(LaterEpochsPass) => fence.epoch > head.fence.epoch || fence == head.fence,
            Some(LeaseIsTheFence) => {
                fence == head.fence || head.lease.as_ref().is_some_and(|lease| lease.until > head.updated_at)
            }
            Some(PreviousFencePasses) => fence == head.fence || fence.epoch + 1 == head.fence.epoch,
            _ => fence == head.fence,
        };
        let released = match self.flaw {
            Some(ReleasedFenceWrites) => false,
            Some(ReleasedFenceRenews) if writes == Writes::Renewal => false,
            Some(ReleasedFenceFinishes) if writes == Writes::Finish => false,
            _ => head.lease.is_none() && head.outcome.is_none(),
        };
        let finished = match &head.outcome {
            Some(_) if self.has(FinishedRunTakesCommits) => None,
            Some(Outcome::Failed { .. }) if self.has(FailedRunTakesCommits) && writes != Writes::Renewal => {
                None
            }
            Some(Outcome::Failed { .. }) if self.has(FailedRunIsRenewed) && writes == Writes::Renewal => None,
            Some(_) if self.has(FinishedRunIsRenewed) && writes == Writes::Renewal => None,
            outcome => outcome.clone(),
        };
        let early = match self.flaw {
            Some(FinishedComesBeforeFenced) => true,
            Some(RenewalsAreFinishedBeforeFenced) => writes == Writes::Renewal,
            _ => false,
        };
        if early && let Some(outcome) = finished {
            return Err(Refusal::Finished { outcome }.into());
        }
        if !newest || released {
            let current = if self.has(FencedTellsTheLosersFence) { fence } else { head.fence };
            return Err(Refusal::Fenced { current }.into());
        }
        finished.map_or(Ok(()), |outcome| Err(Refusal::Finished { outcome }.into()))
    }
}

/// What a fence is checked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Writes {
    Renewal,
    Release,
    Finish,
    NoRecords,
    Records,
}
