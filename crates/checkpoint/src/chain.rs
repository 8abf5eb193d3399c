//! The digest chain: each state record and each snapshot carries a digest of everything that the log held before it.

use std::fmt;

use bytes::Bytes;
use milepost_core::{Kind, RecordId};

/// A running digest over a run's records: 128 bits of BLAKE3 over the link before and the record.
///
/// The store's checksums bind each record to its place; the chain binds the records to each other, end to end, so that
/// a backend that loses, swaps or invents whole records is found out by who reads them.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Chain(pub(crate) [u8; 16]);

impl Chain {
    /// The digest with one more record.
    pub(crate) fn link(self, kind: &Kind, id: Option<&RecordId>, body: &Bytes) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0);
        for part in [kind.as_str().as_bytes(), id.map_or("", |id| id.as_str()).as_bytes(), body] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        Self(first_half(&hasher.finalize()))
    }
}

/// The checksum of a decoded state.
pub(crate) fn checksum(bytes: &[u8]) -> [u8; 16] {
    first_half(&blake3::hash(bytes))
}

fn first_half(hash: &blake3::Hash) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash.as_bytes()[..16]);
    half
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
