//! Runs without durability: asked for in words, never by accident, and otherwise as ever.

use std::{
    ops::ControlFlow::{Break, Continue},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::stream;
use milepost_core::{Applied, Durability, Sent, Store};
use milepost_layers::{Fate, FaultPlan};
use milepost_run::{Happened, Retry, Shutdown, Streamed};
use tracing::{Event, Level, Metadata, Subscriber, span};

use crate::support::{Run, World, *};

on_every_store! {
    without_durability_nothing_else_changes,
    a_store_out_of_reach_is_done_without_where_that_was_asked_for,
    a_run_that_may_be_there_is_not_begun_without,
    a_run_that_has_begun_durably_stays_so,
    what_its_process_lets_go_of_has_failed,
    its_children_live_and_end_with_it,
    a_child_that_nobody_here_knows_fails_it,
    nothing_is_left_of_it,
    whether_it_is_durable_can_be_asked,
}

/// A bit of everything that a handler can ask for.
fn everything(runner: Runner) -> Runner {
    let shaky = failing(2);
    let runner = runner.handler("child", |run: Run, n: u32| async move {
        run.step("double", || async { Work::Ok(2 * n) }).await
    });
    runner.handler("work", move |run: Run, word: String| {
        let shaky = shaky.clone();
        async move {
            let large = run.step("large", || async { Work::Ok(word.repeat(50_000)) }).await?.len();
            let retry = Retry::times(3).base(Duration::from_millis(1));
            let shaky = run.step("shaky", || std::future::ready(shaky())).retry(retry).await?;
            let (first, second) = (run.uuid(), run.uuid());
            run.sleep(Duration::from_millis(5)).await;
            let phase =
                run.phase(
                    "phase",
                    |run| async move { Work::Ok(run.step("in", || async { Work::Ok(3) }).await?) },
                );
            let phase: u32 = phase.await?;
            let rounds = run.repeat("rounds", 0u32, |_, n| async move {
                Work::Ok(if n == 3 { Break(n) } else { Continue(n + 1) })
            });
            let rounds: u32 = rounds.await?;
            let said = ["a", "b"].map(|said| Work::Ok(said.to_owned()));
            let said: Vec<String> = run.session("said", |_| async { Work::Ok(stream::iter(said)) }).await?;
            let child = run.child::<u32>("one", "child", &21).await?;
            let signal = run.signal::<String>("go").await?;
            Work::Ok((large, shaky, first != second, phase, rounds, said, child, signal))
        }
    })
}

type Everything = (usize, u32, bool, u32, u32, Vec<String>, u32, String);

fn noting(runner: Runner) -> (Runner, Arc<Mutex<Vec<String>>>) {
    let noted = Arc::<Mutex<Vec<String>>>::default();
    let notes = noted.clone();
    let runner = runner.observe(move |run, happened| {
        // When a retry is due is the clock's.
        let happened = match happened {
            Happened::StepFailed { step, attempt, .. } => format!("{step} failed {attempt}"),
            other => format!("{other:?}"),
        };
        if !run.as_str().contains('/') {
            notes.lock().unwrap().push(happened);
        }
    });
    (runner, noted)
}

async fn without_durability_nothing_else_changes(world: &World) {
    let settings = || brisk().linger(Duration::from_secs(60));
    let (durable, noted) = noting(everything(world.runner().settings(settings())));
    let handle = durable.start(id("durable"), "work", "ab").await.unwrap();
    durable.signal(&id("durable"), "go", "now").await.unwrap();
    let expected: Everything = handle.output().await.unwrap();
    assert_eq!(expected.7, "now");

    world.faults.arm(FaultPlan::none());
    let (without, noted_without) = noting(everything(world.runner().settings(settings())));
    let (handle, warned) =
        warnings(async { without.start(id("without"), "work", "ab").without_durability().await.unwrap() })
            .await;
    assert_eq!(warned, 1);
    assert_eq!(without.signal(&id("without"), "go", "now").await.unwrap(), Sent::Accepted { number: 1 });
    assert_eq!(handle.output::<Everything>().await.unwrap(), expected);
    assert_eq!(handle.ended().await, Ended::Completed);
    assert_eq!(*noted.lock().unwrap(), *noted_without.lock().unwrap(), "it happened in the same way");
    let mut events = without.subscribe::<String>(&id("without"), "said", 0);
    let mut said = Vec::new();
    while let Some(event) = events.try_next().await.unwrap() {
        if let Streamed::Event(event) = event.what {
            said.push(event);
        }
    }
    assert_eq!(said, ["a", "b"]);
    assert_eq!(without.tree(&id("without")).await.unwrap().children.len(), 1);
    assert_eq!((world.faults.writes(), world.faults.reads()), (0, 0), "the store was asked nothing");
    assert!(world.store.head(&id("without")).await.unwrap().is_none());
}

/// A plan under which the store cannot be reached.
fn out_of_reach() -> FaultPlan {
    (1..1000).fold(FaultPlan::none(), |plan, write| plan.at(write, Fate::Refused))
}

fn doubling(runner: Runner) -> Runner {
    runner.handler("double", |run: Run, n: u32| async move {
        run.step("double", || async { Work::Ok(2 * n) }).await
    })
}

async fn a_store_out_of_reach_is_done_without_where_that_was_asked_for(world: &World) {
    let runner = doubling(world.runner());
    world.faults.arm(out_of_reach());
    let error = runner.start(id("r"), "double", &1).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.applied()),
        (ErrorKind::Unavailable, Some(Applied::No)),
        "durable, or none"
    );
    let start = runner.start(id("r"), "double", &1).or_without_durability();
    let (handle, warned) = warnings(async { start.await.unwrap() }).await;
    assert_eq!(warned, 1);
    assert!(!handle.is_durable());
    assert_eq!(handle.output::<u32>().await.unwrap(), 2);
    drop(handle);
    world.faults.arm(FaultPlan::none());
    let start = runner.start(id("r"), "double", &1).or_without_durability();
    let (handle, warned) = warnings(async { start.await.unwrap() }).await;
    assert_eq!(handle.output::<u32>().await.unwrap(), 2);
    assert_eq!(warned, 0);
    assert_eq!(world.head(&id("r")).await.status(), Status::Completed, "in reach it is as durable as any");
}

