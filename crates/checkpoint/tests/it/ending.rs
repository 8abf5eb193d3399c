//! Release, complete and fail: each exactly once, and what a finished run answers.

use std::time::Duration;

use futures_util::FutureExt;
use milepost_checkpoint::{Checkpoints, Json, Started};
use milepost_core::*;
use milepost_layers::{Fate, FaultPlan, Faults};

use crate::support::*;

const ENDS: [&str; 3] = ["release", "complete", "fail"];

async fn end(run: &mut Box<dyn Checkpointer>, end: &str) -> Result<()> {
    match end {
        "release" => run.release(Wake::now()).await,
        "complete" => run.complete(done()).await,
        _ => run.fail(failure()).await,
    }
}

#[tokio::test]
async fn later_calls_are_closed_and_reach_no_store() {
    for how in ENDS {
        let world = World::new();
        let mut run = drive(&world.checkpoints()).await;
        run.save(json(1)).await.unwrap();
        end(&mut run, how).await.unwrap();
        world.spy.forget();
        let errors = [
            run.save(json(2)).await.map(drop),
            run.append(vec![note("a")]).await.map(drop),
            run.checkpoint(json(2)).await.map(drop),
            run.flush().await.map(drop),
            run.renew().await,
            run.release(Wake::now()).await,
            run.complete(done()).await,
            run.fail(failure()).await,
        ];
        for error in errors {
            assert_eq!(error.unwrap_err().kind(), ErrorKind::Closed, "after {how}");
        }
        world.pass(LAPSE);
        settle().await;
        assert_eq!(world.spy.calls("commit") + world.spy.calls("renew"), 0, "after {how}");
    }
}

#[tokio::test]
async fn an_error_leaves_the_run_usable_and_the_call_repeatable() {
    for how in ENDS {
        for first in ["repeat", "save first", "append first"] {
            let world = World::new();
            let mut run = drive(&world.checkpoints().throttle(LAPSE)).await;
            run.save(json(1)).await.unwrap();
            assert_eq!(run.save(json(2)).await.unwrap(), Saved::Throttled);
            world.spy.fail_next(Operation::Commit, unavailable());
            assert_eq!(end(&mut run, how).await.unwrap_err().kind(), ErrorKind::Unavailable);
            match first {
                "save first" => assert_eq!(run.checkpoint(json(3)).await.unwrap(), 2),
                "append first" => assert_eq!(run.append(vec![note("a")]).await.unwrap(), 2),
                _ => {}
            }
            end(&mut run, how).await.unwrap();
            let state = if first == "save first" { 3 } else { 2 };
            assert_eq!(world.raw::<u64>().await, Some(state), "{how}, {first}");
        }
    }
}

#[tokio::test]
async fn an_end_of_which_nobody_was_told_is_settled_by_the_same_call() {
    for how in ENDS {
        for fate in [Fate::AckLost, Fate::Lost] {
            for renewed in [false, true] {
                let world = World::new();
                let plan = FaultPlan::none().at(2, fate);
                let store = Faults::with_clock(world.memory.clone(), plan, world.clock.clone());
                let checkpoints = Checkpoints::new(store).clock(world.clock.clone());
                let mut run = drive(&checkpoints).await;
                assert_eq!(end(&mut run, how).await.unwrap_err().applied(), Some(Applied::Maybe));
                if renewed {
                    // Renewals find the run ended, and take it for no loss.
                    world.pass(Duration::from_secs(11));
                    settle().await;
                }
                end(&mut run, how).await.unwrap_or_else(|error| panic!("{how}, {fate}, {renewed}: {error}"));
                assert_eq!(end(&mut run, how).await.unwrap_err().kind(), ErrorKind::Closed);
                assert_eq!(world.head().await.version, 2, "{how}, {fate}: once");
            }
        }
    }
}

#[tokio::test]
async fn a_run_whose_end_nobody_was_told_of_is_not_lost() {
    let world = World::new();
    let plan = FaultPlan::none().at(2, Fate::AckLost);
    let store = Faults::with_clock(world.memory.clone(), plan, world.clock.clone());
    let checkpoints = Checkpoints::new(store).clock(world.clock.clone());
    let mut run = drive_state(&checkpoints, 0u64).await;
    let lost = run.checkpointer().unwrap().lost();
    run.complete(&"done").await.unwrap_err();
    settle().await;
    world.pass(LAPSE);
    settle().await;
    assert!(lost.now_or_never().is_none());
    run.complete(&"done").await.unwrap();
}

#[tokio::test]
async fn after_an_end_of_which_nobody_was_told_nothing_else_is_written() {
    for how in ENDS {
        let world = World::new();
        let plan = FaultPlan::none().at(2, Fate::AckLost);
        let store = Faults::with_clock(world.memory.clone(), plan, world.clock.clone());
        let mut run = drive(&Checkpoints::new(store).clock(world.clock.clone())).await;
        end(&mut run, how).await.unwrap_err();
        assert_eq!(run.save(json(1)).await.unwrap_err().kind(), ErrorKind::Closed, "{how}");
        assert_eq!(run.append(vec![note("a")]).await.unwrap_err().kind(), ErrorKind::Closed, "{how}");
        let other = if how == "fail" { "complete" } else { "fail" };
        assert_eq!(end(&mut run, other).await.unwrap_err().kind(), ErrorKind::Closed, "{how}");
        end(&mut run, how).await.unwrap();
        assert_eq!(world.log().await.len(), 0);
    }
}

