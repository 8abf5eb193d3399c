//! Somebody else holds the row: a commit is judged by the row as that one leaves it.

use std::time::Duration;

use milepost_core::{Applied, Commit, Error, Refusal, Store};
use tokio::{task::JoinHandle, time::sleep};

use crate::support::{Driver, Raw, World, record};

/// What every other test of this file begins with: a run with its row in a transaction that has not ended.
struct Held {
    world: World,
    driver: Driver,
    holder: Raw,
}

impl Held {
    /// `change` is what the transaction does to the run `held`.
    async fn by(change: &str) -> Self {
        let world = World::new();
        let driver = Driver::create(&world.store().await, "held").await;
        let mut holder = world.raw().await;
        holder.run(&format!("BEGIN; {change}")).await;
        Self { world, driver, holder }
    }

    /// Sends a commit, and returns when the server says that it waits.
    async fn send(&self, commit: Commit) -> JoinHandle<Result<u64, Error>> {
        let store = self.driver.store.clone();
        let sent = tokio::spawn(async move { store.commit(commit).await.map(|committed| committed.cursor) });
        let mut raw = self.world.raw().await;
        let waiting = format!(
            "SELECT count(*)::bigint FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%{}%'",
            self.world.schema
        );
        while raw.one::<i64>(&waiting).await == 0 {
            assert!(!sent.is_finished(), "it did not wait");
            sleep(Duration::from_millis(5)).await;
        }
        sent
    }
}

/// A commit of one record, as the driver itself would send it.
const APPEND: &str = "SELECT {s}.append_one(id, incarnation, epoch, token, decode(repeat('ab', 32), 'hex'), version, 0, 1, \
    'state', decode(repeat('cd', 16), 'hex'), 'theirs') FROM {s}.run WHERE id = 'held'";

#[tokio::test]
async fn it_is_refused_if_the_version_has_gone_by() {
    for records in [1, 2] {
        let mut held = Held::by(APPEND).await;
        let ours = held.driver.next().records((0..records).map(|_| record("ours")));
        let sent = held.send(ours).await;
        held.holder.run("COMMIT").await;
        let error = sent.await.unwrap().unwrap_err();
        assert!(matches!(error.refusal(), Some(Refusal::Conflict { .. })), "{error:?}");
        assert_eq!(error.applied(), Some(Applied::No));
        let bodies: Vec<String> = held.holder.ask("SELECT convert_from(body, 'UTF8') FROM {s}.record").await;
        assert_eq!(bodies, ["theirs"]);
    }
}

#[tokio::test]
async fn it_holds_if_the_version_has_come() {
    for records in [1, 2] {
        let mut held = Held::by(APPEND).await;
        held.driver.version += 1;
        let ours = held.driver.next().records((0..records).map(|_| record("ours")));
        let sent = held.send(ours).await;
        held.holder.run("COMMIT").await;
        assert_eq!(sent.await.unwrap().unwrap(), 1 + records);
    }
}

#[tokio::test]
async fn it_holds_if_nothing_has_come_of_the_wait() {
    for records in [1, 2] {
        let mut held = Held::by(APPEND).await;
        let ours = held.driver.next().records((0..records).map(|_| record("ours")));
        let sent = held.send(ours).await;
        held.holder.run("ROLLBACK").await;
        assert_eq!(sent.await.unwrap().unwrap(), records);
        let sums = "SELECT count(*)::bigint FROM {s}.run WHERE cursor = (SELECT count(*) FROM {s}.record)";
        assert_eq!(held.holder.one::<i64>(sums).await, 1);
    }
}

#[tokio::test]
async fn of_a_batch_only_the_held_run_waits() {
    let mut held = Held::by(APPEND).await;
    let other = Driver::create(&held.driver.store, "free").await;
    let commits = vec![held.driver.next().record(record("ours")), other.next().record(record("free"))];
    let store = held.driver.store.clone();
    let sent = tokio::spawn(async move { store.commit_many(commits).await });
    let mut raw = held.world.raw().await;
    while raw.one::<i64>("SELECT count(*)::bigint FROM {s}.record WHERE body = 'free'").await == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    assert!(!sent.is_finished());
    held.holder.run("COMMIT").await;
    let answers = sent.await.unwrap();
    assert!(answers[0].is_err() && answers[1].is_ok(), "{answers:?}");
}
