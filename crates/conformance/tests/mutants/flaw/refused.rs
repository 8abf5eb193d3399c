//! Refusals: what a refused commit changes that must change nothing.

use super::flaws;

flaws! { REFUSED:
    /// A commit that is refused leaves its records.
    RefusedCommitsKeepRecords => "commit/a-refused-commit-keeps-none-of-its-parts",
    /// A commit that is refused leaves its blobs.
    RefusedCommitsKeepBlobs => "blobs/a-refused-commit-stores-and-drops-no-blob",
    /// A commit that is refused drops its blobs.
    RefusedCommitsDropBlobs => "blobs/a-refused-commit-stores-and-drops-no-blob",
    /// A commit that is refused leaves its snapshot.
    RefusedCommitsKeepSnapshots => "snapshots/a-refused-commit-keeps-no-snapshot",
    /// A commit that is refused takes its messages.
    RefusedCommitsTake => "inbox/a-refused-commit-takes-nothing",
    /// A commit that is refused leaves its note.
    RefusedCommitsKeepTheNote => "commit/a-refused-commit-keeps-none-of-its-parts",
    /// A commit that is refused extends the lease.
    RefusedCommitsExtend => "commit/a-refused-commit-keeps-none-of-its-parts",
    /// A commit that is refused lets go of the run.
    RefusedCommitsRelease => "inbox/a-refused-release-releases-nothing",
    /// A commit that is refused resets the lapses.
    RefusedCommitsForgetLapses => "commit/a-record-id-is-remembered-over-a-takeover",
    /// A commit that is refused raises the version.
    RefusedCommitsRaiseTheVersion => "commit/a-refused-commit-keeps-none-of-its-parts",
    /// A commit that is refused touches `updated_at`.
    RefusedCommitsUpdate => "commit/what-is-refused-leaves-the-times",
    /// A commit that is refused is answered as a replay when it is sent again.
    RefusedCommitsAreRemembered => "commit/a-refused-commit-is-not-remembered",
    /// A commit that is refused displaces the remembered one.
    RefusedCommitsForgetTheLast => "lost-ack/after-a-refused-commit-it-is-the-same-commit",
    /// The record ids of a commit that is refused are taken from then on.
    RefusedCommitsRememberRecordIds => "commit/a-refused-commit-keeps-none-of-its-parts",
}
