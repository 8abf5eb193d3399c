//! The stored formats of version 1: what is written is what was always written, and what was written then is read.

use std::{sync::Arc, time::Duration};

use milepost_core::{
    Blob, Commit, Ids, Kind, ManualClock, NewRecord, Open, Query, RunInfo, SeededIds, Span, Store, SystemIds,
    Timestamp, Wake,
};
use milepost_run::{Answer, Retry};
use milepost_store_memory::MemoryStore;

use crate::support::{Run, *};

const GOLDEN: &str = include_str!("../golden/v1.txt");

/// Every kind of record, and every kind of message.
fn everything(runner: Runner) -> Runner {
    runner.handler("everything", |run: Run, input: serde_json::Value| async move {
        let drawn = (run.now(), run.uuid(), run.random(), run.version("gate", 1..=2));
        let done: u32 = run.step("done \"quoted\"", || async { Work::Ok(7) }).await?;
        let large: String = run.step("large", || async { Work::Ok("x".repeat(100)) }).await?;
        let retry = Retry::times(1).base(Duration::ZERO).exact();
        let retried = run.effect("retried", |effect| async move {
            if effect.attempt() == 0 { Err("no") } else { Ok(effect.key().to_owned()) }
        });
        let retried: String = retried.retry(retry).await?;
        let failed = run.step("failed", || async { Err::<(), _>("no") }).await.is_err();
        run.sleep_until(Timestamp(1)).await;
        let default = run.signal::<u32>("never").until(Timestamp(1)).or(3).await?;
        let branch = run.branch("a/b.c");
        let signal = branch.signal::<u32>("go").await?;
        let charge = run.effect("charge", |effect| async move {
            if effect.attempt() == 0 {
                std::future::pending::<()>().await;
            }
            Work::Ok(())
        });
        charge.once().timeout(Duration::from_secs(1)).await?;
        let last = run.effect("last", |effect| async move {
            if effect.attempt() == 0 { Err("reopen me") } else { Ok(()) }
        });
        last.await?;
        Work::Ok(serde_json::json!([drawn, done, large, retried, failed, default, signal, input]))
    })
}

/// The same time and ids in each life of this test.
fn world() -> (MemoryStore, Arc<ManualClock>, Runner, Runner) {
    let clock = Arc::new(ManualClock::new(Timestamp(1_000_000_000)));
    let store = MemoryStore::builder().clock(clock.clone()).ids(Arc::new(SeededIds::new(1))).build();
    let runner = Runner::new(store.clone()).settings(Settings::default().inline(50));
    let runner = everything(runner.clock(clock.clone()).ids(Arc::new(SeededIds::new(2))));
    let outside = Runner::new(store.clone());
    (store, clock, runner, outside)
}

/// What a run of everything leaves behind, as lines of a word and a body.
async fn written() -> String {
    let (store, clock, runner, outside) = world();
    let run = id("golden");
    let input = serde_json::json!({ "b": [1.5], "a": null });
    let handle =
        runner.start(run.clone(), "everything", &input).deadline(Duration::from_secs(3600)).await.unwrap();
    let messages = store.clone();
    outside.signal(&run, "go", &5).await.unwrap();
    let mut lines: Vec<String> = Vec::new();
    let doubt = loop {
        if let Some(doubt) = outside.in_doubt(&run).await.unwrap().into_iter().next() {
            break doubt;
        }
        tokio::task::yield_now().await;
    };
    outside.answer(&run, &doubt, &Answer::Retry).await.unwrap();
    let sent: Vec<_> = messages.inbox(&run, Span::all()).try_collect().await.unwrap();
    let ended = tokio::spawn(async move { handle.ended().await });
    // The attempt runs into its timeout.
    while !ended.is_finished() {
        clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
    assert!(matches!(ended.await.unwrap(), Ended::Failed(_)));
    let ended = runner.reopen(&run).await.unwrap().ended().await;
    assert_eq!(ended, Ended::Completed);

    let head = store.head(&run).await.unwrap().unwrap();
    lines.push(format!("meta {}", text(&head.info.meta)));
    let records: Vec<_> = store.stream(&run, Span::all()).try_collect().await.unwrap();
    lines.extend(records.iter().map(|record| format!("{} {}", record.kind, text(&record.body))));
    lines.extend(sent.iter().map(|sent| format!("{} {} {}", sent.kind, sent.key, text(&sent.body))));
    let Some(Outcome::Completed { output }) = head.outcome else { panic!("it has completed") };
    lines.push(format!("output {}", text(&output)));
    lines.push(format!("manifest {}", head.manifest));
    lines.join("\n") + "\n"
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn what_is_written_is_what_was_always_written() {
    let written = written().await;
    if std::env::var_os("MILEPOST_BLESS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1.txt"), &written).unwrap();
        return;
    }
    for (line, golden) in written.lines().zip(GOLDEN.lines()) {
        assert_eq!(line, golden);
    }
    assert_eq!(written.lines().count(), GOLDEN.lines().count());
}

/// The golden log in a store, as a run that is due.
async fn stored(lines: impl Iterator<Item = &str>, store: &MemoryStore) -> RunId {
    let run = id("golden");
    let meta = GOLDEN.lines().next().unwrap().strip_prefix("meta ").unwrap();
    let info = RunInfo::named("everything").meta(meta.to_owned());
    let open = Open::create(SystemIds.operation(), info, milepost_core::Manifest::of(b""));
    let opened = store.open(&run, open).await.unwrap();
    let mut commit = Commit::new(run.clone(), opened.fence, SystemIds.operation(), opened.head.version)
        .release(Wake::now())
        .blob(Blob::of(format!("\"{}\"", "x".repeat(100))));
    for line in lines {
        let (kind, body) = line.split_once(' ').unwrap();
        let kind = Kind::new(kind).unwrap();
        commit = commit.record(NewRecord::new(kind, body.to_owned()));
    }
    store.commit(commit).await.unwrap();
    run
}

fn records() -> impl Iterator<Item = &'static str> {
    let messages = |line: &&str| {
        line.contains("run.signal") || line.contains("run.answer") || line.contains("run.cancel")
    };
    GOLDEN.lines().filter(|line| line.starts_with("milepost/run.")).filter(move |line| !messages(line))
}

#[tokio::test]
async fn what_was_written_then_is_read() {
    let (store, _, runner, _) = world();
    let run = stored(records(), &store).await;
    let before = store.head(&run).await.unwrap().unwrap().cursor;
    let output: serde_json::Value = runner.resume(&run).await.unwrap().output().await.unwrap();
    let golden = GOLDEN.lines().find_map(|line| line.strip_prefix("output ")).unwrap();
    assert_eq!(output, serde_json::from_str::<serde_json::Value>(golden).unwrap());
    assert_eq!(
        store.head(&run).await.unwrap().unwrap().cursor,
        before,
        "everything was answered from the log"
    );
}

#[tokio::test]
async fn a_newer_format_is_refused_by_name_and_the_run_is_let_go_of() {
    let (store, _, runner, _) = world();
    let newer = records().map(|line| line.replace("{\"v\":1,", "{\"v\":2,")).collect::<Vec<_>>();
    let run = stored(newer.iter().map(String::as_str), &store).await;
    let error = runner.resume(&run).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Undecodable);
    assert!(error.to_string().contains("record 1 cannot be read: it is of version 2"), "{error}");
    let waiting = Query { status: Some(Status::Waiting), ..Query::all() };
    let waiting: Vec<Head> = store.list(waiting).try_collect().await.unwrap();
    assert_eq!(waiting.len(), 1, "a newer program may find it later");
}
