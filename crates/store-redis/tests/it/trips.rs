//! Round trips, counted by a proxy in front of the server.

use futures_util::TryStreamExt;
use milepost_core::{Message, NewMessage, Open, Record, Renew, Snapshot, Span, Store};
use milepost_servers::{Counts, Proxy};
use milepost_store_redis::RedisStore;

use crate::support::{Driver, World, operation, proxy, record, run};

struct Counted {
    proxy: Proxy,
    store: RedisStore,
}

impl Counted {
    async fn new() -> Self {
        let world = World::new();
        let proxy = proxy(&world.url);
        let store = world.config_at(&proxy.url()).connect().await.unwrap();
        // Every script is known to the server before anything is counted.
        let mut driver = Driver::create(&store, "warm").await;
        driver.commit(driver.next().record(record("x"))).await;
        driver.commit(driver.next().snapshot(Snapshot::new(0, "state"))).await;
        store.renew(&driver.run, Renew::new(driver.fence, Open::DEFAULT_TTL)).await.unwrap();
        let _: Vec<Record> = store.stream(&driver.run, Span::all()).try_collect().await.unwrap();
        store.snapshot(&driver.run, milepost_core::At::Latest).await.unwrap();
        Self { proxy, store }
    }

    async fn of<T>(&self, work: impl Future<Output = T>) -> (T, Counts) {
        let before = self.proxy.counts();
        let done = work.await;
        (done, self.proxy.counts().since(&before))
    }
}

#[tokio::test]
async fn a_commit_is_one_trip_and_so_are_an_open_and_a_renewal() {
    let counted = Counted::new().await;
    let (mut driver, open) = counted.of(Driver::create(&counted.store, "counted")).await;
    assert_eq!((open.trips, open.requests), (1, 1));
    for commit in [
        driver.next().record(record("one")),
        driver.next().records((0..100).map(|_| record(vec![7; 1024]))),
        driver.next().snapshot(Snapshot::new(0, "state")).extend(Open::DEFAULT_TTL).advances(),
    ] {
        let commit = milepost_core::Commit { expect: driver.version, ..commit };
        let (_, counts) = counted.of(driver.commit(commit)).await;
        assert_eq!((counts.trips, counts.requests, counts.of("EVALSHA")), (1, 1, 1), "{counts:?}");
    }
    let renew = Renew::new(driver.fence, Open::DEFAULT_TTL);
    let (_, counts) = counted.of(counted.store.renew(&driver.run, renew)).await;
    assert_eq!(counts.requests, 1);
}

#[tokio::test]
async fn a_resume_is_three_trips_when_its_tail_fits_a_page() {
    let counted = Counted::new().await;
    let mut driver = Driver::create(&counted.store, "resumed").await;
    driver
        .commit(driver.next().records((0..200).map(|_| record("x"))).snapshot(Snapshot::new(100, "s")))
        .await;
    let resume = Open::resume(operation()).over(driver.fence);
    let (_, counts) = counted
        .of(async {
            counted.store.open(&driver.run, resume).await.unwrap();
            counted.store.snapshot(&driver.run, milepost_core::At::Latest).await.unwrap();
            let tail: Vec<Record> =
                counted.store.stream(&driver.run, Span::after(100)).try_collect().await.unwrap();
            assert_eq!(tail.len(), 100);
        })
        .await;
    assert_eq!(counts.trips, 3);
}

#[tokio::test]
async fn a_batch_is_one_trip() {
    let counted = Counted::new().await;
    let mut commits = Vec::new();
    for number in 0..64 {
        let driver = Driver::create(&counted.store, &format!("batched {number}")).await;
        commits.push(driver.next().record(record("x")));
    }
    let (answers, counts) = counted.of(counted.store.commit_many(commits)).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!((counts.requests, counts.trips), (1, 1), "{counts:?}");
}

#[tokio::test]
async fn a_page_of_large_records_is_cut_by_its_bytes() {
    let counted = Counted::new().await;
    let mut driver = Driver::create(&counted.store, "large").await;
    for _ in 0..4 {
        driver.commit(driver.next().records((0..4).map(|_| record(vec![1; 900_000])))).await;
    }
    let (records, counts) =
        counted.of(counted.store.stream(&driver.run, Span::all()).try_collect::<Vec<Record>>()).await;
    assert_eq!(records.unwrap().len(), 16);
    assert_eq!(counts.requests, 16);
}

#[tokio::test]
async fn a_message_is_one_trip() {
    let counted = Counted::new().await;
    let driver = Driver::create(&counted.store, "told").await;
    let message = || {
        let (key, kind) =
            (milepost_core::MessageKey::from_static("k"), milepost_core::Kind::from_static("m"));
        NewMessage::new(operation(), key, kind, "body")
    };
    counted.store.send(&run("warm"), message()).await.unwrap();
    let (_, counts) = counted.of(counted.store.send(&driver.run, message())).await;
    assert_eq!(counts.requests, 1);
    let messages: Vec<Message> = counted.store.inbox(&driver.run, Span::all()).try_collect().await.unwrap();
    assert_eq!(messages.len(), 1);
}
