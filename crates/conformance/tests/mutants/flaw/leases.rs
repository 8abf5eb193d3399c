//! Leases: how long they last, what extends them, what a release leaves.

use super::flaws;

flaws! { LEASES:
    /// A lease lasts for the default time, whatever is asked for.
    TtlIsAlwaysTheDefault => "leases/counts-from-the-open",
    /// A lease below the store's shortest is not raised to it.
    ShortestLeaseIsIgnored => "leases/is-never-shorter-than-the-stores-shortest",
    /// The time of a lease is cut to whole milliseconds.
    TtlIsInMilliseconds => "leases/counts-from-the-open",
    /// The time of a lease is cut to whole seconds.
    TtlIsInSeconds => "leases/a-commit-extends-from-the-commit",
    /// A renewal extends nothing.
    RenewDoesNothing => "leases/a-renewal-counts-from-the-renewal",
    /// A renewal for a shorter time shortens the lease.
    RenewShortens => "leases/a-renewal-never-shortens",
    /// A renewal counts from the old end.
    RenewCountsFromTheOldEnd => "leases/a-renewal-counts-from-the-renewal",
    /// A renewal extends the lease and not the due.
    RenewDoesNotMoveTheDue => "leases/a-renewal-after-the-end-revives-the-lease",
    /// A renewal makes a draft due.
    RenewMakesDraftsDue => "leases/a-renewal-makes-no-draft-due",
    /// The note of a renewal is not stored.
    RenewIgnoresTheNote => "leases/a-renewal-keeps-or-replaces-the-note",
    /// A renewal without a note erases the note.
    RenewErasesTheNote => "leases/a-renewal-keeps-or-replaces-the-note",
    /// A renewal raises the version.
    RenewRaisesTheVersion => "leases/a-renewal-sent-twice-is-harmless",
    /// A renewal touches `updated_at`.
    RenewUpdates => "leases/a-renewal-changes-nothing-else",
    /// A renewal resets the lapses.
    RenewForgetsLapses => "leases/a-renewal-changes-nothing-else",
    /// A lease that has run out cannot be renewed by the newest fence.
    ExpiredLeasesAreNotRenewed => "leases/a-renewal-after-the-end-revives-the-lease",
    /// A commit extends nothing.
    ExtendDoesNothing => "leases/a-commit-extends-from-the-commit",
    /// A commit that extends for a shorter time shortens the lease.
    ExtendShortens => "leases/a-commit-never-shortens",
    /// A commit extends from the old end.
    ExtendCountsFromTheOldEnd => "leases/a-commit-extends-from-the-commit",
    /// A commit extends the lease and not the due.
    ExtendDoesNotMoveTheDue => "leases/a-commit-extends-from-the-commit",
    /// A commit does not extend a lease that has run out.
    ExtendRevivesNoExpiredLease => "leases/a-commit-after-the-end-revives-the-lease",
    /// A commit that keeps the lease extends it.
    KeepExtends => "leases/a-commit-that-keeps-the-lease-keeps-its-end",
    /// A release keeps the lease.
    ReleaseKeepsTheLease => "leases/a-delayed-renewal-after-release-starts-no-lease",
    /// A release is a lapse.
    ReleaseCountsALapse => "leases/a-release-for-now-is-due-at-once",
    /// A release for an instant is due at once.
    WakeIgnoresTheInstant => "leases/a-release-for-either-is-due-by-the-first",
    /// A release forgets the message that it waits for.
    WakeIgnoresTheMessage => "inbox/a-later-release-replaces-the-wake",
    /// Of a release for an instant or a message the instant is forgotten.
    WakeForgetsTheInstantBesideAMessage => "leases/a-release-for-either-is-due-by-the-first",
    /// Of a release for an instant or a message the message is forgotten.
    WakeForgetsTheMessageBesideAnInstant => "leases/a-release-for-either-is-due-by-the-first",
    /// A release does not see a message that has come before it.
    WakeLooksAtNoMessageThatIsThere => "leases/a-release-for-a-message-that-is-there-is-due-at-once",
    /// A release sees only the messages that still wait.
    WakeLooksAtWhatWaits => "inbox/a-message-that-is-there-already-wakes-at-once",
    /// A release is woken by the message that it has seen.
    WakeCountsTheNumberSeen => "inbox/is-due-by-a-message-above-the-number-seen",
    /// A release is woken by the second message above the number seen.
    WakeWantsOneMore => "inbox/is-due-by-a-message-above-the-number-seen",
    /// A release for the past is due before its commit.
    WakeKeepsThePast => "leases/a-release-for-the-past-is-due-at-the-commit",
    /// The last instant overflows: a release for it is due at once.
    WakeAtTheEndOfTimeIsNow => "leases/a-release-for-the-end-of-time-waits",
    /// A release without an instant is due at once.
    WakeWithoutAnInstantIsNow => "leases/a-release-for-a-message-that-is-there-is-due-at-once",
    /// The instant of a release is cut to whole seconds.
    WakeCountsInSeconds => "inbox/the-last-instant-never-comes",
    /// A release is not due before the lease would have ended.
    WakeWaitsForTheLease => "leases/a-release-for-the-past-is-due-at-the-commit",
    /// A release looks at the inbox before it has the lock, so that a racing message does not wake it.
    WakeIsDecidedOutsideTheLock => "inbox/a-send-racing-the-release-never-loses-the-wake",
}
