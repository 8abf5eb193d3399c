//! The parts of a commit that holds, each written.

use milepost_core::*;

use super::{Rules, Run};
use crate::flaw::*;

impl Rules {
    pub(super) fn write_head(&self, run: &mut Run, commit: &Commit, now: Timestamp) {
        let head = &mut run.head;
        let quiet = commit.records.is_empty();
        head.version += match self.flaw {
            Some(VersionStaysWithoutRecords) if quiet => 0,
            Some(VersionCountsRecords) => commit.records.len().max(1) as u64,
            _ => 1,
        };
        if !(self.has(CommitDoesNotUpdate) || self.has(CommitWithoutRecordsDoesNotUpdate) && quiet) {
            head.updated_at = now;
        }
        head.note = match self.flaw {
            Some(CommitErasesTheNote) => commit.note.clone(),
            Some(CommitIgnoresTheNote) => head.note.take(),
            Some(FirstNoteStays) => head.note.take().or(commit.note.clone()),
            Some(NoteLosesItsTotal) => {
                commit.note.clone().map(|note| Note { total: None, ..note }).or(head.note.take())
            }
            Some(ReleaseErasesTheNote) if matches!(commit.lease, LeaseChange::Release(_)) => None,
            Some(FinishErasesTheNote) if commit.finish.is_some() => None,
            _ => commit.note.clone().or(head.note.take()),
        };
        let advances = match self.flaw {
            Some(AdvancesIsIgnored) => false,
            Some(EveryCommitAdvances) => true,
            Some(RecordsAdvance) => commit.advances || !quiet,
            Some(SnapshotsAdvance) => commit.advances || commit.snapshot.is_some(),
            Some(ReleaseAdvances) => commit.advances || matches!(commit.lease, LeaseChange::Release(_)),
            Some(AdvancesTakesOneLapse) => {
                head.lapses -= u32::from(commit.advances && head.lapses > 0);
                false
            }
            _ => commit.advances,
        };
        if advances {
            head.lapses = 0;
        }
    }

    pub(super) fn write_records(&self, run: &mut Run, mut records: Vec<NewRecord>, now: Timestamp) {
        match self.flaw {
            Some(RecordsComeInReverse) => records.reverse(),
            Some(OnlyTheFirstRecordIsKept) => records.truncate(1),
            Some(BatchesEndAt1000) => records.truncate(1000),
            Some(EqualRecordsAreOne) => records.dedup(),
            Some(EmptyRecordsAreSkipped) => records.retain(|record| !record.body.is_empty()),
            Some(RepeatedIdsAreSkipped) => {
                records
                    .retain(|record| !record.id.as_ref().is_some_and(|id| run.record_ids.contains_key(id)));
            }
            _ => {}
        }
        run.head.cursor += u64::from(self.has(EachCommitLeavesAGap) && !records.is_empty());
        for record in records {
            let head = &mut run.head;
            head.cursor += 1;
            head.sizes.records += record.body.len() as u64;
            if let Some(id) = &record.id {
                let cursor = if self.has(DuplicateTellsTheOldEnd) { head.cursor - 1 } else { head.cursor };
                run.record_ids.insert(self.kept_id(id), cursor);
            }
            let at = if self.has(RecordsCarryTheRunsTime) { head.created_at } else { now };
            run.records.push(self.kept_record(record).at(head.cursor, at));
        }
        if self.has(OnlyAThousandIdsAreKnown) {
            let oldest = run.head.cursor.saturating_sub(1000);
            run.record_ids.retain(|_, cursor| *cursor > oldest);
        }
    }

    fn kept_id(&self, id: &RecordId) -> RecordId {
        match self.flaw {
            Some(RecordIdsIgnoreCase) => RecordId::new(id.as_str().to_lowercase()).unwrap_or(id.clone()),
            Some(RecordIdsAreTrimmed) => RecordId::new(id.as_str().trim()).unwrap_or(id.clone()),
            _ => id.clone(),
        }
    }

    fn kept_record(&self, mut record: NewRecord) -> NewRecord {
        match self.flaw {
            Some(KindsAreLost) => record.kind = Kind::from_static("record"),
            Some(RecordIdsAreLost) => record.id = None,
            Some(NamedBlobsAreLost) => record.blobs.clear(),
            Some(NamedBlobsAreSorted) => record.blobs.sort_by_key(|name| name.0),
            Some(NamedBlobsAreASet) => {
                let mut seen = std::collections::BTreeSet::new();
                record.blobs.retain(|name| seen.insert(name.0));
            }
            _ => record.body = self.kept_body(record.body),
        }
        record
    }

