//! Reading a run: its state says in which entries things stand, and those are read side by side.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt, select};
use milepost_core::{
    At, BlobInfo, BoxStream, Capability, Clock, Cursor, Digest, Head, Message, Operation, Record, Refusal,
    Result, RunId, Snapshot, Span, SystemClock, Timestamp,
};
use milepost_store_memory::{apart, paged};

use crate::{
    entry::{Body, Commit, Deed, Entry, Part},
    error::{corrupt, during},
    frame,
    layout::{self, Life, Slot},
    run::{Reader, side_by_side},
    state::{Place, State},
    store::{Cell, Inner},
};

/// How many things a page has when nobody asks for another number.
const PAGE: usize = 256;

/// A page ends when its bodies come to this, whatever their number.
const PAGE_BYTES: u64 = 4 << 20;

/// A state of a run, and what reads its objects.
struct View<'a> {
    inner: &'a Inner,
    run: &'a RunId,
    life: Life,
    state: Arc<State>,
}

impl View<'_> {
    async fn entry(&self, slot: Slot) -> Result<Option<Entry>> {
        let reader = Reader { objects: &*self.inner.objects, run: self.run, began: self.inner.elapsed() };
        Ok(reader.entry(self.life, slot).await?.map(|(entry, _)| entry))
    }

    async fn commit(&self, slot: Slot) -> Result<Option<Box<Commit>>> {
        match self.entry(slot).await? {
            Some(Entry { deed: Deed::Commit(commit), .. }) => Ok(Some(commit)),
            Some(_) => Err(corrupt()),
            None => Ok(None),
        }
    }

    async fn part(&self, part: &Part) -> Result<Option<Bytes>> {
        let name = layout::part(self.run, self.life, part.epoch, part.token);
        let Some(bytes) = self.inner.objects.get(&name).await? else { return Ok(None) };
        let body = frame::unwrap(&name, &bytes)?;
        if body.len() as u64 == part.size { Ok(Some(body)) } else { Err(corrupt()) }
    }

    async fn body(&self, body: Body) -> Result<Option<Bytes>> {
        match body {
            Body::Here(bytes) => Ok(Some(bytes)),
            Body::Apart(part) => self.part(&part).await,
        }
    }

    /// A body that stands where `place` says, found in its entry by `find`.
    async fn placed(
        &self,
        place: &Place,
        find: impl FnOnce(Box<Commit>) -> Option<Body>,
    ) -> Result<Option<Bytes>> {
        if let Some(part) = &place.part {
            return self.part(part).await;
        }
        let Some(commit) = self.commit(place.slot).await? else { return Ok(None) };
        let body = find(commit).ok_or_else(corrupt)?;
        self.body(body).await
    }
}

impl Inner {
    async fn view<'a>(&'a self, run: &'a RunId) -> Result<View<'a>> {
        let (state, life) = self.look(run).await?;
        let state = state.ok_or(Refusal::NotFound)?;
        Ok(View { inner: self, run, life, state })
    }

    pub(crate) async fn head(&self, run: &RunId) -> Result<Option<Head>> {
        Ok(self.glance(run).await?.map(|state| state.head(&self.moment().of(Some(&state)))))
    }

