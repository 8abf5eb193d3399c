use std::time::Duration;

use futures_util::{StreamExt, future::join_all};
use milepost_core::{Applied, Capabilities, Capability, Durability, ErrorKind, Record, Result, Span, Store};
use milepost_layers::{Fate, FaultPlan, Faults, GroupCommit, GroupCommitConfig};
use milepost_store_memory::MemoryStore;

use crate::world::{Recorder, Writer, kinds, orphan, poll_once};

/// Group commit over a store that can be stalled, with the writer whose commit will stall.
struct World {
    memory: MemoryStore,
    /// Stalls the first commit that reaches it.
    faults: Faults<MemoryStore>,
    recorder: Recorder<Faults<MemoryStore>>,
    store: GroupCommit<Recorder<Faults<MemoryStore>>>,
    writers: Vec<Writer>,
}

impl World {
    async fn new(config: GroupCommitConfig) -> Self {
        let memory = MemoryStore::new();
        let writers = Writer::open_many(&memory, 8).await;
        let faults = Faults::new(memory.clone(), FaultPlan::none().stall_at(1));
        let recorder = Recorder::new(faults.clone(), Duration::ZERO);
        let store = GroupCommit::with_config(recorder.clone(), config);
        Self { memory, faults, recorder, store, writers }
    }

    async fn records(&self, writer: usize) -> Vec<String> {
        let records =
            self.memory.stream(&self.writers[writer].run, Span::all()).collect::<Vec<Result<Record>>>();
        let body = |record: Result<Record>| String::from_utf8(record.unwrap().body.to_vec()).unwrap();
        records.await.into_iter().map(body).collect()
    }
}

#[tokio::test]
async fn an_idle_commit_goes_at_once() {
    let memory = MemoryStore::new();
    let recorder = Recorder::new(memory.clone(), Duration::ZERO);
    let store = GroupCommit::new(recorder.clone());
    let mut writer = Writer::open(&store, "a").await;
    for _ in 0..3 {
        let answer =
            poll_once(store.commit(writer.next("x"))).await.expect("no task, no timer, no second poll");
        assert_eq!(answer.unwrap().version, writer.version);
    }
    assert_eq!(recorder.sizes(), [1, 1, 1]);
}

#[tokio::test]
async fn what_waits_goes_together_and_each_has_its_own_verdict() {
    let mut world = World::new(GroupCommitConfig::default()).await;
    let first = world.writers[0].next("first");
    let good = world.writers[1].next("good");
    world.writers[2].version = 9;
    let wrong_version = world.writers[2].next("wrong version");
    world.writers[3].fence.epoch = 0;
    let fenced = world.writers[3].next("fenced");
    let no_run = orphan("nobody");
    let also_good = world.writers[4].next("also good");

    let (answers, ()) = tokio::join!(
        join_all(
            [first, good, wrong_version, fenced, no_run, also_good].map(|commit| world.store.commit(commit))
        ),
        async {
            world.faults.stalled().await;
            assert_eq!(world.recorder.sizes(), [1], "the others wait for the one in flight");
            world.faults.thaw();
        }
    );
    assert_eq!(
        kinds(&answers),
        [None, None, Some(ErrorKind::Conflict), Some(ErrorKind::Fenced), Some(ErrorKind::NotFound), None]
    );
    assert_eq!(world.recorder.sizes(), [1, 5]);
}

#[tokio::test]
async fn a_run_keeps_its_order_and_is_in_one_batch_at_a_time() {
    for in_flight in [1, 4] {
        let mut world = World::new(GroupCommitConfig { in_flight, ..GroupCommitConfig::default() }).await;
        let commits = [(0, "1"), (1, "1"), (0, "2"), (1, "2"), (0, "3")]
            .map(|(writer, body)| world.writers[writer].next(body));
        let (answers, ()) = tokio::join!(join_all(commits.map(|commit| world.store.commit(commit))), async {
            world.faults.stalled().await;
            world.faults.thaw();
        });
        assert_eq!(kinds(&answers), [None; 5]);
        assert_eq!(world.records(0).await, ["1", "2", "3"]);
        assert_eq!(world.records(1).await, ["1", "2"]);
        for trip in world.recorder.trips() {
            assert!(trip.len() < 2 || trip[0] != trip[1]);
        }
    }
}

