//! A place tells its time to the second, so that the clocks of two handles may be apart by as much.

use std::time::Duration;

use futures_util::TryStreamExt;
use milepost_core::{Open, Query, RunId, Store, Wake};
use milepost_store_s3::S3Store;

use crate::support::{Bucket, Driver, operation};

async fn listed(store: &S3Store, query: Query) -> Vec<RunId> {
    let heads: Vec<milepost_core::Head> = store.list(query).try_collect().await.unwrap();
    heads.into_iter().map(|head| head.run).collect()
}

#[tokio::test]
async fn what_one_handle_has_written_has_happened_for_every_other() {
    let bucket = Bucket::new();
    let config = || bucket.config_at(&bucket.url);
    let old = config().connect().await.unwrap();
    let first = Driver::create(&old, "first").await;
    // It hears a second begin; who has just connected knows the time less well.
    for _ in 0..60 {
        old.head(&first.run).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for round in 0..8 {
        tokio::time::sleep(Duration::from_millis(130)).await;
        let new = config().connect().await.unwrap();
        let mut driver = Driver::create(&old, &format!("run {round}")).await;
        let head = new.head(&driver.run).await.unwrap().unwrap();
        assert!(head.at >= head.created_at, "{head:?}");
        assert!(listed(&new, Query::all()).await.contains(&driver.run), "round {round}");
        let released = driver.next().release(Wake::now());
        driver.commit(released).await;
        assert!(listed(&new, Query::interrupted()).await.contains(&driver.run), "round {round}");
        new.open(&driver.run, Open::resume(operation())).await.unwrap();
    }
}