async fn a_run_that_may_be_there_is_not_begun_without(world: &World) {
    let runner = doubling(world.runner());
    for start in [
        runner.start(id("r"), "double", &1).or_resume().without_durability(),
        runner.start(id("r"), "double", &1).or_resume().or_without_durability(),
    ] {
        let error = start.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("leave out or_resume"), "{error}");
    }
    // Nobody knows what became of the first attempt, and the store is gone.
    world.faults.arm(out_of_reach().at(1, Fate::AckLost));
    let error = runner.start(id("r"), "double", &1).or_without_durability().await.unwrap_err();
    assert_eq!(error.applied(), Some(Applied::Maybe), "{error}");
    world.faults.arm(FaultPlan::none());
    assert!(world.store.head(&id("r")).await.unwrap().is_some(), "it is there, and would be recovered");
    let error = runner.start(id("r"), "double", &1).or_without_durability().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    // What is there is resumed from the store or not at all.
    world.faults.arm(out_of_reach());
    world.faults.kill();
    assert_eq!(runner.resume(&id("r")).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

async fn a_run_that_has_begun_durably_stays_so(world: &World) {
    let runner = doubling(world.runner());
    world.faults.arm((2..5).fold(FaultPlan::none(), |plan, write| plan.at(write, Fate::Refused)));
    let handle = runner.start(id("r"), "double", &1).or_without_durability().await.unwrap();
    assert_eq!(handle.output::<u32>().await.unwrap(), 2);
    assert!(world.faults.writes() > 5, "it waited for the store");
    assert_eq!(world.kinds(&id("r")).await, "step-began step-done");
}

async fn what_its_process_lets_go_of_has_failed(world: &World) {
    let runner = world
        .runner()
        .handler("waits", |run: Run, (): ()| async move { Work::Ok(run.signal::<()>("never").await?) })
        .handler("leaves", |_: Run, (): ()| async { Err::<(), BoxError>(Shutdown.into()) });
    let waits = runner.start(id("waits"), "waits", &()).without_durability().await.unwrap();
    let leaves = runner.start(id("leaves"), "leaves", &()).without_durability().await.unwrap();
    let told = |ended: Ended| match ended {
        Ended::Failed(failure) => {
            assert_eq!(failure.kind, FailureKind::Cancelled);
            assert!(failure.message.contains("nobody can go on with it"), "{failure}");
        }
        other => panic!("{other:?}"),
    };
    told(leaves.ended().await);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(runner.recover().await.unwrap().resumed, 0, "a wait is waited for here");
    runner.stop().await;
    told(waits.ended().await);
    assert_eq!(waits.output::<()>().await.unwrap_err().kind(), ErrorKind::Finished);
}

async fn its_children_live_and_end_with_it(world: &World) {
    let runner = world
        .runner()
        .handler("parent", |run: Run, (): ()| async move {
            let children = run.map(0..3u32, 3, u32::to_string, |run, n| async move {
                run.child::<()>(format!("c{n}"), "child", &()).await
            });
            Work::Ok(children.await?.len())
        })
        .handler("child", |run: Run, (): ()| async move { Work::Ok(run.signal::<()>("never").await?) });
    let handle = runner.start(id("p"), "parent", &()).without_durability().await.unwrap();
    let children = loop {
        let tree = runner.tree(&id("p")).await.unwrap();
        if tree.children.len() == 3 && tree.children.iter().all(|child| child.status.is_some()) {
            break tree.children;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    runner.cancel(&id("p"), "enough").await.unwrap();
    assert!(matches!(handle.ended().await, Ended::Failed(_)));
    for child in children {
        let head = runner.store().head(&child.run).await.unwrap().unwrap();
        assert_eq!(head.status(), Status::Failed, "{}", child.run);
    }
    assert_eq!(world.store.list(milepost_core::Query::all()).try_collect::<Vec<_>>().await.unwrap(), []);
}

async fn a_child_that_nobody_here_knows_fails_it(world: &World) {
    let runner = world.runner().handler("parent", |run: Run, (): ()| async move {
        Work::Ok(run.child::<()>("c", "elsewhere", &()).await?)
    });
    let handle = runner.start(id("p"), "parent", &()).without_durability().await.unwrap();
    match handle.ended().await {
        Ended::Failed(failure) => assert!(failure.message.contains("\"elsewhere\""), "{failure}"),
        other => panic!("{other:?}"),
    }
}

async fn nothing_is_left_of_it(world: &World) {
    let runner = everything(world.runner().settings(brisk().linger(Duration::from_secs(60))));
    let handle = runner.start(id("r"), "work", "ab").without_durability().await.unwrap();
    let again = runner.start(id("r"), "work", "ab").without_durability().await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
    runner.signal(&id("r"), "go", "now").await.unwrap();
    handle.output::<Everything>().await.unwrap();
    let child = runner.tree(&id("r")).await.unwrap().children.remove(0).run;
    drop(handle);
    for gone in [&id("r"), &child] {
        assert!(runner.store().head(gone).await.unwrap().is_none());
    }
    let handle = runner.start(id("r"), "work", "ab").await.unwrap();
    runner.signal(&id("r"), "go", "again").await.unwrap();
    assert!(handle.output::<Everything>().await.is_ok(), "its name is free");
}

async fn whether_it_is_durable_can_be_asked(world: &World) {
    let runner = world.runner().handler("asks", |run: Run, (): ()| async move { Work::Ok(run.is_durable()) });
    let outlives = world.store.capabilities().durability != Durability::Process;
    let handle = runner.start(id("with"), "asks", &()).await.unwrap();
    assert_eq!((handle.is_durable(), handle.output::<bool>().await.unwrap()), (outlives, outlives));
    let handle = runner.start(id("without"), "asks", &()).without_durability().await.unwrap();
    assert_eq!((handle.is_durable(), handle.output::<bool>().await.unwrap()), (false, false));
}

/// What the work gives, and how many warnings this thread logged meanwhile.
async fn warnings<T>(work: impl Future<Output = T>) -> (T, usize) {
    struct Counter(Arc<AtomicUsize>);

    impl Subscriber for Counter {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() == Level::WARN
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, _: &Event<'_>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    let count = Arc::new(AtomicUsize::new(0));
    let guard = tracing::subscriber::set_default(Counter(count.clone()));
    let done = work.await;
    drop(guard);
    (done, count.load(Ordering::SeqCst))
}
