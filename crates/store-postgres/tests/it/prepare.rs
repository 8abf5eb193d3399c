//! Setting the schema up.

use milepost_core::{ErrorKind, Store};
use milepost_store_postgres::PostgresConfig;

use crate::support::{Driver, World, record};

#[tokio::test]
async fn what_was_not_set_up_is_told_with_the_way_to_it() {
    let world = World::new();
    let config = PostgresConfig::from_url(&world.url).unwrap().schema(&world.schema).unwrap();
    let error = config.clone().connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotPrepared, "{error:?}");
    let told = error.to_string();
    assert!(told.contains("milepost::prepare") && told.contains("prepare=1"), "{told}");
    config.prepare().await.unwrap();
    config.prepare().await.unwrap();
    config.connect().await.unwrap();
}

#[tokio::test]
async fn many_set_it_up_at_once() {
    let world = World::new();
    let all = (0..8).map(|_| {
        let config = world.config();
        tokio::spawn(async move { config.connect().await })
    });
    let mut stores = Vec::new();
    for one in futures_util::future::join_all(all).await {
        stores.push(one.unwrap().unwrap());
    }
    assert_eq!(world.raw().await.ask::<i64>("SELECT version FROM {s}.milepost").await, [1]);
    let mut driver = Driver::create(&stores[0], "shared").await;
    driver.commit(driver.next().record(record("x"))).await;
    for store in &stores {
        assert_eq!(store.head(&driver.run).await.unwrap().unwrap().version, 2);
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let world = World::new();
    world.store().await;
    let mut raw = world.raw().await;
    raw.run("UPDATE {s}.milepost SET version = 2").await;
    for prepared in [world.config().connect().await.err(), world.config().prepare().await.err()] {
        let error = prepared.unwrap();
        assert_eq!(error.kind(), ErrorKind::Newer, "{error:?}");
        assert!(error.to_string().contains("version 2"), "{error}");
    }
    assert_eq!(raw.one::<i64>("SELECT version FROM {s}.milepost").await, 2);
}

#[tokio::test]
async fn a_schema_that_is_dropped_under_a_handle_is_told() {
    let world = World::new();
    let store = world.store().await;
    let driver = Driver::create(&store, "gone").await;
    world.raw().await.run("DROP SCHEMA {s} CASCADE").await;
    let error = store.head(&driver.run).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotPrepared, "{error:?}");
}
