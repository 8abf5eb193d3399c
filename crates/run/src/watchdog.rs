//! Runs that finish no work for too long.

use std::{fmt, sync::Arc, time::Duration};

use milepost_core::RunId;
use tracing::warn;

use crate::{event::Event, run::Core, stop::Halt};

/// Watches the runs that a runner drives: for how long each has been at work without finishing any (a step, a phase, a wait,
/// a child). Waiting is no work.
///
/// Two limits. At the soft one a policy decides: it gives more time, or ends the run. At the hard one the run is ended,
/// whatever the policy said. A run that is ended so fails as timed out, its handler is dropped, and that sticks: nobody
/// recovers it until it is [reopened](crate::Runner::reopen).
///
/// ```
/// # use milepost_run::{Runner, Watchdog};
/// # use milepost_store_memory::MemoryStore;
/// use std::time::Duration;
///
/// let watchdog = Watchdog::new(Duration::from_secs(60), Duration::from_secs(600));
/// let runner = Runner::new(MemoryStore::new()).watchdog(watchdog);
/// # let _ = runner;
/// ```
#[derive(Clone)]
pub struct Watchdog {
    soft: Duration,
    hard: Duration,
    policy: Arc<Policy>,
}

type Policy = dyn Fn(&Quiet) -> Verdict + Send + Sync;

/// A run at its soft limit.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Quiet {
    /// Which run.
    pub run: RunId,
    /// For how long it has finished no work.
    pub quiet: Duration,
    /// How often it was given more time before, in its whole life: the count survives its process.
    pub extensions: u32,
}

/// What becomes of a run at its soft limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// It gets so much more time, up to the hard limit.
    Extend(Duration),
    /// It ends.
    Kill,
}

impl fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { soft, hard, .. } = self;
        f.debug_struct("Watchdog").field("soft", soft).field("hard", hard).finish_non_exhaustive()
    }
}

impl Watchdog {
    /// With the policy that gives a run the soft limit once more, once in its life.
    pub fn new(soft: Duration, hard: Duration) -> Self {
        let once = move |quiet: &Quiet| match quiet.extensions {
            0 => Verdict::Extend(soft),
            _ => Verdict::Kill,
        };
        Self { soft, hard, policy: Arc::new(once) }
    }

    /// With another policy. It should be quick; one that panics has said [`Verdict::Kill`].
    pub fn policy(mut self, policy: impl Fn(&Quiet) -> Verdict + Send + Sync + 'static) -> Self {
        self.policy = Arc::new(policy);
        self
    }

    fn ask(&self, quiet: &Quiet) -> Verdict {
        let asked = std::panic::AssertUnwindSafe(|| (self.policy)(quiet));
        std::panic::catch_unwind(asked).unwrap_or_else(|_| {
            warn!(run = %quiet.run, "the watchdog's policy panicked; the run is ended");
            Verdict::Kill
        })
    }

    /// Ends the run when its time is over. Gives back only then.
    pub(crate) async fn watch(&self, core: &Core) {
        let mut limit = self.soft;
        let mut since = core.log.advanced();
        let mut extensions = core.history().extensions;
        loop {
            let now = core.log.means().clock.elapsed();
            if core.activity.is_idle() {
                core.log.advance(now);
            }
            if core.log.advanced() != since {
                (since, limit) = (core.log.advanced(), self.soft);
            }
            let quiet = now.saturating_sub(since);
            if quiet < limit.min(self.hard) {
                core.clock.sleep(limit.min(self.hard) - quiet).await;
                continue;
            }
            let asked = Quiet { run: core.id.clone(), quiet, extensions };
            match if quiet < self.hard { self.ask(&asked) } else { Verdict::Kill } {
                Verdict::Extend(by) if !by.is_zero() => {
                    warn!(run = %core.id, ?quiet, ?by, "a run finishes no work; it is given more time");
                    extensions += 1;
                    let extended = Event::Extended { extensions };
                    core.log.write_entry(core.log.entry(&[extended])).await;
                    limit = quiet + by;
                }
                _ => return core.stop.halt(Halt::Killed(quiet)),
            }
        }
    }
}
