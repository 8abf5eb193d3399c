//! Every write of a run meets every fate in turn, without a process to die: the log is exact, and no step repeats.

use std::time::Duration;

use milepost_layers::{Fate, FaultPlan, Faults};

use crate::support::{Run, World, *};

on_every_store! { every_fate_at_every_write, death_at_every_write, random_faults_by_seed }

/// Steps one after another and side by side, draws, a retry, a wait and a signal that was sent before.
fn script(runner: Runner, tally: &Tally) -> Runner {
    let seen = tally.clone();
    runner.handler("work", move |run: Run, (): ()| {
        let tally = seen.clone();
        async move {
            let done = |place: String| {
                tally.add(place);
                Work::Ok(1u32)
            };
            let mut sum = 0;
            let _ = (run.now(), run.uuid());
            for n in 0..3 {
                sum += run.step("serial", || async { done(format!("serial {n}")) }).await?;
            }
            let parts = run.map(0..4u32, 4, u32::to_string, |run, n| async move {
                let _ = run.random();
                run.step("parallel", || async { done(format!("parallel {n}")) }).await
            });
            sum += parts.await?.iter().sum::<u32>();
            run.sleep(Duration::from_millis(1)).await;
            let shaky = run.effect("shaky", |effect| async move {
                if effect.attempt() == 0 { Err("shaky") } else { Ok(1u32) }
            });
            sum += shaky.retry(milepost_run::Retry::times(5).base(Duration::from_millis(1))).await?;
            sum += run.signal::<u32>("go").await?;
            Work::Ok(sum)
        }
    })
}

const SUM: u32 = 3 + 4 + 1 + 100;

/// No finished step ran again: per place one result, no attempt after it, and whoever wrote was the newest owner.
async fn audit(world: &World, run: &RunId, said: &str) {
    let mut epoch = 0;
    let mut done = std::collections::HashSet::new();
    for logged in world.log(run).await {
        assert!(logged.epoch >= epoch, "{said}: an older owner wrote after a newer one");
        epoch = logged.epoch;
        let at = logged.at().to_owned();
        match &*logged.kind {
            "step-began" => assert!(!done.contains(&at), "{said}: a finished step was begun again at {at}"),
            "step-done" => assert!(done.insert(at.clone()), "{said}: two results at {at}"),
            _ => {}
        }
    }
    assert_eq!(done.len(), 8, "{said}");
}

async fn every_fate_at_every_write(world: &World) {
    for fate in [Fate::AckLost, Fate::Lost, Fate::Refused] {
        for write in 1.. {
            let tally = Tally::default();
            let runner = script(world.runner().settings(brisk().linger(Duration::from_secs(5))), &tally);
            world.faults.arm(FaultPlan::none().at(write, fate));
            let run = id(&format!("{fate} {write}"));
            let handle = runner.start(run.clone(), "work", &()).await.unwrap();
            runner.signal(&run, "go", &100).await.unwrap();
            let said = format!("{run}: {}", world.faults.trail());
            assert_eq!(handle.output::<u32>().await.unwrap(), SUM, "{said}");
            audit(world, &run, &said).await;
            assert_eq!(tally.all().len(), 7, "{said}: each body ran once");
            if world.faults.writes() < write {
                break;
            }
        }
    }
}

async fn death_at_every_write(world: &World) {
    for after in [false, true] {
        for write in 2.. {
            let tally = Tally::default();
            let plan = FaultPlan::none();
            let plan = if after { plan.die_after(write) } else { plan.die_before(write) };
            let faults = Faults::new(world.store.clone(), plan);
            let settings = brisk().ttl(Duration::from_millis(40)).linger(Duration::from_secs(5));
            let dying = script(Runner::new(faults.clone()).settings(settings), &tally);
            let run = id(&format!("{after} {write}"));
            let handle = dying.start(run.clone(), "work", &()).await.unwrap();
            let outside = Runner::new(world.store.clone());
            outside.signal(&run, "go", &100).await.unwrap();
            while !faults.is_dead() && world.head(&run).await.outcome.is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            drop(handle);
            let survived = !faults.is_dead();
            if world.head(&run).await.outcome.is_none() {
                world.until(&run, Status::Interrupted).await;
            }
            let successor = script(world.runner().settings(brisk().linger(Duration::from_secs(5))), &tally);
            let said = format!("{run}: {}", faults.trail());
            let handle = successor.resume(&run).await.unwrap();
            assert_eq!(handle.output::<u32>().await.unwrap(), SUM, "{said}");
            audit(world, &run, &said).await;
            if survived {
                break;
            }
        }
    }
}

async fn random_faults_by_seed(world: &World) {
    let seed = std::env::var("MILEPOST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(4711);
    for round in 0..20u64 {
        let seed = seed + round;
        let tally = Tally::default();
        let runner = script(world.runner().settings(brisk().linger(Duration::from_secs(5))), &tally);
        world.faults.arm(FaultPlan::seeded(seed).ack_lost(0.1).refused(0.1).lost(0.1));
        let run = id(&format!("seed {seed}"));
        let handle = runner.start(run.clone(), "work", &()).await.unwrap();
        runner.signal(&run, "go", &100).await.unwrap();
        let said = format!("MILEPOST_SEED={seed}: {}", world.faults.trail());
        assert_eq!(handle.output::<u32>().await.unwrap(), SUM, "{said}");
        audit(world, &run, &said).await;
        assert_eq!(tally.all().len(), 7, "{said}");
    }
}
