//! A store that lies about whole records is found out by who reads them.

use milepost_checkpoint::{SnapshotPolicy, verify};
use milepost_core::*;

use crate::support::*;

/// States and the program's own records, ending with a state.
async fn world() -> World {
    let world = World::new();
    let mut run = drive(&world.checkpoints().snapshots(SnapshotPolicy::Never)).await;
    run.append(vec![note("first"), named("second")]).await.unwrap();
    for step in 0..4u64 {
        run.save(json([step; 20])).await.unwrap();
        run.append(vec![named(&format!("after {step}")), note(format!("{step}"))]).await.unwrap();
    }
    run.save(json("last")).await.unwrap();
    run.release(Wake::now()).await.unwrap();
    world
}

async fn assert_found_out(world: &World, what: &str) {
    let error = verify(&world.spy, &run_id(), Raw).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Undecodable), "{what}: {error}");
    world.checkpoints().begin(begin()).await.unwrap_err();
}

#[tokio::test]
async fn a_whole_log_is_verified() {
    let world = world().await;
    let log = world.log().await.len() as u64;
    assert_eq!(verify(&world.spy, &run_id(), Raw).await.unwrap(), log);
    let nobody = verify(&world.spy, &RunId::from_static("nobody"), Raw).await;
    assert_eq!(nobody.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_removed_record_is_found_out() {
    let world = world().await;
    for index in 0..world.log().await.len() {
        world.spy.bend(move |mut records| {
            records.remove(index);
            records
        });
        assert_found_out(&world, &format!("record {index} removed")).await;
        // Also where what follows moves up.
        world.spy.bend(move |mut records| {
            records.remove(index);
            (1..).zip(records).map(|(cursor, record)| Record { cursor, ..record }).collect()
        });
        assert_found_out(&world, &format!("record {index} removed and the rest moved")).await;
    }
}

#[tokio::test]
async fn swapped_records_are_found_out() {
    let world = world().await;
    let len = world.log().await.len();
    for (one, two) in (0..len).flat_map(|one| (one + 1..len).map(move |two| (one, two))) {
        world.spy.bend(move |mut records| {
            records.swap(one, two);
            records
        });
        assert_found_out(&world, &format!("records {one} and {two} swapped")).await;
        world.spy.bend(move |mut records| {
            records.swap(one, two);
            (1..).zip(records).map(|(cursor, record)| Record { cursor, ..record }).collect()
        });
        assert_found_out(&world, &format!("records {one} and {two} swapped and numbered")).await;
    }
}

#[tokio::test]
async fn an_altered_byte_is_found_out_wherever_it_stands() {
    let world = world().await;
    let log = world.log().await;
    for (index, record) in log.iter().enumerate() {
        for at in 0..record.body.len() {
            world.spy.bend(move |mut records| {
                let mut body = records[index].body.to_vec();
                body[at] ^= 0x10;
                records[index].body = body.into();
                records
            });
            assert_found_out(&world, &format!("byte {at} of record {index}")).await;
        }
        if index + 1 == log.len() {
            // No link follows it: its kind and id are for the store's own checksum.
            continue;
        }
        world.spy.bend(move |mut records| {
            records[index].kind = Kind::from_static("other");
            records
        });
        assert_found_out(&world, &format!("the kind of record {index}")).await;
        world.spy.bend(move |mut records| {
            records[index].id = Some(RecordId::from_static("other"));
            records
        });
        assert_found_out(&world, &format!("the id of record {index}")).await;
    }
}

#[tokio::test]
async fn a_hole_behind_the_newest_state_is_found_out_too() {
    let world = World::new();
    let mut run = drive(&world.checkpoints()).await;
    run.checkpoint(json(1)).await.unwrap();
    run.append(vec![note("a"), note("b"), note("c")]).await.unwrap();
    run.release(Wake::now()).await.unwrap();
    for kept in [[0, 1], [0, 2], [1, 2]] {
        world.spy.bend(move |records| {
            let own: Vec<_> = records.into_iter().filter(|record| record.cursor > 1).collect();
            kept.into_iter().map(|index: usize| own[index].clone()).collect()
        });
        assert_eq!(world.checkpoints().begin(begin()).await.unwrap_err().kind(), ErrorKind::Corrupt);
    }
}

#[tokio::test]
async fn what_was_trimmed_cannot_be_verified() {
    let world = World::new();
    let checkpoints = world.checkpoints().keep(milepost_checkpoint::Keep::Trim);
    let mut run = drive(&checkpoints).await;
    for step in 0..3 {
        run.checkpoint(json(step)).await.unwrap();
    }
    assert_eq!(verify(&world.spy, &run_id(), Raw).await.unwrap_err().kind(), ErrorKind::Trimmed);
}
