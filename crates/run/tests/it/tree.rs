//! Trees: children are made once, whoever dies, and what they gave is read back, in one order.

use std::time::Duration;

use milepost_core::{Commit, Committed, Error, Operation, Result, Store};
use milepost_layers::{FaultPlan, Faults, Layer, forward_store};
use milepost_run::{CancellationToken, ChildCause, Children};

use crate::{
    support::{Run, World, *},
    tree_down::leaving,
};

on_every_store! {
    children_are_made_once_and_read_back,
    a_parent_waits_and_others_drive,
    a_program_for_one_run_has_its_children_driven,
    death_at_every_write_of_a_tree,
    a_key_stands_for_one_child,
    children_end_in_one_order,
    a_lost_message_costs_time_and_not_the_truth,
    a_large_output_is_the_parents_own,
    children_of_a_finished_phase_are_still_the_runs,
    restarts_are_counted_over_the_supervisors_death,
}

/// Recovers in the background until it is dropped.
pub(crate) struct Served(CancellationToken);

impl Served {
    pub(crate) fn new(runner: &Runner) -> Self {
        let (runner, shutdown) = (runner.clone(), CancellationToken::new());
        let token = shutdown.clone();
        tokio::spawn(async move { runner.serve(token).await });
        Self(shutdown)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// A parent that has the numbers below its input doubled, each by a child.
fn doubling(runner: Runner, tally: &Tally) -> Runner {
    let seen = tally.clone();
    let runner = runner.handler("double", move |run: Run, n: u32| {
        let tally = seen.clone();
        async move {
            run.step("double", || async {
                tally.add(format!("double {n}"));
                Work::Ok(2 * n)
            })
            .await
        }
    });
    runner.handler("parent", |run: Run, numbers: u32| async move {
        let doubled = run.map(0..numbers, 2, u32::to_string, |run, n| async move {
            run.child::<u32>(format!("n{n}"), "double", &n).await
        });
        Work::Ok(doubled.await?.iter().sum::<u32>())
    })
}

/// Every run below this one, by its key.
pub(crate) async fn children(world: &World, run: &str) -> Vec<Head> {
    let tree = world.runner().tree(&id(run)).await.unwrap();
    let mut heads = Vec::new();
    for child in tree.children {
        heads.push(world.head(&child.run).await);
    }
    heads
}

async fn children_are_made_once_and_read_back(world: &World) {
    let tally = Tally::default();
    let runner = doubling(world.runner(), &tally);
    let _served = Served::new(&runner);
    let handle = runner.start(id("p"), "parent", &5).await.unwrap();
    assert_eq!(handle.output::<u32>().await.unwrap(), 20);
    for child in children(world, "p").await {
        assert_eq!(child.info.parent, Some(id("p")));
        assert_eq!(child.status(), Status::Completed);
        assert!(child.run.as_str().starts_with("p/n"), "{}", child.run);
    }
    // Somebody who comes to it again reads what it got from its children.
    let again = doubling(world.runner(), &tally);
    assert_eq!(again.resume(&id("p")).await.unwrap().output::<u32>().await.unwrap(), 20);
    assert_eq!(tally.all().len(), 5, "{:?}", tally.all());
    assert_eq!(world.kinds(&id("p")).await.matches("child-began").count(), 5);
    assert_eq!(world.kinds(&id("p")).await.matches("child-settled").count(), 5);
}

async fn a_parent_waits_and_others_drive(world: &World) {
    let here = world.runner().handler("parent", |run: Run, (): ()| async move {
        Work::Ok(run.child::<String>("c", "child", &"x").await?)
    });
    let handle = here.start(id("p"), "parent", &()).await.unwrap();
    assert!(matches!(handle.ended().await, Ended::Waiting(_)), "it lets go of its process");
    let child = children(world, "p").await.remove(0);
    assert_eq!((child.status(), child.fence.epoch), (Status::Interrupted, 1), "made, and left to others");
    let there = world.runner().handler("child", |_: Run, input: String| async move { Work::Ok(input + "!") });
    let _served = (Served::new(&there), Served::new(&here));
    assert_eq!(handle.output::<String>().await.unwrap(), "x!");
}

async fn a_program_for_one_run_has_its_children_driven(world: &World) {
    let tally = Tally::default();
    let output: u32 = doubling(world.runner(), &tally).run(id("p"), "parent", &3).await.unwrap();
    assert_eq!(output, 6, "nobody serves beside it");
}

async fn death_at_every_write_of_a_tree(world: &World) {
    for after in [false, true] {
        for write in 2.. {
            let tally = Tally::default();
            let plan = FaultPlan::none();
            let plan = if after { plan.die_after(write) } else { plan.die_before(write) };
            let faults = Faults::new(world.store.clone(), plan);
            let settings = brisk().ttl(Duration::from_millis(40)).linger(Duration::from_secs(5));
            let dying = doubling(Runner::new(faults.clone()).settings(settings), &tally);
            let run = id(&format!("{after} {write}"));
            let handle = dying.start(run.clone(), "parent", &3).await.unwrap();
            while !faults.is_dead() && world.head(&run).await.outcome.is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let survived = !faults.is_dead();
            drop(handle);
            let settings = brisk().ttl(Duration::from_millis(200));
            let successor = doubling(world.runner().settings(settings), &tally);
            let served = Served::new(&successor);
            let said = format!("{run}: {}", faults.trail());
            assert_eq!(successor.output::<u32>(&run).await.unwrap(), 6, "{said}");
            drop(served);
            let children = children(world, run.as_str()).await;
            assert_eq!(children.len(), 3, "{said}: exactly one child a key");
            for child in children {
                let kinds = world.kinds(&child.run).await;
                assert_eq!(kinds.matches("step-done").count(), 1, "{said}: {kinds}");
            }
            if survived {
                break;
            }
        }
    }
}

async fn a_key_stands_for_one_child(world: &World) {
    let tally = Tally::default();
    let runner = doubling(world.runner(), &tally);
    let runner = runner.handler("asks", |run: Run, (): ()| async move {
        let live = run.child::<u32>("k", "double", &1).spawn().await;
        let duplicate = run.child::<u32>("k", "double", &1).await.unwrap_err();
        assert_eq!(duplicate.cause(), ChildCause::Duplicate, "{duplicate}");
        let first = live.join().await?;
        let again = run.child::<u32>("k", "double", &1).await?;
        let conflict = run.child::<u32>("k", "double", &2).await.unwrap_err();
        assert_eq!(conflict.cause(), ChildCause::Conflict, "{conflict}");
        let invalid = run.child::<u32>("nan", "double", &f64::NAN).await.unwrap_err();
        assert_eq!(invalid.cause(), ChildCause::Invalid, "{invalid}");
        run.sleep(Duration::from_millis(50)).await;
        Work::Ok((first, again))
    });
    let _served = Served::new(&runner);
    let handle = runner.start(id("p"), "asks", &()).await.unwrap();
    // The waits make it be called again and again: what it was refused is recorded like what it got.
    assert_eq!(handle.output::<(u32, u32)>().await.unwrap(), (2, 2));
    assert_eq!(tally.all(), ["double 1"]);
    assert_eq!(children(world, "p").await.len(), 1);
}

async fn children_end_in_one_order(world: &World) {
    let orders = Tally::default();
    let kept = orders.clone();
    let runner = world.runner();
    let runner =
        runner.handler("child", |run: Run, (): ()| async move { Work::Ok(run.signal::<u32>("go").await?) });
    let runner = runner.handler("parent", move |run: Run, (): ()| {
        let orders = kept.clone();
        async move {
            let mut children = Children::new();
            for key in ["a", "b", "c"] {
                children.push(run.child::<u32>(key, "child", &()).spawn().await);
            }
            let mut order = String::new();
            while let Some((key, output)) = children.next().await {
                order += &format!("{key}{} ", output?);
            }
            orders.add(&*order);
            run.signal::<()>("end").await?;
            Work::Ok(order)
        }
    });
    let _served = Served::new(&runner);
    let handle = runner.start(id("p"), "parent", &()).await.unwrap();
    handle.ended().await;
    let tree = runner.tree(&id("p")).await.unwrap();
    for (index, n) in [(2, 1), (0, 2), (1, 3)] {
        runner.signal(&tree.children[index].run, "go", &n).await.unwrap();
        while world.kinds(&id("p")).await.matches("child-settled").count() < n {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    while orders.all().is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    runner.signal(&id("p"), "end", &()).await.unwrap();
    assert_eq!(handle.output::<String>().await.unwrap(), "c1 a2 b3 ");
    assert!(orders.all().iter().all(|order| order == "c1 a2 b3 "), "the same each time: {:?}", orders.all());
}

/// A store that loses every message.
#[derive(Debug)]
struct Mute<S>(S);

impl<S: Store> Layer for Mute<S> {
    type Inner = S;

    fn inner(&self) -> &S {
        &self.0
    }

    async fn around<T: Send>(
        &self,
        operation: Operation,
        _: Option<&RunId>,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        match operation {
            Operation::Send => Err(Error::new(ErrorKind::Other, "lost on its way")),
            _ => work.await,
        }
    }
}

forward_store! {
    impl<S: Store> Store for Mute<S>;
    forward capabilities, open, commit, renew, send, delete, head, snapshot, stream, inbox, blob, blobs, list, close;

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        self.0.commit_many(commits).await
    }
}

async fn a_lost_message_costs_time_and_not_the_truth(world: &World) {
    let tally = Tally::default();
    let settings = brisk().ttl(Duration::from_millis(100));
    let runner = doubling(Runner::new(Mute(world.store.clone())).settings(settings), &tally);
    let _served = Served::new(&runner);
    let handle = runner.start(id("p"), "parent", &3).await.unwrap();
    assert_eq!(handle.output::<u32>().await.unwrap(), 6);
    assert_eq!(world.head(&id("p")).await.newest_message, 0);
}

async fn a_large_output_is_the_parents_own(world: &World) {
    let runner = world.runner().settings(brisk().inline(100));
    let runner = runner.handler("child", |_: Run, n: usize| async move { Work::Ok("x".repeat(n)) });
    let runner = runner.handler("parent", |run: Run, (): ()| async move {
        let large = run.child::<String>("c", "child", &5000).await?;
        run.signal::<()>("go").await?;
        Work::Ok(large.len())
    });
    let handle = runner.start(id("p"), "parent", &()).await.unwrap();
    handle.ended().await;
    while !world.kinds(&id("p")).await.contains("wait-began") {
        let _ = runner.recover().await.unwrap();
    }
    let child = children(world, "p").await.remove(0).run;
    world.store.delete(&child, milepost_core::Delete::Any).await.unwrap();
    runner.signal(&id("p"), "go", &()).await.unwrap();
    let _served = Served::new(&runner);
    assert_eq!(runner.output::<usize>(&id("p")).await.unwrap(), 5000, "its child is gone, its value is not");
    let tree = runner.tree(&id("p")).await.unwrap().to_string();
    assert!(tree.ends_with("└─ c (child)  ended, and deleted"), "{tree}");
}

async fn children_of_a_finished_phase_are_still_the_runs(world: &World) {
    let tally = Tally::default();
    let runner = leaving(doubling(world.runner(), &tally)).handler("parent", |run: Run, (): ()| async move {
        let phase = run.phase("one", |run| async move {
            let _left = run.child::<()>("left", "child", &()).spawn().await;
            run.spend("model", 1);
            Work::Ok(run.child::<u32>("k", "double", &1).budget(10).await?)
        });
        let first = phase.await?;
        run.signal::<()>("go").await?;
        let again = run.child::<u32>("k", "double", &1).await?;
        let live = run.child::<()>("left", "child", &()).await.unwrap_err();
        Work::Ok((first, again, live.cause() == ChildCause::Duplicate, run.budget().left()))
    });
    let _served = Served::new(&runner);
    let handle = runner.start(id("p"), "parent", &()).budget(100).await.unwrap();
    while !world.kinds(&id("p")).await.contains("wait-began") {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // It is called again, over a log whose phase is skipped.
    world.until(&id("p"), Status::Waiting).await;
    runner.signal(&id("p"), "go", &()).await.unwrap();
    let (first, again, refused, left): (u32, u32, bool, Option<u64>) = handle.output().await.unwrap();
    assert_eq!((first, again, refused, left), (2, 2, true, Some(99)));
    assert_eq!(tally.all(), ["double 1"]);
    let tree = runner.tree(&id("p")).await.unwrap();
    assert_eq!((tree.size(), tree.count(Status::Failed)), (2, 1), "and it goes down with it: {tree}");
}

async fn restarts_are_counted_over_the_supervisors_death(world: &World) {
    let tally = Tally::default();
    let seen = tally.clone();
    let supervised = move |runner: Runner| {
        let tally = seen.clone();
        let runner = runner.handler("shaky", move |run: Run, (): ()| {
            let tally = tally.clone();
            async move {
                let tried = run.step("try", || async {
                    tally.add("try");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    Work::<()>::Err(format!("try {} failed", tally.all().len()).into())
                });
                Work::Ok(tried.await?)
            }
        });
        runner.handler("work", |run: Run, (): ()| async move {
            let child = run.child::<()>("c", "shaky", &()).restarts(3, Duration::from_secs(3600));
            Work::Ok(child.await.unwrap_err().message().to_owned())
        })
    };
    // Supervisor and child die twice, each time in a try that comes after a restart. The try itself did not fail.
    for tries in [2, 4] {
        let faults = Faults::new(world.store.clone(), FaultPlan::none());
        let settings = brisk().ttl(Duration::from_millis(60)).linger(Duration::from_secs(5));
        let runner = supervised(Runner::new(faults.clone()).settings(settings));
        let start = runner.start(id("p"), "work", &()).or_resume().await.unwrap();
        while tally.all().len() < tries {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        faults.kill();
        drop(start);
        world.until(&id("p"), Status::Interrupted).await;
        let child = children(world, "p").await.remove(0).run;
        world.until(&child, Status::Interrupted).await;
    }
    let runner = supervised(world.runner());
    let _served = Served::new(&runner);
    let said: String = runner.output(&id("p")).await.unwrap();
    assert_eq!(said, "step \"try\" failed after 6 attempts: try 6 failed", "four of six tries have failed");
    let kinds = world.kinds(&id("p")).await;
    assert_eq!(kinds.matches("child-restarted").count(), 3, "{kinds}");
    let tree = runner.tree(&id("p")).await.unwrap().to_string();
    assert!(tree.ends_with("reopened 3 times"), "{tree}");
}
