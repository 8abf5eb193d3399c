//! Wall time, CPU time of this thread, and medians.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The CPU time that this thread has used (clock_gettime(2), `CLOCK_THREAD_CPUTIME_ID`).
pub(crate) fn cpu() -> Duration {
    let used =
        clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux measures the CPU time of threads");
    Duration::from(used)
}

pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
