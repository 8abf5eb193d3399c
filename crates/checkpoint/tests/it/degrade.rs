//! What a resume reads, by what the store offers, and what it does when a snapshot cannot be used.

use milepost_checkpoint::SnapshotPolicy;
use milepost_core::*;

use crate::support::*;

/// Saves 1 to 6 with a record of the program's own after each, and snapshots after the second and the fourth save; the
/// process then dies.
async fn history(world: &World) {
    let mut run = drive(&world.checkpoints().snapshots(SnapshotPolicy::Manual)).await;
    for step in 1..=6u64 {
        match step {
            2 | 4 => run.checkpoint(json(step)).await.map(drop),
            _ => run.save(json(step)).await.map(drop),
        }
        .unwrap();
        if world.spy.capabilities().supports_log() {
            run.append(vec![note(format!("after {step}"))]).await.unwrap();
        }
    }
    world.pass(LAPSE);
    world.spy.forget();
}

async fn resume(world: &World) -> Result<Restored> {
    match world.checkpoints().begin(begin()).await? {
        Begun::Driving(mut run) => Ok(run.restored().unwrap()),
        other => panic!("{other:?}"),
    }
}

fn assert_newest(restored: &Restored) {
    assert_eq!(restored.state, Some(json(6)));
    assert_eq!(restored.cursor, 11);
    let bodies: Vec<_> = restored.records.iter().map(|record| record.body.clone()).collect();
    assert_eq!(bodies, ["after 6"]);
}

#[tokio::test]
async fn a_resume_reads_what_the_store_offers_and_no_more() {
    use Capability::{History, Log, Snapshots, TailStream};
    for (capabilities, reads) in [
        (ALL, [1, 1, 1]),
        (ALL.without(History), [1, 1, 1]),
        (ALL.without(TailStream), [1, 0, 1]),
        (ALL.without(Snapshots), [1, 0, 1]),
        (ALL.without(Snapshots).without(TailStream), [1, 0, 1]),
    ] {
        let world = World::of(capabilities);
        history(&world).await;
        assert_newest(&resume(&world).await.unwrap());
        assert_eq!(world.spy.reads(), reads, "{capabilities:?}");
        assert_eq!(world.spy.calls("head"), 0);
    }
    for policy in [SnapshotPolicy::Never, SnapshotPolicy::Manual, SnapshotPolicy::Amortized] {
        let world = World::of(ALL.without(Log).without(TailStream));
        let mut run = drive(&world.checkpoints().snapshots(policy)).await;
        for step in 1..=6 {
            run.save(json(step)).await.unwrap();
            run.save(json(step)).await.unwrap();
        }
        assert_eq!(world.spy.snapshots().len(), 6, "every save writes one, {policy:?} or not");
        drop(run);
        world.pass(LAPSE);
        world.spy.forget();
        assert_eq!(resume(&world).await.unwrap().state, Some(json(6)));
        assert_eq!(world.spy.reads(), [1, 1, 0], "{policy:?}");
    }
}

#[tokio::test]
async fn nothing_is_streamed_behind_a_snapshot_at_the_head() {
    let world = World::new();
    let mut run = drive(&world.checkpoints()).await;
    run.checkpoint(json(1)).await.unwrap();
    run.release(Wake::now()).await.unwrap();
    world.spy.forget();
    assert_eq!(resume(&world).await.unwrap().state, Some(json(1)));
    assert_eq!(world.spy.reads(), [1, 1, 0]);
}

