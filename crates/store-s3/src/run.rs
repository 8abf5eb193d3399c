//! What a handle knows of a run, and how it finds out: one listing and reads side by side, or a look behind the tail.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use milepost_core::{Result, RunId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    entry::{Deed, Entry},
    error::corrupt,
    frame,
    layout::{self, Life, Object, Slot},
    objects::{Listed, Objects},
    state::State,
    time::VERIFIED_FOR,
};

/// So many reads are under way at once.
pub(crate) const READS: usize = 16;

/// So many names a page of a listing has.
const PAGE: usize = 1000;

/// An outcome of more bytes than these is not remembered.
const LIGHT: usize = 4 << 10;

/// How often a run that changes while it is read is read again before it is called damaged.
const TRIES: u32 = 3;

/// Everything that the entries up to a slot come to, as an object.
#[derive(Serialize, Deserialize)]
pub(crate) struct Base {
    /// The store's now when it was written.
    pub(crate) at: Timestamp,
    pub(crate) state: State,
}

/// Does some things at once, at most [`READS`] of them, and gives what comes of them in their order.
pub(crate) async fn side_by_side<T: Send>(work: Vec<BoxFuture<'_, Result<T>>>) -> Result<Vec<T>> {
    stream::iter(work).buffered(READS).try_collect().await
}

/// What is known of a run.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// The life that `slot` is in; 0 for a run that never was.
    pub(crate) life: Life,
    /// The newest entry of it that is known.
    pub(crate) slot: Slot,
    /// What the entries come to; `None` once the life has ended.
    pub(crate) state: Option<Arc<State>>,
    /// When it was certain that this is the newest, by the boot-time clock.
    pub(crate) verified: Duration,
    /// The entries since the newest base, and their bytes.
    pub(crate) since_base: (u64, u64),
    /// How large that base is.
    pub(crate) base_size: u64,
    /// Whether a sweep would find something when its time has come.
    pub(crate) littered: bool,
}

impl Known {
    fn nothing(verified: Duration) -> Self {
        Self { life: 0, slot: 0, state: None, verified, since_base: (0, 0), base_size: 0, littered: false }
    }

    /// Whether it takes more memory than it is worth: its outcome is large, and a finished run is seldom asked for.
    pub(crate) fn is_heavy(&self) -> bool {
        let outcome = self.state.as_ref().and_then(|state| state.head.outcome.as_ref());
        outcome.is_some_and(|outcome| outcome.size() > LIGHT)
    }

    /// The place of the next entry.
    pub(crate) fn next(&self) -> (Life, Slot) {
        if self.state.is_some() { (self.life, self.slot + 1) } else { (self.life + 1, 1) }
    }

    /// Takes in the entry that stands in the next place.
    pub(crate) fn take(&mut self, entry: &Entry, size: u64) -> Result<()> {
        let (life, slot) = self.next();
        match (&mut self.state, &entry.deed) {
            (Some(_), Deed::Delete) => {
                self.state = None;
                self.littered = true;
            }
            (Some(state), deed) => {
                self.littered |= litters(deed);
                Arc::make_mut(state).fold(entry)?;
            }
            (state @ None, _) => {
                *state = Some(Arc::new(State::begin(entry).ok_or_else(corrupt)?));
                self.littered |= life > 1;
                (self.since_base, self.base_size) = ((0, 0), 0);
            }
        }
        (self.life, self.slot) = (life, slot);
        self.since_base = (self.since_base.0 + 1, self.since_base.1 + size);
        Ok(())
    }
}

/// Whether an entry leaves something that nothing names any more.
fn litters(deed: &Deed) -> bool {
    match deed {
        // What the epoch before has put and not named.
        Deed::Open(_) => true,
        Deed::Commit(commit) => commit.trim.is_some() || !commit.drop_blobs.is_empty(),
        _ => false,
    }
}

/// Reads a run's objects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) objects: &'a dyn Objects,
    pub(crate) run: &'a RunId,
    /// The boot-time clock at the beginning of what is done now.
    pub(crate) began: Duration,
}

/// The newest life, as a listing shows it.
struct Newest {
    life: Life,
    /// The newest base.
    base: Option<Slot>,
    /// Descending, from the newest to the one behind the base.
    slots: Vec<Slot>,
    /// Whether there are objects that something has superseded.
    littered: bool,
}

impl Newest {
    /// Reads it out of a page; `None` if the page has not all of it.
    fn of(listed: &[Listed]) -> Option<Self> {
        let objects: Vec<(Life, Object)> =
            listed.iter().filter_map(|listed| layout::object(&listed.name)).collect();
        let life = objects.iter().map(|(life, _)| *life).max().unwrap_or(0);
        let own = || objects.iter().filter(move |(of, _)| *of == life).map(|(_, object)| *object);
        let base =
            own().filter_map(|object| if let Object::Base(slot) = object { Some(slot) } else { None }).max();
        let after = base.unwrap_or(0);
        let mut slots: Vec<Slot> = own()
            .filter_map(|object| if let Object::Entry(slot) = object { Some(slot) } else { None })
            .filter(|slot| *slot > after)
            .collect();
        slots.sort_unstable_by(|one, other| other.cmp(one));
        let littered = objects.iter().any(|(of, _)| *of < life) || own().count() > slots.len() + 1;
        let newest = Self { life, base, slots, littered };
        (listed.len() < PAGE || newest.is_whole()).then_some(newest)
    }

