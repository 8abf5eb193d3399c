//! Commits: versions, cursors, records, ids, outcomes.

use super::flaws;

flaws! { COMMIT:
    /// The expected version is not looked at.
    ExpectIsIgnored => "commit/too-low-a-version-is-a-conflict",
    /// An expected version that is too low is taken.
    ExpectMayBeLower => "commit/too-low-a-version-is-a-conflict",
    /// An expected version that is too high is taken.
    ExpectMayBeHigher => "commit/too-high-a-version-is-a-conflict",
    /// The expected version is looked at only when there are records.
    ExpectIsIgnoredWithoutRecords => "commit/numbers-at-the-edge-are-conflicts",
    /// A release does not look at the expected version.
    ExpectIsIgnoredByRelease => "commit/every-kind-of-commit-expects-its-version",
    /// An outcome does not look at the expected version.
    ExpectIsIgnoredByFinish => "commit/every-kind-of-commit-expects-its-version",
    /// The version is judged after the other conflicts.
    VersionComesLast => "commit/the-version-comes-before-every-other-conflict",
    /// A commit without records raises no version.
    VersionStaysWithoutRecords => "commit/without-records-it-raises-the-version-only",
    /// Each record raises the version.
    VersionCountsRecords => "commit/cursors-are-additive-and-gapless",
    /// A commit leaves `updated_at` as it was.
    CommitDoesNotUpdate => "commit/times-are-the-stores",
    /// A commit without records leaves `updated_at` as it was.
    CommitWithoutRecordsDoesNotUpdate => "lost-ack/a-replay-updates-nothing",
    /// A commit answers the cursor of its first record.
    CommitTellsTheFirstCursor => "commit/cursors-are-additive-and-gapless",
    /// A commit answers the version from before it.
    CommitTellsTheOldVersion => "commit/the-version-comes-before-duplicate",
    /// Every commit says that it was replayed.
    CommitSaysReplayed => "commit/every-failure-comes-back",
    /// Every tenth commit is acknowledged and not written.
    EveryTenthCommitIsLost => "commit/every-failure-comes-back",
    /// `Conflict` tells the version that was expected, not the one that is there.
    ConflictTellsAnOldHead => "commit/too-high-a-version-is-a-conflict",
    /// A version that is not the newest is told before the fence.
    ConflictComesBeforeFenced => "commit/fenced-comes-before-conflict",
    /// A conflict is told as a backend that is busy.
    ConflictsAreBusy => "commit/too-low-a-version-is-a-conflict",
    /// A repeated record id is told before a conflict.
    DuplicateComesBeforeConflict => "commit/the-trim-comes-before-duplicate",
    /// The cursor of the snapshot is judged before the blobs.
    SnapshotCursorComesBeforeMissingBlob => "commit/a-missing-blob-comes-before-the-snapshots-cursor",
    /// A refusal says that it may have changed something.
    RefusalsMayHaveApplied => "commit/a-reopened-run-may-end-in-another-way",
    /// A refusal is a text without what it is about.
    RefusalsAreUntyped => "commit/bodies-of-outputs-are-bytes",
    /// A commit without a note erases the note.
    CommitErasesTheNote => "commit/without-records-it-raises-the-version-only",
    /// The note of a commit is not stored.
    CommitIgnoresTheNote => "open/a-note-is-shown-by-the-head",
    /// A later note does not replace the first.
    FirstNoteStays => "commit/a-note-at-the-limit-is-taken",
    /// The total of a note is not stored.
    NoteLosesItsTotal => "open/a-note-is-shown-by-the-head",
    /// A release erases the note.
    ReleaseErasesTheNote => "inbox/a-release-carries-the-rest-of-its-commit",
    /// An outcome erases the note.
    FinishErasesTheNote => "commit/an-outcome-comes-with-its-commit",
    /// `advances` resets no lapses.
    AdvancesIsIgnored => "open/lapses-are-reset-by-work-that-advances",
    /// `advances` takes back one lapse.
    AdvancesTakesOneLapse => "commit/only-advances-forgets-lapses",
    /// Every commit resets the lapses, an intent too.
    EveryCommitAdvances => "open/lapses-are-reset-by-work-that-advances",
    /// A commit with records resets the lapses.
    RecordsAdvance => "open/lapses-are-reset-by-work-that-advances",
    /// A commit with a snapshot resets the lapses.
    SnapshotsAdvance => "commit/only-advances-forgets-lapses",
    /// A release resets the lapses.
    ReleaseAdvances => "open/lapses-count-unreleased-takeovers-only",
    /// The records of a commit are stored in reverse.
    RecordsComeInReverse => "commit/a-large-batch-is-contiguous-and-in-order",
    /// Of the records of a commit only the first is stored.
    OnlyTheFirstRecordIsKept => "commit/cursors-are-additive-and-gapless",
    /// Of the records of a commit a thousand are stored.
    BatchesEndAt1000 => "commit/a-commit-of-5000-records-is-taken",
    /// Equal records of a commit are stored once.
    EqualRecordsAreOne => "commit/equal-records-are-as-many-records",
    /// Records without a body are not stored.
    EmptyRecordsAreSkipped => "commit/bodies-of-records-are-bytes",
    /// Each commit leaves a cursor out.
    EachCommitLeavesAGap => "commit/cursors-are-additive-and-gapless",
    /// Records carry the time of the run's creation.
    RecordsCarryTheRunsTime => "commit/times-are-the-stores",
    /// The kind of a record is not stored.
    KindsAreLost => "commit/kinds-round-trip",
    /// The id of a record is remembered and not given back.
    RecordIdsAreLost => "commit/record-ids-round-trip",
    /// The blobs that a record names are not stored with it.
    NamedBlobsAreLost => "commit/all-of-it-is-there-when-it-returns",
    /// The blobs that a record names come back in another order.
    NamedBlobsAreSorted => "streams/gives-ids-and-blobs",
    /// A blob that a record names twice comes back once.
    NamedBlobsAreASet => "streams/gives-ids-and-blobs",
    /// Bodies are stored as text.
    BodiesAreText => "commit/bodies-of-records-are-bytes",
    /// Bodies end at their first NUL.
    BodiesEndAtNul => "commit/bodies-of-records-are-bytes",
    /// Bodies end at 64 KiB.
    BodiesEndAt64KiB => "commit/bodies-of-snapshots-are-bytes",
    /// Bodies are stored without the white space around them.
    BodiesAreTrimmed => "commit/bodies-of-records-are-bytes",
    /// A repeated record id is taken.
    RecordIdsAreIgnored => "commit/a-repeated-record-id-is-refused-with-the-first-cursor",
    /// A record whose id the run holds is left out in silence.
    RepeatedIdsAreSkipped => "commit/a-repeated-record-id-is-refused-with-the-first-cursor",
    /// Record ids are compared within the commit only.
    IdsAreComparedWithinTheCommitOnly => "commit/a-repeated-record-id-is-refused-with-the-first-cursor",
    /// Record ids are compared with the run only.
    IdsAreComparedWithTheRunOnly => "commit/a-record-id-twice-in-one-commit-is-refused",
    /// An id that the commit repeats is told before one that the run holds.
    IdsOfTheCommitAreComparedFirst => "commit/a-record-id-of-the-run-is-told-before-one-of-the-commit",
    /// Of the ids of a commit only the first is looked up.
    OnlyTheFirstIdIsLookedUp => "commit/a-record-id-of-the-run-is-told-before-one-of-the-commit",
    /// `Duplicate` tells the newest cursor.
    DuplicateTellsTheNewestCursor => "commit/a-repeated-record-id-is-refused-with-the-first-cursor",
    /// `Duplicate` tells the cursor before the record's.
    DuplicateTellsTheOldEnd => "commit/a-record-id-of-the-run-is-told-before-one-of-the-commit",
    /// Record ids that differ by case alone are one.
    RecordIdsIgnoreCase => "commit/record-ids-are-bytes-of-one-run",
    /// Record ids that differ by spaces alone are one.
    RecordIdsAreTrimmed => "commit/record-ids-are-bytes-of-one-run",
    /// Record ids of all runs are one set.
    RecordIdsAreShared => "commit/record-ids-are-bytes-of-one-run",
    /// The newest thousand record ids are remembered, and more are declared.
    OnlyAThousandIdsAreKnown => "commit/the-newest-4096-record-ids-are-remembered",
    /// The output of a completed run is not stored.
    OutputsAreLost => "commit/an-outcome-ends-the-run",
    /// The output of a completed run is stored as text.
    OutputsAreText => "commit/bodies-of-outputs-are-bytes",
    /// The kind of a failure is not stored.
    EveryFailureIsAnError => "commit/every-failure-comes-back",
    /// The message of a failure is cut at a hundred characters.
    FailureMessagesAreCut => "ids/odd-outcomes-come-back",
    /// A cancelled run is stored as completed.
    CancelledIsCompleted => "commit/every-failure-comes-back",
    /// `Keep` lets the run be deleted at once.
    KeepIsDelete => "commit/an-outcome-ends-the-run",
    /// `Delete` keeps the run for ever.
    DeleteIsKeep => "commit/retention-counts-from-the-commit",
    /// `KeepFor` keeps the run for ever.
    KeepForIsKeep => "commit/retention-counts-from-the-commit",
    /// `KeepFor` counts from the run's creation.
    KeepForCountsFromCreation => "commit/retention-counts-from-the-commit",
    /// `KeepFor` counts from the end of the lease.
    KeepForCountsFromTheLease => "commit/retention-counts-from-the-commit",
    /// A finished run still shows a lease.
    FinishKeepsTheLease => "commit/an-outcome-after-the-lease-holds",
    /// A finished run still has a due.
    FinishKeepsTheDue => "commit/an-outcome-ends-the-run",
    /// An outcome empties the inbox.
    FinishEmptiesTheInbox => "inbox/a-follower-of-an-inbox-ends-with-the-run",
    /// An outcome drops the blobs.
    FinishDropsBlobs => "blobs/blobs-die-with-their-run",
    /// An outcome drops the snapshots.
    FinishDropsSnapshots => "commit/an-outcome-comes-with-its-commit",
    /// An outcome drops the log.
    FinishDropsRecords => "commit/an-outcome-comes-with-its-commit",
    /// An outcome raises the epoch.
    FinishRaisesTheEpoch => "commit/an-outcome-ends-the-run",
    /// An outcome resets the lapses.
    FinishForgetsLapses => "commit/only-advances-forgets-lapses",
    /// `Conflict` tells the head as of the run's last change.
    ConflictTellsTheLastChange => "commit/a-conflict-tells-the-head-as-of-now",
    /// Ids are remembered for 4,096 records, whether or not these have one.
    WindowCountsRecords => "commit/records-without-ids-push-none-out",
    /// A run that occurs twice in a batch is seen among sixteen commits.
    RunTwiceIsSeenAmong16 => "commit/a-batch-of-200-runs",
}
