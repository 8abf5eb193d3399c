//! Who drives the run: renewals, losing it, and a store that went back in time.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use milepost_checkpoint::{Checkpoints, SaveMode, Settings};
use milepost_core::*;
use milepost_store_memory::MemoryStore;

use crate::support::*;

const SECOND: Duration = Duration::from_secs(1);

/// Lets seconds pass one by one, with time for the background in each.
async fn live(world: &World, seconds: u32) {
    for _ in 0..seconds {
        world.pass(SECOND);
        settle().await;
    }
}

#[tokio::test]
async fn a_quiet_run_is_renewed_at_a_third_of_its_ttl() {
    let world = World::new();
    let run = drive(&world.checkpoints()).await;
    settle().await;
    live(&world, 9).await;
    assert_eq!(world.spy.calls("renew"), 0);
    live(&world, 1).await;
    assert_eq!(world.spy.calls("renew"), 1);
    live(&world, 110).await;
    assert_eq!(world.spy.calls("renew"), 12);
    assert_eq!(world.head().await.status(), Status::Running);
    drop(run);
    live(&world, 31).await;
    assert_eq!(world.spy.calls("renew"), 12, "none once it is dropped");
    assert_eq!(world.head().await.status(), Status::Interrupted);
}

#[tokio::test]
async fn commits_and_renewals_by_hand_spare_the_background() {
    let world = World::new();
    let mut run = drive(&world.checkpoints()).await;
    for state in 0..12 {
        live(&world, 9).await;
        if state % 2 == 0 { run.save(json(state)).await.map(drop) } else { run.renew().await }.unwrap();
    }
    assert_eq!(world.spy.calls("renew"), 6, "all by hand");
    let due = world.head().await.due.unwrap();
    assert_eq!(due, world.clock.now() + Open::DEFAULT_TTL);
}

#[tokio::test]
async fn no_renewal_after_the_end_nor_where_none_is_wanted() {
    for end in ["release", "complete", "fail"] {
        let world = World::new();
        let mut run = drive(&world.checkpoints()).await;
        match end {
            "release" => run.release(Wake::now()).await.unwrap(),
            "complete" => run.complete(done()).await.unwrap(),
            _ => run.fail(failure()).await.unwrap(),
        }
        live(&world, 40).await;
        assert_eq!(world.spy.calls("renew"), 0, "{end}");
    }
    let world = World::new();
    let _run = drive(&world.with(Settings { renew: false, ..Settings::default() })).await;
    live(&world, 40).await;
    assert_eq!(world.spy.calls("renew"), 0);
}

#[tokio::test]
async fn a_renewal_that_fails_is_tried_again_and_one_by_hand_counts_only_if_it_holds() {
    let world = World::new();
    let checkpoints = world.checkpoints().availability(milepost_checkpoint::Availability::BestEffort);
    let mut run = drive(&checkpoints).await;
    live(&world, 9).await;
    world.spy.down(true);
    run.renew().await.unwrap();
    live(&world, 7).await;
    assert_eq!(world.spy.calls("renew"), 1 + 3, "at 10, 13 and 16 seconds");
    world.spy.down(false);
    live(&world, 60).await;
    assert_eq!(world.head().await.status(), Status::Running);
}

#[tokio::test]
async fn a_lost_run_is_told_and_writes_nothing_more() {
    for (how, kind) in [("taken over", ErrorKind::Fenced), ("deleted", ErrorKind::NotFound)] {
        let world = World::new();
        let mut run = drive_state(&world.checkpoints(), 0u64).await;
        run.update(|state| *state += 1).await.unwrap();
        let lost = run.checkpointer().unwrap().lost();
        assert_eq!(run.checkpointer().unwrap().lost().now_or_never().map(drop), None);
        if how == "deleted" {
            world.memory.delete(&run_id(), Delete::Any).await.unwrap();
        } else {
            let open = Open::resume(SystemIds.operation()).over(run.fence().unwrap());
            world.memory.open(&run_id(), open).await.unwrap();
        }
        live(&world, 10).await;
        assert_eq!(lost.await.kind(), kind, "{how}");
        let commits = world.spy.calls("commit");
        let appender = run.appender().unwrap();
        let error = run.update(|state| *state += 1).await.unwrap_err();
        assert_eq!((error.kind(), error.applied()), (kind, Some(Applied::No)));
        assert_eq!(run.flush().await.unwrap_err().kind(), kind);
        assert_eq!(run.append(vec![note("a")]).await.unwrap_err().kind(), kind);
        assert_eq!(world.spy.calls("commit"), commits, "{how}: it is not even tried");
        assert_eq!(appender.append(vec![note("a")]).await.unwrap_err().kind(), kind);
        assert_eq!(run.complete(&()).await.unwrap_err().kind(), kind);
        live(&world, 40).await;
        assert_eq!(world.spy.calls("renew"), 1, "{how}");
        if how == "taken over" {
            assert_eq!((world.log().await.len(), world.head().await.outcome), (1, None));
        }
    }
}

