//! Phases, a loop that saves its state and leaves snapshots, and a session, dead at every write in turn: what is left ends
//! the same, and no finished step runs again.

use std::{
    collections::HashSet,
    ops::ControlFlow::{Break, Continue},
    time::Duration,
};

use futures_util::stream;
use milepost_layers::{FaultPlan, Faults};
use milepost_run::Streamed;

use crate::support::{Run, World, *};

on_every_store! { death_at_every_write_of_phases_loops_and_sessions }

type Output = (String, (u32, usize), Vec<String>);

/// What is large leaves the log for a blob, and weighs enough for a save in each round and for a snapshot.
fn work(runner: Runner, settings: Settings) -> Runner {
    runner.settings(settings.inline(200)).handler("work", |run: Run, (): ()| async move {
        let first = run.phase("first", |run| async move {
            let parts = run.map(
                ["a", "b"],
                2,
                |part| part.to_string(),
                |run, part| async move { run.step("part", || async { Work::Ok(part.to_owned()) }).await },
            );
            Work::Ok(parts.await?.concat())
        });
        let first: String = first.await?;
        let looped = run.repeat("rounds", (0u32, 0usize), |run, (n, size)| async move {
            let page: String = run.step("page", || async { Work::Ok("x".repeat(20_000)) }).await?;
            let next = (n + 1, size + page.len());
            Work::Ok(if n == 5 { Break(next) } else { Continue(next) })
        });
        let looped = looped.await?;
        // It goes on behind the event that it is told, saying that one again.
        let open = |after: Option<String>| async move {
            let first: u32 = after.map_or(0, |id| id.parse().unwrap_or_default());
            Work::Ok(stream::unfold(first, |n| async move {
                tokio::task::yield_now().await;
                (n < 5).then(|| (Work::Ok(n.to_string()), n + 1))
            }))
        };
        let said = run.session("said", open).ids(String::clone).await?;
        Work::Ok((first, looped, said))
    })
}

async fn audit(world: &World, run: &RunId, said: &str) {
    let (mut epoch, mut done) = (0, HashSet::new());
    for logged in world.log(run).await {
        assert!(logged.epoch >= epoch, "{said}: an older owner wrote after a newer one");
        epoch = logged.epoch;
        let at = logged.at().to_owned();
        match &*logged.kind {
            "step-began" | "phase-began" | "session-said" => {
                assert!(!done.contains(&at), "{said}: again at {at}")
            }
            "step-done" | "phase-done" | "session-ended" => assert!(done.insert(at), "{said}: two results"),
            _ => {}
        }
    }
    assert_eq!(done.len(), 2 + 6 + 2 + 1, "{said}");
    let events = Runner::new(world.store.clone()).subscribe::<String>(run, "said", 0);
    let events: Vec<_> = events.try_collect().await.unwrap();
    let heard = events.iter().filter_map(|event| match &event.what {
        Streamed::Event(event) => Some(event.as_str()),
        _ => None,
    });
    assert_eq!(heard.collect::<Vec<_>>(), ["0", "1", "2", "3", "4"], "{said}");
}

async fn death_at_every_write_of_phases_loops_and_sessions(world: &World) {
    let expected: Output = ("ab".into(), (6, 120_000), (0..5).map(|n: u32| n.to_string()).collect());
    for after in [false, true] {
        for write in 2.. {
            let plan = FaultPlan::none();
            let plan = if after { plan.die_after(write) } else { plan.die_before(write) };
            let faults = Faults::new(world.store.clone(), plan);
            let dying = work(Runner::new(faults.clone()), brisk().ttl(Duration::from_millis(40)));
            let run = id(&format!("{after} {write}"));
            let handle = dying.start(run.clone(), "work", &()).await.unwrap();
            while !faults.is_dead() && world.head(&run).await.outcome.is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            drop(handle);
            let survived = !faults.is_dead();
            if world.head(&run).await.outcome.is_none() {
                world.until(&run, Status::Interrupted).await;
            }
            let said = format!("{run}: {}", faults.trail());
            let successor = work(world.runner(), brisk());
            let output: Output = successor.resume(&run).await.unwrap().output().await.unwrap();
            assert_eq!(output, expected, "{said}");
            audit(world, &run, &said).await;
            if survived {
                assert!(write > 25, "{said}: {write} writes are fewer than the script has");
                assert!(!world.head(&run).await.snapshots.is_empty(), "{said}");
                break;
            }
        }
    }
}
