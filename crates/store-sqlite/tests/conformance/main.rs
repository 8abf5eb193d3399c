//! The SQLite store, held to the contract.

mod parts;

use std::sync::Arc;

use milepost_conformance::harness;
use milepost_store_sqlite::SqliteConfig;

fn main() -> std::process::ExitCode {
    let sqlite = harness("sqlite", |scope| async move {
        let clock: Arc<_> = scope.clock();
        SqliteConfig::new(parts::path(&scope)?).clock(clock).connect().await
    });
    let sqlite = sqlite
        .with_clock()
        .with_processes()
        .with_parts(parts::list)
        .with_flip(parts::flip)
        .with_removal(parts::remove)
        .embedded();
    milepost_conformance::main(sqlite)
}
