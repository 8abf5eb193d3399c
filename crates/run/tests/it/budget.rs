//! What the loop asks of its store, counted: a step is two commits, a resume reads the log once, and a running run polls
//! nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use milepost_core::{BoxStream, Commit, Committed, Operation, Result, Store};
use milepost_layers::{Layer, forward_store};

use crate::support::{Run, World, *};

on_every_store! { a_step_is_two_commits_and_a_resume_reads_the_log_once, a_running_run_polls_nothing }

/// Counts the operations that reach the store.
#[derive(Clone, Debug)]
struct Counting {
    inner: Arc<dyn Store>,
    counts: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl Counting {
    fn new(world: &World) -> Self {
        Self { inner: world.store.clone(), counts: Arc::default() }
    }

    fn count(&self, operation: Operation) {
        *self.counts.lock().unwrap().entry(operation.to_string()).or_default() += 1;
    }

    fn take(&self) -> String {
        let counts = std::mem::take(&mut *self.counts.lock().unwrap());
        let counts: Vec<_> = counts.iter().map(|(operation, count)| format!("{operation} {count}")).collect();
        counts.join(", ")
    }
}

impl Layer for Counting {
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
        self.count(operation);
        work.await
    }

    fn around_stream<T: Send + 'static>(
        &self,
        operation: Operation,
        _: Option<&RunId>,
        stream: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        self.count(operation);
        stream
    }
}

forward_store! {
    impl Store for Counting;
    forward capabilities, open, commit, renew, send, delete, head, snapshot, stream, inbox, blob, blobs, list, close;

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        self.inner.commit_many(commits).await
    }
}

async fn a_step_is_two_commits_and_a_resume_reads_the_log_once(world: &World) {
    let store = Counting::new(world);
    let runner =
        Runner::new(store.clone()).settings(brisk()).handler("work", |run: Run, (): ()| async move {
            for n in 0..10u32 {
                let _ = (run.now(), run.random());
                run.step("step", || async { Work::Ok(n) }).await?;
            }
            run.signal::<()>("go").await?;
            Work::Ok(())
        });
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    // Ten steps, the wait, and letting go; draws ride along.
    // Its inbox is followed by a task, which may not have come to it before the end.
    assert_eq!(store.take().replace("inbox 1, ", ""), "commit 22, open 1, stream 1");
    assert_eq!(world.head(&id("r")).await.cursor, 41);
    runner.signal(&id("r"), "go", &()).await.unwrap();
    store.take();
    runner.resume(&id("r")).await.unwrap().ended().await;
    // What waits in the inbox is read, and then followed; the head says which handler it is.
    let resumed = store.take();
    assert!(resumed.starts_with("commit 2, head 1, inbox "), "{resumed}");
    assert!(resumed.ends_with(", open 1, stream 1"), "{resumed}");
}

async fn a_running_run_polls_nothing(world: &World) {
    let store = Counting::new(world);
    let runner =
        Runner::new(store.clone()).settings(brisk()).handler("work", |run: Run, (): ()| async move {
            run.step("long", || async {
                tokio::time::sleep(Duration::from_millis(400)).await;
                Work::Ok(())
            })
            .await?;
            Work::Ok(())
        });
    let handle = runner.start(id("r"), "work", &()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    store.take();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(store.take(), "", "nothing is asked while a step takes its time");
    assert_eq!(handle.ended().await, Ended::Completed);
}
