//! Trees: children are made once and read back, end in one order, and go down with their parent.

use std::time::Duration;

use milepost_core::{Commit, Committed, Error, Kind, NewRecord, Operation, Result, Store, Wake};
use milepost_layers::{FaultPlan, Faults, Layer, forward_store};
use milepost_run::{CancellationToken, ChildCause, Children};

use crate::support::{Run, World, *};

on_every_store! {
    children_are_made_once_and_read_back,
    a_parent_waits_and_others_drive,
    a_program_for_one_run_has_its_children_driven,
    death_at_every_write_of_a_tree,
    a_key_stands_for_one_child,
    children_end_in_one_order,
    a_lost_message_costs_time_and_not_the_truth,
    leaving_the_parent_takes_the_children_down,
    a_child_whose_process_died_is_taken_down,
    grandchildren_go_down_with_a_cancelled_parent,
    a_reopened_parent_tries_its_children_again,
    a_large_output_is_the_parents_own,
    children_of_a_finished_phase_are_still_the_runs,
    restarts_are_counted_over_the_supervisors_death,
    the_tree_is_a_picture,
    an_end_without_a_beginning_is_corrupt,
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
async fn children(world: &World, run: &str) -> Vec<Head> {
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

/// A child that never ends by itself, and parents that leave it.
fn leaving(runner: Runner) -> Runner {
    let runner = runner.handler("child", |run: Run, (): ()| async move {
        run.signal::<()>("never").await?;
        Work::Ok(())
    });
    let runner = runner.handler("middle", |run: Run, (): ()| async move {
        run.child::<()>("below", "child", &()).await?;
        Work::Ok(())
    });
    runner.handler("leaves", |run: Run, how: String| async move {
        let _child = run.child::<()>("c", "middle", &()).spawn().await;
        let lost = run.child::<()>("d", "child", &()).spawn().await;
        match &*how {
            "waits" => lost.join().await?,
            "panics" => panic!("at the disco"),
            "returns" => return Ok(()),
            _ => {}
        }
        Work::Err("the primary reason".into())
    })
}

async fn leaving_the_parent_takes_the_children_down(world: &World) {
    for (how, reason) in [("fails", "the primary reason"), ("panics", "at the disco"), ("returns", "")] {
        let runner = leaving(world.runner());
        let _served = Served::new(&runner);
        let ended = runner.start(id(how), "leaves", how).await.unwrap().ended().await;
        match ended {
            Ended::Completed => assert_eq!(how, "returns"),
            Ended::Failed(failure) => assert_eq!(failure.message, reason),
            other => panic!("{how}: {other}"),
        }
        // They are down when their parent has ended, and not some time later.
        let tree = runner.tree(&id(how)).await.unwrap();
        assert_eq!((tree.size(), tree.count(Status::Failed)), (3, 3), "{tree}");
        assert!(tree.children.iter().all(|child| child.settled), "{tree}");
        let failure = world.failure(&tree.children[1].run).await;
        assert_eq!(failure, (FailureKind::Cancelled, "the run that began it has ended".into()));
    }
}

async fn a_child_whose_process_died_is_taken_down(world: &World) {
    let faults = Faults::new(world.store.clone(), FaultPlan::none());
    let dying = Runner::new(faults.clone()).settings(brisk().ttl(Duration::from_millis(60)));
    let dying = dying.handler("child", |run: Run, (): ()| async move {
        run.step("long", std::future::pending::<Work<()>>).await?;
        Work::Ok(())
    });
    let parent = world.runner().settings(brisk().ttl(Duration::from_millis(60)));
    let parent = parent.handler("parent", |run: Run, (): ()| async move {
        let _child = run.child::<()>("c", "child", &()).spawn().await;
        run.signal::<()>("go").await?;
        Work::<()>::Err("the primary reason".into())
    });
    let handle = parent.start(id("p"), "parent", &()).await.unwrap();
    handle.ended().await;
    let child = children(world, "p").await.remove(0).run;
    dying.resume(&child).await.unwrap();
    while !world.kinds(&child).await.contains("step-began") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    faults.kill();
    parent.signal(&id("p"), "go", &()).await.unwrap();
    let ended = parent.resume(&id("p")).await.unwrap().ended().await;
    assert!(matches!(ended, Ended::Failed(failure) if failure.message == "the primary reason"));
    assert_eq!(
        world.failure(&child).await.0,
        FailureKind::Cancelled,
        "ended here, where its handler is not known"
    );
}

async fn grandchildren_go_down_with_a_cancelled_parent(world: &World) {
    let runner = leaving(world.runner());
    let _served = Served::new(&runner);
    let handle = runner.start(id("p"), "leaves", "waits").await.unwrap();
    handle.ended().await;
    while runner.tree(&id("p")).await.unwrap().size() < 3 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    runner.cancel(&id("p"), "enough").await.unwrap();
    world.until(&id("p"), Status::Failed).await;
    let tree = runner.tree(&id("p")).await.unwrap();
    assert_eq!(tree.count(Status::Failed), 3, "{tree}");
    assert_eq!(world.failure(&id("p")).await, (FailureKind::Cancelled, "enough".into()));
}

async fn a_reopened_parent_tries_its_children_again(world: &World) {
    let runner = world.runner();
    let runner =
        runner.handler("child", |run: Run, (): ()| async move { Work::Ok(run.signal::<u32>("go").await?) });
    let runner = runner.handler("parent", |run: Run, (): ()| async move {
        let child = run.child::<u32>("c", "child", &()).spawn().await;
        let fails = run.effect("fails", |effect| async move {
            if effect.attempt() == 0 { Err("not yet") } else { Ok(()) }
        });
        fails.await?;
        Work::Ok(child.join().await?)
    });
    let _served = Served::new(&runner);
    let ended = runner.start(id("p"), "parent", &()).await.unwrap().ended().await;
    assert!(matches!(ended, Ended::Failed(_)));
    let child = children(world, "p").await.remove(0).run;
    assert_eq!(world.failure(&child).await.0, FailureKind::Cancelled);
    let handle = runner.reopen(&id("p")).await.unwrap();
    handle.ended().await;
    world.until_open(&child).await;
    runner.signal(&child, "go", &7).await.unwrap();
    assert_eq!(handle.output::<u32>().await.unwrap(), 7);
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

async fn the_tree_is_a_picture(world: &World) {
    let runner = world.runner();
    let runner = runner.handler("leaf", |run: Run, waits: bool| async move {
        run.note(1, Some(4), "parcels");
        if waits {
            run.signal::<()>("go").await?;
        }
        run.spend("stamps", 3);
        Work::Ok(())
    });
    let runner =
        runner.handler("bad", |_: Run, (): ()| async move { Work::<()>::Err("no such street".into()) });
    let runner = runner.handler("middle", |run: Run, (): ()| async move {
        run.child::<()>("leaf", "leaf", &false).budget(5).await?;
        run.child::<()>("waits", "leaf", &true).budget(6).await?;
        Work::Ok(())
    });
    let runner = runner.handler("root", |run: Run, (): ()| async move {
        let middle = run.child::<()>("first", "middle", &()).budget(40).spawn().await;
        run.child::<()>("second", "bad", &()).await.unwrap_err();
        run.child::<()>("first", "middle", &()).await.unwrap_err();
        middle.join().await?;
        Work::Ok(())
    });
    let _served = Served::new(&runner);
    runner.start(id("tree"), "root", &()).budget(100).await.unwrap();
    let picture = "\
tree (root)  waiting  used 0 of 100, 40 with its children
├─ first (middle)  waiting  used 3 of 40, 6 with its children
│  ├─ leaf  completed  1/4 parcels  used 3 of 5
│  └─ waits (leaf)  waiting  1/4 parcels  used 0 of 6
└─ second (bad)  failed: no such street";
    let mut tree = runner.tree(&id("tree")).await.unwrap();
    for _ in 0..1000 {
        if tree.to_string() == picture {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        tree = runner.tree(&id("tree")).await.unwrap();
    }
    assert_eq!(tree.to_string(), picture);
    assert_eq!((tree.size(), tree.count(Status::Waiting), tree.count(Status::Completed)), (4, 2, 1));
}

async fn an_end_without_a_beginning_is_corrupt(world: &World) {
    let runner = world.runner().handler("work", |run: Run, (): ()| async move {
        run.signal::<()>("go").await?;
        Work::Ok(())
    });
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    let open = milepost_core::Open::resume(milepost_core::Ids::operation(&milepost_core::SystemIds));
    let opened = world.store.open(&id("r"), open.over(world.head(&id("r")).await.fence)).await.unwrap();
    let settled =
        r#"{"v":1,"epoch":2,"event":{"child-settled":{"at":"9","end":{"completed":{"json":1}},"used":0}}}"#;
    let operation = milepost_core::Ids::operation(&milepost_core::SystemIds);
    let commit = Commit::new(id("r"), opened.fence, operation, opened.head.version)
        .record(NewRecord::new(Kind::from_static("milepost/run.child-settled"), settled))
        .release(Wake::now());
    world.store.commit(commit).await.unwrap();
    for error in [runner.tree(&id("r")).await.unwrap_err(), runner.resume(&id("r")).await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("a child ends at 9 that is not under way"), "{error}");
    }
}
