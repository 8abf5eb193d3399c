//! What is broken of a checkpointer, one row a mutant: its name, a sentence, and the case that must catch it.

/// What is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    ThrottlesTheFirstSave,
    ThrottlesTheFactory,
    SaysPersistedWhenThrottled,
    SavesUnchangedStates,
    SavesOneBehind,
    TellsTheNextCursor,
    TellsTheFirstCursorOfAnAppend,
    SwallowsErrors,
    CallsEveryErrorTransient,
    IgnoresTheLostLease,
    ForgetsRecordsThatFailed,
    ForgetsTheStateThatFailed,
    AppendsAgainAfterDoubt,
    ThrottlesCheckpoints,
    FlushesNothing,
    ReleasesWithoutTheHeldState,
    CompletesWithoutTheHeldState,
    FailsWithoutTheHeldState,
    ReleasesAtOnce,
    KeepsTheLeaseAtTheRelease,
    EndsTwice,
    GoesOnAfterItsEnd,
    CompletesWithoutTheOutput,
    FailsAsCompleted,
    FailsWithAnotherKind,
    RenewsNothing,
    ReleasesWhenDropped,
    RestoresNothing,
    RestoresAnOlderState,
    RestoresTwice,
    RestoresWithoutRecords,
    RestoresAnEmptyStateForNone,
    BeginsWhatExists,
    BeginsAnotherManifest,
    BeginsWhatFailed,
    BeginsWhatIsDriven,
    ResumesWhatIsNotThere,
    DrivesWhatHasFinished,
    IsOffWhenOutOfReach,
    IsOffThoughItMayBeThere,
    ListsEveryRun,
    ListsTheFirstAlone,
}

use Fault::*;

