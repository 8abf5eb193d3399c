//! What a commit costs the server: updates that stay on their page, and bytes of its log.

use std::time::Duration;

use milepost_core::{Open, Store};

use crate::support::{Driver, Raw, World, create, record, run};

const COMMITS: i64 = 300;

async fn updates(raw: &mut Raw) -> (i64, i64) {
    // Statistics are told by each session now and then; those of this one are read anew.
    raw.run("SELECT pg_stat_clear_snapshot()").await;
    let of = |column: &str| {
        format!(
            "SELECT {column}::bigint FROM pg_stat_user_tables WHERE schemaname = '{{s}}' AND relname = 'run'"
        )
    };
    (raw.one(&of("n_tup_upd")).await, raw.one(&of("n_tup_hot_upd")).await)
}

#[tokio::test]
async fn updates_of_a_run_stay_on_its_page() {
    let world = World::new();
    let store = world.config().connections(1).connect().await.unwrap();
    let mut raw = world.raw().await;
    let mut driver = Driver::create(&store, "hot").await;
    for _ in 0..COMMITS {
        driver.commit(driver.next().record(record(vec![7; 1024])).extend(Open::DEFAULT_TTL)).await;
    }
    store.close().await.unwrap();
    let mut seen = (0, 0);
    for _ in 0..100 {
        seen = updates(&mut raw).await;
        if seen.0 >= COMMITS {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (all, hot) = seen;
    assert!(all >= COMMITS, "the server tells of {all} updates");
    assert!(hot * 100 >= all * 99, "{hot} of {all} stayed on their page");
}

/// Bytes of log that a commit takes beside its body, on average, without the whole pages that follow a checkpoint.
async fn log_per_commit(body: usize) -> i64 {
    let world = World::on(&{
        // Others would be measured too on the server that all tests share.
        let server = Box::leak(Box::new(
            milepost_servers::Postgres::options().setting("full_page_writes", "off").start().unwrap(),
        ));
        milepost_servers::Server::url(server)
    });
    let store = world.config().connections(1).connect().await.unwrap();
    let mut raw = world.raw().await;
    store.open(&run("other"), create()).await.unwrap();
    let mut driver = Driver::create(&store, "measured").await;
    driver.commit(driver.next().record(record(vec![7; body]))).await;
    let before: String = raw.one("SELECT pg_current_wal_insert_lsn()::text").await;
    for _ in 0..COMMITS {
        driver.commit(driver.next().record(record(vec![7; body]))).await;
    }
    let sql = format!("SELECT (pg_current_wal_insert_lsn() - '{before}'::pg_lsn)::bigint");
    raw.one::<i64>(&sql).await / COMMITS - body as i64
}

#[tokio::test]
async fn a_commit_takes_less_than_500_bytes_of_log_beside_its_body() {
    let spent = log_per_commit(64).await;
    assert!((1..500).contains(&spent), "{spent} bytes");
}
