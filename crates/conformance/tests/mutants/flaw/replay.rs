//! Lost acknowledgements: what a commit that is sent again comes to.

use super::flaws;

flaws! { REPLAY:
    /// No commit is remembered.
    CommitsAreForgotten => "lost-ack/the-same-commit-again-gives-its-first-answer",
    /// The remembered id is answered whatever the commit says.
    DigestIsIgnored => "lost-ack/the-same-id-with-other-content-is-reused",
    /// The digest of a commit covers its records alone.
    DigestIsOfTheRecords => "lost-ack/the-same-id-with-other-content-is-reused",
    /// The digest of a commit leaves out its snapshot.
    DigestLeavesOutTheSnapshot => "lost-ack/the-same-id-with-other-content-is-reused",
    /// The digest of a commit leaves out what it does to the lease.
    DigestLeavesOutTheLease => "lost-ack/the-same-id-with-other-content-is-reused",
    /// The digest of a commit leaves out its note.
    DigestLeavesOutTheNote => "lost-ack/the-same-id-with-other-content-is-reused",
    /// The digest of a commit leaves out its outcome.
    DigestLeavesOutTheOutcome => "lost-ack/the-same-id-with-another-end-is-reused",
    /// A reused id is a `Conflict`.
    ReusedIdsAreConflicts => "lost-ack/the-same-id-with-other-content-is-reused",
    /// A reused id is an id like any other.
    ReusedIdsGoOn => "lost-ack/the-same-id-with-other-content-is-reused",
    /// A replaced owner is fenced before its commit is recognized.
    FencedComesBeforeReplay => "lost-ack/after-a-takeover-it-is-the-same-commit",
    /// A commit is recognized under another fence.
    ReplayIgnoresTheFence => "lost-ack/the-successor-replays-no-commit-of-its-predecessor",
    /// A replay does not say that it is one.
    ReplayIsNotSaid => "lost-ack/the-same-commit-again-gives-its-first-answer",
    /// A replay answers the run's newest version and cursor.
    ReplayTellsTheNewestVersion => "lost-ack/after-a-reopen-of-a-failed-run-it-is-the-same-commit",
    /// A replay appends its records again.
    ReplayAppendsAgain => "lost-ack/the-same-commit-again-gives-its-first-answer",
    /// A replay extends or releases again.
    ReplayChangesTheLease => "lost-ack/a-replay-extends-no-lease",
    /// A replay writes its note again.
    ReplayReplacesTheNote => "lost-ack/a-replay-replaces-no-note",
    /// A replay resets the lapses again.
    ReplayForgetsLapses => "lost-ack/a-replay-forgets-no-lapse",
    /// A replay touches `updated_at`.
    ReplayUpdates => "lost-ack/a-replay-updates-nothing",
    /// A replay raises the version.
    ReplayRaisesTheVersion => "lost-ack/the-same-commit-again-gives-its-first-answer",
    /// A commit is recognized once only.
    ReplayWorksOnce => "lost-ack/with-takes-it-is-the-same-commit",
    /// A commit is not recognized once the lease has run out.
    ReplayEndsWithTheLease => "lost-ack/after-its-lease-it-is-the-same-commit",
    /// A commit that releases is not remembered.
    ReplayForgottenWithTheRelease => "lost-ack/after-a-release-and-an-open-it-is-the-same-commit",
    /// A commit that ends the run is not remembered.
    ReplayForgottenWithTheOutcome => "lost-ack/after-the-run-finished-by-it-it-is-the-same-commit",
    /// A commit is recognized by the id of another run's.
    OperationIdsAreShared => "lost-ack/an-id-belongs-to-its-run",
    /// A message displaces the remembered commit.
    SendForgetsTheCommit => "lost-ack/after-a-message-it-is-the-same-commit",
    /// A renewal displaces the remembered commit.
    RenewForgetsTheCommit => "lost-ack/after-a-renewal-it-is-the-same-commit",
    /// A renewal displaces the remembered open.
    RenewForgetsTheOpen => "open/the-same-open-id-after-a-renewal-and-a-message",
}
