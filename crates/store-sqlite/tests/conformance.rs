//! The SQLite store, held to the contract.

use std::sync::Arc;

use milepost_conformance::harness;
use milepost_store_sqlite::SqliteConfig;

fn main() -> std::process::ExitCode {
    let sqlite = harness("sqlite", |scope| async move {
        let clock: Arc<_> = scope.clock();
        SqliteConfig::new(scope.dir()?.join("runs.db")).clock(clock).connect().await
    });
    milepost_conformance::main(sqlite.with_clock())
}
