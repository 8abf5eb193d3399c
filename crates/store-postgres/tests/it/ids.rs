//! Hostile ids, counted in the tables: each touches its own run and nothing else.

use milepost_core::{Blob, Delete, Kind, MessageKey, NewMessage, Open, RecordId, RunInfo, Snapshot, Store};

use crate::support::{Driver, Raw, World, create, operation, record, run};

const HOSTILE: [&str; 15] = [
    "*",
    "%",
    "_",
    "t[1]",
    "{a}",
    "../x",
    "user1",
    "user10",
    "'; DROP TABLE run; --",
    "\\",
    "\\x00",
    "$1",
    "a\nb",
    "é",
    "\u{202e}",
];

const TABLES: [&str; 10] =
    ["run", "cold", "info", "outcome", "record", "record_id", "snapshot", "blob", "message", "message_key"];

/// Every row of every table, as text.
async fn everything(raw: &mut Raw) -> Vec<String> {
    let mut rows = Vec::new();
    for table in TABLES {
        let sql = format!("SELECT '{table} ' || t::text FROM {{s}}.{table} t ORDER BY 1");
        rows.extend(raw.ask::<String>(&sql).await);
    }
    rows
}

/// A run with something in every part but the outcome.
async fn fill(driver: &mut Driver) {
    let blob = Blob::of("blob");
    let one = record("one").id(RecordId::from_static("id")).blob(blob.name);
    driver.commit(driver.next().record(one).blob(blob).snapshot(Snapshot::new(1, "state"))).await;
    let message =
        NewMessage::new(operation(), MessageKey::from_static("key"), Kind::from_static("kind"), "message");
    driver.store.send(&driver.run, message).await.unwrap();
}

#[tokio::test]
async fn deleting_a_run_removes_its_rows_and_no_others() {
    let world = World::new();
    let (store, mut raw) = (world.store().await, world.raw().await);
    let mut before = vec![everything(&mut raw).await];
    let mut drivers = Vec::new();
    for id in HOSTILE {
        let info = RunInfo::named(id).label(id, id).parent(run(id));
        let opened = store.open(&run(id), Open { info: Some(info), ..create() }).await.unwrap();
        let (run, version) = (run(id), opened.head.version);
        let mut driver = Driver { store: store.clone(), run, fence: opened.fence, version };
        fill(&mut driver).await;
        drivers.push(driver);
        let now = everything(&mut raw).await;
        assert_eq!(now.len(), before.last().unwrap().len() + TABLES.len() - 1, "one row a table");
        before.push(now);
    }
    while let Some(driver) = drivers.pop() {
        assert!(store.delete(&driver.run, Delete::Any).await.unwrap());
        before.pop();
        assert_eq!(&everything(&mut raw).await, before.last().unwrap(), "after {:?} is gone", driver.run);
    }
    assert!(everything(&mut raw).await.is_empty());
}

#[tokio::test]
async fn names_and_labels_may_hold_nul() {
    let world = World::new();
    let store = world.store().await;
    let info = RunInfo::named("a\0b").label("k\0", "\0v").meta(vec![0, 1, 0]);
    let opened = store.open(&run("nul"), Open { info: Some(info.clone()), ..create() }).await.unwrap();
    assert_eq!(opened.head.info, info);
    assert_eq!(store.head(&run("nul")).await.unwrap().unwrap().info, info);
}
