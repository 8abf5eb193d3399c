//! Budgets: slices are set aside, come back, and are charged in full where nobody knows.

use std::time::Duration;

use milepost_run::{Budget, ChildCause};

use crate::{
    support::{Run, World, *},
    tree::Served,
};

on_every_store! {
    what_a_child_has_not_used_comes_back,
    what_nobody_knows_is_charged_in_full,
    more_than_is_left_is_refused,
    books_are_the_same_after_a_crash,
}

/// A child that uses so much, or does not know how much, or dies as poison; and a parent that gives it 50 of its 100.
fn spending(runner: Runner) -> Runner {
    let runner = runner.handler("child", |run: Run, how: String| async move {
        assert_eq!(run.budget().left(), Some(50));
        let used: Option<u64> = run.step("model", || async { Work::Ok(how.parse().ok()) }).await?;
        run.spend("model", used);
        if how == "fails" {
            return Err("after it had used something".into());
        }
        Work::Ok(run.budget())
    });
    runner.handler("parent", |run: Run, how: String| async move {
        run.spend("planning", 10);
        let child = run.child::<Budget>("c", "child", &how).budget(50).spawn().await;
        assert_eq!((run.budget().left(), run.budget().reserved), (Some(40), 50));
        let used = child.join().await;
        assert!(used.is_ok() || how == "fails");
        Work::Ok(run.budget())
    })
}

async fn spent(world: &World, how: &str) -> Budget {
    let runner = spending(world.runner());
    let _served = Served::new(&runner);
    let start = runner.start(id(how), "parent", how).budget(100);
    start.await.unwrap().output().await.unwrap()
}

async fn what_a_child_has_not_used_comes_back(world: &World) {
    let budget = spent(world, "20").await;
    assert_eq!((budget.spent, budget.reserved, budget.left()), (30, 0, Some(70)));
    assert!(budget.gaps.is_empty());
    let overdrawn = spent(world, "95").await;
    assert_eq!((overdrawn.spent, overdrawn.left()), (105, Some(0)), "what was used was used");
    let kinds = world.kinds(&id("20")).await;
    assert!(kinds.ends_with("drawn accounted"), "its own books are its last record: {kinds}");
}

async fn what_nobody_knows_is_charged_in_full(world: &World) {
    // Both have a gap in their books; one fails with it.
    for how in ["unknown", "fails"] {
        assert_eq!(spent(world, how).await.left(), Some(40), "{how}");
    }
    // And one is ended before its handler has told what it used.
    let runner = spending(world.runner());
    let runner = runner.handler("cancelled", |run: Run, (): ()| async move {
        run.spend("model", 1);
        run.signal::<()>("never").await?;
        Work::Ok(())
    });
    let runner = runner.handler("cancels", |run: Run, (): ()| async move {
        run.child::<()>("c", "cancelled", &()).budget(50).await.unwrap_err();
        Work::Ok(run.budget())
    });
    let _served = Served::new(&runner);
    let handle = runner.start(id("p"), "cancels", &()).budget(100).await.unwrap();
    handle.ended().await;
    let child = runner.tree(&id("p")).await.unwrap().children.remove(0).run;
    world.until(&child, Status::Waiting).await;
    runner.cancel(&child, "enough").await.unwrap();
    assert_eq!(handle.output::<Budget>().await.unwrap().left(), Some(50));
}

async fn more_than_is_left_is_refused(world: &World) {
    let runner = spending(world.runner()).handler("greedy", |run: Run, (): ()| async move {
        run.spend("planning", 60);
        let refused = run.child::<Budget>("c", "child", "20").budget(50).await.unwrap_err();
        assert_eq!(refused.cause(), ChildCause::OverBudget);
        run.sleep(Duration::from_millis(50)).await;
        Work::Ok((refused.to_string(), run.budget().left()))
    });
    let _served = Served::new(&runner);
    let handle = runner.start(id("p"), "greedy", &()).budget(100).await.unwrap();
    let (refused, left): (String, Option<u64>) = handle.output().await.unwrap();
    assert_eq!(refused, "child \"c\": a slice of 50 was asked for, and 40 are left of the budget");
    assert_eq!(left, Some(40));
    assert!(runner.tree(&id("p")).await.unwrap().children.is_empty(), "it never was a run");
}

async fn books_are_the_same_after_a_crash(world: &World) {
    let reached = Tally::default();
    let seen = reached.clone();
    let work = move |runner: Runner| {
        let reached = seen.clone();
        spending(runner).handler("work", move |run: Run, (): ()| {
            let reached = reached.clone();
            async move {
                run.spend("planning", 10);
                let child = run.child::<Budget>("c", "child", "20").budget(50).spawn().await;
                let reserved = run.budget();
                child.join().await?;
                let settled = run.budget();
                let wait = run.effect("wait", |effect| {
                    reached.add(format!("attempt {}", effect.attempt()));
                    async move {
                        if effect.attempt() == 0 {
                            std::future::pending::<()>().await;
                        }
                        Work::Ok(())
                    }
                });
                wait.await?;
                run.spend("unknown", None);
                Work::Ok((reserved, settled, run.budget()))
            }
        })
    };
    world.die_in(&work, "p", &reached).await;
    let runner = work(world.runner());
    let handle = runner.resume(&id("p")).await.unwrap();
    let (reserved, settled, last): (Budget, Budget, Budget) = handle.output().await.unwrap();
    assert_eq!((reserved.spent, reserved.reserved), (10, 50));
    assert_eq!((settled.spent, settled.reserved), (30, 0));
    assert_eq!((last.spent, last.gaps), (30, vec!["unknown".to_owned()]));
}
