//! What goes wrong at the server, told as a kind that says what to do, without a secret.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use milepost_core::{Applied, Durability, ErrorKind, Record, Span, Store};
use milepost_servers::{Loss, Postgres, Server};
use milepost_store_postgres::{PostgresConfig, PostgresStore};

use crate::support::{Driver, World, proxy, record};

#[tokio::test]
async fn a_wrong_password_is_denied_and_not_told() {
    let server = Postgres::options().password("sesame-open").start().unwrap();
    let right = server.url();
    let store = World::on(&right).store().await;
    assert!(!format!("{store:?}").contains("sesame"));
    let address = server.address();
    for url in [
        right.replace("sesame-open", "sesame-shut"),
        format!("postgres://nobody:sesame-shut@{address}/postgres"),
    ] {
        let error = PostgresStore::connect(&url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
        assert!(!format!("{error:?} {error}").contains("sesame"), "{error:?}");
        assert!(error.to_string().contains("password"), "{error}");
    }
    let config = PostgresConfig::from_url(&right).unwrap();
    assert!(!format!("{config:?}").contains("sesame"));
}

#[tokio::test]
async fn a_missing_database_and_a_missing_right_are_told() {
    let world = World::new();
    let error = PostgresStore::connect(&world.url.replacen("/postgres", "/missing", 1)).await;
    let url = world.url.rsplit_once('/').unwrap().0.to_owned() + "/missing";
    let error = PostgresStore::connect(&url).await.err().or(error.err()).unwrap();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.to_string().contains("database"), "{error}");

    world.store().await;
    let role = format!("{}_guest", world.schema);
    world.raw().await.run(&format!("CREATE ROLE {role} LOGIN")).await;
    let guest = world.config_at(&world.url.replacen("postgres@", &format!("{role}@"), 1));
    let error = match guest.connect().await {
        Ok(store) => store.head(&crate::support::run("r")).await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let server = Postgres::start().unwrap();
    let (world, url) = (World::on(&server.url()), server.url());
    let store = world.store().await;
    let mut driver = Driver::create(&store, "left").await;
    driver.commit(driver.next().record(record("x"))).await;
    server.kill().unwrap();
    let error = PostgresStore::connect(&url).await.unwrap_err();
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
async fn a_stream_whose_connection_is_lost_ends_with_the_error() {
    let world = World::new();
    let proxy = proxy(&world.url);
    let store = world.config_at(&proxy.url()).connections(1).connect().await.unwrap();
    let mut driver = Driver::create(&store, "read").await;
    driver.commit(driver.next().records((0..20).map(|_| record("x")))).await;
    let mut stream = store.stream(&driver.run, Span::all().page(5));
    for cursor in 1..=5 {
        assert_eq!(stream.next().await.unwrap().unwrap().cursor, cursor);
    }
    proxy.refuse(true).unwrap();
    proxy.cut().unwrap();
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(stream.next().await.is_none());
    proxy.refuse(false).unwrap();
    // A read whose connection turns out to be dead is tried on another one.
    proxy.cut().unwrap();
    proxy.lose(Loss::reply(50));
    let records: Vec<Record> = store.stream(&driver.run, Span::all()).try_collect().await.unwrap();
    assert_eq!(records.len(), 20);
}

#[tokio::test]
async fn connections_that_are_all_in_use_are_told_with_the_way_out() {
    let world = World::new();
    let config = world.config().connections(1).timeout(Duration::from_millis(1500));
    let store = config.connect().await.unwrap();
    let driver = Driver::create(&store, "held").await;
    let mut raw = world.raw().await;
    raw.run("BEGIN; SELECT 1 FROM {s}.run FOR UPDATE").await;
    // The first one waits for the row, on the only connection; the second one for that.
    let (first, second) = futures_util::future::join(
        store.renew(&driver.run, milepost_core::Renew::new(driver.fence, Duration::from_secs(60))),
        async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            store.renew(&driver.run, milepost_core::Renew::new(driver.fence, Duration::from_secs(60))).await
        },
    )
    .await;
    let (first, second) = (first.unwrap_err(), second.unwrap_err());
    assert_eq!((first.kind(), first.applied()), (ErrorKind::TimedOut, Some(Applied::Maybe)), "{first:?}");
    let busy = (ErrorKind::Busy, Some(Applied::No));
    let late = (ErrorKind::TimedOut, Some(Applied::Maybe));
    assert!([busy, late].contains(&(second.kind(), second.applied())), "{second:?}");
    if second.kind() == ErrorKind::Busy {
        assert!(second.to_string().contains("connections="), "{second}");
    }
    raw.run("ROLLBACK").await;
}

#[tokio::test]
async fn a_standby_and_a_read_only_role_take_no_writes() {
    let world = World::new();
    let store = world.store().await;
    let driver = Driver::create(&store, "read-only").await;
    let mut raw = world.raw().await;
    let role = format!("{}_reader", world.schema);
    raw.run(&format!(
        "CREATE ROLE {role} LOGIN SUPERUSER; ALTER ROLE {role} SET default_transaction_read_only = on"
    ))
    .await;
    let reader = world.config_at(&world.url.replacen("postgres@", &format!("{role}@"), 1));
    let reader = reader.connect().await.unwrap();
    assert!(reader.head(&driver.run).await.unwrap().is_some());
    let error = reader.commit(driver.next()).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::ReadOnly, Some(Applied::No)), "{error:?}");
}

#[tokio::test]
async fn durability_is_what_the_server_is_set_to() {
    let server = Postgres::start().unwrap();
    let world = World::on(&server.url());
    let mut raw = world.raw().await;
    let durability = async || world.store().await.capabilities().durability;
    assert_eq!(durability().await, Durability::Fsync);
    raw.run("ALTER ROLE postgres SET synchronous_commit = off").await;
    assert_eq!(durability().await, Durability::Buffered);
    raw.run("ALTER ROLE postgres SET synchronous_commit = local").await;
    assert_eq!(durability().await, Durability::Fsync);
    let off = Postgres::options().setting("fsync", "off").start().unwrap();
    assert_eq!(World::on(&off.url()).store().await.capabilities().durability, Durability::Buffered);
}
