//! The Redis store, held to the contract.

use milepost_conformance::harness;
use milepost_core::{Error, ErrorKind};
use milepost_store_redis::RedisConfig;

/// Where the server is.
const URL: &str = "MILEPOST_TEST_REDIS_URL";

fn main() -> std::process::ExitCode {
    let redis = harness("redis", |scope| async move {
        let url = std::env::var(URL)
            .map_err(|_| Error::new(ErrorKind::Config, format!("{URL} names no server")))?;
        let config = RedisConfig::from_url(&url)?.prefix(scope.name())?;
        config.prepare_on_connect(true).clock(scope.clock()).connect().await
    });
    milepost_conformance::main(redis.with_clock())
}
