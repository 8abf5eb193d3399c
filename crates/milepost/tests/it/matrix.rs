//! Killing processes at each of their durable writes in turn, and reading what they have left.

use std::{
    collections::HashSet,
    path::Path,
    process::{Command, Output},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::TryStreamExt;
use milepost::{ErrorKind, Head, Query, RunId, Runner, Span};
use milepost_layers::Death;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// How many processes are at work at once.
const AT_ONCE: usize = 4;

/// A backend, and how thoroughly it is tried.
pub(crate) struct Backend {
    /// One for all runs; `None`: a SQLite file for each.
    pub(crate) url: Option<String>,
    /// Every so many writes.
    pub(crate) stride: usize,
}

impl Backend {
    pub(crate) fn url(&self, folder: &Path, name: &str) -> String {
        let own = || format!("sqlite:{}/{name}.db", folder.display());
        self.url.clone().unwrap_or_else(own)
    }

    /// One where nobody else recovers runs.
    pub(crate) fn apart(&self, folder: &Path, name: &str) -> String {
        let url = self.url(folder, name);
        let more = if url.contains('?') { '&' } else { '?' };
        match url.split(':').next() {
            Some("postgres") => format!("{url}{more}schema={}", name.replace('-', "_")),
            Some("redis") => format!("{url}{more}prefix={name}"),
            Some("file") => format!("{url}/{name}"),
            Some("s3") => url.replacen('?', &format!("/{name}?"), 1),
            _ => url,
        }
    }

    /// After each write and before it: when the world has been told what the log has not. Where few are tried, after one and
    /// before another in turn.
    fn deaths(&self) -> impl Iterator<Item = Death> {
        let half = self.stride as u64 / 2;
        (1..2000).step_by(self.stride).flat_map(move |at| [Death::After(at), Death::Before(at + half)])
    }
}

/// Tries one death after another, some side by side, until a process outlives its own. Gives how many were tried.
pub(crate) fn each_death(backend: &Backend, trial: impl Fn(Death) -> bool + Sync) -> usize {
    let deaths: Vec<Death> = backend.deaths().collect();
    let (next, survived) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::SeqCst);
                    if index >= survived.load(Ordering::SeqCst).min(deaths.len()) {
                        return;
                    }
                    if trial(deaths[index]) {
                        survived.fetch_min(index, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    survived.into_inner()
}

/// Makes a matrix a test on each backend: at every write where that takes a few seconds a trial at most, else at every tenth.
macro_rules! on_every_backend {
    (sqlite: $sqlite:ident, postgres: $postgres:ident, redis: $redis:ident, folder: $folder:ident, $matrix:path) => {
        #[test]
        fn $sqlite() {
            $matrix(&Backend { url: None, stride: 1 });
        }

        #[cfg(feature = "postgres")]
        #[test]
        fn $postgres() {
            let url = milepost_servers::postgres().unwrap().url().to_owned();
            $matrix(&Backend { url: Some(url), stride: 1 });
        }

        #[cfg(feature = "redis")]
        #[test]
        fn $redis() {
            let url = milepost_servers::redis().unwrap().url().to_owned();
            $matrix(&Backend { url: Some(url), stride: 10 });
        }

        #[cfg(feature = "folder")]
        #[test]
        fn $folder() {
            let folder = tempfile::tempdir().unwrap();
            $matrix(&Backend { url: Some(format!("file://{}", folder.path().display())), stride: 10 });
        }
    };
}
pub(crate) use on_every_backend;

/// The name of a trial's run; none begins as another one does.
pub(crate) fn named(prefix: &str, death: Death) -> String {
    match death {
        Death::Before(write) => format!("{prefix}-before-{write:04}"),
        Death::After(write) => format!("{prefix}-after-{write:04}"),
    }
}

/// This test program, asked for one of its tests, which is none: the code of a process that may die.
pub(crate) fn itself(test: &str, tasks: &[(&str, String)], dies: &str, death: Option<Death>) -> Output {
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    process.envs(tasks.iter().map(|(name, task)| (name, task)));
    if let Some(death) = death {
        process.env(dies, death.to_string());
    }
    process.output().unwrap()
}

/// What a process said behind this word.
pub(crate) fn said(process: &Output, word: &str) -> Option<String> {
    let said = String::from_utf8_lossy(&process.stdout);
    said.lines().find_map(|line| line.split_once(word).map(|(_, said)| said.to_owned()))
}

/// All that a process said, for people.
pub(crate) fn text(output: &Output) -> String {
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{said}\n{complained}")
}

/// Drives a run to its end, after whoever drove it before and has died: until their lease has run out.
pub(crate) async fn patiently<I: Serialize + ?Sized, O: DeserializeOwned>(
    runner: &Runner,
    run: &RunId,
    handler: &str,
    input: &I,
) -> O {
    loop {
        match runner.run(run.clone(), handler, input).await {
            Ok(output) => return output,
            Err(error) if error.kind() == ErrorKind::LeaseHeld => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// A run, and its events: each with its kind, and what it says.
pub(crate) type Logged = (Head, Vec<(String, Value)>);

/// Reads every log of the runs whose names begin so. In none has a finished step begun again, and no two drove one at once.
pub(crate) fn audit(url: &str, prefix: &str, said: &str) -> Vec<Logged> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = milepost::connect(url).await.unwrap();
        let query = Query { id_prefix: Some(prefix.into()), ..Query::all() };
        let heads: Vec<Head> = store.list(query).try_collect().await.unwrap();
        let mut logged = Vec::new();
        for head in heads {
            let (mut epoch, mut done, mut events) = (0, HashSet::new(), Vec::new());
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
                let (kind, event) = body["event"].as_object().unwrap().iter().next().unwrap();
                events.push((kind.clone(), event.clone()));
            }
            logged.push((head, events));
        }
        store.close().await.unwrap();
        logged
    })
}
