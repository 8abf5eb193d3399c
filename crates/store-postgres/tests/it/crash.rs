//! The server is killed under load: what was acknowledged is there.

use std::time::Duration;

use futures_util::{TryStreamExt, future::join_all};
use milepost_core::{Durability, Record, Span, Store};
use milepost_servers::{Postgres, Server};

use crate::support::{Driver, World};

/// The run, and the newest of its records that was acknowledged.
async fn write_until_killed(mut driver: Driver) -> (Driver, u64) {
    let acknowledged = driver.commit_until_gone().await;
    (driver, acknowledged)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost() {
    let server = Postgres::start().unwrap();
    let world = World::on(&server.url());
    let store = world.store().await;
    assert_eq!(store.capabilities().durability, Durability::Fsync);
    let mut writers = Vec::new();
    for number in 0..8 {
        let driver = Driver::create(&store, &format!("writer {number}")).await;
        writers.push(tokio::spawn(write_until_killed(driver)));
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    server.kill().unwrap();
    let writers = join_all(writers).await;
    server.restart().unwrap();
    let fresh = world.store().await;
    for writer in writers {
        let (driver, acknowledged) = writer.unwrap();
        let records: Vec<Record> = fresh.stream(&driver.run, Span::all()).try_collect().await.unwrap();
        for (number, record) in (1..).zip(&records) {
            assert_eq!(record.body, number.to_string(), "a gapless prefix");
        }
        let there = records.len() as u64;
        assert!(there == acknowledged || there == acknowledged + 1, "{acknowledged} {there}");
        let head = driver.store.head(&driver.run).await.unwrap().unwrap();
        assert_eq!(head.version, there + 1);
    }
}
