//! Records and messages, read in pages. No connection is held between two pages.

use std::sync::Arc;

use bytes::Bytes;
use milepost_core::{
    BlobInfo, BoxStream, Digest, Error, Kind, Message, MessageKey, Operation, OperationId, Record, RecordId,
    Refusal, Result, RunId, Span, Timestamp,
};
use milepost_store_memory::{apart, paged};

use crate::{
    columns::{Columns, bind},
    commit::span,
    error::{BACKEND, corrupt, damaged},
    follow::Follower,
    link::Call,
    read::{self, word},
    row::{Row, Tally},
    store::Inner,
    value::Value,
    write,
};

/// What stands in a sequence of a run.
pub(crate) trait Entry: Sized + Send + 'static {
    const OPERATION: Operation;

    fn statement(inner: &Inner, reverse: bool) -> &Arc<str>;
    /// Decodes and verifies an entry: its place, its instant, then its own columns.
    fn read(place: i64, at: i64, columns: &mut Columns<'_>, run: &RunId, row: &Row) -> Result<Self>;
    fn position(&self) -> u64;
    /// The newest position that the run has ever given.
    fn newest(row: &Row) -> u64;
    /// Compares the page with what the run's row says.
    fn check(span: &Span, row: &Row, tally: Tally, page: &[Self]) -> Result<()>;
}

fn text(bytes: Bytes) -> Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| damaged())
}

/// A stored name that is none.
fn wrong(_: Error) -> Error {
    damaged()
}

impl Entry for Record {
    const OPERATION: Operation = Operation::Stream;

    fn statement(inner: &Inner, reverse: bool) -> &Arc<str> {
        if reverse { &inner.statements.records_reverse } else { &inner.statements.records }
    }

    fn read(place: i64, at: i64, columns: &mut Columns<'_>, run: &RunId, row: &Row) -> Result<Self> {
        let kind = Kind::new(text(columns.bytes()?)?).map_err(wrong)?;
        let id = columns.option_bytes()?.map(text).transpose()?;
        let id = id.map(RecordId::new).transpose().map_err(wrong)?;
        let names = columns.option_bytes()?.unwrap_or_default();
        let (names, rest) = names.as_chunks::<32>();
        let stored: [u8; 16] = columns.array()?;
        let blobs = names.iter().map(|name| Digest(*name)).collect();
        let record = Record { cursor: 0, kind, body: columns.bytes()?, at: Timestamp(0), id, blobs };
        let cursor = u64::try_from(place).map_err(|_| damaged())?;
        let content = record.checksum(run, row.fence.incarnation);
        if !rest.is_empty() || bind(content.0, row.key, cursor, at) != stored {
            return Err(corrupt("a record is not as it was written"));
        }
        Ok(Record { cursor, at: Timestamp(at), ..record })
    }

    fn position(&self) -> u64 {
        self.cursor
    }

    fn newest(row: &Row) -> u64 {
        row.cursor
    }

    /// Records are gapless, and the run's row says where they begin and end.
    fn check(span: &Span, row: &Row, _: Tally, page: &[Self]) -> Result<()> {
        span.check_records(row.first, row.cursor, page.iter().map(|record| record.cursor))
    }
}

impl Entry for Message {
    const OPERATION: Operation = Operation::Inbox;

    fn statement(inner: &Inner, reverse: bool) -> &Arc<str> {
        if reverse { &inner.statements.messages_reverse } else { &inner.statements.messages }
    }

