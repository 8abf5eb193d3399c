//! What a handle has seen of its runs, for stores whose server may lose what it has acknowledged.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

use crate::{Error, ErrorKind, Incarnation, Result, RunId, Version};

/// So many runs are remembered at least, and at most twice as many.
const LEAST: usize = 32_768;

type Generation = HashMap<RunId, (Incarnation, Version)>;

/// The newest version that a handle has seen of each run: a run that is below it has been set back, as by a failover to a
/// replica that lacked the last writes, or by a restored backup.
///
/// For authors of adapters. Before a request [`Seen::floor`] is taken, and what comes back is [checked](Seen::check) against
/// it. Of at least the last 32,768 runs it is remembered; memory is bounded, in two generations of which the older one is
/// forgotten when the younger one is full. Cheap: a lock and a look-up.
///
/// ```
/// use milepost_core::{ErrorKind, Incarnation, RunId, Seen};
///
/// let (seen, run) = (Seen::default(), RunId::new("r")?);
/// seen.saw(&run, (Incarnation(1), 7));
/// let floor = seen.floor(&run);
/// let error = seen.check(&run, floor, (Incarnation(1), 6), false).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::SetBack);
/// # Ok::<(), milepost_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Seen(Mutex<(Generation, Generation)>);

/// What had been seen of a run before something was asked: an answer below it is of a run that was set back.
#[derive(Clone, Copy, Debug)]
pub struct Floor(Option<(Incarnation, Version)>);

impl Seen {
    fn generations(&self) -> MutexGuard<'_, (Generation, Generation)> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// What has been seen of a run. Asked for before a request is sent: a later answer may overtake an earlier one, so
    /// only what was acknowledged before the request binds its answer.
    pub fn floor(&self, run: &RunId) -> Floor {
        let generations = self.generations();
        Floor(generations.0.get(run).or_else(|| generations.1.get(run)).copied())
    }

    /// A version was acknowledged or read.
    pub fn saw(&self, run: &RunId, (incarnation, version): (Incarnation, Version)) {
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
    pub fn forget(&self, run: &RunId) {
        let (young, old) = &mut *self.generations();
        young.remove(run);
        old.remove(run);
    }

    /// The run was opened as the server has it now: what was seen of it before was told and is past.
    pub fn settle(&self, run: &RunId, now: (Incarnation, Version)) {
        self.forget(run);
        self.saw(run, now);
    }

    /// Compares what the server has with what had been seen before it was asked. A run that has just been changed by who asks
    /// is `changed`, and above that.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SetBack`], without saying whether a write has happened: that is the adapter's to know.
    pub fn check(&self, run: &RunId, floor: Floor, now: (Incarnation, Version), changed: bool) -> Result<()> {
        let least = |version: Version| version + u64::from(changed);
        if floor.0.is_some_and(|(life, version)| life == now.0 && now.1 < least(version)) {
            return Err(Error::new(
                ErrorKind::SetBack,
                "the server holds an older state of the run than it has acknowledged: it was restored, or it failed over",
            ));
        }
        self.saw(run, now);
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
            seen.saw(&run, (Incarnation(life), version));
            assert_eq!(seen.floor(&run).0, Some((Incarnation(newest.0), newest.1)));
        }
        seen.forget(&run);
        assert_eq!(seen.floor(&run).0, None);
    }

    #[test]
    fn memory_is_bounded() {
        let seen = Seen::default();
        for number in 0..3 * LEAST {
            seen.saw(&RunId::new(number.to_string()).unwrap(), (Incarnation(1), 1));
        }
        let generations = seen.generations();
        assert!(generations.0.len() + generations.1.len() <= 2 * LEAST);
    }
}
