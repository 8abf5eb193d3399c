//! What a listing costs: requests, counted by a proxy, whatever the number of runs.

use std::{env, sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt, future::join_all};
use milepost_core::{Clock, Head, ManualClock, Query, Status, Store, Timestamp};
use milepost_servers::{Redis, Server};

use crate::support::{World, create, proxy, run};

/// How many runs; with `MILEPOST_LISTED_RUNS` as many as somebody wants to wait for.
fn runs() -> usize {
    env::var("MILEPOST_LISTED_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(2_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "who asks for many runs wants to know how long they take")]
async fn a_page_of_due_runs_takes_three_trips_and_all_of_them_few_more() {
    // Nothing here is about the disk, which may be a busy one.
    let server = Redis::options().setting("appendfsync", "no").start().unwrap();
    let world = World::on(&server.url());
    let proxy = proxy(&world.url);
    let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000_000_000)));
    let store = world.config_at(&proxy.url()).clock(clock.clone()).connect().await.unwrap();
    let total = runs();
    for chunk in (0..total).collect::<Vec<_>>().chunks(200) {
        let open = |number: &usize| {
            let (store, run) = (store.clone(), run(&format!("due {number}")));
            async move { store.open(&run, create()).await }
        };
        for opened in join_all(chunk.iter().map(open)).await {
            opened.unwrap();
        }
    }
    clock.advance(Duration::from_secs(3600));
    // The server knows the scripts from here on.
    let _: Vec<Head> = store.list(Query::all()).take(1).try_collect().await.unwrap();
    let interrupted = || Query { status: Some(Status::Interrupted), ..Query::all() };
    let watch = milepost_core::SystemClock::default();
    let before = proxy.counts();
    let first: Vec<Head> = store.list(interrupted()).take(100).try_collect().await.unwrap();
    let took = watch.elapsed();
    let counts = proxy.counts().since(&before);
    assert_eq!(first.len(), 100);
    // The indexes of all shards in one, the heads in one.
    assert!(counts.requests <= 2, "{counts:?}");

    let before = proxy.counts();
    let all: Vec<Head> = store.list(interrupted()).try_collect().await.unwrap();
    let counts = proxy.counts().since(&before);
    assert_eq!(all.len(), total);
    assert!(all.windows(2).all(|pair| pair[0].run < pair[1].run), "in the order of their ids, each once");
    assert!(counts.requests as usize <= 8 + total / 50, "{} requests for {total} runs", counts.requests);
    println!(
        "{total} runs: the first page in {took:?}, all in {:?} and {} requests",
        watch.elapsed(),
        counts.requests
    );
}
