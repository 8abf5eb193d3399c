//! A database of every released schema version stands beside the tests, and is read for ever.

use std::{path::Path, sync::Arc, time::Duration};

use futures_util::TryStreamExt;
use milepost_core::{
    At, Blob, Commit, Digest, Failure, FailureKind, Head, Incarnation, Kind, Lineage, Manifest, ManualClock,
    Message, MessageKey, NewMessage, NewRecord, Note, Open, OperationId, Origin, Outcome, Owner, Query,
    Record, RecordId, Retain, RunInfo, SeededIds, Snapshot, Span, Status, Store, Timestamp, Wake,
};
use milepost_store_sqlite::{SqliteConfig, SqliteStore};

use crate::support::{World, create, run};

const VERSION_1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/version-1.db");

fn config(path: &Path) -> SqliteConfig {
    let clock = ManualClock::new(Timestamp(1_750_000_000_000_000));
    SqliteConfig::new(path).clock(Arc::new(clock)).ids(Arc::new(SeededIds::new(1)))
}

fn opens(info: RunInfo, id: u128) -> Open {
    Open::create(OperationId(id), info, Manifest::of(b"golden")).owner(Owner::new("golden"))
}

fn message(key: &'static str, id: u128) -> NewMessage {
    NewMessage::new(OperationId(id), MessageKey::from_static(key), Kind::from_static("signal"), "hello")
}

/// Writes such a database. A new schema version gets its golden file by a copy of what this leaves.
async fn write(path: &Path) {
    let store = config(path).connect().await.unwrap();
    let info = RunInfo::named("import").label("k\u{e9}", "v").parent(run("parent")).meta(vec![0, 255]);
    write_completed(&store, info).await;
    let lineage = Lineage { run: run("completed"), incarnation: Incarnation(7), cursor: 3 };
    let origin = Origin { cursor: 3, lineage: Some(lineage) };
    let opened = store.open(&run("draft"), opens(RunInfo::named("fork"), 20).origin(origin)).await.unwrap();
    let commit = Commit::new(run("draft"), opened.fence, OperationId(21), 1);
    store.commit(commit.release(Wake::now())).await.unwrap();
    let opened = store.open(&run("failed"), opens(RunInfo::named(""), 30)).await.unwrap();
    let failure = Failure::new(FailureKind::TimedOut, "too late");
    let commit = Commit::new(run("failed"), opened.fence, OperationId(31), 1);
    let keep = Retain::KeepFor(Duration::from_secs(60));
    store.commit(commit.finish(Outcome::Failed { failure }, keep)).await.unwrap();
    let opened = store.open(&run("waiting"), opens(RunInfo::named("waits"), 40)).await.unwrap();
    store.send(&run("waiting"), message("first", 41)).await.unwrap();
    store.send(&run("waiting"), message("second", 42)).await.unwrap();
    let commit = Commit::new(run("waiting"), opened.fence, OperationId(43), 1).take(1);
    let note = Note::new(1, Some(2), "half").unwrap();
    store.commit(commit.note(note).release(Wake::message(2))).await.unwrap();
    store.close().await.unwrap();
}

async fn write_completed(store: &SqliteStore, info: RunInfo) {
    let opened = store.open(&run("completed"), opens(info, 10)).await.unwrap();
    let commit = |id, expect| Commit::new(run("completed"), opened.fence, OperationId(id), expect);
    let record = |body: &'static str| NewRecord::new(Kind::from_static("state"), body);
    let blob = Blob::of("a large value");
    let first = commit(11, 1)
        .record(record("one").id(RecordId::from_static("id-1")))
        .snapshot(Snapshot::new(1, "s1"));
    store.commit(first).await.unwrap();
    let second = commit(12, 2).record(record("").blob(blob.name)).blob(blob).snapshot(Snapshot::new(2, "s2"));
    store.commit(second).await.unwrap();
    let third = commit(13, 3).record(record("three\0\u{1f600}")).trim(1);
    store.commit(third).await.unwrap();
    let done = Outcome::Completed { output: "output".into() };
    store.commit(commit(14, 4).finish(done, Retain::Keep)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn version_1_still_reads() {
    let world = World::new();
    std::fs::copy(VERSION_1, world.path()).unwrap();
    reads(&world.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_today_reads_the_same() {
    let world = World::new();
    write(&world.path()).await;
    reads(&world.path()).await;
}

/// Everything that the golden database holds is there and goes on.
async fn reads(path: &Path) {
    let store = config(path).connect().await.unwrap();
    let heads: Vec<Head> = store.list(Query::all()).try_collect().await.unwrap();
    let told: Vec<_> = heads.iter().map(|head| (head.run.as_str(), head.status(), head.version)).collect();
    assert_eq!(
        told,
        [
            ("completed", Status::Completed, 5),
            ("draft", Status::Waiting, 2),
            ("failed", Status::Failed, 2),
            ("waiting", Status::Waiting, 2),
        ]
    );
    let [completed, draft, failed, waiting] = <[Head; 4]>::try_from(heads).unwrap();
    assert_eq!((completed.first, completed.cursor, completed.snapshots.as_slice()), (2, 3, &[2, 1][..]));
    assert_eq!(completed.info.labels["k\u{e9}"], "v");
    assert_eq!(
        (completed.info.parent.clone(), &completed.info.meta[..]),
        (Some(run("parent")), &[0, 255][..])
    );
    assert_eq!(completed.outcome, Some(Outcome::Completed { output: "output".into() }));
    let lineage = draft.origin.unwrap().lineage.unwrap();
    assert_eq!((lineage.run, lineage.incarnation, lineage.cursor), (run("completed"), Incarnation(7), 3));
    assert_eq!(failed.delete_after, Some(failed.updated_at + Duration::from_secs(60)));
    assert_eq!(waiting.note, Some(Note::new(1, Some(2), "half").unwrap()));
    let records: Vec<Record> = store.stream(&completed.run, Span::after(1)).try_collect().await.unwrap();
    assert_eq!((&records[0].body[..], &records[1].body[..]), (&b""[..], "three\0\u{1f600}".as_bytes()));
    assert_eq!(records[0].blobs, [Digest::of(b"a large value")]);
    let older = store.snapshot(&completed.run, At::OrBefore(1)).await.unwrap();
    assert_eq!(older, Some(Snapshot::new(1, "s1")));
    let blob = store.blob(&completed.run, &Digest::of(b"a large value")).await.unwrap();
    assert_eq!(blob, Some("a large value".into()));
    let messages: Vec<Message> = store.inbox(&waiting.run, Span::all()).try_collect().await.unwrap();
    assert_eq!((messages.len(), messages[0].number, &messages[0].body[..]), (1, 2, &b"hello"[..]));
    // What was remembered still answers, and the runs go on.
    let again = Commit::new(run("waiting"), waiting.fence, OperationId(43), 1).take(1);
    let note = Note::new(1, Some(2), "half").unwrap();
    assert!(store.commit(again.note(note).release(Wake::message(2))).await.unwrap().replayed);
    let sent = store.send(&run("waiting"), message("first", 50)).await.unwrap();
    assert_eq!(sent, milepost_core::Sent::Repeated { number: 1 });
    store.send(&run("waiting"), message("third", 51)).await.unwrap();
    assert_eq!(store.open(&run("waiting"), Open::resume(OperationId(52))).await.unwrap().fence.epoch, 2);
    store.open(&run("new"), create()).await.unwrap();
}
