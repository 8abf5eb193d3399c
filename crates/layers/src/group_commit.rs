//! Group commit: what waits at the same moment goes in one trip.

mod batch;
mod flight;
mod queue;

use std::{collections::HashSet, sync::Arc};

use milepost_core::{Commit, Committed, Error, Operation, Result, RunId, Store};

use self::queue::Shared;
use crate::{Layer, forward_store};

const LAYER: &str = "group-commit";

/// How [`GroupCommit`] packs.
///
/// ```
/// use milepost_layers::GroupCommitConfig;
///
/// let config = GroupCommitConfig { in_flight: 4, ..GroupCommitConfig::default() };
/// assert_eq!(config.max_commits, 256);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupCommitConfig {
    /// So many batches may be in flight at once; at least 1. Default: 1, which is right where commits go one after the
    /// other anyway, as in an embedded store with one writer; a server with several connections wants a few.
    pub in_flight: usize,
    /// A batch holds at most so many commits; at least 1. Default: 256.
    pub max_commits: usize,
    /// The bodies of a batch have at most so many bytes together; a commit that alone has more goes alone. Default: 8
    /// MiB.
    pub max_bytes: u64,
}

impl Default for GroupCommitConfig {
    fn default() -> Self {
        Self { in_flight: 1, max_commits: 256, max_bytes: 8 << 20 }
    }
}

/// A store that gathers the commits of many runs into [`Store::commit_many`].
///
/// A commit that finds a free place goes out at once, alone: nothing is held back by a timer. While all places are taken,
/// commits gather; whenever a place becomes free, what has gathered goes out together. So one run alone pays next to
/// nothing for the layer, and many at once share the backend's fixed costs (a disk flush, a round trip).
///
/// - Each commit has its own verdict.
/// - A batch holds a run once, and a run is in one batch at a time: its commits go in the order in which they came.
/// - [`Store::commit_many`] of callers joins in. Everything else goes straight through.
/// - Over a store without [`milepost_core::Capability::BatchCommit`] there is nothing to gain, and commits go straight
///   through too.
///
/// # Cancellation
///
/// A caller that drops its future takes nothing with it: a commit that is in flight goes on in a task of its own, one
/// that still waits is not sent. A caller that keeps its future without polling it holds nobody up either.
///
/// # Runtime
///
/// Commits need a Tokio runtime around them (any flavour, no driver), which drives the batches; without one they are
/// refused with [`Config`](milepost_core::ErrorKind::Config). When a runtime is shut down, what it has in flight is
/// answered to callers on other runtimes as [`Applied::Maybe`](milepost_core::Applied::Maybe).
///
/// Clones share the places and the queue.
#[derive(Debug)]
pub struct GroupCommit<S> {
    shared: Arc<Shared<S>>,
    /// Whether the inner store packs at all.
    packs: bool,
}

impl<S> Clone for GroupCommit<S> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), packs: self.packs }
    }
}

impl<S: Store> GroupCommit<S> {
    /// Group commit in front of `inner`, as [`GroupCommitConfig::default`] has it.
    pub fn new(inner: S) -> Self {
        Self::with_config(inner, GroupCommitConfig::default())
    }

    /// Group commit in front of `inner`.
    pub fn with_config(inner: S, config: GroupCommitConfig) -> Self {
        let packs = inner.capabilities().supports_batch_commit();
        Self { shared: Arc::new(Shared::new(inner, config)), packs }
    }
}

fn of_commit(error: Error, run: &RunId) -> Error {
    error.during(LAYER, Operation::Commit, Some(run))
}

impl<S: Store> Layer for GroupCommit<S> {
    type Inner = S;

    fn inner(&self) -> &S {
        &self.shared.inner
    }
}

forward_store! {
    impl<S: Store> Store for GroupCommit<S>;
    forward capabilities, open, renew, send, delete, head, snapshot, stream, inbox, blob, blobs, list;

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        if !self.packs {
            return self.shared.inner.commit(commit).await;
        }
        let run = commit.run.clone();
        let (verdict, departure) = {
            let mut entry = self.shared.enter().map_err(|error| of_commit(error, &run))?;
            (entry.queue(commit), entry.leave())
        };
        departure.go().await;
        verdict.settle().await
    }

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        let each_once = commits.iter().map(|commit| &commit.run).collect::<HashSet<_>>().len() == commits.len();
        if !self.packs || !each_once {
            return self.shared.inner.commit_many(commits).await;
        }
        let (verdicts, departure) = match self.shared.enter() {
            Ok(mut entry) => {
                let verdicts: Vec<_> = commits.into_iter().map(|commit| entry.queue(commit)).collect();
                (verdicts, entry.leave())
            }
            Err(error) => {
                return commits.iter().map(|commit| Err(of_commit(error.repeat(), &commit.run))).collect();
            }
        };
        departure.go().await;
        let mut answers = Vec::with_capacity(verdicts.len());
        for verdict in verdicts {
            answers.push(verdict.settle().await);
        }
        answers
    }

    async fn close(&self) -> Result<()> {
        self.shared.drain().await;
        self.shared.inner.close().await
    }
}
