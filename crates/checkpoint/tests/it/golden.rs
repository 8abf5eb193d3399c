//! Version 1 of what is stored is read for ever.

use milepost_checkpoint::{SnapshotPolicy, state_at, verify};
use milepost_core::*;

use crate::support::*;

const WHOLE: &[u8] = include_bytes!("../golden/v1-whole.bin");
const PATCH: &[u8] = include_bytes!("../golden/v1-patch.bin");
const SNAPSHOT: &[u8] = include_bytes!("../golden/v1-snapshot.bin");

/// What was saved first: too short and too irregular to be compressed.
fn first() -> String {
    let digits: Vec<_> = (0..20).map(|seed| format!("{:016x}", Noise(seed).number())).collect();
    digits.join(" ")
}

/// What was saved next: an edit and a long tail.
fn second() -> String {
    format!("{}{}", first().replacen("0", "zero", 2), "the same again, ".repeat(200))
}

/// The run as it was stored: both records, and the snapshot or not.
async fn stored(snapshot: bool) -> World {
    let world = World::new();
    let open = Open::create(SystemIds.operation(), RunInfo::named("test"), Manifest::of(b"input"));
    let opened = world.memory.open(&run_id(), open).await.unwrap();
    let record = |body| NewRecord::new(Kind::from_static("milepost/state"), Bytes::from_static(body));
    let commit = Commit::new(run_id(), opened.fence, SystemIds.operation(), opened.head.version)
        .records([record(WHOLE), record(PATCH)])
        .release(Wake::now());
    let commit = if snapshot { commit.snapshot(Snapshot::new(2, SNAPSHOT)) } else { commit };
    world.memory.commit(commit).await.unwrap();
    world
}

#[tokio::test]
async fn version_1_is_read_and_gone_on_from() {
    assert_eq!((WHOLE[6], PATCH[6] & 1, SNAPSHOT[6]), (0, 1, 2), "whole, a patch, compressed");
    for snapshot in [false, true] {
        let world = stored(snapshot).await;
        let old: Option<String> = state_at(&world.memory, &run_id(), Some(1), Raw).await.unwrap();
        assert_eq!(old, Some(first()));
        let mut run = drive(&world.checkpoints()).await;
        assert_eq!(run.restored().unwrap().state, Some(json(second())));
        assert_eq!(world.spy.reads(), [1, 1, usize::from(!snapshot)]);
        run.save(json("third")).await.unwrap();
        assert_eq!(verify(&world.memory, &run_id(), Raw).await.unwrap(), 3);
    }
}

#[tokio::test]
async fn version_1_is_written_as_it_was() {
    let world = World::new();
    let mut run = drive(&world.checkpoints().snapshots(SnapshotPolicy::Manual)).await;
    run.save(json(first())).await.unwrap();
    run.checkpoint(json(second())).await.unwrap();
    let log = world.log().await;
    let snapshot = world.memory.snapshot(&run_id(), At::Latest).await.unwrap().unwrap();
    assert_eq!(log[0].body, WHOLE);
    // What is compressed may be compressed otherwise by another version of zstd; the headers may not differ.
    assert_eq!((&log[1].body[..48], &snapshot.body[..48]), (&PATCH[..48], &SNAPSHOT[..48]));
}
