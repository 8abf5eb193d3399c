//! Processes that are killed with -9.

use std::{
    fs,
    io::Write,
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures_util::TryStreamExt;
use milepost_core::{Manifest, Open, Query, Record, RunInfo, Snapshot, Span, Status, Store};
use milepost_store_sqlite::SqliteConfig;

use crate::support::{Driver, World, operation, record, run};

/// Goes on with run `a` in the folder that the tests below name, and writes down each acknowledged cursor, until it is
/// killed.
#[tokio::test(flavor = "multi_thread")]
async fn child_that_will_be_killed() {
    let Ok(folder) = std::env::var("MILEPOST_CRASH") else { return };
    let folder = std::path::PathBuf::from(folder);
    let store = SqliteConfig::new(folder.join("runs.db")).connect().await.unwrap();
    let open = Open::create_or_resume(operation(), RunInfo::named("job"), Manifest::of(b""));
    let opened = store.open(&run("a"), open.ttl(Duration::from_secs(3600))).await.unwrap();
    let mut driver = Driver::of(&store, "a", &opened);
    let mut acknowledged =
        fs::File::options().append(true).create(true).open(folder.join("acknowledged")).unwrap();
    let mut cursor = opened.head.cursor;
    loop {
        cursor += 1;
        let commit = driver.next().record(record(format!("record {cursor}")));
        let commit =
            if cursor.is_multiple_of(5) { commit.snapshot(Snapshot::new(cursor, "s")) } else { commit };
        assert_eq!(driver.commit(commit).await.cursor, cursor);
        writeln!(acknowledged, "{cursor}").unwrap();
    }
}

fn start(world: &World) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child_that_will_be_killed", "--nocapture"])
        .env("MILEPOST_CRASH", world.folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn acknowledged(world: &World) -> u64 {
    let lines = fs::read_to_string(world.folder.path().join("acknowledged")).unwrap_or_default();
    let whole = lines.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().last().map_or(0, |line| line.parse().unwrap())
}

/// Lets the child acknowledge some more, and kills it wherever it is then.
fn kill_after(world: &World, mut child: Child, more: u64) {
    let from = acknowledged(world);
    while acknowledged(world) < from + more {
        assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_loses_nothing_and_its_successor_goes_on_at_once() {
    let world = World::new();
    for round in 1..=5u64 {
        // The lease of the killed one lasts an hour; this one opens because its holder is gone.
        kill_after(&world, start(&world), 10 * round);
        let last = acknowledged(&world);
        let store = world.store().await;
        let records: Vec<Record> = store.stream(&run("a"), Span::all()).try_collect().await.unwrap();
        assert!(records.len() as u64 >= last, "{} records, {last} were acknowledged", records.len());
        for record in &records {
            assert_eq!(record.body, format!("record {}", record.cursor));
        }
        let head = store.head(&run("a")).await.unwrap().unwrap();
        assert_eq!(u64::from(head.lapses), round - 1);
        assert_eq!(head.status(), Status::Interrupted, "its holder is gone");
        let due: Vec<_> = store.list(Query::interrupted()).try_collect().await.unwrap();
        assert_eq!(due.len(), 1);
        store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lives_keeps_its_lease() {
    let world = World::new();
    let mut child = start(&world);
    while acknowledged(&world) < 3 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let store = world.store().await;
    let open = || Open::resume(operation());
    let error = store.open(&run("a"), open()).await.unwrap_err();
    assert_eq!(error.kind(), milepost_core::ErrorKind::LeaseHeld);
    assert_eq!(store.head(&run("a")).await.unwrap().unwrap().status(), Status::Running);
    child.kill().unwrap();
    child.wait().unwrap();
    let opened = store.open(&run("a"), open()).await.unwrap();
    assert_eq!((opened.fence.epoch, opened.head.lapses), (2, 1));
}
