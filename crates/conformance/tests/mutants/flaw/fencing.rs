//! Fences: who gets through that must not.

use super::flaws;

flaws! { FENCING:
    /// Commits and renewals are taken by whatever fence.
    FenceIsIgnored => "fencing/an-older-fences-commit-is-refused",
    /// A renewal is taken by whatever fence.
    FenceIsIgnoredByRenew => "fencing/an-older-fences-renewal-is-refused",
    /// A release is taken by whatever fence.
    FenceIsIgnoredByRelease => "fencing/an-older-fences-release-is-refused",
    /// An outcome is taken by whatever fence.
    FenceIsIgnoredByFinish => "fencing/an-older-fences-outcome-is-refused",
    /// A commit without records is taken by whatever fence.
    FenceIsIgnoredWithoutRecords => "fencing/an-older-fence-is-refused-whatever-the-leases",
    /// Fences are compared by their epoch alone.
    TokenIsIgnored => "fencing/the-newest-epoch-with-another-token-is-refused",
    /// A fence of a later epoch than the newest passes.
    LaterEpochsPass => "fencing/a-later-epoch-is-refused",
    /// The fence before the newest passes too.
    PreviousFencePasses => "fencing/an-older-fences-commit-is-refused",
    /// The lease is the fence: whoever writes while one is live gets through.
    LeaseIsTheFence => "fencing/an-older-fence-is-refused-whatever-the-leases",
    /// The newest fence is refused once its lease has run out.
    ExpiredFencesAreRefused => "fencing/the-newest-fence-commits-after-its-lease",
    /// A released fence still writes.
    ReleasedFenceWrites => "fencing/a-release-ends-its-fence",
    /// A renewal after the release starts the lease again.
    ReleasedFenceRenews => "fencing/a-release-by-one-handle-ends-the-fence-for-all",
    /// A released fence still ends the run.
    ReleasedFenceFinishes => "fencing/a-release-by-one-handle-ends-the-fence-for-all",
    /// `Fenced` tells the fence that was given as the newest.
    FencedTellsTheLosersFence => "fencing/the-newest-epoch-with-another-token-is-refused",
    /// An older fence of a finished run is told `Finished`.
    FinishedComesBeforeFenced => "commit/fenced-comes-before-finished",
    /// A renewal by an older fence of a finished run is told `Finished`.
    RenewalsAreFinishedBeforeFenced => "leases/a-renewal-by-an-older-fence-is-fenced-before-finished",
    /// A failed run, which may be reopened, takes commits without it.
    FailedRunTakesCommits => "commit/to-a-finished-run-it-is-finished",
    /// A failed run, which may be reopened, is renewed without it.
    FailedRunIsRenewed => "leases/a-delayed-renewal-after-the-outcome-starts-no-lease",
    /// A finished run takes commits and renewals.
    FinishedRunTakesCommits => "fencing/the-fence-of-a-finished-run-writes-no-more",
    /// A renewal after the outcome starts the lease again.
    FinishedRunIsRenewed => "fencing/the-fence-of-a-finished-run-writes-no-more",
    /// A fence of another life is `Fenced`, not `NotFound`.
    AnotherLifeIsFenced => "fencing/an-earlier-incarnation-is-not-found",
    /// A fence of another life is told `Fenced` by the checks that come after.
    IncarnationIsIgnored => "fencing/an-earlier-incarnation-is-not-found",
    /// Incarnation and first fence are the same in every life of a name: the epoch is lost with the deletion.
    IncarnationIsTheName => "fencing/two-lives-have-two-incarnations-and-tokens",
    /// The incarnation is the same in every life of a name.
    IncarnationIsReused => "fencing/two-lives-have-two-incarnations-and-tokens",
    /// Time is the caller's: a host whose clock is an hour ahead takes live leases.
    CallersClockIsTrusted => "open/a-live-lease-is-refused-to-everyone",
    /// Time is kept in whole seconds.
    ClockCountsSeconds => "streams/gives-the-records-as-written",
}
