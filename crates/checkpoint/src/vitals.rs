//! What of an engine others look at while it works.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use milepost_core::Cursor;

/// What of an engine others look at while it works.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    /// The newest acknowledged record.
    cursor: AtomicU64,
    /// When the lease was last extended, in microseconds of the clock's monotonic time.
    extended: AtomicU64,
    /// Whether something was sent of which nobody knows whether it holds.
    unsettled: AtomicBool,
    /// Whether the run's end was sent: a renewal that is refused then tells of no successor.
    ending: AtomicBool,
}

impl Vitals {
    pub(crate) fn cursor(&self) -> Cursor {
        self.cursor.load(Ordering::Acquire)
    }

    pub(crate) fn acknowledge(&self, cursor: Cursor) {
        self.cursor.store(cursor, Ordering::Release);
    }

    pub(crate) fn extended(&self) -> Duration {
        Duration::from_micros(self.extended.load(Ordering::Acquire))
    }

    /// The lease was extended by a write that began at `elapsed`.
    pub(crate) fn extend(&self, elapsed: Duration) {
        self.extended.fetch_max(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX), Ordering::AcqRel);
    }

    pub(crate) fn is_unsettled(&self) -> bool {
        self.unsettled.load(Ordering::Acquire)
    }

    pub(crate) fn set_unsettled(&self, unsettled: bool) {
        self.unsettled.store(unsettled, Ordering::Release);
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    pub(crate) fn set_ending(&self, ending: bool) {
        self.ending.store(ending, Ordering::Release);
    }
}
