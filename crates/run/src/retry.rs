//! When a step that failed is tried again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// How often a step is tried, and how long it pauses in between: longer each time, jittered.
///
/// ```
/// use milepost_run::Retry;
/// use std::time::Duration;
///
/// let patient = Retry::times(8).base(Duration::from_secs(1)).longest(Duration::from_secs(60));
/// # let _ = patient;
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Retry {
    times: u32,
    base: Duration,
    longest: Duration,
    factor: f32,
    jitter: bool,
}

impl Retry {
    /// The first failure is the last.
    pub const NEVER: Self = Self {
        times: 0,
        base: Duration::from_millis(100),
        longest: Duration::from_secs(60),
        factor: 2.0,
        jitter: true,
    };

    /// Up to so many attempts after the first. The pauses are 0.1 s, 0.2 s, 0.4 s and so on up to 60 s, each longer by a
    /// random part.
    pub const fn times(times: u32) -> Self {
        Self { times, ..Self::NEVER }
    }

    /// The first pause.
    pub const fn base(mut self, base: Duration) -> Self {
        self.base = base;
        self
    }

    /// The longest pause, before its random part.
    pub const fn longest(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// By how much each pause is longer than the one before; at least 1.
    pub const fn factor(mut self, factor: f32) -> Self {
        self.factor = if factor < 1.0 { 1.0 } else { factor };
        self
    }

    /// Without the random part.
    pub const fn exact(mut self) -> Self {
        self.jitter = false;
        self
    }

    /// How long to pause before the attempt after `attempt`, which was counted from 0; `None` if it was the last.
    pub(crate) fn pause(&self, attempt: u32) -> Option<Duration> {
        if attempt >= self.times {
            return None;
        }
        let pauses = ExponentialBuilder::default()
            .with_min_delay(self.base)
            .with_max_delay(self.longest)
            .with_factor(self.factor)
            .without_max_times();
        let mut pauses = if self.jitter { pauses.with_jitter() } else { pauses }.build();
        // From some attempt on all pauses are the longest.
        pauses.nth(attempt.min(1000) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest_and_then_no_more_is_tried() {
        let retry = Retry::times(5).base(Duration::from_secs(1)).longest(Duration::from_secs(3)).exact();
        let pauses: Vec<_> =
            (0..6).map(|attempt| retry.pause(attempt).map(|pause| pause.as_secs())).collect();
        assert_eq!(pauses, [Some(1), Some(2), Some(3), Some(3), Some(3), None]);
        assert_eq!(Retry::NEVER.pause(0), None);
    }

    #[test]
    fn a_jittered_pause_is_longer_by_less_than_itself() {
        let retry = Retry::times(1).base(Duration::from_secs(1));
        for _ in 0..100 {
            let pause = retry.pause(0).unwrap();
            assert!(pause >= Duration::from_secs(1) && pause <= Duration::from_secs(2), "{pause:?}");
        }
    }
}