    /// Whether every entry from the base to the newest is there.
    fn is_whole(&self) -> bool {
        let after = self.base.unwrap_or(0);
        self.slots.len() as u64 == self.slots.first().map_or(0, |newest| newest - after)
    }
}

impl Reader<'_> {
    async fn object(&self, name: &str) -> Result<Option<Bytes>> {
        self.objects.get(name).await
    }

    /// An entry with the length of its object; `None` if it is not there.
    pub(crate) async fn entry(&self, life: Life, slot: Slot) -> Result<Option<(Entry, u64)>> {
        let name = layout::entry(self.run, life, slot);
        let Some(bytes) = self.object(&name).await? else { return Ok(None) };
        Ok(Some((frame::decode(&name, &bytes)?, bytes.len() as u64)))
    }

    /// Everything, from the newest base on: a listing, then reads side by side.
    ///
    /// # Errors
    ///
    /// `Corrupt`: something is missing, and stays missing when it is looked for again.
    pub(crate) async fn load(&self, now: impl Fn() -> Duration) -> Result<Known> {
        let mut began = self.began;
        for _ in 0..TRIES {
            if let Some(known) = self.load_once(began).await? {
                return Ok(known);
            }
            began = now();
        }
        Err(corrupt())
    }

    async fn load_once(&self, began: Duration) -> Result<Option<Known>> {
        let folder = layout::folder(self.run);
        let mut listed = self.objects.list(&folder, None, PAGE).await?;
        let newest = match Newest::of(&listed) {
            Some(newest) => newest,
            None => {
                listed = self.objects.list(&folder, None, usize::MAX).await?;
                let Some(newest) = Newest::of(&listed) else { return Ok(None) };
                newest
            }
        };
        if newest.life == 0 {
            return Ok(Some(Known::nothing(began)));
        }
        let (base, mut entries) = futures_util::try_join!(self.base(&newest), self.entries(&newest))?;
        if let Some(Some((Entry { deed: Deed::Delete, .. }, _))) = entries.first() {
            let slot = newest.slots.first().copied().unwrap_or_default();
            let littered = listed.len() > 1;
            return Ok(Some(Known { life: newest.life, slot, littered, ..Known::nothing(began) }));
        }
        if !newest.is_whole() {
            return Ok(None);
        }
        let mut known = Known { life: newest.life - 1, ..Known::nothing(began) };
        if let Some(slot) = newest.base {
            let Some((Base { at, mut state }, size)) = base else { return Ok(None) };
            if state.slot != slot {
                return Err(corrupt());
            }
            state.head.at = at;
            known = Known { life: newest.life, slot, state: Some(Arc::new(state)), base_size: size, ..known };
        }
        while let Some(entry) = entries.pop() {
            let Some((entry, size)) = entry else { return Ok(None) };
            known.take(&entry, size)?;
        }
        known.littered |= newest.littered;
        Ok(Some(known))
    }

    async fn base(&self, newest: &Newest) -> Result<Option<(Base, u64)>> {
        let Some(slot) = newest.base else { return Ok(None) };
        let name = layout::base(self.run, newest.life, slot);
        let Some(bytes) = self.object(&name).await? else { return Ok(None) };
        Ok(Some((frame::decode(&name, &bytes)?, bytes.len() as u64)))
    }

    async fn entries(&self, newest: &Newest) -> Result<Vec<Option<(Entry, u64)>>> {
        let reads = newest.slots.iter().map(|slot| self.entry(newest.life, *slot).boxed());
        side_by_side(reads.collect()).await
    }

    /// Looks behind the tail, further the more stands there. A tail that was not looked at for long is read anew: names
    /// behind it may have been freed.
    pub(crate) async fn refresh(&self, known: &mut Known, now: impl Fn() -> Duration) -> Result<()> {
        if self.began.saturating_sub(known.verified) > VERIFIED_FOR {
            *known = self.load(now).await?;
            return Ok(());
        }
        let mut width = 1;
        loop {
            let began = now();
            let (life, slot) = known.next();
            let reads = (slot..slot + width).map(|slot| self.entry(life, slot).boxed());
            for entry in side_by_side(reads.collect()).await? {
                let Some((entry, size)) = entry else {
                    known.verified = began;
                    return Ok(());
                };
                known.take(&entry, size)?;
                if known.state.is_none() {
                    // What comes next is another life.
                    break;
                }
            }
            width = (width * 2).min(READS as u64);
        }
    }
}
