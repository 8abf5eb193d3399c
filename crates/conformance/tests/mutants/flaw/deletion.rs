//! Deletions: guards, and what is left behind.

use super::flaws;

flaws! { DELETION:
    /// Deleting what is not there is `NotFound`.
    DeletingNothingIsNotFound => "deletion/an-unknown-run-is-false",
    /// Deleting what is not there says that it did.
    DeletingNothingIsTrue => "deletion/an-unknown-run-is-false",
    /// A deletion says that it did and did not.
    DeletionDoesNothing => "deletion/not-driven-removes-a-run-whose-lease-ran-out",
    /// The guard of a deletion is not looked at.
    GuardsAreIgnored => "deletion/not-driven-looks-at-the-lease-of-a-draft",
    /// The guard of a deletion does not look at the incarnation.
    GuardsIgnoreTheIncarnation => "deletion/guards-refuse-another-life",
    /// A guard of another life answers that there was none.
    GuardOfAnotherLifeIsFalse => "deletion/guards-refuse-another-life",
    /// A guard for a finished run takes one that was released.
    FinishedTakesReleasedRuns => "deletion/finished-refuses-an-unfinished-run",
    /// A guard for a run that nobody drives takes one that is driven.
    NotDrivenTakesDrivenRuns => "deletion/not-driven-refuses-a-driven-run",
    /// A guard for a run that nobody drives refuses a finished one.
    NotDrivenWantsUnfinished => "deletion/not-driven-removes-what-nobody-drives",
    /// A run is driven at the very end of its lease.
    DrivenEndsLate => "deletion/not-driven-removes-from-the-leases-end-on",
    /// A run is driven until its lease is released, though it has run out.
    DrivenUntilReleased => "deletion/not-driven-removes-a-run-whose-lease-ran-out",
    /// A run that waits is driven, and a draft is not.
    DrivenLooksAtTheDue => "deletion/not-driven-looks-at-the-lease-of-a-draft",
    /// A deletion without a guard refuses a run that is driven.
    AnySparesDrivenRuns => "deletion/other-runs-stay",
    /// A deletion takes every run whose id begins so.
    DeletionTakesPrefixes => "deletion/other-runs-stay",
    /// A deletion takes every run that its id matches as a pattern.
    DeletionTakesPatterns => "ids/deleting-a-pattern-deletes-that-run-only",
    /// A deletion takes the run's children.
    DeletionTakesChildren => "deletion/other-runs-stay",
    /// The next life of a name begins with the old records.
    DeletionLeavesRecords => "deletion/what-belongs-to-the-old-life-is-refused",
    /// The next life of a name begins with the old inbox.
    DeletionLeavesMessages => "deletion/what-belongs-to-the-old-life-is-refused",
    /// The next life of a name knows the old message keys.
    DeletionLeavesKeys => "deletion/what-belongs-to-the-old-life-is-refused",
    /// The next life of a name knows the old record ids.
    DeletionLeavesRecordIds => "deletion/what-belongs-to-the-old-life-is-refused",
    /// The next life of a name has the old blobs.
    DeletionLeavesBlobs => "deletion/a-recreated-run-holds-nothing-of-the-old-one",
    /// The next life of a name has the old snapshots.
    DeletionLeavesSnapshots => "deletion/a-recreated-run-holds-nothing-of-the-old-one",
    /// The next life of a name remembers the old commit.
    DeletionLeavesTheCommit => "deletion/operation-ids-are-forgotten",
    /// The next life of a name shows the old note.
    DeletionLeavesTheNote => "deletion/a-recreated-run-holds-nothing-of-the-old-one",
    /// The next life of a name goes on from the old version.
    DeletionLeavesTheVersion => "deletion/what-belongs-to-the-old-life-is-refused",
    /// The next life of a name goes on from the old cursor.
    DeletionLeavesTheCursor => "deletion/what-belongs-to-the-old-life-is-refused",
    /// The next life of a name has the old info.
    DeletionLeavesTheInfo => "deletion/it-is-listed-no-more",
    /// The name of a deleted run cannot be created again.
    DeletedNamesAreTaken => "deletion/a-recreated-run-holds-nothing-of-the-old-one",
    /// A commit to a deleted run brings it back.
    DeletedRunsComeBack => "deletion/who-comes-later-is-told-not-found",
    /// The writer of a deleted run is `Fenced`.
    WritersOfDeletedRunsAreFenced => "deletion/a-writer-beside-a-deletion-leaves-no-orphan",
    /// The head of a run that is not there is an error.
    UnknownHeadsAreErrors => "deletion/an-unknown-run-is-false",
    /// A head is as of its last write, not as of now.
    HeadsAreOfTheirLastWrite => "leases/stays-in-the-head-after-its-end",
}
