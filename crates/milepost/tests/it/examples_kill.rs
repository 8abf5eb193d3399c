//! The examples `pipeline` and `recover`, killed with -9 at each of their durable writes in turn: what comes out is the same
//! to the byte, no finished step runs again, nothing happens twice at a receiver that honours the keys, and no two drive one
//! run at once.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use futures_util::TryStreamExt;
use milepost::{Head, Query, Span};
use serde_json::Value;

use crate::example::{Receiver, program};

/// How many processes are at work at once.
const AT_ONCE: usize = 4;
/// Where a process dies, if it does: `after 3`.
type Death = Option<String>;

/// A backend, and how thoroughly it is tried.
struct Backend {
    /// One for all runs; `None`: a SQLite file for each.
    url: Option<String>,
    /// Every so many writes.
    stride: usize,
}

impl Backend {
    fn url(&self, folder: &Path, name: &str) -> String {
        let own = || format!("sqlite:{}/{name}.db", folder.display());
        self.url.clone().unwrap_or_else(own)
    }

    /// One where nobody else recovers runs.
    fn apart(&self, folder: &Path, name: &str) -> String {
        match &self.url {
            Some(url) if url.starts_with("postgres") => {
                let more = if url.contains('?') { '&' } else { '?' };
                format!("{url}{more}schema={}", name.replace('-', "_"))
            }
            _ => self.url(folder, name),
        }
    }

    /// After each write, and before every fifth one: what is durable before one is what was after the one before it.
    fn deaths(&self) -> impl Iterator<Item = String> {
        (1..2000).step_by(self.stride).flat_map(|at| {
            let before = (at % 5 == 0).then(|| format!("before {at}"));
            std::iter::once(format!("after {at}")).chain(before)
        })
    }
}

/// Tries one death after another, some side by side, until a process outlives its own. Gives how many were tried.
fn each_death(backend: &Backend, trial: impl Fn(&str) -> bool + Sync) -> usize {
    let deaths: Vec<String> = backend.deaths().collect();
    let (next, survived) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::SeqCst);
                    if index >= survived.load(Ordering::SeqCst).min(deaths.len()) {
                        return;
                    }
                    if trial(&deaths[index]) {
                        survived.fetch_min(index, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    survived.into_inner()
}

fn run(example: &str, arguments: &[&str], variable: &str, dies: Death) -> Output {
    let mut command = Command::new(program(example));
    command.args(arguments).stdin(Stdio::null());
    if let Some(dies) = dies {
        command.env(variable, dies);
    }
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{said}\n{complained}")
}

/// Reads every log of the runs whose names begin so.
fn audit(url: &str, prefix: &str, said: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = milepost::connect(url).await.unwrap();
        let query = Query { id_prefix: Some(prefix.into()), ..Query::all() };
        let heads: Vec<Head> = store.list(query).try_collect().await.unwrap();
        for head in heads {
            let (mut epoch, mut done) = (0, HashSet::new());
            let mut records = store.stream(&head.run, Span::all());
            while let Some(record) = records.try_next().await.unwrap() {
                let body: Value = serde_json::from_slice(&record.body).unwrap();
                let writer = body["epoch"].as_u64().unwrap();
                assert!(writer >= epoch, "{said}: two drove {} at once", head.run);
                epoch = writer;
                let at = |event: &str| body["event"][event]["at"].as_str().map(String::from);
                if let Some(at) = at("step-began") {
                    assert!(!done.contains(&at), "{said}: {}: finished, and begun again at {at}", head.run);
                } else if let Some(at) = at("step-done") {
                    assert!(done.insert(at), "{said}: {}: two results of one step", head.run);
                }
            }
        }
        store.close().await.unwrap();
    });
}

/// What a pipeline published, apart from when.
fn published(report: &Path) -> (Value, Vec<u8>) {
    let bytes = std::fs::read(report).unwrap();
    let mut published: Value = serde_json::from_slice(&bytes).unwrap();
    published.as_object_mut().unwrap().remove("at");
    (published, bytes)
}

fn pipeline_matrix(backend: &Backend) {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = |name: &str, receiver: &Receiver, dies: Death| {
        let (url, port) = (backend.url(folder.path(), name), receiver.port.to_string());
        let report = folder.path().join(format!("{name}.json"));
        let arguments =
            ["--store", &url, "--name", name, "--chapters", "3", "--pace", "0ms", "--ttl", "400ms"];
        let arguments =
            [&arguments[..], &["--receiver", &port, "--report", report.to_str().unwrap()]].concat();
        (run("pipeline", &arguments, "MILEPOST_EXAMPLE_DIES", dies), report, url)
    };
    let prefix = format!("p{:08x}", milepost::Ids::bits(&milepost::SystemIds) as u32);
    let undisturbed = Receiver::start();
    let (output, report, _) = pipeline(&format!("{prefix}-undisturbed"), &undisturbed, None);
    assert!(output.status.success(), "{}", text(&output));
    let expected = published(&report).0;

    let deaths = each_death(backend, |death| {
        let name = format!("{prefix}-{}", death.replace(' ', "-"));
        let receiver = Receiver::start();
        let (first, ..) = pipeline(&name, &receiver, Some(death.into()));
        let survived = first.status.success();
        let (second, report, url) = pipeline(&name, &receiver, None);
        let said = format!("{death}: {}\n{}", text(&first), text(&second));
        assert!(second.status.success(), "{said}");
        let (published, bytes) = self::published(&report);
        assert_eq!(published, expected, "{said}");
        assert_eq!(receiver.done(), undisturbed.done(), "{said}");
        audit(&url, &name, &said);
        // Once it has ended, another process says the same to the byte.
        assert!(pipeline(&name, &receiver, None).0.status.success());
        assert_eq!(std::fs::read(&report).unwrap(), bytes, "{said}");
        survived
    });
    assert!(deaths > 40 / backend.stride, "{deaths} deaths are fewer than the pipeline has writes");
}