    /// A body as it is stored.
    pub(super) fn kept_body(&self, body: Bytes) -> Bytes {
        match self.flaw {
            Some(BodiesAreText) => String::from_utf8_lossy(&body).into_owned().into(),
            Some(BodiesEndAtNul) => body.split(|byte| *byte == 0).next().unwrap_or_default().to_vec().into(),
            Some(BodiesEndAt64KiB) => body.slice(..body.len().min(64 << 10)),
            Some(BodiesAreTrimmed) => body.trim_ascii().to_vec().into(),
            _ => body,
        }
    }

    pub(super) fn write_blobs(&self, run: &mut Run, commit: &Commit) {
        for name in &commit.drop_blobs {
            let named = run.records.iter().any(|record| record.blobs.contains(name));
            match self.flaw {
                Some(BlobsAreNeverDropped) => continue,
                Some(NamedBlobsAreNotDropped) if named => continue,
                Some(DropTakesTheNames) => {
                    run.records.iter_mut().for_each(|record| record.blobs.retain(|other| other != name));
                }
                Some(DropTakesTheRecords) => run.records.retain(|record| !record.blobs.contains(name)),
                _ => {}
            }
            run.blobs.remove(name);
        }
        if self.has(DropTakesEveryBlob) && !commit.drop_blobs.is_empty() {
            run.blobs.clear();
        }
        for blob in &commit.blobs {
            let body = self.kept_body(blob.body.clone());
            if self.has(EmptyBlobsAreSkipped) && body.is_empty() {
                continue;
            }
            if self.has(SecondBlobWins) {
                run.blobs.insert(blob.name, body);
            } else {
                run.blobs.entry(blob.name).or_insert(body);
            }
        }
    }

    pub(super) fn write_takes(&self, run: &mut Run, commit: &Commit) {
        for number in &commit.take {
            match self.flaw {
                Some(TakenMessagesStay) => {}
                Some(TakeTakesEverythingBefore) => run.messages.retain(|waiting, _| waiting > number),
                Some(TakeTakesOneOnly) => {
                    run.messages.remove(&commit.take[0]);
                }
                Some(TakeForgetsTheKey) => {
                    if let Some(taken) = run.messages.remove(number) {
                        run.keys.remove(&taken.key);
                    }
                }
                Some(TakeAndFinishDoNotMix) if commit.finish.is_some() => {}
                Some(TakeAndReleaseDoNotMix) if commit.lease != LeaseChange::Keep => {}
                _ => {
                    run.messages.remove(number);
                }
            }
        }
    }

    /// Whether a snapshot at `cursor` is kept.
    fn is_kept(&self, run: &Run, cursor: Cursor) -> bool {
        let history = self.offered.supports_history() && !self.has(HistoryTakesNewerOnly);
        let newest = run.snapshots.last_key_value().map(|(newest, _)| *newest);
        let newer = match self.flaw {
            Some(OlderSnapshotsWin) => true,
            Some(SameCursorIsDropped) => newest.is_none_or(|newest| cursor > newest),
            _ => history || newest.is_none_or(|newest| cursor >= newest),
        };
        let reaches = match self.flaw {
            Some(SnapshotsBelowTheTrimmedAreKept) => true,
            Some(SnapshotsAtTheTrimmedAreDropped) => cursor >= run.head.first,
            _ => cursor + 1 >= run.head.first,
        };
        newer && reaches
    }

    pub(super) fn trim_clash(&self, run: &Run, commit: &Commit) -> Option<Clash> {
        let own = commit.snapshot.as_ref().map(|snapshot| snapshot.cursor);
        let own = own.filter(|cursor| self.is_kept(run, *cursor) || self.has(DroppedSnapshotsCount));
        let own = own.filter(|_| !self.has(OwnSnapshotDoesNotCount));
        let mut kept: Vec<Cursor> = run.snapshots.keys().copied().chain(own).collect();
        kept.sort_unstable();
        if !self.has(ReplacedSnapshotsCountTwice) {
            kept.dedup();
        }
        let nth = usize::from(!self.has(TrimMayReachTheNewest));
        let limit = kept.iter().rev().nth(nth).copied().unwrap_or(0);
        let limit = if self.has(TrimStopsOneEarly) { limit.saturating_sub(1) } else { limit };
        let past = commit.trim.is_some_and(|through| through > limit) && !self.has(TrimIsNotJudged);
        past.then_some(Clash::Trim(if self.has(TrimTellsNoLimit) { 0 } else { limit }))
    }

