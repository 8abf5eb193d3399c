//! What an acknowledgement waits for: replicas that have the write, and disks.

use std::process::Command;

use milepost_core::{Applied, Commit, Committed, Durability, ErrorKind, Result, Store};
use milepost_servers::{Redis, Server};
use milepost_store_redis::{RedisConfig, RedisStore};

use crate::support::{Driver, World, create, record, run};

/// Has a server do nothing, or go on.
fn signal(server: &Redis, signal: &str) {
    let process = server.process().unwrap().to_string();
    assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
}

/// The world of a master, with acknowledgements that wait.
struct Waiting {
    world: World,
    cluster: bool,
    /// `wait=1`, for instance.
    what: &'static str,
}

impl Waiting {
    async fn store(&self, patience: &str) -> RedisStore {
        let url =
            format!("{}?{}&wait_timeout={patience}&prefix={}", self.world.url, self.what, self.world.prefix);
        let config = RedisConfig::from_url(&url).unwrap().prepare_on_connect(true).cluster(self.cluster);
        config.connect().await.unwrap()
    }

    /// A handle that has not done anything yet.
    async fn commit_anew(&self, patience: &str, commit: &Commit) -> Result<Committed> {
        self.store(patience).await.commit(commit.clone()).await
    }

    /// While the replica does nothing no commit is acknowledged, whoever asks again and by whatever connection; when it goes
    /// on, the same commit is.
    async fn holds_while(&self, replica: &Redis) {
        let store = self.store("20s").await;
        assert_eq!(store.capabilities().durability, Durability::Replicated);
        let mut driver = Driver::create(&store, "copied").await;
        driver.commit(driver.next().record(record("before"))).await;
        signal(replica, "-STOP");
        let commit = driver.next().record(record("after"));
        for _ in 0..3 {
            let error = self.commit_anew("200ms", &commit).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.applied()),
                (ErrorKind::TimedOut, Some(Applied::Maybe)),
                "{error:?}"
            );
        }
        signal(replica, "-CONT");
        let committed = self.commit_anew("20s", &commit).await.unwrap();
        assert_eq!((committed.version, committed.cursor, committed.replayed), (3, 2, true), "{}", self.what);
    }
}

#[tokio::test]
async fn a_write_is_acknowledged_once_replicas_have_it() {
    for (options, what) in [
        (Redis::options(), "wait=1"),
        (Redis::options().valkey(), "wait=1"),
        (Redis::options().valkey(), "waitaof=1,1"),
    ] {
        let master = options.clone().start().unwrap();
        let replica = options.replica_of(&master).start().unwrap();
        let waiting = Waiting { world: World::on(&master.url()), cluster: false, what };
        waiting.holds_while(&replica).await;
        // What was acknowledged stands on the replica.
        let copied = RedisStore::connect(&format!("{}?prefix={}", replica.url(), waiting.world.prefix)).await;
        assert_eq!(copied.unwrap().head(&run("copied")).await.unwrap().unwrap().version, 3);
    }
}

/// Two nodes of Valkey: one with every slot, one that copies it.
#[tokio::test]
async fn a_write_to_a_cluster_is_acknowledged_once_replicas_have_it() {
    let node = || Redis::options().valkey().setting("cluster-enabled", "yes").start().unwrap();
    let (master, replica) = (node(), node());
    let (world, mut copy) = (World::on(&master.url()), World::on(&replica.url()).raw().await);
    let mut raw = world.raw().await;
    let () = raw.ask(&[b"CLUSTER", b"ADDSLOTSRANGE", b"0", b"16383"]).await;
    let port = replica.address().port().to_string();
    let () = raw.ask(&[b"CLUSTER", b"MEET", b"127.0.0.1", port.as_bytes()]).await;
    let name: String = raw.ask(&[b"CLUSTER", b"MYID"]).await;
    until("the nodes know each other", async || {
        copy.ask::<String>(&[b"CLUSTER", b"NODES"]).await.contains(&name)
    })
    .await;
    let () = copy.ask(&[b"CLUSTER", b"REPLICATE", name.as_bytes()]).await;
    until("the replica is in step", async || raw.ask::<i64>(&[b"WAIT", b"1", b"100"]).await == 1).await;
    until("the cluster is up", async || {
        raw.ask::<String>(&[b"CLUSTER", b"INFO"]).await.contains("cluster_state:ok")
    })
    .await;
    let waiting = Waiting { world, cluster: true, what: "wait=1" };
    waiting.holds_while(&replica).await;
    until("the marks are gone", async || {
        !waiting.world.raw().await.keys().await.iter().any(|key| key.ends_with(b":mark"))
    })
    .await;
}

/// Waits for what comes by itself.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if holds().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("it does not come: {what}");
}

/// A server that goes to its disk once a second, and acknowledgements that wait for that.
#[tokio::test]
async fn a_write_is_acknowledged_once_the_disk_has_it() {
    let server = Redis::options().valkey().setting("appendfsync", "everysec").start().unwrap();
    let waiting = Waiting { world: World::on(&server.url()), cluster: false, what: "waitaof=1,0" };
    assert_eq!(waiting.world.store().await.capabilities().durability, Durability::Buffered);
    let store = waiting.store("20s").await;
    assert_eq!(store.capabilities().durability, Durability::Fsync);
    let mut driver = Driver::create(&store, "on disk").await;
    for version in 2..5 {
        driver.commit(driver.next().record(record("x"))).await;
        server.restart().unwrap();
        assert_eq!(store.head(&driver.run).await.unwrap().unwrap().version, version);
    }
}

#[tokio::test]
async fn too_few_replicas_leave_a_write_open() {
    let server = Redis::start().unwrap();
    let waiting = Waiting { world: World::on(&server.url()), cluster: false, what: "wait=1" };
    let store = waiting.store("50ms").await;
    let error = store.open(&run("alone"), create()).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::TimedOut, Some(Applied::Maybe)), "{error:?}");
    assert!(error.to_string().contains("wait_timeout"), "{error}");
}

/// A user who may not do what the wait needs gets no acknowledgement by mistake.
#[tokio::test]
async fn a_wait_that_is_refused_confirms_nothing() {
    let server = Redis::start().unwrap();
    let (world, mut raw) = (World::on(&server.url()), World::on(&server.url()).raw().await);
    for right in ["-publish", "-wait"] {
        let () = raw
            .ask(&[
                b"ACL",
                b"SETUSER",
                b"worker",
                b"reset",
                b"on",
                b"nopass",
                b"~*",
                b"&*",
                b"+@all",
                right.as_bytes(),
            ])
            .await;
        let url = world.url.replacen("redis://", "redis://worker:x@", 1);
        let config = world.config_at(&format!("{url}?wait=0"));
        let error = config.connect().await.unwrap().open(&run("refused"), create()).await.unwrap_err();
        assert_eq!((error.kind(), error.applied()), (ErrorKind::TimedOut, Some(Applied::Maybe)), "{error:?}");
        assert!(format!("{error:?}").contains("NoPerm"), "{error:?}");
    }
}
