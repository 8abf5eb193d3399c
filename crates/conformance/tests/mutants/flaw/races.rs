//! Batches, races, and what others see halfway.

use super::flaws;

flaws! { RACES:
    /// A batch answers in reverse.
    BatchesAnswerInReverse => "commit/a-batch-answers-in-order",
    /// A batch answers for the commits that held alone.
    BatchesAnswerWhatHeld => "commit/a-run-twice-in-a-batch-is-invalid-for-both",
    /// A batch answers in the order of the run ids.
    BatchesAreSorted => "commit/a-batch-answers-in-order",
    /// A batch ends after a hundred commits.
    BatchesEndAt100 => "commit/a-batch-of-200-runs",
    /// The commits of a batch are not checked against the limits.
    BatchesAreNotChecked => "commit/one-failure-of-a-batch-spoils-no-other",
    /// A commit of a batch does not say that it was replayed.
    BatchesReplayNothing => "commit/a-commit-of-a-batch-replays",
    /// A commit of a batch neither extends a lease nor releases one.
    BatchesChangeNoLease => "commit/each-kind-of-commit-does-in-a-batch-what-it-does-alone",
    /// A commit of a batch ends no run.
    BatchesEndNoRun => "commit/each-kind-of-commit-does-in-a-batch-what-it-does-alone",
    /// A commit of a batch takes no message.
    BatchesTakeNothing => "commit/each-kind-of-commit-does-in-a-batch-what-it-does-alone",
    /// A commit of a batch forgets no lapse.
    BatchesNeverAdvance => "commit/each-kind-of-commit-does-in-a-batch-what-it-does-alone",
    /// A failure of a batch fails the commits behind it.
    FailuresSpoilTheRestOfABatch => "commit/one-failure-of-a-batch-spoils-no-other",
    /// A failure of a batch is told for every commit of it.
    OneFailureFailsTheBatch => "commit/one-failure-of-a-batch-spoils-no-other",
    /// A run may be in a batch twice.
    RunTwiceIsTaken => "commit/a-run-twice-in-a-batch-is-invalid-for-both",
    /// Of a run that is in a batch twice the first commit holds.
    RunTwiceIsInvalidOnce => "commit/a-run-twice-in-a-batch-is-invalid-for-both",
    /// A run that is in a batch twice makes all of it invalid.
    RunTwiceSpoilsTheBatch => "commit/a-run-twice-in-a-batch-is-invalid-for-both",
    /// Creating reads, then writes: two create one run.
    RacyCreation => "open/of-16-racing-creators-one-wins",
    /// A takeover reads, then writes: two take one run over.
    RacyTakeover => "open/of-16-racing-takeovers-one-wins",
    /// A commit reads, then writes: two commits of one version hold.
    RacyCommit => "fencing/a-takeover-racing-commits-loses-none",
    /// A renewal reads, then writes: it undoes what came between.
    RacyRenewal => "fencing/a-takeover-racing-renewals-keeps-its-lease",
    /// A message reads, then writes: it undoes what came between.
    RacySend => "inbox/racing-senders-get-every-number-once",
    /// A deletion reads, then writes: it undoes what came between.
    RacyDeletion => "deletion/racing-a-takeover",
    /// Readers see the head of a commit before its records.
    CommitShowsItsHeadFirst => "fencing/a-takeover-racing-commits-loses-none",
    /// Readers see the records of a commit before the rest, and a dropped commit leaves it so.
    CommitShowsItsRecordsFirst => "commit/it-becomes-visible-at-once",
    /// Readers see the head of a commit before its snapshot.
    CommitShowsItsSnapshotLater => "commit/it-becomes-visible-at-once",
    /// Readers see the last records of a run before its outcome.
    CommitShowsItsOutcomeLater => "fencing/a-takeover-racing-an-outcome-is-one-or-the-other",
    /// Another handle reads what was there a write before.
    SecondHandleLags => "commit/it-becomes-visible-at-once",
    /// A commit that is under way when its handle is closed lands later.
    CloseDoesNotWait => "capabilities/closing-waits-for-what-is-in-flight",
}
