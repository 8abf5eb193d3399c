//! The versions that this handle has seen: a run that is below them has been set back.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

use milepost_core::{Incarnation, Result, RunId, Version};

use crate::{error::set_back, row::Row};

/// So many runs are remembered at least, and at most twice as many.
const LEAST: usize = 32_768;

type Generation = HashMap<RunId, (Incarnation, Version)>;

/// What was seen lately, in two generations: the older one is forgotten when the younger one is full.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<(Generation, Generation)>);

/// What had been seen of a run before something was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor(Option<(Incarnation, Version)>);

impl Seen {
    fn generations(&self) -> MutexGuard<'_, (Generation, Generation)> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// What has been seen of a run. Asked for before a request is sent: a later answer may overtake an earlier one, so
    /// only what was acknowledged before the request binds its answer.
    pub(crate) fn floor(&self, run: &RunId) -> Floor {
        let generations = self.generations();
        Floor(generations.0.get(run).or_else(|| generations.1.get(run)).copied())
    }

    /// A version was acknowledged or read.
    pub(crate) fn saw(&self, run: &RunId, incarnation: Incarnation, version: Version) {
        let mut generations = self.generations();
        if generations.0.len() >= LEAST {
            generations.1 = std::mem::take(&mut generations.0);
        }
        let (young, old) = &mut *generations;
        let known = young.get(run).or_else(|| old.get(run)).copied();
        match known {
            Some((life, newest)) if life == incarnation && newest >= version => {}
            _ => {
                young.insert(run.clone(), (incarnation, version));
            }
        }
    }

    /// A run was deleted through this handle.
    pub(crate) fn forget(&self, run: &RunId) {
        let (young, old) = &mut *self.generations();
        young.remove(run);
        old.remove(run);
    }

    /// The run was opened as the server has it now: what was seen of it before was told and is past.
    pub(crate) fn settle(&self, run: &RunId, row: &Row) {
        self.forget(run);
        self.saw(run, row.fence.incarnation, row.version);
    }

    /// Compares a row with what had been seen before it was asked for. One that has just been changed is above that.
    ///
    /// # Errors
    ///
    /// `SetBack`.
    pub(crate) fn check(&self, run: &RunId, floor: Floor, row: &Row, changed: bool) -> Result<()> {
        let incarnation = row.fence.incarnation;
        let least = |version: Version| version + u64::from(changed);
        if floor.0.is_some_and(|(life, version)| life == incarnation && row.version < least(version)) {
            return Err(set_back());
        }
        self.saw(run, incarnation, row.version);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_of_a_life_stays() {
        let (seen, run) = (Seen::default(), RunId::from_static("r"));
        for (life, version, newest) in [(1, 3, (1, 3)), (1, 2, (1, 3)), (2, 1, (2, 1))] {
            seen.saw(&run, Incarnation(life), version);
            assert_eq!(seen.floor(&run).0, Some((Incarnation(newest.0), newest.1)));
        }
        seen.forget(&run);
        assert_eq!(seen.floor(&run).0, None);
    }

    #[test]
    fn memory_is_bounded() {
        let seen = Seen::default();
        for number in 0..3 * LEAST {
            seen.saw(&RunId::new(number.to_string()).unwrap(), Incarnation(1), 1);
        }
        let generations = seen.generations();
        assert!(generations.0.len() + generations.1.len() <= 2 * LEAST);
    }
}
