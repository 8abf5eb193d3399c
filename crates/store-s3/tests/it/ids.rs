//! Hostile ids, counted in the bucket: each touches its own run and nothing else.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::TryStreamExt;
use milepost_core::{
    Blob, Clock, Delete, Kind, ManualClock, MessageKey, NewMessage, Open, RecordId, RunInfo, Snapshot, Store,
};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};

use crate::{
    bucket::raw,
    support::{Bucket, Driver, START, create, operation, record, run},
};

const HOSTILE: [&str; 14] =
    ["*", "?", "[a-z]", "t[1]", "{a}", "}{", "../x", "%", "user1", "user10", "/", "a\nb", "..", "é"];

/// Every object below the prefix, with its bytes.
async fn everything(bucket: &Bucket) -> BTreeMap<String, Vec<u8>> {
    let (raw, prefix) = (raw(&bucket.url).unwrap(), Path::from(bucket.prefix.as_str()));
    let mut all = BTreeMap::new();
    for object in raw.list(Some(&prefix)).try_collect::<Vec<_>>().await.unwrap() {
        let bytes = raw.get(&object.location).await.unwrap().bytes().await.unwrap();
        all.insert(object.location.to_string(), bytes.to_vec());
    }
    all
}

/// A run with something in every part.
async fn fill(driver: &mut Driver) {
    let blob = Blob::of("blob");
    let one = record("one").id(RecordId::from_static("id")).blob(blob.name);
    driver.commit(driver.next().record(one).blob(blob).snapshot(Snapshot::new(1, "state"))).await;
    let (key, kind) = (MessageKey::from_static("key"), Kind::from_static("kind"));
    driver.store.send(&driver.run, NewMessage::new(operation(), key, kind, "message")).await.unwrap();
}

#[tokio::test]
async fn deleting_a_run_removes_its_objects_and_no_others() {
    let bucket = Bucket::new();
    let clock = Arc::new(ManualClock::new(START));
    let store = bucket.config_at(&bucket.url).clock(clock.clone()).connect().await.unwrap();
    let mut drivers = Vec::new();
    for id in HOSTILE {
        let info = RunInfo::named(id).label(id, id).parent(run(id));
        let mut driver = Driver::open(&store, id, Open { info: Some(info), ..create() }).await;
        fill(&mut driver).await;
        drivers.push(driver);
    }
    let mut left = everything(&bucket).await;
    // The marker, and of each run three entries and a hint.
    assert_eq!(left.len(), 1 + HOSTILE.len() * 4);
    let later = Arc::new(ManualClock::new(clock.now() + Duration::from_secs(61)));
    let later = bucket.config_at(&bucket.url).clock(later).connect().await.unwrap();
    for driver in drivers {
        assert!(store.delete(&driver.run, Delete::Any).await.unwrap());
        later.sweep(&driver.run).await.unwrap();
        let own = format!("{}/run/{}/", bucket.prefix, crate::run::digits(&driver.run));
        left.retain(|name, _| !name.starts_with(&own));
        let now = everything(&bucket).await;
        let tombstones: Vec<_> = now.iter().filter(|(name, _)| name.starts_with(&own)).collect();
        assert!(tombstones.len() == 1 && tombstones[0].1.len() < 100, "{tombstones:?}");
        left.insert(tombstones[0].0.clone(), tombstones[0].1.clone());
        assert_eq!(now, left, "after {:?} is gone", driver.run);
    }
}
