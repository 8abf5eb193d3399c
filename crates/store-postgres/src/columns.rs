//! Reading what comes back: the columns of a row of an answer, and the fields of a stored row that was sent whole.

use bytes::{Buf, Bytes};
use milepost_core::Result;
use sha2::{Digest as _, Sha256};
use sqlx::{Row as _, postgres::PgRow};

use crate::error::{damaged, from_driver};

/// The columns of a row, one after another.
pub(crate) struct Columns<'r> {
    row: &'r PgRow,
    next: usize,
}

impl<'r> Columns<'r> {
    pub(crate) fn new(row: &'r PgRow) -> Self {
        Self { row, next: 0 }
    }

    fn get<T>(&mut self) -> Result<T>
    where
        T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        self.next += 1;
        self.row.try_get(self.next - 1).map_err(|error| from_driver(&error))
    }

    pub(crate) fn int(&mut self) -> Result<i64> {
        self.get::<Option<i64>>()?.ok_or_else(damaged)
    }

    pub(crate) fn option_int(&mut self) -> Result<Option<i64>> {
        self.get()
    }

    pub(crate) fn unsigned(&mut self) -> Result<u64> {
        u64::try_from(self.int()?).map_err(|_| damaged())
    }

    pub(crate) fn option_bytes(&mut self) -> Result<Option<Bytes>> {
        Ok(self.get::<Option<Vec<u8>>>()?.map(Bytes::from))
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes> {
        self.option_bytes()?.ok_or_else(damaged)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.bytes()?.as_ref().try_into().map_err(|_| damaged())
    }
}

/// The fields of a stored row as `record_send` gives it: how many there are, then of each its type, its length (-1: null) and
/// its bytes. Numbers are in network order.
pub(crate) struct Fields(std::vec::IntoIter<Option<Bytes>>);

impl Fields {
    /// The fields, and where the last one begins.
    fn split(raw: &Bytes) -> Option<(Vec<Option<Bytes>>, usize)> {
        let mut rest = raw.clone();
        let count = rest.try_get_u32().ok()?;
        let (mut fields, mut last) = (Vec::new(), 0);
        for _ in 0..count {
            last = raw.len() - rest.len();
            let (_type, length) = (rest.try_get_u32().ok()?, rest.try_get_i32().ok()?);
            let field = match usize::try_from(length) {
                Ok(length) if length <= rest.len() => Some(rest.split_to(length)),
                Ok(_) => return None,
                Err(_) => None,
            };
            fields.push(field);
        }
        rest.is_empty().then_some((fields, last))
    }

    /// Those of a row whose checksum the reader compares itself.
    pub(crate) fn open(raw: &Bytes) -> Result<Self> {
        let (fields, _) = Self::split(raw).ok_or_else(damaged)?;
        Ok(Self(fields.into_iter()))
    }

    /// Those of a row whose last field is the checksum that the server has put over all others.
    pub(crate) fn unseal(raw: &Bytes) -> Result<Self> {
        let (mut fields, last) = Self::split(raw).ok_or_else(damaged)?;
        let checksum = fields.pop().flatten().ok_or_else(damaged)?;
        let mut sum = Sha256::new();
        sum.update((fields.len() as u32).to_be_bytes());
        sum.update(&raw[4..last]);
        if sum.finalize()[..16] != checksum[..] {
            return Err(damaged());
        }
        Ok(Self(fields.into_iter()))
    }

    pub(crate) fn option(&mut self) -> Result<Option<Bytes>> {
        self.0.next().ok_or_else(damaged)
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes> {
        self.option()?.ok_or_else(damaged)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.bytes()?.as_ref().try_into().map_err(|_| damaged())
    }

    pub(crate) fn text(&mut self) -> Result<String> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| damaged())
    }

    pub(crate) fn option_int(&mut self) -> Result<Option<i64>> {
        let Some(bytes) = self.option()? else { return Ok(None) };
        bytes.as_ref().try_into().map(i64::from_be_bytes).map(Some).map_err(|_| damaged())
    }

    pub(crate) fn int(&mut self) -> Result<i64> {
        self.option_int()?.ok_or_else(damaged)
    }

    pub(crate) fn option_unsigned(&mut self) -> Result<Option<u64>> {
        self.option_int()?.map(u64::try_from).transpose().map_err(|_| damaged())
    }

    pub(crate) fn unsigned(&mut self) -> Result<u64> {
        self.option_unsigned()?.ok_or_else(damaged)
    }
}

/// The checksum that binds the client's own to what the server gives: key, place and instant.
pub(crate) fn bind(content: [u8; 16], key: i64, place: u64, instant: i64) -> [u8; 16] {
    let mut sum = Sha256::new();
    sum.update(content);
    sum.update(key.to_be_bytes());
    sum.update(place.to_be_bytes());
    sum.update(instant.to_be_bytes());
    let mut bound = [0; 16];
    bound.copy_from_slice(&sum.finalize()[..16]);
    bound
}
