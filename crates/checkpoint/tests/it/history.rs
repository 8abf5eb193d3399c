//! Whatever was saved and appended, wherever the process died: the next one finds the same.

use std::{collections::BTreeMap, num::NonZeroU64, ops::Range};

use milepost_checkpoint::{Codec, Compact, Json, Keep, Saver, SnapshotPolicy, state_at, verify};
use milepost_core::*;
use serde::{Deserialize, Serialize};

use crate::support::*;

/// A state with something of every sort.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct State {
    bytes: Vec<u8>,
    text: String,
    counts: BTreeMap<String, i64>,
    last: Option<Box<(f64, bool)>>,
}

impl State {
    /// Changes it somewhere, seldom much.
    fn change(&mut self, noise: &mut Noise) {
        match noise.below(8) {
            0 => self.bytes = noise.bytes(3_000),
            1 => self.bytes.truncate(noise.below(3_000) as usize),
            2 | 3 if !self.bytes.is_empty() => {
                let at = noise.below(self.bytes.len() as u64) as usize;
                self.bytes[at] ^= 1;
            }
            4 => {
                let at = noise.below(self.bytes.len() as u64 + 1) as usize;
                let more = noise.bytes(50);
                self.bytes.splice(at..at, more);
            }
            5 => self.text.push_str(&"all work and no play ".repeat(noise.below(40) as usize)),
            6 => self.last = Some(Box::new((noise.below(1000) as f64, noise.below(2) == 0))),
            _ => *self.counts.entry(noise.below(30).to_string()).or_default() += 1,
        }
    }
}

/// What the log holds: states by their cursors, and the program's own records by theirs.
#[derive(Clone, Default, Debug)]
struct Model {
    states: BTreeMap<Cursor, State>,
    own: BTreeMap<Cursor, String>,
}

impl Model {
    fn newest(&self, until: Cursor) -> Option<(Cursor, &State)> {
        self.states.range(..=until).next_back().map(|(cursor, state)| (*cursor, state))
    }

    fn own_after(&self, cursor: Cursor) -> Vec<String> {
        self.own.range(cursor + 1..).map(|(_, body)| body.clone()).collect()
    }
}

async fn resume<C: Codec>(
    world: &World,
    codec: C,
    policy: SnapshotPolicy,
    keep: Keep,
) -> (Saver<C>, Option<State>) {
    let checkpoints = world.checkpoints().snapshots(policy).keep(keep);
    driving(checkpoints.begin_saver::<State, C>(codec, begin()).await)
}

async fn step<C: Codec>(saver: &mut Saver<C>, state: &mut State, model: &mut Model, noise: &mut Noise) {
    let before = saver.cursor();
    match noise.below(6) {
        0..3 => {
            state.change(noise);
            match saver.save(state).await.unwrap() {
                Saved::Persisted { cursor } => drop(model.states.insert(cursor, state.clone())),
                saved => assert_eq!((saved, model.newest(before).unwrap().1), (Saved::Unchanged, &*state)),
            }
        }
        3..5 => {
            let bodies: Vec<_> = (0..noise.below(4)).map(|_| noise.number().to_string()).collect();
            let end = saver.append(bodies.iter().map(note).collect()).await.unwrap();
            model.own.extend((end - bodies.len() as u64 + 1..).zip(bodies));
        }
        _ => {
            let cursor = saver.checkpoint(state).await.unwrap();
            if cursor > before {
                model.states.insert(cursor, state.clone());
            }
        }
    }
}

fn assert_same(model: &Model, saver: &mut impl Records, state: Option<&State>, what: &str) {
    let newest = model.newest(Cursor::MAX);
    assert_eq!(state, newest.map(|(_, state)| state), "{what}");
    assert_eq!(saver.take(), model.own_after(newest.map_or(0, |(cursor, _)| cursor)), "{what}");
}

trait Records {
    fn take(&mut self) -> Vec<String>;
}

impl<C: Codec> Records for Saver<C> {
    fn take(&mut self) -> Vec<String> {
        let body = |record: Record| String::from_utf8(record.body.to_vec()).unwrap();
        self.restored_records().into_iter().map(body).collect()
    }
}

fn policies() -> [SnapshotPolicy; 5] {
    [
        SnapshotPolicy::Never,
        SnapshotPolicy::Manual,
        SnapshotPolicy::EveryCheckpoint,
        SnapshotPolicy::AfterRecords(NonZeroU64::new(4).unwrap()),
        SnapshotPolicy::Amortized,
    ]
}

