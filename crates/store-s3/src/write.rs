//! Every write: judged on what is known, made true by one create, and judged anew when somebody else was there first.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use milepost_core::{Error, ErrorKind, Result, RunId, Timestamp};

use crate::{
    create::{Created, create},
    entry::{Body, Change, Commit, Deed, Entry, Part},
    frame,
    judge::{Ask, Judged, Moment},
    layout::{self, Life, Slot, minute},
    run::{Base, Known, side_by_side},
    state::State,
    store::Inner,
    time::VERIFIED_FOR,
};

/// A body that is larger stands in an object of its own.
const APART: u64 = 256 << 10;

/// An entry whose bodies come to more has none of those above this in it.
const ENTRY: u64 = 1 << 20;

/// A body that is smaller is never worth a request of its own.
const SMALL: u64 = 16 << 10;

/// How often somebody else may be there first before a write gives up.
const RACES: u32 = 1000;

/// When a run is due once this has happened to it.
fn due_after(state: Option<&State>, deed: &Deed) -> Option<Timestamp> {
    let (due, draft) = state.map_or((None, false), |state| (state.head.due, state.head.draft));
    match deed {
        Deed::Create(create) => create.origin.is_none().then_some(create.open.lease.until),
        Deed::Open(open) => (!draft).then_some(open.lease.until),
        Deed::Renew(renew) => due.map(|due| due.max(renew.until)),
        Deed::Send(send) => send.due.or(due),
        Deed::Delete => None,
        Deed::Commit(commit) => due_after_commit(state?, commit),
    }
}

fn due_after_commit(state: &State, commit: &Commit) -> Option<Timestamp> {
    let head = &state.head;
    let origin = head.origin.as_ref().map(|origin| origin.cursor);
    let ends_draft = origin.is_some() && commit.snapshot.as_ref().map(|(cursor, _)| *cursor) == origin;
    if head.draft && !ends_draft {
        return None;
    }
    let until = head.lease.as_ref().map(|lease| lease.until);
    match &commit.change {
        Change::Keep => until,
        Change::Extend(at) => until.map(|until| until.max(*at)),
        Change::Release { due, .. } => *due,
        Change::Finish { .. } => None,
    }
}

/// The minute that a hint has to be filed under before this is written: where it makes the run due earlier than anyone
/// who looks at the hints would find it.
///
/// A hint that was filed once may be relied on only while its minute is still to come: who recovers re-files those that
/// are past.
fn hint_for(state: Option<&State>, deed: &Deed, now: Timestamp) -> Option<u64> {
    let due = due_after(state, deed)?;
    let before = state.and_then(|state| state.head.due);
    if before.is_some_and(|before| before <= due) {
        return None;
    }
    let filed = state.and_then(|state| state.hint);
    let relied = filed.is_some_and(|filed| filed <= minute(due) && filed > minute(now));
    (!relied).then(|| minute(due))
}

/// The bodies of a commit that may stand apart.
fn bodies(commit: &mut Commit) -> impl Iterator<Item = &mut Body> {
    let records = commit.records.iter_mut().map(|record| &mut record.body);
    let blobs = commit.blobs.iter_mut().map(|(_, body)| body);
    records.chain(blobs).chain(commit.snapshot.iter_mut().map(|(_, body)| body))
}

/// The bodies that have been put apart for a request so far.
#[derive(Default)]
struct Put(Vec<(Bytes, Part)>);

impl Inner {
    pub(crate) async fn write<A: Ask>(&self, run: &RunId, ask: A) -> Result<A::Answer> {
        let cell = self.cells.of(run);
        let mut known = cell.known.lock().await;
        let answer = self.write_to(run, &mut known, ask).await;
        match &answer {
            Ok(_) => {
                known.take_if(|known| known.is_heavy());
                cell.changed.send_replace(());
            }
            // Whatever happened, it is looked at anew.
            Err(error) if error.refusal().is_none() => *known = None,
            Err(_) => {}
        }
        answer
    }

    async fn write_to<A: Ask>(&self, run: &RunId, cell: &mut Option<Known>, ask: A) -> Result<A::Answer> {
        let mut fresh = false;
        let mut put = Put::default();
        for _ in 0..RACES {
            let known = match &mut *cell {
                Some(known) => known,
                empty => {
                    fresh = true;
                    empty.insert(self.load(run).await?)
                }
            };
            let moment = self.moment().of(known.state.as_deref());
            let deed = match ask.judge(known.state.as_deref(), &moment) {
                Ok(Judged::Holds(deed)) => deed,
                Ok(Judged::Answered(answer)) if fresh => return Ok(answer),
                Err(refused) if fresh => return Err(refused),
                _ => {
                    // Nothing is refused or repeated from memory alone.
                    self.refresh(run, known).await?;
                    fresh = true;
                    continue;
                }
            };
            if self.append(run, known, deed, &moment, &mut put).await? {
                let answer = ask.answer(known.state.as_deref(), &moment);
                self.after(run, known).await;
                return answer;
            }
            fresh = true;
        }
        Err(Error::new(ErrorKind::Busy, "others write to this run all the time; try again later"))
    }

