//! When a save is durable, what an unreachable store does, and runs that keep nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use milepost_checkpoint::{Availability, Json, SaveMode, Settings, state_at};
use milepost_core::*;
use tracing::{Event, Level, Metadata, Subscriber, span};

use crate::support::*;

const LAG: Duration = Duration::from_secs(5);
const BACKGROUND: SaveMode = SaveMode::Async { max_lag: LAG };

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[tokio::test]
async fn in_the_background_the_newest_state_is_kept() {
    let world = World::new();
    let mut run = drive(&world.checkpoints().mode(BACKGROUND)).await;
    world.spy.yields(3);
    run.save(json(1)).await.unwrap();
    assert_eq!(world.spy.calls("commit"), 0, "a save does not wait");
    tokio::task::yield_now().await;
    for state in 2..=9 {
        run.save(json(state)).await.unwrap();
    }
    settle().await;
    assert_eq!(world.raw::<u64>().await, Some(9));
    assert_eq!(world.spy.book().commits.len(), 2, "older ones are dropped");
}

#[tokio::test]
async fn a_flush_waits_for_what_is_under_way() {
    for polls in 0..8 {
        let world = World::new();
        let mut run = drive(&world.checkpoints().mode(BACKGROUND)).await;
        world.spy.yields(3);
        run.save(json(1)).await.unwrap();
        for _ in 0..polls {
            tokio::task::yield_now().await;
        }
        run.save(json(2)).await.unwrap();
        run.flush().await.unwrap();
        assert_eq!(world.raw::<u64>().await, Some(2), "{polls} polls");
        settle().await;
        assert_eq!(world.raw::<u64>().await, Some(2), "{polls} polls: nothing older comes after it");
        assert_eq!(run.flush().await.unwrap(), Saved::Unchanged);
    }
}

#[tokio::test]
async fn every_end_takes_along_what_waits_in_the_background() {
    for end in ["release", "complete", "fail"] {
        let world = World::new();
        let mut run = drive(&world.checkpoints().mode(BACKGROUND)).await;
        run.save(json(1)).await.unwrap();
        match end {
            "release" => run.release(Wake::now()).await.unwrap(),
            "complete" => run.complete(done()).await.unwrap(),
            _ => run.fail(failure()).await.unwrap(),
        }
        assert_eq!(world.raw::<u64>().await, Some(1), "{end}");
        assert_eq!(world.spy.book().commits.len(), 1, "{end}");
    }
}

#[tokio::test]
async fn what_is_dropped_writes_nothing_more() {
    let world = World::new();
    let mut run = drive(&world.checkpoints().mode(BACKGROUND)).await;
    run.save(json(1)).await.unwrap();
    drop(run);
    settle().await;
    assert_eq!(world.spy.calls("commit"), 0);
}

#[tokio::test]
async fn the_lag_is_bounded() {
    let world = World::new();
    let mut run = drive(&world.checkpoints().mode(BACKGROUND)).await;
    // Nothing else gets to run, so the background never saves: a save does it itself in time.
    run.save(json(1)).await.unwrap();
    world.pass(LAG - Duration::from_millis(1));
    run.save(json(2)).await.unwrap();
    assert_eq!(world.raw::<u64>().await, None);
    world.pass(Duration::from_millis(1));
    assert_eq!(run.save(json(3)).await.unwrap(), Saved::Persisted { cursor: 1 });
    assert_eq!(world.raw::<u64>().await, Some(3));
    run.save(json(4)).await.unwrap();
    assert_eq!(world.raw::<u64>().await, Some(3), "the lag starts over");
}

#[tokio::test]
async fn a_lag_goes_on_through_a_save_that_failed() {
    let world = World::new();
    let mut run = drive(&world.checkpoints().mode(BACKGROUND)).await;
    run.save(json(1)).await.unwrap();
    world.pass(LAG);
    world.spy.down(true);
    assert_eq!(kind(run.save(json(2)).await), ErrorKind::Unavailable);
    world.spy.down(false);
    run.save(json(3)).await.unwrap();
    assert_eq!(world.raw::<u64>().await, Some(3), "it was overdue");
}

#[tokio::test]
async fn an_error_in_the_background_comes_with_the_next_call_which_saves() {
    let world = World::new();
    let mut run = drive(&world.checkpoints().mode(BACKGROUND)).await;
    world.spy.fail_next(Operation::Commit, unavailable());
    run.save(json(1)).await.unwrap();
    settle().await;
    assert_eq!(world.raw::<u64>().await, None);
    assert_eq!(kind(run.save(json(2)).await), ErrorKind::Unavailable);
    settle().await;
    assert_eq!(world.raw::<u64>().await, Some(2));
    run.save(json(3)).await.unwrap();

    // A flush makes up for it by itself.
    world.spy.fail_next(Operation::Commit, unavailable());
    settle().await;
    assert_eq!(run.flush().await.unwrap(), Saved::Persisted { cursor: 2 });
    assert_eq!(world.raw::<u64>().await, Some(3));
    run.save(json(4)).await.unwrap();
}

