//! Records and messages, read in pages. No connection is held between two pages.

use std::sync::Arc;

use milepost_core::{
    BlobInfo, BoxStream, Digest, Error, Incarnation, Kind, Message, MessageKey, Operation, OperationId,
    Record, RecordId, Refusal, Result, RunId, Span, Timestamp,
};
use milepost_store_memory::{apart, paged};
use sqlx::sqlite::SqliteRow;

use crate::{
    error::{BACKEND, corrupt, from_driver},
    follow::Follower,
    read::{self, Read, bound},
    row::{Counts, Row},
    sql::{Columns, Value},
    store::Inner,
};

/// What stands in a sequence of a run.
pub(crate) trait Entry: Sized + Send + 'static {
    const OPERATION: Operation;
    /// The statements of a page, forward and in reverse. `?1` is the run, `?2` what came before, `?3` the end, `?4` how
    /// many. A page ends early once its bodies have a MiB, so that memory does not depend on their size.
    const FORWARD: &[&str];
    const REVERSE: &[&str];

    fn read(row: &SqliteRow, run: &RunId, incarnation: Incarnation) -> Result<Self>;
    fn position(&self) -> u64;
    /// The newest position that the run has ever given.
    fn newest(row: &Row) -> u64;
    /// Compares the page with what the run's row says.
    fn check(span: &Span, read: &Read, page: &[Self]) -> Result<()>;
}

macro_rules! page {
    ($table:literal, $place:literal, $columns:literal, $direction:literal) => {
        concat!(
            "WITH near AS (SELECT ",
            $place,
            " AS place, length(body) AS size FROM ",
            $table,
            " WHERE run = (SELECT key FROM run WHERE id = ?1) AND ",
            $place,
            " > ?2 AND ",
            $place,
            " <= ?3 ORDER BY ",
            $place,
            $direction,
            " LIMIT ?4), summed AS (SELECT place, sum(size) OVER (ORDER BY place",
            $direction,
            " ROWS UNBOUNDED PRECEDING) - size AS before FROM near) SELECT ",
            $columns,
            " FROM ",
            $table,
            " WHERE run = (SELECT key FROM run WHERE id = ?1) AND ",
            $place,
            " IN (SELECT place FROM summed WHERE before < 1048576) ORDER BY ",
            $place,
            $direction
        )
    };
}

macro_rules! records {
    ($direction:literal) => {
        page!("record", "cursor", "cursor, at, kind, id, blobs, checksum, body", $direction)
    };
}

macro_rules! messages {
    ($direction:literal) => {
        page!("message", "number", "number, id, name, kind, at, checksum, body", $direction)
    };
}

const COUNT_MESSAGES: &str = "SELECT count(*), coalesce(sum(number), 0) FROM message \
    WHERE run = (SELECT key FROM run WHERE id = ?1)";

/// A stored name that is none.
fn damaged(_: Error) -> Error {
    corrupt("a stored name does not make sense")
}

impl Entry for Record {
    const OPERATION: Operation = Operation::Stream;
    const FORWARD: &[&str] = &[records!("")];
    const REVERSE: &[&str] = &[records!(" DESC")];

    fn read(row: &SqliteRow, run: &RunId, incarnation: Incarnation) -> Result<Self> {
        let mut columns = Columns::new(row);
        let cursor = columns.unsigned().map_err(from_driver)?;
        let at = Timestamp(columns.get().map_err(from_driver)?);
        let kind = Kind::new(columns.get::<&str>().map_err(from_driver)?).map_err(damaged)?;
        let id = columns.get::<Option<&str>>().map_err(from_driver)?;
        let id = id.map(RecordId::new).transpose().map_err(damaged)?;
        let names = columns.get::<Option<&[u8]>>().map_err(from_driver)?.unwrap_or_default();
        let (names, rest) = names.as_chunks::<32>();
        let checksum: [u8; 16] = columns.array().map_err(from_driver)?;
        let body = columns.bytes().map_err(from_driver)?;
        let blobs = names.iter().map(|name| Digest(*name)).collect();
        let record = Record { cursor, kind, body, at, id, blobs };
        if !rest.is_empty() || record.checksum(run, incarnation).0 != checksum {
            return Err(corrupt("a record is not as it was written"));
        }
        Ok(record)
    }

    fn position(&self) -> u64 {
        self.cursor
    }

    fn newest(row: &Row) -> u64 {
        row.cursor
    }

    /// Records are gapless, and the run's row says where they begin and end.
    fn check(span: &Span, read: &Read, page: &[Self]) -> Result<()> {
        let row = &read.image.row;
        span.check_records(row.first, row.cursor, page.iter().map(|record| record.cursor))
    }
}

impl Entry for Message {
    const OPERATION: Operation = Operation::Inbox;
    const FORWARD: &[&str] = &[messages!(""), COUNT_MESSAGES];
    const REVERSE: &[&str] = &[messages!(" DESC"), COUNT_MESSAGES];