#[tokio::test]
async fn an_end_writes_a_state_that_is_durable_no_second_time() {
    for how in ENDS {
        let world = World::new();
        let mut run = drive_state(&world.checkpoints(), 0u64).await;
        run.update(|state| *state += 1).await.unwrap();
        run.append(vec![note("a")]).await.unwrap();
        match how {
            "release" => run.release(Wake::now()).await,
            "complete" => run.complete(&"done").await,
            _ => run.fail(failure()).await,
        }
        .unwrap();
        assert_eq!(world.log().await.len(), 2, "{how}");
    }
}

#[tokio::test]
async fn a_finished_run_answers_its_outcome() {
    let world = World::new();
    end(&mut drive(&world.checkpoints()).await, "complete").await.unwrap();
    let completed = Outcome::Completed { output: done() };
    let Begun::Finished(outcome) = world.checkpoints().begin(begin()).await.unwrap() else { panic!() };
    assert_eq!(outcome, completed);
    let Begun::Finished(outcome) = world.checkpoints().resume(&run_id()).await.unwrap() else { panic!() };
    assert_eq!(outcome, completed);
    let started = world.checkpoints().begin_state_in(Json, begin(), || 0u64).await.unwrap();
    assert!(matches!(started, Started::Finished(outcome) if outcome == completed));
    let started = world.checkpoints().begin_saver::<u64, _>(Json, begin()).await.unwrap();
    assert!(matches!(started, Started::Finished(outcome) if outcome == completed));
}

#[tokio::test]
async fn a_failed_run_is_reopened_when_asked_and_goes_on_from_its_state() {
    let world = World::new();
    let mut run = drive(&world.checkpoints()).await;
    run.save(json(1)).await.unwrap();
    run.fail(failure()).await.unwrap();
    let failed = Outcome::Failed { failure: failure() };
    let Begun::Finished(outcome) = world.checkpoints().begin(begin()).await.unwrap() else { panic!() };
    assert_eq!(outcome, failed);
    let Begun::Driving(mut run) = world.checkpoints().begin(begin().reopen_failed()).await.unwrap() else {
        panic!()
    };
    assert_eq!(run.restored().unwrap().state, Some(json(1)));
    assert_eq!(run.restored(), None, "once");
}

#[tokio::test]
async fn finished_runs_are_kept_as_long_as_asked() {
    for how in ["complete", "fail"] {
        for retain in [Retain::Keep, Retain::KeepFor(Duration::from_secs(60)), Retain::Delete] {
            let world = World::new();
            let mut run = drive(&world.checkpoints().retain(retain)).await;
            end(&mut run, how).await.unwrap();
            let head = world.memory.head(&run_id()).await.unwrap();
            match retain {
                Retain::Keep => assert_eq!(head.unwrap().delete_after, None),
                Retain::KeepFor(time) => {
                    assert_eq!(head.unwrap().delete_after, Some(world.clock.now() + time))
                }
                Retain::Delete => assert_eq!(head, None),
            }
        }
    }
    // What cannot be deleted now is found later.
    let world = World::new();
    let mut run = drive(&world.checkpoints().retain(Retain::Delete)).await;
    world.spy.fail_next(Operation::Delete, unavailable());
    run.complete(done()).await.unwrap();
    assert_eq!(world.memory.list(Query::expired()).collect::<Vec<_>>().await.len(), 1);
}

#[tokio::test]
async fn a_released_run_is_found_and_resumed() {
    let world = World::new();
    let mut run = drive(&world.checkpoints()).await;
    run.save(json(1)).await.unwrap();
    assert!(world.checkpoints().interrupted().collect::<Vec<_>>().await.is_empty());
    run.release(Wake::now()).await.unwrap();
    let found: Vec<_> = world.checkpoints().interrupted().collect().await;
    assert_eq!(found.len(), 1);
    let head = found[0].as_ref().unwrap();
    let Begun::Driving(mut run) = world.checkpoints().resume(&head.run).await.unwrap() else { panic!() };
    assert_eq!(run.restored().unwrap().state, Some(json(1)));
    assert_eq!(world.head().await.lapses, 0);

    let world = World::of(ALL.without(Capability::List));
    let refused = world.checkpoints().interrupted().next().await.unwrap().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_handle_tells_from_where_it_was_resumed() {
    let world = World::new();
    let mut run = drive_state(&world.checkpoints(), 0u64).await;
    assert_eq!(run.resumed_at(), None);
    run.append(vec![note("a")]).await.unwrap();
    run.release(Wake::now()).await.unwrap();
    let mut run = drive_state(&world.checkpoints(), 0u64).await;
    assert_eq!(run.resumed_at(), Some(2));
    run.update(|state| *state += 1).await.unwrap();
    assert_eq!(run.resumed_at(), Some(2));
}
