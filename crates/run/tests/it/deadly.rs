//! A store that kills its process with -9 at a durable write: before the write reaches the store, or after it has, with the
//! answer unheard.

use std::{
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
};

use milepost_core::{Commit, Committed, Error, ErrorKind, Operation, Result, RunId, Store};
use milepost_layers::{Layer, forward_store};

/// A store that kills its process at the k-th write, before or after it.
#[derive(Debug)]
pub(crate) struct Deadly<S> {
    inner: S,
    writes: AtomicU64,
    at: u64,
    after: bool,
}

impl<S> Deadly<S> {
    /// Dies at write `at`, counted from 1; never at 0.
    pub(crate) fn new(inner: S, at: u64, after: bool) -> Self {
        Self { inner, writes: AtomicU64::new(0), at, after }
    }

    fn die(&self) {
        let me = std::process::id().to_string();
        Command::new("kill").args(["-9", &me]).status().unwrap();
        loop {
            std::thread::park();
        }
    }
}

impl<S: Store> Layer for Deadly<S> {
    type Inner = S;

    fn inner(&self) -> &S {
        &self.inner
    }

    async fn around<T: Send>(
        &self,
        operation: Operation,
        _: Option<&RunId>,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let writes = matches!(operation, Operation::Open | Operation::Commit | Operation::Send);
        if !writes {
            return work.await;
        }
        let deadly = self.writes.fetch_add(1, Ordering::SeqCst) + 1 == self.at;
        if deadly && !self.after {
            self.die();
        }
        let answer = work.await;
        if deadly {
            self.die();
        }
        answer
    }
}

forward_store! {
    impl<S: Store> Store for Deadly<S>;
    forward capabilities, open, commit, renew, send, delete, head, snapshot, stream, inbox, blob, blobs, list, close;

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        // The run loop commits one by one.
        commits.iter().map(|_| Err(Error::new(ErrorKind::Other, "a batch"))).collect()
    }
}
