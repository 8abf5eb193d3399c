//! Opening: create, resume, take over.

use std::collections::BTreeMap;

use milepost_core::*;

use super::{LastOpen, Mint, Rules, Run};
use crate::flaw::*;

impl Rules {
    /// Creates, resumes or takes over.
    pub(crate) fn open(
        &self,
        slot: &mut Option<Run>,
        id: &RunId,
        open: Open,
        mint: Mint,
        now: Timestamp,
    ) -> Result<Opened> {
        let lease = Lease { owner: open.owner.clone(), until: self.lease_end(now, open.ttl) };
        let replaces = self.has(CreateReplaces) && open.mode == Mode::Create;
        let Some(run) = slot.as_mut().filter(|_| !replaces) else {
            let run = slot.insert(self.create(id, open, mint, lease, now)?);
            let created = !self.has(CreationIsNotSaid);
            return Ok(Opened { fence: run.head.fence, head: run.head(now), created });
        };
        let expired = run.head.lease.as_ref().is_some_and(|lease| lease.until <= now);
        if self.is_repeated(run, &open) && !(expired && self.has(OpenIdEndsWithTheLease)) {
            if self.has(RepeatedOpenExtendsTheLease) || expired && self.has(RepeatedOpenRevivesTheLease) {
                run.head.due = Some(lease.until);
                run.head.lease = Some(lease);
            }
            let created = run.last_open.created && !self.has(RepeatedOpenSaysNotCreated);
            return Ok(Opened { fence: run.head.fence, head: run.head(now), created });
        }
        if self.has(RefusedOpenExtendsTheLease)
            && let Some(held) = &mut run.head.lease
        {
            held.until = held.until.max(lease.until);
            run.head.due = Some(held.until);
        }
        let same_owner = run.head.lease.as_ref().is_some_and(|held| held.owner == open.owner);
        if self.has(OwnerGetsItsFenceBack) && same_owner {
            return Ok(Opened { fence: run.head.fence, head: run.head(now), created: false });
        }
        let before = run.head(now);
        self.may_open(&run.head, &open, now)?;
        self.take_over(run, open, mint, lease, now);
        let head = if self.has(OpenAnswersTheOldHead) { before } else { run.head(now) };
        Ok(Opened { fence: run.head.fence, head, created: self.has(CreationIsAlwaysSaid) })
    }

    fn is_repeated(&self, run: &Run, open: &Open) -> bool {
        let unchanged = run.last_open.version == run.head.version || self.has(RepeatedOpenIsAnsweredForEver);
        run.last_open.id == open.id && unchanged && !self.has(OpenIdIsForgotten)
    }

    fn take_over(&self, run: &mut Run, open: Open, mint: Mint, lease: Lease, now: Timestamp) {
        let head = &mut run.head;
        let reopened = head.outcome.is_some();
        if reopened {
            if !self.has(ReopenKeepsTheOutcome) {
                head.outcome = None;
            }
            if !self.has(ReopenKeepsDeleteAfter) {
                head.delete_after = None;
            }
            if !self.has(ReopenKeepsTheLapses) {
                head.lapses = 0;
            }
            if self.has(ReopenEmptiesTheInbox) {
                run.messages.clear();
            }
        } else {
            let counts = match self.flaw {
                Some(ReleasedRunsLapse) => true,
                Some(OverIsNoLapse) => head.lease.as_ref().is_some_and(|lease| lease.until <= now),
                Some(LapsesAreNotCounted) => false,
                Some(LapsesStopAtOne) => head.lease.is_some() && head.lapses == 0,
                _ => head.lease.is_some(),
            };
            head.lapses += u32::from(counts) * if self.has(LapsesCountTwice) { 2 } else { 1 };
        }
        let fence = head.fence;
        let epoch = fence.epoch + u64::from(!self.has(EpochStays));
        let epoch = if self.has(EpochRestartsWithARelease) && head.lease.is_none() { 1 } else { epoch };
        let token = if self.has(TokenStays) { fence.token } else { mint.token };
        head.fence = Fence { epoch, token, ..fence };
        if self.has(TakeoverChangesTheIncarnation) {
            head.fence.incarnation = mint.incarnation;
        }
        head.version += u64::from(!self.has(OpenKeepsTheVersion));
        if !self.has(OpenDoesNotUpdate) {
            head.updated_at = now;
        }
        if self.has(OpenMovesCreation) {
            head.created_at = now;
        }
        let owner = head.lease.as_ref().map(|lease| lease.owner.clone());
        let due = if self.has(TakeoverKeepsTheOldDue) { head.due } else { Some(lease.until) };
        head.due = due.filter(|_| !head.draft);
        head.lease = Some(lease);
        if self.has(TakeoverKeepsTheOwner)
            && let (Some(lease), Some(owner)) = (&mut head.lease, owner)
        {
            lease.owner = owner;
        }
        self.forget(run, open);
    }

