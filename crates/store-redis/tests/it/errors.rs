//! What goes wrong at the server, told as a kind that says what to do, without a secret.

use milepost_core::{Applied, Durability, ErrorKind, Store};
use milepost_servers::{Redis, Server};
use milepost_store_redis::{RedisConfig, RedisStore};

use crate::support::{Driver, World, record};

async fn refused(url: &str) -> milepost_core::Error {
    RedisStore::connect(url).await.unwrap_err()
}

#[tokio::test]
async fn a_wrong_password_is_denied_and_not_told() {
    let server = Redis::options().password("sesame-open").start().unwrap();
    let right = server.url();
    World::on(&right).store().await;
    let wrong = right.replace("sesame-open", "sesame-shut");
    assert_ne!(wrong, right);
    let address = server.address();
    for url in [wrong, format!("redis://{address}"), format!("redis://nobody:sesame-shut@{address}")] {
        let error = refused(&url).await;
        assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
        assert!(!format!("{error:?} {error}").contains("sesame"), "{error:?}");
    }
    let config = RedisConfig::from_url(&right).unwrap();
    assert!(!format!("{config:?}").contains("sesame"));
    let store = World::on(&right).store().await;
    assert!(!format!("{store:?}").contains("sesame"));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let server = Redis::start().unwrap();
    let (world, url) = (World::on(&server.url()), server.url());
    let store = world.store().await;
    let mut driver = Driver::create(&store, "left").await;
    driver.commit(driver.next().record(record("x"))).await;
    server.kill().unwrap();
    let error = refused(&url).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    let reading = store.head(&driver.run).await.unwrap_err();
    assert_eq!(reading.kind(), ErrorKind::Unavailable, "{reading:?}");
    let writing = store.commit(driver.next()).await.unwrap_err();
    assert_eq!(
        (writing.kind(), writing.applied()),
        (ErrorKind::Unavailable, Some(Applied::No)),
        "{writing:?}"
    );
    server.restart().unwrap();
    assert_eq!(driver.commit(driver.next()).await.version, 3);
}

#[tokio::test]
async fn a_server_that_is_no_cluster_is_told() {
    let error = World::new().config().cluster(true).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.to_string().contains("cluster=1"), "{error}");
}

#[tokio::test]
async fn a_server_that_may_forget_is_refused() {
    let server = Redis::options().setting("maxmemory-policy", "allkeys-lru").start().unwrap();
    let error = refused(&server.url()).await;
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.to_string().contains("noeviction"), "{error}");
}

#[tokio::test]
async fn a_full_server_takes_nothing_and_keeps_what_it_has() {
    let server = Redis::start().unwrap();
    let world = World::on(&server.url());
    let (store, mut raw) = (world.store().await, world.raw().await);
    let mut driver = Driver::create(&store, "full").await;
    driver.commit(driver.next().record(record("before"))).await;
    let () = raw.ask(&[b"CONFIG", b"SET", b"maxmemory", b"1"]).await;
    let commit = driver.next().record(record("after")).advances();
    let error = store.commit(commit.clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Full, Some(Applied::No)), "{error:?}");
    assert_eq!(store.head(&driver.run).await.unwrap().unwrap().version, 2);
    let () = raw.ask(&[b"CONFIG", b"SET", b"maxmemory", b"0"]).await;
    assert_eq!(driver.commit(commit).await.cursor, 2);
}

#[tokio::test]
async fn a_replica_takes_no_writes() {
    let server = Redis::start().unwrap();
    let world = World::on(&server.url());
    let (store, mut raw) = (world.store().await, world.raw().await);
    let driver = Driver::create(&store, "read-only").await;
    // A master that is not there: what this server has can be read.
    let () = raw.ask(&[b"REPLICAOF", b"127.0.0.1", b"1"]).await;
    let error = store.commit(driver.next()).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::ReadOnly, Some(Applied::No)), "{error:?}");
}

#[tokio::test]
async fn durability_is_what_the_server_is_set_to() {
    for (settings, declared) in [
        (&[("appendfsync", "always")][..], Durability::Fsync),
        (&[("appendfsync", "everysec")], Durability::Buffered),
        (&[("appendonly", "no")], Durability::Process),
        (&[("rename-command", "CONFIG x")], Durability::Buffered),
    ] {
        let options =
            settings.iter().fold(Redis::options(), |options, (name, value)| options.setting(name, value));
        let server = options.start().unwrap();
        assert_eq!(
            World::on(&server.url()).store().await.capabilities().durability,
            declared,
            "{settings:?}"
        );
    }
}

#[tokio::test]
async fn scripts_that_the_server_has_forgotten_are_loaded_again() {
    let world = World::new();
    let (store, mut raw) = (world.store().await, world.raw().await);
    let mut driver = Driver::create(&store, "flushed").await;
    for _ in 0..3 {
        let () = raw.ask(&[b"SCRIPT", b"FLUSH"]).await;
        driver.commit(driver.next().record(record("x"))).await;
    }
    assert_eq!(store.head(&driver.run).await.unwrap().unwrap().cursor, 3);
}

#[tokio::test]
async fn a_server_without_waitaof_is_told_before_anything_is_written() {
    let server = Redis::start().unwrap();
    let world = World::on(&server.url());
    world.store().await;
    let url = format!("{}?waitaof=1,0&prefix={}", world.url, world.prefix);
    let info: String = world.raw().await.ask(&[b"INFO", b"server"]).await;
    let knows = ["redis_version:6", "redis_version:7.0"].iter().all(|old| !info.contains(old));
    match RedisStore::connect(&url).await {
        Ok(store) => assert!(knows && store.capabilities().durability == Durability::Fsync),
        Err(error) => {
            assert!(!knows && error.kind() == ErrorKind::Config, "{error:?}");
            assert!(error.to_string().contains("7.2"), "{error}");
        }
    }
}
