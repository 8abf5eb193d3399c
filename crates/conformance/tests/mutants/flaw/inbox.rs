//! The inbox: keys, numbers, waking, taking.

use super::flaws;

flaws! { INBOX:
    /// Every message is a new one, whatever its key.
    KeysAreIgnored => "inbox/the-same-content-again-is-repeated",
    /// Message keys that differ by case alone are one.
    KeysIgnoreCase => "inbox/keys-that-differ-at-all-stay-apart",
    /// The message keys of all runs are one set.
    KeysAreShared => "inbox/each-run-has-its-own-keys",
    /// The newest hundred message keys are remembered, and more are declared.
    OnlyAHundredKeysAreKnown => "inbox/keys-are-remembered-behind-many-others",
    /// The last message of a key wins.
    LastMessageWins => "inbox/other-content-is-conflicting",
    /// The same key is repeated when the body is the same, whatever the kind.
    OnlyBodiesAreCompared => "inbox/other-content-is-conflicting",
    /// The same key is repeated when the kind is the same, whatever the body.
    OnlyKindsAreCompared => "inbox/other-content-is-conflicting",
    /// The same key is repeated when the body is as long.
    LengthsAreCompared => "inbox/a-key-is-known-after-its-message-was-taken",
    /// Other content under a known key is told as repeated.
    ConflictsAreRepeats => "inbox/other-content-is-conflicting",
    /// The same content under a known key is told as conflicting.
    RepeatsAreConflicts => "inbox/the-same-content-again-is-repeated",
    /// A repeated message is told as accepted.
    RepeatsAreAccepted => "inbox/the-same-content-again-is-repeated",
    /// A repeated message uses up a number.
    RepeatsLeaveAGap => "inbox/the-same-content-again-is-repeated",
    /// A repeated message is told the newest number.
    RepeatedTellsTheNewestNumber => "inbox/a-key-is-known-after-its-message-was-taken",
    /// The number of a message that was taken is given again.
    NumbersAreReused => "inbox/a-key-is-known-after-its-message-was-taken",
    /// The first message has the number 0.
    NumbersBeginAt0 => "inbox/messages-are-numbered-gaplessly",
    /// A finished run takes messages.
    FinishedRunsTakeMessages => "inbox/to-a-finished-run-is-finished",
    /// A failed run, which may be reopened, takes messages.
    FailedRunsTakeMessages => "inbox/to-a-finished-run-is-finished",
    /// A finished run does not answer a known key.
    FinishedComesBeforeAKnownKey => "inbox/to-a-finished-run-is-finished",
    /// A message for another life is taken.
    MessagesIgnoreTheIncarnation => "inbox/to-an-earlier-incarnation-is-not-found",
    /// The bodies of messages are stored as text.
    MessagesAreText => "inbox/bodies-are-any-bytes",
    /// Messages carry the time of the run's creation.
    MessagesCarryTheRunsTime => "inbox/a-message-tells-when-it-came",
    /// The id of a message's sender is not stored.
    SendersIdIsLost => "inbox/messages-are-numbered-gaplessly",
    /// A message raises the version: it makes the owner's next commit a conflict.
    SendRaisesTheVersion => "inbox/sending-never-disturbs-the-owner",
    /// A message touches `updated_at`.
    SendUpdates => "commit/times-tell-opens-and-commits",
    /// A message resets the lapses.
    SendForgetsLapses => "commit/only-advances-forgets-lapses",
    /// A message wakes nobody.
    MessagesNeverWake => "inbox/is-due-by-a-message-above-the-number-seen",
    /// Every message wakes the run that waits for another thing.
    EveryMessageWakes => "inbox/a-message-wakes-only-who-asked-for-it",
    /// A message makes a draft due.
    MessagesWakeDrafts => "inbox/a-message-wakes-no-draft",
    /// A message does not wake before the instant.
    MessageWakesNoEarlierThanTheInstant => "inbox/the-message-wakes-when-it-comes-first",
    /// A message wakes only a run that waits for no instant.
    MessageWakesOnlyWithoutAnInstant => "inbox/the-message-wakes-when-it-comes-first",
    /// Each later message moves the due.
    LaterMessagesMoveTheDue => "inbox/later-messages-do-not-move-the-due",
    /// A message that is taken stays.
    TakenMessagesStay => "inbox/taken-exactly-when-the-commit-holds",
    /// Taking what is not waiting is no conflict.
    TakingNothingIsNoConflict => "inbox/taking-what-is-not-waiting-is-a-conflict",
    /// `NotWaiting` names the first message of the commit, not the missing one.
    NotWaitingTellsTheFirst => "inbox/taking-what-is-not-waiting-is-a-conflict",
    /// Taking a message takes every earlier one too.
    TakeTakesEverythingBefore => "inbox/taking-what-is-not-waiting-is-a-conflict",
    /// Of the messages that a commit takes only the first goes.
    TakeTakesOneOnly => "inbox/taken-exactly-when-the-commit-holds",
    /// Taking a message forgets its key.
    TakeForgetsTheKey => "inbox/a-key-is-known-after-its-message-was-taken",
    /// A commit with an outcome takes nothing.
    TakeAndFinishDoNotMix => "inbox/a-reopened-run-keeps-its-inbox",
    /// A commit that changes the lease takes nothing.
    TakeAndReleaseDoNotMix => "inbox/a-release-carries-the-rest-of-its-commit",
    /// Reading an inbox from its start is `Trimmed` once the first message was taken.
    TakenMessagesAreTrimmed => "inbox/a-key-is-known-after-its-message-was-taken",
    /// The inbox is read in the order of the keys.
    InboxIsByKey => "inbox/keys-that-differ-at-all-stay-apart",
    /// Three hundred keys are remembered, and more are declared.
    ThreeHundredKeysAreKnown => "inbox/as-many-keys-are-remembered-as-declared",
}
