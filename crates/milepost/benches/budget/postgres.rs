//! Commits on PostgreSQL against raw one-row INSERTs through the same driver, and the first page of a long listing.

use std::{error::Error, sync::Arc, time::Duration};

use futures_util::TryStreamExt;
use milepost::{
    Commit, Head, Ids, Kind, Manifest, NewRecord, Open, Opened, Query, RunId, RunInfo, Store, SystemIds,
};
use milepost_servers::{Postgres, Server};
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::{
    row::Row,
    timing::{median, millis, now},
};

const BODY: usize = 1 << 10;
/// Commits of a turn of one run, and of many runs together.
const ALONE: u64 = 1_000;
const TOGETHER: u64 = 8_000;
/// Connections of both sides.
const CONNECTIONS: u64 = 16;
/// Runs of the long listing.
const RUNS: u64 = 100_000;

type Failure = Box<dyn Error + Send + Sync>;

/// Inserts one row at a time; gives how long each took, in microseconds.
async fn insert(connection: &mut PgConnection, rows: u64) -> Result<Vec<f64>, Failure> {
    let (body, mut took) = (vec![7u8; BODY], Vec::with_capacity(rows as usize));
    for _ in 0..rows {
        let began = now();
        sqlx::query("INSERT INTO raw (body) VALUES ($1)").bind(&body[..]).execute(&mut *connection).await?;
        took.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(took)
}

/// Raw rows a second, of so many connections at once.
async fn raw_turn(raw: &mut Vec<PgConnection>, connections: u64) -> Result<f64, Failure> {
    let each = TOGETHER / connections;
    let began = now();
    let spawn = |mut connection: PgConnection| {
        tokio::spawn(async move { insert(&mut connection, each).await.map(|_| connection) })
    };
    let tasks: Vec<_> = raw.drain(..connections as usize).map(spawn).collect();
    for task in tasks {
        raw.push(task.await??);
    }
    Ok((each * connections) as f64 / began.elapsed().as_secs_f64())
}

/// Commits one record of 1 KiB at a time to one run; gives how long each took, in microseconds.
async fn drive(
    store: Arc<dyn Store>,
    mut opened: Opened,
    commits: u64,
) -> milepost::Result<(Opened, Vec<f64>)> {
    let mut took = Vec::with_capacity(commits as usize);
    for _ in 0..commits {
        let run = opened.head.run.clone();
        let commit = Commit::new(run, opened.fence, SystemIds.operation(), opened.head.version)
            .record(NewRecord::new(Kind::from_static("row"), vec![7u8; BODY]));
        let began = now();
        opened.head.version = store.commit(commit).await?.version;
        took.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok((opened, took))
}

/// Commits a second, of so many runs at once.
async fn turn(store: &Arc<dyn Store>, runs: &mut Vec<Opened>) -> Result<f64, Failure> {
    let count = runs.len() as u64;
    let each = TOGETHER / count;
    let began = now();
    let tasks: Vec<_> =
        runs.drain(..).map(|opened| tokio::spawn(drive(store.clone(), opened, each))).collect();
    for task in tasks {
        runs.push(task.await??.0);
    }
    Ok((each * count) as f64 / began.elapsed().as_secs_f64())
}

/// The p50 of one writer, ours against the raw INSERT.
async fn alone(
    store: &Arc<dyn Store>,
    raw: &mut PgConnection,
    mut run: Opened,
    turns: usize,
) -> Result<Row, Failure> {
    let (mut floors, mut ours) = (Vec::new(), Vec::new());
    for turn_number in 0..=turns {
        let floor = median(insert(raw, ALONE).await?);
        let took;
        (run, took) = drive(store.clone(), run, ALONE).await?;
        // The first turn warms caches and statements up.
        if turn_number > 0 {
            floors.push(floor);
            ours.push(median(took));
        }
    }
    let ratio = median(ours.iter().zip(&floors).map(|(ours, floor)| ours / floor).collect());
    Ok(Row::figure("postgres", "commit 1 KiB, 1 run, p50", median(ours), "µs")
        .against(median(floors), ratio)
        .budget("<= 1.4"))
}

/// The rates of many writers.
async fn together(
    store: &Arc<dyn Store>,
    raw: &mut Vec<PgConnection>,
    runs: &mut Vec<Opened>,
    turns: usize,
    (name, budget): (&'static str, &'static str),
) -> Result<Row, Failure> {
    let (mut floors, mut ours) = (Vec::new(), Vec::new());
    for turn_number in 0..=turns {
        let figures = (raw_turn(raw, CONNECTIONS).await?, turn(store, runs).await?);
        if turn_number > 0 {
            floors.push(figures.0);
            ours.push(figures.1);
        }
    }
    let ratio = median(ours.iter().zip(&floors).map(|(ours, floor)| ours / floor).collect());
    Ok(Row::figure("postgres", name, median(ours), "/s").against(median(floors), ratio).budget(budget))
}

/// The first page of a listing of many interrupted runs.
async fn listing(url: &str, raw: &mut PgConnection, turns: usize) -> Result<Row, Failure> {
    let store = milepost::connect(&format!("{url}?schema=listed&prepare=1&connections=16")).await?;
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in (writer..RUNS).step_by(CONNECTIONS as usize) {
                    let open =
                        Open::create(SystemIds.operation(), RunInfo::named("bench"), Manifest::of(b"bench"));
                    let open = open.ttl(Duration::from_millis(1));
                    store.open(&RunId::new(format!("run {number:06}"))?, open).await?;
                }
                Ok::<_, milepost::Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    raw.execute("ANALYZE listed.run; ANALYZE listed.info").await?;
    let mut took = Vec::new();
    for turn_number in 0..=turns {
        let began = now();
        let mut page = store.list(Query::interrupted());
        let first: Option<Head> = page.try_next().await?;
        let elapsed = millis(began.elapsed());
        if first.is_none() {
            return Err("nothing is interrupted".into());
        }
        if turn_number > 0 {
            took.push(elapsed);
        }
    }
    store.close().await?;
    Ok(Row::figure("postgres", "first page of 100,000 interrupted runs", median(took), "ms").budget("<= 10"))
}

pub(crate) async fn rows(turns: usize) -> Result<Vec<Row>, Failure> {
    let server = Postgres::start()?;
    let url = server.url();
    let store = milepost::connect(&format!("{url}?prepare=1&connections={CONNECTIONS}")).await?;
    let mut raw = Vec::new();
    for _ in 0..CONNECTIONS {
        raw.push(PgConnection::connect(&url).await?);
    }
    raw[0].execute("CREATE TABLE raw (id bigserial PRIMARY KEY, body bytea NOT NULL)").await?;
    raw[0].execute("ALTER TABLE raw ALTER body SET STORAGE EXTERNAL").await?;
    let mut runs = Vec::new();
    for number in 0..=64 + CONNECTIONS {
        let open = Open::create(SystemIds.operation(), RunInfo::named("bench"), Manifest::of(b"bench"));
        runs.push(store.open(&RunId::new(format!("run {number}"))?, open).await?);
    }
    let one = runs.remove(0);
    let mut sixteen = runs.split_off(64);
    let (few, many) =
        (("commit 1 KiB, 16 runs at once", ">= 0.9"), ("commit 1 KiB, 64 runs at once", ">= 1.2"));
    let rows = vec![
        alone(&store, &mut raw[0], one, turns).await?,
        together(&store, &mut raw, &mut sixteen, turns, few).await?,
        together(&store, &mut raw, &mut runs, turns, many).await?,
        listing(&url, &mut raw[0], turns).await?,
    ];
    store.close().await?;
    Ok(rows)
}
