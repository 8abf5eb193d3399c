//! Reads of one answer: head, snapshot, blob. Each is one transaction, so it sees one state of the run.

use std::{ops::ControlFlow, sync::LazyLock};

use bytes::Bytes;
use milepost_core::{At, Blob, BlobInfo, Cursor, Digest, Head, Refusal, Result, RunId, Snapshot};
use sqlx::sqlite::SqliteRow;

use crate::{
    error::{corrupt, from_driver},
    image::{Image, SELECT},
    needs::whole_sum,
    row::{Counts, Row},
    sql::{Columns, Script, Value},
    store::Inner,
};

/// Everything of the run whose id is the script's first value.
static SELECT_RUN: LazyLock<String> = LazyLock::new(|| format!("{} WHERE r.id = ?1", *SELECT));

/// A run and what else was read with it, by statement.
pub(crate) struct Read {
    pub(crate) image: Image,
    pub(crate) rows: Vec<Vec<SqliteRow>>,
}

/// Reads a run and, in the same transaction, what `statements` select. They share their parameters, `?1` and so on:
/// the run's id, then `values`.
pub(crate) async fn with_run(
    inner: &Inner,
    run: &RunId,
    statements: &[&str],
    values: impl IntoIterator<Item = Value>,
) -> Result<Option<Read>> {
    let mut script = Script::default();
    script.add(&SELECT_RUN, [Value::text(run.as_str())].into_iter().chain(values));
    statements.iter().for_each(|sql| {
        script.add(sql, []);
    });
    let mut read = inner
        .readers
        .read(script, |rows: &mut Vec<Vec<SqliteRow>>, statement, row| {
            rows.resize_with(rows.len().max(statement + 1), Vec::new);
            rows[statement].push(row);
            ControlFlow::Continue(())
        })
        .await?;
    read.resize_with(statements.len() + 1, Vec::new);
    let Some(run) = read.remove(0).pop() else { return Ok(None) };
    Ok(Some(Read { image: Image::read(run)?, rows: read }))
}

/// A run's summary.
pub(crate) async fn head(inner: &Inner, run: &RunId) -> Result<Option<Head>> {
    let read = with_run(inner, run, &[], []).await?;
    read.map(|read| read.image.head(inner.config.clock.now(), &inner.here)).transpose()
}

/// A kept snapshot. The run's row says which is the newest, and how many there are with the sum of their cursors: where
/// one is gone the answer is `Corrupt`, never an older one.
pub(crate) async fn snapshot(inner: &Inner, run: &RunId, at: At) -> Result<Option<Snapshot>> {
    const FIT: &str = "SELECT cursor, checksum, body FROM snapshot WHERE run = (SELECT key FROM run WHERE id = ?1) \
        AND cursor <= ?2 ORDER BY cursor DESC LIMIT 1";
    const SUMS: &str = "SELECT count(*), coalesce(sum(cursor >> 32), 0), coalesce(sum(cursor & 4294967295), 0) \
        FROM snapshot WHERE run = (SELECT key FROM run WHERE id = ?1)";
    let gone = || corrupt("a snapshot is gone");
    let until = match at {
        At::Latest => Cursor::MAX,
        At::OrBefore(cursor) => cursor,
    };
    let read =
        with_run(inner, run, &[FIT, SUMS], [Value::Int(bound(until))]).await?.ok_or(Refusal::NotFound)?;
    let row = read.image.row;
    let mut sums = read.rows[1].first().map(Columns::new).ok_or_else(gone)?;
    let mut next = || sums.unsigned().map_err(from_driver);
    let (count, sum) = (next()?, whole_sum(next()?, next()?));
    if (count, sum) != (row.counts.snapshots, row.counts.snapshot_cursors) {
        return Err(gone());
    }
    let newest_fits = row.newest.is_some_and(|newest| newest <= until);
    let Some(found) = read.rows[0].first() else {
        return if newest_fits { Err(gone()) } else { Ok(None) };
    };
    let mut columns = Columns::new(found);
    let cursor = columns.unsigned().map_err(from_driver)?;
    if newest_fits && row.newest != Some(cursor) {
        return Err(gone());
    }
    let checksum: [u8; 16] = columns.array().map_err(from_driver)?;
    let snapshot = Snapshot { cursor, body: columns.bytes().map_err(from_driver)? };
    if snapshot.checksum(run, row.fence.incarnation).0 != checksum {
        return Err(corrupt("a snapshot is not as it was written"));
    }
    Ok(Some(snapshot))
}

/// A blob. When it is not there, all names are read and compared with what the run's row says of them, so that a lost
/// one is not taken for one that never was.
pub(crate) async fn blob(inner: &Inner, run: &RunId, name: &Digest) -> Result<Option<Bytes>> {
    const FIT: &str =
        "SELECT checksum, body FROM blob WHERE run = (SELECT key FROM run WHERE id = ?1) AND name = ?2";
    const NAMES: &str = "SELECT b.name FROM run AS r CROSS JOIN blob AS b ON b.run = r.key WHERE r.id = ?1 \
        AND NOT EXISTS (SELECT 1 FROM blob WHERE run = r.key AND name = ?2)";
    let values = [Value::blob(&name.0)];
    let read = with_run(inner, run, &[FIT, NAMES], values).await?.ok_or(Refusal::NotFound)?;
    let row = read.image.row;
    let Some(found) = read.rows[0].first() else {
        let mut sum = Counts::default();
        for row in &read.rows[1] {
            sum.blobs += 1;
            sum.toggle_blob(&Digest(Columns::new(row).array().map_err(from_driver)?));
        }
        let whole = (sum.blobs, sum.blob_names) == (row.counts.blobs, row.counts.blob_names);
        return if whole { Ok(None) } else { Err(corrupt("a blob is gone")) };
    };
    let mut columns = Columns::new(found);
    let checksum: [u8; 16] = columns.array().map_err(from_driver)?;
    let blob = Blob { name: *name, body: columns.bytes().map_err(from_driver)? };
    if blob.checksum(run, row.fence.incarnation).0 != checksum {
        return Err(corrupt("a blob is not as it was written"));
    }
    Ok(Some(blob.body))
}

/// The next blobs by name, and the run's row.
pub(crate) async fn blobs(inner: &Inner, run: &RunId, after: Option<Digest>) -> Result<(Row, Vec<BlobInfo>)> {
    const PAGE: &str = "SELECT name, length(body) FROM blob WHERE run = (SELECT key FROM run WHERE id = ?1) \
        AND name > ?2 ORDER BY name LIMIT 256";
    let from = after.map_or(Value::blob(&[]), |name| Value::blob(&name.0));
    let read = with_run(inner, run, &[PAGE], [from]).await?.ok_or(Refusal::NotFound)?;
    let info = |row: &SqliteRow| {
        let mut columns = Columns::new(row);
        Ok(BlobInfo { name: Digest(columns.array()?), size: columns.unsigned()? })
    };
    let page = read.rows[0].iter().map(info).collect::<Result<_, sqlx::Error>>().map_err(from_driver)?;
    Ok((read.image.row, page))
}

/// A position as SQL compares it: none that is stored reaches 2^63.
pub(crate) fn bound(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}
