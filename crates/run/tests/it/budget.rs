//! What the loop asks of its store, counted: a step is two commits, a resume reads the log once, and a running run polls
//! nothing.

use std::{
    collections::BTreeMap,
    ops::ControlFlow::{Break, Continue},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt;

use milepost_core::{BoxStream, Commit, Committed, Operation, Result, Store};
use milepost_layers::{Layer, forward_store};

use crate::support::{Run, World, *};

on_every_store! {
    a_step_is_two_commits_and_a_resume_reads_the_log_once, a_running_run_polls_nothing,
    a_resume_of_a_long_loop_reads_little,
    a_resume_with_a_large_input_and_a_snapshot_reads_both,
    what_a_finished_phase_left_behind_stays_cold,
}

/// Counts the operations that reach the store.
#[derive(Clone, Debug)]
struct Counting {
    inner: Arc<dyn Store>,
    counts: Arc<Mutex<BTreeMap<String, u32>>>,
    /// How many items its streams gave.
    items: Arc<AtomicUsize>,
}

impl Counting {
    fn new(world: &World) -> Self {
        Self { inner: world.store.clone(), counts: Arc::default(), items: Arc::default() }
    }

    fn count(&self, operation: Operation) {
        *self.counts.lock().unwrap().entry(operation.to_string()).or_default() += 1;
    }

    /// Something came from a stream.
    fn items(&self) {
        self.items.fetch_add(1, Ordering::SeqCst);
    }

    fn take(&self) -> String {
        self.items.store(0, Ordering::SeqCst);
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
        let counting = self.clone();
        stream.inspect_ok(move |_| counting.items()).boxed()
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

/// A loop of many rounds, that waits in the last one.
fn long(runner: Runner, rounds: u32) -> Runner {
    runner.handler("work", move |run: Run, input: String| async move {
        let before = run.step("before", || async { Work::Ok(input.len()) }).await?;
        let last = run.repeat("rounds", 0u32, |run, n| async move {
            run.step("page", || async { Work::Ok("x".repeat(1000)) }).await?;
            if n == rounds {
                run.signal::<()>("go").await?;
                return Work::Ok(Break(n));
            }
            Work::Ok(Continue(n + 1))
        });
        Work::Ok((before, last.await?))
    })
}

async fn a_resume_of_a_long_loop_reads_little(world: &World) {
    let store = Counting::new(world);
    let runner = long(Runner::new(store.clone()).settings(brisk()), 1000);
    runner.start(id("r"), "work", "in").await.unwrap().ended().await;
    let asked = store.take();
    let head = world.head(&id("r")).await;
    assert!(head.cursor > 2000 && head.first == 1, "the log stays whole");
    assert!(head.sizes.snapshots < 10_000, "{:?}", head.sizes);
    // 1.1 MB of log, so about 17 snapshots of 64 KiB: each one look at the newest, and one stream.
    let snapshots = asked.split(", ").find_map(|asked| asked.strip_prefix("snapshot ")).unwrap();
    assert!((10..=20).contains(&snapshots.parse::<u32>().unwrap()), "{asked}");
    runner.signal(&id("r"), "go", &()).await.unwrap();
    store.take();
    let handle = runner.resume(&id("r")).await.unwrap();
    handle.ended().await;
    let read = store.items.load(Ordering::SeqCst);
    assert!(read < 250, "{read} records of {} were read", head.cursor);
    let resumed = store.take();
    assert!(resumed.contains("open 1, snapshot 1, stream 1"), "{resumed}");
    assert_eq!(handle.output::<(usize, u32)>().await.unwrap(), (2, 1000));
}

async fn a_resume_with_a_large_input_and_a_snapshot_reads_both(world: &World) {
    let runner = long(world.runner(), 200);
    let input = "x".repeat(30_000);
    runner.start(id("r"), "work", &input).await.unwrap().ended().await;
    assert!(world.head(&id("r")).await.snapshots[0] > 100);
    runner.signal(&id("r"), "go", &()).await.unwrap();
    let handle = runner.resume(&id("r")).await.unwrap();
    assert_eq!(handle.output::<(usize, u32)>().await.unwrap(), (30_000, 200));
}

async fn what_a_finished_phase_left_behind_stays_cold(world: &World) {
    let store = Counting::new(world);
    let runner = Runner::new(store.clone()).settings(brisk().inline(100));
    let runner = runner.handler("work", |run: Run, (): ()| async move {
        let large = |n: usize| async move { Work::Ok("x".repeat(1000 * n)) };
        let sum = run.phase("cold", |run| async move {
            let mut sum = 0;
            for n in 1..=10 {
                sum += run.step("large", || large(n)).await?.len();
            }
            Work::Ok(sum)
        });
        let sum: usize = sum.await?;
        let hot = run.step("hot", || large(1)).await?.len();
        run.signal::<()>("go").await?;
        Work::Ok((sum, hot))
    });
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    runner.signal(&id("r"), "go", &()).await.unwrap();
    store.take();
    let handle = runner.resume(&id("r")).await.unwrap();
    handle.ended().await;
    let resumed = store.take();
    assert!(
        resumed.starts_with("blob 1, "),
        "of eleven large values the one that is needed is read: {resumed}"
    );
    assert_eq!(handle.output::<(usize, usize)>().await.unwrap(), (55_000, 1000));
}
