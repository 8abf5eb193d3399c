//! The stored formats of phases, sessions and snapshots, version 1: what is written is what was always written, and what was
//! written then is read.

use std::{
    ops::ControlFlow::{Break, Continue},
    sync::Arc,
};

use futures_util::stream;
use milepost_core::{
    At, Blob, Bytes, Commit, Ids, Kind, Manifest, ManualClock, NewRecord, Open, RunInfo, SeededIds, Snapshot,
    Span, Store, SystemIds, Timestamp, Wake,
};
use milepost_store_memory::MemoryStore;

use crate::support::{Run, *};

const GOLDEN: &str = include_str!("../golden/v1-phases.txt");

/// What a round reads: large, so that it leaves the log for a blob.
fn page() -> String {
    "x".repeat(20_000)
}

/// Every kind of record about phases and sessions, and a snapshot.
fn work(runner: Runner) -> Runner {
    runner.handler("work", |run: Run, (): ()| async move {
        let plain = run.phase("plain", |run| async move {
            Ok::<u32, BoxError>(run.step("one", || async { Work::Ok(1) }).await?)
        });
        let plain: u32 = plain.await?;
        let rounds = run.repeat("rounds", 0u32, |run, n| async move {
            run.step("page", || async { Work::Ok(page()) }).await?;
            Work::Ok(if n == 4 { Break(n) } else { Continue(n + 1) })
        });
        let rounds: u32 = rounds.await?;
        let said = run.session("said", |_| async {
            Work::Ok(stream::iter(["a", "b"].map(|word| Work::Ok(word.to_owned()))))
        });
        let said: Vec<String> = said.ids(String::clone).await?;
        let failed =
            run.session::<u32, _, _, _, _>("failed", |_| async { Work::Ok(stream::iter([Err("no")])) });
        let failed = failed.close(|| async { Err("neither") }).await.unwrap_err();
        Work::Ok((plain, rounds, said, failed.to_string()))
    })
}

fn world() -> (MemoryStore, Runner) {
    let clock = Arc::new(ManualClock::new(Timestamp(1_000_000_000)));
    let store = MemoryStore::builder().clock(clock.clone()).ids(Arc::new(SeededIds::new(1))).build();
    let runner = Runner::new(store.clone()).clock(clock).ids(Arc::new(SeededIds::new(2)));
    (store, work(runner.settings(Settings::default().inline(50))))
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn what_is_written_is_what_was_always_written() {
    let (store, runner) = world();
    let run = id("golden");
    let output: serde_json::Value = runner.run(run.clone(), "work", &()).await.unwrap();
    let head = store.head(&run).await.unwrap().unwrap();
    let records: Vec<_> = store.stream(&run, Span::all()).try_collect().await.unwrap();
    let snapshot = store.snapshot(&run, At::Latest).await.unwrap().unwrap();
    let mut lines = vec![format!("meta {}", text(&head.info.meta))];
    lines.extend(records.iter().map(|record| format!("{} {}", record.kind, text(&record.body))));
    lines.push(format!("snapshot {} {}", snapshot.cursor, text(&snapshot.body)));
    lines.push(format!("output {output}"));
    let written = lines.join("\n") + "\n";
    if std::env::var_os("MILEPOST_BLESS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1-phases.txt"), &written).unwrap();
        return;
    }
    for (line, golden) in written.lines().zip(GOLDEN.lines()) {
        assert_eq!(line, golden);
    }
    assert_eq!(written.lines().count(), GOLDEN.lines().count());
}

fn line(word: &str) -> &'static str {
    GOLDEN.lines().find_map(|line| line.strip_prefix(word)).unwrap().trim_start()
}

/// The golden log as a run that is due, with this snapshot.
async fn resumed(snapshot: Option<Snapshot>) -> serde_json::Value {
    let (store, runner) = world();
    let run = id("golden");
    let info = RunInfo::named("work").meta(line("meta").to_owned());
    let opened =
        store.open(&run, Open::create(SystemIds.operation(), info, Manifest::of(b""))).await.unwrap();
    let mut commit = Commit::new(run.clone(), opened.fence, SystemIds.operation(), opened.head.version)
        .release(Wake::now())
        .blob(Blob::of(format!("\"{}\"", page())));
    commit.snapshot = snapshot;
    for record in GOLDEN.lines().filter(|line| line.starts_with("milepost/run.")) {
        let (kind, body) = record.split_once(' ').unwrap();
        commit = commit.record(NewRecord::new(Kind::new(kind).unwrap(), body.to_owned()));
    }
    store.commit(commit).await.unwrap();
    let before = store.head(&run).await.unwrap().unwrap().cursor;
    let output = runner.resume(&run).await.unwrap().output().await.unwrap();
    assert_eq!(
        store.head(&run).await.unwrap().unwrap().cursor,
        before,
        "all was answered from what was stored"
    );
    output
}

#[tokio::test]
async fn what_was_written_then_is_read() {
    let golden: serde_json::Value = serde_json::from_str(line("output")).unwrap();
    assert_eq!(resumed(None).await, golden);
    let (cursor, body) = line("snapshot").split_once(' ').unwrap();
    let snapshot = Snapshot::new(cursor.parse().unwrap(), body.to_owned());
    assert_eq!(resumed(Some(snapshot.clone())).await, golden);
    // What a snapshot says is taken for what the records say.
    let other = body.replace(
        r#"{"phase-done":{"at":"0","value":{"json":1}}}"#,
        r#"{"phase-done":{"at":"0","value":{"json":7}}}"#,
    );
    assert_ne!(other, body);
    let other = resumed(Some(Snapshot { body: Bytes::from(other), ..snapshot.clone() })).await;
    assert_eq!(other[0], 7);
    // One that cannot be read stands for nothing: the log is whole.
    for foreign in ["", "{\"v\":2}", "none of ours"] {
        assert_eq!(resumed(Some(Snapshot { body: foreign.into(), ..snapshot.clone() })).await, golden);
    }
}
