//! The watchdog and schedules.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use milepost_core::{ManualClock, Query, Timestamp};
use milepost_run::{CancellationToken, Schedule, Verdict, Watchdog};

use crate::support::{Run, World, *};

on_every_store! {
    a_run_that_finishes_no_work_is_ended,
    more_time_is_given_once_in_a_life,
    the_hard_limit_has_the_last_word,
    who_finishes_work_or_waits_is_left_alone,
    a_run_begins_at_each_time_once,
    a_panic_does_not_stop_a_schedule,
}

const SOFT: Duration = Duration::from_millis(60);

fn stuck(runner: Runner) -> Runner {
    runner.handler("work", |run: Run, (): ()| async move {
        run.step("stuck", std::future::pending::<Work<()>>).await?;
        Work::Ok(())
    })
}

async fn a_run_that_finishes_no_work_is_ended(world: &World) {
    let runner = stuck(world.runner()).watchdog(Watchdog::new(SOFT, Duration::from_secs(60)));
    let ended = runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    let Ended::Failed(failure) = ended else { panic!("{ended}") };
    assert_eq!(failure.kind, FailureKind::TimedOut);
    assert!(failure.message.starts_with("it has finished no work for "), "{failure}");
    assert_eq!(world.kinds(&id("r")).await, "step-began extended", "the soft limit gave it more time, once");
    // It sticks: nobody finds it, and whoever asks gets what it came to.
    assert_eq!(runner.recover().await.unwrap().resumed, 0);
    let again = runner.resume(&id("r")).await.unwrap().ended().await;
    assert!(matches!(again, Ended::Failed(again) if again == failure));
}

async fn more_time_is_given_once_in_a_life(world: &World) {
    let faults = milepost_layers::Faults::new(world.store.clone(), milepost_layers::FaultPlan::none());
    let settings = brisk().ttl(Duration::from_millis(60));
    let dying = stuck(Runner::new(faults.clone()).settings(settings));
    let dying = dying.watchdog(Watchdog::new(SOFT, Duration::from_secs(60)).policy(move |quiet| {
        if quiet.extensions == 0 { Verdict::Extend(Duration::from_secs(50)) } else { Verdict::Kill }
    }));
    dying.start(id("r"), "work", &()).await.unwrap();
    while !world.kinds(&id("r")).await.contains("extended") {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    faults.kill();
    world.until(&id("r"), Status::Interrupted).await;
    let asked = Arc::<Mutex<Vec<u32>>>::default();
    let seen = asked.clone();
    let runner = stuck(world.runner());
    let runner = runner.watchdog(Watchdog::new(SOFT, Duration::from_secs(60)).policy(move |quiet| {
        seen.lock().unwrap().push(quiet.extensions);
        Verdict::Kill
    }));
    assert!(matches!(runner.resume(&id("r")).await.unwrap().ended().await, Ended::Failed(_)));
    assert_eq!(*asked.lock().unwrap(), [1], "the count survives the process");
}

async fn the_hard_limit_has_the_last_word(world: &World) {
    let soft = Watchdog::new(SOFT, Duration::from_millis(250));
    let runner = stuck(world.runner()).watchdog(soft.policy(|_| Verdict::Extend(Duration::from_millis(50))));
    let ended = runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    assert!(matches!(ended, Ended::Failed(failure) if failure.kind == FailureKind::TimedOut));
    assert!(world.kinds(&id("r")).await.contains("extended extended"));
}

async fn who_finishes_work_or_waits_is_left_alone(world: &World) {
    let settings = brisk().linger(Duration::from_secs(5));
    let runner = world.runner().settings(settings).handler("work", |run: Run, (): ()| async move {
        for _ in 0..8 {
            run.step("brief", || async {
                tokio::time::sleep(Duration::from_millis(40)).await;
                Work::Ok(())
            })
            .await?;
        }
        run.sleep(Duration::from_millis(900)).await;
        Work::Ok(())
    });
    let watchdog = Watchdog::new(Duration::from_millis(400), Duration::from_millis(800));
    let runner = runner.watchdog(watchdog.policy(|_| Verdict::Kill));
    assert_eq!(runner.start(id("r"), "work", &()).await.unwrap().ended().await, Ended::Completed);
}

fn counting(world: &World) -> Runner {
    world.runner().handler("tick", |_: Run, at: Timestamp| async move { Work::Ok(at) })
}

async fn runs(world: &World) -> Vec<String> {
    let heads: Vec<Head> = world.store.list(Query::all()).try_collect().await.unwrap();
    let mut runs: Vec<_> = heads.iter().map(|head| head.run.as_str().to_owned()).collect();
    runs.sort();
    runs
}

async fn a_run_begins_at_each_time_once(world: &World) {
    let (tally, shutdown) = (Tally::default(), CancellationToken::new());
    let schedule = Schedule::every(Duration::from_millis(100));
    let hosts: Vec<_> = (0..2)
        .map(|_| {
            let (seen, schedule, shutdown) = (tally.clone(), schedule.clone(), shutdown.clone());
            let runner = world.runner().handler("tick", move |_: Run, at: Timestamp| {
                let seen = seen.clone();
                async move {
                    seen.add(at.0.to_string());
                    // A slow run shifts nothing: many are under way at once.
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    Work::Ok(())
                }
            });
            tokio::spawn(async move { runner.begin_on(&schedule, "tick", "tick", |at| at, shutdown).await })
        })
        .collect();
    while tally.all().len() < 6 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    shutdown.cancel();
    for host in hosts {
        host.await.unwrap();
    }
    for time in tally.all() {
        assert_eq!(tally.of(&time), 1, "one run for each time, whoever begins it: {:?}", tally.all());
        assert!(time.ends_with("00000"), "{time}");
        assert!(runs(world).await.contains(&format!("tick@{time}")));
    }
}

async fn a_panic_does_not_stop_a_schedule(world: &World) {
    let clock = Arc::new(ManualClock::new(Timestamp(1)));
    let runner = counting(world).clock(clock.clone());
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    let input = |at: Timestamp| {
        assert_ne!(at, Timestamp(2_000_000), "the second one panics");
        at
    };
    let schedule = Schedule::every(Duration::from_secs(1));
    let host = tokio::spawn(async move { runner.begin_on(&schedule, "tick", "tick", input, token).await });
    // The schedule's own time, as fast as the real one: only a machine that stalls for a second lets one pass.
    while runs(world).await.len() < 2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        clock.advance(Duration::from_millis(100));
    }
    shutdown.cancel();
    host.await.unwrap();
    assert_eq!(runs(world).await[..2], ["tick@1000000", "tick@3000000"]);
}

/// The stored format of version 1, read for ever: what the watchdog writes.
const EXTENDED: &str = r#"{"v":1,"epoch":1,"event":{"extended":{"extensions":1}}}"#;

#[tokio::test]
async fn what_the_watchdog_writes_is_what_it_always_wrote() {
    let world = World::memory();
    let runner = stuck(world.runner()).watchdog(Watchdog::new(SOFT, Duration::from_secs(60)));
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    let records: Vec<_> =
        world.store.stream(&id("r"), milepost_core::Span::all()).try_collect().await.unwrap();
    assert_eq!(records[1].body, EXTENDED);
}
