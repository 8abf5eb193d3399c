//! The Redis store on a cluster, held to the contract by real nodes: those of `MILEPOST_TEST_REDIS_CLUSTER_URL`, or three
//! started for this, and three for each case that kills them.

#[path = "kit/parts.rs"]
mod parts;
#[path = "kit/world.rs"]
mod world;

use std::time::Duration;

use milepost_conformance::{Tuning, harness};

const CLUSTER: bool = true;

fn main() -> std::process::ExitCode {
    // A cluster takes some seconds until its nodes agree, and each of the 256 shards is asked by itself.
    let mut tuning = Tuning::default();
    tuning.timeout = Duration::from_secs(60);
    let redis = harness("redis-cluster", world::connect)
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
