//! The server is killed under load: what was acknowledged is there, or its loss is told.

use std::time::Duration;

use futures_util::{TryStreamExt, future::join_all};
use milepost_core::{Durability, ErrorKind, Open, Record, Span, Store};
use milepost_servers::{Redis, Server};

use crate::support::{Driver, World, operation, record, run};

/// The run, and the newest of its records that was acknowledged.
async fn write_until_killed(mut driver: Driver) -> (Driver, u64) {
    let acknowledged = driver.commit_until_gone().await;
    (driver, acknowledged)
}

/// Kills the server under the load of eight runs, starts it again, and gives per run what was acknowledged and what is
/// there.
async fn killed(server: &Redis, world: &World) -> Vec<(Driver, u64, u64)> {
    let store = world.store().await;
    let mut writers = Vec::new();
    for number in 0..8 {
        let driver = Driver::create(&store, &format!("writer {number}")).await;
        writers.push(tokio::spawn(write_until_killed(driver)));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.kill().unwrap();
    let writers = join_all(writers).await;
    server.restart().unwrap();
    // A handle that has seen nothing judges by what is stored alone.
    let fresh = world.store().await;
    let mut found = Vec::new();
    for writer in writers {
        let (driver, acknowledged) = writer.unwrap();
        let records: Vec<Record> = fresh.stream(&driver.run, Span::all()).try_collect().await.unwrap();
        for (number, record) in (1..).zip(&records) {
            assert_eq!(record.body, number.to_string(), "a gapless prefix");
        }
        found.push((driver, acknowledged, records.len() as u64));
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_fsync_nothing_acknowledged_is_lost() {
    let server = Redis::start().unwrap();
    let world = World::on(&server.url());
    assert_eq!(world.store().await.capabilities().durability, Durability::Fsync);
    for (driver, acknowledged, there) in killed(&server, &world).await {
        assert!(acknowledged > 0);
        assert!(there == acknowledged || there == acknowledged + 1, "{acknowledged} {there}");
        let head = driver.store.head(&driver.run).await.unwrap().unwrap();
        assert_eq!(head.version, there + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_everysec_a_suffix_is_lost_at_most() {
    let server = Redis::options().setting("appendfsync", "everysec").start().unwrap();
    let world = World::on(&server.url());
    assert_eq!(world.store().await.capabilities().durability, Durability::Buffered);
    for (driver, acknowledged, there) in killed(&server, &world).await {
        assert!(acknowledged > 0 && there <= acknowledged + 1);
        let head = driver.store.head(&driver.run).await;
        match head {
            Ok(head) => {
                assert!(head.unwrap().version > acknowledged, "less than it acknowledged is no answer")
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::SetBack, "{error:?}");
                assert!(there < acknowledged);
            }
        }
    }
}

/// A server without a log of its writes, which comes back as it was at its last snapshot.
async fn set_back() -> (Redis, World, Driver) {
    let server = Redis::options().setting("appendonly", "no").start().unwrap();
    let world = World::on(&server.url());
    let (store, mut raw) = (world.store().await, world.raw().await);
    assert_eq!(store.capabilities().durability, Durability::Process);
    let mut driver = Driver::create(&store, "set back").await;
    driver.commit(driver.next().record(record("kept"))).await;
    let () = raw.ask(&[b"SAVE"]).await;
    driver.commit(driver.next().record(record("lost"))).await;
    server.kill().unwrap();
    server.restart().unwrap();
    (server, world, driver)
}

#[tokio::test]
async fn a_server_that_lost_acknowledged_data_is_set_back() {
    let (_server, world, driver) = set_back().await;
    let (store, run) = (&driver.store, &driver.run);
    let head = store.head(run).await.unwrap_err();
    assert_eq!(head.kind(), ErrorKind::SetBack, "{head:?}");
    let commit = store.commit(driver.next()).await.unwrap_err();
    assert_eq!(
        (commit.kind(), commit.applied()),
        (ErrorKind::SetBack, Some(milepost_core::Applied::No)),
        "{commit:?}"
    );
    let records: milepost_core::Result<Vec<Record>> = store.stream(run, Span::all()).try_collect().await;
    assert_eq!(records.unwrap_err().kind(), ErrorKind::SetBack);

    // Who was told opens it again and goes on from what there is.
    let reopen = Open::resume(operation()).over(driver.fence);
    let told = store.open(run, reopen.clone()).await.unwrap_err();
    assert_eq!(told.kind(), ErrorKind::SetBack, "{told:?}");
    let opened = store.open(run, reopen).await.unwrap();
    assert_eq!((opened.head.cursor, opened.fence.epoch), (1, 2));
    let fresh = world.store().await;
    assert_eq!(fresh.head(run).await.unwrap().unwrap().version, 3);
}

#[tokio::test]
async fn who_was_replaced_before_a_set_back_stays_out() {
    let server = Redis::options().setting("appendonly", "no").start().unwrap();
    let world = World::on(&server.url());
    let (store, mut raw) = (world.store().await, world.raw().await);
    let old = Driver::create(&store, "taken").await;
    let () = raw.ask(&[b"SAVE"]).await;
    let taken = store.open(&old.run, Open::resume(operation()).over(old.fence)).await.unwrap();
    server.kill().unwrap();
    server.restart().unwrap();
    // The server has forgotten the takeover; the next one mints the same epoch, and another token.
    let fresh = world.store().await;
    let other = fresh.open(&old.run, Open::resume(operation()).over(old.fence)).await.unwrap();
    assert_eq!(other.fence.epoch, taken.fence.epoch);
    let commit = milepost_core::Commit::new(run("taken"), taken.fence, operation(), taken.head.version);
    assert_eq!(fresh.commit(commit).await.unwrap_err().kind(), ErrorKind::Fenced);
}
