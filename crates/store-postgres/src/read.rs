//! Reads of one answer: head, snapshot, blob. Each is one statement, so it sees one state of the run.

use std::sync::Arc;

use bytes::Bytes;
use milepost_core::{
    At, Blob, BlobInfo, Checksum, Cursor, Digest, Head, Refusal, Result, RunId, Snapshot, Timestamp,
};
use sqlx::postgres::PgRow;

use crate::{
    columns::Columns,
    error::{corrupt, damaged},
    link::Call,
    row::{Found, Parts, Row, Tally},
    store::Inner,
    value::Value,
};

/// Runs a statement that reads.
pub(crate) async fn ask(inner: &Inner, sql: &Arc<str>, values: &[Value]) -> Result<Vec<PgRow>> {
    inner.link.call(&Call { sql, values, writes: false, once: false }).await
}

/// The store's now.
pub(crate) async fn clock(inner: &Inner) -> Result<Timestamp> {
    let rows = ask(inner, &inner.statements.clock, &[]).await?;
    Ok(Timestamp(Columns::new(rows.first().ok_or_else(damaged)?).int()?))
}

/// A run's summary.
pub(crate) async fn head(inner: &Inner, run: &RunId) -> Result<Option<Head>> {
    let floor = inner.seen.floor(run);
    let rows = ask(inner, &inner.statements.head, &[Value::text(run.as_str())]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let found = Found::read(run, Parts::read(&mut Columns::new(row))?)?;
    inner.seen.check(run, floor, found.row.stand(), false)?;
    Ok(Some(found.head))
}

/// A kept snapshot. The run's row says which is the newest, and how many there are with the sum of their cursors: where
/// one is gone the answer is `Corrupt`, never an older one.
pub(crate) async fn snapshot(inner: &Inner, run: &RunId, at: At) -> Result<Option<Snapshot>> {
    let until = match at {
        At::Latest => Cursor::MAX,
        At::OrBefore(cursor) => cursor,
    };
    let floor = inner.seen.floor(run);
    let values = [Value::text(run.as_str()), Value::position(until)];
    let rows = ask(inner, &inner.statements.snapshot, &values).await?;
    let mut columns = Columns::new(rows.first().ok_or(Refusal::NotFound)?);
    let row = Row::read(&columns.bytes()?, run)?;
    inner.seen.check(run, floor, row.stand(), false)?;
    let gone = || corrupt("a snapshot is gone");
    if (Tally { count: columns.int()?, sum: columns.int()? }) != row.snapshots {
        return Err(gone());
    }
    let newest_fits = row.newest.is_some_and(|newest| newest <= until);
    let Some(cursor) = columns.option_int()? else {
        return if newest_fits { Err(gone()) } else { Ok(None) };
    };
    let cursor = Cursor::try_from(cursor).map_err(|_| damaged())?;
    if newest_fits && row.newest != Some(cursor) {
        return Err(gone());
    }
    let checksum = Checksum(columns.array()?);
    let snapshot = Snapshot { cursor, body: columns.bytes()? };
    if snapshot.checksum(run, row.fence.incarnation) != checksum {
        return Err(corrupt("a snapshot is not as it was written"));
    }
    Ok(Some(snapshot))
}

/// A blob.
pub(crate) async fn blob(inner: &Inner, run: &RunId, name: &Digest) -> Result<Option<Bytes>> {
    let floor = inner.seen.floor(run);
    let values = [Value::text(run.as_str()), Value::bytes(&name.0)];
    let rows = ask(inner, &inner.statements.blob, &values).await?;
    let mut columns = Columns::new(rows.first().ok_or(Refusal::NotFound)?);
    let row = Row::read(&columns.bytes()?, run)?;
    inner.seen.check(run, floor, row.stand(), false)?;
    let (checksum, body) = (columns.option_bytes()?, columns.option_bytes()?);
    let (Some(checksum), Some(body)) = (checksum, body) else {
        let whole = Tally { count: columns.int()?, sum: columns.int()? } == row.blobs;
        return if whole { Ok(None) } else { Err(corrupt("a blob is gone")) };
    };
    let blob = Blob { name: *name, body };
    if blob.checksum(run, row.fence.incarnation).0 != checksum[..] {
        return Err(corrupt("a blob is not as it was written"));
    }
    Ok(Some(blob.body))
}

/// The next blobs by name, and the run's row.
pub(crate) async fn blobs(inner: &Inner, run: &RunId, after: Option<Digest>) -> Result<(Row, Vec<BlobInfo>)> {
    let floor = inner.seen.floor(run);
    let after = after.map_or(Value::bytes(&[]), |name| Value::bytes(&name.0));
    let rows = ask(inner, &inner.statements.blobs, &[Value::text(run.as_str()), after]).await?;
    let (mut found, mut page) = (None, Vec::new());
    for row in &rows {
        let mut columns = Columns::new(row);
        match columns.option_bytes()? {
            Some(raw) => found = Some(Row::read(&raw, run)?),
            None => page.push(BlobInfo { name: Digest(columns.array()?), size: columns.unsigned()? }),
        }
    }
    let row = found.ok_or(Refusal::NotFound)?;
    inner.seen.check(run, floor, row.stand(), false)?;
    page.sort_by_key(|info| info.name);
    Ok((row, page))
}

/// The first 64 bits of a name, as they are summed up.
pub(crate) fn word(name: &Digest) -> i64 {
    let mut word = [0; 8];
    word.copy_from_slice(&name.0[..8]);
    i64::from_be_bytes(word)
}
