//! A race of two processes that goes on for as long as somebody has patience.

use std::env;

use milepost_core::SystemClock;

use super::linear::{MIX, Mix, decided, one};
use crate::areas::prelude::*;

cases! { concurrency:
    /// Two processes that race to create, commit to, take over, delete and recreate one run leave only histories that one
    /// order explains: for about a second, or for as many as `MILEPOST_RACE_SECONDS` says.
    two_processes_race_on_one_run [processes] once "each process has a handle of its own already",
}

/// How many seconds it lasts.
const SECONDS: &str = "MILEPOST_RACE_SECONDS";

/// How long the race lasts that somebody asks for, beside the time that every case has.
pub(crate) fn asked() -> Duration {
    let seconds = env::var(SECONDS).ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1))
}

async fn two_processes_race_on_one_run(ctx: &Context) -> Verdict {
    let second = ctx.process().await?;
    let ctx = ctx.with_other(second.store);
    let mix = Mix { create: 4, take_over: 3, commit: 5, delete: 3, ..MIX };
    let (clock, asked) = (SystemClock::default(), asked());
    let (mut histories, mut undecided) = (0, 0);
    while histories == 0 || clock.elapsed() < asked {
        undecided += one(&ctx, mix, histories).await?;
        histories += 1;
    }
    decided(histories as usize, undecided)
}