    /// Does `read` with a view of a run. What is not there any more was trimmed, dropped or deleted in between: then it is
    /// read again with a view that is newly loaded, and if that names it too, it is lost.
    async fn viewed<'a, T, F>(&'a self, run: &'a RunId, read: impl Fn(View<'a>) -> F) -> Result<T>
    where
        F: Future<Output = Result<Option<T>>>,
    {
        let view = self.view(run).await?;
        if let Some(found) = read(view).await? {
            return Ok(found);
        }
        self.forget(run).await;
        let view = self.view(run).await?;
        read(view).await?.ok_or_else(corrupt)
    }

    pub(crate) async fn snapshot(&self, run: &RunId, at: At) -> Result<Option<Snapshot>> {
        self.viewed(run, |view| async move {
            let Some((cursor, place)) = view.state.snapshot(at) else { return Ok(Some(None)) };
            let find = |commit: Box<Commit>| {
                commit.snapshot.filter(|(found, _)| *found == cursor).map(|(_, body)| body)
            };
            let body = view.placed(place, find).await?;
            Ok(body.map(|body| Some(Snapshot { cursor, body })))
        })
        .await
    }

    pub(crate) async fn blob(&self, run: &RunId, name: &Digest) -> Result<Option<Bytes>> {
        self.viewed(run, |view| async move {
            let Some(place) = view.state.blobs.get(name) else { return Ok(Some(None)) };
            let find = |commit: Box<Commit>| {
                commit.blobs.into_iter().find(|(found, _)| found == name).map(|(_, body)| body)
            };
            Ok(view.placed(place, find).await?.map(Some))
        })
        .await
    }
}

/// Every blob, by name.
pub(crate) fn blobs(inner: &Arc<Inner>, run: &RunId) -> BoxStream<'static, Result<BlobInfo>> {
    paged(Some((inner.clone(), run.clone())), |all| {
        apart(async move {
            let Some((inner, run)) = all else { return Ok(None) };
            let work = async {
                inner.capabilities.require(Capability::Blobs)?;
                let _flight = inner.fly().await?;
                let view = inner.view(&run).await?;
                let all = view.state.blobs.iter();
                Ok(all.map(|(name, place)| BlobInfo { name: *name, size: place.size }).collect::<Vec<_>>())
            };
            let infos = work.await.map_err(during(inner.backend, Operation::Blobs, Some(&run)))?;
            Ok(Some((infos, None)))
        })
    })
}

/// Which things a page has, and in which entries they stand.
struct Cut<T> {
    slots: Vec<Slot>,
    take: T,
}

/// What is read in pages.
#[async_trait]
pub(crate) trait Paged: Sized + Send + 'static {
    const OPERATION: Operation;

    fn position(&self) -> u64;

    /// The newest position that the run has ever given.
    fn newest(state: &State) -> u64;

    /// Those of a span, at most `size` of them; `None` if an object is not there.
    async fn cut(view: &ViewOf, span: &Span, size: usize) -> Result<Option<Vec<Self>>>;
}

/// A view that owns what it is of.
pub(crate) struct ViewOf {
    inner: Arc<Inner>,
    run: RunId,
    life: Life,
    state: Arc<State>,
}

impl ViewOf {
    fn view(&self) -> View<'_> {
        View { inner: &self.inner, run: &self.run, life: self.life, state: self.state.clone() }
    }

    async fn entries(&self, slots: &[Slot]) -> Result<Option<Vec<Entry>>> {
        let view = self.view();
        let view = &view;
        let reads = slots.iter().map(|slot| view.entry(*slot).boxed());
        Ok(side_by_side(reads.collect()).await?.into_iter().collect())
    }
}

/// The positions of a page of at most `size`, one behind the other as they are read, given the sizes of their bodies.
fn page_of(positions: impl Iterator<Item = (u64, u64)>, size: usize) -> Vec<u64> {
    let mut bytes = 0;
    let fits = |(_, size): &(u64, u64)| {
        let before = bytes;
        bytes += size;
        before < PAGE_BYTES
    };
    positions.take(size).take_while(fits).map(|(position, _)| position).collect()
}

fn ordered<T>(
    items: impl DoubleEndedIterator<Item = T> + 'static,
    reverse: bool,
) -> Box<dyn Iterator<Item = T>> {
    if reverse { Box::new(items.rev()) } else { Box::new(items) }
}

