//! What is stored takes little room, and a full disk takes nothing back.

use futures_util::TryStreamExt;
use milepost_core::{Applied, Bytes, Delete, ErrorKind, Record, Snapshot, Span, Store};

use crate::support::{Driver, World, record, run};

fn noise(seed: u64, len: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    });
    next.take(len).collect::<Vec<u8>>().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_records_and_their_snapshots_stay_under_three_mebibytes() {
    let world = World::new();
    let store = world.store().await;
    let mut driver = Driver::create(&store, "a").await;
    let mut next_snapshot = 24;
    for n in 1..=1000u64 {
        let mut commit = driver.next().record(record(noise(n, 1100)));
        if n == next_snapshot {
            // Each twice as large as the last one: 1.5 MiB in all.
            commit = commit.snapshot(Snapshot::new(n, noise(n, n as usize * 1024)));
            next_snapshot *= 2;
        }
        driver.commit(commit).await;
    }
    let head = store.head(&run("a")).await.unwrap().unwrap();
    assert!(head.sizes.snapshots > 1_500_000, "{:?}", head.sizes);
    store.close().await.unwrap();
    let size = std::fs::metadata(world.path()).unwrap().len();
    assert!(size < 3 << 20, "{size} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_whole_commits_and_loses_nothing() {
    let world = World::new();
    let store = world.config().max_size(1 << 20).connect().await.unwrap();
    let mut driver = Driver::create(&store, "a").await;
    let other = Driver::create(&store, "b").await;
    let error = loop {
        let commit = driver.next().record(record(noise(driver.version, 10_000)));
        match store.commit(commit).await {
            Ok(committed) => driver.version = committed.version,
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Full, Some(Applied::No)));
    let head = store.head(&run("a")).await.unwrap().unwrap();
    assert_eq!(head.version, driver.version);
    let records: Vec<Record> = store.stream(&run("a"), Span::all()).try_collect().await.unwrap();
    assert_eq!(records.len() as u64, head.cursor);
    for record in &records {
        assert_eq!(record.body, noise(record.cursor, 10_000));
    }
    // One that does not fit spoils its batch, and says so for each.
    let batch = vec![driver.next().record(record(noise(0, 900_000))), other.next().record(record("small"))];
    for answer in store.commit_many(batch).await {
        let error = answer.unwrap_err();
        assert_eq!((error.kind(), error.applied()), (ErrorKind::Full, Some(Applied::No)));
    }
    assert_eq!(store.head(&run("b")).await.unwrap().unwrap().cursor, 0);
    // Room that a deletion gives back can be used again.
    store.delete(&run("a"), Delete::Any).await.unwrap();
    store.commit(other.next().record(record("small"))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_leaves_no_row() {
    use sqlx::{ConnectOptions, Row};
    let world = World::new();
    let store = world.store().await;
    let mut driver = Driver::create(&store, "*").await;
    let kept = Driver::create(&store, "x").await;
    for n in 1..=3u64 {
        let id = milepost_core::RecordId::new(n.to_string()).unwrap();
        let commit = driver.next().record(record("body").id(id)).snapshot(Snapshot::new(n, "s"));
        driver.commit(commit.blob(milepost_core::Blob::of(n.to_string()))).await;
    }
    let message = milepost_core::NewMessage::new(
        crate::support::operation(),
        milepost_core::MessageKey::from_static("k"),
        milepost_core::Kind::from_static("k"),
        "body",
    );
    store.send(&run("*"), message).await.unwrap();
    assert!(store.delete(&run("*"), Delete::NotDriven(driver.fence.incarnation)).await.is_err());
    assert!(store.delete(&run("*"), Delete::Any).await.unwrap());
    assert!(!store.delete(&run("*"), Delete::Any).await.unwrap());
    store.close().await.unwrap();
    drop(kept);
    let mut connection =
        sqlx::sqlite::SqliteConnectOptions::new().filename(world.path()).connect().await.unwrap();
    let counts = "SELECT (SELECT count(*) FROM run), (SELECT count(*) FROM info), (SELECT count(*) FROM record) + \
        (SELECT count(*) FROM record_id) + (SELECT count(*) FROM snapshot) + (SELECT count(*) FROM blob) + \
        (SELECT count(*) FROM message) + (SELECT count(*) FROM message_key)";
    let row = sqlx::query(counts).fetch_one(&mut connection).await.unwrap();
    assert_eq!((row.get::<i64, _>(0), row.get::<i64, _>(1), row.get::<i64, _>(2)), (1, 1, 0));
}
