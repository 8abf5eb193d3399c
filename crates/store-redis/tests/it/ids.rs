//! Hostile ids, counted in the backend: each touches its own run and nothing else.

use std::collections::BTreeMap;

use milepost_core::{Delete, Kind, MessageKey, NewMessage, RecordId, RunInfo, Snapshot, Store};

use crate::support::{Driver, Raw, World, create, operation, record, run};

const HOSTILE: [&str; 14] =
    ["*", "?", "[a-z]", "t[1]", "{a}", "}{", "../x", "%", "user1", "user10", ":due", "a\nb", "\\*", "é"];

/// Everything under the prefix: every key with all it holds.
async fn everything(raw: &mut Raw) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
    let mut all = BTreeMap::new();
    for key in raw.keys().await {
        let mut held: Vec<Vec<u8>> = match raw.kind(&key).await.as_str() {
            "string" => raw.ask::<Vec<Vec<u8>>>(&[b"MGET", &key]).await,
            "hash" => raw.ask(&[b"HGETALL", &key]).await,
            "zset" => raw.ask(&[b"ZRANGE", &key, b"0", b"-1", b"WITHSCORES"]).await,
            other => panic!("a {other} is none of ours"),
        };
        held.sort();
        all.insert(key, held);
    }
    all
}

/// A run with something in every part.
async fn fill(driver: &mut Driver) {
    let blob = milepost_core::Blob::of("blob");
    let one = record("one").id(RecordId::from_static("id")).blob(blob.name);
    driver.commit(driver.next().record(one).blob(blob).snapshot(Snapshot::new(1, "state"))).await;
    let message =
        NewMessage::new(operation(), MessageKey::from_static("key"), Kind::from_static("kind"), "message");
    driver.store.send(&driver.run, message).await.unwrap();
}

#[tokio::test]
async fn deleting_a_run_removes_its_keys_and_no_others() {
    let world = World::new();
    let (store, mut raw) = (world.store().await, world.raw().await);
    let empty = everything(&mut raw).await;
    let mut before = vec![empty.clone()];
    let mut drivers = Vec::new();
    for id in HOSTILE {
        let info = RunInfo::named(id).label(id, id).parent(run(id));
        let open = milepost_core::Open { info: Some(info), ..create() };
        let opened = store.open(&run(id), open).await.unwrap();
        let (run, version) = (run(id), opened.head.version);
        let mut driver = Driver { store: store.clone(), run, fence: opened.fence, version };
        fill(&mut driver).await;
        drivers.push(driver);
        before.push(everything(&mut raw).await);
    }
    while let Some(driver) = drivers.pop() {
        assert!(store.delete(&driver.run, Delete::Any).await.unwrap());
        before.pop();
        assert_eq!(&everything(&mut raw).await, before.last().unwrap(), "after {:?} is gone", driver.run);
    }
    assert_eq!(everything(&mut raw).await, empty);
}

#[tokio::test]
async fn a_run_has_no_more_than_its_keys() {
    let world = World::new();
    let (store, mut raw) = (world.store().await, world.raw().await);
    let mut driver = Driver::create(&store, "*").await;
    fill(&mut driver).await;
    let of_run = |key: &&Vec<u8>| key.ends_with(b":*");
    // Row and records, cold, record ids, snapshots, blobs and messages with their indexes, message keys, info.
    assert_eq!(raw.keys().await.iter().filter(of_run).count(), 11);
}
