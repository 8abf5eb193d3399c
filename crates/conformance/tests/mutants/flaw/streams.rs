//! Streams: bounds, pages, lives, followers.

use super::flaws;

flaws! { STREAMS:
    /// `after` is inclusive.
    AfterIsInclusive => "streams/every-bound-after-a-cursor",
    /// `after` is ignored.
    AfterIsIgnored => "streams/every-bound-after-a-cursor",
    /// `until` is exclusive.
    UntilIsExclusive => "streams/a-half-read-reverse-stream-goes-on-downward",
    /// `until` is ignored.
    UntilIsIgnored => "streams/an-empty-span-is-never-trimmed",
    /// `limit` is ignored.
    LimitIsIgnored => "streams/an-empty-span-is-never-trimmed",
    /// `limit` counts for each page anew.
    LimitIsPerPage => "streams/following-a-finished-run-ends",
    /// A limit of 0 is no limit.
    LimitOf0IsNone => "streams/an-empty-span-is-never-trimmed",
    /// A limit gives one more.
    LimitGivesOneMore => "streams/following-a-finished-run-ends",
    /// `reverse` is ignored.
    ReverseIsIgnored => "streams/a-half-read-reverse-stream-goes-on-downward",
    /// `reverse` with a limit gives the oldest, newest first.
    ReverseCutsFromTheOldest => "streams/a-trimmed-log-streams-from-its-first",
    /// A stream ends after its first page.
    OnlyTheFirstPageComes => "streams/a-follower-ends-when-the-run-finishes",
    /// A stream loses a record between two pages.
    PagesSkipOne => "streams/ten-thousand-records-stream-from-their-middle",
    /// A stream gives a record twice between two pages.
    PagesOverlap => "streams/ten-thousand-records-stream-in-order",
    /// A stream from past the head is `NotFound`.
    PastTheHeadIsNotFound => "streams/a-trimmed-log-streams-from-its-first",
    /// A stream that asks for nothing is `Trimmed`.
    EmptySpansAreTrimmed => "streams/an-empty-span-is-never-trimmed",
    /// A stream from below the trimmed begins at the first retained record.
    TrimmedIsSkipped => "streams/below-the-trimmed-is-trimmed",
    /// A stream in reverse ends at the first retained record in silence.
    TrimmedIsSkippedInReverse => "streams/below-the-trimmed-is-trimmed",
    /// A follower that falls behind a trim goes on at the first retained record.
    TrimmedIsSkippedByFollowers => "streams/a-follower-behind-a-trim-is-trimmed",
    /// A stream from just below the first retained record is `Trimmed`.
    TrimmedNamesTheFirst => "streams/below-the-trimmed-is-trimmed",
    /// A stream is `Trimmed` only when nothing of its span is left.
    TrimmedOnlyWhenNothingIsLeft => "streams/a-follower-behind-a-trim-is-trimmed",
    /// `Trimmed` tells the last record that was trimmed.
    TrimmedTellsTheLastTrimmed => "streams/below-the-trimmed-is-trimmed",
    /// A stream from below the trimmed ends in silence.
    TrimmedStreamsEnd => "streams/below-the-trimmed-is-trimmed",
    /// A stream of a run that is not there is empty.
    UnknownRunsStreamNothing => "streams/every-read-of-an-unknown-run-is-not-found",
    /// A stream of another life gives this one's.
    StreamsIgnoreTheIncarnation => "streams/another-life-of-the-run-is-not-found",
    /// A half-read stream goes on with the records of the next life.
    StreamsGoOnInAnotherLife => "streams/a-half-read-stream-never-continues-in-another-life",
    /// A reader that looks elsewhere while its page is fetched keeps one of the store's four connections.
    PagesKeepAConnection => "streams/readers-that-look-away-hold-nobody-up",
    /// A follower that looks elsewhere while its page is fetched keeps one of the store's four connections.
    FollowersKeepAConnection => "streams/followers-that-look-away-hold-nobody-up",
    /// A follower ends at the head.
    FollowersEndAtTheHead => "streams/a-follower-ends-when-the-run-finishes",
    /// A follower ends when the run lets go.
    FollowersEndWithTheRelease => "streams/a-follower-survives-release-and-takeover",
    /// A follower ends when the run is taken over.
    FollowersEndWithTheTakeover => "streams/a-follower-survives-release-and-takeover",
    /// A follower does not end with the run.
    FollowersNeverEnd => "streams/a-follower-ends-when-the-run-finishes",
    /// A follower does not end with a run that fails.
    FollowersOfFailedRunsNeverEnd => "streams/a-follower-ends-when-the-run-finishes",
    /// A follower ends when it sees the outcome, without the last records.
    FollowersMissTheLastRecords => "streams/a-follower-ends-when-the-run-finishes",
    /// A follower misses what is committed between its look and its wait.
    FollowersMissWakeups => "streams/a-follower-sees-later-records",
    /// A follower gives its last record again when it has waited.
    FollowersRepeatTheLast => "streams/a-follower-ends-when-the-run-finishes",
    /// A follower does not end at `until`.
    FollowersIgnoreUntil => "streams/a-follower-ends-at-its-bounds",
    /// A follower of a deleted run ends in silence.
    FollowersOfDeletedRunsEnd => "streams/a-follower-of-a-deleted-run-gets-not-found",
    /// A follower of a closed store ends in silence.
    FollowersOfClosedStoresEnd => "streams/a-stream-that-is-never-read-does-no-harm",
    /// A follower may go in reverse.
    FollowingInReverseIsTaken => "streams/following-in-reverse-is-invalid",
    /// A follower is not told of the commits of a batch.
    FollowersHearNoBatches => "streams/a-follower-sees-the-commits-of-batches",
    /// A limit has 32 bits.
    LimitsHave32Bits => "streams/every-bound-after-a-cursor",
}
