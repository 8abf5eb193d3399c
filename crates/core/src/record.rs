//! What a run's log holds: records, the snapshots that shorten a resume, and the blobs that records name.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Cursor, Digest, Kind, RecordId, Timestamp};

/// Shows a body by its size: bodies are the user's data and do not belong into logs.
pub(crate) struct Size<'a>(pub(crate) &'a Bytes);

impl fmt::Debug for Size<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} B", self.0.len())
    }
}

/// A record that a commit is to append. Its cursor and its time are given by the store.
///
/// Held by: `commit/bodies-of-records-are-bytes`, `commit/kinds-round-trip`, `ids/odd-records-come-back`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRecord {
    /// What it is, in the words of its writer.
    pub kind: Kind,
    /// What it says: opaque to the store, may be empty.
    pub body: Bytes,
    /// Refused as a [`crate::Refusal::Duplicate`] when the run holds it already.
    pub id: Option<RecordId>,
    /// The blobs that it names: each carried by the same commit or stored before.
    pub blobs: Vec<Digest>,
}

impl NewRecord {
    /// A record without an id that names no blobs.
    pub fn new(kind: Kind, body: impl Into<Bytes>) -> Self {
        Self { kind, body: body.into(), id: None, blobs: Vec::new() }
    }

    /// Gives the record an id, so that appending it twice is refused.
    pub fn id(mut self, id: RecordId) -> Self {
        self.id = Some(id);
        self
    }

    /// Names a blob.
    pub fn blob(mut self, name: Digest) -> Self {
        self.blobs.push(name);
        self
    }

    /// The record as it stands in the log.
    pub fn at(self, cursor: Cursor, at: Timestamp) -> Record {
        Record { cursor, kind: self.kind, body: self.body, at, id: self.id, blobs: self.blobs }
    }
}

impl fmt::Debug for NewRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewRecord")
            .field("kind", &self.kind)
            .field("body", &Size(&self.body))
            .field("id", &self.id)
            .field("blobs", &self.blobs)
            .finish()
    }
}

/// One entry of a run's log.
///
/// Held by: `streams/gives-the-records-as-written`, `streams/gives-ids-and-blobs`, `commit/times-are-the-stores`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its position: 1-based, gapless.
    pub cursor: Cursor,
    /// What it is, in the words of its writer.
    pub kind: Kind,
    /// What it says, opaque to the store.
    pub body: Bytes,
    /// When the store committed it, by the store's clock.
    pub at: Timestamp,
    /// Its name within the run, if it was given one.
    pub id: Option<RecordId>,
    /// The blobs that it names.
    pub blobs: Vec<Digest>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("cursor", &self.cursor)
            .field("kind", &self.kind)
            .field("body", &Size(&self.body))
            .field("at", &self.at)
            .field("id", &self.id)
            .field("blobs", &self.blobs)
            .finish()
    }
}

/// The run's whole state as of a cursor: an opaque body that only shortens a resume.
///
/// Held by: `snapshots/a-snapshot-is-any-bytes`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The last record that it covers; `0` covers none.
    pub cursor: Cursor,
    /// The state, opaque to the store.
    pub body: Bytes,
}

impl Snapshot {
    /// A snapshot of the state as of `cursor`.
    pub fn new(cursor: Cursor, body: impl Into<Bytes>) -> Self {
        Self { cursor, body: body.into() }
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("cursor", &self.cursor).field("body", &Size(&self.body)).finish()
    }
}

/// A large value of a run under a digest as its name. It is stored once a run and dies with it.
///
/// Held by: `blobs/a-blob-is-stored-once`, `blobs/a-store-does-not-judge-names`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// The digest of the plain bytes. Stores do not check that it is: a layer may have encrypted the body.
    pub name: Digest,
    /// The bytes as stored.
    pub body: Bytes,
}

impl Blob {
    /// The blob of plain bytes, named by their digest.
    pub fn of(body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self { name: Digest::of(&body), body }
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob").field("name", &self.name).field("body", &Size(&self.body)).finish()
    }
}

/// What a listing of blobs tells of each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlobInfo {
    /// Its name.
    pub name: Digest,
    /// Its length in bytes, as stored.
    pub size: u64,
}