/// The records of a span that a page has, by the entries that they stand in.
fn records_of(state: &State, span: &Span, size: usize) -> Result<Cut<(Cursor, Cursor)>> {
    let until = span.until.unwrap_or(Cursor::MAX).min(state.head.cursor);
    if span.until.is_some_and(|until| until <= span.after) || span.limit == Some(0) {
        return Ok(Cut { slots: Vec::new(), take: (1, 0) });
    }
    let first = state.head.first;
    if span.after < first.saturating_sub(1) {
        return Err(Refusal::Trimmed { first }.into());
    }
    let size_at = |cursor: Cursor| {
        let index = state.log.partition_point(|piece| piece.end() <= cursor);
        let piece = state.log.get(index)?;
        piece.sizes.get(usize::try_from(cursor.checked_sub(piece.first)?).ok()?).copied()
    };
    let sizes: Vec<(u64, u64)> = {
        let cursors = ordered(span.after.saturating_add(1)..until.saturating_add(1), span.reverse);
        cursors
            .take(size)
            .map(|cursor| size_at(cursor).map(|size| (cursor, size)).ok_or_else(corrupt))
            .collect::<Result<_>>()?
    };
    let cursors = page_of(sizes.into_iter(), size);
    let (Some(low), Some(high)) = (cursors.iter().min(), cursors.iter().max()) else {
        return Ok(Cut { slots: Vec::new(), take: (1, 0) });
    };
    let begin = state.log.partition_point(|piece| piece.end() <= *low);
    let pieces = state.log.range(begin..).take_while(|piece| piece.first <= *high);
    Ok(Cut { slots: pieces.map(|piece| piece.slot).collect(), take: (*low, *high) })
}

impl ViewOf {
    /// The records of an entry that lie within bounds.
    async fn records(
        &self,
        at: Timestamp,
        commit: Commit,
        low: Cursor,
        high: Cursor,
    ) -> Result<Option<Vec<Record>>> {
        let view = self.view();
        let mut records = Vec::new();
        for (record, cursor) in commit.records.into_iter().zip(commit.first..) {
            if cursor < low || cursor > high {
                continue;
            }
            let Some(body) = view.body(record.body).await? else { return Ok(None) };
            records.push(Record { cursor, kind: record.kind, body, at, id: record.id, blobs: record.blobs });
        }
        Ok(Some(records))
    }
}

#[async_trait]
impl Paged for Record {
    const OPERATION: Operation = Operation::Stream;

    fn position(&self) -> u64 {
        self.cursor
    }

    fn newest(state: &State) -> u64 {
        state.head.cursor
    }

    async fn cut(view: &ViewOf, span: &Span, size: usize) -> Result<Option<Vec<Self>>> {
        let Cut { slots, take: (low, high) } = records_of(&view.state, span, size)?;
        let Some(entries) = view.entries(&slots).await? else { return Ok(None) };
        let mut records = Vec::new();
        for entry in entries {
            let Deed::Commit(commit) = entry.deed else { return Err(corrupt()) };
            let Some(found) = view.records(entry.at, *commit, low, high).await? else { return Ok(None) };
            records.extend(found);
        }
        let whole = records.iter().map(|record| record.cursor).eq(low..high + 1);
        if !whole {
            return Err(corrupt());
        }
        if span.reverse {
            records.reverse();
        }
        Ok(Some(records))
    }
}

#[async_trait]
impl Paged for Message {
    const OPERATION: Operation = Operation::Inbox;

    fn position(&self) -> u64 {
        self.number
    }

    fn newest(state: &State) -> u64 {
        state.head.newest_message
    }

    async fn cut(view: &ViewOf, span: &Span, size: usize) -> Result<Option<Vec<Self>>> {
        let until = span.until.unwrap_or(u64::MAX);
        if until <= span.after {
            return Ok(Some(Vec::new()));
        }
        let waiting: BTreeMap<u64, (Slot, u64)> = {
            let messages = view.state.messages.range(span.after + 1..=until);
            let some = |(number, place): (&u64, &Place)| (*number, (place.slot, place.size));
            if span.reverse {
                messages.rev().take(size).map(some).collect()
            } else {
                messages.take(size).map(some).collect()
            }
        };
        let sizes: Vec<(u64, u64)> = waiting.iter().map(|(number, (_, size))| (*number, *size)).collect();
        let numbers = page_of(ordered(sizes.into_iter(), span.reverse), size);
        let slots: Vec<Slot> = numbers.iter().map(|number| waiting[number].0).collect();
        let Some(entries) = view.entries(&slots).await? else { return Ok(None) };
        let mut messages = Vec::new();
        for (entry, expected) in entries.into_iter().zip(numbers) {
            let Deed::Send(send) = entry.deed else { return Err(corrupt()) };
            if send.number != expected {
                return Err(corrupt());
            }
            let crate::entry::Send { number, id, key, kind, body, .. } = *send;
            messages.push(Message { number, id, key, kind, body, at: entry.at });
        }
        Ok(Some(messages))
    }
}

