//! Time, randomness and gates: recorded, and the same after every crash.

use std::time::Duration;

use milepost_core::Timestamp;
use milepost_run::Uuid;

use crate::support::{Run, World, *};

on_every_store! { draws_are_the_same_after_a_resume, a_gate_keeps_its_version, a_version_that_is_gone_fails_the_run }

async fn draws_are_the_same_after_a_resume(world: &World) {
    let tally = Tally::default();
    let seen = tally.clone();
    let runner = world.runner().handler("work", move |run: Run, (): ()| {
        let tally = seen.clone();
        async move {
            let drawn = (run.now(), run.uuid(), run.random(), run.now());
            tally.add(format!("{drawn:?}"));
            run.sleep(Duration::from_millis(200)).await;
            Work::Ok(drawn)
        }
    });
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    world.until(&id("r"), Status::Interrupted).await;
    let handle = runner.resume(&id("r")).await.unwrap();
    let drawn: (Timestamp, Uuid, u64, Timestamp) = handle.output().await.unwrap();
    assert_eq!(tally.all(), [format!("{drawn:?}"), format!("{drawn:?}")]);
    assert_eq!(drawn.1.get_version_num(), 4);
    let created = world.head(&id("r")).await.created_at;
    assert!(drawn.0.since(created) < Duration::from_secs(60) && drawn.3 >= drawn.0, "it is the store's time");
}

/// A handler before and after a change: the new one has a gate where the old one had none.
fn gated(world: &World, versions: std::ops::RangeInclusive<u32>) -> Runner {
    world.runner().handler("work", move |run: Run, (): ()| {
        let versions = versions.clone();
        async move {
            let mut path = String::new();
            if *versions.end() > 0 && run.version("change", versions) >= 2 {
                path += run.step("new", || async { Work::Ok("new ".to_owned()) }).await?.as_str();
            }
            path += run.step("a", || async { Work::Ok("a ".to_owned()) }).await?.as_str();
            run.signal::<()>("go").await?;
            Work::Ok(path)
        }
    })
}

async fn a_gate_keeps_its_version(world: &World) {
    // Begun before there was a gate, and ended by the handler that has one.
    gated(world, 0..=0).start(id("old"), "work", &()).await.unwrap().ended().await;
    // Begun with version 2, and ended by a handler that knows 3.
    gated(world, 1..=2).start(id("new"), "work", &()).await.unwrap().ended().await;
    for (run, path) in [("old", "a "), ("new", "new a ")] {
        let runner = gated(world, 1..=3);
        runner.signal(&id(run), "go", &()).await.unwrap();
        assert_eq!(runner.resume(&id(run)).await.unwrap().output::<String>().await.unwrap(), path, "{run}");
    }
}

async fn a_version_that_is_gone_fails_the_run(world: &World) {
    gated(world, 1..=2).start(id("r"), "work", &()).await.unwrap().ended().await;
    let runner = gated(world, 3..=4);
    runner.signal(&id("r"), "go", &()).await.unwrap();
    runner.resume(&id("r")).await.unwrap().ended().await;
    let (_, message) = world.failure(&id("r")).await;
    assert!(
        message.contains("passed the gate \"change\" with version 2, and the handler knows 3..=4"),
        "{message}"
    );
}
