//! A commit: its verdict, then its writing.

use std::collections::BTreeMap;

use milepost_core::*;

use super::{LastCommit, Rules, Run, Writes};
use crate::flaw::*;

fn writes(commit: &Commit) -> Writes {
    match (&commit.lease, &commit.finish) {
        (LeaseChange::Release(_), _) => Writes::Release,
        (_, Some(_)) => Writes::Finish,
        _ if commit.records.is_empty() => Writes::NoRecords,
        _ => Writes::Records,
    }
}

impl Rules {
    /// The one atomic write.
    pub(crate) fn commit(&self, run: &mut Run, commit: Commit, now: Timestamp) -> Result<Committed> {
        let another = commit.fence.incarnation != run.head.fence.incarnation;
        if another && self.has(AnotherLifeIsFenced) {
            return Err(Refusal::Fenced { current: run.head.fence }.into());
        }
        if another && !self.has_any(&[IncarnationIsIgnored, FenceIsIgnored]) {
            return Err(Refusal::NotFound.into());
        }
        if self.has(FencedComesBeforeReplay) {
            self.check_fence(&run.head, commit.fence, writes(&commit))?;
        }
        let digest = match self.flaw {
            Some(DigestLeavesOutTheSnapshot) => Commit { snapshot: None, ..commit.clone() }.digest(),
            Some(DigestLeavesOutTheLease) => Commit { lease: LeaseChange::Keep, ..commit.clone() }.digest(),
            Some(DigestLeavesOutTheNote) => Commit { note: None, ..commit.clone() }.digest(),
            Some(DigestLeavesOutTheOutcome) => Commit { finish: None, ..commit.clone() }.digest(),
            Some(DigestIsOfTheRecords) => {
                let records = commit.records.clone();
                Commit::new(commit.run.clone(), commit.fence, commit.id, commit.expect)
                    .records(records)
                    .digest()
            }
            _ => commit.digest(),
        };
        if let Some(answer) = self.replayed(run, &commit, digest, now) {
            return answer;
        }
        let expired = run.head.lease.as_ref().is_some_and(|lease| lease.until <= now);
        if expired && self.has(ExpiredFencesAreRefused) {
            return Err(Refusal::Fenced { current: run.head.fence }.into());
        }
        if self.has(ConflictComesBeforeFenced) && commit.expect != run.head.version {
            return Err(Refusal::Conflict { head: Box::new(run.head(now)), clash: Clash::Version }.into());
        }
        self.check_fence(&run.head, commit.fence, writes(&commit))?;
        if self.has(DuplicateComesBeforeConflict)
            && let Some(cursor) = self.duplicate(run, &commit)
        {
            return Err(Refusal::Duplicate { cursor }.into());
        }
        let untouched = run.head(now);
        let refused = match self.clash(run, &commit) {
            Some(clash) => {
                let head = match self.flaw {
                    Some(ConflictTellsAnOldHead) => Head { version: commit.expect, ..untouched },
                    Some(ConflictTellsTheLastChange) => Head { at: untouched.updated_at, ..untouched },
                    _ => untouched,
                };
                Some(Refusal::Conflict { head: Box::new(head), clash })
            }
            None => self.duplicate(run, &commit).map(|cursor| Refusal::Duplicate { cursor }),
        };
        if let Some(refusal) = refused {
            self.spoil(run, commit, digest, now);
            return Err(refusal.into());
        }
        let (id, fence) = (commit.id, commit.fence);
        self.write(run, commit, now);
        let (version, cursor) = (run.head.version, run.head.cursor);
        let silent =
            self.has(ReplayForgottenWithTheRelease) && run.head.lease.is_none() && run.head.outcome.is_none()
                || self.has(ReplayForgottenWithTheOutcome) && run.head.outcome.is_some();
        run.last_commit = (!silent).then_some(LastCommit { id, digest, fence, version, cursor });
        Ok(Committed { version, cursor, replayed: false })
    }

