//! The end of a run takes its children down, and hides no reason; reopened, it tries them again.

use std::time::Duration;

use milepost_layers::{FaultPlan, Faults};

use crate::{
    support::{Run, World, *},
    tree::{Served, children},
};

on_every_store! {
    leaving_the_parent_takes_the_children_down,
    a_child_whose_process_died_is_taken_down,
    grandchildren_go_down_with_a_cancelled_parent,
    a_reopened_parent_tries_its_children_again,
}

/// A child that never ends by itself, and parents that leave it.
pub(crate) fn leaving(runner: Runner) -> Runner {
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
