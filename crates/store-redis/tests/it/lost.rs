//! Lost replies and lost requests: whatever gets lost, sending the same again settles it.

use std::time::Duration;

use futures_util::TryStreamExt;
use milepost_core::{Commit, Open, Record, Span, Store};
use milepost_servers::{Loss, Proxy, RedisCluster};
use milepost_store_redis::RedisStore;
use milepost_store_tests::lost::{self, settled};

use crate::support::{World, create, operation, proxy, record, run};

/// Opens a run and commits 50 times to it, each of these 51 writes lost once on its way through whichever proxy it takes.
async fn lossy(store: &RedisStore, proxies: &[Proxy], loss: fn(u64) -> Loss) {
    const COMMITS: u64 = 50;
    let run = run("lossy");
    let lose = || proxies.iter().for_each(|proxy| proxy.lose(loss(1).to("EVALSHA")));
    lose();
    let open: Open = create();
    let opened = settled(|| store.open(&run, open.clone())).await;
    let mut version = opened.head.version;
    for number in 1..=COMMITS {
        let next = Commit::new(run.clone(), opened.fence, operation(), version);
        let commit = next.record(record(number.to_string()));
        lose();
        version = settled(|| store.commit(commit.clone())).await.version;
    }
    assert_eq!(proxies.iter().map(Proxy::lost).sum::<u64>(), COMMITS + 1);
    proxies.iter().for_each(Proxy::lose_nothing);
    let records: Vec<Record> = store.stream(&run, Span::all()).try_collect().await.unwrap();
    let bodies: Vec<String> =
        records.iter().map(|record| String::from_utf8(record.body.to_vec()).unwrap()).collect();
    assert_eq!(bodies, (1..=COMMITS).map(|number| number.to_string()).collect::<Vec<_>>());
    let head = store.head(&run).await.unwrap().unwrap();
    assert_eq!((head.version, head.fence), (COMMITS + 1, opened.fence));
}

async fn run_with(loss: fn(u64) -> Loss) {
    let world = World::new();
    let proxy = proxy(&world.url);
    let store = world.config_at(&proxy.url()).connect().await.unwrap();
    lossy(&store, &[proxy], loss).await;
}

/// On a cluster whose nodes say that they are where their proxies are.
async fn run_on_cluster_with(loss: fn(u64) -> Loss) {
    let cluster = RedisCluster::start().unwrap();
    let urls: Vec<String> = cluster.addresses().iter().map(|address| format!("redis://{address}")).collect();
    let proxies: Vec<Proxy> = urls.iter().map(|url| proxy(url)).collect();
    let ports: Vec<String> =
        proxies.iter().map(|proxy| proxy.url().rsplit_once(':').unwrap().1.to_owned()).collect();
    let mut nodes = Vec::new();
    for (url, port) in urls.iter().zip(&ports) {
        let mut node = World::on(url).raw().await;
        let () = node.ask(&[b"CONFIG", b"SET", b"cluster-announce-port", port.as_bytes()]).await;
        nodes.push(node);
    }
    // Until each of them has heard of all the others.
    for node in &mut nodes {
        loop {
            let known: String = node.ask(&[b"CLUSTER", b"NODES"]).await;
            if ports.iter().all(|port| known.contains(&format!(":{port}@"))) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let world = World::on(&proxies[0].url());
    let store = world.config().cluster(true).connect().await.unwrap();
    lossy(&store, &proxies, loss).await;
}

#[tokio::test]
async fn a_run_whose_every_reply_is_lost_is_exact() {
    run_with(Loss::reply).await;
}

#[tokio::test]
async fn a_run_whose_every_request_is_lost_is_exact() {
    run_with(Loss::request).await;
}

#[tokio::test]
async fn a_run_on_a_cluster_whose_every_reply_is_lost_is_exact() {
    run_on_cluster_with(Loss::reply).await;
}

#[tokio::test]
async fn a_run_on_a_cluster_whose_every_request_is_lost_is_exact() {
    run_on_cluster_with(Loss::request).await;
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
    let config = world.config_at(&proxy.url()).timeout(Duration::from_millis(300));
    lost::silent(&config.connect().await.unwrap(), &proxy).await;
}