/// A broken checkpointer's row: what is broken, in a sentence, and the case that must catch it.
pub(crate) const FAULTS: &[(Fault, &str, &str)] = &[
    (ThrottlesTheFirstSave, "The first save is throttled.", "checkpointer/the-first-save-is-never-throttled"),
    (ThrottlesTheFactory, "All runs of a factory share a throttle.", "checkpointer/two-runs-throttle-apart"),
    (
        SaysPersistedWhenThrottled,
        "A save that the throttle holds says `Persisted`.",
        "checkpointer/elapsed-equal-to-the-throttle-saves",
    ),
    (
        SavesUnchangedStates,
        "An unchanged state is written again.",
        "checkpointer/an-unchanged-state-writes-nothing",
    ),
    (SavesOneBehind, "A save writes the state before.", "checkpointer/a-sync-save-is-there-when-it-returns"),
    (
        TellsTheNextCursor,
        "A save tells the cursor after its own.",
        "checkpointer/the-first-save-is-never-throttled",
    ),
    (
        TellsTheFirstCursorOfAnAppend,
        "An append of several records tells the first one's cursor.",
        "checkpointer/an-append-is-never-throttled",
    ),
    (SwallowsErrors, "A save that fails says `Persisted`.", "checkpointer/required-returns-the-error"),
    (
        CallsEveryErrorTransient,
        "Every error of a save is one of a backend out of reach.",
        "checkpointer/after-a-takeover-the-old-one-is-fenced",
    ),
    (
        IgnoresTheLostLease,
        "A save after a takeover says `Persisted`.",
        "checkpointer/after-a-takeover-the-old-one-is-fenced",
    ),
    (
        ForgetsRecordsThatFailed,
        "Records whose append failed are not sent again.",
        "checkpointer/whichever-write-fails-the-log-is-exact",
    ),
    (
        ForgetsTheStateThatFailed,
        "A state whose save failed does not stay pending.",
        "checkpointer/a-failed-save-throttles-nothing-and-stays-pending",
    ),
    (
        AppendsAgainAfterDoubt,
        "Records whose acknowledgement was lost are appended again as new ones.",
        "checkpointer/whichever-write-fails-the-log-is-exact",
    ),
    (
        ThrottlesCheckpoints,
        "A checkpoint is throttled like a save.",
        "checkpointer/a-checkpoint-is-never-throttled",
    ),
    (FlushesNothing, "A flush writes nothing.", "checkpointer/a-throttled-state-is-written-by-flush"),
    (
        ReleasesWithoutTheHeldState,
        "A release loses the state that the throttle holds.",
        "checkpointer/a-throttled-state-is-written-by-release",
    ),
    (
        CompletesWithoutTheHeldState,
        "A completion loses the state that the throttle holds.",
        "checkpointer/a-throttled-state-is-written-by-complete",
    ),
    (
        FailsWithoutTheHeldState,
        "A failure loses the state that the throttle holds.",
        "checkpointer/a-throttled-state-is-written-by-fail",
    ),
    (
        ReleasesAtOnce,
        "A release is due at once, whatever its wake.",
        "checkpointer/a-release-waits-for-its-instant",
    ),
    (
        KeepsTheLeaseAtTheRelease,
        "A release writes what is pending and keeps the lease.",
        "checkpointer/a-run-is-released-exactly-once",
    ),
    (EndsTwice, "A second end succeeds in silence.", "checkpointer/a-run-is-completed-exactly-once"),
    (
        GoesOnAfterItsEnd,
        "A save after the end says `Unchanged`.",
        "checkpointer/a-run-is-released-exactly-once",
    ),
    (
        CompletesWithoutTheOutput,
        "A completion loses its output.",
        "checkpointer/a-run-is-completed-exactly-once",
    ),
    (FailsAsCompleted, "A failure is stored as a completion.", "checkpointer/a-run-is-failed-exactly-once"),
    (
        FailsWithAnotherKind,
        "A failure is stored as one by an operator.",
        "checkpointer/a-run-is-failed-exactly-once",
    ),
    (RenewsNothing, "A renewal by hand does nothing.", "checkpointer/a-renewal-by-hand-extends-the-lease"),
    (ReleasesWhenDropped, "A begin lets go of the run at once.", "checkpointer/a-driven-run-is-refused"),
    (
        RestoresNothing,
        "A resumed run starts from nothing.",
        "checkpointer/a-run-is-resumed-by-another-handle",
    ),
    (
        RestoresAnOlderState,
        "A resumed run starts from an older state than the newest.",
        "checkpointer/snapshot-and-tail-equal-the-full-replay",
    ),
    (
        RestoresTwice,
        "What a run starts from is given twice.",
        "checkpointer/a-resume-gives-the-records-after-the-state",
    ),
    (
        RestoresWithoutRecords,
        "A resume leaves out the records after the state.",
        "checkpointer/a-resume-gives-the-records-after-the-state",
    ),
    (
        RestoresAnEmptyStateForNone,
        "A run without a state starts from an empty one.",
        "checkpointer/a-run-without-a-state-starts-from-none",
    ),
    (
        BeginsWhatExists,
        "A begin that must create resumes.",
        "checkpointer/a-run-that-exists-is-not-begun-again",
    ),
    (
        BeginsAnotherManifest,
        "A begin with another manifest resumes.",
        "checkpointer/another-manifest-is-refused",
    ),
    (
        BeginsWhatFailed,
        "A begin reopens a failed run without being asked.",
        "checkpointer/a-failed-run-is-reopened-on-purpose",
    ),
    (BeginsWhatIsDriven, "A begin takes a driven run over.", "checkpointer/a-driven-run-is-refused"),
    (
        ResumesWhatIsNotThere,
        "A resume creates the run that is not there.",
        "checkpointer/a-run-that-is-not-there-is-not-resumed",
    ),
    (
        DrivesWhatHasFinished,
        "A begin of a finished run says `Off`.",
        "checkpointer/a-finished-run-answers-its-outcome",
    ),
    (
        IsOffWhenOutOfReach,
        "`Required`: a begin out of reach goes on without durability.",
        "checkpointer/required-returns-the-error",
    ),
    (
        IsOffThoughItMayBeThere,
        "`BestEffort`: a begin that may have happened goes on without durability.",
        "checkpointer/best-effort-leaves-no-run-that-may-be-there",
    ),
    (
        ListsEveryRun,
        "Every run is said to be interrupted.",
        "checkpointer/released-and-expired-runs-are-interrupted",
    ),
    (
        ListsTheFirstAlone,
        "One run is said to be interrupted, however many are.",
        "checkpointer/what-is-interrupted-can-be-resumed",
    ),
];
