//! Writes of which nobody knows whether they happened: each at its turn, with each fate, and each dropped half-way.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use milepost_checkpoint::{Checkpoints, SnapshotPolicy, verify};
use milepost_core::*;
use milepost_layers::{Fate, FaultPlan, Faults};

use crate::support::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Save(u64),
    Append(u64),
    Checkpoint(u64),
    Flush,
    Complete,
}

/// What a run of this script does: 20 steps of every sort, states and records that all differ.
fn script() -> Vec<Step> {
    use Step::{Append, Checkpoint, Complete, Flush, Save};
    let mut steps = Vec::new();
    for round in 0..4 {
        let step = round * 10;
        steps.extend([Save(step + 1), Append(step + 2), Checkpoint(step + 3), Append(step + 4), Flush]);
    }
    steps.pop();
    steps.push(Complete);
    steps
}

async fn perform(run: &mut Box<dyn Checkpointer>, step: Step) -> Result<()> {
    match step {
        Step::Save(state) => run.save(json(state)).await.map(drop),
        Step::Append(body) => {
            run.append(vec![note(format!("{body}")), note(format!("{body}+"))]).await.map(drop)
        }
        Step::Checkpoint(state) => run.checkpoint(json(state)).await.map(drop),
        Step::Flush => run.flush().await.map(drop),
        Step::Complete => run.complete(done()).await,
    }
}

/// What makes up for a step that failed: what was appended is pending and must not be offered again.
fn again(step: Step) -> Step {
    if matches!(step, Step::Append(_)) { Step::Flush } else { step }
}

async fn audit(world: &World, what: &str) {
    let expected: Vec<String> = (0..4)
        .flat_map(|round| [round * 10 + 2, round * 10 + 4])
        .flat_map(|body| [format!("{body}"), format!("{body}+")])
        .collect();
    assert_eq!(world.own().await, expected, "{what}: each record once and in order");
    assert_eq!(world.log().await.len(), 16 + 8, "{what}: each state once");
    verify(&world.memory, &run_id(), Raw).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(world.raw::<u64>().await, Some(33), "{what}");
    let outcome = world.head().await.outcome;
    assert_eq!(outcome, Some(Outcome::Completed { output: done() }), "{what}");
}

/// Begins the run, after the lease of an attempt of which nobody was told.
async fn begin_again(world: &World, checkpoints: &Checkpoints) -> Box<dyn Checkpointer> {
    for _ in 0..3 {
        if let Ok(Begun::Driving(run)) = checkpoints.begin(begin()).await {
            return run;
        }
        world.pass(LAPSE);
    }
    panic!("the run cannot be begun");
}

#[tokio::test]
async fn a_begin_of_which_nobody_was_told_is_settled_at_once() {
    for fate in [Fate::AckLost, Fate::Lost] {
        let world = World::new();
        let store =
            Faults::with_clock(world.memory.clone(), FaultPlan::none().at(1, fate), world.clock.clone());
        let run = drive(&Checkpoints::new(store).clock(world.clock.clone())).await;
        assert_eq!(run.fence().unwrap(), world.head().await.fence);
    }
}

#[tokio::test]
async fn every_write_with_every_fate_is_settled_by_the_next_call() {
    for policy in [SnapshotPolicy::Amortized, SnapshotPolicy::EveryCheckpoint] {
        for fate in Fate::ALL {
            for failing in 1..=25 {
                // One failure, and the same once more at the retry.
                for times in 1..=2 {
                    let world = World::new();
                    let plan =
                        (failing..failing + times).fold(FaultPlan::none(), |plan, at| plan.at(at, fate));
                    let store = Faults::with_clock(world.memory.clone(), plan, world.clock.clone());
                    let checkpoints = Checkpoints::new(store).clock(world.clock.clone()).snapshots(policy);
                    let mut run = begin_again(&world, &checkpoints).await;
                    for step in script() {
                        let mut step = step;
                        while let Err(error) = perform(&mut run, step).await {
                            assert!(error.refusal().is_none(), "{fate} at {failing}: {error}");
                            assert_ne!(error.kind(), ErrorKind::Closed, "{fate} at {failing}: {error}");
                            step = again(step);
                        }
                    }
                    audit(&world, &format!("{policy:?}, {fate} at {failing}, {times} times")).await;
                }
            }
        }
    }
}

/// Polls a future so often and drops it; tells whether it was done by then.
fn poll_and_drop<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(done);
        }
    }
    None
}

#[tokio::test]
async fn a_future_that_is_dropped_at_any_await_is_settled_by_the_next_call() {
    for polls in 1..=7 {
        for dropped in 0..script().len() {
            let world = World::new();
            let mut run = drive(&world.checkpoints()).await;
            for (index, step) in script().into_iter().enumerate() {
                if index == dropped {
                    world.spy.yields(2);
                    let finished = poll_and_drop(polls, perform(&mut run, step));
                    world.spy.yields(0);
                    if finished.is_some() {
                        continue;
                    }
                    perform(&mut run, again(step)).await.unwrap();
                } else {
                    perform(&mut run, step).await.unwrap();
                }
            }
            audit(&world, &format!("{:?} dropped after {polls} polls", script()[dropped])).await;
        }
    }
}

#[tokio::test]
async fn a_begin_that_is_dropped_leaves_a_run_that_can_be_begun() {
    for polls in 1..=7 {
        let world = World::new();
        world.spy.yields(2);
        let checkpoints = world.checkpoints();
        drop(poll_and_drop(polls, checkpoints.begin(begin())));
        world.spy.yields(0);
        world.pass(LAPSE);
        let mut run = drive(&world.checkpoints()).await;
        for step in script() {
            perform(&mut run, step).await.unwrap();
        }
        audit(&world, &format!("{polls} polls")).await;
    }
}

#[tokio::test]
async fn no_refusal_after_a_maybe_says_that_nothing_was_applied() {
    for fate in [Fate::AckLost, Fate::Lost] {
        for renewed in [false, true] {
            let world = World::new();
            let plan = FaultPlan::none().at(2, fate);
            let store = Faults::with_clock(world.memory.clone(), plan, world.clock.clone());
            let checkpoints = Checkpoints::new(store).clock(world.clock.clone());
            let mut run = drive(&checkpoints).await;
            assert_eq!(run.save(json(1)).await.unwrap_err().applied(), Some(Applied::Maybe));

            let fence = run.fence().unwrap();
            let rival = Open::resume(SystemIds.operation()).over(fence);
            let opened = world.memory.open(&run_id(), rival).await.unwrap();
            let commit = Commit::new(run_id(), opened.fence, SystemIds.operation(), opened.head.version);
            world.memory.commit(commit).await.unwrap();
            if renewed {
                world.pass(LAPSE);
                settle().await;
            }

            for _ in 0..3 {
                let error = run.flush().await.unwrap_err();
                assert_eq!((error.kind(), error.applied()), (ErrorKind::Fenced, Some(Applied::Maybe)));
            }
            let error = run.complete(done()).await.unwrap_err();
            assert_eq!((error.kind(), error.applied()), (ErrorKind::Fenced, Some(Applied::Maybe)));
        }
    }
}
