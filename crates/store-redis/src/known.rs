//! The rows that this handle knows, so that a plain commit is judged and sealed here and costs the server little: its script
//! only asks whether the row is still the known one (`append.lua`).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use milepost_core::{Commit, Committed, Digest, RunId};

use crate::{
    entry::pack_place,
    layout::Keys,
    pack::{Packer, Unpacker},
    row::{REST, Row, SEAL, pack_fence, position, seal},
};

/// So many rows are remembered at least, and at most twice as many; a row takes about half a KiB.
const LEAST: usize = 8_192;

/// A row that takes plain commits: unfinished, driven, and with nothing trimmed left to be swept.
#[derive(Debug)]
pub(crate) struct Known {
    /// What a plain commit leaves alone, as it is stored.
    rest: Bytes,
    seal: [u8; SEAL],
    pub(crate) draft: bool,
    version: u64,
    pub(crate) cursor: u64,
    lapses: u32,
    /// Bytes of the records that it has, and of all that it has ever had.
    records: u64,
    ever: u64,
    /// The newest commit: id, digest, fence.
    last: [u8; 80],
}

impl Known {
    /// What is known of a row; `None` if it takes no plain commits.
    fn of(row: &Row) -> Option<Self> {
        let rest = row.stored.slice(..REST);
        let mut next = Unpacker::new(rest.slice(33..));
        let (first, swept) = (next.u64()?, next.u64()?);
        let (state, leased, draft) = (next.byte()?, next.byte()?, next.byte()? == 1);
        let mut next = Unpacker::new(row.stored.slice(REST..));
        let seal = next.array()?;
        let (version, cursor, lapses) = (next.u64()?, next.u64()?, next.u32()?);
        let (records, ever) = (next.u64()?, next.u64()?);
        let last = next.array()?;
        let plain = state == 0 && leased == 1 && swept >= first;
        plain.then_some(Self { rest, seal, draft, version, cursor, lapses, records, ever, last })
    }

    /// Whether the row is one that the commit fits upon, so that nothing can be said against it. Whatever could be is
    /// judged by the server.
    pub(crate) fn takes(&self, commit: &Commit) -> bool {
        self.rest[1..33] == pack_fence(commit.fence)
            && self.version == commit.expect
            && self.last[..16] != commit.id.0.to_le_bytes()
    }

    /// The row that a commit leads to.
    pub(crate) fn after(&self, keys: &Keys, commit: &Commit, digest: Digest) -> Self {
        let bytes: u64 = commit.records.iter().map(|record| record.body.len() as u64).sum();
        let mut last = [0; 80];
        last[..16].copy_from_slice(&commit.id.0.to_le_bytes());
        last[16..48].copy_from_slice(&digest.0);
        last[48..].copy_from_slice(&pack_fence(commit.fence));
        let mut next = Self {
            rest: self.rest.clone(),
            seal: self.seal,
            draft: self.draft,
            version: self.version + 1,
            cursor: self.cursor + commit.records.len() as u64,
            lapses: if commit.advances { 0 } else { self.lapses },
            records: self.records + bytes,
            ever: self.ever + bytes,
            last,
        };
        next.seal = seal(&keys.run(), &[&next.rest[..], &next.changing()].concat());
        next
    }

    /// What a plain commit changes, and the client knows.
    fn changing(&self) -> Vec<u8> {
        let mut packed = Packer::default();
        packed.u64(self.version).u64(self.cursor).u32(self.lapses).u64(self.records).u64(self.ever);
        packed.raw(&self.last).u64(self.version).u64(self.cursor);
        packed.0
    }

    /// What the script compares the stored row by, this and the next.
    pub(crate) fn rest(&self) -> Vec<u8> {
        self.rest.to_vec()
    }

    pub(crate) fn seal(&self) -> Vec<u8> {
        self.seal.to_vec()
    }

    /// What the script stores of it.
    pub(crate) fn stored(&self) -> Vec<u8> {
        [&self.seal[..], &self.changing()].concat()
    }

    /// Where each record of a commit upon this row stands.
    pub(crate) fn places(&self, commit: &Commit) -> impl Iterator<Item = [u8; 32]> {
        let bytes = commit.records.iter().map(|record| record.body.len() as u64);
        bytes.scan((self.cursor, self.ever), |(cursor, ever), bytes| {
            (*cursor, *ever) = (*cursor + 1, *ever + bytes);
            Some(pack_place(position(*cursor), position(*ever)))
        })
    }

    /// What the commit that has led to it is answered with.
    pub(crate) fn committed(&self) -> Committed {
        Committed { version: self.version, cursor: self.cursor, replayed: false }
    }
}

type Generation = HashMap<RunId, Arc<Known>>;

/// What a handle knows, in two generations: the older one is forgotten when the younger one is full.
#[derive(Debug, Default)]
pub(crate) struct KnownRows(Mutex<(Generation, Generation)>);

impl KnownRows {
    fn generations(&self) -> MutexGuard<'_, (Generation, Generation)> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn get(&self, run: &RunId) -> Option<Arc<Known>> {
        let generations = self.generations();
        generations.0.get(run).or_else(|| generations.1.get(run)).cloned()
    }

    /// The run's row is this one now.
    pub(crate) fn learn(&self, run: &RunId, known: Arc<Known>) {
        let (young, old) = &mut *self.generations();
        if young.len() >= LEAST && !young.contains_key(run) {
            *old = std::mem::take(young);
        }
        young.insert(run.clone(), known);
    }

    /// The run's row is this one now, as the server says.
    pub(crate) fn read(&self, run: &RunId, row: &Row) {
        match Known::of(row) {
            Some(known) => self.learn(run, known.into()),
            None => self.forget(run),
        }
    }

    /// As [`KnownRows::read`], for a run that another handle may drive.
    pub(crate) fn refresh(&self, run: &RunId, row: &Row) {
        if self.get(run).is_some() {
            self.read(run, row);
        }
    }

    pub(crate) fn forget(&self, run: &RunId) {
        let (young, old) = &mut *self.generations();
        young.remove(run);
        old.remove(run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded() {
        let known = Known {
            rest: Bytes::new(),
            seal: [0; SEAL],
            draft: false,
            version: 1,
            cursor: 0,
            lapses: 0,
            records: 0,
            ever: 0,
            last: [0; 80],
        };
        let (rows, known) = (KnownRows::default(), Arc::new(known));
        for number in 0..3 * LEAST {
            rows.learn(&RunId::new(number.to_string()).unwrap(), known.clone());
        }
        let generations = rows.generations();
        assert!(generations.0.len() + generations.1.len() <= 2 * LEAST);
    }
}
