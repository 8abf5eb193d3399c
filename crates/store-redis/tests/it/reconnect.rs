//! Servers that come back: the first call finds them, whatever the handle had before.

use std::time::Duration;

use futures_util::TryStreamExt;
use milepost_core::{ErrorKind, Head, Query, Record, Span, Store};
use milepost_servers::{Redis, RedisCluster, Server};

use crate::support::{Driver, World, record};

#[tokio::test]
async fn a_write_is_the_first_to_find_a_server_that_is_back() {
    let server = Redis::start().unwrap();
    let store = World::on(&server.url()).store().await;
    let mut driver = Driver::create(&store, "written").await;
    for round in 1..=5 {
        server.restart().unwrap();
        assert_eq!(driver.commit(driver.next().record(record("x"))).await.cursor, round);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_finds_a_server_that_is_back_at_any_moment() {
    let server = Redis::start().unwrap();
    let store = World::on(&server.url()).store().await;
    let mut driver = Driver::create(&store, "read").await;
    driver.commit(driver.next().record(record("x"))).await;
    server.restart().unwrap();
    let records: Vec<Record> = store.stream(&driver.run, Span::all()).try_collect().await.unwrap();
    assert_eq!(records.len(), 1);
    server.restart().unwrap();
    assert_eq!(store.head(&driver.run).await.unwrap().unwrap().version, 2);
}

/// A connection that is cut under a reader, as an idle one is by a firewall, is no error.
#[tokio::test]
async fn a_read_whose_connection_is_cut_is_asked_again() {
    let world = World::new();
    let proxy = crate::support::proxy(&world.url);
    let store = world.config_at(&proxy.url()).connect().await.unwrap();
    let driver = Driver::create(&store, "cut").await;
    for _ in 0..20 {
        proxy.cut().unwrap();
        assert!(store.head(&driver.run).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_back_serves_its_runs_again_and_the_others_never_stopped() {
    let cluster = RedisCluster::start().unwrap();
    // Nodes that go on when one of them is gone.
    for address in cluster.addresses() {
        let mut node = World::on(&format!("redis://{address}")).raw().await;
        let () = node.ask(&[b"CONFIG", b"SET", b"cluster-require-full-coverage", b"no"]).await;
    }
    let store = World::on(&cluster.url()).config().cluster(true).connect().await.unwrap();
    let mut drivers = Vec::new();
    for number in 0..30 {
        drivers.push(Driver::create(&store, &format!("spread {number}")).await);
    }
    let listed: Vec<Head> = store.list(Query::all()).try_collect().await.unwrap();
    assert_eq!(listed.len(), drivers.len());
    cluster.kill_node(1).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (mut served, mut down) = (Vec::new(), Vec::new());
    for mut driver in drivers {
        match store.commit(driver.next()).await {
            Ok(committed) => {
                driver.version = committed.version;
                served.push(driver);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
                assert_eq!(error.applied(), Some(milepost_core::Applied::No), "{error:?}");
                down.push(driver);
            }
        }
    }
    assert!(!served.is_empty() && !down.is_empty());
    let listing: milepost_core::Result<Vec<Head>> = store.list(Query::all()).try_collect().await;
    assert_eq!(listing.unwrap_err().kind(), ErrorKind::Unavailable, "a listing is whole or none");
    cluster.restart_node(1).unwrap();
    for driver in served.iter_mut().chain(&mut down) {
        let before = driver.version;
        assert_eq!(driver.commit(driver.next().record(record("x"))).await.version, before + 1);
    }
    let listed: Vec<Head> = store.list(Query::all()).try_collect().await.unwrap();
    assert_eq!(listed.len(), 30);
}
