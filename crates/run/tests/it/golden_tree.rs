//! The stored formats of trees and budgets, version 1: what is written is what was always written, and what was written
//! then is read.

use std::{sync::Arc, time::Duration};

use milepost_core::{
    Commit, Ids, Kind, Manifest, ManualClock, NewRecord, Open, Query, RunInfo, SeededIds, Span, Store,
    SystemIds, Timestamp, Wake,
};
use milepost_run::Budget;
use milepost_store_memory::MemoryStore;

use crate::support::{Run, *};

const GOLDEN: &str = include_str!("../golden/v1-tree.txt");

/// Every kind of record about children and budgets.
fn family(runner: Runner) -> Runner {
    let runner = runner.handler("double", |run: Run, n: u32| async move {
        run.spend("model", 4);
        Work::Ok(2 * n)
    });
    let runner =
        runner.handler("bad", |_: Run, (): ()| async move { Work::<()>::Err("no such street".into()) });
    runner.handler("family", |run: Run, (): ()| async move {
        run.spend("planning", 3);
        run.spend("unknown", None);
        let doubled = run.child::<u32>("ok/1", "double", &21).budget(10).await?;
        let bad = run.child::<()>("bad", "bad", &()).restarts(1, Duration::from_secs(60)).await.unwrap_err();
        let refused = run.child::<u32>("greedy", "double", &1).budget(1000).await.unwrap_err();
        Work::Ok((doubled, bad.to_string(), refused.to_string(), run.budget()))
    })
}

type Output = (u32, String, String, Budget);

fn world() -> (MemoryStore, Runner) {
    let clock = Arc::new(ManualClock::new(Timestamp(1_000_000_000)));
    let store = MemoryStore::builder().clock(clock.clone()).ids(Arc::new(SeededIds::new(1))).build();
    let runner = Runner::new(store.clone()).clock(clock).ids(Arc::new(SeededIds::new(2)));
    (store, family(runner))
}

async fn records_of(store: &MemoryStore, head: &Head, lines: &mut Vec<String>) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    lines.push(format!("run {} {}", head.run, text(&head.info.meta)));
    let records: Vec<_> = store.stream(&head.run, Span::all()).try_collect().await.unwrap();
    lines.extend(records.iter().map(|record| format!("{} {}", record.kind, text(&record.body))));
    let messages: Vec<_> = store.inbox(&head.run, Span::all()).try_collect().await.unwrap();
    lines.extend(messages.iter().map(|sent| format!("{} {} {}", sent.kind, sent.key, text(&sent.body))));
}

async fn written() -> String {
    let (store, runner) = world();
    let handle = runner.start(id("family"), "family", &()).budget(100).await.unwrap();
    let output: serde_json::Value = handle.output().await.unwrap();
    let mut heads: Vec<Head> = store.list(Query::all()).try_collect().await.unwrap();
    heads.sort_by(|one, other| one.run.cmp(&other.run));
    let mut lines = Vec::new();
    for head in &heads {
        records_of(&store, head, &mut lines).await;
    }
    lines.push(format!("output {output}"));
    lines.join("\n") + "\n"
}

#[tokio::test]
async fn what_is_written_is_what_was_always_written() {
    let written = written().await;
    if std::env::var_os("MILEPOST_BLESS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1-tree.txt"), &written).unwrap();
        return;
    }
    for (line, golden) in written.lines().zip(GOLDEN.lines()) {
        assert_eq!(line, golden);
    }
    assert_eq!(written.lines().count(), GOLDEN.lines().count());
}

#[tokio::test]
async fn what_was_written_then_is_read() {
    let (store, runner) = world();
    let meta = r#"{"v":1,"input":null,"within":null,"budget":100}"#;
    let open = Open::create(SystemIds.operation(), RunInfo::named("family").meta(meta), Manifest::of(b""));
    let opened = store.open(&id("family"), open).await.unwrap();
    let mut commit = Commit::new(id("family"), opened.fence, SystemIds.operation(), opened.head.version)
        .release(Wake::now());
    // The parent's own life on another store: its children's ids are of that one, and nobody looks for them again.
    let lines = GOLDEN.lines().skip_while(|line| !line.starts_with("run family {"));
    let incarnation = opened.fence.incarnation;
    for line in lines.skip(1).take_while(|line| line.starts_with("milepost/run.")) {
        let (kind, body) = line.split_once(' ').unwrap();
        if kind != "milepost/run.accounted" && kind != "milepost/run.ended" {
            commit = commit.record(NewRecord::new(Kind::new(kind).unwrap(), body.to_owned()));
        }
    }
    store.commit(commit).await.unwrap();
    let output: Output = runner.resume(&id("family")).await.unwrap().output().await.unwrap();
    let golden = GOLDEN.lines().find_map(|line| line.strip_prefix("output ")).unwrap();
    assert_eq!(output, serde_json::from_str::<Output>(golden).unwrap(), "life {incarnation}");
    let all: Vec<Head> = store.list(Query::all()).try_collect().await.unwrap();
    assert_eq!(all.len(), 1, "its children were read from its log, not run");
}