fn recover_matrix(backend: &Backend) {
    let folder = tempfile::tempdir().unwrap();
    let recover = |name: &str, variable: &str, dies: Death| {
        let url = backend.apart(folder.path(), name);
        let report = folder.path().join(format!("{name}.json"));
        let arguments = ["--store", &url, "--name", name, "--runs", "2", "--parcels", "2", "--workers", "1"];
        let more = ["--kills", "0", "--pace", "1ms", "--ttl", "400ms", "--report", report.to_str().unwrap()];
        (run("recover", &[&arguments[..], &more].concat(), variable, dies), report, url)
    };
    let prefix = format!("r{:08x}", milepost::Ids::bits(&milepost::SystemIds) as u32);
    for (who, variable, least) in
        [("worker", "MILEPOST_EXAMPLE_WORKER_DIES", 10), ("supervisor", "MILEPOST_EXAMPLE_DIES", 4)]
    {
        let deaths = each_death(backend, |death| {
            let name = format!("{prefix}-{who}-{}", death.replace(' ', "-"));
            let (mut output, report, url) = recover(&name, variable, Some(death.into()));
            // A worker that dies is replaced; a supervisor has to be started again.
            let survived = output.status.success() && !text(&output).contains("has died");
            if who == "supervisor" && !survived {
                output = recover(&name, variable, None).0;
            }
            let said = format!("the {who} dies {death}: {}", text(&output));
            assert!(output.status.success(), "{said}");
            let report: BTreeMap<String, Value> =
                serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
            let expected = (0..2).map(|number| {
                let run = format!("{name}-{number:03}");
                let receipts: Vec<_> =
                    (1..=2).map(|parcel| format!("done: parcel {parcel} of {run}")).collect();
                (run, serde_json::json!({ "receipts": receipts }))
            });
            assert_eq!(report, expected.collect(), "{said}");
            if who == "worker" {
                assert!(said.contains("The receiver has 4 parcels."), "{said}");
            }
            audit(&url, &name, &said);
            survived
        });
        assert!(
            deaths >= least / backend.stride,
            "{deaths} deaths of the {who} are fewer than it has writes"
        );
    }
}

#[test]
fn a_pipeline_killed_at_every_write_publishes_the_same_on_sqlite() {
    pipeline_matrix(&Backend { url: None, stride: 1 });
}

#[test]
fn workers_killed_at_every_write_deliver_the_same_on_sqlite() {
    recover_matrix(&Backend { url: None, stride: 1 });
}

/// As a newcomer starts it, with real kills.
#[test]
fn three_workers_share_runs_while_they_are_killed() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/recover.db", folder.path().display());
    let arguments =
        ["--store", &url, "--runs", "20", "--parcels", "5", "--kills", "6", "--pace", "40ms", "--ttl", "2s"];
    let output = run("recover", &arguments, "MILEPOST_EXAMPLE_DIES", None);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("All 20 runs have completed"), "{said}");
    assert!(said.contains("The receiver has 100 parcels."), "{said}");
    assert!(said.matches("is killed with -9").count() > 1, "{said}");
}

#[cfg(feature = "postgres")]
mod postgres {
    use super::*;

    fn backend() -> Backend {
        Backend { url: Some(milepost_servers::postgres().unwrap().url().to_owned()), stride: 1 }
    }

    #[test]
    fn a_pipeline_killed_at_every_write_publishes_the_same() {
        pipeline_matrix(&backend());
    }

    #[test]
    fn workers_killed_at_every_write_deliver_the_same() {
        recover_matrix(&backend());
    }
}

#[cfg(feature = "redis")]
#[test]
fn a_pipeline_killed_at_every_tenth_write_publishes_the_same_on_redis() {
    let url = milepost_servers::redis().unwrap().url().to_owned();
    pipeline_matrix(&Backend { url: Some(url), stride: 10 });
}

#[cfg(feature = "folder")]
#[test]
fn a_pipeline_killed_at_every_tenth_write_publishes_the_same_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    pipeline_matrix(&Backend { url: Some(format!("file://{}", folder.path().display())), stride: 10 });
}
