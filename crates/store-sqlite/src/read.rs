//! Reads of one answer: head, snapshot, blob. Each is one transaction, so it sees one state of the run.

use std::{ops::ControlFlow, sync::LazyLock};

use bytes::Bytes;
use milepost_core::{At, Blob, BlobInfo, Cursor, Digest, Head, Refusal, Result, RunId, Snapshot};
use sqlx::sqlite::SqliteRow;

use crate::{
    error::{corrupt, from_driver},
    image::{Image, SELECT},
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

/// A kept snapshot. The run's row says which is the newest and how many there are: where one is gone the answer is
/// `Corrupt`, never an older one.
pub(crate) async fn snapshot(inner: &Inner, run: &RunId, at: At) -> Result<Option<Snapshot>> {
    const FIT: &str = "SELECT (SELECT count(*) FROM snapshot WHERE run = r.key), s.cursor, s.checksum, s.body \
        FROM run AS r LEFT JOIN snapshot AS s ON s.run = r.key \
        AND s.cursor = (SELECT max(cursor) FROM snapshot WHERE run = r.key AND cursor <= ?2) WHERE r.id = ?1";
    let until = match at {
        At::Latest => Cursor::MAX,
        At::OrBefore(cursor) => cursor,
    };
    let read = with_run(inner, run, &[FIT], [Value::Int(bound(until))]).await?.ok_or(Refusal::NotFound)?;
    let (row, found) = (read.image.row, read.rows.into_iter().flatten().next());
    let found = found.ok_or_else(|| corrupt("a snapshot cannot be looked up"))?;
    let mut columns = Columns::new(&found);
    let count = columns.unsigned().map_err(from_driver)?;
    let cursor = columns.unsigned_option().map_err(from_driver)?;
    let newest_fits = row.newest.filter(|newest| *newest <= until);
    if count != row.counts.snapshots || newest_fits.is_some() && cursor != newest_fits {
        return Err(corrupt("a snapshot is gone"));
    }
    let Some(cursor) = cursor else { return Ok(None) };
    let checksum: [u8; 16] = columns.array().map_err(from_driver)?;
    let snapshot = Snapshot { cursor, body: columns.bytes().map_err(from_driver)? };
    if snapshot.checksum(run, row.fence.incarnation).0 != checksum {
        return Err(corrupt("a snapshot is not as it was written"));
    }
    Ok(Some(snapshot))
}

/// A blob. The run's row says how many there are, so that a lost one is not taken for one that never was.
pub(crate) async fn blob(inner: &Inner, run: &RunId, name: &Digest) -> Result<Option<Bytes>> {
    const FIT: &str = "SELECT b.checksum, b.body, \
        CASE WHEN b.key IS NULL THEN (SELECT count(*) FROM blob WHERE run = r.key) END \
        FROM run AS r LEFT JOIN blob AS b ON b.run = r.key AND b.name = ?2 WHERE r.id = ?1";
    let read = with_run(inner, run, &[FIT], [Value::blob(&name.0)]).await?.ok_or(Refusal::NotFound)?;
    let (row, found) = (read.image.row, read.rows.into_iter().flatten().next());
    let found = found.ok_or_else(|| corrupt("a blob cannot be looked up"))?;
    if let Some(count) = Columns::from(&found, 2).unsigned_option().map_err(from_driver)? {
        return if count == row.counts.blobs { Ok(None) } else { Err(corrupt("a blob is gone")) };
    }
    let mut columns = Columns::new(&found);
    let checksum: [u8; 16] = columns.array().map_err(from_driver)?;
    let blob = Blob { name: *name, body: columns.bytes().map_err(from_driver)? };
    if blob.checksum(run, row.fence.incarnation).0 != checksum {
        return Err(corrupt("a blob is not as it was written"));
    }
    Ok(Some(blob.body))
}

/// The next blobs by name.
pub(crate) async fn blobs(inner: &Inner, run: &RunId, after: Option<Digest>) -> Result<Vec<BlobInfo>> {
    const PAGE: &str = "SELECT b.name, length(b.body) FROM run AS r CROSS JOIN blob AS b ON b.run = r.key \
        AND b.name > ?2 WHERE r.id = ?1 ORDER BY b.name LIMIT 256";
    const COUNT: &str = "SELECT count(*) FROM run AS r CROSS JOIN blob AS b ON b.run = r.key WHERE r.id = ?1";
    let from = after.map_or(Value::blob(&[]), |name| Value::blob(&name.0));
    let read = with_run(inner, run, &[PAGE, COUNT], [from]).await?.ok_or(Refusal::NotFound)?;
    let count =
        read.rows[1].first().map(|row| Columns::new(row).unsigned()).transpose().map_err(from_driver)?;
    if count != Some(read.image.row.counts.blobs) {
        return Err(corrupt("a blob is gone"));
    }
    let info = |row: &SqliteRow| {
        let mut columns = Columns::new(row);
        Ok(BlobInfo { name: Digest(columns.array()?), size: columns.unsigned()? })
    };
    read.rows[0].iter().map(info).collect::<Result<_, sqlx::Error>>().map_err(from_driver)
}

/// A position as SQL compares it: none that is stored reaches 2^63.
pub(crate) fn bound(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}
