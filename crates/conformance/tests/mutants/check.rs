//! What is refused before anything is looked at, by the contract's own checks, and how that goes wrong.

use milepost_core::*;

use crate::{flaw::*, store::Broken};

impl Broken {
    /// By which offer requests are judged: an undeclared capability that works all the same is judged by all.
    fn judged_by(&self) -> Capabilities {
        let offered = self.rules.offered;
        let all = |capability| offered.with(capability);
        match self.rules.flaw {
            Some(UndeclaredLogWorks) => all(Capability::Log),
            Some(UndeclaredTailStreamWorks) => all(Capability::TailStream),
            Some(UndeclaredSnapshotsWork) => all(Capability::Snapshots),
            Some(UndeclaredHistoryWorks) => all(Capability::History),
            Some(UndeclaredRecordIdsWork) => all(Capability::RecordIds),
            Some(UndeclaredInboxWorks) => all(Capability::Inbox),
            Some(UndeclaredBlobsWork) => all(Capability::Blobs),
            Some(UndeclaredListWorks) => all(Capability::List),
            Some(UndeclaredFollowWorks) => all(Capability::Follow),
            Some(DeclaredHistoryIsUnsupported) => offered.without(Capability::History),
            Some(DeclaredFollowIsUnsupported) => offered.without(Capability::Follow),
            Some(DeclaredBlobsAreUnsupported) => offered.without(Capability::Blobs),
            Some(DeclaredListIsUnsupported) => offered.without(Capability::List),
            Some(DeclaredTailStreamIsUnsupported) => offered.without(Capability::TailStream),
            _ => self.with_other_limits(offered),
        }
    }

    fn with_other_limits(&self, mut offered: Capabilities) -> Capabilities {
        let limits = &mut offered.limits;
        match self.rules.flaw {
            Some(RecordsMayBeOneByteOver) => limits.record += 1,
            Some(RecordsMustBeOneByteUnder) => limits.record -= 1,
            Some(SnapshotsMayBeOneByteOver) => limits.snapshot += 1,
            Some(SnapshotsMustBeOneByteUnder) => limits.snapshot -= 1,
            Some(BlobsMayBeOneByteOver) => limits.blob += 1,
            Some(BlobsMustBeOneByteUnder) => limits.blob -= 1,
            Some(CommitsHaveNoLimit) => limits.commit = u64::MAX,
            Some(CommitsMustBeOneByteUnder) => limits.commit -= 1,
            Some(RunIdsMayBeOneByteOver) => limits.run_id += 1,
            Some(RunIdsMustBeOneByteUnder) => limits.run_id -= 1,
            _ => {}
        }
        offered
    }

    /// The error that this store makes of one.
    fn as_it_says<T>(&self, checked: Result<T>) -> Result<T> {
        checked.map_err(|error| match (self.rules.flaw, error.kind()) {
            (Some(UnsupportedIsInvalid), ErrorKind::Unsupported) => {
                Error::new(ErrorKind::Invalid, "not offered")
            }
            (Some(UnsupportedTellsAnotherCapability), ErrorKind::Unsupported) => {
                Refusal::Unsupported { capability: Capability::BatchCommit }.into()
            }
            (Some(TooLargeIsInvalid), ErrorKind::TooLarge) => Error::new(ErrorKind::Invalid, "too large"),
            _ => error,
        })
    }

    pub(crate) fn check_open(&self, run: &RunId, open: &Open) -> Result<()> {
        match open.check(run, &self.judged_by()) {
            Err(error) if error.kind() == ErrorKind::TooLarge && self.has(InfoHasNoLimit) => Ok(()),
            Err(_) if open.ttl.is_zero() && self.has(NoTimeIsATtl) => Ok(()),
            Err(_) if open.origin.is_some() && self.has(OriginsMayLieAnywhere) => Ok(()),
            checked => self.as_it_says(checked),
        }
    }