    /// Writes an entry behind what is known: `false` if somebody else was there first, and known is what stands there.
    async fn append(
        &self,
        run: &RunId,
        known: &mut Known,
        mut deed: Deed,
        moment: &Moment,
        put: &mut Put,
    ) -> Result<bool> {
        let (life, slot) = known.next();
        let hint = hint_for(known.state.as_deref(), &deed, moment.now);
        if let Some(state) = &known.state {
            self.place_apart(run, life, state.head.fence.epoch, &mut deed, put).await?;
        }
        if let Some(minute) = hint {
            // Data before what names it, hints before what they hint at: a hint too many costs a look.
            self.objects.put(&layout::hint(minute, run, life, slot), Bytes::new()).await?;
        }
        let entry = Entry { token: self.bits(), at: moment.now, hint, deed };
        let name = layout::entry(run, life, slot);
        let bytes = frame::encode(&name, &entry)?;
        let began = self.elapsed();
        match create(&*self.objects, &name, &bytes, entry.token).await? {
            Created::Theirs(_) => {
                self.refresh(run, known).await?;
                Ok(false)
            }
            Created::Ours => {
                let trusted = self.elapsed().saturating_sub(known.verified) <= VERIFIED_FOR;
                if !trusted && !self.confirm(run, (life, slot), hint).await? {
                    *known = self.load(run).await?;
                    return Ok(false);
                }
                known.take(&entry, bytes.len() as u64)?;
                known.verified = known.verified.max(began);
                Ok(true)
            }
        }
    }

    /// Whether an entry that was created behind an old tail really is the newest one. The name might have been freed
    /// since that tail was looked at; then what freed it stands above, and the entry is nothing.
    async fn confirm(&self, run: &RunId, place: (Life, Slot), hint: Option<u64>) -> Result<bool> {
        let listed = self.objects.list(&layout::folder(run), None, 1).await;
        let newest = listed.map_err(crate::error::in_doubt)?;
        let confirmed = newest.first().and_then(|listed| layout::object(&listed.name))
            == Some((place.0, layout::Object::Entry(place.1)));
        if let (true, Some(minute)) = (confirmed, hint) {
            // Somebody may have taken the hint of an entry that did not come for one of an entry that never would.
            let name = layout::hint(minute, run, place.0, place.1);
            self.objects.put(&name, Bytes::new()).await.map_err(crate::error::in_doubt)?;
        }
        Ok(confirmed)
    }

    /// Puts large bodies of a commit into objects of their own, under names with the epoch: what no entry names in the
    /// end is swept under a later one. A body that was put for an earlier attempt is not put again.
    async fn place_apart(
        &self,
        run: &RunId,
        life: Life,
        epoch: u64,
        deed: &mut Deed,
        put: &mut Put,
    ) -> Result<()> {
        let Deed::Commit(commit) = deed else { return Ok(()) };
        let total: u64 = bodies(commit).map(|body| body.size()).sum();
        let limit = if total > ENTRY { SMALL } else { APART };
        let first = put.0.len();
        for body in bodies(commit) {
            let Body::Here(bytes) = &body else { continue };
            if bytes.len() as u64 <= limit {
                continue;
            }
            let same = |(known, part): &&(Bytes, Part)| {
                known.as_ptr() == bytes.as_ptr() && part.size == bytes.len() as u64
            };
            let part = match put.0.iter().find(same) {
                Some((_, part)) => *part,
                None => {
                    let part = Part { epoch, token: self.bits(), size: bytes.len() as u64 };
                    put.0.push((bytes.clone(), part));
                    part
                }
            };
            *body = Body::Apart(part);
        }
        let puts = put.0[first..].iter().map(|(bytes, part)| {
            let name = layout::part(run, life, part.epoch, part.token);
            async move { self.objects.put(&name, frame::wrap(&name, bytes)).await }.boxed()
        });
        side_by_side(puts.collect()).await.map(drop)
    }

    /// What is due once an entry is acknowledged: every so many of them a base is written, so that reading a run costs the same however long it is.
    async fn after(&self, run: &RunId, known: &mut Known) {
        let (entries, bytes) = known.since_base;
        if entries >= self.config.base_after && bytes >= known.base_size {
            // A base that fails is written with the next entry.
            let _ = self.write_base(run, known).await;
        }
        if std::mem::take(&mut known.littered) {
            self.litter(run);
        }
    }

