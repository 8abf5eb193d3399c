//! What saving and resuming states costs: growth, scattered edits in a large state, resume, a throttled update, and a
//! commit on the memory store.

use std::{error::Error, time::Duration};

use milepost::{
    Begin, Checkpoints, Commit, Ids, Kind, Manifest, MemoryStore, NewRecord, Open, RunId, RunInfo, SeededIds,
    Started, Stateful, Store, SystemIds,
};
use serde::{Deserialize, Serialize};

use crate::{
    row::Row,
    timing::{cpu, median, millis, now},
};

/// A state that is all bytes, as `serde_bytes` would have it: the codec costs a copy.
#[derive(Clone, Default)]
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(|bytes| Self(bytes.to_vec()))
    }
}

fn random(ids: &SeededIds, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 16);
    while bytes.len() < len {
        bytes.extend_from_slice(&ids.bits().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn begin(run: &str) -> milepost::Result<Begin> {
    Ok(Begin::new(RunId::new(run)?, RunInfo::named("bench"), Manifest::of(b"bench")).or_resume())
}

async fn driving(checkpoints: &Checkpoints, run: &str) -> Result<Stateful<Bytes>, Box<dyn Error>> {
    match checkpoints.begin_state(begin(run)?, Bytes::default).await? {
        Started::Driving(handle) => Ok(handle),
        Started::Finished(_) => Err("the run has finished".into()),
    }
}

/// 1,000 saves to SQLite, each adding 1 KiB of random bytes: what a save waits for the write, and what it computes.
async fn growth() -> Result<Vec<Row>, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let store = milepost::connect(&format!("sqlite:{}", folder.path().join("runs.db").display())).await?;
    let mut run = driving(&Checkpoints::new(store.clone()), "growth").await?;
    let ids = SeededIds::new(1);
    let (mut waits, mut cpus) = (Vec::new(), Vec::new());
    for _ in 0..1_000 {
        let more = random(&ids, 1 << 10);
        let (began, used) = (now(), cpu());
        run.update(|state| state.0.extend(more)).await?;
        let (wall, cpu) = (began.elapsed(), cpu() - used);
        waits.push(wall.saturating_sub(cpu).as_secs_f64() * 1e6);
        cpus.push(cpu.as_secs_f64() * 1e6);
    }
    store.close().await?;
    let (first, last) = (median(waits[..100].to_vec()), median(waits[900..].to_vec()));
    Ok(vec![
        Row::figure(
            "sqlite",
            "1,000 saves of 1 KiB more: p50 of the durable write, last tenth against first",
            last,
            "µs",
        )
        .against(first, last / first)
        .budget("<= 2"),
        Row::figure(
            "sqlite",
            "the same: p50 of the CPU of a save, last tenth",
            median(cpus[900..].to_vec()),
            "µs",
        ),
    ])
}

/// Saves of a 10 MiB state with 1 KiB of scattered edits each, and the resume after them.
async fn edits(saves: usize) -> Result<Vec<Row>, Box<dyn Error>> {
    let store = MemoryStore::new();
    let checkpoints = Checkpoints::new(store.clone());
    let mut run = driving(&checkpoints, "edits").await?;
    let ids = SeededIds::new(2);
    run.update(|state| state.0 = random(&ids, 10 << 20)).await?;
    let mut cpus = Vec::new();
    for number in 0..saves {
        let edits: Vec<_> = (0..3).map(|_| (ids.bits() as usize % (10 << 20), random(&ids, 340))).collect();
        let used = cpu();
        run.update(|state| {
            for (at, bytes) in edits {
                let at = at.min(state.0.len() - 340);
                state.0[at..at + 340].copy_from_slice(&bytes);
            }
            // A changed length near the start shifts all the rest.
            if number % 2 == 0 {
                state.0.insert(100, 1);
            } else {
                state.0.remove(100);
            }
        })
        .await?;
        cpus.push(millis(cpu() - used));
    }
    run.release(milepost::Wake::now()).await?;
    let used = cpu();
    let resumed = driving(&checkpoints, "edits").await?;
    let resume = millis(cpu() - used);
    if resumed.state().0.len() != run.state().0.len() {
        return Err("the resumed state is another one".into());
    }
    Ok(vec![
        Row::figure("memory", "10 MiB state, 1 KiB of scattered edits: CPU of a save", median(cpus), "ms")
            .budget("<= 25"),
        Row::figure("memory", "resume after those saves: CPU", resume, "ms").budget("<= 1000"),
    ])
}

/// What the handle itself costs.
async fn overhead() -> Result<Vec<Row>, Box<dyn Error>> {
    const ROUNDS: u32 = 200_000;
    let checkpoints = Checkpoints::new(MemoryStore::new()).throttle(Duration::from_secs(3600));
    let mut run = match checkpoints.begin_state(begin("throttled")?, || 0u64).await? {
        Started::Driving(run) => run,
        Started::Finished(_) => return Err("the run has finished".into()),
    };
    run.update(|count| *count += 1).await?;
    let began = now();
    for _ in 0..ROUNDS {
        run.update(|count| *count += 1).await?;
    }
    let throttled = began.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS);
    run.flush().await?;

    let store = MemoryStore::new();
    let open = Open::create(SystemIds.operation(), RunInfo::named("bench"), Manifest::of(b"bench"));
    let opened = store.open(&RunId::new("commits")?, open).await?;
    let ids = SeededIds::new(3);
    let body = milepost::Bytes::from(vec![7u8; 1 << 10]);
    let kind = Kind::from_static("row");
    let began = now();
    for version in 1..=u64::from(ROUNDS) {
        let commit = Commit::new(opened.head.run.clone(), opened.fence, ids.operation(), version)
            .record(NewRecord::new(kind.clone(), body.clone()));
        store.commit(commit).await?;
    }
    let commit = began.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS);
    Ok(vec![
        Row::figure("memory", "throttled update beside the closure", throttled, "ns").budget("<= 100"),
        Row::figure("memory", "commit of 1 KiB", commit, "µs").budget("<= 3"),
    ])
}

pub(crate) async fn rows(quick: bool) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut rows = growth().await?;
    rows.extend(edits(if quick { 50 } else { 1_000 }).await?);
    rows.extend(overhead().await?);
    Ok(rows)
}
