//! Listings: complete, without doubles, in order.

use std::{sync::Arc, time::Duration};

use futures_util::TryStreamExt;
use milepost_core::{
    Failure, FailureKind, Head, Manifest, ManualClock, Open, Order, Outcome, Query, Retain, RunInfo, Status,
    Store, Timestamp, Wake,
};
use milepost_store_sqlite::SqliteStore;

use crate::support::{Driver, World, operation, run};

async fn ids(store: &SqliteStore, query: Query) -> Vec<String> {
    let heads: Vec<Head> = store.list(query).try_collect().await.unwrap();
    heads.into_iter().map(|head| head.run.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_runs_come_in_pages_each_once() {
    let world = World::new();
    let clock = Arc::new(ManualClock::new(Timestamp(1_000_000)));
    let config = world.config().clock(clock.clone()).synchronous(milepost_store_sqlite::Synchronous::Normal);
    let store = config.connect().await.unwrap();
    let opens = (0..3000).map(|n| {
        let (store, clock) = (store.clone(), clock.clone());
        async move {
            clock.advance(Duration::from_micros(1));
            let open = Open::create(
                operation(),
                RunInfo::named(if n % 3 == 0 { "third" } else { "other" }),
                Manifest::of(b""),
            );
            store.open(&run(&format!("run {n:04}")), open).await
        }
    });
    futures_util::future::try_join_all(opens).await.unwrap();
    let all = ids(&store, Query { page: Some(100), ..Query::all() }).await;
    assert_eq!(all, (0..3000).map(|n| format!("run {n:04}")).collect::<Vec<_>>());
    let newest =
        ids(&store, Query { page: Some(7), order: Order::NewestFirst, limit: Some(50), ..Query::all() })
            .await;
    assert_eq!(newest.len(), 50);
    let heads: Vec<Head> =
        store.list(Query { order: Order::NewestFirst, ..Query::all() }).try_collect().await.unwrap();
    assert_eq!(heads.len(), 3000);
    assert!(heads.is_sorted_by_key(|head| (std::cmp::Reverse(head.created_at), head.run.clone())));
    assert_eq!(ids(&store, Query { name: Some("third".into()), ..Query::all() }).await.len(), 1000);
    assert_eq!(ids(&store, Query { id_prefix: Some("run 12".into()), ..Query::all() }).await.len(), 100);
    assert!(ids(&store, Query::interrupted()).await.is_empty());
    clock.advance(Duration::from_secs(31));
    assert_eq!(ids(&store, Query::interrupted()).await.len(), 3000, "every lease has run out");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_finds_what_matches_and_nothing_else() {
    let world = World::new();
    let clock = Arc::new(ManualClock::new(Timestamp(1_000_000)));
    let store = world.config().clock(clock.clone()).connect().await.unwrap();
    let hostile = "it's \"$.a%_\\\u{1}";
    let infos = [
        ("a", RunInfo::named("job").label("k", "v")),
        ("b", RunInfo::named("job").label(hostile, hostile)),
        ("b%", RunInfo::named("x").parent(run("a"))),
        ("b_1", RunInfo::named("x").label("k", "w")),
        ("c", RunInfo::named("x")),
    ];
    let mut drivers = Vec::new();
    for (id, info) in infos {
        let opened = store.open(&run(id), Open::create(operation(), info, Manifest::of(b""))).await.unwrap();
        drivers.push(Driver::of(&store, id, &opened));
    }
    let failure = Failure::new(FailureKind::Poison, "three lapses");
    store.commit(drivers[0].next().finish(Outcome::Failed { failure }, Retain::Keep)).await.unwrap();
    let done = Outcome::Completed { output: "".into() };
    let keep = Retain::KeepFor(Duration::from_secs(10));
    store.commit(drivers[1].next().finish(done, keep)).await.unwrap();
    store.commit(drivers[2].next().release(Wake::message(0))).await.unwrap();
    store.commit(drivers[3].next().release(Wake::now())).await.unwrap();

    let label = |key: &str, value: &str| Query { labels: vec![(key.into(), value.into())], ..Query::all() };
    let status = |status| Query { status: Some(status), ..Query::all() };
    let prefix = |prefix: &str| Query { id_prefix: Some(prefix.into()), ..Query::all() };
    for (query, expected) in [
        (label("k", "v"), vec!["a"]),
        (label(hostile, hostile), vec!["b"]),
        (label("$.k", "v"), vec![]),
        (status(Status::Failed), vec!["a"]),
        (status(Status::Completed), vec!["b"]),
        (status(Status::Waiting), vec!["b%"]),
        (status(Status::Interrupted), vec!["b_1"]),
        (status(Status::Running), vec!["c"]),
        (Query { parent: Some(run("a")), ..Query::all() }, vec!["b%"]),
        (prefix("b"), vec!["b", "b%", "b_1"]),
        (prefix("b%"), vec!["b%"]),
        (prefix("b_"), vec!["b_1"]),
        (Query { failure: Some(FailureKind::Poison), ..Query::all() }, vec!["a"]),
        (Query { failure: Some(FailureKind::Error), ..Query::all() }, vec![]),
        (Query { due_by: Some(Timestamp(40_000_000)), ..Query::all() }, vec!["b_1", "c"]),
        (Query { idle_since: Some(Timestamp(0)), ..Query::all() }, vec![]),
        (Query::expired(), vec![]),
        (Query { name: Some("x".into()), limit: Some(2), page: Some(1), ..Query::all() }, vec!["b%", "b_1"]),
    ] {
        assert_eq!(ids(&store, query.clone()).await, expected, "{query:?}");
    }
    clock.advance(Duration::from_secs(10));
    assert_eq!(ids(&store, Query::expired()).await, ["b"]);
}
