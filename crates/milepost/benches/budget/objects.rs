//! Requests a commit and an open on an object store, counted by a proxy; and commits a second to a folder, against a file
//! that is created and synchronized with its folder.

use std::{
    error::Error,
    fs::{self, File},
    io::Write,
    path::Path,
    sync::Arc,
};

use milepost::{Commit, Ids, Kind, Manifest, NewRecord, Open, Opened, RunId, RunInfo, Store, SystemIds};
use milepost_servers::{Ministack, Proxy, Server};

use crate::{
    row::Row,
    timing::{median, now},
};

const BODY: usize = 1 << 10;
/// Fewer than a base comes after: what a base adds is told in the documentation.
const COUNTED: u64 = 50;
const TURN: u64 = 200;
const RUNS: usize = 16;

type Failure = Box<dyn Error + Send + Sync>;

fn create() -> Open {
    Open::create(SystemIds.operation(), RunInfo::named("bench"), Manifest::of(b"bench"))
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

/// Requests of a commit, and of the open of a run of 50 commits beside the reads of its entries.
async fn requests() -> Result<[f64; 2], Failure> {
    let (server, proxy) = tokio::task::spawn_blocking(|| {
        let server = Ministack::start()?;
        let proxy = Proxy::before(&server.endpoint())?;
        anyhow::Ok((server, proxy))
    })
    .await??;
    let url = server.url().replace(&server.endpoint(), proxy.url().trim_end_matches('/'));
    let store = milepost::connect(&format!("{url}&prepare=1")).await?;
    let opened = store.open(&RunId::from_static("counted"), create()).await?;
    let before = proxy.counts();
    let opened = drive(store, opened, COUNTED).await?;
    let commit = proxy.counts().since(&before).requests as f64 / COUNTED as f64;
    let anew = milepost::connect(&url).await?;
    let before = proxy.counts();
    anew.open(&RunId::from_static("counted"), Open::resume(SystemIds.operation()).over(opened.fence)).await?;
    let open = proxy.counts().since(&before).requests - (COUNTED + 1);
    tokio::task::spawn_blocking(move || drop((proxy, server))).await?;
    Ok([commit, open as f64])
}

/// Raw files a second: created, synchronized, and their folder with them.
fn raw_turn(folder: &Path, turn: usize) -> std::io::Result<f64> {
    let body = vec![7u8; BODY];
    let began = now();
    for number in 0..TURN {
        let mut file = File::create_new(folder.join(format!("{turn}-{number}")))?;
        file.write_all(&body)?;
        file.sync_data()?;
        File::open(folder)?.sync_all()?;
    }
    Ok(TURN as f64 / began.elapsed().as_secs_f64())
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
    let [commit, open] = requests().await?;
    // Beside the build, where there is a disk: a temporary folder may be in memory.
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let store = milepost::connect(&format!("file://{}", home.path().join("runs").display())).await?;
    let raw = home.path().join("raw");
    fs::create_dir(&raw)?;
    let mut many = Vec::new();
    for number in 0..=RUNS {
        many.push(store.open(&RunId::new(format!("run {number}"))?, create()).await?);
    }
    let mut one = vec![many.remove(0)];
    let mut measured: [Vec<f64>; 3] = Default::default();
    for number in 0..=turns {
        let figures =
            [raw_turn(&raw, number)?, turn(&store, &mut one).await?, turn(&store, &mut many).await?];
        if number > 0 {
            measured.iter_mut().zip(figures).for_each(|(all, figure)| all.push(figure));
        }
    }
    store.close().await?;
    let [raw, one, many] = measured;
    let row = |name: &'static str, ours: Vec<f64>| {
        let ratio = median(ours.iter().zip(&raw).map(|(ours, raw)| ours / raw).collect());
        Row::figure("folder", name, median(ours), "/s").against(median(raw.clone()), ratio)
    };
    Ok(vec![
        Row::figure("s3", "requests of a commit of 1 KiB", commit, "").budget("<= 1"),
        Row::figure("s3", "requests of an open, beside reads of entries", open, "").budget("<= 2"),
        row("commit 1 KiB, 1 run", one),
        row("commit 1 KiB, 16 runs at once", many),
    ])
}