#[tokio::test]
async fn a_run_that_ended_is_not_lost() {
    let world = World::new();
    let mut run = drive_state(&world.checkpoints(), 0u64).await;
    let lost = run.checkpointer().unwrap().lost();
    run.complete(&()).await.unwrap();
    live(&world, 40).await;
    assert!(lost.now_or_never().is_none());
}

#[tokio::test]
async fn a_lease_that_ran_out_while_nobody_came_is_still_good() {
    let world = World::new();
    let mut run = drive(&world.with(Settings { renew: false, ..Settings::default() })).await;
    world.pass(LAPSE * 10);
    run.save(json(1)).await.unwrap();
    assert_eq!(world.head().await.status(), Status::Running);
}

#[tokio::test]
async fn leases_of_any_length_work() {
    for ttl in [Duration::from_nanos(1), Duration::from_millis(1), Duration::MAX] {
        for real in [false, true] {
            let world = World::new();
            let mut checkpoints = world.checkpoints().ttl(ttl);
            if real {
                checkpoints = checkpoints.clock(Arc::new(SystemClock::default()));
            }
            let mut run = drive(&checkpoints).await;
            settle().await;
            live(&world, 3).await;
            run.save(json(1)).await.unwrap();
            run.complete(done()).await.unwrap();
        }
    }
    let world = World::new();
    let refused = world.checkpoints().ttl(Duration::ZERO).begin(begin()).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
}

/// A store, and one that was the same until its writes stopped.
fn twins() -> (World, MemoryStore) {
    let clock = Arc::new(ManualClock::new(Timestamp(1_000_000_000)));
    let build = || {
        MemoryStore::builder().clock(clock.clone()).ids(Arc::new(SeededIds::new(7))).capabilities(ALL).build()
    };
    let memory = build();
    let spy = Spy::on(memory.clone());
    let twin = build();
    spy.mirror(twin.clone());
    (World { spy, memory, clock }, twin)
}

#[tokio::test]
async fn a_store_that_went_back_is_no_conflict_and_no_takeover() {
    for mode in [SaveMode::Sync, SaveMode::Async { max_lag: Duration::ZERO }] {
        // Back behind a commit.
        let (world, twin) = twins();
        let mut run = drive(&world.checkpoints().mode(mode)).await;
        run.save(json(1)).await.unwrap();
        world.spy.stop_mirroring();
        run.save(json(2)).await.unwrap();
        world.spy.swap(twin.clone());
        for error in [
            run.checkpoint(json(3)).await.map(drop),
            run.append(vec![note("a")]).await.map(drop),
            run.complete(done()).await,
        ] {
            assert_eq!(error.unwrap_err().kind(), ErrorKind::SetBack);
        }
        assert_eq!(twin.head(&run_id()).await.unwrap().unwrap().cursor, 1, "nothing is written");

        // Back behind the takeover.
        let (world, twin) = twins();
        let mut run = drive(&world.checkpoints().mode(mode)).await;
        run.save(json(1)).await.unwrap();
        world.spy.stop_mirroring();
        drop(run);
        world.pass(LAPSE);
        let mut run = drive(&world.checkpoints().mode(mode)).await;
        world.spy.swap(twin);
        assert_eq!(run.checkpoint(json(3)).await.unwrap_err().kind(), ErrorKind::SetBack);
    }
}

#[tokio::test]
async fn a_store_that_went_on_without_the_checkpointer_is_a_conflict() {
    let world = World::new();
    let mut run = drive(&world.checkpoints()).await;
    run.save(json(1)).await.unwrap();
    let version = world.head().await.version;
    let commit = Commit::new(run_id(), run.fence().unwrap(), SystemIds.operation(), version);
    world.memory.commit(commit.record(note("beside it"))).await.unwrap();
    assert_eq!(run.save(json(2)).await.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn begin_carries_the_owner_and_the_ttl() {
    let world = World::new();
    let owner = Owner::new("worker 7");
    let checkpoints = Checkpoints::new(world.memory.clone()).owner(owner.clone()).ttl(SECOND * 90);
    let _run = drive(&checkpoints).await;
    let lease = world.head().await.lease.unwrap();
    assert_eq!((lease.owner, lease.until), (owner, world.clock.now() + SECOND * 90));
}
