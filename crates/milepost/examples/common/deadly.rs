//! For the tests of an example, which kill it at each of its durable writes in turn. Your program needs none of this.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use milepost::{Commit, Committed, Operation, Result, RunId, Store};
use milepost_layers::{Layer, forward_store};

/// A store that kills its process, with SIGKILL, at one of its writes.
#[derive(Debug)]
struct Deadly {
    inner: Arc<dyn Store>,
    writes: AtomicU64,
    /// At which write.
    at: u64,
    /// Whether the write still reaches the store.
    after: bool,
}

/// At which write this process dies: `before 7`, or `after 7`.
pub(crate) const DIES: &str = "MILEPOST_EXAMPLE_DIES";

/// The store as it is; or one that kills the process at a write, if the environment asks for that.
pub(crate) fn deadly(store: Arc<dyn Store>) -> Arc<dyn Store> {
    let asked = std::env::var(DIES).ok();
    let asked = asked.as_deref().and_then(|asked| asked.split_once(' '));
    match asked.and_then(|(when, at)| Some((when == "after", at.parse().ok()?))) {
        Some((after, at)) => Arc::new(Deadly { inner: store, writes: AtomicU64::new(0), at, after }),
        None => store,
    }
}

impl Deadly {
    fn die(&self) {
        let me = std::process::id().to_string();
        let killed = std::process::Command::new("kill").args(["-9", &me]).status();
        unreachable!("this process was killed: {killed:?}");
    }
}

impl Layer for Deadly {
    type Inner = Arc<dyn Store>;

    fn inner(&self) -> &Arc<dyn Store> {
        &self.inner
    }

    async fn around<T: Send>(
        &self,
        operation: Operation,
        _: Option<&RunId>,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let writes = matches!(operation, Operation::Open | Operation::Commit | Operation::Send);
        let deadly = writes && self.writes.fetch_add(1, Ordering::SeqCst) + 1 == self.at;
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
    impl Store for Deadly;
    forward capabilities, open, commit, renew, send, delete, head, snapshot, stream, inbox, blob, blobs, list, close;

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        // The run loop commits one by one.
        self.inner.commit_many(commits).await
    }
}