    /// The answer to a commit whose id is remembered, if that settles it.
    fn replayed(
        &self,
        run: &mut Run,
        commit: &Commit,
        digest: Digest,
        now: Timestamp,
    ) -> Option<Result<Committed>> {
        if self.has(CommitsAreForgotten) {
            return None;
        }
        let last = run.last_commit.clone().filter(|last| last.id == commit.id)?;
        let same = last.digest == digest || self.has(DigestIsIgnored);
        if !same {
            if self.has(ReusedIdsAreConflicts) {
                let head = Box::new(run.head(now));
                return Some(Err(Refusal::Conflict { head, clash: Clash::Version }.into()));
            }
            return (!self.has(ReusedIdsGoOn)).then(|| Err(Refusal::IdReused.into()));
        }
        if last.fence != commit.fence && !self.has(ReplayIgnoresTheFence) {
            return None;
        }
        let LastCommit { version, cursor, .. } = last;
        match self.flaw {
            Some(ReplayIsNotSaid) => return Some(Ok(Committed { version, cursor, replayed: false })),
            Some(ReplayTellsTheNewestVersion) => {
                let (version, cursor) = (run.head.version, run.head.cursor);
                return Some(Ok(Committed { version, cursor, replayed: true }));
            }
            Some(ReplayAppendsAgain) => {
                let records = commit.records.clone();
                for (record, cursor) in records.into_iter().zip(run.head.cursor + 1..) {
                    run.records.push(record.at(cursor, now));
                    run.head.cursor = cursor;
                }
            }
            Some(ReplayChangesTheLease) => self.change_lease(run, commit.lease, now),
            Some(ReplayReplacesTheNote) => run.head.note = commit.note.clone().or(run.head.note.take()),
            Some(ReplayForgetsLapses) if commit.advances => run.head.lapses = 0,
            Some(ReplayUpdates) => run.head.updated_at = now,
            Some(ReplayRaisesTheVersion) => run.head.version += 1,
            Some(ReplayWorksOnce) => run.last_commit = None,
            Some(ReplayEndsWithTheLease)
                if run.head.lease.as_ref().is_some_and(|lease| lease.until <= now) =>
            {
                return None;
            }
            _ => {}
        }
        Some(Ok(Committed { version, cursor, replayed: true }))
    }

    /// What a refused commit must not do, and in some stores does.
    fn spoil(&self, run: &mut Run, commit: Commit, digest: Digest, now: Timestamp) {
        match self.flaw {
            Some(RefusedCommitsKeepRecords) => {
                for (record, cursor) in commit.records.into_iter().zip(run.head.cursor + 1..) {
                    run.records.push(record.at(cursor, now));
                    run.head.cursor = cursor;
                }
            }
            Some(RefusedCommitsKeepBlobs) => {
                run.blobs.extend(commit.blobs.into_iter().map(|blob| (blob.name, blob.body)));
            }
            Some(RefusedCommitsDropBlobs) => run.blobs.retain(|name, _| !commit.drop_blobs.contains(name)),
            Some(RefusedCommitsKeepSnapshots) => {
                run.snapshots.extend(commit.snapshot.map(|snapshot| (snapshot.cursor, snapshot.body)));
            }
            Some(RefusedCommitsTake) => run.messages.retain(|number, _| !commit.take.contains(number)),
            Some(RefusedCommitsKeepTheNote) => run.head.note = commit.note.or(run.head.note.take()),
            Some(RefusedCommitsExtend | RefusedCommitsRelease) => {
                let releases = matches!(commit.lease, LeaseChange::Release(_));
                if releases == self.has(RefusedCommitsRelease) {
                    self.change_lease(run, commit.lease, now);
                }
            }
            Some(RefusedCommitsForgetLapses) if commit.advances => run.head.lapses = 0,
            Some(RefusedCommitsRaiseTheVersion) => run.head.version += 1,
            Some(RefusedCommitsUpdate) => run.head.updated_at = now,
            Some(RefusedCommitsAreRemembered) => {
                let (version, cursor) = (run.head.version, run.head.cursor);
                run.last_commit =
                    Some(LastCommit { id: commit.id, digest, fence: commit.fence, version, cursor });
            }
            Some(RefusedCommitsForgetTheLast) => run.last_commit = None,
            Some(RefusedCommitsRememberRecordIds) => {
                let ids = commit.records.into_iter().filter_map(|record| record.id);
                let cursor = run.head.cursor + 1;
                ids.for_each(|id| {
                    run.record_ids.entry(id).or_insert(cursor);
                });
            }
            _ => {}
        }
    }

    /// In what the run is not as the commit assumes, if in anything.
    fn clash(&self, run: &Run, commit: &Commit) -> Option<Clash> {
        let version = run.head.version;
        let other_version = match self.flaw {
            Some(ExpectIsIgnored) => false,
            Some(ExpectMayBeLower) => commit.expect > version,
            Some(ExpectMayBeHigher) => commit.expect < version,
            Some(ExpectIsIgnoredWithoutRecords) => commit.expect != version && !commit.records.is_empty(),
            Some(ExpectIsIgnoredByRelease) => {
                commit.expect != version && !matches!(commit.lease, LeaseChange::Release(_))
            }
            Some(ExpectIsIgnoredByFinish) => commit.expect != version && commit.finish.is_none(),
            _ => commit.expect != version,
        };
        if other_version && !self.has(VersionComesLast) {
            return Some(Clash::Version);
        }
        let gone = commit.take.iter().find(|number| !run.messages.contains_key(number));
        if let Some(number) = gone.filter(|_| !self.has(TakingNothingIsNoConflict)) {
            let number = if self.has(NotWaitingTellsTheFirst) { commit.take[0] } else { *number };
            return Some(Clash::NotWaiting(number));
        }
        let end = run.head.cursor + commit.records.len() as u64;
        let ahead = commit.snapshot.as_ref().filter(|snapshot| match self.flaw {
            Some(SnapshotsMayRunAhead) => false,
            Some(SnapshotsStandAtMostAtTheOldEnd) => snapshot.cursor > run.head.cursor,
            Some(SnapshotsMayRunOneAhead) => snapshot.cursor > end + 1,
            _ => snapshot.cursor > end,
        });
        if let Some(snapshot) = ahead.filter(|_| self.has(SnapshotCursorComesBeforeMissingBlob)) {
            return Some(Clash::SnapshotCursor(snapshot.cursor));
        }
        if let Some(name) = self.missing_blob(run, commit) {
            return Some(Clash::MissingBlob(name));
        }
        if let Some(snapshot) = ahead {
            return Some(Clash::SnapshotCursor(snapshot.cursor));
        }
        if let Some(clash) = self.trim_clash(run, commit) {
            return Some(clash);
        }
        other_version.then_some(Clash::Version)
    }

