//! Checksums that bind stored bytes to their place.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Blob, Incarnation, Message, Record, RunId, Snapshot, digest::Canonical};

/// The first 128 bits of a BLAKE3 hash over a stored value *and its place*: run, incarnation, cursor, kind, id and
/// body. A flipped bit, a swapped row and a value of another run all fail it.
///
/// It guards against accidents, not against an attacker who can write to the backend: it has no key.
///
/// Held by: `corruption/*`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checksum(pub [u8; 16]);

impl Checksum {
    fn of(canonical: &Canonical) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&canonical.digest().0[..16]);
        Self(bytes)
    }

    /// The checksum of an adapter's own row or object: `place` names it, `parts` are what it holds.
    pub fn of_parts(place: &str, parts: &[&[u8]]) -> Self {
        let mut canonical = Canonical::new(place);
        canonical.list(parts.iter(), |canonical, part| {
            canonical.bytes(part);
        });
        Self::of(&canonical)
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn placed(purpose: &str, run: &RunId, incarnation: Incarnation) -> Canonical {
    let mut canonical = Canonical::new(purpose);
    canonical.bytes(run.as_str().as_bytes()).number(incarnation.0);
    canonical
}

impl Record {
    /// What a store keeps beside the record and compares when it reads it.
    pub fn checksum(&self, run: &RunId, incarnation: Incarnation) -> Checksum {
        let mut canonical = placed("record", run, incarnation);
        canonical
            .number(self.cursor)
            .bytes(self.kind.as_str().as_bytes())
            .option(self.id.as_ref(), |canonical, id| {
                canonical.bytes(id.as_str().as_bytes());
            })
            .number(self.at.0 as u64)
            .list(self.blobs.iter(), |canonical, name| {
                canonical.bytes(&name.0);
            })
            .bytes(&self.body);
        Checksum::of(&canonical)
    }
}

impl Snapshot {
    /// What a store keeps beside the snapshot and compares when it reads it.
    pub fn checksum(&self, run: &RunId, incarnation: Incarnation) -> Checksum {
        Checksum::of(placed("snapshot", run, incarnation).number(self.cursor).bytes(&self.body))
    }
}

impl Blob {
    /// What a store keeps beside the blob and compares when it reads it.
    pub fn checksum(&self, run: &RunId, incarnation: Incarnation) -> Checksum {
        Checksum::of(placed("blob", run, incarnation).bytes(&self.name.0).bytes(&self.body))
    }
}

impl Message {
    /// What a store keeps beside the message and compares when it reads it.
    pub fn checksum(&self, run: &RunId, incarnation: Incarnation) -> Checksum {
        let mut canonical = placed("message", run, incarnation);
        canonical
            .number(self.number)
            .number(self.id.0)
            .bytes(self.key.as_str().as_bytes())
            .bytes(self.kind.as_str().as_bytes())
            .number(self.at.0 as u64)
            .bytes(&self.body);
        Checksum::of(&canonical)
    }
}