    pub(crate) fn check_commit(&self, mut commit: Commit) -> Result<Commit> {
        let checked = commit.check(&self.judged_by());
        let Err(error) = checked else { return Ok(commit) };
        match (self.rules.flaw, error.kind()) {
            (Some(UndeclaredPartsAreIgnored), ErrorKind::Unsupported) => {
                commit.blobs.clear();
                commit.drop_blobs.clear();
                commit.records.iter_mut().for_each(|record| record.blobs.clear());
                Ok(commit)
            }
            (Some(RefusedRecordsAreLeftOut), ErrorKind::TooLarge) => {
                commit.records.retain(|record| record.body.len() as u64 <= self.rules.offered.limits.record);
                Ok(commit)
            }
            (Some(NotesHaveNoLimit), ErrorKind::TooLarge) if commit.note.is_some() => Ok(commit),
            (Some(OutcomesHaveNoLimit), ErrorKind::TooLarge) if commit.finish.is_some() => Ok(commit),
            (Some(FailuresHaveNoLimit), ErrorKind::TooLarge)
                if matches!(&commit.finish, Some(Finish { outcome: Outcome::Failed { .. }, .. })) =>
            {
                Ok(commit)
            }
            (Some(OnlyRecordsCountForACommit), ErrorKind::TooLarge)
                if commit.records.iter().map(|record| record.body.len() as u64).sum::<u64>()
                    <= self.rules.offered.limits.commit =>
            {
                Ok(commit)
            }
            (Some(ReleaseForNothingIsTaken), ErrorKind::Invalid)
                if matches!(commit.lease, LeaseChange::Release(_)) =>
            {
                Ok(commit)
            }
            (Some(CarriedAndDroppedIsTaken), ErrorKind::Invalid) if !commit.drop_blobs.is_empty() => {
                Ok(commit)
            }
            (Some(OutcomeAndReleaseIsTaken), ErrorKind::Invalid) if commit.finish.is_some() => Ok(commit),
            (Some(TakenTwiceIsTaken), ErrorKind::Invalid) if !commit.take.is_empty() => Ok(commit),
            (Some(ChecksComeAfterTheRun), _) => {
                self.read(&commit.run.clone(), Operation::Commit, |_| Ok(()))?;
                Err(error)
            }
            _ => self.as_it_says(Err(error)),
        }
    }

    pub(crate) fn check_renew(&self, renew: &Renew) -> Result<()> {
        match renew.check() {
            Err(_) if renew.ttl.is_zero() && self.has(NoTimeIsARenewal) => Ok(()),
            checked => self.as_it_says(checked),
        }
    }

    pub(crate) fn check_send(&self, run: &RunId, message: &NewMessage) -> Result<()> {
        match message.check(run, &self.judged_by()) {
            Err(error) if error.kind() == ErrorKind::TooLarge && self.has(MessagesHaveNoLimit) => Ok(()),
            checked => self.as_it_says(checked),
        }
    }

    pub(crate) fn check_at(&self, at: At) -> Result<()> {
        self.as_it_says(at.check(&self.judged_by()))
    }

    pub(crate) fn check_log(&self, span: &Span) -> Result<()> {
        match span.check_log(&self.judged_by()) {
            Err(error) if error.kind() == ErrorKind::Invalid && self.has(FollowingInReverseIsTaken) => Ok(()),
            checked => self.as_it_says(checked),
        }
    }

    pub(crate) fn check_inbox(&self, span: &Span) -> Result<()> {
        match span.check_inbox(&self.judged_by()) {
            Err(error) if error.kind() == ErrorKind::Invalid && self.has(FollowingInReverseIsTaken) => Ok(()),
            checked => self.as_it_says(checked),
        }
    }

    pub(crate) fn check_blobs(&self) -> Result<()> {
        self.as_it_says(self.judged_by().require(Capability::Blobs))
    }

    pub(crate) fn check_list(&self, query: &Query) -> Result<()> {
        self.as_it_says(query.check(&self.judged_by()))
    }
}
