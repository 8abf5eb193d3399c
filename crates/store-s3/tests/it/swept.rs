//! What is freed, and what a damaged object is.

use std::time::Duration;

use futures_util::TryStreamExt;
use milepost_core::{At, Blob, Delete, ErrorKind, Record, Snapshot, Span, Store};

use crate::support::{Driver, Folder, record};

const MINUTE: Duration = Duration::from_secs(61);

#[tokio::test]
async fn what_was_trimmed_and_dropped_is_freed_and_the_rest_stays() {
    let folder = Folder::new();
    let store = folder.config().base_after(4).connect().await.unwrap();
    let mut driver = Driver::create(&store, "swept").await;
    let large = Blob::of(vec![3; 300 << 10]);
    driver.commit(driver.next().blob(large.clone()).blob(Blob::of("small"))).await;
    for number in 1..=20u64 {
        let commit = driver.next().record(record(number.to_string()));
        driver.commit(commit.snapshot(Snapshot::new(number, vec![number as u8; 300 << 10]))).await;
    }
    let run = driver.run.clone();
    let parts = |folder: &Folder| folder.of(&run).keys().filter(|name| name.contains("-p")).count();
    assert_eq!(parts(&folder), 21);
    driver.commit(driver.next().trim(19).drop_blob(large.name)).await;
    driver.commit(driver.next().advances()).await;
    assert_eq!(store.sweep(&driver.run).await.unwrap(), 19, "bodies that were dropped, nothing else yet");
    assert_eq!(parts(&folder), 2);
    let later = folder.later(MINUTE).await;
    later.sweep(&driver.run).await.unwrap();
    folder.later(MINUTE * 2).await.sweep(&driver.run).await.unwrap();
    let left = folder.of(&driver.run).len();
    assert!(left <= 12, "{left} objects are left");

    let anew = folder.store().await;
    let records: Vec<Record> = anew.stream(&driver.run, Span::after(19)).try_collect().await.unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(anew.snapshot(&driver.run, At::OrBefore(19)).await.unwrap().unwrap().body.len(), 300 << 10);
    assert_eq!(anew.blob(&driver.run, &Blob::of("small").name).await.unwrap().unwrap(), "small");
    let trimmed = anew.stream(&driver.run, Span::all()).try_collect::<Vec<Record>>().await.unwrap_err();
    assert_eq!(trimmed.kind(), ErrorKind::Trimmed);
}

#[tokio::test]
async fn the_store_sweeps_by_itself_when_it_is_used() {
    let folder = Folder::new();
    let store = folder.store().await;
    let driver = Driver::create(&store, "gone").await;
    store.delete(&driver.run, Delete::Any).await.unwrap();
    assert_eq!(folder.of(&driver.run).len(), 2);
    folder.clock.advance(Duration::from_secs(63));
    Driver::create(&store, "another").await;
    store.close().await.unwrap();
    assert_eq!(folder.of(&driver.run).len(), 1, "the tombstone");
}

#[tokio::test]
async fn every_byte_of_the_newest_entry_and_of_a_base_is_guarded() {
    let folder = Folder::new();
    let store = folder.config().base_after(3).connect().await.unwrap();
    let mut driver = Driver::create(&store, "flipped").await;
    for number in 1..=4u64 {
        driver.commit(driver.next().record(record(number.to_string()))).await;
    }
    let objects = folder.of(&driver.run);
    let newest = objects.keys().next().unwrap().clone();
    let base = objects.keys().find(|name| name.ends_with("-base")).unwrap().clone();
    for name in [newest, base] {
        let bytes = &objects[&name];
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            folder.put(&name, &changed);
            let error = folder.store().await.head(&driver.run).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at} of {name}: {error:?}");
        }
        folder.put(&name, bytes);
    }
    assert_eq!(folder.store().await.head(&driver.run).await.unwrap().unwrap().cursor, 4);
}

#[tokio::test]
async fn an_entry_at_another_ones_place_is_told() {
    let folder = Folder::new();
    let store = folder.store().await;
    for id in ["one", "two"] {
        let mut driver = Driver::create(&store, id).await;
        driver.commit(driver.next().record(record(id))).await;
    }
    let (one, two) = (folder.of(&crate::support::run("one")), folder.of(&crate::support::run("two")));
    let (theirs, ours) = (one.values().next().unwrap(), two.keys().next().unwrap());
    folder.put(ours, theirs);
    let error = folder.store().await.head(&crate::support::run("two")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
}
