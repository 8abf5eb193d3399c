//! The server that a test is given: by the environment, or started for this process.

use std::env;
use std::process::{Command, ExitCode};
use std::sync::{Arc, OnceLock};

use anyhow::anyhow;

use crate::{Kind, Ministack, PgBouncer, Postgres, Redis, RedisCluster, Server};

/// A server to share with every other test.
#[derive(Debug)]
pub struct Given<S> {
    url: String,
    server: Option<Arc<S>>,
}

impl<S> Given<S> {
    /// How a client reaches it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The server itself, if it was started for this process; one that the environment gives is not ours to kill.
    pub fn server(&self) -> Option<&Arc<S>> {
        self.server.as_ref()
    }
}

/// Once a process, whatever the number of tests that ask at the same time. It stays until the process ends, and then
/// the watchdog ends it.
fn given<S: Server>(
    kind: Kind,
    started: &'static OnceLock<Result<Arc<S>, String>>,
    start: fn() -> anyhow::Result<S>,
) -> anyhow::Result<Given<S>> {
    if let Some(url) = kind.given() {
        return Ok(Given { url, server: None });
    }
    let started = started.get_or_init(|| start().map(Arc::new).map_err(|error| format!("{error:#}")));
    match started {
        Ok(server) => Ok(Given { url: server.url(), server: Some(server.clone()) }),
        Err(why) => {
            Err(anyhow!("no {} to test with, and {} is not set: {why}", kind.name(), kind.variable()))
        }
    }
}

/// The PostgreSQL of `MILEPOST_TEST_POSTGRES_URL`, or one for this process.
///
/// # Errors
///
/// When it cannot be had or does not come up, here as in the functions below.
pub fn postgres() -> anyhow::Result<Given<Postgres>> {
    static STARTED: OnceLock<Result<Arc<Postgres>, String>> = OnceLock::new();
    given(Kind::Postgres, &STARTED, Postgres::start)
}

/// The PgBouncer of `MILEPOST_TEST_PGBOUNCER_URL`, or one for this process, with a PostgreSQL of its own behind it.
///
/// # Errors
///
/// As [`postgres`].
pub fn pgbouncer() -> anyhow::Result<Given<PgBouncer>> {
    static STARTED: OnceLock<Result<Arc<PgBouncer>, String>> = OnceLock::new();
    given(Kind::PgBouncer, &STARTED, PgBouncer::start)
}

/// The Redis of `MILEPOST_TEST_REDIS_URL`, or one for this process.
///
/// # Errors
///
/// As [`postgres`].
pub fn redis() -> anyhow::Result<Given<Redis>> {
    static STARTED: OnceLock<Result<Arc<Redis>, String>> = OnceLock::new();
    given(Kind::Redis, &STARTED, Redis::start)
}

/// The Redis Cluster of `MILEPOST_TEST_REDIS_CLUSTER_URL`, or one for this process.
///
/// # Errors
///
/// As [`postgres`].
pub fn redis_cluster() -> anyhow::Result<Given<RedisCluster>> {
    static STARTED: OnceLock<Result<Arc<RedisCluster>, String>> = OnceLock::new();
    given(Kind::RedisCluster, &STARTED, RedisCluster::start)
}

/// The object store of `MILEPOST_TEST_S3_URL`, or one for this process.
///
/// # Errors
///
/// As [`postgres`].
pub fn s3() -> anyhow::Result<Given<Ministack>> {
    static STARTED: OnceLock<Result<Arc<Ministack>, String>> = OnceLock::new();
    given(Kind::S3, &STARTED, Ministack::start)
}

/// A program whose second processes are to find the same server, by the environment. Where that names none, one is started
/// here, and the program is run once more with its URL there. `--list` needs no server.
pub fn for_all_processes(kind: Kind, main: impl FnOnce() -> ExitCode) -> ExitCode {
    if kind.given().is_some() || env::args().any(|argument| argument == "--list") {
        return main();
    }
    // Why there is none, each test says by itself.
    let (Ok(server), Ok(program)) = (kind.start(), env::current_exe()) else { return main() };
    let status =
        Command::new(program).args(env::args_os().skip(1)).env(kind.variable(), server.url()).status();
    if status.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