    /// What an open must leave alone, and some do not.
    fn forget(&self, run: &mut Run, open: Open) {
        let head = &mut run.head;
        if self.has(InfoIsReplaced) {
            head.info = open.info.unwrap_or(head.info.clone());
        }
        if self.has(OriginIsReplaced) {
            head.origin = open.origin;
        }
        match self.flaw {
            Some(TakeoverForgetsTheCommit) => run.last_commit = None,
            Some(TakeoverForgetsTheNote) => head.note = None,
            Some(TakeoverEmptiesTheInbox) => run.messages.clear(),
            Some(TakeoverForgetsRecordIds) => run.record_ids.clear(),
            Some(TakeoverForgetsKeys) => run.keys.clear(),
            Some(TakeoverDropsBlobs) => run.blobs.clear(),
            Some(TakeoverDropsSnapshots) => run.snapshots.clear(),
            Some(TakeoverDropsTheLastRecord) => {
                head.cursor -= run.records.pop().map_or(0, |_| 1);
            }
            Some(TakeoverForgetsTheTrim) => head.first = 1,
            _ => {}
        }
        if !self.has(WakeOutlivesTheOpen) {
            run.wake_after = None;
        }
        run.last_open = LastOpen { id: open.id, version: run.head.version, created: false };
    }

    /// A run as its first open leaves it.
    fn create(&self, id: &RunId, open: Open, mint: Mint, lease: Lease, now: Timestamp) -> Result<Run> {
        let (Some(info), Some(manifest)) = (open.info, open.manifest) else {
            return Err(Refusal::NotFound.into());
        };
        if open.mode == Mode::Resume && !self.has(ResumeCreates) {
            return Err(Refusal::NotFound.into());
        }
        let start = open.origin.as_ref().map_or(0, |origin| origin.cursor);
        let draft = match self.flaw {
            Some(DraftsAreOrdinary) => false,
            Some(OriginAt0IsNoDraft) => start > 0,
            _ => open.origin.is_some(),
        };
        let mut origin = open.origin;
        if self.has(LineageIsLost)
            && let Some(origin) = &mut origin
        {
            origin.lineage = None;
        }
        let (incarnation, token) = match self.flaw {
            Some(IncarnationIsTheName) => (Incarnation(7), Token(7)),
            Some(IncarnationIsReused) => (Incarnation(7), mint.token),
            _ => (mint.incarnation, mint.token),
        };
        let due = (!draft || self.has(DraftsAreDue)).then_some(lease.until);
        let head = Head {
            run: id.clone(),
            info: self.kept_info(info),
            manifest,
            version: if self.has(VersionBeginsAt0) { 0 } else { 1 },
            cursor: start,
            first: if self.has(DraftsBeginAt1) { 1 } else { start + 1 },
            snapshots: Vec::new(),
            fence: Fence { incarnation, epoch: 1, token },
            lease: Some(lease),
            due,
            lapses: 0,
            newest_message: 0,
            note: None,
            created_at: now,
            updated_at: now,
            sizes: Sizes::default(),
            origin,
            draft,
            outcome: None,
            delete_after: None,
            at: now,
        };
        Ok(Run {
            last_open: LastOpen { id: open.id, version: head.version, created: true },
            head,
            wake_after: None,
            last_commit: None,
            records: Vec::new(),
            record_ids: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            blobs: BTreeMap::new(),
            messages: BTreeMap::new(),
            keys: BTreeMap::new(),
            expiry: None,
        })
    }

