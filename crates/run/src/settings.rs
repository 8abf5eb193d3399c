//! How runs are driven.

use std::time::Duration;

use milepost_core::{Open, Retain};

/// How a [`Runner`](crate::Runner) drives its runs.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// How long a lease lasts without a sign of life; by default 30 s. Renewed at a third of it, by commits where they
    /// come anyway.
    pub ttl: Duration,
    /// How often [`Runner::serve`](crate::Runner::serve) looks for runs that are due, a tenth more or less; by default
    /// 1 s. It is the latency of a wake on another host.
    pub poll: Duration,
    /// How many recovered runs are driven at once; by default 64.
    pub concurrency: usize,
    /// How long a run that waits is kept, in case that it goes on at once, before the process lets go of it; by default
    /// 1 s.
    pub linger: Duration,
    /// How long the steps that are under way may go on when the runner stops; by default 10 s. Then they are dropped, and
    /// run again where the run is recovered.
    pub grace: Duration,
    /// So many takeovers from owners that died, without any work finished in between, fail a run as poison; by
    /// default 5.
    pub poison_after: u32,
    /// Values whose JSON is longer, in bytes, are stored beside the log, where the store has blobs; by default 64 KiB.
    /// They are read when the handler comes to their step again.
    pub inline: usize,
    /// What becomes of the data of runs that have completed; by default it is kept. Failed runs are always kept, for
    /// somebody may reopen them.
    pub retain: Retain,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ttl: Open::DEFAULT_TTL,
            poll: Duration::from_secs(1),
            concurrency: 64,
            linger: Duration::from_secs(1),
            grace: Duration::from_secs(10),
            poison_after: 5,
            inline: 64 << 10,
            retain: Retain::Keep,
        }
    }
}

macro_rules! setters {
    ($($name:ident: $type:ty),*) => {
        impl Settings {
            $(
                #[doc = concat!("Sets [`Settings::", stringify!($name), "`].")]
                pub fn $name(mut self, $name: $type) -> Self {
                    self.$name = $name;
                    self
                }
            )*
        }
    };
}

setters! {
    ttl: Duration, poll: Duration, concurrency: usize, linger: Duration, grace: Duration, poison_after: u32,
    inline: usize, retain: Retain
}