/// A whole state by `codec`, in an envelope of `version`.
async fn envelope(version: u8, codec: u8) -> Bytes {
    let world = World::new();
    let mut run = drive(&world.checkpoints()).await;
    run.save(json("elsewhere")).await.unwrap();
    let mut body = world.log().await[0].body.to_vec();
    (body[4], body[5]) = (version, codec);
    body.into()
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_used_falls_back_to_the_same_state() {
    let lies = [
        ("foreign bytes", Lie::Body(Bytes::from_static(b"{}"))),
        ("no bytes", Lie::Body(Bytes::new())),
        ("a newer version", Lie::Body(envelope(2, 0).await)),
        ("another codec", Lie::Body(envelope(1, 1).await)),
        ("corrupt", Lie::Error(ErrorKind::Corrupt)),
        ("ahead of the log", Lie::Cursor(99)),
    ];
    for (name, lie) in &lies {
        // The older snapshot where there is history, else the whole log.
        for (history_kept, reads) in [(true, [1, 2, 1]), (false, [1, 1, 1])] {
            let world = World::of(if history_kept { ALL } else { ALL.without(Capability::History) });
            history(&world).await;
            world.spy.lie(7, lie.clone());
            assert_newest(&resume(&world).await.unwrap());
            assert_eq!(world.spy.reads(), reads, "{name}, history: {history_kept}");
        }
        // Neither snapshot: the whole log.
        let world = World::new();
        history(&world).await;
        for cursor in [3, 7] {
            world.spy.lie(cursor, lie.clone());
        }
        assert_newest(&resume(&world).await.unwrap());
    }
    // Nothing to fall back to: the error, never an older state, and the run is let go.
    for (name, lie) in lies {
        let world = World::new();
        history(&world).await;
        let mut run = drive(&world.checkpoints().keep(milepost_checkpoint::Keep::Trim)).await;
        run.checkpoint(json(7)).await.unwrap();
        run.checkpoint(json(8)).await.unwrap();
        run.save(json(9)).await.unwrap();
        drop(run);
        world.pass(LAPSE);
        let snapshots = world.head().await.snapshots;
        assert_eq!(world.head().await.first, snapshots[1] + 1);
        for cursor in snapshots {
            world.spy.lie(cursor, lie.clone());
        }
        let error = resume(&world).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Undecodable | ErrorKind::Corrupt), "{name}: {error}");
        assert_eq!(world.head().await.status(), Status::Interrupted, "{name}");

        let world = World::of(ALL.without(Capability::Log).without(Capability::TailStream));
        let mut run = drive(&world.checkpoints()).await;
        run.save(json(1)).await.unwrap();
        run.release(Wake::now()).await.unwrap();
        world.spy.lie(0, lie);
        resume(&world).await.unwrap_err();
    }
}

#[tokio::test]
async fn no_other_error_falls_back() {
    for operation in [Operation::Snapshot, Operation::Stream] {
        for kind in [ErrorKind::Unavailable, ErrorKind::Denied, ErrorKind::TimedOut] {
            for availability in
                [milepost_checkpoint::Availability::Required, milepost_checkpoint::Availability::BestEffort]
            {
                let world = World::new();
                history(&world).await;
                world.spy.fail_next(operation, Error::new(kind, "not now"));
                let checkpoints = world.checkpoints().availability(availability);
                assert_eq!(checkpoints.begin(begin()).await.unwrap_err().kind(), kind);
                assert_newest(&resume(&world).await.unwrap());
            }
        }
    }
}

#[tokio::test]
async fn a_state_of_another_type_or_codec_is_an_error_and_the_run_is_let_go() {
    let world = World::new();
    let mut run = drive_state(&world.checkpoints(), String::from("text")).await;
    run.flush().await.unwrap();
    run.release(Wake::now()).await.unwrap();
    let number = world.checkpoints().begin_state_in(milepost_checkpoint::Json, begin(), || 0u64).await;
    assert_eq!(number.unwrap_err().kind(), ErrorKind::Undecodable);
    let compact = world.checkpoints().begin_state(begin(), String::new).await;
    assert_eq!(compact.unwrap_err().kind(), ErrorKind::Undecodable);
    assert_eq!(world.checkpoints().begin(begin()).await.unwrap_err().kind(), ErrorKind::Undecodable);
    assert_eq!(world.head().await.status(), Status::Interrupted);
    assert_eq!(drive_state(&world.checkpoints(), String::new()).await.state(), "text");
}
