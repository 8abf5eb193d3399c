//! The answers of scripts: a code, as in `common.lua`, and what goes with it.

use bytes::Bytes;
use milepost_core::{Error, ErrorKind, Result};
use redis::Value;

use crate::error::{corrupt, damaged};

pub(crate) const OK: i64 = 0;
pub(crate) const NOT_FOUND: i64 = 1;
pub(crate) const REPLAYED: i64 = 2;
pub(crate) const ID_REUSED: i64 = 3;
pub(crate) const FENCED: i64 = 4;
pub(crate) const FINISHED: i64 = 5;
pub(crate) const VERSION: i64 = 6;
pub(crate) const NOT_WAITING: i64 = 7;
pub(crate) const MISSING_BLOB: i64 = 8;
pub(crate) const SNAPSHOT_CURSOR: i64 = 9;
pub(crate) const TRIM: i64 = 10;
pub(crate) const DUPLICATE: i64 = 11;
pub(crate) const ALREADY_EXISTS: i64 = 12;
pub(crate) const MANIFEST: i64 = 13;
pub(crate) const LEASE_HELD: i64 = 14;
pub(crate) const CORRUPT: i64 = 15;
pub(crate) const RETRY: i64 = 16;
pub(crate) const NOT_FINISHED: i64 = 17;
pub(crate) const DRIVEN: i64 = 18;
pub(crate) const CONFLICTING: i64 = 19;
pub(crate) const NEWER: i64 = 20;

/// A script's answer, read from its beginning.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i64,
    rest: std::vec::IntoIter<Value>,
}

fn nonsense() -> Error {
    Error::new(ErrorKind::Other, "the server's answer is none that a script of this store gives")
}

/// A list.
pub(crate) fn list(value: Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(values) => Ok(values),
        _ => Err(nonsense()),
    }
}

/// Bytes, or nothing.
pub(crate) fn option(value: Value) -> Result<Option<Bytes>> {
    match value {
        Value::BulkString(bytes) => Ok(Some(bytes.into())),
        Value::Nil => Ok(None),
        _ => Err(nonsense()),
    }
}

pub(crate) fn number(value: &Value) -> Result<i64> {
    match value {
        Value::Int(number) => Ok(*number),
        _ => Err(nonsense()),
    }
}

impl Answer {
    /// Reads the code, and tells what stands in the way of every operation.
    pub(crate) fn read(value: Value) -> Result<Self> {
        let mut rest = list(value)?.into_iter();
        let code = rest.next().as_ref().map(number).ok_or_else(nonsense)??;
        match code {
            CORRUPT => Err(damaged()),
            NEWER => {
                Err(Error::new(ErrorKind::Newer, "the run was written by a newer version of this library"))
            }
            _ => Ok(Self { code, rest }),
        }
    }

    fn next(&mut self) -> Result<Value> {
        self.rest.next().ok_or_else(nonsense)
    }

    pub(crate) fn option(&mut self) -> Result<Option<Bytes>> {
        option(self.next()?)
    }

    /// Bytes that must be there.
    pub(crate) fn bytes(&mut self) -> Result<Bytes> {
        self.option()?.ok_or_else(|| corrupt("a part of the run is gone"))
    }

    pub(crate) fn number(&mut self) -> Result<i64> {
        number(&self.next()?)
    }

    pub(crate) fn unsigned(&mut self) -> Result<u64> {
        u64::try_from(self.number()?).map_err(|_| nonsense())
    }

    /// Whatever is left.
    pub(crate) fn rest(self) -> impl ExactSizeIterator<Item = Value> {
        self.rest
    }

    /// A code that the operation does not know.
    pub(crate) fn nonsense(&self) -> Error {
        nonsense()
    }
}
