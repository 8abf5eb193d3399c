//! Lost replies and lost requests: whatever gets lost, the log is exact after the same was sent again.

use futures_util::TryStreamExt;
use milepost_core::{Applied, Open, Outcome, Record, Retain, Span, Store, Wake};
use milepost_servers::Loss;
use milepost_store_s3::S3Store;
use milepost_store_tests::lost::settled;

use crate::support::{Bucket, create, operation, record, run};

/// Creates a run, commits, lets go, takes it up again, completes it.
async fn script(store: &S3Store, id: &str) {
    let run = run(id);
    let open = create();
    let opened = settled(|| store.open(&run, open.clone())).await;
    assert!(opened.created);
    let mut version = opened.head.version;
    let next = |fence, version| milepost_core::Commit::new(run.clone(), fence, operation(), version);
    for number in 1..=3u64 {
        let commit = next(opened.fence, version).record(record(number.to_string()));
        version = settled(|| store.commit(commit.clone())).await.version;
    }
    let released = next(opened.fence, version).release(Wake::now());
    settled(|| store.commit(released.clone())).await;
    let resume = Open::resume(operation());
    let resumed = settled(|| store.open(&run, resume.clone())).await;
    assert_eq!(resumed.fence.epoch, 2);
    let outcome = Outcome::Completed { output: "done".into() };
    let last = next(resumed.fence, resumed.head.version).record(record("4")).finish(outcome, Retain::Keep);
    settled(|| store.commit(last.clone())).await;
}

async fn run_with(loss: fn(u64) -> Loss) {
    let bucket = Bucket::new();
    let (proxy, url) = bucket.proxy();
    let store = bucket.config_at(&url).connect().await.unwrap();
    let before = proxy.counts();
    script(&store, "whole").await;
    let requests = proxy.counts().since(&before).requests;
    assert!(requests >= 8, "{requests}");
    for nth in 1..=requests {
        let id = format!("without {nth}");
        let lost = proxy.lost();
        proxy.lose(loss(nth));
        script(&store, &id).await;
        assert_eq!(proxy.lost(), lost + 1, "request {nth} of {requests}");
        let records: Vec<Record> = store.stream(&run(&id), Span::all()).try_collect().await.unwrap();
        assert!(records.iter().map(|record| record.body.clone()).eq(["1", "2", "3", "4"]), "request {nth}");
        let head = store.head(&run(&id)).await.unwrap().unwrap();
        assert_eq!((head.version, head.fence.epoch, head.lapses), (7, 2, 0), "request {nth}");
    }
}

#[tokio::test]
async fn a_run_that_loses_the_reply_of_any_one_request_is_exact() {
    run_with(Loss::reply).await;
}

#[tokio::test]
async fn a_run_that_loses_any_one_request_is_exact() {
    run_with(Loss::request).await;
}

#[tokio::test]
async fn a_server_that_refuses_connections_has_not_written() {
    let bucket = Bucket::new();
    let (proxy, url) = bucket.proxy();
    let store = bucket.config_at(&url).connect().await.unwrap();
    let opened = store.open(&run("cut"), create()).await.unwrap();
    let commit = milepost_core::Commit::new(run("cut"), opened.fence, operation(), 1).record(record("x"));
    proxy.refuse(true).unwrap();
    proxy.cut().unwrap();
    for _ in 0..2 {
        let error = store.commit(commit.clone()).await.unwrap_err();
        assert!(error.kind().is_transient(), "{error:?}");
    }
    let error = store.commit(commit.clone()).await.unwrap_err();
    assert_eq!(error.applied(), Some(Applied::No), "{error:?}");
    proxy.refuse(false).unwrap();
    assert_eq!(store.commit(commit).await.unwrap().version, 2);
}