    pub(super) fn write_snapshot(&self, run: &mut Run, snapshot: Snapshot, before: Cursor) {
        if !self.is_kept(run, snapshot.cursor) {
            return;
        }
        let origin = run.head.origin.as_ref().map(|origin| origin.cursor);
        let ends = match self.flaw {
            Some(DraftsNeverEnd) => false,
            Some(AnySnapshotEndsADraft) => true,
            _ => origin == Some(snapshot.cursor),
        };
        run.head.draft &= !ends;
        let cursor = match self.flaw {
            Some(SnapshotsStandAtTheEnd) => run.head.cursor,
            Some(SnapshotsStandAtTheOldEnd) => before,
            _ => snapshot.cursor,
        };
        let body = self.kept_body(snapshot.body);
        match self.flaw {
            Some(EmptySnapshotsAreNone) if body.is_empty() => return,
            Some(FirstSnapshotOfACursorStays) => {
                run.snapshots.entry(cursor).or_insert(body);
            }
            _ => {
                run.snapshots.insert(cursor, body);
            }
        }
        let most = match self.flaw {
            Some(OnlyOneSnapshotIsKept) => 1,
            Some(OnlyTwoSnapshotsAreKept) => 2,
            Some(ThreeSnapshotsAreKept) => 3,
            _ if self.offered.supports_history() => usize::MAX,
            _ => 2,
        };
        while run.snapshots.len() > most {
            run.snapshots.pop_first();
        }
    }

    pub(super) fn write_trim(&self, run: &mut Run, through: Cursor) {
        if self.has(TrimDoesNothing) {
            return;
        }
        let through = through - u64::from(self.has(TrimLeavesOneMore) && through > 0);
        let through =
            through + u64::from(self.has(TrimTakesOneMore) && through < run.head.cursor && through > 0);
        let gone: Vec<Record> = run.records.extract_if(.., |record| record.cursor <= through).collect();
        if !self.has(SizesKeepTheTrimmed) {
            run.head.sizes.records -= gone.iter().map(|record| record.body.len() as u64).sum::<u64>();
        }
        let first = if self.has(TrimMayGoBack) { through + 1 } else { run.head.first.max(through + 1) };
        run.head.first = if self.has(FirstStays) { run.head.first } else { first };
        run.snapshots.retain(|cursor, _| match self.flaw {
            Some(TrimKeepsOlderSnapshots) => true,
            Some(TrimTakesTheSnapshotAtItsCursor) => *cursor > through,
            Some(TrimKeepsTheNewestSnapshotOnly) => {
                *cursor >= run.head.snapshots.first().copied().unwrap_or(0)
            }
            _ => *cursor >= through,
        });
        match self.flaw {
            Some(TrimForgetsIds) => run.record_ids.retain(|_, cursor| *cursor > through),
            Some(TrimDropsBlobs) => {
                for name in gone.iter().flat_map(|record| &record.blobs) {
                    run.blobs.remove(name);
                }
            }
            _ => {}
        }
    }

    /// Extends the lease; never shortens it.
    pub(super) fn extend(&self, lease: &mut Option<Lease>, until: Timestamp) {
        if let Some(lease) = lease {
            lease.until = lease.until.max(until);
        }
    }

    /// What a commit does to the lease.
    pub(super) fn change_lease(&self, run: &mut Run, change: LeaseChange, now: Timestamp) {
        match change {
            LeaseChange::Keep if self.has(KeepExtends) => {
                self.extend(&mut run.head.lease, now + Open::DEFAULT_TTL * 100);
            }
            LeaseChange::Keep => {}
            LeaseChange::Extend(ttl) => {
                let until = self.lease_end(now, ttl);
                match (self.flaw, &mut run.head.lease) {
                    (Some(ExtendDoesNothing), _) => {}
                    (Some(ExtendShortens), Some(lease)) => lease.until = until,
                    (Some(ExtendCountsFromTheOldEnd), Some(lease)) => lease.until = lease.until + ttl,
                    (Some(ExtendRevivesNoExpiredLease), Some(lease)) if lease.until <= now => {}
                    (_, lease) => self.extend(lease, until),
                }
            }
            LeaseChange::Release(wake) => self.release(run, wake, now),
        }
    }

