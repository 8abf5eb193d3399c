//! What changed, as operations on the old bytes, and its stored form (laid out in the parent module).

use std::fmt;

use bytes::{Buf, Bytes};

/// The first byte of the stored form. Another layout takes another number.
const VERSION: u8 = 1;

/// Builds new bytes out of the old ones and of bytes that it brings along.
///
/// Every operation adds at least one byte, and copies that continue each other are one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Patch {
    ops: Vec<Op>,
    len: usize,
}

/// The next stretch of the new bytes, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// `len` of the old bytes, from `offset` on.
    Copy { offset: usize, len: usize },
    /// Bytes that the old ones lack.
    Insert(Bytes),
}

impl Patch {
    /// Goes on with `len` of the old bytes from `offset` on.
    ///
    /// Whether the old bytes reach that far shows when the patch is applied: a patch does not know its base.
    pub(crate) fn copy(&mut self, offset: usize, len: usize) {
        if len == 0 {
            return;
        }
        self.len += len;
        match self.ops.last_mut() {
            Some(Op::Copy { offset: before, len: run }) if *before + *run == offset => *run += len,
            _ => self.ops.push(Op::Copy { offset, len }),
        }
    }

    /// Goes on with bytes of its own.
    pub(crate) fn insert(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.len += bytes.len();
            self.ops.push(Op::Insert(bytes));
        }
    }

    /// The operations, in the order of the new bytes.
    pub(crate) fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// How many bytes the patch builds.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The stored form.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_varint(&mut out, self.len as u64);
        let mut cursor = 0;
        for op in &self.ops {
            match op {
                Op::Copy { offset, len } => {
                    put_varint(&mut out, (*len as u64) << 1);
                    put_varint(&mut out, zigzag((*offset as u64).wrapping_sub(cursor)));
                    cursor = (offset + len) as u64;
                }
                Op::Insert(bytes) => {
                    put_varint(&mut out, (bytes.len() as u64) << 1 | 1);
                    out.extend_from_slice(bytes);
                }
            }
        }
        out
    }

    /// Reads the stored form; inserted bytes are slices of `encoded`, not copies.
    ///
    /// The input may be hostile: memory stays proportional to its length, and a patch that would build more than
    /// `limit` bytes is refused before any of them exists.
    pub(crate) fn decode(mut encoded: Bytes, limit: usize) -> Result<Self, PatchError> {
        match encoded.try_get_u8() {
            Ok(VERSION) => {}
            Ok(version) => return Err(PatchError::Version(version)),
            Err(_) => return Err(PatchError::Truncated),
        }
        let target = take_varint(&mut encoded)?;
        if target > limit as u64 {
            return Err(PatchError::TooLong { target, limit });
        }
        let mut patch = Self::default();
        let mut cursor = 0u64;
        while encoded.has_remaining() {
            let head = take_varint(&mut encoded)?;
            // The target fits a usize, and so does every length within it.
            let len = head >> 1;
            if len == 0 || len > target - patch.len as u64 {
                return Err(PatchError::Length);
            }
            if head & 1 == 1 {
                if len > encoded.len() as u64 {
                    return Err(PatchError::Truncated);
                }
                patch.insert(encoded.split_to(len as usize));
            } else {
                let offset = cursor.wrapping_add(unzigzag(take_varint(&mut encoded)?));
                cursor = offset.checked_add(len).ok_or(PatchError::Offset)?;
                usize::try_from(cursor).map_err(|_| PatchError::Offset)?;
                patch.copy(offset as usize, len as usize);
            }
        }
        if patch.len as u64 == target { Ok(patch) } else { Err(PatchError::Length) }
    }
}

/// Why stored bytes are no patch, or a patch does not fit its base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PatchError {
    /// Written by a newer program, or no patch at all.
    Version(u8),
    /// The input ends within an operation.
    Truncated,
    /// A number that is longer than its shortest form, or than 64 bits.
    Varint,
    /// An empty operation, or lengths that do not add up to the declared one.
    Length,
    /// A copy from beyond anything that could be addressed.
    Offset,
    /// The declared length is more than the caller allows.
    TooLong { target: u64, limit: usize },
    /// A copy reaches beyond the base.
    OutOfBounds { end: usize, len: usize },
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "patch format {version} is not known"),
            Self::Truncated => write!(f, "patch ends within an operation"),
            Self::Varint => write!(f, "patch has a malformed number"),
            Self::Length => write!(f, "patch operations do not add up to its declared length"),
            Self::Offset => write!(f, "patch copies from an impossible offset"),
            Self::TooLong { target, limit } => write!(f, "patch builds {target} bytes, limit is {limit}"),
            Self::OutOfBounds { end, len } => write!(f, "patch copies up to byte {end} of a base of {len}"),
        }
    }
}

impl std::error::Error for PatchError {}

/// Appends `n` in seven-bit groups, low ones first.
fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Takes a number off the front, and insists on its shortest form: what has two spellings gets two digests.
fn take_varint(input: &mut Bytes) -> Result<u64, PatchError> {
    let mut n = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = input.try_get_u8().map_err(|_| PatchError::Truncated)?;
        let group = u64::from(byte & 0x7f);
        n |= group << shift;
        let spilled = n >> shift != group;
        let padded = byte == 0 && shift > 0;
        if spilled || padded {
            return Err(PatchError::Varint);
        }
        if byte < 0x80 {
            return Ok(n);
        }
    }
    Err(PatchError::Varint)
}

/// Makes small differences of either sign small numbers.
fn zigzag(difference: u64) -> u64 {
    (difference << 1) ^ (difference as i64 >> 63) as u64
}

/// Undoes [`zigzag`].
fn unzigzag(n: u64) -> u64 {
    (n >> 1) ^ (n & 1).wrapping_neg()
}
