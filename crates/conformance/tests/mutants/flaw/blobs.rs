//! Blobs.

use super::flaws;

flaws! { BLOBS:
    /// A record may name a blob that is not there.
    MissingBlobsAreNamed => "blobs/a-missing-blob-is-refused",
    /// Of the blobs that a record names only the first is looked up.
    OnlyTheFirstBlobIsLookedUp => "blobs/a-missing-blob-is-refused",
    /// Of the records of a commit only the first one's blobs are looked up.
    OnlyTheFirstRecordsBlobsAreLookedUp => "blobs/a-missing-blob-is-refused",
    /// A record cannot name a blob of its own commit.
    CarriedBlobsAreMissing => "blobs/a-record-names-a-carried-or-a-stored-blob",
    /// A record cannot name a blob of an earlier commit.
    StoredBlobsAreMissing => "blobs/a-record-names-a-carried-or-a-stored-blob",
    /// A record may name a blob that its own commit drops.
    DroppedBlobsCanStillBeNamed => "blobs/a-blob-dropped-by-the-same-commit-is-missing",
    /// A blob that is not there is read as an empty one.
    MissingBlobsAreEmpty => "blobs/a-blob-is-read-by-its-name",
    /// A blob without a byte is not stored.
    EmptyBlobsAreSkipped => "blobs/blobs-are-enumerated-by-name",
    /// A second blob of a name replaces the first.
    SecondBlobWins => "blobs/a-blob-is-stored-once",
    /// A blob is never dropped.
    BlobsAreNeverDropped => "blobs/a-dropped-blob-can-be-stored-again",
    /// A blob that a record names is not dropped.
    NamedBlobsAreNotDropped => "blobs/a-named-blob-is-dropped-and-its-record-stays",
    /// Dropping a blob takes its name from the records.
    DropTakesTheNames => "blobs/a-named-blob-is-dropped-and-its-record-stays",
    /// Dropping a blob takes the records that name it.
    DropTakesTheRecords => "blobs/a-named-blob-is-dropped-and-its-record-stays",
    /// Dropping a blob drops every one.
    DropTakesEveryBlob => "blobs/a-blob-is-dropped-on-request",
    /// Blobs of all runs are one set.
    BlobsAreShared => "blobs/each-run-has-its-own-blobs",
    /// Blobs are enumerated in reverse.
    BlobsComeInReverse => "blobs/many-blobs-are-enumerated-whole",
    /// Blobs are enumerated by their sizes.
    BlobsComeBySize => "blobs/many-blobs-are-enumerated-whole",
    /// Ten blobs are enumerated.
    BlobsEndAt10 => "blobs/many-blobs-are-enumerated-whole",
    /// Blobs are enumerated without their sizes.
    BlobsHaveNoSize => "blobs/many-blobs-are-enumerated-whole",
    /// A run that is not there has no blob, instead of `NotFound`.
    UnknownRunsHaveNoBlob => "blobs/the-blobs-of-no-run-are-not-found",
    /// Blobs are read when they are asked for, not when the stream is.
    BlobsAreReadAtTheCall => "streams/a-stream-that-is-never-read-does-no-harm",
}