    fn read(row: &SqliteRow, run: &RunId, incarnation: Incarnation) -> Result<Self> {
        let mut columns = Columns::new(row);
        let number = columns.unsigned().map_err(from_driver)?;
        let id = OperationId(u128::from_le_bytes(columns.array().map_err(from_driver)?));
        let key = MessageKey::new(columns.get::<&str>().map_err(from_driver)?).map_err(damaged)?;
        let kind = Kind::new(columns.get::<&str>().map_err(from_driver)?).map_err(damaged)?;
        let at = Timestamp(columns.get().map_err(from_driver)?);
        let checksum: [u8; 16] = columns.array().map_err(from_driver)?;
        let message = Message { number, id, key, kind, body: columns.bytes().map_err(from_driver)?, at };
        if message.checksum(run, incarnation).0 != checksum {
            return Err(corrupt("a message is not as it was written"));
        }
        Ok(message)
    }

    fn position(&self) -> u64 {
        self.number
    }

    fn newest(row: &Row) -> u64 {
        row.newest_message
    }

    /// Taken messages leave gaps, so they are counted and summed up.
    fn check(_: &Span, read: &Read, _: &[Self]) -> Result<()> {
        let gone = || corrupt("a message is gone");
        let mut sums = read.rows[1].first().map(Columns::new).ok_or_else(gone)?;
        let mut next = || sums.unsigned().map_err(from_driver);
        let counts = &read.image.row.counts;
        if (next()?, next()?) == (counts.messages, counts.message_numbers) { Ok(()) } else { Err(gone()) }
    }
}

/// A stream that is being read: `span` is what is still to come.
struct Reader {
    inner: Arc<Inner>,
    run: RunId,
    span: Span,
    follower: Option<Follower>,
    ended: bool,
}

/// The entries of a span, which has been checked.
pub(crate) fn entries<T: Entry>(
    inner: &Arc<Inner>,
    run: &RunId,
    span: Span,
) -> BoxStream<'static, Result<T>> {
    let follower = span.follow.then(|| Follower::new(&inner.followers, run));
    let reader = Reader { inner: inner.clone(), run: run.clone(), span, follower, ended: false };
    paged(reader, |mut reader| {
        apart(async move {
            let page = reader.page::<T>().await;
            let page = page.map_err(|error| error.during(BACKEND, T::OPERATION, Some(&reader.run)))?;
            Ok((!page.is_empty()).then_some((page, reader)))
        })
    })
}

impl Reader {
    /// The next page, which is empty if there are no more. Who follows waits for one.
    async fn page<T: Entry>(&mut self) -> Result<Vec<T>> {
        while !self.ended {
            let changed = self.follower.as_ref().map(Follower::changed);
            let mut notified = changed.as_ref().map(|changed| Box::pin(changed.notified()));
            if let Some(notified) = &mut notified {
                notified.as_mut().enable();
            }
            let page: Vec<T> = self.fetch().await?;
            match (&mut self.follower, notified) {
                (follower, _) if !page.is_empty() => {
                    follower.iter_mut().for_each(Follower::found);
                    return Ok(page);
                }
                (Some(follower), Some(notified)) if !self.ended => follower.wait(notified).await,
                _ => {}
            }
        }
        Ok(Vec::new())
    }

    /// Fetches a page and moves the span past it.
    async fn fetch<T: Entry>(&mut self) -> Result<Vec<T>> {
        let span = &mut self.span;
        let statements = if span.reverse { T::REVERSE } else { T::FORWARD };
        let values = [
            Value::Int(bound(span.after)),
            Value::Int(bound(span.until.unwrap_or(u64::MAX))),
            Value::Int(bound(span.next_page())),
        ];
        let read =
            read::with_run(&self.inner, &self.run, statements, values).await?.ok_or(Refusal::NotFound)?;
        let row = &read.image.row;
        let incarnation = row.fence.incarnation;
        span.stay_in(incarnation)?;
        let page: Vec<T> =
            read.rows[0].iter().map(|row| T::read(row, &self.run, incarnation)).collect::<Result<_>>()?;
        T::check(span, &read, &page)?;
        let last = page.last().map(T::position);
        self.ended = span.pass(page.len(), last, T::newest(row), row.outcome.is_some());
        Ok(page)
    }
}

/// The blobs of a run, by their names. Their names are summed up on the way, and compared with what the run's row says
/// of them if nothing was committed meanwhile.
pub(crate) fn blobs(inner: &Arc<Inner>, run: &RunId) -> BoxStream<'static, Result<BlobInfo>> {
    let start = (inner.clone(), run.clone(), None, Counts::default(), None);
    paged(start, |(inner, run, after, mut sum, mut version)| {
        apart(async move {
            let during = |error: Error| error.during(BACKEND, Operation::Blobs, Some(&run));
            let (row, page) = read::blobs(&inner, &run, after).await.map_err(during)?;
            for info in &page {
                sum.blobs += 1;
                sum.toggle_blob(&info.name);
            }
            let version = *version.get_or_insert((row.fence, row.version));
            let Some(last) = page.last() else {
                let whole = (sum.blobs, sum.blob_names) == (row.counts.blobs, row.counts.blob_names);
                let changed = version != (row.fence, row.version);
                return if whole || changed { Ok(None) } else { Err(during(corrupt("a blob is gone"))) };
            };
            let after = Some(last.name);
            Ok(Some((page, (inner, run, after, sum, Some(version)))))
        })
    })
}