#[tokio::test]
async fn a_state_that_a_throttle_held_never_overtakes_a_newer_one() {
    let throttle = Duration::from_millis(100);
    let world = World::new();
    let mut run = drive(&world.checkpoints().mode(BACKGROUND).throttle(throttle)).await;
    run.save(json(1)).await.unwrap();
    settle().await;
    assert_eq!(run.save(json(2)).await.unwrap(), Saved::Throttled);
    world.pass(throttle);
    run.save(json(3)).await.unwrap();
    settle().await;
    assert_eq!(run.flush().await.unwrap(), Saved::Unchanged);
    assert_eq!(world.raw::<u64>().await, Some(3));

    // Held while an older one still waits in the background.
    world.pass(throttle);
    world.spy.yields(3);
    run.save(json(4)).await.unwrap();
    while world.spy.calls("commit") < 3 {
        tokio::task::yield_now().await;
    }
    run.save(json(5)).await.unwrap();
    for polls in 0.. {
        tokio::task::yield_now().await;
        if run.save(json(6)).await.unwrap() == Saved::Throttled || polls > 20 {
            break;
        }
    }
    run.complete(done()).await.unwrap();
    assert_eq!(world.raw::<u64>().await, Some(6));
}

#[tokio::test]
async fn on_exit_nothing_is_written_before() {
    let world = World::new();
    let mut run = drive_state(&world.checkpoints().mode(SaveMode::OnExit), 0u64).await;
    for _ in 0..5 {
        world.pass(Duration::from_secs(3));
        assert_eq!(run.update(|state| *state += 1).await.unwrap(), Saved::Throttled);
    }
    assert_eq!(world.spy.calls("commit"), 0);
    run.flush().await.unwrap();
    assert_eq!(world.spy.calls("commit"), 1, "by hand");
    run.update(|state| *state += 1).await.unwrap();
    run.complete(&()).await.unwrap();
    assert_eq!(world.spy.calls("commit"), 2);
    assert_eq!(state_at(&world.memory, &run_id(), None, Json).await.unwrap(), Some(6u64));

    let world = World::new();
    let mut run = drive(&world.checkpoints().mode(SaveMode::OnExit)).await;
    run.save(json(1)).await.unwrap();
    assert_eq!(world.spy.calls("commit"), 0);
    run.release(Wake::now()).await.unwrap();
    assert_eq!(world.raw::<u64>().await, Some(1));
}

#[tokio::test]
async fn an_unreachable_store_is_an_error_or_a_warning_as_asked() {
    for mode in [SaveMode::Sync, BACKGROUND] {
        let world = World::new();
        let mut run = drive(&world.checkpoints().mode(mode).availability(Availability::BestEffort)).await;
        world.spy.down(true);
        for state in 1..=3 {
            run.save(json(state)).await.unwrap();
            settle().await;
            world.pass(LAG);
        }
        run.append(vec![note("a")]).await.unwrap();
        run.checkpoint(json(4)).await.unwrap();
        run.flush().await.unwrap();
        run.renew().await.unwrap();
        assert_eq!(kind(run.complete(done()).await), ErrorKind::Unavailable, "an end is not made up");
        world.spy.down(false);
        assert!(matches!(run.flush().await.unwrap(), Saved::Persisted { .. }));
        assert_eq!((world.raw::<u64>().await, world.own().await), (Some(4), vec![String::from("a")]));
    }
    let world = World::new();
    let mut run = drive(&world.checkpoints()).await;
    world.spy.down(true);
    assert_eq!(kind(run.save(json(1)).await), ErrorKind::Unavailable);
    assert_eq!(kind(run.append(vec![note("a")]).await), ErrorKind::Unavailable);
    assert_eq!(kind(run.renew().await), ErrorKind::Unavailable);
}

#[tokio::test]
async fn best_effort_goes_for_appenders_too() {
    let world = World::new();
    let mut run = drive_state(&world.checkpoints().availability(Availability::BestEffort), 0u64).await;
    world.spy.down(true);
    assert_eq!(run.appender().unwrap().append(vec![note("a")]).await.unwrap(), 0);
    world.spy.down(false);
    run.flush().await.unwrap();
    assert_eq!(world.own().await, ["a"]);
}

