//! Renewals, messages and deletions.

use milepost_core::*;

use super::{Remembered, Rules, Run, Writes};
use crate::flaw::*;

impl Rules {
    /// Extends the lease.
    pub(crate) fn renew(&self, run: &mut Run, renew: Renew, now: Timestamp) -> Result<()> {
        let head = &mut run.head;
        if renew.fence.incarnation != head.fence.incarnation {
            return Err(Refusal::NotFound.into());
        }
        self.check_fence(head, renew.fence, Writes::Renewal)?;
        let until = self.lease_end(now, renew.ttl);
        let expired = head.lease.as_ref().is_some_and(|lease| lease.until <= now);
        if expired && self.has(ExpiredLeasesAreNotRenewed) {
            return Err(Refusal::Fenced { current: head.fence }.into());
        }
        match (self.flaw, &mut head.lease) {
            (Some(RenewDoesNothing), _) => {}
            (Some(RenewShortens), Some(lease)) => lease.until = until,
            (Some(RenewCountsFromTheOldEnd), Some(lease)) => lease.until = lease.until + renew.ttl,
            (Some(ReleasedFenceRenews | FinishedRunIsRenewed | FenceIsIgnoredByRenew), lease @ None) => {
                *lease = Some(Lease { owner: Owner::new("revived"), until });
            }
            (_, lease) => self.extend(lease, until),
        }
        if !head.draft || self.has(RenewMakesDraftsDue) {
            head.due = match self.flaw {
                Some(RenewDoesNotMoveTheDue) => head.due,
                _ => head.lease.as_ref().map(|lease| lease.until),
            };
        }
        match self.flaw {
            Some(RenewIgnoresTheNote) => {}
            Some(RenewErasesTheNote) => head.note = renew.note,
            _ => head.note = renew.note.or(head.note.take()),
        }
        match self.flaw {
            Some(RenewRaisesTheVersion) => head.version += 1,
            Some(RenewUpdates) => head.updated_at = now,
            Some(RenewForgetsTheCommit) => run.last_commit = None,
            Some(RenewForgetsTheOpen) => run.last_open.id = OperationId(0),
            Some(RenewForgetsLapses) => head.lapses = 0,
            _ => {}
        }
        Ok(())
    }

    /// Puts a message into the inbox.
    pub(crate) fn send(&self, run: &mut Run, message: NewMessage, now: Timestamp) -> Result<Sent> {
        let head = &mut run.head;
        let other = message.incarnation.is_some_and(|incarnation| incarnation != head.fence.incarnation);
        if other && !self.has(MessagesIgnoreTheIncarnation) {
            return Err(Refusal::NotFound.into());
        }
        if self.has(FinishedComesBeforeAKnownKey)
            && let Some(outcome) = &head.outcome
        {
            return Err(Refusal::Finished { outcome: outcome.clone() }.into());
        }
        let mut message = message;
        if self.has(KeysIgnoreCase) {
            message.key = MessageKey::new(message.key.as_str().to_lowercase())?;
        }
        if let Some(first) = run.keys.get(&message.key).filter(|_| !self.has(KeysAreIgnored)) {
            let number = match self.flaw {
                Some(RepeatedTellsTheNewestNumber) => head.newest_message,
                _ => first.number,
            };
            let same = match self.flaw {
                Some(OnlyBodiesAreCompared) => first.body == message.body,
                Some(OnlyKindsAreCompared) => first.kind == message.kind,
                Some(LengthsAreCompared) => {
                    first.body.len() == message.body.len() && first.kind == message.kind
                }
                Some(ConflictsAreRepeats) => true,
                Some(RepeatsAreConflicts) => false,
                _ => first.kind == message.kind && first.body == message.body,
            };
            let number_of_gap = u64::from(self.has(RepeatsLeaveAGap));
            head.newest_message += number_of_gap;
            if self.has(LastMessageWins)
                && let Some(waiting) = run.messages.get_mut(&number)
            {
                (waiting.kind, waiting.body) = (message.kind, message.body);
            }
            return Ok(match same {
                _ if self.has(RepeatsAreAccepted) => Sent::Accepted { number },
                true => Sent::Repeated { number },
                false => Sent::Conflicting { number },
            });
        }
        let refuses = |outcome: &&Outcome| match self.flaw {
            Some(FinishedRunsTakeMessages) => false,
            Some(FailedRunsTakeMessages) => matches!(outcome, Outcome::Completed { .. }),
            _ => true,
        };
        if let Some(outcome) = head.outcome.as_ref().filter(refuses) {
            return Err(Refusal::Finished { outcome: outcome.clone() }.into());
        }
        Ok(self.accept(run, message, now))
    }

