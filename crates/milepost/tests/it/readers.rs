//! Readers that look elsewhere: a stream that has begun to fetch a page, and is neither polled nor dropped, keeps no connection
//! from who shares its handle.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{FutureExt, StreamExt, TryStreamExt};
use milepost::{
    Blob, BoxStream, Commit, Ids, Kind, Manifest, MessageKey, NewMessage, NewRecord, Open, Query, Result,
    RunId, RunInfo, Span, Store, SystemIds,
};

use crate::matrix::{Backend, on_every_backend};

/// More of each kind than any store has connections.
const READERS: usize = 20;

fn run() -> RunId {
    RunId::from_static("read")
}

/// Every kind of stream, as one of what it gives.
fn streams(store: &dyn Store) -> Vec<(&'static str, BoxStream<'static, Result<()>>)> {
    let run = run();
    let follower = Span { follow: true, ..Span::all() };
    vec![
        ("records", store.stream(&run, Span::all()).map_ok(drop).boxed()),
        ("a follower", store.stream(&run, follower.limit(3)).map_ok(drop).boxed()),
        ("messages", store.inbox(&run, Span::all()).map_ok(drop).boxed()),
        ("blobs", store.blobs(&run).map_ok(drop).boxed()),
        ("runs", store.list(Query::all()).map_ok(drop).boxed()),
    ]
}

#[tokio::main(flavor = "current_thread")]
async fn readers_that_look_elsewhere(backend: &Backend) {
    let folder = tempfile::tempdir().unwrap();
    let url = backend.apart(folder.path(), "readers");
    milepost::prepare(&url).await.unwrap();
    let store = milepost::connect(&url).await.unwrap();
    let open = Open::create(SystemIds.operation(), RunInfo::named("test"), Manifest::of(b"test"));
    let head = store.open(&run(), open).await.unwrap().head;
    let commit = |expect| Commit::new(run(), head.fence, SystemIds.operation(), expect);
    let records = ["a", "b", "c"].map(|body| NewRecord::new(Kind::from_static("note"), body));
    let first = commit(head.version).records(records).blob(Blob::of("blob"));
    store.commit(first).await.unwrap();
    let key = MessageKey::from_static("key");
    let message = NewMessage::new(SystemIds.operation(), key, Kind::from_static("hint"), "message");
    store.send(&run(), message).await.unwrap();

    let mut readers: Vec<_> = (0..READERS).flat_map(|_| streams(&*store)).collect();
    let mut given = BTreeMap::<&str, usize>::new();
    for (kind, reader) in &mut readers {
        if let Some(first) = reader.next().now_or_never() {
            first.unwrap().unwrap();
            *given.entry(kind).or_default() += 1;
        }
    }
    let others = async {
        store.head(&run()).await.unwrap();
        store.commit(commit(head.version + 1)).await.unwrap();
        store.stream(&run(), Span::all()).try_collect::<Vec<_>>().await.unwrap().len()
    };
    let others = tokio::time::timeout(Duration::from_secs(20), others).await;
    assert_eq!(others.expect("readers that nobody polls keep others waiting"), 3);
    for (kind, reader) in readers {
        *given.entry(kind).or_default() += reader.try_collect::<Vec<()>>().await.unwrap().len();
    }
    let expected = [("records", 3), ("a follower", 3), ("messages", 1), ("blobs", 1), ("runs", 1)];
    assert_eq!(given, expected.map(|(kind, each)| (kind, each * READERS)).into());
    store.close().await.unwrap();
}

on_every_backend! {
    sqlite: readers_that_look_elsewhere_on_sqlite,
    postgres: readers_that_look_elsewhere_on_postgres,
    redis: readers_that_look_elsewhere_on_redis,
    folder: readers_that_look_elsewhere_in_a_folder,
    readers_that_look_elsewhere
}