#[tokio::test]
async fn several_batches_are_in_flight_when_asked_for() {
    let mut world = World::new(GroupCommitConfig { in_flight: 2, ..GroupCommitConfig::default() }).await;
    let (stuck, free) = (world.writers[0].next("stuck"), world.writers[1].next("free"));
    let mut stuck = world.store.commit(stuck);
    assert!(poll_once(&mut stuck).await.is_none());
    world.store.commit(free).await.unwrap();
    world.faults.thaw();
    stuck.await.unwrap();
}

#[tokio::test]
async fn batches_are_capped_by_count_and_by_bytes() {
    let table = [
        (GroupCommitConfig { max_commits: 2, ..GroupCommitConfig::default() }, vec![1, 2, 2, 1]),
        (GroupCommitConfig { max_bytes: 200, ..GroupCommitConfig::default() }, vec![1, 2, 2, 1]),
        (GroupCommitConfig { max_bytes: 0, ..GroupCommitConfig::default() }, vec![1; 6]),
        (GroupCommitConfig { in_flight: 0, max_commits: 0, max_bytes: 0 }, vec![1; 6]),
    ];
    for (config, expected) in table {
        let mut world = World::new(config).await;
        let commits: Vec<_> =
            world.writers[..6].iter_mut().map(|writer| writer.next("x".repeat(100))).collect();
        let (answers, ()) =
            tokio::join!(join_all(commits.into_iter().map(|commit| world.store.commit(commit))), async {
                world.faults.stalled().await;
                world.faults.thaw();
            });
        assert_eq!(kinds(&answers), [None; 6]);
        assert_eq!(world.recorder.sizes(), expected, "{config:?}");
    }
}

#[tokio::test]
async fn a_dropped_future_takes_nothing_with_it() {
    let mut world = World::new(GroupCommitConfig::default()).await;
    let commits = [0, 1, 2].map(|writer| world.writers[writer].next("x"));
    let [mut in_flight, mut waiting, mut other] = commits.map(|commit| world.store.commit(commit));
    for future in [&mut in_flight, &mut waiting, &mut other] {
        assert!(poll_once(future).await.is_none());
    }
    drop(in_flight);
    drop(waiting);
    world.faults.thaw();
    other.await.unwrap();
    assert_eq!(world.records(0).await, ["x"], "what was in flight goes on");
    assert_eq!(world.records(1).await, [""; 0], "what waited is not sent");
    assert_eq!(world.recorder.trips(), [["run-0"], ["run-2"]]);
}

#[tokio::test]
async fn a_future_that_is_kept_and_not_polled_holds_nobody_up() {
    let mut world = World::new(GroupCommitConfig::default()).await;
    let (kept, other) = (world.writers[0].next("kept"), world.writers[1].next("other"));
    let mut kept = world.store.commit(kept);
    assert!(poll_once(&mut kept).await.is_none());
    world.faults.thaw();
    world.store.commit(other).await.unwrap();
    kept.await.unwrap();
}

#[tokio::test]
async fn close_does_not_wait_for_a_caller_that_does_not_poll() {
    let mut world = World::new(GroupCommitConfig::default()).await;
    let mut kept = world.store.commit(world.writers[0].next("kept"));
    assert!(poll_once(&mut kept).await.is_none());
    world.faults.thaw();
    world.store.close().await.unwrap();
    kept.await.unwrap();
}

