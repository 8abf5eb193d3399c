//! Records, messages and blobs, read in pages.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use milepost_core::{BlobInfo, BoxStream, Error, Message, Operation, Record, Refusal, Result, RunId, Span};

use crate::{
    answer::option,
    entry::{unpack_message, unpack_record},
    error::{BACKEND, corrupt},
    follow::Follower,
    layout::Keys,
    read,
    row::{Row, position},
    scripts::{self, Script},
    store::Inner,
};

/// A page ends early once its entries have so many bytes, so that memory does not depend on their size.
const PAGE_BYTES: u32 = 1 << 20;

/// What stands in a sequence of a run.
pub(crate) trait Entry: Sized + Send + 'static {
    const OPERATION: Operation;

    fn script() -> &'static Script;
    fn keys(keys: &Keys) -> Vec<Vec<u8>>;
    /// Reads a page, and compares its places with what the row says.
    fn read(run: &RunId, row: &Row, span: &Span, raw: Vec<Option<Bytes>>) -> Result<Vec<Self>>;
    fn position(&self) -> u64;
    /// The newest position that the run has ever given.
    fn newest(row: &Row) -> u64;
}

impl Entry for Record {
    const OPERATION: Operation = Operation::Stream;

    fn script() -> &'static Script {
        &scripts::RECORDS
    }

    fn keys(keys: &Keys) -> Vec<Vec<u8>> {
        keys.records()
    }

    /// Records are gapless, and the run's row says where they begin and end: a page is what stands in a row from its
    /// first place.
    fn read(run: &RunId, row: &Row, span: &Span, raw: Vec<Option<Bytes>>) -> Result<Vec<Self>> {
        let place = |index| span.place(row.cursor, index);
        span.check_records(row.first, row.cursor, (0..raw.len()).map(place))?;
        let read = |(index, raw): (usize, Option<Bytes>)| {
            let record = unpack_record(
                run,
                row.fence.incarnation,
                place(index),
                raw.ok_or_else(|| corrupt("a record is gone"))?,
            );
            record.ok_or_else(|| corrupt("a record is not as it was written"))
        };
        raw.into_iter().enumerate().map(read).collect()
    }

    fn position(&self) -> u64 {
        self.cursor
    }

    fn newest(row: &Row) -> u64 {
        row.cursor
    }
}

impl Entry for Message {
    const OPERATION: Operation = Operation::Inbox;

    fn script() -> &'static Script {
        &scripts::INBOX
    }

    fn keys(keys: &Keys) -> Vec<Vec<u8>> {
        keys.messages()
    }

    /// Taken messages leave gaps; the script has counted them.
    fn read(run: &RunId, row: &Row, span: &Span, raw: Vec<Option<Bytes>>) -> Result<Vec<Self>> {
        let wrong = || corrupt("a message is not as it was written");
        let read = |raw: Option<Bytes>| {
            raw.and_then(|raw| unpack_message(run, row.fence.incarnation, raw)).ok_or_else(wrong)
        };
        let page: Vec<Self> = raw.into_iter().map(read).collect::<Result<_>>()?;
        let in_order = |pair: &[Message]| (pair[0].number < pair[1].number) != span.reverse;
        let within = |message: &Message| {
            message.number > span.after && span.until.is_none_or(|until| message.number <= until)
        };
        if page.windows(2).all(in_order) && page.iter().all(within) { Ok(page) } else { Err(wrong()) }
    }

    fn position(&self) -> u64 {
        self.number
    }

    fn newest(row: &Row) -> u64 {
        row.newest_message
    }
}

/// A stream that is being read: `span` is what is still to come.
struct Reader<T> {
    inner: Arc<Inner>,
    run: RunId,
    span: Span,
    page: VecDeque<T>,
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
    let reader = Reader {
        inner: inner.clone(),
        run: run.clone(),
        span,
        page: VecDeque::new(),
        follower,
        ended: false,
    };
    stream::try_unfold(reader, |mut reader| async move {
        let next = reader.next().await;
        let next = next.map_err(|error| error.during(BACKEND, T::OPERATION, Some(&reader.run)))?;
        Ok(next.map(|entry| (entry, reader)))
    })
    .boxed()
}

impl<T: Entry> Reader<T> {
    async fn next(&mut self) -> Result<Option<T>> {
        loop {
            self.inner.check_open()?;
            if let Some(entry) = self.page.pop_front() {
                return Ok(Some(entry));
            }
            if self.ended {
                return Ok(None);
            }
            let changed = self.follower.as_ref().map(Follower::changed);
            let mut notified = changed.as_ref().map(|changed| Box::pin(changed.notified()));
            if let Some(notified) = &mut notified {
                notified.as_mut().enable();
            }
            self.fetch().await?;
            match (&mut self.follower, notified) {
                (Some(follower), _) if !self.page.is_empty() => follower.found(),
                (Some(follower), Some(notified)) if !self.ended => follower.wait(notified).await,
                _ => {}
            }
        }
    }

    /// Fetches a page and moves the span past it.
    async fn fetch(&mut self) -> Result<()> {
        let span = &mut self.span;
        let args = [
            position(span.after).to_string(),
            position(span.until.unwrap_or(u64::MAX)).to_string(),
            span.next_page().to_string(),
            u8::from(span.reverse).to_string(),
            PAGE_BYTES.to_string(),
        ];
        let keys = T::keys(&self.inner.keys(&self.run));
        let args = args.map(String::into_bytes).to_vec();
        let read =
            read::read(&self.inner, &self.run, T::script(), keys, args).await?.ok_or(Refusal::NotFound)?;
        let row = read.row;
        span.stay_in(row.fence.incarnation)?;
        let raw: Vec<Option<Bytes>> = read.answer.rest().map(option).collect::<Result<_>>()?;
        let page = T::read(&self.run, &row, span, raw)?;
        let last = page.last().map(T::position);
        self.ended = span.pass(page.len(), last, T::newest(&row), row.is_finished());
        self.page = page.into();
        Ok(())
    }
}

/// The blobs of a run, by their names.
pub(crate) fn blobs(inner: &Arc<Inner>, run: &RunId) -> BoxStream<'static, Result<BlobInfo>> {
    let (inner, run) = (inner.clone(), run.clone());
    let pages = stream::try_unfold(None, move |after| {
        let (inner, run) = (inner.clone(), run.clone());
        async move {
            let during = |error: Error| error.during(BACKEND, Operation::Blobs, Some(&run));
            inner.check_open().map_err(during)?;
            let page = read::blobs(&inner, &run, after).await.map_err(during)?;
            let Some(last) = page.last().map(|info| info.name) else { return Ok(None) };
            Ok::<_, Error>(Some((stream::iter(page.into_iter().map(Ok)), Some(last))))
        }
    });
    TryStreamExt::try_flatten(pages).boxed()
}
