//! When snapshots are written, and what they take with them.

use std::num::NonZeroU64;

use milepost_checkpoint::{Keep, SnapshotPolicy, state_at, verify};
use milepost_core::*;

use crate::support::*;

fn n(n: u64) -> NonZeroU64 {
    NonZeroU64::new(n).unwrap()
}

#[tokio::test]
async fn each_policy_writes_its_snapshots_and_no_others() {
    for (policy, saves, by_checkpoint, by_completion) in [
        (SnapshotPolicy::Never, vec![], false, false),
        (SnapshotPolicy::Manual, vec![], true, false),
        (SnapshotPolicy::OnComplete, vec![], true, true),
        (SnapshotPolicy::EveryCheckpoint, vec![1, 2, 3, 4, 5, 6, 7], true, false),
        (SnapshotPolicy::EveryNCheckpoints(n(3)), vec![3, 6], true, false),
        (SnapshotPolicy::AfterRecords(n(2)), vec![2, 4, 6], true, false),
        (SnapshotPolicy::Amortized, vec![], true, false),
    ] {
        let world = World::new();
        let mut run = drive(&world.checkpoints().snapshots(policy)).await;
        for step in 1..=7 {
            run.save(json(step)).await.unwrap();
        }
        let mut expected = saves;
        assert_eq!(world.spy.snapshots(), expected, "{policy:?}");
        run.checkpoint(json(8)).await.unwrap();
        expected.extend(by_checkpoint.then_some(8));
        assert_eq!(world.spy.snapshots(), expected, "{policy:?} by checkpoint");
        run.checkpoint(json(8)).await.unwrap();
        assert_eq!(world.spy.snapshots(), expected, "{policy:?} by the same again");
        run.append(vec![note("last")]).await.unwrap();
        run.complete(done()).await.unwrap();
        expected.extend(by_completion.then_some(9));
        assert_eq!(world.spy.snapshots(), expected, "{policy:?} by completion");
        assert_eq!(world.raw::<u64>().await, Some(8));
    }
}

#[tokio::test]
async fn on_complete_writes_none_with_another_end() {
    for end in ["release", "fail"] {
        let world = World::new();
        let mut run = drive(&world.checkpoints().snapshots(SnapshotPolicy::OnComplete)).await;
        run.save(json(1)).await.unwrap();
        match end {
            "release" => run.release(Wake::now()).await.unwrap(),
            _ => run.fail(failure()).await.unwrap(),
        }
        assert!(world.spy.snapshots().is_empty(), "{end}");
    }
}

#[tokio::test]
async fn appends_count_as_checkpoints_and_their_snapshot_goes_with_the_next_save() {
    let world = World::new();
    let mut run = drive(&world.checkpoints().snapshots(SnapshotPolicy::EveryNCheckpoints(n(3)))).await;
    run.save(json(1)).await.unwrap();
    run.append(vec![note("a"), note("b")]).await.unwrap();
    run.append(vec![note("c")]).await.unwrap();
    assert!(world.spy.snapshots().is_empty());
    run.save(json(2)).await.unwrap();
    assert_eq!(world.spy.snapshots(), [5]);
}

#[tokio::test]
async fn none_is_written_right_after_a_resume() {
    for policy in [
        SnapshotPolicy::EveryNCheckpoints(n(3)),
        SnapshotPolicy::AfterRecords(n(3)),
        SnapshotPolicy::Amortized,
    ] {
        for capabilities in [ALL, ALL.without(Capability::TailStream)] {
            let world = World::of(capabilities);
            let big = || json(Noise(7).bytes(100_000));
            let mut run = drive(&world.checkpoints().snapshots(policy)).await;
            for seed in 11..=18 {
                run.save(json(Noise(seed).bytes(100_000))).await.unwrap();
            }
            run.checkpoint(big()).await.unwrap();
            run.release(Wake::now()).await.unwrap();
            world.spy.forget();

            let mut run = drive(&world.checkpoints().snapshots(policy)).await;
            assert_eq!(run.restored().unwrap().state, Some(big()));
            assert_eq!(run.save(big()).await.unwrap(), Saved::Unchanged);
            run.save(json(Noise(7).bytes(99_999))).await.unwrap();
            assert!(world.spy.snapshots().is_empty(), "{policy:?}");
            if policy != SnapshotPolicy::Amortized {
                run.append(vec![note("a"), note("b")]).await.unwrap();
                run.append(vec![note("c")]).await.unwrap();
                run.save(json(5)).await.unwrap();
                assert_eq!(world.spy.snapshots(), [14], "{policy:?} later");
            }
        }
    }
}

#[tokio::test]
async fn amortized_snapshots_follow_the_bytes() {
    let world = World::new();
    let mut run = drive(&world.checkpoints()).await;
    for seed in 0..8 {
        run.save(json(Noise(seed).bytes(50_000))).await.unwrap();
    }
    let state = json(Noise(0).bytes(50_000)).len();
    let (records, snapshots) = (world.head().await.sizes.records, world.head().await.sizes.snapshots);
    assert!(!world.spy.snapshots().is_empty());
    assert!(snapshots <= records, "{snapshots} bytes of snapshots of {state} over {records} of records");
}

#[tokio::test]
async fn amortized_counts_what_a_resume_has_read() {
    for (capabilities, snapshots) in [(ALL, vec![1, 4]), (ALL.without(Capability::TailStream), vec![1])] {
        let world = World::of(capabilities);
        let mut state = Noise(1).bytes(100_000);
        let mut run = drive(&world.checkpoints()).await;
        run.checkpoint(state.clone().into()).await.unwrap();
        run.append(vec![note("a".repeat(60_000))]).await.unwrap();
        run.release(Wake::now()).await.unwrap();

        let mut run = drive(&world.checkpoints()).await;
        run.append(vec![note("b".repeat(60_000))]).await.unwrap();
        state[0] ^= 1;
        run.save(state.into()).await.unwrap();
        assert_eq!(world.spy.snapshots(), snapshots, "{capabilities:?}");
    }
}

