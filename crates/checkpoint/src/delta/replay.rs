//! Applies a chain of patches to a base, at the cost of the patches rather than of the state.

use std::iter;
use std::ops::Range;

use bytes::Bytes;

use super::patch::{Op, Patch, PatchError};

/// More pieces than this are flattened: each later patch walks all that it keeps.
const MAX_PIECES: usize = 1024;

/// So are pieces that are shorter than this on average: walking one costs about as much as copying its bytes.
const MEAN_PIECE: usize = 256;

/// The bytes that a base and the patches so far amount to, as slices of the base and of what patches inserted.
///
/// A piece keeps the buffer alive that it is a slice of, until the next flattening.
#[derive(Clone, Debug)]
pub(crate) struct Replay {
    pieces: Vec<Piece>,
    len: usize,
}

/// A run of bytes that never moved since it was read, and where it ends in the whole.
#[derive(Clone, Debug)]
struct Piece {
    end: usize,
    bytes: Bytes,
}

impl Replay {
    /// Starts from the whole `base`.
    pub(crate) fn new(base: Bytes) -> Self {
        Self::from_pieces(iter::once(base))
    }

    /// Makes this what `patch` builds from it. On an error nothing has changed.
    pub(crate) fn apply(&mut self, patch: Patch) -> Result<(), PatchError> {
        for op in patch.ops() {
            match *op {
                Op::Copy { offset, len } if offset + len > self.len => {
                    return Err(PatchError::OutOfBounds { end: offset + len, len: self.len });
                }
                _ => {}
            }
        }
        let limit = MAX_PIECES.min(1 + patch.len() / MEAN_PIECE);
        let mut next = Self::from_pieces(self.slices(&patch).take(limit + 1));
        if next.pieces() > limit {
            next = Self::new(concat(patch.len(), self.slices(&patch)));
        }
        *self = next;
        Ok(())
    }

    /// Copies the pieces into one run of bytes; a single piece is handed over as it is.
    pub(crate) fn finish(mut self) -> Bytes {
        match self.pieces.len() {
            1 => self.pieces.swap_remove(0).bytes,
            _ => concat(self.len, self.pieces.into_iter().map(|piece| piece.bytes)),
        }
    }

    /// How many bytes [`finish`](Self::finish) returns.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many pieces they lie in; bounded, whatever is applied.
    pub(crate) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Lines up `slices`, leaving out empty ones so that every piece ends later than the one before it.
    fn from_pieces(slices: impl Iterator<Item = Bytes>) -> Self {
        let mut replay = Self { pieces: Vec::new(), len: 0 };
        for bytes in slices.filter(|bytes| !bytes.is_empty()) {
            replay.len += bytes.len();
            replay.pieces.push(Piece { end: replay.len, bytes });
        }
        replay
    }

    /// What `patch` builds, slice by slice; its copies must be within bounds.
    fn slices<'a>(&'a self, patch: &'a Patch) -> impl Iterator<Item = Bytes> + 'a {
        patch.ops().iter().flat_map(|op| {
            let (copied, inserted) = match op {
                Op::Copy { offset, len } => (*offset..offset + len, None),
                Op::Insert(bytes) => (0..0, Some(bytes.clone())),
            };
            self.covered(copied).chain(inserted)
        })
    }

    /// The slices that `range` covers, found without walking those before it.
    fn covered(&self, range: Range<usize>) -> impl Iterator<Item = Bytes> + '_ {
        let first = self.pieces.partition_point(|piece| piece.end <= range.start);
        self.pieces[first..].iter().map_while(move |Piece { end, bytes }| {
            let start = end - bytes.len();
            let within = range.start.saturating_sub(start)..range.end.min(*end).saturating_sub(start);
            (start < range.end).then(|| bytes.slice(within))
        })
    }
}

/// Copies `slices`, `len` bytes in all, into one buffer.
fn concat(len: usize, slices: impl Iterator<Item = Bytes>) -> Bytes {
    let mut whole = Vec::with_capacity(len);
    for slice in slices {
        whole.extend_from_slice(&slice);
    }
    whole.into()
}
