//! What it costs, in bytes and trips. Time is the benchmark's.

use milepost_checkpoint::{Started, Stateful};
use milepost_core::*;

use crate::support::*;

const MIB: usize = 1 << 20;

async fn drive_bytes(world: &World) -> Stateful<Vec<u8>> {
    match world.checkpoints().begin_state(begin(), Vec::new).await.unwrap() {
        Started::Driving(run) => run,
        Started::Finished(outcome) => panic!("{outcome:?}"),
    }
}

/// Resumes the run and holds it to three trips and two and a half times the state.
async fn resume(world: &World, state: &[u8]) {
    world.pass(LAPSE);
    world.spy.forget();
    let run = drive_bytes(world).await;
    assert!(run.state() == state, "another state");
    let trips: usize = world.spy.reads().iter().sum();
    assert!(trips <= 3 && world.spy.calls("head") == 0, "{trips} trips");
    let read = world.spy.book().bytes_out;
    assert!(read * 2 <= state.len() * 5, "{read} bytes read for a state of {}", state.len());
}

#[tokio::test]
async fn a_state_that_grows_is_written_about_once() {
    let (world, mut noise) = (World::new(), Noise(1));
    let mut run = drive_bytes(&world).await;
    for _ in 0..1000 {
        run.update(|state| state.extend(noise.bytes(1024))).await.unwrap();
    }
    let sizes = world.head().await.sizes;
    let (written, kept) = (world.spy.bytes_in(), sizes.records + sizes.snapshots);
    assert!(written <= 4 * MIB, "{written} bytes written");
    assert!(kept <= 3 * MIB as u64, "{kept} bytes kept");
    let state = run.state().clone();
    drop(run);
    resume(&world, &state).await;
}

/// Changes 1 KiB of a state of `size`, in four places, and saves it, `saves` times.
async fn scattered(size: usize, saves: usize) -> World {
    let (world, mut noise) = (World::new(), Noise(2));
    let mut run = drive_bytes(&world).await;
    run.update(|state| *state = noise.bytes(size)).await.unwrap();
    for _ in 0..saves {
        run.update(|state| {
            for _ in 0..4 {
                let at = noise.below((size - 256) as u64) as usize;
                state[at..at + 256].copy_from_slice(&noise.bytes(256));
            }
        })
        .await
        .unwrap();
    }
    let records = world.log().await;
    let largest = records.iter().skip(1).map(|record| record.body.len()).max().unwrap();
    assert!(largest <= 4 << 10, "a record of {largest} bytes");
    let state = run.state().clone();
    drop(run);
    resume(&world, &state).await;
    world
}

#[tokio::test]
async fn scattered_edits_of_a_large_state_cost_what_they_change() {
    let world = scattered(10 * MIB, 40).await;
    assert!(world.log().await.len() == 41);
}

#[tokio::test]
async fn a_thousand_scattered_edits_with_their_snapshots_cost_little_each() {
    // A tenth of the state, so a tenth of what the first save and each snapshot cost.
    let world = World::new();
    drop(world);
    let world = scattered(MIB, 1000).await;
    let each = world.spy.bytes_in() / 1000;
    assert!(each <= 16 << 10, "{each} bytes a save");
}
