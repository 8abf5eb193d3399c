//! The store's time, as a driven run tells it: its now when the run was opened, and what has passed since.

use std::{sync::Arc, time::Duration};

use milepost_core::{Clock, Timestamp};

/// Timers and deadlines are kept by the store, so they are judged by its time: a worker whose wall clock is hours off
/// changes nothing, and the time does not go backward while a run is driven.
#[derive(Clone, Debug)]
pub(crate) struct StoreClock {
    clock: Arc<dyn Clock>,
    at: Timestamp,
    elapsed: Duration,
}

impl StoreClock {
    /// The store's now was `at` when the clock's monotonic time was `elapsed`.
    pub(crate) fn new(clock: Arc<dyn Clock>, at: Timestamp, elapsed: Duration) -> Self {
        Self { clock, at, elapsed }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.at + self.elapsed()
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed().saturating_sub(self.elapsed)
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }

    /// Waits until it is `instant`, at once if it has passed.
    pub(crate) async fn sleep_until(&self, instant: Timestamp) {
        loop {
            let left = instant.since(self.now());
            if left.is_zero() {
                return;
            }
            self.clock.sleep(left).await;
        }
    }
}
