//! The delta codec: pure functions over bytes, with which a save stores the difference to the last persisted state.
//!
//! [`diff`] finds a [`Patch`], [`Patch::encode`] and [`Patch::decode`] carry it through storage, and [`Replay`] applies
//! a chain of them to a base. None of them knows what the bytes mean, and none checks that a patch belongs to the base
//! that it is applied to: that is the checksum's work in the envelope around it.
//!
//! # The stored form, version 1
//!
//! It is kept for ever, so a change here is a new version beside this one. The golden bytes in the tests hold it still.
//!
//! ```text
//! patch   = version target op*        ends with the input; an op cut short is an error
//! version = 0x01
//! target  = varint                    length of what the patch builds; the ops' lengths add up to exactly it
//! op      = copy | insert             the lowest bit of the first varint tells which; a length is never zero
//! copy    = varint(length * 2)        followed by varint(zigzag(offset - end of the copy before, at first 0))
//! insert  = varint(length * 2 + 1)    followed by as many bytes
//! varint  = LEB128 of a u64, low groups of seven bits first, in its shortest form
//! zigzag  = 0, -1, 1, -2, ... as 0, 1, 2, 3, ...; the difference is taken modulo 2^64
//! ```
//!
//! Offsets count from the start of the old bytes, and copies may come in any order and overlap, so that a moved block
//! costs a few bytes.

mod diff;
mod patch;
mod replay;
#[cfg(test)]
mod tests;

pub(crate) use diff::diff;
pub(crate) use patch::Patch;
#[cfg(test)]
pub(crate) use patch::PatchError;
pub(crate) use replay::Replay;
