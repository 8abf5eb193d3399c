//! Requests, counted by a proxy in front of the server.

use futures_util::TryStreamExt;
use milepost_core::{At, Open, Record, Renew, Snapshot, Span, Store};
use milepost_servers::{Counts, Proxy};
use milepost_store_s3::S3Store;

use crate::support::{Bucket, Driver, operation, record};

struct Counted {
    bucket: Bucket,
    proxy: Proxy,
    url: String,
    store: S3Store,
}

impl Counted {
    async fn new() -> Self {
        let bucket = Bucket::new();
        let (proxy, url) = bucket.proxy();
        let store = bucket.config_at(&url).connect().await.unwrap();
        Self { bucket, proxy, url, store }
    }

    /// A handle that knows nothing yet.
    async fn anew(&self) -> S3Store {
        self.bucket.config_at(&self.url).connect().await.unwrap()
    }

    async fn of<T>(&self, work: impl Future<Output = T>) -> (T, Counts) {
        let before = self.proxy.counts();
        let done = work.await;
        (done, self.proxy.counts().since(&before))
    }
}

fn puts_and_gets(counts: &Counts) -> (u64, u64, u64) {
    (counts.of("PUT"), counts.of("GET"), counts.requests)
}

#[tokio::test]
async fn a_commit_is_one_put_and_so_is_a_renewal() {
    let counted = Counted::new().await;
    let mut driver = Driver::create(&counted.store, "counted").await;
    for commit in [
        driver.next().record(record("one")),
        driver.next().records((0..100).map(|_| record(vec![7; 1024]))),
        driver.next().snapshot(Snapshot::new(0, vec![7; 200 << 10])).extend(Open::DEFAULT_TTL).advances(),
    ] {
        let commit = milepost_core::Commit { expect: driver.version, ..commit };
        let (_, counts) = counted.of(driver.commit(commit)).await;
        assert_eq!(puts_and_gets(&counts), (1, 0, 1));
    }
    let renew = Renew::new(driver.fence, Open::DEFAULT_TTL);
    let (_, counts) = counted.of(counted.store.renew(&driver.run, renew)).await;
    assert_eq!(puts_and_gets(&counts), (1, 0, 1));
}

#[tokio::test]
async fn a_batch_is_one_put_a_commit() {
    let counted = Counted::new().await;
    let mut commits = Vec::new();
    for number in 0..16 {
        let driver = Driver::create(&counted.store, &format!("batched {number}")).await;
        commits.push(driver.next().record(record("x")));
    }
    let (answers, counts) = counted.of(counted.store.commit_many(commits)).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(puts_and_gets(&counts), (16, 0, 16));
}

#[tokio::test]
async fn an_open_is_one_listing_then_reads_and_one_put() {
    let counted = Counted::new().await;
    let mut driver = Driver::create(&counted.store, "resumed").await;
    for _ in 0..9 {
        driver.commit(driver.next().record(record("x"))).await;
    }
    let anew = counted.anew().await;
    let resume = Open::resume(operation()).over(driver.fence);
    let (_, counts) = counted.of(anew.open(&driver.run, resume)).await;
    // The listing, ten entries, and the entry of the open: a takeover makes nothing due earlier and files no hint.
    assert_eq!(puts_and_gets(&counts), (1, 11, 12));
    // A run that nobody has: the listing, the hint and the entry.
    let (_, counts) = counted.of(Driver::create(&anew, "created")).await;
    assert_eq!(puts_and_gets(&counts), (2, 1, 3));
}

#[tokio::test]
async fn a_long_run_is_read_from_its_base() {
    let counted = Counted::new().await;
    let mut driver = Driver::create(&counted.store, "long").await;
    for number in 0..200u64 {
        driver.commit(driver.next().record(record(number.to_string()))).await;
    }
    let anew = counted.anew().await;
    let (head, counts) = counted.of(anew.head(&driver.run)).await;
    assert_eq!(head.unwrap().unwrap().cursor, 200);
    assert!(counts.requests <= 1 + 1 + 64, "{counts:?}");
    let records: Vec<Record> = anew.stream(&driver.run, Span::all()).try_collect().await.unwrap();
    assert!(
        records.iter().map(|record| record.body.clone()).eq((0..200u64).map(|number| number.to_string()))
    );
}

#[tokio::test]
async fn a_large_body_is_put_first_and_in_pieces() {
    let mut counted = Counted::new().await;
    // Other tests keep the server busy.
    counted.url.push_str("&timeout=60s");
    let mut driver = Driver::create(&counted.anew().await, "large").await;
    let state = vec![5; 12 << 20];
    let (_, counts) =
        counted.of(driver.commit(driver.next().snapshot(Snapshot::new(0, state.clone())))).await;
    // Three pieces and the entry.
    assert_eq!((counts.of("PUT"), counts.of("POST")), (4, 2));
    let snapshot = counted.anew().await.snapshot(&driver.run, At::Latest).await.unwrap().unwrap();
    assert!(snapshot.body == state);
}
