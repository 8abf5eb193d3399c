//! Freeing what nothing names any more.
//!
//! A name is freed only when what superseded it has been there for a minute. A writer acknowledges a create by itself only
//! if it has looked at the tail half a minute ago or less, and looks again otherwise; so no acknowledged entry ever stands
//! under a name that had been freed before.

use milepost_core::{Result, RunId};

use crate::{
    frame,
    layout::{self, Object, Slot},
    objects::Listed,
    run::{Base, Known, Reader},
    state::State,
    store::Inner,
};

/// So many objects are removed in one request.
const BATCH: usize = 1000;

/// A base is written to free at least so many entries, or so many bytes.
const WORTH: (u64, u64) = (16, 64 << 10);

impl Inner {
    /// Frees what can be freed of a run; how many objects that were.
    pub(crate) async fn sweep(&self, run: &RunId) -> Result<u64> {
        let Some(known) = self.known(run).await? else { return Ok(0) };
        let listed = self.objects.list(&layout::folder(run), None, usize::MAX).await?;
        let garbage = match &known.state {
            None => self.of_a_dead_life(run, &known, &listed).await?,
            Some(state) => {
                let mut garbage = self.of_earlier_lives(&known, state, &listed);
                garbage.extend(self.of_a_life(run, &known, state, &listed).await?);
                garbage
            }
        };
        let mut freed = 0;
        for batch in garbage.chunks(BATCH) {
            self.objects.delete(batch.to_vec()).await?;
            freed += batch.len() as u64;
        }
        Ok(freed)
    }

    async fn known(&self, run: &RunId) -> Result<Option<Known>> {
        self.look(run).await?;
        let cell = self.cells.of(run);
        let known = cell.known.lock().await.clone();
        Ok(known.filter(|known| known.life > 0))
    }

    /// Everything but the entry that ended the life: it stays, so that the next life has another number.
    async fn of_a_dead_life(&self, run: &RunId, known: &Known, listed: &[Listed]) -> Result<Vec<String>> {
        let reader = Reader { objects: &*self.objects, run, began: self.elapsed() };
        let end = layout::entry(run, known.life, known.slot);
        let (Some(object), Some((entry, _))) =
            (listed.iter().find(|listed| listed.name == end), reader.entry(known.life, known.slot).await?)
        else {
            return Ok(Vec::new());
        };
        if !self.time.frees(entry.at, object.modified, self.objects.now()) {
            return Ok(Vec::new());
        }
        let older =
            |listed: &&Listed| layout::object(&listed.name).is_some_and(|(life, _)| life <= known.life);
        let garbage = listed.iter().filter(older).filter(|listed| listed.name != end);
        Ok(garbage.map(|listed| listed.name.clone()).collect())
    }

    /// The lives before this one, once its first entry has been there long enough.
    fn of_earlier_lives(&self, known: &Known, state: &State, listed: &[Listed]) -> Vec<String> {
        let first = |listed: &&Listed| layout::object(&listed.name) == Some((known.life, Object::Entry(1)));
        // The first entry is freed itself in time, and then it was there for long.
        let frees =
            |first: &Listed| self.time.frees(state.head.created_at, first.modified, self.objects.now());
        if !listed.iter().find(first).is_none_or(frees) {
            return Vec::new();
        }
        let earlier =
            |listed: &&Listed| layout::object(&listed.name).is_some_and(|(life, _)| life < known.life);
        listed.iter().filter(earlier).map(|listed| listed.name.clone()).collect()
    }

    /// Entries below a base that nothing stands in, older bases, and bodies that nothing names.
    async fn of_a_life(
        &self,
        run: &RunId,
        known: &Known,
        state: &State,
        listed: &[Listed],
    ) -> Result<Vec<String>> {
        let base = self.freeing_base(run, known, listed).await?.unwrap_or(0);
        let (slots, parts) = (state.slots(), state.parts());
        let newest = |object: &Object| matches!(object, Object::Base(slot) if *slot > base);
        let mut later = (0, 0);
        let mut garbage = Vec::new();
        for object in listed {
            let Some((life, kind)) = layout::object(&object.name) else { continue };
            if life != known.life || newest(&kind) {
                continue;
            }
            let is_garbage = match kind {
                Object::Base(slot) => slot < base,
                Object::Entry(slot) if slots.contains(&slot) || slot > state.slot => false,
                Object::Entry(slot) if slot > base => {
                    later = (later.0 + 1, later.1 + object.size);
                    false
                }
                Object::Entry(_) => true,
                // Put by an epoch that is over: whoever would have named it is fenced. One of this epoch may be named yet,
                // but for those that were named and dropped.
                Object::Part(epoch, token) => {
                    let named = parts.iter().any(|part| (part.epoch, part.token) == (epoch, token));
                    let dropped =
                        || state.dropped.iter().any(|part| (part.epoch, part.token) == (epoch, token));
                    !named && (epoch < state.head.fence.epoch || dropped())
                }
            };
            if is_garbage {
                garbage.push(object.name.clone());
            }
        }
        if later.0 >= WORTH.0 || later.1 >= WORTH.1 {
            self.rebase(run).await?;
        }
        Ok(garbage)
    }

    /// The newest base that has been there long enough.
    async fn freeing_base(&self, run: &RunId, known: &Known, listed: &[Listed]) -> Result<Option<Slot>> {
        for object in listed {
            let Some((life, Object::Base(slot))) = layout::object(&object.name) else { continue };
            if life != known.life {
                continue;
            }
            let Some(bytes) = self.objects.get(&object.name).await? else { continue };
            let Base { at, .. } = frame::decode(&object.name, &bytes)?;
            if self.time.frees(at, object.modified, self.objects.now()) {
                return Ok(Some(slot));
            }
            self.litter(run);
        }
        Ok(None)
    }

    /// Writes a base unless the newest entries have one.
    async fn rebase(&self, run: &RunId) -> Result<()> {
        let cell = self.cells.of(run);
        let mut known = cell.known.lock().await;
        match &mut *known {
            Some(known) if known.since_base.0 > 0 => self.write_base(run, known).await,
            _ => Ok(()),
        }
    }
}