/// A stream that is being read: `span` is what is still to come.
struct Pages {
    inner: Arc<Inner>,
    cell: Arc<Cell>,
    run: RunId,
    span: Span,
}

/// What is next.
enum Next<T> {
    Some(Vec<T>),
    /// Nothing yet.
    Wait,
    End,
}

impl Pages {
    async fn view(&self) -> Result<ViewOf> {
        let (state, life) = self.inner.look(&self.run).await?;
        let state = state.ok_or(Refusal::NotFound)?;
        let another = |incarnation| incarnation != state.head.fence.incarnation;
        if self.span.incarnation.is_some_and(another) {
            return Err(Refusal::NotFound.into());
        }
        Ok(ViewOf { inner: self.inner.clone(), run: self.run.clone(), life, state })
    }

    /// The next page; the span is moved past it. From the first one on it is bound to this life of the run.
    async fn next<T: Paged>(&mut self) -> Result<Next<T>> {
        let _flight = self.inner.fly().await?;
        let size = self.span.page.map_or(PAGE, |page| page.max(1) as usize);
        let limit = self.span.limit.map_or(size, |limit| size.min(usize::try_from(limit).unwrap_or(size)));
        let mut view = self.view().await?;
        let found = match T::cut(&view, &self.span, limit).await? {
            Some(found) => found,
            None => {
                self.inner.forget(&self.run).await;
                view = self.view().await?;
                T::cut(&view, &self.span, limit).await?.ok_or_else(corrupt)?
            }
        };
        let (span, head) = (&mut self.span, &view.state.head);
        span.incarnation = Some(head.fence.incarnation);
        let Some(last) = found.last() else {
            let bounded = span.until.is_some_and(|until| until <= T::newest(&view.state).max(span.after));
            let over = bounded || span.limit == Some(0) || head.outcome.is_some();
            return Ok(if span.follow && !over { Next::Wait } else { Next::End });
        };
        span.limit = span.limit.map(|limit| limit - found.len() as u64);
        if span.reverse {
            span.until = Some(last.position() - 1);
        } else {
            span.after = last.position();
        }
        Ok(Next::Some(found))
    }

    /// The next page; who follows looks again when this handle has written, and every now and then for what others wrote.
    async fn wait<T: Paged>(&mut self) -> Result<Option<Vec<T>>> {
        let mut changed = self.cell.changed.subscribe();
        loop {
            changed.mark_unchanged();
            match self.next().await? {
                Next::Some(page) => return Ok(Some(page)),
                Next::End => return Ok(None),
                Next::Wait => {}
            }
            // In real time, whatever the store's clock says: other processes live in it.
            let clock = SystemClock::default();
            let mut poll = clock.sleep(self.inner.config.poll).fuse();
            select! {
                _ = changed.changed().fuse() => {}
                () = poll => {}
            }
        }
    }
}

/// The entries of a span, a page at a time.
pub(crate) fn pages<T: Paged>(inner: &Arc<Inner>, run: &RunId, span: Span) -> BoxStream<'static, Result<T>> {
    let pages = Pages { inner: inner.clone(), cell: inner.cells.of(run), run: run.clone(), span };
    paged(pages, |mut pages| {
        apart(async move {
            let page = pages.wait().await;
            let page = page.map_err(during(pages.inner.backend, T::OPERATION, Some(&pages.run)))?;
            Ok(page.map(|page| (page, pages)))
        })
    })
}
