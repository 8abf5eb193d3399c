//! Commits per second on Redis, against a raw script that does one HSET and one XADD, through the same driver, each side
//! over one connection, on a server that syncs once a second.

use std::{error::Error, sync::Arc};

use milepost::{Commit, Ids, Kind, Manifest, NewRecord, Open, Opened, RunId, RunInfo, Store, SystemIds};
use milepost_servers::{Redis, Server};
use redis::aio::MultiplexedConnection;

use crate::{
    row::Row,
    timing::{median, now},
};

const BODY: usize = 1 << 10;
const TURN: u64 = 4_000;
const RUNS: u64 = 50;

/// The least that a commit by script can cost.
const RAW: &str = "redis.call('HSET', KEYS[1], 'cursor', ARGV[1], 'version', ARGV[1]) \
    redis.call('XADD', KEYS[2], '*', 'body', ARGV[2]) return 1";

type Failure = Box<dyn Error + Send + Sync>;

/// Calls the raw script so often.
async fn call(
    mut connection: MultiplexedConnection,
    sha: String,
    number: u64,
    calls: u64,
) -> redis::RedisResult<()> {
    let body = vec![7u8; BODY];
    for call in 0..calls {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&sha).arg(2).arg(format!("{{raw:{number}}}h")).arg(format!("{{raw:{number}}}l"));
        let _: i64 = command.arg(call).arg(&body[..]).query_async(&mut connection).await?;
    }
    Ok(())
}

/// Raw calls a second, of so many callers at once.
async fn raw_turn(connection: &MultiplexedConnection, sha: &str, callers: u64) -> Result<f64, Failure> {
    let each = TURN / callers.min(4);
    let began = now();
    let spawn = |number| tokio::spawn(call(connection.clone(), sha.to_owned(), number, each));
    let tasks: Vec<_> = (0..callers).map(spawn).collect();
    for task in tasks {
        task.await??;
    }
    Ok((each * callers) as f64 / began.elapsed().as_secs_f64())
}

/// Commits one record of 1 KiB at a time to one run.
async fn drive(store: Arc<dyn Store>, mut opened: Opened, commits: u64) -> milepost::Result<Opened> {
    for _ in 0..commits {
        let run = opened.head.run.clone();
        let commit = Commit::new(run, opened.fence, SystemIds.operation(), opened.head.version)
            .record(NewRecord::new(Kind::from_static("row"), vec![7u8; BODY]));
        opened.head.version = store.commit(commit).await?.version;
    }
    Ok(opened)
}

/// Commits a second, of so many runs at once.
async fn turn(store: &Arc<dyn Store>, runs: &mut Vec<Opened>) -> Result<f64, Failure> {
    let count = runs.len() as u64;
    let each = TURN / count.min(4);
    let began = now();
    let tasks: Vec<_> =
        runs.drain(..).map(|opened| tokio::spawn(drive(store.clone(), opened, each))).collect();
    for task in tasks {
        runs.push(task.await??);
    }
    Ok((each * count) as f64 / began.elapsed().as_secs_f64())
}

pub(crate) async fn rows(turns: usize) -> Result<Vec<Row>, Failure> {
    let server = Redis::options().setting("appendfsync", "everysec").start()?;
    let url = format!("{}?prepare=1", server.url());
    let store = milepost::connect(&url).await?;
    let client = redis::Client::open(server.url())?;
    let mut raw = client.get_multiplexed_async_connection().await?;
    let sha: String = redis::cmd("SCRIPT").arg("LOAD").arg(RAW).query_async(&mut raw).await?;
    let mut many = Vec::new();
    for number in 0..=RUNS {
        let open = Open::create(SystemIds.operation(), RunInfo::named("bench"), Manifest::of(b"bench"));
        many.push(store.open(&RunId::new(format!("run {number}"))?, open).await?);
    }
    let mut one = vec![many.remove(0)];

    let mut measured: [Vec<f64>; 4] = Default::default();
    for turn_number in 0..=turns {
        let figures = [
            raw_turn(&raw, &sha, 1).await?,
            turn(&store, &mut one).await?,
            raw_turn(&raw, &sha, RUNS).await?,
            turn(&store, &mut many).await?,
        ];
        // The first turn warms caches and scripts up.
        if turn_number > 0 {
            measured.iter_mut().zip(figures).for_each(|(all, figure)| all.push(figure));
        }
    }
    store.close().await?;
    let [raw_one, one, raw_many, many] = measured;
    let row = |name: &'static str, ours: Vec<f64>, floors: Vec<f64>| {
        let ratio = median(ours.iter().zip(&floors).map(|(ours, floor)| ours / floor).collect());
        Row::figure("redis", name, median(ours), "/s").against(median(floors), ratio).budget(">= 0.8")
    };
    Ok(vec![
        row("commit 1 KiB, everysec, 1 run", one, raw_one),
        row("commit 1 KiB, everysec, 50 runs at once", many, raw_many),
    ])
}