    fn kept_info(&self, mut info: RunInfo) -> RunInfo {
        match self.flaw {
            Some(LabelsAreDropped) => info.labels.clear(),
            Some(EmptyLabelsAreDropped) => info.labels.retain(|_, value| !value.is_empty()),
            Some(LabelKeysAreLowered) => {
                info.labels =
                    info.labels.into_iter().map(|(key, value)| (key.to_lowercase(), value)).collect();
            }
            Some(ParentIsDropped) => info.parent = None,
            Some(MetaIsDropped) => info.meta = Bytes::new(),
            Some(MetaIsText) => info.meta = String::from_utf8_lossy(&info.meta).into_owned().into(),
            Some(NameIsTrimmed) => info.name = info.name.trim().to_owned(),
            _ => {}
        }
        info
    }

    /// Whether a run that exists may be opened.
    fn may_open(&self, head: &Head, open: &Open, now: Timestamp) -> Result<()> {
        if open.mode == Mode::Create && !self.has(CreateOpensWhatExists) {
            return Err(Refusal::AlreadyExists.into());
        }
        let held = || self.check_due(head, open, now);
        if self.has(LeaseComesBeforeManifest) && head.outcome.is_none() {
            held()?;
        }
        let other = open.manifest.filter(|given| *given != head.manifest && !self.has(ManifestIsNotCompared));
        if let Some(given) = other {
            let stored = if self.has(MismatchTellsTheGivenManifest) { given } else { head.manifest };
            return Err(Refusal::ManifestMismatch { stored, given }.into());
        }
        match &head.outcome {
            Some(Outcome::Failed { .. }) if open.reopen_failed || self.has(FailedRunsOpenUnasked) => Ok(()),
            Some(Outcome::Completed { .. }) if open.reopen_failed && self.has(CompletedRunsReopen) => Ok(()),
            Some(outcome) => Err(Refusal::Finished { outcome: outcome.clone() }.into()),
            None => held(),
        }
    }

    fn check_due(&self, head: &Head, open: &Open, now: Timestamp) -> Result<()> {
        let over = match (self.flaw, open.takeover) {
            (Some(OverTakesWhateverFence), Takeover::Over(_)) => true,
            (Some(OverLooksAtTheEpoch), Takeover::Over(fence)) => fence.epoch == head.fence.epoch,
            (Some(OverLooksAtTheToken), Takeover::Over(fence)) => {
                fence.incarnation == head.fence.incarnation && fence.token == head.fence.token
            }
            (Some(OverIsIgnored), _) => false,
            (Some(OverTakesNoWaitingRun), takeover) => {
                head.lease.is_some() && takeover == Takeover::Over(head.fence)
            }
            (Some(OverTakesNoDraft), takeover) => !head.draft && takeover == Takeover::Over(head.fence),
            (Some(OverAnOlderFenceIsFenced), Takeover::Over(fence)) if fence != head.fence => {
                return Err(Refusal::Fenced { current: head.fence }.into());
            }
            (_, takeover) => takeover == Takeover::Over(head.fence),
        };
        let same_owner = head.lease.as_ref().is_some_and(|held| held.owner == open.owner);
        let due = match self.flaw {
            Some(LiveLeasesAreTaken) => true,
            Some(OwnersMayReopen) if same_owner => true,
            Some(WaitingRunsAreOpened) if head.lease.is_none() => true,
            Some(WaitingRunsAreOpenedWhenOnlyAMessageWakes) if head.lease.is_none() && head.due.is_none() => {
                true
            }
            Some(LeaseEndsLate) => head.due.is_some_and(|due| due < now),
            Some(LeaseEndsEarly) => head.due.is_some_and(|due| due.0 <= now.0 + 1),
            Some(GraceAfterTheLease) => {
                head.due.is_some_and(|due| due + std::time::Duration::from_secs(5) <= now)
            }
            _ => head.due.is_some_and(|due| due <= now),
        };
        if over || due {
            return Ok(());
        }
        let owner = head.lease.as_ref().map(|lease| lease.owner.clone());
        let expires_in = head.due.map(|due| due.since(now));
        Err(match self.flaw {
            Some(HeldTellsNoOwner) => Refusal::LeaseHeld { owner: None, expires_in },
            Some(HeldTellsNoTime) => Refusal::LeaseHeld { owner, expires_in: None },
            Some(HeldTellsZeroForAMessage) => {
                Refusal::LeaseHeld { owner, expires_in: Some(expires_in.unwrap_or_default()) }
            }
            Some(HeldTellsTheCallerAsOwner) => {
                Refusal::LeaseHeld { owner: Some(open.owner.clone()), expires_in }
            }
            _ => Refusal::LeaseHeld { owner, expires_in },
        }
        .into())
    }
}
