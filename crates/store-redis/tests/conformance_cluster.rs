//! The Redis store on a cluster, held to the contract by real nodes: those of `MILEPOST_TEST_REDIS_CLUSTER_URL`, or three
//! started for this.

use std::time::Duration;

use milepost_conformance::{Tuning, harness};
use milepost_core::{Error, ErrorKind};
use milepost_store_redis::RedisConfig;

fn main() -> std::process::ExitCode {
    let redis = harness("redis-cluster", |scope| async move {
        let server = milepost_servers::redis_cluster();
        let server = server.map_err(|error| Error::new(ErrorKind::Config, format!("{error:#}")))?;
        let config = RedisConfig::from_url(server.url())?.prefix(scope.name())?;
        config.cluster(true).prepare_on_connect(true).clock(scope.clock()).connect().await
    });
    // A listing asks each of the 256 shards by itself.
    let mut tuning = Tuning::default();
    tuning.timeout = Duration::from_secs(60);
    milepost_conformance::main(redis.with_clock().with_tuning(tuning))
}
