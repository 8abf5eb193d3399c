//! The Redis store, held to the contract by a real server: that of `MILEPOST_TEST_REDIS_URL`, or one started for this.

use milepost_conformance::harness;
use milepost_core::{Error, ErrorKind};
use milepost_store_redis::RedisConfig;

fn main() -> std::process::ExitCode {
    let redis = harness("redis", |scope| async move {
        let server = milepost_servers::redis();
        let server = server.map_err(|error| Error::new(ErrorKind::Config, format!("{error:#}")))?;
        let config = RedisConfig::from_url(server.url())?.prefix(scope.name())?;
        config.prepare_on_connect(true).clock(scope.clock()).connect().await
    });
    milepost_conformance::main(redis.with_clock())
}
