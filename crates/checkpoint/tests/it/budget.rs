//! What it costs, in bytes and trips. Time is the benchmark's.
//!
//! The states are handed over in the compact form of a byte vector, its length before its bytes, because without
//! optimization it is serde that would take the time.

use milepost_core::*;

use crate::support::*;

const MIB: usize = 1 << 20;

/// What [`milepost_checkpoint::Compact`] makes of a byte vector.
fn compact(state: &[u8]) -> Bytes {
    let mut encoded = Vec::with_capacity(state.len() + 5);
    let mut len = state.len();
    while len >= 0x80 {
        encoded.push(len as u8 | 0x80);
        len >>= 7;
    }
    encoded.push(len as u8);
    encoded.extend_from_slice(state);
    encoded.into()
}

#[test]
fn the_form_is_the_compact_one() {
    use milepost_checkpoint::{Codec, Compact};
    for len in [0, 1, 127, 128, 100_000] {
        let state = vec![7u8; len];
        assert_eq!(compact(&state), Compact.encode(&state).unwrap());
    }
}

#[tokio::test]
async fn a_state_that_has_nothing_of_the_one_before_costs_no_more_than_the_first() {
    let world = World::new();
    let mut run = drive(&world.checkpoints()).await;
    for seed in 1..=2 {
        run.save(Noise(seed).bytes(1_000).into()).await.unwrap();
    }
    let sizes: Vec<_> = world.log().await.iter().map(|record| record.body.len()).collect();
    assert_eq!(sizes[1], sizes[0]);
}

/// Resumes the run and holds it to three trips and two and a half times the state.
async fn resume(world: &World, state: &[u8]) {
    world.pass(LAPSE);
    world.spy.start_reading();
    let mut run = drive(&world.checkpoints()).await;
    assert!(run.restored().unwrap().state == Some(compact(state)), "another state");
    let trips: usize = world.spy.reads().iter().sum();
    assert!(trips <= 3 && world.spy.calls("head") == 0, "{trips} trips");
    let read = world.spy.book().bytes_out;
    assert!(read * 2 <= state.len() * 5, "{read} bytes read for a state of {}", state.len());
}

#[tokio::test]
async fn a_state_that_grows_is_written_about_once() {
    let (world, mut noise) = (World::new(), Noise(1));
    let mut run = drive(&world.checkpoints()).await;
    let mut state = Vec::new();
    for _ in 0..1000 {
        state.extend(noise.bytes(1024));
        run.save(compact(&state)).await.unwrap();
    }
    let sizes = world.head().await.sizes;
    let (written, kept) = (world.spy.bytes_in(), sizes.records + sizes.snapshots);
    assert!(written <= 4 * MIB, "{written} bytes written");
    assert!(kept <= 3 * MIB as u64, "{kept} bytes kept");
    drop(run);
    resume(&world, &state).await;
}

/// Changes 1 KiB of a state of `size`, in four places, and saves it, `saves` times.
async fn scattered(size: usize, saves: usize) -> World {
    let (world, mut noise) = (World::new(), Noise(2));
    let mut run = drive(&world.checkpoints()).await;
    let mut state = noise.bytes(size);
    run.save(compact(&state)).await.unwrap();
    for _ in 0..saves {
        for _ in 0..4 {
            let at = noise.below((size - 256) as u64) as usize;
            state[at..at + 256].copy_from_slice(&noise.bytes(256));
        }
        run.save(compact(&state)).await.unwrap();
    }
    let records = world.log().await;
    let largest = records.iter().skip(1).map(|record| record.body.len()).max().unwrap();
    assert!(largest <= 4 << 10, "a record of {largest} bytes");
    drop(run);
    resume(&world, &state).await;
    world
}

#[tokio::test]
async fn scattered_edits_of_a_large_state_cost_what_they_change() {
    let world = scattered(10 * MIB, 1000).await;
    let each = (world.spy.bytes_in() - 10 * MIB) / 1000;
    assert!(each <= 4 << 10, "{each} bytes a save beside the first");
}

#[tokio::test]
async fn snapshots_cost_no_more_than_the_edits_between_them() {
    let world = scattered(MIB / 8, 1000).await;
    let (snapshots, each) = (world.spy.snapshots().len(), world.spy.bytes_in() / 1000);
    assert!(snapshots > 3, "{snapshots} snapshots");
    assert!(each <= 4 << 10, "{each} bytes a save");
}