    /// Writes what is known as a base; one that is there already is as good.
    pub(crate) async fn write_base(&self, run: &RunId, known: &mut Known) -> Result<()> {
        let Some(state) = &known.state else { return Ok(()) };
        let name = layout::base(run, known.life, known.slot);
        let moment = self.moment().of(Some(state));
        let mut state = State::clone(state);
        state.head.at = Timestamp::default();
        let base = Base { at: moment.now, state };
        let bytes = frame::encode(&name, &base)?;
        create(&*self.objects, &name, &bytes, self.bits()).await?;
        (known.since_base, known.base_size) = ((0, 0), bytes.len() as u64);
        self.litter(run);
        Ok(())
    }

    /// What is known of a run, looked at now.
    pub(crate) async fn look(&self, run: &RunId) -> Result<(Option<Arc<State>>, Life)> {
        let cell = self.cells.of(run);
        let mut cell = cell.known.lock().await;
        match &mut *cell {
            Some(known) => {
                if let Err(error) = self.refresh(run, known).await {
                    *cell = None;
                    return Err(error);
                }
            }
            empty => *empty = Some(self.load(run).await?),
        }
        let Some(known) = &mut *cell else { return Ok((None, 0)) };
        if std::mem::take(&mut known.littered) {
            self.litter(run);
        }
        Ok((known.state.clone(), known.life))
    }

    /// What is known of one run of many, looked at now: of a heavy one it is not kept.
    pub(crate) async fn glance(&self, run: &RunId) -> Result<Option<Arc<State>>> {
        let (state, _) = self.look(run).await?;
        self.cells.of(run).known.lock().await.take_if(|known| known.is_heavy());
        Ok(state)
    }

    /// Forgets what is known of a run.
    pub(crate) async fn forget(&self, run: &RunId) {
        *self.cells.of(run).known.lock().await = None;
    }
}

#[cfg(test)]
mod tests {
    use milepost_core::{Incarnation, Lease, Manifest, OperationId, Origin, Owner, RunInfo, Token};

    use super::*;
    use crate::entry;

    fn create(until: i64, origin: Option<Origin>) -> Deed {
        let fence = milepost_core::Fence { incarnation: Incarnation(1), epoch: 1, token: Token(1) };
        let lease = Lease { owner: Owner::new("o"), until: Timestamp(until) };
        let open = entry::Open { id: OperationId(1), fence, lease, holder: None };
        let (run, info) = (RunId::from_static("r"), RunInfo::named("n"));
        Deed::Create(Box::new(entry::Create { run, info, manifest: Manifest::of(b""), origin, open }))
    }

    fn release(due: Option<i64>) -> Deed {
        Deed::Commit(Box::new(Commit {
            id: OperationId(2),
            digest: milepost_core::Digest::of(b""),
            first: 1,
            records: vec![],
            blobs: vec![],
            snapshot: None,
            trim: None,
            drop_blobs: vec![],
            take: vec![],
            note: None,
            advances: false,
            change: Change::Release { due: due.map(Timestamp), wake_after: None },
        }))
    }

    const MINUTE: i64 = 60_000_000;

    #[test]
    fn hints_are_filed_for_what_makes_a_run_due_earlier() {
        let born = create(10 * MINUTE, None);
        let entry = Entry { token: 1, at: Timestamp(0), hint: Some(10), deed: born.clone() };
        let state = State::begin(&entry).unwrap();
        let renewed = Deed::Renew(Box::new(entry::Renew { until: Timestamp(20 * MINUTE), note: None }));
        for (state, deed, now, filed) in [
            (None, &born, 0, Some(10)),
            (None, &create(10 * MINUTE, Some(Origin { cursor: 4, lineage: None })), 0, None),
            (Some(&state), &renewed, 11, None),
            (Some(&state), &release(Some(5 * MINUTE)), 0, Some(5)),
            (Some(&state), &release(Some(12 * MINUTE)), 0, None),
            (Some(&state), &release(None), 0, None),
            (Some(&state), &Deed::Delete, 0, None),
        ] {
            assert_eq!(hint_for(state, deed, Timestamp(now * MINUTE)), filed, "{deed:?}");
        }
    }

    #[test]
    fn a_hint_is_relied_on_while_its_minute_is_to_come() {
        let entry = Entry { token: 1, at: Timestamp(0), hint: Some(10), deed: create(10 * MINUTE, None) };
        let mut state = State::begin(&entry).unwrap();
        // Renewed for long: the hint of minute 10 still stands, until it is past and somebody re-files it.
        state.head.due = Some(Timestamp(90 * MINUTE));
        let earlier = release(Some(30 * MINUTE));
        assert_eq!(hint_for(Some(&state), &earlier, Timestamp(9 * MINUTE)), None);
        assert_eq!(hint_for(Some(&state), &earlier, Timestamp(10 * MINUTE)), Some(30));
    }
}
