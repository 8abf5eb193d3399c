//! Lost replies and lost requests: whatever gets lost, sending the same again settles it.

use std::time::Duration;

use futures_util::TryStreamExt;
use milepost_core::{
    Blob, Commit, Kind, MessageKey, NewMessage, Outcome, Record, RecordId, Renew, Retain, Snapshot, Span,
    Store,
};
use milepost_servers::Loss;
use milepost_store_postgres::{Pooler, PostgresStore};
use milepost_store_tests::lost::{self, settled};

use crate::support::{World, create, operation, proxy, record, run};

/// A run with something of everything: eight requests, each settled.
async fn scripted(store: &PostgresStore, id: &str) {
    let id = run(id);
    let open = create();
    let opened = settled(|| store.open(&id, open.clone())).await;
    let blob = Blob::of("blob");
    let commits = [
        |commit: Commit, _: &Blob| commit.record(record("1")),
        |commit: Commit, blob: &Blob| {
            commit.record(record("2").id(RecordId::from_static("two")).blob(blob.name)).blob(blob.clone())
        },
        |commit: Commit, _: &Blob| commit.record(record("3")).snapshot(Snapshot::new(2, "state")).advances(),
    ];
    let mut version = opened.head.version;
    for add in commits {
        let commit = add(Commit::new(id.clone(), opened.fence, operation(), version), &blob);
        version = settled(|| store.commit(commit.clone())).await.version;
    }
    let message = NewMessage::new(operation(), MessageKey::from_static("k"), Kind::from_static("m"), "hello");
    settled(|| store.send(&id, message.clone())).await;
    let renew = Renew::new(opened.fence, Duration::from_secs(60));
    settled(|| store.renew(&id, renew.clone())).await;
    let take = Commit::new(id.clone(), opened.fence, operation(), version).take(1);
    version = settled(|| store.commit(take.clone())).await.version;
    let end = Commit::new(id.clone(), opened.fence, operation(), version);
    let end = end.finish(Outcome::Completed { output: "done".into() }, Retain::Keep);
    version = settled(|| store.commit(end.clone())).await.version;

    let records: Vec<Record> = store.stream(&id, Span::all()).try_collect().await.unwrap();
    let bodies: Vec<&[u8]> = records.iter().map(|record| &record.body[..]).collect();
    assert_eq!(bodies, [b"1", b"2", b"3"]);
    let head = store.head(&id).await.unwrap().unwrap();
    assert_eq!((version, head.version, head.fence, head.newest_message), (6, 6, opened.fence, 1));
    assert_eq!((head.sizes.messages, head.snapshots), (0, vec![2]));
    assert!(matches!(head.outcome, Some(Outcome::Completed { .. })));
}

/// Each single one of the first requests of the script is lost once.
async fn each_is_lost(loss: fn(u64) -> Loss, pooler: Pooler) {
    let world = World::new();
    world.store().await;
    for nth in 1..=12 {
        let proxy = proxy(&world.url);
        let store = world.config_at(&proxy.url()).connections(1).pooler(pooler).connect().await.unwrap();
        proxy.lose(loss(nth));
        scripted(&store, &format!("run {nth}")).await;
        assert_eq!(proxy.lost(), 1, "the request {nth}");
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_lost_reply_of_any_request_leaves_the_log_exact() {
    each_is_lost(Loss::reply, Pooler::None).await;
}

#[tokio::test]
async fn a_lost_request_of_any_leaves_the_log_exact() {
    each_is_lost(Loss::request, Pooler::None).await;
}

#[tokio::test]
async fn in_the_simple_protocol_too() {
    // It has fewer requests: nothing is prepared.
    let world = World::new();
    world.store().await;
    for nth in 1..=8 {
        let proxy = proxy(&world.url);
        let config = world.config_at(&proxy.url()).connections(1).pooler(Pooler::Transaction);
        let store = config.connect().await.unwrap();
        proxy.lose(Loss::reply(nth));
        scripted(&store, &format!("run {nth}")).await;
        assert_eq!(proxy.lost(), 1, "the request {nth}");
    }
}

#[tokio::test]
async fn a_server_that_refuses_connections_has_not_written() {
    let world = World::new();
    let proxy = proxy(&world.url);
    lost::refused(&world.config_at(&proxy.url()).connect().await.unwrap(), &proxy).await;
}

#[tokio::test]
async fn a_server_that_falls_silent_is_timed_out() {
    let world = World::new();
    let proxy = proxy(&world.url);
    let config = world.config_at(&proxy.url()).timeout(Duration::from_secs(2));
    lost::silent(&config.connect().await.unwrap(), &proxy).await;
}