/// A run that dies and is resumed at every cut of a random history.
async fn at_every_cut<C: Codec>(codec: C, seeds: Range<u64>) {
    let tail_less = ALL.without(Capability::TailStream);
    for seed in seeds {
        for policy in policies() {
            for (capabilities, keep) in [(ALL, Keep::All), (ALL, Keep::Trim), (tail_less, Keep::Trim)] {
                let what = format!("seed {seed}, {policy:?}, {keep:?}");
                let world = World::of(capabilities);
                let (mut noise, mut model, mut state) = (Noise(seed), Model::default(), State::default());
                for _ in 0..30 {
                    let (mut saver, restored) = resume(&world, codec.clone(), policy, keep).await;
                    assert_same(&model, &mut saver, restored.as_ref(), &what);
                    step(&mut saver, &mut state, &mut model, &mut noise).await;
                    if noise.below(2) == 0 {
                        step(&mut saver, &mut state, &mut model, &mut noise).await;
                    }
                    drop(saver);
                    world.pass(LAPSE);
                }
                let head = world.head().await;
                if head.first == 1 {
                    assert_eq!(verify(&world.memory, &run_id(), codec.clone()).await.unwrap(), head.cursor);
                }
                // The state as of each cursor, where it is retained.
                for cursor in 0..=head.cursor {
                    let state =
                        state_at::<State, C>(&world.memory, &run_id(), Some(cursor), codec.clone()).await;
                    match state {
                        Ok(state) => assert_eq!(state.as_ref(), model.newest(cursor).map(|(_, state)| state)),
                        Err(error) => {
                            assert!(
                                error.kind() == ErrorKind::Trimmed && cursor < head.first,
                                "{what}: {error}"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn json_is_found_as_it_was_at_every_cut() {
    at_every_cut(Json, 0..3).await;
}

#[tokio::test]
async fn compact_is_found_as_it_was_at_every_cut() {
    at_every_cut(Compact, 3..6).await;
}

#[tokio::test]
async fn bytes_are_found_as_they_were_at_every_cut() {
    at_every_cut(Raw, 6..9).await;
}

#[tokio::test]
async fn a_snapshot_anywhere_and_its_tail_are_the_whole_log() {
    for seed in 20..24 {
        let world = World::new();
        let (mut noise, mut model, mut state) = (Noise(seed), Model::default(), State::default());
        let (mut saver, _) = resume(&world, Compact, SnapshotPolicy::EveryCheckpoint, Keep::All).await;
        for _ in 0..25 {
            step(&mut saver, &mut state, &mut model, &mut noise).await;
        }
        let records = world.log().await;
        let snapshots: Vec<_> =
            world.spy.book().commits.iter().filter_map(|commit| commit.snapshot.clone()).collect();
        for snapshot in snapshots {
            let other = World::new();
            let open = Open::create(SystemIds.operation(), RunInfo::named("test"), Manifest::of(b"input"));
            let opened = other.memory.open(&run_id(), open).await.unwrap();
            let copy = |record: &Record| NewRecord {
                id: record.id.clone(),
                ..NewRecord::new(record.kind.clone(), record.body.clone())
            };
            let what = format!("seed {seed}, snapshot at {}", snapshot.cursor);
            let commit = Commit::new(run_id(), opened.fence, SystemIds.operation(), opened.head.version)
                .records(records.iter().map(copy))
                .snapshot(snapshot)
                .release(Wake::now());
            other.memory.commit(commit).await.unwrap();
            for cursor in 0..=records.len() as u64 {
                let state: Option<State> =
                    state_at(&other.memory, &run_id(), Some(cursor), Compact).await.unwrap();
                assert_eq!(
                    state.as_ref(),
                    model.newest(cursor).map(|(_, state)| state),
                    "{what}, at {cursor}"
                );
            }
            let (mut saver, restored) = resume(&other, Compact, SnapshotPolicy::Manual, Keep::All).await;
            assert_same(&model, &mut saver, restored.as_ref(), &what);
            saver.save(&State::default()).await.unwrap();
            verify(&other.memory, &run_id(), Compact).await.unwrap();
        }
    }
}

#[tokio::test]
async fn without_history_the_states_from_the_newest_snapshot_on_are_read_from_it() {
    let world = World::of(ALL.without(Capability::History));
    let mut run = drive(&world.checkpoints().snapshots(SnapshotPolicy::Manual).keep(Keep::Trim)).await;
    for state in 1..=3u64 {
        run.checkpoint(json(state)).await.unwrap();
    }
    for state in 4..=5u64 {
        run.save(json(state)).await.unwrap();
    }
    let head = world.head().await;
    assert_eq!((head.snapshots, head.first), (vec![3, 2], 3));
    for cursor in 3..=5 {
        let state: Option<u64> = state_at(&world.memory, &run_id(), Some(cursor), Raw).await.unwrap();
        assert_eq!(state, Some(cursor));
    }
}

#[tokio::test]
async fn a_run_is_read_while_it_goes_on() {
    let world = World::of(ALL.without(Capability::History));
    let every = SnapshotPolicy::EveryCheckpoint;
    let mut run = drive(&world.checkpoints().snapshots(every).keep(Keep::Trim)).await;
    run.save(json(0u64)).await.unwrap();
    world.spy.yields(2);
    let (spy, id) = (world.spy.clone(), run_id());
    let reader = tokio::spawn(async move {
        let mut newest = 0;
        for _ in 0..200 {
            let state: u64 = state_at(&spy, &id, None, Raw).await.unwrap().unwrap();
            assert!(state >= newest, "never an older state");
            newest = state;
        }
    });
    for state in 1..=400u64 {
        run.save(json(state)).await.unwrap();
    }
    reader.await.unwrap();
}
