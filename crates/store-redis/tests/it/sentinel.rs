//! Sentinels, for real: a master dies, its replica takes over, and handles find it.

use milepost_core::{ErrorKind, Store};
use milepost_servers::{Redis, RedisSentinel, Server};
use milepost_store_redis::{RedisConfig, RedisStore};

use crate::{
    replicas::until,
    support::{Driver, World, record},
};

/// A master with a replica, and who watches them.
struct Watched {
    master: Redis,
    replica: Redis,
    sentinel: RedisSentinel,
    world: World,
}

impl Watched {
    async fn start() -> Self {
        let master = Redis::start().unwrap();
        let replica = Redis::options().replica_of(&master).start().unwrap();
        let world = World::on(&master.url());
        let mut raw = world.raw().await;
        until("the replica is in step", async || raw.ask::<i64>(&[b"WAIT", b"1", b"100"]).await == 1).await;
        // It asks the master once for its replicas, and then not for ten seconds.
        let sentinel = RedisSentinel::watching(&master).unwrap();
        let mut asked = World::on(&format!("redis://{}", sentinel.address())).raw().await;
        until("the sentinel knows the replica", async || {
            asked.ask::<String>(&[b"INFO", b"sentinel"]).await.contains("status=ok,")
                && asked.ask::<String>(&[b"INFO", b"sentinel"]).await.contains("slaves=1")
        })
        .await;
        Self { master, replica, sentinel, world }
    }

    async fn store(&self, parameters: &str) -> RedisStore {
        let url = format!("{}?prefix={}{parameters}", self.sentinel.url(), self.world.prefix);
        RedisConfig::from_url(&url).unwrap().prepare_on_connect(true).connect().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_takes_over_with_everything_that_it_had_confirmed() {
    let watched = Watched::start().await;
    let (sure, quick) = (watched.store("&wait=1&wait_timeout=20s").await, watched.store("").await);
    let mut driver = Driver::create(&sure, "moved").await;
    for _ in 0..5 {
        driver.commit(driver.next().record(record("x"))).await;
    }
    assert_eq!(quick.head(&driver.run).await.unwrap().unwrap().version, 6);
    watched.master.kill().unwrap();
    until("the replica takes over", async || match quick.head(&driver.run).await {
        Ok(head) => head.unwrap().version == 6,
        Err(error) => {
            assert!(error.kind().is_transient(), "{error:?}");
            false
        }
    })
    .await;
    let mut quickly = Driver { store: quick.clone(), run: driver.run.clone(), ..driver };
    assert_eq!(quickly.commit(quickly.next().record(record("y"))).await.cursor, 6);
    // The new master gets a replica, and acknowledgements wait for that one.
    let _next = Redis::options().replica_of(&watched.replica).start().unwrap();
    let commit = quickly.next().record(record("z"));
    let committed = sure.commit(commit).await;
    assert_eq!(committed.unwrap().cursor, 7);
}

/// What no replica had is gone with the master, and a handle that has seen it says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_takes_over_with_less_is_told_to_have_set_the_run_back() {
    let watched = Watched::start().await;
    let store = watched.store("").await;
    let mut driver = Driver::create(&store, "set back").await;
    driver.commit(driver.next().record(record("copied"))).await;
    let mut replica = World::on(&watched.replica.url()).raw().await;
    let (url, prefix) = (watched.replica.url(), &watched.world.prefix);
    let copy = format!("{url}?prefix={prefix}");
    until("the replica has it", async || {
        let Ok(copy) = RedisStore::connect(&copy).await else { return false };
        copy.head(&driver.run).await.unwrap().is_some_and(|head| head.version == 2)
    })
    .await;
    // It hears nothing any more, and is there.
    let () = replica.ask(&[b"CONFIG", b"SET", b"masterauth", b"nobody"]).await;
    let () = replica.ask(&[b"CLIENT", b"KILL", b"TYPE", b"master"]).await;
    driver.commit(driver.next().record(record("lost"))).await;
    watched.master.kill().unwrap();
    let mut told = None;
    until("the replica takes over", async || match store.head(&driver.run).await {
        Err(error) if error.kind().is_transient() => false,
        answer => {
            told = Some(answer);
            true
        }
    })
    .await;
    let error = told.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SetBack, "{error:?}");
    let error = store.commit(driver.next().record(record("on"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SetBack, "{error:?}");
}
