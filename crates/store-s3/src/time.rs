//! What time it is: by the place's clock, and since this machine booted.

use std::{sync::Arc, time::Duration};

use milepost_core::{Clock, SystemClock, Timestamp};

/// A place tells its time to the second, and an answer takes its way: leases and wakes are judged so much late.
pub(crate) const LATE: Duration = Duration::from_secs(2);

/// A tail that was looked at so long ago is looked at again before a create is acknowledged.
pub(crate) const VERIFIED_FOR: Duration = Duration::from_secs(30);

/// A name is freed when what superseded it is older than this: twice the above, so that no writer that trusts its tail
/// can find the name free.
pub(crate) const FREED_AFTER: Duration = Duration::from_secs(60);

/// The clocks of a store.
#[derive(Clone, Debug)]
pub(crate) struct Time {
    given: Option<Arc<dyn Clock>>,
    here: SystemClock,
}

impl Time {
    pub(crate) fn new(given: Option<Arc<dyn Clock>>) -> Self {
        Self { given, here: SystemClock::default() }
    }

    /// The store's now; `place` is what the place says, if it has a clock of its own.
    pub(crate) fn now(&self, place: Option<Timestamp>) -> Timestamp {
        match &self.given {
            Some(clock) => clock.now(),
            None => place.unwrap_or_else(|| self.here.now()),
        }
    }

    /// How late `now` is judged.
    pub(crate) fn late(&self, place: Option<Timestamp>) -> Duration {
        if self.given.is_none() && place.is_some() { LATE } else { Duration::ZERO }
    }

    /// By how much its now may be behind that of another handle, where the place says so.
    pub(crate) fn behind(&self, place: Duration) -> Duration {
        if self.given.is_some() { Duration::ZERO } else { place }
    }

    /// Time since the boot of this machine, in which it may have slept.
    pub(crate) fn elapsed(&self) -> Duration {
        match &self.given {
            Some(clock) => clock.elapsed(),
            None => since_boot().unwrap_or_else(|| self.here.elapsed()),
        }
    }

    /// Whether what was superseded by something of this age may be freed: written `at` by its writer's account, and
    /// `modified` by the place's.
    pub(crate) fn frees(&self, at: Timestamp, modified: Timestamp, place: Option<Timestamp>) -> bool {
        let superseded = if self.given.is_some() { at } else { modified };
        self.now(place).since(superseded) >= FREED_AFTER + self.late(place)
    }
}

/// Where the operating system counts it.
fn since_boot() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    {
        use nix::time::{ClockId, clock_gettime};
        clock_gettime(ClockId::CLOCK_BOOTTIME).ok().map(Duration::from)
    }
    #[cfg(not(target_os = "linux"))]
    None
}
