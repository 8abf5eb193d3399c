//! Runs to write to, and a store that notes what reaches it.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use milepost_core::{
    Commit, Committed, ErrorKind, Fence, Ids, Incarnation, Kind, Manifest, NewRecord, Open, OperationId,
    Result, RunId, RunInfo, Store, SystemIds, Token, Version,
};
use milepost_layers::{Layer, forward_store};

/// The owner of a run, who counts the version along.
pub(crate) struct Writer {
    pub(crate) run: RunId,
    pub(crate) fence: Fence,
    pub(crate) version: Version,
}

impl Writer {
    /// Creates the run.
    pub(crate) async fn open(store: &impl Store, run: &str) -> Self {
        let run = RunId::new(run).unwrap();
        let opened = store.open(&run, creation()).await.unwrap();
        Self { run, fence: opened.fence, version: opened.head.version }
    }

    /// Creates `count` runs.
    pub(crate) async fn open_many(store: &impl Store, count: usize) -> Vec<Self> {
        let mut writers = Vec::new();
        for number in 0..count {
            writers.push(Self::open(store, &format!("run-{number}")).await);
        }
        writers
    }

    /// A commit that builds on the one before.
    pub(crate) fn next(&mut self, body: impl Into<String>) -> Commit {
        let commit = Commit::new(self.run.clone(), self.fence, SystemIds.operation(), self.version)
            .record(NewRecord::new(Kind::from_static("k"), body.into()));
        self.version += 1;
        commit
    }
}

/// An open that creates a run.
pub(crate) fn creation() -> Open {
    Open::create(SystemIds.operation(), RunInfo::named("test"), Manifest::of(b"test"))
}

/// A commit of a run that nobody has created.
pub(crate) fn orphan(run: &str) -> Commit {
    let fence = Fence { incarnation: Incarnation(1), epoch: 1, token: Token(1) };
    Commit::new(RunId::new(run).unwrap(), fence, OperationId(1), 1)
}

pub(crate) fn kinds(answers: &[Result<Committed>]) -> Vec<Option<ErrorKind>> {
    answers.iter().map(|answer| answer.as_ref().err().map(|error| error.kind())).collect()
}

/// Polls once, and gives the answer if it is there.
pub(crate) async fn poll_once<T>(future: impl Future<Output = T> + Unpin) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        })
    })
    .await
}

/// Notes which commits reach the store together, and takes its time over them.
#[derive(Clone, Debug)]
pub(crate) struct Recorder<S> {
    inner: S,
    pause: Duration,
    trips: Arc<Mutex<Vec<Vec<RunId>>>>,
}

impl<S> Recorder<S> {
    pub(crate) fn new(inner: S, pause: Duration) -> Self {
        Self { inner, pause, trips: Arc::default() }
    }

    /// The runs of each trip so far.
    pub(crate) fn trips(&self) -> Vec<Vec<String>> {
        let trips = self.trips.lock().unwrap();
        trips.iter().map(|trip| trip.iter().map(|run| run.to_string()).collect()).collect()
    }

    /// How many commits each trip had.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        self.trips().iter().map(Vec::len).collect()
    }

    async fn note(&self, commits: &[Commit]) {
        self.trips.lock().unwrap().push(commits.iter().map(|commit| commit.run.clone()).collect());
        if !self.pause.is_zero() {
            tokio::time::sleep(self.pause).await;
        }
        assert!(
            commits.iter().all(|commit| commit.run.as_str() != "panic"),
            "the store panics, as the test wants"
        );
    }
}

impl<S: Store> Layer for Recorder<S> {
    type Inner = S;

    fn inner(&self) -> &S {
        &self.inner
    }
}

forward_store! {
    impl<S: Store> Store for Recorder<S>;
    forward capabilities, open, renew, send, delete, head, snapshot, stream, inbox, blob, blobs, list, close;

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.note(std::slice::from_ref(&commit)).await;
        self.inner.commit(commit).await
    }

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        self.note(&commits).await;
        self.inner.commit_many(commits).await
    }
}
