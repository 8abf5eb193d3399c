//! The Redis store, held to the contract by real servers: that of `MILEPOST_TEST_REDIS_URL`, or one started for this, and
//! one for each case that kills it.

#[path = "kit/parts.rs"]
mod parts;
#[path = "kit/world.rs"]
mod world;

use std::time::Duration;

use milepost_conformance::{Tuning, harness};

const CLUSTER: bool = false;

fn main() -> std::process::ExitCode {
    // Every write waits for a disk, which may be a busy one.
    let mut tuning = Tuning::default();
    tuning.timeout = Duration::from_secs(60);
    let redis = harness("redis", world::connect)
        .with_clock()
        .with_processes()
        .with_parts(parts::list)
        .with_flip(parts::flip)
        .with_removal(parts::remove)
        .with_server(world::kill, world::restart)
        .with_teardown(parts::clear)
        .with_secret(world::SECRET)
        .with_tuning(tuning);
    world::with_shared_server(|| milepost_conformance::main(redis))
}
