//! Runs that are begun at their times.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use milepost_core::{ErrorKind, RunId, Timestamp};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::Runner;

/// When runs are begun.
///
/// ```
/// use milepost_core::Timestamp;
/// use milepost_run::Schedule;
/// use std::time::Duration;
///
/// let hourly = Schedule::every(Duration::from_secs(3600));
/// assert_eq!(hourly.next(Timestamp(1)), Some(Timestamp(3_600_000_000)));
/// ```
#[derive(Clone)]
pub struct Schedule(Arc<dyn Fn(Timestamp) -> Option<Timestamp> + Send + Sync>);

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Schedule")
    }
}

impl Schedule {
    /// At the multiples of `period` since 1970 (UTC), the same on every host. A period of less than a microsecond is one.
    pub fn every(period: Duration) -> Self {
        let period = i64::try_from(period.as_micros()).unwrap_or(i64::MAX).max(1);
        Self::by(move |after| after.0.div_euclid(period).checked_add(1)?.checked_mul(period).map(Timestamp))
    }

    /// At the times that `next` gives: the first one after an instant, or none.
    pub fn by(next: impl Fn(Timestamp) -> Option<Timestamp> + Send + Sync + 'static) -> Self {
        Self(Arc::new(next))
    }

    /// At the times of a cron expression, in UTC: minute, hour, day of the month, month and day of the week, with an optional
    /// field of seconds before them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`]: it is none; the message says what is wrong.
    #[cfg(feature = "cron")]
    pub fn cron(expression: &str) -> milepost_core::Result<Self> {
        use std::str::FromStr as _;
        let invalid = |error: croner::errors::CronError| {
            let message = format!("{expression:?} is no cron expression: {error}");
            milepost_core::Error::new(ErrorKind::Invalid, message)
        };
        let cron = croner::Cron::from_str(expression).map_err(invalid)?;
        Ok(Self::by(move |after| {
            let after = chrono::DateTime::from_timestamp_micros(after.0)?;
            let next = cron.find_next_occurrence(&after, false).ok()?;
            Some(Timestamp(next.timestamp_micros()))
        }))
    }

    /// The first time after an instant.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        (self.0)(after)
    }
}

impl Runner {
    /// Begins a run of the handler `name` at each time of `schedule`, until `shutdown` is cancelled or there is no next time.
    /// Its id is `prefix@` and the time in microseconds, so hosts with one schedule begin one run for each time. The next time
    /// is known before a run begins, and nobody waits for its end: a slow run shifts nothing. A time that passes while this
    /// is not running, or while the store cannot be reached, is let pass.
    ///
    /// `input` makes the input of the run of a time. A panic in it, or in the schedule's own function, is logged and costs
    /// that time only.
    pub async fn begin_on<I: Serialize>(
        &self,
        schedule: &Schedule,
        prefix: &str,
        name: &str,
        input: impl Fn(Timestamp) -> I + Send,
        shutdown: CancellationToken,
    ) {
        let clock = self.shared().means.clock.clone();
        let mut last = clock.now();
        loop {
            let next = match catch_unwind(AssertUnwindSafe(|| schedule.next(last))) {
                Ok(Some(next)) => next.max(last),
                Ok(None) => return,
                Err(_) => {
                    error!(name, "the schedule panicked; it is asked again in a second");
                    last = last.max(clock.now()) + Duration::from_secs(1);
                    clock.sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            loop {
                let left = next.since(clock.now());
                if left.is_zero() {
                    break;
                }
                tokio::select! {
                    () = clock.sleep(left) => {}
                    () = shutdown.cancelled() => return,
                }
            }
            last = next;
            let begun =
                AssertUnwindSafe(|| RunId::new(format!("{prefix}@{}", next.0)).map(|run| (run, input(next))));
            match catch_unwind(begun) {
                Ok(Ok((run, input))) => self.begin_at(run, name, &input).await,
                Ok(Err(error)) => error!(name, %error, "the schedule makes no id of a run"),
                Err(_) => error!(name, "making the input of a scheduled run panicked; this time is let pass"),
            }
            // What passed meanwhile is let pass.
            last = last.max(clock.now() - Duration::from_micros(1));
        }
    }

    async fn begin_at<I: Serialize>(&self, run: RunId, name: &str, input: &I) {
        match self.start(run.clone(), name, input).await {
            Ok(_) => {}
            // Another host was quicker.
            Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::LeaseHeld) => {}
            Err(error) => warn!(%run, %error, "a scheduled run could not be begun; this time is let pass"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_has_the_same_times_on_every_host() {
        let schedule = Schedule::every(Duration::from_secs(10));
        let next = |after| schedule.next(Timestamp(after)).map(|next| next.0);
        assert_eq!(
            [next(0), next(9_999_999), next(10_000_000)],
            [10_000_000, 10_000_000, 20_000_000].map(Some)
        );
        assert_eq!(next(-1), Some(0));
        assert_eq!(next(i64::MAX), None);
    }

    #[cfg(feature = "cron")]
    #[test]
    fn a_cron_expression_gives_its_times_in_utc() {
        let schedule = Schedule::cron("30 2 * * 1").unwrap();
        // 2026-11-26 is a Thursday; the next Monday is the 30th.
        let next = schedule.next(Timestamp(1_795_651_200_000_000)).unwrap();
        assert_eq!(next, Timestamp(1_796_005_800_000_000));
        assert_eq!(schedule.next(next), Some(Timestamp(1_796_610_600_000_000)), "and not that one again");
        let error = Schedule::cron("every day").unwrap_err();
        assert!(error.to_string().contains("\"every day\" is no cron expression"), "{error}");
    }
}
