//! The one place in the automation that reads a clock.

use std::fmt;
use std::time::{Duration, Instant};

/// Measures from its start; displays as seconds, with minutes once there are some.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "durations shown to a person; nothing here is replayed")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// A duration as a person reads it: `0.4 s`, `12.3 s`, `3 min 05 s`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pretty(pub(crate) Duration);

impl fmt::Display for Pretty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0.as_secs() {
            0..60 => format!("{:.1} s", self.0.as_secs_f64()),
            seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(Pretty(Duration::from_millis(420)).to_string(), "0.4 s");
        assert_eq!(Pretty(Duration::from_secs(185)).to_string(), "3 min 05 s");
    }
}
