//! A writer that was stalled for longer than names are kept: it finds its slot free, and must not be fooled by it.

use std::time::Duration;

use futures_util::TryStreamExt;
use milepost_core::{Clock, Delete, ErrorKind, Open, Record, Snapshot, Span, Store};

use crate::support::{Driver, Folder, create, operation, record, run};

const MINUTE: Duration = Duration::from_secs(61);

#[tokio::test]
async fn one_whose_slot_was_trimmed_is_fenced_and_does_no_harm() {
    let folder = Folder::new();
    let mut stalled = Driver::create(&folder.store().await, "trimmed").await;
    stalled.commit(stalled.next().record(record("1"))).await;
    let late = stalled.next().record(record("late"));

    // Another process takes over, commits, and trims; a base is written, and a minute later names are free.
    let other = folder.config().base_after(4).connect().await.unwrap();
    let mut owner = Driver::open(&other, "trimmed", Open::resume(operation()).over(stalled.fence)).await;
    for number in 2..=9u64 {
        let commit = owner.next().record(record(number.to_string()));
        owner.commit(commit.snapshot(Snapshot::new(number, number.to_string()))).await;
    }
    owner.commit(owner.next().trim(8)).await;
    for _ in 0..6 {
        owner.commit(owner.next().advances()).await;
    }
    let later = folder.later(MINUTE).await;
    assert!(later.sweep(&owner.run).await.unwrap() > 0);
    let before = folder.of(&owner.run);
    let missing = before.keys().filter(|name| !name.ends_with("-base")).count();
    assert!(missing < 15, "entries were freed: {before:?}");

    // It thaws: by its boot-time clock more than half a minute has passed.
    folder.clock.advance(MINUTE);
    let error = stalled.store.commit(late).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error:?}");
    let anew = folder.store().await;
    let records: Vec<Record> = anew.stream(&owner.run, Span::after(8)).try_collect().await.unwrap();
    assert_eq!(records.iter().map(|record| record.body.clone()).collect::<Vec<_>>(), ["9"]);
    assert_eq!(anew.head(&owner.run).await.unwrap().unwrap().fence, owner.fence);
    owner.commit(owner.next().record(record("10"))).await;
    // What it wrote into the freed slot is swept with the rest.
    folder.later(MINUTE).await.sweep(&owner.run).await.unwrap();
}

#[tokio::test]
async fn one_whose_run_was_deleted_finds_no_run() {
    for recreated in [false, true] {
        let folder = Folder::new();
        let mut stalled = Driver::create(&folder.store().await, "deleted").await;
        stalled.commit(stalled.next().record(record("1"))).await;
        let late = stalled.next().record(record("late"));
        let other = folder.store().await;
        assert!(other.delete(&stalled.run, Delete::Any).await.unwrap());
        if recreated {
            Driver::create(&other, "deleted").await;
        }
        folder.later(MINUTE).await.sweep(&stalled.run).await.unwrap();
        assert_eq!(folder.of(&stalled.run).len(), 1, "a tombstone, or the first entry of the next life");

        folder.clock.advance(MINUTE);
        let error = stalled.store.commit(late).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
        let head = folder.store().await.head(&stalled.run).await.unwrap();
        assert_eq!(head.map(|head| (head.cursor, head.version)), recreated.then_some((0, 1)));
    }
}

#[tokio::test]
async fn a_creator_whose_life_is_over_begins_another() {
    let folder = Folder::new();
    let (slow, other) = (folder.store().await, folder.store().await);
    assert_eq!(slow.head(&run("lives")).await.unwrap(), None);
    Driver::create(&other, "lives").await;
    other.delete(&run("lives"), Delete::Any).await.unwrap();
    folder.later(MINUTE).await.sweep(&run("lives")).await.unwrap();
    folder.clock.advance(MINUTE);
    // It finds slot 1 of life 1 free, and must not believe it.
    let mut driver = Driver::create(&slow, "lives").await;
    driver.commit(driver.next().record(record("1"))).await;
    assert_eq!(folder.store().await.head(&run("lives")).await.unwrap().unwrap().cursor, 1);
}

#[tokio::test]
async fn a_quiet_writer_looks_once_and_goes_on() {
    let folder = Folder::new();
    let mut driver = Driver::open(&folder.store().await, "quiet", create()).await;
    for _ in 0..3 {
        folder.clock.advance(Duration::from_secs(45));
        driver.commit(driver.next().record(record("x"))).await;
    }
    assert_eq!(driver.version, 4);
    assert!(folder.clock.elapsed() > MINUTE);
}
