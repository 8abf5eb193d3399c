//! Saving at most so often.

use std::time::Duration;

/// Says whether a save is to be kept for later: only when something was saved successfully less than `every` ago.
///
/// Its clock is monotonic and moves with successes alone, so neither a failed save nor a wall clock that is set back
/// keeps the next one waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Throttle {
    every: Duration,
    last: Option<Duration>,
}

impl Throttle {
    pub(crate) fn new(every: Duration) -> Self {
        Self { every, last: None }
    }

    /// Whether it ever holds anything back, so that nobody asks the clock in vain.
    pub(crate) fn is_off(&self) -> bool {
        self.every.is_zero()
    }

    /// Whether a save at the monotonic instant `now` is kept for later.
    pub(crate) fn holds(&self, now: Duration) -> bool {
        !self.is_off() && self.last.is_some_and(|last| now.saturating_sub(last) < self.every)
    }

    /// A save at `now` has succeeded.
    pub(crate) fn saved(&mut self, now: Duration) {
        self.last = Some(self.last.map_or(now, |last| last.max(now)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_save_is_held_only_within_the_interval_after_a_success() {
        let at = Duration::from_millis;
        let mut throttle = Throttle::new(at(100));
        assert!(!throttle.holds(at(0)), "the first save is never held");
        throttle.saved(at(10));
        for (now, held) in [(10, true), (109, true), (110, false), (500, false), (5, true)] {
            assert_eq!(throttle.holds(at(now)), held, "at {now} ms");
        }
        throttle.saved(at(5));
        assert!(throttle.holds(at(109)), "its clock never moves backward");
        let mut off = Throttle::new(Duration::ZERO);
        off.saved(at(0));
        assert!(!off.holds(at(0)));
    }
}