#[tokio::test]
async fn a_run_that_was_asked_to_be_durable_is_never_silently_not() {
    let world = World::new();
    world.spy.down(true);
    assert_eq!(kind(world.checkpoints().begin(begin()).await), ErrorKind::Unavailable);
    let best_effort = world.checkpoints().availability(Availability::BestEffort);
    let warnings = warnings(async {
        assert!(matches!(best_effort.begin(begin()).await.unwrap(), Begun::Off));
    });
    assert_eq!(warnings.await, 1);
    assert_eq!(
        kind(best_effort.resume(&run_id()).await),
        ErrorKind::Unavailable,
        "what is there is not begun anew"
    );
}

#[tokio::test]
async fn refusals_are_returned_whatever_was_asked() {
    for availability in [Availability::Required, Availability::BestEffort] {
        let world = World::new();
        let checkpoints = world.checkpoints().availability(availability);
        let mut run = drive(&checkpoints).await;
        run.save(json(1)).await.unwrap();
        assert_eq!(kind(checkpoints.begin(begin()).await), ErrorKind::LeaseHeld);
        let other = Begin { manifest: Manifest::of(b"other"), ..begin() };
        assert_eq!(kind(checkpoints.begin(other).await), ErrorKind::ManifestMismatch);
        let create = Begin { mode: Mode::Create, ..begin() };
        assert_eq!(kind(checkpoints.begin(create).await), ErrorKind::AlreadyExists);
        let nobody = RunId::from_static("nobody");
        assert_eq!(kind(checkpoints.resume(&nobody).await), ErrorKind::NotFound);

        let mut successor = match checkpoints.begin(begin().over(run.fence().unwrap())).await.unwrap() {
            Begun::Driving(successor) => successor,
            other => panic!("{other:?}"),
        };
        for error in [
            run.save(json(2)).await.map(drop),
            run.append(vec![note("a")]).await.map(drop),
            run.flush().await.map(drop),
            run.renew().await,
            run.complete(done()).await,
        ] {
            assert_eq!(kind(error), ErrorKind::Fenced, "{availability:?}");
        }
        assert_eq!(successor.restored().unwrap().state, Some(json(1)));
        world.memory.delete(&run_id(), Delete::Any).await.unwrap();
        assert_eq!(kind(successor.save(json(3)).await), ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn off_does_nothing_and_succeeds() {
    let world = World::new();
    world.spy.down(true);
    let off = world.checkpoints().off();
    assert!(matches!(off.begin(begin()).await.unwrap(), Begun::Off));
    assert!(matches!(off.resume(&run_id()).await.unwrap(), Begun::Off));
    let mut run = drive_state(&off, 1u64).await;
    assert_eq!(run.update(|state| *state += 1).await.unwrap(), Saved::Unchanged);
    assert_eq!((*run.state(), run.is_owing(), run.cursor()), (2, false, 0));
    assert!(run.fence().is_none() && run.appender().is_none() && run.checkpointer().is_none());
    run.append(vec![note("a")]).await.unwrap();
    run.checkpoint().await.unwrap();
    run.flush().await.unwrap();
    run.release(Wake::now()).await.unwrap();
    run.complete(&()).await.unwrap();
    run.fail(failure()).await.unwrap();
    assert_eq!(world.spy.reads(), [0, 0, 0]);
    let settings: Settings = serde_json::from_str("{}").unwrap();
    assert_eq!(settings, Settings::default());
    assert!(settings.durable, "nobody is off by leaving something out");
}

#[tokio::test]
async fn dropping_what_is_owed_warns() {
    let world = World::new();
    let checkpoints = world.checkpoints().mode(SaveMode::OnExit);
    let mut run = drive_state(&checkpoints, 0u64).await;
    run.update(|state| *state += 1).await.unwrap();
    assert_eq!(warnings(async { drop(run) }).await, 1);
    world.pass(LAPSE);
    let mut run = drive_state(&checkpoints, 0u64).await;
    run.update(|state| *state += 1).await.unwrap();
    run.flush().await.unwrap();
    assert_eq!(warnings(async { drop(run) }).await, 0);
}

#[tokio::test]
async fn what_is_under_way_in_the_background_is_owed_until_it_is_durable() {
    let world = World::new();
    let mut run = drive_state(&world.checkpoints().mode(BACKGROUND), 0u64).await;
    world.spy.yields(3);
    run.update(|state| *state += 1).await.unwrap();
    assert!(run.is_owing(), "it is only under way");
    settle().await;
    assert!(!run.is_owing());
    run.update(|state| *state += 1).await.unwrap();
    assert_eq!(warnings(async { drop(run) }).await, 1);
}

/// Counts the warnings of a piece of work.
async fn warnings(work: impl Future<Output = ()>) -> usize {
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
    work.await;
    drop(guard);
    count.load(Ordering::SeqCst)
}