#[tokio::test]
async fn a_panic_in_a_callers_own_task_leaves_its_place_free() {
    for pause in [Duration::ZERO, Duration::from_millis(1)] {
        let store = GroupCommit::new(Recorder::new(MemoryStore::new(), pause));
        let panicked = tokio::spawn({
            let store = store.clone();
            async move { store.commit(orphan("panic")).await }
        });
        assert!(panicked.await.unwrap_err().is_panic());
        let mut writer = Writer::open(&store, "a").await;
        store.commit(writer.next("x")).await.unwrap();
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_panic_of_the_store_is_unsettled_for_its_batch_and_no_other() {
    let mut world = World::new(GroupCommitConfig::default()).await;
    let (first, beside) = (world.writers[0].next("first"), world.writers[1].next("beside"));
    let (answers, ()) = tokio::join!(
        join_all([first, orphan("panic"), beside].map(|commit| world.store.commit(commit))),
        async {
            world.faults.stalled().await;
            world.faults.thaw();
        }
    );
    assert_eq!(kinds(&answers), [None, Some(ErrorKind::Unavailable), Some(ErrorKind::Unavailable)]);
    let unsettled = answers[2].as_ref().unwrap_err();
    assert_eq!(unsettled.applied(), Some(Applied::Maybe));
    assert_eq!(
        unsettled.to_string(),
        "group-commit commit of run \"run-1\": the task that drove the batch has ended early"
    );
    world.store.commit(world.writers[2].next("later")).await.unwrap();
}

#[tokio::test]
async fn commit_many_joins_in() {
    let mut world = World::new(GroupCommitConfig::default()).await;
    let first = world.writers[0].next("first");
    let many: Vec<_> = (1..4).map(|writer| world.writers[writer].next("many")).collect();
    let single = world.writers[4].next("single");
    let (first, many, single, ()) = tokio::join!(
        world.store.commit(first),
        world.store.commit_many(many),
        world.store.commit(single),
        async {
            world.faults.stalled().await;
            world.faults.thaw();
        }
    );
    assert!(first.is_ok() && single.is_ok());
    assert_eq!(kinds(&many), [None; 3]);
    assert_eq!(world.recorder.sizes(), [1, 4]);
    assert_eq!(world.store.commit_many(Vec::new()).await.len(), 0);
}

#[tokio::test]
async fn commit_many_refuses_a_run_that_occurs_twice() {
    let store = GroupCommit::new(MemoryStore::new());
    let (mut a, mut b) = (Writer::open(&store, "a").await, Writer::open(&store, "b").await);
    let answers = store.commit_many(vec![a.next("1"), b.next("1"), a.next("2")]).await;
    assert_eq!(kinds(&answers), [Some(ErrorKind::Invalid), None, Some(ErrorKind::Invalid)]);
}

#[tokio::test]
async fn close_waits_for_what_was_accepted_and_refuses_the_rest() {
    let mut world = World::new(GroupCommitConfig::default()).await;
    let commits = [0, 1].map(|writer| world.writers[writer].next("x"));
    let late = [2, 3].map(|writer| world.writers[writer].next("late"));
    let mut accepted = commits.map(|commit| world.store.commit(commit));
    for future in &mut accepted {
        assert!(poll_once(future).await.is_none());
    }
    let mut close = world.store.close();
    assert!(poll_once(&mut close).await.is_none(), "it waits");
    let refused = world.store.clone().commit_many(late.to_vec()).await;
    assert_eq!(kinds(&refused), [Some(ErrorKind::Closed); 2]);
    assert_eq!(refused[0].as_ref().unwrap_err().applied(), Some(Applied::No));

    world.faults.thaw();
    close.await.unwrap();
    for future in accepted {
        future.await.unwrap();
    }
    world.store.close().await.unwrap();
    assert_eq!(world.store.head(&world.writers[0].run).await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn a_store_that_cannot_pack_is_left_alone() {
    let offered = Capabilities::all(Durability::Process).without(Capability::BatchCommit);
    let recorder =
        Recorder::new(MemoryStore::builder().capabilities(offered).build(), Duration::from_millis(5));
    let store = GroupCommit::new(recorder.clone());
    assert_eq!(store.capabilities(), offered);
    let mut writers = Writer::open_many(&store, 8).await;
    let commits = writers.iter_mut().map(|writer| store.commit(writer.next("x")));
    assert_eq!(kinds(&join_all(commits).await), [None; 8]);
    assert_eq!(recorder.sizes(), [1; 8]);
}

#[test]
fn without_a_runtime_a_commit_is_refused_in_words() {
    let store = GroupCommit::new(MemoryStore::new());
    let mut commit = store.commit(orphan("a"));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Err(error)) = commit.as_mut().poll(&mut context) else { panic!("it answers") };
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Config, Some(Applied::No)));
    assert!(error.to_string().contains("needs a Tokio runtime"), "{error}");
}

#[test]
fn a_runtime_that_ends_leaves_its_commits_unsettled_and_the_layer_working() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let mut world = first.block_on(World::new(GroupCommitConfig::default()));
    let commits = [0, 1, 2].map(|writer| world.writers[writer].next("x"));
    let [mut stuck, mut lost, mut other] = commits.map(|commit| world.store.commit(commit));
    first.block_on(async {
        assert!(poll_once(&mut stuck).await.is_none());
        assert!(poll_once(&mut lost).await.is_none());
    });
    second.block_on(async { assert!(poll_once(&mut other).await.is_none()) });
    drop(first);
    second.block_on(async {
        for unsettled in [stuck, lost] {
            assert_eq!(unsettled.await.unwrap_err().applied(), Some(Applied::Maybe));
        }
        assert_eq!(
            other.await.unwrap_err().applied(),
            Some(Applied::Maybe),
            "it was in a batch of the first"
        );
        let later = world.writers[3].next("later");
        world.store.commit(later).await.unwrap();
        world.store.close().await.unwrap();
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_commit_exactly_and_in_few_trips() {
    const TASKS: usize = 64;
    const COMMITS: u64 = 100;
    for in_flight in [1, 3] {
        let memory = MemoryStore::new();
        let recorder = Recorder::new(memory.clone(), Duration::from_micros(100));
        let config = GroupCommitConfig { in_flight, ..GroupCommitConfig::default() };
        let store = GroupCommit::with_config(recorder.clone(), config);
        let writers = Writer::open_many(&memory, TASKS).await;
        let tasks = writers.into_iter().map(|mut writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in 1..=COMMITS {
                    let committed = store.commit(writer.next(number.to_string())).await.unwrap();
                    assert_eq!((committed.cursor, committed.version), (number, writer.version));
                }
                store.head(&writer.run).await.unwrap().unwrap().cursor
            })
        });
        for cursor in join_all(tasks).await {
            assert_eq!(cursor.unwrap(), COMMITS);
        }
        let sizes = recorder.sizes();
        assert_eq!(sizes.iter().sum::<usize>() as u64, TASKS as u64 * COMMITS);
        assert!(sizes.len() < TASKS * COMMITS as usize / 8, "{} trips", sizes.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_faults_every_commit_is_settled_by_its_id() {
    let memory = MemoryStore::new();
    let writers = Writer::open_many(&memory, 16).await;
    let plan = FaultPlan::seeded(3).ack_lost(0.1).refused(0.1).lost(0.1);
    let faults = Faults::new(memory.clone(), plan.at(1, Fate::AckLost));
    let store = GroupCommit::new(Recorder::new(faults.clone(), Duration::from_micros(50)));
    let tasks = writers.into_iter().map(|mut writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 1..=50 {
                let commit = writer.next("x");
                while let Err(error) = store.commit(commit.clone()).await {
                    assert!(error.kind().is_transient(), "{error}");
                }
                let head = store.head(&writer.run).await.unwrap().unwrap();
                assert_eq!((head.cursor, head.version), (number, writer.version));
            }
        })
    });
    for done in join_all(tasks).await {
        assert!(done.is_ok(), "{}", faults.trail());
    }
}
