//! Opening: what a broken store does to creation, takeover and refusals.

use super::flaws;

flaws! { OPEN:
    /// `Create` starts an existing run anew.
    CreateReplaces => "open/create-refuses-a-run-that-exists",
    /// `Create` opens a run that exists.
    CreateOpensWhatExists => "open/create-refuses-a-run-that-exists",
    /// `Resume` creates the run that is not there.
    ResumeCreates => "open/resume-with-an-info-creates-nothing",
    /// The open that creates a run does not say so.
    CreationIsNotSaid => "open/resume-of-an-unknown-run-creates-nothing",
    /// Every open says that it has created the run.
    CreationIsAlwaysSaid => "open/info-of-an-existing-run-stays",
    /// A created run has version 0.
    VersionBeginsAt0 => "open/creates-with-cursor-0-version-1-epoch-1",
    /// An open raises no version.
    OpenKeepsTheVersion => "open/each-open-raises-epoch-and-version",
    /// An open leaves `updated_at` as it was.
    OpenDoesNotUpdate => "commit/times-tell-opens-and-commits",
    /// An open moves `created_at`.
    OpenMovesCreation => "commit/times-tell-opens-and-commits",
    /// An open answers the head from before it.
    OpenAnswersTheOldHead => "open/after-expiry-the-same-owner-gets-a-new-epoch",
    /// A takeover keeps the epoch and changes the token only.
    EpochStays => "open/after-expiry-the-same-owner-gets-a-new-epoch",
    /// The epoch is kept in the lease: after a release it begins anew.
    EpochRestartsWithARelease => "leases/a-release-for-now-is-due-at-once",
    /// Every fence of a run has the same token.
    TokenStays => "open/each-open-raises-epoch-and-version",
    /// A takeover mints a new incarnation.
    TakeoverChangesTheIncarnation => "open/after-expiry-the-same-owner-gets-a-new-epoch",
    /// A takeover leaves the due of the lease that it replaces.
    TakeoverKeepsTheOldDue => "leases/counts-from-the-open",
    /// The lease of a takeover names the owner before.
    TakeoverKeepsTheOwner => "open/over-the-newest-fence-takes-a-live-lease",
    /// Leases are not looked at: whoever opens gets the run.
    LiveLeasesAreTaken => "open/a-live-lease-is-refused-to-everyone",
    /// A live lease is given again to whoever bears its owner's name.
    OwnersMayReopen => "open/a-live-lease-is-refused-to-everyone",
    /// Identity is the fence: the owner of a live lease gets the same fence again.
    OwnerGetsItsFenceBack => "open/a-live-lease-is-refused-to-everyone",
    /// An open that is refused extends the lease that refused it.
    RefusedOpenExtendsTheLease => "open/create-refuses-a-run-that-exists",
    /// A lease is still held at its very end.
    LeaseEndsLate => "leases/is-gone-at-its-end",
    /// A lease is gone a microsecond before its end.
    LeaseEndsEarly => "leases/is-valid-just-before-its-end",
    /// A lease is held five seconds longer than it says.
    GraceAfterTheLease => "leases/is-gone-at-its-end",
    /// A run that waits is opened by anyone.
    WaitingRunsAreOpened => "leases/a-release-for-the-end-of-time-waits",
    /// A run that waits for a message alone is opened by anyone.
    WaitingRunsAreOpenedWhenOnlyAMessageWakes => "leases/a-release-for-a-message-is-never-due-by-itself",
    /// `LeaseHeld` does not tell the owner.
    HeldTellsNoOwner => "open/a-live-lease-is-refused-to-everyone",
    /// `LeaseHeld` does not tell the time that is left.
    HeldTellsNoTime => "open/a-live-lease-is-refused-to-everyone",
    /// `LeaseHeld` of a run that only a message wakes says that it is due in no time.
    HeldTellsZeroForAMessage => "leases/a-release-for-a-message-is-never-due-by-itself",
    /// `LeaseHeld` names the caller as the owner.
    HeldTellsTheCallerAsOwner => "leases/is-valid-just-before-its-end",
    /// `Over` takes a live lease whatever fence it names.
    OverTakesWhateverFence => "open/over-an-older-fence-takes-no-live-lease",
    /// `Over` compares the epoch alone, so that it takes what another life or a rolled-back store has given.
    OverLooksAtTheEpoch => "open/over-an-older-fence-takes-no-live-lease",
    /// `Over` compares the token alone.
    OverLooksAtTheToken => "open/over-an-older-fence-takes-no-live-lease",
    /// `Over` is treated as `IfDue`.
    OverIsIgnored => "open/over-the-newest-fence-takes-a-live-lease",
    /// `Over` does not take a run that waits.
    OverTakesNoWaitingRun => "leases/what-it-waits-for-is-forgotten-with-the-open",
    /// `Over` does not take a draft.
    OverTakesNoDraft => "open/a-draft-is-never-due",
    /// `Over` an older fence is `Fenced`, also when the run is due.
    OverAnOlderFenceIsFenced => "open/over-an-older-fence-takes-a-due-run",
    /// Another manifest resumes the run.
    ManifestIsNotCompared => "open/another-manifest-is-refused-of-a-live-run",
    /// The lease is judged before the manifest.
    LeaseComesBeforeManifest => "open/another-manifest-is-refused-of-a-live-run",
    /// `ManifestMismatch` tells the given manifest as the stored one.
    MismatchTellsTheGivenManifest => "open/another-manifest-is-refused-of-a-live-run",
    /// An open replaces what the run was created with.
    InfoIsReplaced => "open/info-of-an-existing-run-stays",
    /// An open replaces the origin.
    OriginIsReplaced => "open/info-of-an-existing-run-stays",
    /// A failed run is reopened without being asked for it.
    FailedRunsOpenUnasked => "open/a-failed-run-is-reopened-only-when-asked",
    /// A completed run is reopened when that is asked for.
    CompletedRunsReopen => "open/a-completed-run-answers-its-outcome",
    /// A reopened run keeps its outcome.
    ReopenKeepsTheOutcome => "open/a-failed-run-is-reopened-only-when-asked",
    /// A reopened run may still be deleted when its retention is over.
    ReopenKeepsDeleteAfter => "open/a-failed-run-is-reopened-only-when-asked",
    /// A reopened run keeps its lapses.
    ReopenKeepsTheLapses => "open/a-reopened-run-has-no-lapses",
    /// A reopening empties the inbox.
    ReopenEmptiesTheInbox => "inbox/a-reopened-run-keeps-its-inbox",
    /// No takeover is a lapse.
    LapsesAreNotCounted => "open/lapses-count-unreleased-takeovers-only",
    /// A lapse counts twice.
    LapsesCountTwice => "open/lapses-count-unreleased-takeovers-only",
    /// Lapses stop at one.
    LapsesStopAtOne => "open/lapses-count-unreleased-takeovers-only",
    /// Opening a run that was released is a lapse.
    ReleasedRunsLapse => "leases/waiting-and-waking-is-no-lapse",
    /// Taking over a live lease is no lapse.
    OverIsNoLapse => "open/lapses-are-reset-by-work-that-advances",
    /// The id of an open is not remembered: a lost acknowledgement is a lost lease.
    OpenIdIsForgotten => "open/the-same-open-id-answers-on-every-handle",
    /// An open id is answered again whatever has happened since.
    RepeatedOpenIsAnsweredForEver => "open/the-same-open-id-after-a-commit-is-refused",
    /// An open id is remembered for as long as its lease lasts.
    OpenIdEndsWithTheLease => "open/the-same-open-id-after-its-lease-starts-none",
    /// A repeated open whose lease has run out is given another one.
    RepeatedOpenRevivesTheLease => "open/the-same-open-id-after-its-lease-starts-none",
    /// A repeated open extends the lease.
    RepeatedOpenExtendsTheLease => "open/the-same-open-id-answers-the-same-fence",
    /// A repeated open says that it has not created the run.
    RepeatedOpenSaysNotCreated => "open/the-same-open-id-answers-on-every-handle",
    /// A takeover forgets the newest commit.
    TakeoverForgetsTheCommit => "lost-ack/after-several-takeovers-it-is-the-same-commit",
    /// A takeover erases the note.
    TakeoverForgetsTheNote => "leases/an-open-of-a-waiting-run-goes-on",
    /// A takeover empties the inbox.
    TakeoverEmptiesTheInbox => "inbox/the-inbox-survives-a-takeover",
    /// A takeover forgets the record ids.
    TakeoverForgetsRecordIds => "commit/a-record-id-is-remembered-over-a-takeover",
    /// A takeover forgets the message keys.
    TakeoverForgetsKeys => "inbox/keys-are-remembered-behind-many-others",
    /// A takeover drops the blobs.
    TakeoverDropsBlobs => "blobs/blobs-die-with-their-run",
    /// A takeover drops the snapshots.
    TakeoverDropsSnapshots => "snapshots/snapshots-live-as-long-as-their-run",
    /// A takeover loses the last record.
    TakeoverDropsTheLastRecord => "leases/an-open-of-a-waiting-run-goes-on",
    /// A takeover forgets how far the log was trimmed.
    TakeoverForgetsTheTrim => "snapshots/a-trim-survives-a-takeover",
    /// What a run waited for is not forgotten when it is opened.
    WakeOutlivesTheOpen => "leases/what-it-waits-for-is-forgotten-with-the-open",
    /// Labels are not stored.
    LabelsAreDropped => "open/info-round-trips",
    /// Labels with an empty value are not stored.
    EmptyLabelsAreDropped => "open/info-round-trips",
    /// The keys of labels are stored in lower case.
    LabelKeysAreLowered => "ids/odd-labels-find-their-run",
    /// The parent is not stored.
    ParentIsDropped => "open/info-round-trips",
    /// The opaque part of the info is not stored.
    MetaIsDropped => "open/info-has-a-limit",
    /// The opaque part of the info is stored as text.
    MetaIsText => "open/info-round-trips",
    /// The name is stored without the spaces around it.
    NameIsTrimmed => "ids/odd-names-find-their-run",
    /// An origin makes no draft.
    DraftsAreOrdinary => "open/a-draft-is-never-due",
    /// A draft is due when its lease has run out.
    DraftsAreDue => "open/a-draft-is-never-due",
    /// The first record of a draft is said to be 1.
    DraftsBeginAt1 => "open/a-draft-continues-the-log-of-its-origin",
    /// The snapshot at its origin does not end a draft.
    DraftsNeverEnd => "open/the-snapshot-at-its-origin-ends-a-draft",
    /// Whatever snapshot ends a draft.
    AnySnapshotEndsADraft => "open/another-snapshot-ends-no-draft",
    /// The lineage of an origin is not stored.
    LineageIsLost => "open/a-draft-continues-the-log-of-its-origin",
    /// An origin at 0 makes no draft.
    OriginAt0IsNoDraft => "open/an-origin-at-0-makes-a-draft",
    /// The commit that ends a draft and lets go of it leaves it without a due.
    EndOfADraftForgetsItsWake => "open/the-end-of-a-draft-may-release-it",
    /// A log may begin anywhere.
    OriginsMayLieAnywhere => "open/an-origin-past-the-limit-is-invalid",
}
