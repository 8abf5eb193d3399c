//! What a reader needs of its process's memory: so much as a page, however long the log and however large the outcomes.

use futures_util::TryStreamExt;
use milepost::{
    Bytes, Commit, Ids, Kind, Manifest, NewRecord, Open, Outcome, Query, Retain, RunId, RunInfo, Span, Store,
    SystemIds,
};

use crate::matrix::{Backend, itself, on_every_backend, said, text};

const MIB: usize = 1 << 20;
/// So many records, and finished runs, of a MiB each.
const COUNT: usize = 64;
/// What reading all of them may take at its peak, buffers of the driver included.
const PEAK_MIB: usize = 20;

fn log() -> RunId {
    RunId::from_static("log")
}

async fn open(store: &dyn Store, run: &RunId) -> Commit {
    let open = Open::create(SystemIds.operation(), RunInfo::named("memory"), Manifest::of(b"memory"));
    let head = store.open(run, open).await.unwrap().head;
    Commit::new(run.clone(), head.fence, SystemIds.operation(), head.version)
}

/// A body that no store makes smaller: none looks for what repeats over so long a way.
fn body() -> Bytes {
    let words = (0..(64 << 10) / 16).flat_map(|_| SystemIds.bits().to_le_bytes());
    words.collect::<Vec<_>>().repeat(MIB >> 16).into()
}

async fn write(store: &dyn Store) {
    let mut commit = open(store, &log()).await;
    for _ in 0..COUNT {
        let record = NewRecord::new(Kind::from_static("large"), body());
        let next = Commit::new(log(), commit.fence, SystemIds.operation(), commit.expect + 1);
        store.commit(commit.record(record)).await.unwrap();
        commit = next;
    }
    for number in 0..COUNT {
        let run = RunId::new(format!("finished-{number}")).unwrap();
        let commit = open(store, &run).await;
        let outcome = Outcome::Completed { output: body() };
        store.commit(commit.finish(outcome, Retain::Keep)).await.unwrap();
    }
}

/// How far the memory of this process grows at most, in KiB.
struct Peak {
    before: usize,
}

impl Peak {
    fn begin() -> Self {
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        Self { before: memory("VmRSS:") }
    }

    fn end(self) -> usize {
        memory("VmHWM:").saturating_sub(self.before)
    }
}

/// Of this process, in KiB.
fn memory(of: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(of)).unwrap();
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
}

/// Not a test of its own: what reads in a process for itself. Outside of one it has nothing to do.
#[test]
fn child() {
    let Ok(url) = std::env::var("MILEPOST_MEMORY") else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = milepost::connect(&url).await.unwrap();
        assert!(store.head(&log()).await.unwrap().is_some());
        let stream = Peak::begin();
        let mut records = store.stream(&log(), Span::all());
        let mut bytes = 0;
        while let Some(record) = records.try_next().await.unwrap() {
            bytes += record.body.len();
        }
        assert_eq!(bytes, COUNT * MIB);
        let stream = stream.end();
        let list = Peak::begin();
        let mut finished = store.list(Query { id_prefix: Some("finished-".into()), ..Query::all() });
        let mut count = 0;
        while let Some(head) = finished.try_next().await.unwrap() {
            assert!(head.outcome.is_some());
            count += 1;
        }
        assert_eq!(count, COUNT);
        let list = list.end();
        #[expect(clippy::print_stdout, reason = "the parent reads it")]
        let say = |peaks: [usize; 2]| println!("PEAKS {} {}", peaks[0], peaks[1]);
        say([stream, list]);
    });
}

fn reading_needs_a_page(backend: &Backend) {
    let folder = tempfile::tempdir().unwrap();
    let url = backend.apart(folder.path(), "memory");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        milepost::prepare(&url).await.unwrap();
        let store = milepost::connect(&url).await.unwrap();
        write(&*store).await;
        store.close().await.unwrap();
    });
    let child = itself("memory::child", &[("MILEPOST_MEMORY", url)], "", None);
    let peaks = said(&child, "PEAKS ").unwrap_or_else(|| panic!("{}", text(&child)));
    for (what, peak) in ["stream", "listing"].into_iter().zip(peaks.split(' ')) {
        let peak: usize = peak.parse().unwrap();
        assert!(peak <= PEAK_MIB << 10, "{what}: {peak} KiB for {COUNT} MiB; all: {peaks}");
    }
}

on_every_backend! {
    sqlite: reading_takes_a_page_on_sqlite,
    postgres: reading_takes_a_page_on_postgres,
    redis: reading_takes_a_page_on_redis,
    folder: reading_takes_a_page_in_a_folder,
    reading_needs_a_page
}