#[tokio::test]
async fn every_policy_is_inert_without_snapshots() {
    for policy in [SnapshotPolicy::EveryCheckpoint, SnapshotPolicy::OnComplete, SnapshotPolicy::Amortized] {
        let world = World::of(ALL.without(Capability::Snapshots));
        let mut run = drive(&world.checkpoints().snapshots(policy).keep(Keep::Trim)).await;
        run.save(json(1)).await.unwrap();
        run.checkpoint(json(2)).await.unwrap();
        run.complete(done()).await.unwrap();
        assert!(world.spy.snapshots().is_empty());
        assert_eq!(world.raw::<u64>().await, Some(2));
    }
}

#[tokio::test]
async fn a_checkpoint_of_an_unchanged_state_covers_what_was_appended_since() {
    for capabilities in [ALL, ALL.without(Capability::TailStream)] {
        let world = World::of(capabilities);
        let mut run = drive(&world.checkpoints()).await;
        run.save(json(1)).await.unwrap();
        run.append(vec![note("a")]).await.unwrap();
        run.checkpoint(json(1)).await.unwrap();
        run.release(Wake::now()).await.unwrap();
        let restored = drive(&world.checkpoints()).await.restored().unwrap();
        assert_eq!((restored.cursor, restored.records.len()), (3, 0));
    }
}

#[tokio::test]
async fn a_checkpoint_records_an_unchanged_state_again_only_for_a_snapshot_that_covers_more() {
    let world = World::new();
    let mut run = drive(&world.checkpoints()).await;
    run.save(json(1)).await.unwrap();
    assert_eq!(run.checkpoint(json(1)).await.unwrap(), 1);
    assert_eq!((world.log().await.len(), world.spy.snapshots()), (1, vec![1]));

    for (capabilities, policy, cursor) in [
        (ALL, SnapshotPolicy::Amortized, 3),
        (ALL, SnapshotPolicy::Never, 2),
        (ALL.without(Capability::Snapshots), SnapshotPolicy::Amortized, 2),
    ] {
        let world = World::of(capabilities);
        let mut run = drive(&world.checkpoints().snapshots(policy)).await;
        run.save(json(1)).await.unwrap();
        world.spy.fail_next(Operation::Commit, unavailable());
        run.append(vec![note("a")]).await.unwrap_err();
        assert_eq!(run.checkpoint(json(1)).await.unwrap(), cursor, "{policy:?}");
        assert_eq!(world.own().await, ["a"]);
    }
}

#[tokio::test]
async fn trim_keeps_what_the_newest_two_snapshots_need() {
    let world = World::new();
    let checkpoints = world.checkpoints().keep(Keep::Trim).snapshots(SnapshotPolicy::AfterRecords(n(3)));
    let mut run = drive(&checkpoints).await;
    for step in 1..=12u64 {
        run.save(json(step)).await.unwrap();
        let head = world.head().await;
        let limit = head.snapshots.get(1).copied().unwrap_or(0);
        assert_eq!(head.first, limit + 1, "step {step}");
    }
    assert_eq!(world.head().await.snapshots, [12, 9]);
    run.save(json(13)).await.unwrap();
    drop(run);

    let foreign = Lie::Body(Bytes::from_static(b"not ours"));
    world.spy.lie(12, foreign);
    world.pass(LAPSE);
    let mut run = drive(&checkpoints).await;
    assert_eq!(run.restored().unwrap().state, Some(json(13)));

    // The one that cannot be read counts for nothing: a trim keeps the one that can.
    run.checkpoint(json(14)).await.unwrap();
    let head = world.head().await;
    assert_eq!((head.snapshots, head.first), (vec![14, 12], 10));
    world.spy.lie(14, Lie::Error(ErrorKind::Corrupt));
    drop(run);
    world.pass(LAPSE);
    let mut run = drive(&checkpoints).await;
    assert_eq!(run.restored().unwrap().state, Some(json(14)));
}

#[tokio::test]
async fn a_snapshot_that_the_store_does_not_take_is_left_out() {
    let limits = Limits { snapshot: 1_000, ..Limits::DEFAULT };
    let world = World::of(ALL.limits(limits));
    let mut run = drive(&world.checkpoints().snapshots(SnapshotPolicy::EveryCheckpoint)).await;
    let large = json(Noise(1).bytes(1_000));
    run.save(json(1)).await.unwrap();
    run.save(large.clone()).await.unwrap();
    run.checkpoint(large.clone()).await.unwrap();
    assert_eq!(world.spy.snapshots(), [1]);
    drop(run);
    world.pass(LAPSE);
    assert_eq!(drive(&world.checkpoints()).await.restored().unwrap().state, Some(large));
}

#[tokio::test]
async fn a_state_that_the_store_does_not_take_is_an_error_and_a_smaller_one_goes_on() {
    let limits = Limits { record: 1_000, ..Limits::DEFAULT };
    let world = World::of(ALL.limits(limits));
    let mut run = drive(&world.checkpoints()).await;
    run.save(json(1)).await.unwrap();
    let large = json(Noise(1).bytes(1_000));
    assert_eq!(run.save(large).await.unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(run.append(vec![note("a")]).await.unwrap(), 2, "it keeps nothing else back");
    run.save(json(2)).await.unwrap();
    assert_eq!(verify(&world.memory, &run_id(), Raw).await.unwrap(), 3);
    assert_eq!(state_at::<u64, _>(&world.memory, &run_id(), None, Raw).await.unwrap(), Some(2));
}
