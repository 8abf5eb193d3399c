//! Chance that replays.

use milepost_core::{Ids, SeededIds};

/// A source of chance: the same for the same seed.
#[derive(Debug)]
pub(crate) struct Random(SeededIds);

impl Random {
    /// Chance that begins at `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(SeededIds::new(seed))
    }

    /// 64 bits.
    pub(crate) fn bits(&self) -> u64 {
        self.0.bits() as u64
    }

    /// A number below `end`, which is above 0.
    pub(crate) fn below(&self, end: u64) -> u64 {
        self.bits() % end
    }

    /// True so many times of a hundred.
    pub(crate) fn percent(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of `items`, of which there is one at least.
    pub(crate) fn pick<T: Clone>(&self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize].clone()
    }

    /// One of `items`, each as often as its weight says.
    pub(crate) fn weighted<T: Copy>(&self, items: &[(u64, T)]) -> T {
        let mut drawn = self.below(items.iter().map(|(weight, _)| weight).sum());
        for (weight, item) in items {
            match drawn.checked_sub(*weight) {
                Some(left) => drawn = left,
                None => return *item,
            }
        }
        items[0].1
    }
}
