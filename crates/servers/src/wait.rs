//! The one place here that reads a clock: waiting for something to become true.

use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take until it answers, on a machine that does much else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Asks `look` every few milliseconds until it gives something; `None` when `limit` has passed first.
///
/// # Errors
///
/// The first error of `look`.
#[expect(clippy::disallowed_methods, reason = "how long to wait for a real server; nothing here is replayed")]
pub(crate) fn wait_for<T>(
    limit: Duration,
    mut look: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<Option<T>> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        if start.elapsed() > limit {
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(25));
    }
}