    fn accept(&self, run: &mut Run, message: NewMessage, now: Timestamp) -> Sent {
        let head = &mut run.head;
        head.newest_message = match self.flaw {
            Some(NumbersAreReused) => run.messages.last_key_value().map_or(1, |(newest, _)| newest + 1),
            Some(NumbersBeginAt0) if run.keys.is_empty() => 0,
            _ => head.newest_message + 1,
        };
        let number = head.newest_message;
        head.sizes.messages += message.body.len() as u64;
        let asked = match self.flaw {
            Some(MessagesNeverWake) => false,
            Some(EveryMessageWakes) => true,
            Some(WakeCountsTheNumberSeen) => run.wake_after.is_some_and(|after| number >= after),
            Some(WakeWantsOneMore) => run.wake_after.is_some_and(|after| number > after + 1),
            _ => run.wake_after.is_some_and(|after| number > after),
        };
        let waits = asked && (head.lease.is_none() || self.has(WakeOutlivesTheOpen));
        if waits && (!head.draft || self.has(MessagesWakeDrafts)) {
            head.due = Some(match self.flaw {
                Some(MessageWakesNoEarlierThanTheInstant) => head.due.map_or(now, |due| due.max(now)),
                Some(LaterMessagesMoveTheDue) => now,
                Some(MessageWakesOnlyWithoutAnInstant) => head.due.unwrap_or(now),
                _ => head.due.map_or(now, |due| due.min(now)),
            });
        }
        match self.flaw {
            Some(SendRaisesTheVersion) => head.version += 1,
            Some(SendUpdates) => head.updated_at = now,
            Some(SendForgetsTheCommit) => run.last_commit = None,
            Some(SendForgetsLapses) => head.lapses = 0,
            _ => {}
        }
        let (key, kind, body) = (message.key, message.kind, message.body);
        run.keys.insert(key.clone(), Remembered { number, kind: kind.clone(), body: body.clone() });
        let known = match self.flaw {
            Some(OnlyAHundredKeysAreKnown) => 100,
            Some(ThreeHundredKeysAreKnown) => 300,
            _ => u64::MAX,
        };
        if number > known {
            run.keys.retain(|_, remembered| remembered.number != number - known);
        }
        let id = if self.has(SendersIdIsLost) { OperationId(0) } else { message.id };
        let at = if self.has(MessagesCarryTheRunsTime) { run.head.created_at } else { now };
        let body =
            if self.has(MessagesAreText) { String::from_utf8_lossy(&body).into_owned().into() } else { body };
        run.messages.insert(number, Message { number, id, key, kind, body, at });
        Sent::Accepted { number }
    }

    /// Removes the run; `None` in the slot is a run that is not there.
    pub(crate) fn delete(&self, slot: &mut Option<Run>, guard: Delete, now: Timestamp) -> Result<bool> {
        let Some(run) = slot else {
            return match self.flaw {
                Some(DeletingNothingIsNotFound) => Err(Refusal::NotFound.into()),
                Some(DeletingNothingIsTrue) => Ok(true),
                _ => Ok(false),
            };
        };
        let head = &run.head;
        let guard = if self.has(GuardsAreIgnored) { Delete::Any } else { guard };
        if let Delete::Finished(incarnation) | Delete::NotDriven(incarnation) = guard
            && incarnation != head.fence.incarnation
            && !self.has(GuardsIgnoreTheIncarnation)
        {
            return if self.has(GuardOfAnotherLifeIsFalse) {
                Ok(false)
            } else {
                Err(Refusal::NotFound.into())
            };
        }
        let driven = match self.flaw {
            Some(DrivenEndsLate) => head.lease.as_ref().is_some_and(|lease| lease.until >= now),
            Some(DrivenUntilReleased) => head.lease.is_some(),
            Some(DrivenLooksAtTheDue) => head.due.is_some_and(|due| due > now),
            _ => head.lease.as_ref().is_some_and(|lease| lease.until > now),
        };
        let clash = match guard {
            Delete::Any => (driven && self.has(AnySparesDrivenRuns)).then_some(Clash::Driven),
            Delete::Finished(_) => {
                let waits = self.has(FinishedTakesReleasedRuns) && head.lease.is_none();
                (head.outcome.is_none() && !waits).then_some(Clash::NotFinished)
            }
            Delete::NotDriven(_) => {
                let unfinished = self.has(NotDrivenWantsUnfinished) && head.outcome.is_some();
                (driven && !self.has(NotDrivenTakesDrivenRuns) || unfinished).then_some(Clash::Driven)
            }
        };
        if let Some(clash) = clash {
            return Err(Refusal::Conflict { head: Box::new(run.head(now)), clash }.into());
        }
        *slot = None;
        Ok(true)
    }
}