    fn release(&self, run: &mut Run, wake: Wake, now: Timestamp) {
        let head = &mut run.head;
        if !self.has(ReleaseKeepsTheLease) {
            head.lease = None;
        }
        let newest = head.newest_message;
        let there = match self.flaw {
            Some(WakeLooksAtNoMessageThatIsThere) => false,
            Some(WakeLooksAtWhatWaits) => {
                wake.after.is_some_and(|after| run.messages.keys().any(|number| *number > after))
            }
            Some(WakeCountsTheNumberSeen) => wake.after.is_some_and(|after| newest >= after),
            _ => wake.after.is_some_and(|after| newest > after),
        };
        let at = match self.flaw {
            Some(WakeKeepsThePast) => wake.at,
            Some(WakeIgnoresTheInstant) => wake.at.map(|_| now),
            Some(WakeForgetsTheInstantBesideAMessage) if wake.after.is_some() => None,
            Some(WakeAtTheEndOfTimeIsNow) => {
                wake.at.map(|at| if at.0 == i64::MAX { now } else { at.max(now) })
            }
            Some(WakeWithoutAnInstantIsNow) => Some(wake.at.map_or(now, |at| at.max(now))),
            Some(WakeCountsInSeconds) => wake.at.map(|at| Timestamp(at.0 / 1_000_000 * 1_000_000).max(now)),
            Some(WakeWaitsForTheLease) => wake.at.map(|at| at.max(head.due.unwrap_or(now))),
            _ => wake.at.map(|at| at.max(now)),
        };
        head.due = if there { Some(now) } else { at };
        run.wake_after = match self.flaw {
            Some(WakeIgnoresTheMessage) => None,
            Some(WakeForgetsTheMessageBesideAnInstant) if wake.at.is_some() => None,
            _ => wake.after,
        };
        if self.has(ReleaseCountsALapse) {
            head.lapses += 1;
        }
    }

    pub(super) fn write_finish(&self, run: &mut Run, finish: Finish, now: Timestamp) {
        let head = &mut run.head;
        head.delete_after = match (self.flaw, finish.retain) {
            (Some(KeepForIsKeep), Retain::KeepFor(_)) => None,
            (Some(KeepForCountsFromCreation), Retain::KeepFor(duration)) => Some(head.created_at + duration),
            (Some(KeepForCountsFromTheLease), Retain::KeepFor(duration)) => {
                Some(head.lease.as_ref().map_or(now, |lease| lease.until) + duration)
            }
            (Some(KeepIsDelete), Retain::Keep) => Some(now),
            (Some(DeleteIsKeep), Retain::Delete) => None,
            (_, retain) => retain.delete_after(now),
        };
        run.expiry = run.expiry.or(head.delete_after);
        head.outcome = Some(match (self.flaw, finish.outcome) {
            (Some(OutputsAreLost), Outcome::Completed { .. }) => Outcome::Completed { output: Bytes::new() },
            (Some(OutputsAreText), Outcome::Completed { output }) => {
                Outcome::Completed { output: String::from_utf8_lossy(&output).into_owned().into() }
            }
            (Some(EveryFailureIsAnError), Outcome::Failed { failure }) => {
                Outcome::Failed { failure: Failure { kind: FailureKind::Error, ..failure } }
            }
            (Some(FailureMessagesAreCut), Outcome::Failed { failure }) => {
                let message = failure.message.chars().take(100).collect();
                Outcome::Failed { failure: Failure { message, ..failure } }
            }
            (Some(CancelledIsCompleted), Outcome::Failed { failure })
                if failure.kind == FailureKind::Cancelled =>
            {
                Outcome::Completed { output: Bytes::new() }
            }
            (_, outcome) => outcome,
        });
        if !self.has(FinishKeepsTheLease) {
            head.lease = None;
        }
        if !self.has(FinishKeepsTheDue) {
            head.due = None;
        }
        match self.flaw {
            Some(FinishEmptiesTheInbox) => run.messages.clear(),
            Some(FinishDropsBlobs) => run.blobs.clear(),
            Some(FinishDropsSnapshots) => run.snapshots.clear(),
            Some(FinishDropsRecords) => run.records.clear(),
            Some(FinishRaisesTheEpoch) => head.fence.epoch += 1,
            Some(FinishForgetsLapses) => head.lapses = 0,
            _ => {}
        }
    }

    /// Brings what the head tells of snapshots and sizes up to date.
    pub(super) fn summarize(&self, run: &mut Run) {
        fn sum<'a>(bodies: impl Iterator<Item = &'a Bytes>) -> u64 {
            bodies.map(|body| body.len() as u64).sum()
        }
        let mut told: Vec<Cursor> = run.snapshots.keys().rev().take(2).copied().collect();
        match self.flaw {
            Some(HeadTellsOneSnapshot) => told.truncate(1),
            Some(HeadTellsOldSnapshotsFirst) => told.reverse(),
            Some(HeadTellsEverySnapshot) => told = run.snapshots.keys().rev().copied().collect(),
            _ => {}
        }
        let head = &mut run.head;
        head.snapshots = told;
        let messages = sum(run.messages.values().map(|message| &message.body));
        head.sizes = Sizes {
            records: head.sizes.records,
            snapshots: if self.has(SizesCountTheNewestSnapshot) {
                run.snapshots.values().next_back().map_or(0, |body| body.len() as u64)
            } else {
                sum(run.snapshots.values())
            },
            blobs: if self.has(SizesLeaveOutBlobs) { 0 } else { sum(run.blobs.values()) },
            messages: if self.has(SizesKeepTheTaken) { head.sizes.messages } else { messages },
        };
    }
}
