//! Round trips, counted by a proxy in front of the server.

use futures_util::TryStreamExt;
use milepost_core::{
    At, Commit, Kind, Message, MessageKey, NewMessage, Note, Open, Record, Renew, Snapshot, Span, Store,
};
use milepost_servers::{Counts, Proxy};
use milepost_store_postgres::{Pooler, PostgresStore};

use crate::support::{Driver, World, operation, proxy, record};

struct Counted {
    proxy: Proxy,
    store: PostgresStore,
}

fn message() -> NewMessage {
    NewMessage::new(operation(), MessageKey::from_static("k"), Kind::from_static("m"), "body")
}

impl Counted {
    /// One connection on which everything has been prepared before anything is counted.
    async fn new(pooler: Pooler) -> Self {
        let world = World::new();
        let proxy = proxy(&world.url);
        let store = world.config_at(&proxy.url()).connections(1).pooler(pooler).connect().await.unwrap();
        let mut driver = Driver::create(&store, "warm").await;
        driver.commit(driver.next().record(record("x"))).await;
        driver.commit(driver.next().records([record("x"), record("y")])).await;
        driver.commit(driver.next().snapshot(Snapshot::new(0, "state"))).await;
        store.renew(&driver.run, Renew::new(driver.fence, Open::DEFAULT_TTL)).await.unwrap();
        store.send(&driver.run, message()).await.unwrap();
        let _: Vec<Record> = store.stream(&driver.run, Span::all()).try_collect().await.unwrap();
        store.snapshot(&driver.run, At::Latest).await.unwrap();
        store.head(&driver.run).await.unwrap();
        Self { proxy, store }
    }

    async fn of<T>(&self, work: impl Future<Output = T>) -> (T, Counts) {
        let before = self.proxy.counts();
        let done = work.await;
        (done, self.proxy.counts().since(&before))
    }

    async fn every_write_is_one_trip(&self) {
        let (mut driver, open) = self.of(Driver::create(&self.store, "counted")).await;
        assert_eq!((open.trips, open.requests), (1, 1), "{open:?}");
        for commit in [
            driver.next().record(record("one")),
            driver.next().records((0..100).map(|_| record(vec![7; 1024]))),
            driver.next().snapshot(Snapshot::new(0, "state")).extend(Open::DEFAULT_TTL).advances(),
            driver.next().note(Note::new(1, None, "one").unwrap()).record(record("two")),
        ] {
            let commit = Commit { expect: driver.version, ..commit };
            let (_, counts) = self.of(driver.commit(commit)).await;
            assert_eq!((counts.trips, counts.requests), (1, 1), "{counts:?}");
        }
        let renew = Renew::new(driver.fence, Open::DEFAULT_TTL);
        let (_, counts) = self.of(self.store.renew(&driver.run, renew)).await;
        assert_eq!((counts.trips, counts.requests), (1, 1));
        let (_, counts) = self.of(self.store.send(&driver.run, message())).await;
        assert_eq!((counts.trips, counts.requests), (1, 1));
        let messages: Vec<Message> = self.store.inbox(&driver.run, Span::all()).try_collect().await.unwrap();
        assert_eq!(messages.len(), 1);
    }
}

#[tokio::test]
async fn every_write_is_one_trip_once_it_is_prepared() {
    let counted = Counted::new(Pooler::None).await;
    counted.every_write_is_one_trip().await;
    let counts = counted.proxy.counts();
    assert!(counts.of("Parse") > 0, "{counts:?}");
}

#[tokio::test]
async fn for_a_pooler_nothing_is_prepared_and_a_write_is_one_trip_too() {
    let counted = Counted::new(Pooler::Transaction).await;
    counted.every_write_is_one_trip().await;
    let counts = counted.proxy.counts();
    assert_eq!((counts.of("Parse"), counts.of("Bind")), (0, 0), "{counts:?}");
}

#[tokio::test]
async fn a_resume_is_three_trips_when_its_tail_fits_a_page() {
    let counted = Counted::new(Pooler::None).await;
    let mut driver = Driver::create(&counted.store, "resumed").await;
    driver
        .commit(driver.next().records((0..200).map(|_| record("x"))).snapshot(Snapshot::new(100, "s")))
        .await;
    let resume = Open::resume(operation()).over(driver.fence);
    let (_, counts) = counted
        .of(async {
            counted.store.open(&driver.run, resume).await.unwrap();
            counted.store.snapshot(&driver.run, At::Latest).await.unwrap();
            let tail: Vec<Record> =
                counted.store.stream(&driver.run, Span::after(100)).try_collect().await.unwrap();
            assert_eq!(tail.len(), 100);
        })
        .await;
    assert_eq!((counts.trips, counts.requests), (3, 3), "{counts:?}");
}

#[tokio::test]
async fn a_batch_is_one_statement() {
    for pooler in [Pooler::None, Pooler::Transaction] {
        let counted = Counted::new(pooler).await;
        let mut commits = Vec::new();
        for number in 0..64 {
            let driver = Driver::create(&counted.store, &format!("batched {number}")).await;
            commits.push(driver.next().record(record("x")));
        }
        let (answers, counts) = counted.of(counted.store.commit_many(commits)).await;
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!((counts.requests, counts.trips), (1, 1), "{counts:?}");
    }
}

#[tokio::test]
async fn a_page_of_large_records_is_cut_by_its_bytes() {
    let counted = Counted::new(Pooler::None).await;
    let mut driver = Driver::create(&counted.store, "large").await;
    for _ in 0..4 {
        driver.commit(driver.next().records((0..4).map(|_| record(vec![1; 900_000])))).await;
    }
    let (records, counts) =
        counted.of(counted.store.stream(&driver.run, Span::all()).try_collect::<Vec<Record>>()).await;
    assert_eq!(records.unwrap().len(), 16);
    assert_eq!(counts.requests, 8, "two a page: the second one begins below a MiB");
}
