//! Time: injected, so that a test can move it.

use std::{
    fmt,
    future::poll_fn,
    ops::{Add, Sub},
    sync::Mutex,
    task::{Poll, Waker},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// An instant: microseconds since 1970-01-01 UTC.
///
/// Adding and subtracting a duration saturates, so that "very long" never wraps into the past.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// How long after `earlier` this is; zero when it is not.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros(duration)))
    }
}

/// Tells the time and waits.
///
/// Lease decisions use the *store's* clock. An embedded store's clock is one of these; a server's is its own.
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall clock. It may jump, also backward.
    fn now(&self) -> Timestamp;

    /// Time since some fixed instant of this clock. It never goes backward, whatever the wall clock does.
    fn elapsed(&self) -> Duration;

    /// Waits for `duration` of [`Clock::elapsed`]. Dropping the future ends the wait and leaves nothing behind.
    async fn sleep(&self, duration: Duration);
}

/// The clock of this machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where time enters")]
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where time enters")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or_else(
            |before| Timestamp::default() - before.duration(),
            |after| Timestamp::default() + after,
        )
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        futures_timer::Delay::new(duration).await;
    }
}

/// A clock that stands still until a test moves it.
///
/// ```
/// use milepost_core::{Clock, ManualClock, Timestamp};
/// use std::time::Duration;
///
/// let clock = ManualClock::new(Timestamp(1_000_000));
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(clock.now(), Timestamp(2_000_000));
/// clock.jump(Timestamp(0)); // the wall clock is set back ...
/// assert_eq!(clock.elapsed(), Duration::from_secs(1)); // ... and monotonic time does not care
/// ```
#[derive(Debug)]
pub struct ManualClock(Mutex<Manual>);

#[derive(Debug)]
struct Manual {
    now: Timestamp,
    elapsed: Duration,
    sleepers: Vec<Waker>,
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(Mutex::new(Manual { now, elapsed: Duration::ZERO, sleepers: Vec::new() }))
    }

    /// Lets `duration` pass, on the wall and monotonically, and wakes who slept as long.
    pub fn advance(&self, duration: Duration) {
        let sleepers = self.with(|manual| {
            manual.now = manual.now + duration;
            manual.elapsed += duration;
            std::mem::take(&mut manual.sleepers)
        });
        sleepers.into_iter().for_each(Waker::wake);
    }

    /// Sets the wall clock, forward or back; monotonic time does not notice.
    pub fn jump(&self, now: Timestamp) {
        self.with(|manual| manual.now = now);
    }

    fn with<T>(&self, f: impl FnOnce(&mut Manual) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.with(|manual| manual.now)
    }

    fn elapsed(&self) -> Duration {
        self.with(|manual| manual.elapsed)
    }

    async fn sleep(&self, duration: Duration) {
        let until = self.elapsed().saturating_add(duration);
        poll_fn(|context| {
            self.with(|manual| {
                if manual.elapsed >= until {
                    return Poll::Ready(());
                }
                manual.sleepers.push(context.waker().clone());
                Poll::Pending
            })
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_away_instants_saturate() {
        assert_eq!(Timestamp(1) + Duration::MAX, Timestamp(i64::MAX));
        assert_eq!(Timestamp(-1) - Duration::MAX, Timestamp(i64::MIN));
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
    }

    #[test]
    fn a_sleeper_wakes_when_its_time_has_passed() {
        let clock = ManualClock::new(Timestamp(0));
        let mut sleep = clock.sleep(Duration::from_secs(2));
        let mut poll = || sleep.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop()));
        assert!(poll().is_pending());
        clock.advance(Duration::from_secs(1));
        assert!(poll().is_pending());
        clock.advance(Duration::from_secs(1));
        assert!(poll().is_ready());
    }
}