    fn missing_blob(&self, run: &Run, commit: &Commit) -> Option<Digest> {
        let carried = |name: &Digest| {
            commit.blobs.iter().any(|blob| blob.name == *name) && !self.has(CarriedBlobsAreMissing)
        };
        let dropped =
            |name: &Digest| commit.drop_blobs.contains(name) && !self.has(DroppedBlobsCanStillBeNamed);
        let stored = |name: &Digest| {
            run.blobs.contains_key(name) && !dropped(name) && !self.has(StoredBlobsAreMissing)
        };
        let named: Vec<&Digest> = match self.flaw {
            Some(MissingBlobsAreNamed) => vec![],
            Some(OnlyTheFirstBlobIsLookedUp) => {
                commit.records.iter().filter_map(|record| record.blobs.first()).collect()
            }
            Some(OnlyTheFirstRecordsBlobsAreLookedUp) => {
                commit.records.iter().take(1).flat_map(|record| &record.blobs).collect()
            }
            _ => commit.records.iter().flat_map(|record| &record.blobs).collect(),
        };
        named.into_iter().find(|name| !carried(name) && !stored(name)).copied()
    }

    /// Where the first record stands whose id the commit repeats.
    fn duplicate(&self, run: &Run, commit: &Commit) -> Option<Cursor> {
        if self.has_any(&[RecordIdsAreIgnored, RepeatedIdsAreSkipped]) {
            return None;
        }
        let ids = || {
            let numbered = commit.records.iter().zip(run.head.cursor + 1..);
            numbered.filter_map(|(record, at)| Some((self.record_id(record.id.as_ref()?), at)))
        };
        let forgotten = |at: &Cursor| self.has(WindowCountsRecords) && at + 4_096 <= run.head.cursor;
        let known = ids().find_map(|(id, _)| run.record_ids.get(&id).copied().filter(|at| !forgotten(at)));
        let mut seen = BTreeMap::new();
        let twice = ids().find_map(|(id, cursor)| seen.insert(id, cursor));
        match self.flaw {
            Some(IdsAreComparedWithinTheCommitOnly) => twice,
            Some(IdsAreComparedWithTheRunOnly) => known,
            Some(IdsOfTheCommitAreComparedFirst) => twice.or(known),
            Some(DuplicateTellsTheNewestCursor) => known.or(twice).map(|_| run.head.cursor),
            Some(OnlyTheFirstIdIsLookedUp) => {
                ids().next().and_then(|(id, _)| run.record_ids.get(&id).copied()).or(twice)
            }
            _ => known.or(twice),
        }
    }

    fn record_id(&self, id: &RecordId) -> RecordId {
        match self.flaw {
            Some(RecordIdsIgnoreCase) => RecordId::new(id.as_str().to_lowercase()).unwrap_or(id.clone()),
            Some(RecordIdsAreCut) => {
                let cut = id.as_str().floor_char_boundary(191);
                RecordId::new(&id.as_str()[..cut]).unwrap_or(id.clone())
            }
            Some(RecordIdsAreTrimmed) => RecordId::new(id.as_str().trim()).unwrap_or(id.clone()),
            _ => id.clone(),
        }
    }

    /// Writes a commit that holds.
    fn write(&self, run: &mut Run, mut commit: Commit, now: Timestamp) {
        let (before, draft) = (run.head.cursor, run.head.draft);
        self.write_head(run, &commit, now);
        self.write_records(run, std::mem::take(&mut commit.records), now);
        self.write_blobs(run, &commit);
        self.write_takes(run, &commit);
        if let Some(snapshot) = commit.snapshot.clone() {
            self.write_snapshot(run, snapshot, before);
        }
        if let Some(through) = commit.trim {
            self.write_trim(run, through);
        }
        self.change_lease(run, commit.lease, now);
        if let Some(finish) = commit.finish {
            self.write_finish(run, finish, now);
        }
        let head = &mut run.head;
        if head.draft && !self.has_any(&[DraftsAreDue, MessagesWakeDrafts]) {
            head.due = None;
        } else if let Some(lease) = &head.lease
            && !self.has(ExtendDoesNotMoveTheDue)
        {
            head.due = Some(lease.until);
        }
        if draft && !head.draft && head.lease.is_none() && self.has(EndOfADraftForgetsItsWake) {
            head.due = None;
        }
        self.summarize(run);
    }
}
