//! One handle, one run: what is written is what is read.

use futures_util::TryStreamExt;
use milepost_core::{
    At, Blob, ErrorKind, Outcome, Query, Record, RecordId, Retain, Snapshot, Span, Status, Store, Wake,
};

use crate::support::{Driver, World, create, record, resume, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_lives_from_its_creation_to_its_outcome() {
    let world = World::new();
    let store = world.store().await;
    let mut driver = Driver::create(&store, "a").await;
    assert_eq!(store.open(&run("a"), create()).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(store.open(&run("a"), resume()).await.unwrap_err().kind(), ErrorKind::LeaseHeld);
    for n in 1..=5u8 {
        assert_eq!(driver.append(vec![n; 1000]).await, u64::from(n));
    }
    let commit = driver
        .next()
        .record(record("six").id(RecordId::from_static("six")))
        .snapshot(Snapshot::new(6, "state"))
        .blob(Blob::of("large"))
        .advances();
    driver.commit(commit.clone()).await;
    assert!(store.commit(commit).await.unwrap().replayed);

    let records: Vec<Record> = store.stream(&run("a"), Span::after(4)).try_collect().await.unwrap();
    assert_eq!(records.iter().map(|record| record.cursor).collect::<Vec<_>>(), [5, 6]);
    assert_eq!(records[1].id, Some(RecordId::from_static("six")));
    let newest: Vec<Record> =
        store.stream(&run("a"), Span::all().reverse().limit(2)).try_collect().await.unwrap();
    assert_eq!(newest.iter().map(|record| record.cursor).collect::<Vec<_>>(), [6, 5]);
    let snapshot = store.snapshot(&run("a"), At::Latest).await.unwrap();
    assert_eq!(snapshot, Some(Snapshot::new(6, "state")));
    let blob = Blob::of("large");
    assert_eq!(store.blob(&run("a"), &blob.name).await.unwrap(), Some(blob.body));
    let blobs: Vec<_> = store.blobs(&run("a")).try_collect().await.unwrap();
    assert_eq!(blobs.len(), 1);

    let finish = driver.next().finish(Outcome::Completed { output: "done".into() }, Retain::Keep);
    driver.commit(finish).await;
    let head = store.head(&run("a")).await.unwrap().unwrap();
    assert_eq!((head.status(), head.cursor, head.snapshots.as_slice()), (Status::Completed, 6, &[6][..]));
    let listed: Vec<_> =
        store.list(Query { status: Some(Status::Completed), ..Query::all() }).try_collect().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(driver.store.commit(driver.next()).await.unwrap_err().kind(), ErrorKind::Finished);
    store.close().await.unwrap();
    assert_eq!(store.head(&run("a")).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(store.open(&run("b"), create()).await.unwrap_err().kind(), ErrorKind::Closed);
    store.close().await.unwrap();

    let reopened = world.store().await;
    let records: Vec<Record> = reopened.stream(&run("a"), Span::all()).try_collect().await.unwrap();
    assert_eq!(records.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_run_is_resumed_under_a_new_fence() {
    let world = World::new();
    let store = world.store().await;
    let driver = Driver::create(&store, "a").await;
    store.commit(driver.next().release(Wake::now())).await.unwrap();
    let opened = store.open(&run("a"), resume()).await.unwrap();
    assert!(opened.fence.supersedes(driver.fence));
    assert_eq!(opened.head.lapses, 0);
    assert_eq!(
        store.commit(driver.next().record(record("late"))).await.unwrap_err().kind(),
        ErrorKind::Fenced
    );
}
