//! Commits per second on SQLite, against one-row transactions through the same driver with the same settings, both in
//! spawned tasks: a task on the main thread is woken more cheaply than one on a worker.

use std::{error::Error, path::Path, sync::Arc};

use milepost::{Commit, Ids, Kind, Manifest, NewRecord, Open, Opened, RunId, RunInfo, Store, SystemIds};
use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::{
    row::Row,
    timing::{median, now},
};

const BODY: usize = 1 << 10;
const TURN: u64 = 1_000;
const RUNS: u64 = 64;

/// A table of bodies, and one connection that inserts a row a transaction: the least that durable work can cost.
struct Raw(SqliteConnection);

impl Raw {
    async fn connect(path: &Path) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .disable_statement_logging();
        let mut connection = options.connect().await?;
        sqlx::query("CREATE TABLE raw (id INTEGER PRIMARY KEY, body BLOB NOT NULL)")
            .execute(&mut connection)
            .await?;
        Ok(Self(connection))
    }

    /// Transactions a second.
    async fn turn(&mut self) -> Result<f64, sqlx::Error> {
        let body = vec![7u8; BODY];
        let began = now();
        for _ in 0..TURN {
            sqlx::query("INSERT INTO raw (body) VALUES (?)").bind(&body[..]).execute(&mut self.0).await?;
        }
        Ok(TURN as f64 / began.elapsed().as_secs_f64())
    }
}

/// Commits one record of 1 KiB at a time to one run.
async fn drive(store: Arc<dyn Store>, opened: &mut Opened, commits: u64) -> milepost::Result<()> {
    for _ in 0..commits {
        let commit =
            Commit::new(opened.head.run.clone(), opened.fence, SystemIds.operation(), opened.head.version)
                .record(NewRecord::new(Kind::from_static("row"), vec![7u8; BODY]));
        opened.head.version = store.commit(commit).await?.version;
    }
    Ok(())
}

/// Commits a second of so many runs at once.
async fn turn(store: &Arc<dyn Store>, runs: &mut Vec<Opened>) -> Result<f64, Box<dyn Error + Send + Sync>> {
    let each = TURN.div_ceil(runs.len() as u64).max(TURN / 10);
    let began = now();
    let tasks: Vec<_> = runs
        .drain(..)
        .map(|mut opened| {
            let store = store.clone();
            tokio::spawn(async move { drive(store, &mut opened, each).await.map(|()| opened) })
        })
        .collect();
    let commits = each * tasks.len() as u64;
    for task in tasks {
        runs.push(task.await??);
    }
    Ok(commits as f64 / began.elapsed().as_secs_f64())
}

pub(crate) async fn rows(turns: usize) -> Result<Vec<Row>, Box<dyn Error + Send + Sync>> {
    let folder = tempfile::tempdir()?;
    let mut raw = Raw::connect(&folder.path().join("raw.db")).await?;
    let store = milepost::connect(&format!("sqlite:{}", folder.path().join("runs.db").display())).await?;
    let mut runs = Vec::new();
    for number in 0..=RUNS {
        let open = Open::create(SystemIds.operation(), RunInfo::named("bench"), Manifest::of(b"bench"));
        runs.push(store.open(&RunId::new(format!("run {number}"))?, open).await?);
    }
    let mut one = vec![runs.remove(0)];

    let (mut floors, mut ones, mut manys) = (Vec::new(), Vec::new(), Vec::new());
    for turn_number in 0..=turns {
        let (floor, one, many) =
            (raw.turn().await?, turn(&store, &mut one).await?, turn(&store, &mut runs).await?);
        // The first turn warms caches and statements up.
        if turn_number > 0 {
            floors.push(floor);
            ones.push(one);
            manys.push(many);
        }
    }
    store.close().await?;
    raw.0.close().await?;

    let ratio = |ours: &[f64]| median(ours.iter().zip(&floors).map(|(ours, floor)| ours / floor).collect());
    let floor = median(floors.clone());
    Ok(vec![
        Row::figure("sqlite", "commit 1 KiB, FULL, 1 run", median(ones.clone()), "/s")
            .against(floor, ratio(&ones))
            .budget(">= 0.7"),
        Row::figure("sqlite", "commit 1 KiB, FULL, 64 runs at once", median(manys.clone()), "/s")
            .against(floor, ratio(&manys))
            .budget(">= 5"),
    ])
}
