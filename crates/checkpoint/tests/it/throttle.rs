//! Saving at most so often, and losing nothing by it.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use milepost_checkpoint::{Json, Saver, state_at};
use milepost_core::*;
use serde::{Deserialize, Serialize, Serializer};

use crate::support::*;

const THROTTLE: Duration = Duration::from_millis(100);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn persisted(cursor: Cursor) -> Saved {
    Saved::Persisted { cursor }
}

#[tokio::test]
async fn only_a_save_within_the_interval_after_a_success_is_held() {
    let world = World::new();
    let mut run = drive(&world.checkpoints().throttle(THROTTLE)).await;
    for (step, (after, expected)) in [
        (ms(0), persisted(1)),
        (ms(0), Saved::Throttled),
        (ms(99), Saved::Throttled),
        (ms(1), persisted(2)),
        (ms(100), persisted(3)),
        (ms(500), persisted(4)),
    ]
    .into_iter()
    .enumerate()
    {
        world.pass(after);
        assert_eq!(run.save(json(step)).await.unwrap(), expected, "step {step}");
    }
}

#[tokio::test]
async fn a_failed_save_does_not_throttle_and_keeps_what_is_pending() {
    let world = World::new();
    let mut run = drive(&world.checkpoints().throttle(THROTTLE)).await;
    world.spy.fail_next(Operation::Commit, unavailable());
    assert_eq!(run.save(json(1)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(run.flush().await.unwrap(), persisted(1));
    assert_eq!(world.raw::<u64>().await, Some(1));

    world.pass(THROTTLE);
    world.spy.fail_next(Operation::Commit, unavailable());
    run.save(json(2)).await.unwrap_err();
    assert_eq!(run.save(json(3)).await.unwrap(), persisted(2));
}

#[tokio::test]
async fn neither_appends_nor_unchanged_saves_throttle() {
    let world = World::new();
    let mut run = drive(&world.checkpoints().throttle(THROTTLE)).await;
    world.spy.fail_next(Operation::Commit, unavailable());
    run.append(vec![note("a")]).await.unwrap_err();
    assert_eq!(run.flush().await.unwrap(), persisted(1));
    assert_eq!(run.save(json(1)).await.unwrap(), persisted(2), "the first save is never held");
    world.pass(THROTTLE);
    assert_eq!(run.save(json(1)).await.unwrap(), Saved::Unchanged);
    assert_eq!(run.save(json(2)).await.unwrap(), persisted(3));
}

#[tokio::test]
async fn a_wall_clock_that_is_set_back_changes_nothing() {
    let world = World::new();
    let mut run = drive(&world.checkpoints().throttle(THROTTLE)).await;
    run.save(json(1)).await.unwrap();
    world.clock.jump(Timestamp(0));
    world.pass(THROTTLE);
    assert_eq!(run.save(json(2)).await.unwrap(), persisted(2));
}

#[tokio::test]
async fn two_runs_throttle_apart() {
    let world = World::new();
    let checkpoints = world.checkpoints().throttle(THROTTLE);
    let mut one = drive(&checkpoints).await;
    let other = Begin::new(RunId::from_static("other"), RunInfo::named("test"), Manifest::of(b""));
    let Begun::Driving(mut two) = checkpoints.begin(other).await.unwrap() else { panic!("not driving") };
    assert_eq!(one.save(json(1)).await.unwrap(), persisted(1));
    assert_eq!(two.save(json(1)).await.unwrap(), persisted(1));
    assert_eq!(one.save(json(2)).await.unwrap(), Saved::Throttled);
}

#[derive(Clone, Copy, Debug)]
enum Exit {
    Flush,
    Checkpoint,
    Release,
    Complete,
    Fail,
}

const EXITS: [Exit; 5] = [Exit::Flush, Exit::Checkpoint, Exit::Release, Exit::Complete, Exit::Fail];

#[tokio::test]
async fn every_exit_writes_what_was_held() {
    for exit in EXITS {
        let world = World::new();
        let checkpoints = world.checkpoints().throttle(THROTTLE);
        let mut run = drive(&checkpoints).await;
        run.save(json(1)).await.unwrap();
        assert_eq!(run.save(json(2)).await.unwrap(), Saved::Throttled);
        assert_eq!(run.save(json(3)).await.unwrap(), Saved::Throttled);
        match exit {
            Exit::Flush => run.flush().await.map(drop),
            Exit::Checkpoint => run.checkpoint(json(3)).await.map(drop),
            Exit::Release => run.release(Wake::now()).await,
            Exit::Complete => run.complete(done()).await,
            Exit::Fail => run.fail(failure()).await,
        }
        .unwrap();
        assert_eq!(world.raw::<u64>().await, Some(3), "{exit:?} of bytes");

        let world = World::new();
        let mut run = drive_state(&world.checkpoints().throttle(THROTTLE), 0u64).await;
        for _ in 0..3 {
            run.update(|state| *state += 1).await.unwrap();
        }
        assert!(run.is_owing());
        match exit {
            Exit::Flush => run.flush().await.map(drop),
            Exit::Checkpoint => run.checkpoint().await.map(drop),
            Exit::Release => run.release(Wake::now()).await,
            Exit::Complete => run.complete(&"done").await,
            Exit::Fail => run.fail(failure()).await,
        }
        .unwrap();
        assert!(!run.is_owing(), "{exit:?}");
        assert_eq!(newest(&world).await, Some(3), "{exit:?} of a state that the handle owns");

        let world = World::new();
        let mut saver = saver(&world).await;
        saver.save(&1u64).await.unwrap();
        assert_eq!(saver.save(&2u64).await.unwrap(), Saved::Throttled);
        assert!(saver.is_owing());
        match exit {
            Exit::Flush => saver.flush(&3u64).await.map(drop),
            Exit::Checkpoint => saver.checkpoint(&3u64).await.map(drop),
            Exit::Release => saver.release(&3u64, Wake::now()).await,
            Exit::Complete => saver.complete(&3u64, &"done").await,
            Exit::Fail => saver.fail(&3u64, failure()).await,
        }
        .unwrap();
        assert!(!saver.is_owing(), "{exit:?}");
        assert_eq!(newest(&world).await, Some(3), "{exit:?} of a state that the program keeps");
    }
}

async fn newest(world: &World) -> Option<u64> {
    state_at(&world.memory, &run_id(), None, Json).await.unwrap()
}

async fn saver(world: &World) -> Saver<Json> {
    let (saver, restored) =
        driving(world.checkpoints().throttle(THROTTLE).begin_saver::<u64, _>(Json, begin()).await);
    assert_eq!(restored, None);
    saver
}

static ENCODED: AtomicUsize = AtomicUsize::new(0);

/// Counts how often it is encoded.
#[derive(Deserialize)]
struct Counting(u64);

impl Serialize for Counting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ENCODED.fetch_add(1, Ordering::SeqCst);
        serializer.serialize_newtype_struct("Counting", &self.0)
    }
}

#[tokio::test]
async fn what_is_held_is_not_even_encoded() {
    let world = World::new();
    let mut run = drive_state(&world.checkpoints().throttle(THROTTLE), Counting(0)).await;
    run.update(|state| state.0 += 1).await.unwrap();
    let once = ENCODED.load(Ordering::SeqCst);
    for _ in 0..1000 {
        assert_eq!(run.update(|state| state.0 += 1).await.unwrap(), Saved::Throttled);
    }
    assert_eq!(ENCODED.load(Ordering::SeqCst), once);
    run.flush().await.unwrap();
    assert_eq!(ENCODED.load(Ordering::SeqCst), once + 1);
}

#[tokio::test]
async fn an_error_leaves_the_handle_owing() {
    let world = World::new();
    let mut saver = saver(&world).await;
    world.spy.down(true);
    saver.flush(&1u64).await.unwrap_err();
    assert!(saver.is_owing());
    world.spy.down(false);
    saver.flush(&1u64).await.unwrap();
    assert!(!saver.is_owing());
}
