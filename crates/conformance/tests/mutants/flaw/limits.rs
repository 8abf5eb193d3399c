//! Limits, offers and the checks that come first.

use super::flaws;

flaws! { LIMITS:
    /// A record may be one byte over the limit.
    RecordsMayBeOneByteOver => "commit/a-record-over-the-limit-is-refused-with-its-batch",
    /// A record at the limit is refused.
    RecordsMustBeOneByteUnder => "commit/a-record-at-the-limit-is-taken",
    /// A snapshot may be one byte over the limit.
    SnapshotsMayBeOneByteOver => "commit/a-snapshot-over-the-limit-is-refused",
    /// A snapshot at the limit is refused.
    SnapshotsMustBeOneByteUnder => "commit/a-snapshot-at-the-limit-is-taken",
    /// A blob may be one byte over the limit.
    BlobsMayBeOneByteOver => "commit/a-blob-over-the-limit-is-refused",
    /// A blob at the limit is refused.
    BlobsMustBeOneByteUnder => "commit/a-blob-at-the-limit-is-taken",
    /// A commit may be as large as it likes.
    CommitsHaveNoLimit => "commit/a-commit-over-the-limit-is-refused",
    /// A commit at the limit is refused.
    CommitsMustBeOneByteUnder => "commit/a-commit-at-the-limit-is-taken",
    /// A run id may be one byte over the limit.
    RunIdsMayBeOneByteOver => "capabilities/run-ids-are-as-long-as-declared",
    /// A run id at the limit is refused.
    RunIdsMustBeOneByteUnder => "capabilities/run-ids-are-as-long-as-declared",
    /// The info of a run may be as large as it likes.
    InfoHasNoLimit => "open/info-has-a-limit",
    /// A note may be as large as it likes.
    NotesHaveNoLimit => "commit/a-note-over-the-limit-is-refused",
    /// An outcome may be as large as it likes.
    OutcomesHaveNoLimit => "commit/an-outcome-over-the-limit-is-refused",
    /// The message of a failure may be as large as it likes.
    FailuresHaveNoLimit => "commit/an-outcome-over-the-limit-is-refused",
    /// Only its records count for the limit of a commit.
    OnlyRecordsCountForACommit => "commit/every-part-counts-for-the-limit-of-a-commit",
    /// A message may be as large as it likes.
    MessagesHaveNoLimit => "inbox/bodies-are-any-bytes",
    /// A record over the limit is left out, and the rest of its commit holds.
    RefusedRecordsAreLeftOut => "commit/a-record-over-the-limit-is-refused-with-its-batch",
    /// What is too large is `Invalid`.
    TooLargeIsInvalid => "commit/too-large-comes-before-unsupported-and-not-found",
    /// A lease of no time is taken.
    NoTimeIsATtl => "open/creating-needs-info-and-manifest",
    /// A renewal for no time is taken.
    NoTimeIsARenewal => "leases/a-renewal-of-no-time-is-invalid",
    /// A release that nothing wakes is taken.
    ReleaseForNothingIsTaken => "leases/a-release-that-nothing-wakes-is-invalid",
    /// A commit with an outcome and a change of the lease is taken.
    OutcomeAndReleaseIsTaken => "commit/invalid-comes-before-too-large",
    /// A commit that carries and drops a blob is taken.
    CarriedAndDroppedIsTaken => "blobs/carrying-and-dropping-a-blob-is-invalid",
    /// A commit that takes a message twice is taken.
    TakenTwiceIsTaken => "commit/invalid-comes-before-too-large",
    /// What no store may take is refused only of a run that is there.
    ChecksComeAfterTheRun => "capabilities/without-blobs-there-is-none",
    /// `Log` is not declared, and works.
    UndeclaredLogWorks => "capabilities/without-log-there-are-no-records",
    /// `TailStream` is not declared, and works.
    UndeclaredTailStreamWorks => "capabilities/without-tail-stream-only-whole-logs-stream",
    /// `Snapshots` is not declared, and works.
    UndeclaredSnapshotsWork => "capabilities/without-snapshots-there-is-none",
    /// `History` is not declared, and works.
    UndeclaredHistoryWorks => "capabilities/without-history-only-the-newest-is-read",
    /// `RecordIds` is not declared, and works.
    UndeclaredRecordIdsWork => "capabilities/without-record-ids-records-have-none",
    /// `Inbox` is not declared, and works.
    UndeclaredInboxWorks => "capabilities/without-inbox-nobody-sends",
    /// `Blobs` is not declared, and works.
    UndeclaredBlobsWork => "capabilities/without-blobs-there-is-none",
    /// `List` is not declared, and works.
    UndeclaredListWorks => "capabilities/without-list-nothing-is-listed",
    /// `Follow` is not declared, and works.
    UndeclaredFollowWorks => "capabilities/without-follow-a-log-is-not-followed",
    /// An undeclared part of a commit is left out, and the rest holds.
    UndeclaredPartsAreIgnored => "commit/unsupported-comes-before-not-found",
    /// What is not declared is `Invalid`.
    UnsupportedIsInvalid => "commit/unsupported-comes-before-not-found",
    /// `Unsupported` names another capability.
    UnsupportedTellsAnotherCapability => "commit/unsupported-comes-before-not-found",
    /// `History` is declared, and does not work.
    DeclaredHistoryIsUnsupported => "capabilities/every-declared-part-holds-in-one-commit",
    /// `Follow` is declared, and does not work.
    DeclaredFollowIsUnsupported => "capabilities/closing-ends-who-follows",
    /// `Blobs` is declared, and does not work.
    DeclaredBlobsAreUnsupported => "blobs/a-store-does-not-judge-names",
    /// `List` is declared, and does not work.
    DeclaredListIsUnsupported => "leases/is-listed-as-interrupted-at-its-end",
    /// `TailStream` is declared, and does not work.
    DeclaredTailStreamIsUnsupported => "open/below-its-origin-a-draft-is-trimmed",
    /// Another handle on the same data declares less.
    SecondHandleOffersLess => "capabilities/they-are-constant-over-handles-and-time",
    /// A store declares more after its first commit.
    OfferGrowsWithUse => "capabilities/they-are-constant-over-handles-and-time",
    /// A closed handle goes on.
    CloseDoesNothing => "capabilities/a-closed-handle-writes-nothing",
    /// A closed handle is told as a backend out of reach.
    ClosedIsUnavailable => "capabilities/a-closed-handle-writes-nothing",
    /// Closing twice is an error.
    ClosingTwiceFails => "capabilities/closing-twice-is-harmless",
}