    fn read(place: i64, at: i64, columns: &mut Columns<'_>, run: &RunId, row: &Row) -> Result<Self> {
        let id = OperationId(u128::from_be_bytes(columns.array()?));
        let key = MessageKey::new(text(columns.bytes()?)?).map_err(wrong)?;
        let kind = Kind::new(text(columns.bytes()?)?).map_err(wrong)?;
        let stored: [u8; 16] = columns.array()?;
        let number = u64::try_from(place).map_err(|_| damaged())?;
        let message = Message { number, id, key, kind, body: columns.bytes()?, at: Timestamp(at) };
        if bind(write::checksum(run, message.clone()).0, row.key, number, at) != stored {
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
    fn check(_: &Span, row: &Row, tally: Tally, _: &[Self]) -> Result<()> {
        if tally == row.messages { Ok(()) } else { Err(corrupt("a message is gone")) }
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
        loop {
            self.inner.check_open()?;
            if self.ended {
                return Ok(Vec::new());
            }
            let changed = self.follower.as_ref().map(Follower::changed);
            let mut notified = changed.as_ref().map(|changed| Box::pin(changed.notified()));
            if let Some(notified) = &mut notified {
                notified.as_mut().enable();
            }
            let page: Vec<T> = self.fetch().await?;
            if !page.is_empty() {
                self.follower.iter_mut().for_each(Follower::found);
                return Ok(page);
            }
            let Some((follower, notified)) = self.follower.as_mut().zip(notified) else { continue };
            if self.ended {
                continue;
            }
            if self.inner.link.direct && follower.is_to_register() {
                // Once it is told, there is another look before the wait.
                register(&self.inner, self.run.clone()).await;
            } else {
                follower.wait(notified).await;
            }
        }
    }

    /// Fetches a page and moves the span past it.
    async fn fetch<T: Entry>(&mut self) -> Result<Vec<T>> {
        let span = &mut self.span;
        let values = [
            Value::text(self.run.as_str()),
            Value::position(span.after),
            Value::position(span.until.unwrap_or(u64::MAX)),
            Value::position(span.next_page()),
        ];
        let floor = self.inner.seen.floor(&self.run);
        let rows = read::ask(&self.inner, T::statement(&self.inner, span.reverse), &values).await?;
        let (row, tally, mut page) = decode::<T>(&rows, &self.run)?.ok_or(Refusal::NotFound)?;
        span.stay_in(row.fence.incarnation)?;
        self.inner.seen.check(&self.run, floor, row.stand(), false)?;
        page.sort_by_key(T::position);
        if span.reverse {
            page.reverse();
        }
        T::check(span, &row, tally, &page)?;
        let last = page.last().map(T::position);
        self.ended = span.pass(page.len(), last, T::newest(&row), row.is_finished());
        Ok(page)
    }
}

/// Has what happens to the run told. Where that fails, at a standby for instance, the follower looks again now and then.
async fn register(inner: &Inner, run: RunId) {
    inner.followers.listen(inner.link.options(), inner.config.place.channel());
    let values = [Value::text(run.as_str()), Value::int(span(Follower::TOLD_FOR))];
    let call = Call { sql: &inner.statements.follow, values: &values, writes: true, once: false };
    let _ = inner.link.call(&call).await;
}

/// The run's row, the tally that comes with it, and the entries; `None` if there is no such run.
fn decode<T: Entry>(rows: &[sqlx::postgres::PgRow], run: &RunId) -> Result<Option<(Row, Tally, Vec<T>)>> {
    let mut found = None;
    let mut page = Vec::new();
    for row in rows {
        let mut columns = Columns::new(row);
        let (first, second) = (columns.int()?, columns.int()?);
        match &found {
            // It comes first: the parts of a UNION ALL come in their order.
            None => found = Some((Row::read(&columns.bytes()?, run)?, Tally { count: first, sum: second })),
            Some((row, _)) => page.push(T::read(first, second, &mut columns, run, row)?),
        }
    }
    Ok(found.map(|(row, tally)| (row, tally, page)))
}

/// The blobs of a run, by their names. Their names are summed up on the way, and compared with what the run's row says
/// of them if nothing was committed meanwhile.
pub(crate) fn blobs(inner: &Arc<Inner>, run: &RunId) -> BoxStream<'static, Result<BlobInfo>> {
    let start = (inner.clone(), run.clone(), None, Tally { count: 0, sum: 0 }, None);
    paged(start, |(inner, run, after, mut tally, mut version)| {
        apart(async move {
            let during = |error: Error| error.during(BACKEND, Operation::Blobs, Some(&run));
            inner.check_open().map_err(during)?;
            let (row, page) = read::blobs(&inner, &run, after).await.map_err(during)?;
            for info in &page {
                tally.count += 1;
                tally.sum ^= word(&info.name);
            }
            let version = *version.get_or_insert((row.fence, row.version));
            let Some(last) = page.last() else {
                let changed = version != (row.fence, row.version);
                return if tally == row.blobs || changed {
                    Ok(None)
                } else {
                    Err(during(corrupt("a blob is gone")))
                };
            };
            let after = Some(last.name);
            Ok(Some((page, (inner, run, after, tally, Some(version)))))
        })
    })
}
