//! Snapshots and trims.

use super::flaws;

flaws! { SNAPSHOTS:
    /// The oldest kept snapshot is read.
    OldestSnapshotIsRead => "snapshots/the-newest-wins",
    /// The largest kept snapshot is read.
    NewestSnapshotIsTheLargest => "snapshots/the-newest-wins-whatever-its-size",
    /// `OrBefore` leaves out its own cursor.
    OrBeforeIsExclusive => "snapshots/the-newest-not-newer-than-a-cursor",
    /// `OrBefore` finds its own cursor alone.
    OrBeforeIsExact => "snapshots/each-run-is-trimmed-alone",
    /// `OrBefore` gives the newest.
    OrBeforeGivesTheNewest => "snapshots/the-newest-not-newer-than-a-cursor",
    /// `OrBefore` gives the oldest.
    OrBeforeGivesTheOldest => "snapshots/the-newest-not-newer-than-a-cursor",
    /// A snapshot is read with the cursor of the head.
    SnapshotsTellTheHeadsCursor => "snapshots/the-newest-not-newer-than-a-cursor",
    /// A snapshot stands at the end of its commit, whatever cursor it names.
    SnapshotsStandAtTheEnd => "snapshots/a-trim-holds-with-the-rest-of-its-commit",
    /// A snapshot stands at the end of the log before its commit.
    SnapshotsStandAtTheOldEnd => "snapshots/a-trim-holds-with-the-rest-of-its-commit",
    /// A snapshot past the end is taken.
    SnapshotsMayRunAhead => "snapshots/past-the-end-is-refused",
    /// A snapshot one past the end is taken.
    SnapshotsMayRunOneAhead => "snapshots/past-the-end-is-refused",
    /// A snapshot of the records of its own commit is refused.
    SnapshotsStandAtMostAtTheOldEnd => "snapshots/past-the-end-is-refused",
    /// An empty snapshot is not stored.
    EmptySnapshotsAreNone => "snapshots/a-snapshot-is-any-bytes",
    /// A snapshot at the cursor of a kept one does not replace it.
    FirstSnapshotOfACursorStays => "snapshots/the-same-cursor-replaces",
    /// A snapshot at the newest one's cursor is dropped.
    SameCursorIsDropped => "snapshots/the-same-cursor-replaces",
    /// With `History` an older snapshot is dropped.
    HistoryTakesNewerOnly => "snapshots/with-history-an-older-one-is-replaced",
    /// Without `History` an older snapshot replaces the newest.
    OlderSnapshotsWin => "snapshots/without-history-an-older-one-is-dropped",
    /// One snapshot is kept.
    OnlyOneSnapshotIsKept => "snapshots/with-history-an-older-one-is-replaced",
    /// With `History` two snapshots are kept.
    OnlyTwoSnapshotsAreKept => "snapshots/with-history-an-older-one-is-replaced",
    /// Without `History` three snapshots are kept.
    ThreeSnapshotsAreKept => "snapshots/without-history-two-are-kept",
    /// A snapshot whose tail was trimmed is kept.
    SnapshotsBelowTheTrimmedAreKept => "snapshots/a-snapshot-below-the-trimmed-is-dropped",
    /// A snapshot at the trim's own cursor is dropped.
    SnapshotsAtTheTrimmedAreDropped => "snapshots/the-same-cursor-replaces",
    /// Snapshots of all runs are one set.
    SnapshotsAreShared => "snapshots/each-run-has-its-own-snapshots",
    /// The head tells the newest snapshot alone.
    HeadTellsOneSnapshot => "snapshots/the-newest-wins",
    /// The head tells the older snapshot first.
    HeadTellsOldSnapshotsFirst => "snapshots/a-snapshot-for-an-older-cursor-while-records-went-on",
    /// The head tells every snapshot.
    HeadTellsEverySnapshot => "snapshots/the-newest-wins",
    /// A run that is not there has no snapshot, instead of `NotFound`.
    UnknownRunsHaveNoSnapshot => "snapshots/a-run-without-a-snapshot-has-none",
    /// A trim goes as far as it asks for.
    TrimIsNotJudged => "snapshots/a-trim-past-the-second-newest-is-refused",
    /// A trim may reach the newest snapshot.
    TrimMayReachTheNewest => "snapshots/a-trim-past-the-second-newest-is-refused",
    /// A trim up to the second-newest snapshot is refused.
    TrimStopsOneEarly => "snapshots/a-trim-past-the-second-newest-is-refused",
    /// A trim that is refused does not tell how far it may go.
    TrimTellsNoLimit => "snapshots/a-trim-past-the-second-newest-is-refused",
    /// The snapshot of the same commit does not count for the trim.
    OwnSnapshotDoesNotCount => "snapshots/the-snapshot-of-the-same-commit-counts",
    /// A snapshot that is dropped counts for the trim.
    DroppedSnapshotsCount => "snapshots/a-dropped-snapshot-does-not-count",
    /// A snapshot that is replaced counts twice for the trim.
    ReplacedSnapshotsCountTwice => "snapshots/the-snapshot-of-the-same-commit-counts",
    /// A trim removes nothing.
    TrimDoesNothing => "snapshots/a-trim-removes-records-and-older-snapshots",
    /// A trim leaves the record at its cursor.
    TrimLeavesOneMore => "snapshots/a-trim-holds-with-the-rest-of-its-commit",
    /// A trim removes the record behind its cursor.
    TrimTakesOneMore => "snapshots/a-trim-holds-with-the-rest-of-its-commit",
    /// A trim of what is trimmed already moves the first retained record back.
    TrimMayGoBack => "snapshots/trimming-again-is-harmless",
    /// The head does not tell that the log was trimmed.
    FirstStays => "snapshots/everything-can-be-trimmed",
    /// A trim keeps the snapshots below it.
    TrimKeepsOlderSnapshots => "snapshots/a-trim-removes-records-and-older-snapshots",
    /// A trim removes the snapshot at its cursor.
    TrimTakesTheSnapshotAtItsCursor => "snapshots/a-trim-holds-with-the-rest-of-its-commit",
    /// A trim keeps the newest snapshot alone.
    TrimKeepsTheNewestSnapshotOnly => "snapshots/a-trim-past-the-second-newest-is-refused",
    /// A trim forgets the ids of the records that it removes.
    TrimForgetsIds => "commit/a-record-id-is-remembered-after-a-trim",
    /// A trim drops the blobs that its records name.
    TrimDropsBlobs => "blobs/blobs-survive-a-trim",
    /// Trimmed records still count for the size.
    SizesKeepTheTrimmed => "snapshots/the-snapshot-of-the-same-commit-counts",
    /// Taken messages still count for the size.
    SizesKeepTheTaken => "inbox/taken-exactly-when-the-commit-holds",
    /// Of the snapshots only the newest counts for the size.
    SizesCountTheNewestSnapshot => "snapshots/the-newest-wins",
    /// Blobs do not count for the size.
    SizesLeaveOutBlobs => "blobs/a-blob-is-stored-once",
}
