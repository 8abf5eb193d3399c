//! Every way out of a handler, and what it makes of the run.

use std::time::Duration;

use milepost_layers::{Fate, FaultPlan};
use milepost_run::{CancellationToken, Shutdown};

use crate::support::{Run, World, *};

on_every_store! {
    the_matrix_of_exits,
    an_input_that_does_not_fit_fails_the_run_before_its_first_step,
    a_dropped_future_leaves_the_run_due,
    a_lost_lease_stops_the_handler_and_writes_nothing,
    a_stopping_runner_lets_the_step_in_flight_end,
    a_stopping_runner_waits_no_longer_than_its_grace,
    errors_of_the_last_commit_hide_no_other,
    the_end_is_written_once_whatever_is_lost,
    an_observer_that_panics_kills_no_run,
}

#[derive(Debug)]
struct Wrapped(Shutdown);

impl std::fmt::Display for Wrapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("wrapped")
    }
}

impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

async fn exit(way: String) -> Work<u32> {
    match &*way {
        "ok" => Ok(7),
        "error" => Err(anyhow::anyhow!("disk full").context("saving").into()),
        "shutdown" => Err(Shutdown.into()),
        "shutdown in the chain" => Err(anyhow::Error::new(Wrapped(Shutdown)).context("fetching").into()),
        "panic" => panic!("on {way}"),
        other => Err(other.to_owned().into()),
    }
}

async fn the_matrix_of_exits(world: &World) {
    let runner = world
        .runner()
        .handler("early", |_: Run, way: String| exit(way))
        .handler("late", |run: Run, way: String| async move {
            run.step("one", || async { Work::Ok(()) }).await?;
            exit(way).await
        })
        .handler("in a step", |run: Run, way: String| async move {
            let result = run.step("one", || exit(way.clone())).await;
            Work::Ok(result?)
        });
    for handler in ["early", "late", "in a step"] {
        for (way, status, failure) in [
            ("ok", Status::Completed, None),
            ("error", Status::Failed, Some((FailureKind::Error, "saving: disk full"))),
            ("shutdown", Status::Interrupted, None),
            ("shutdown in the chain", Status::Interrupted, None),
            ("panic", Status::Failed, Some((FailureKind::Panicked, "on panic"))),
        ] {
            let run = id(&format!("{handler} {way}"));
            let handle = runner.start(run.clone(), handler, way).await.unwrap();
            let ended = handle.ended().await;
            let head = world.head(&run).await;
            assert_eq!(head.status(), status, "{run} {ended}");
            assert_eq!(head.lapses, 0);
            match (failure, ended) {
                (None, Ended::Completed) => assert_eq!(handle.output::<u32>().await.unwrap(), 7),
                (None, Ended::Released) => assert_eq!(status, Status::Interrupted),
                (Some((kind, message)), Ended::Failed(failure)) => {
                    assert_eq!(failure.kind, kind, "{run}");
                    assert!(failure.message.ends_with(message), "{failure}");
                    let error = handle.output::<u32>().await.unwrap_err();
                    assert!(error.to_string().contains(message), "{error}");
                }
                (_, ended) => panic!("{run}: {ended:?}"),
            }
        }
    }
}

async fn an_input_that_does_not_fit_fails_the_run_before_its_first_step(world: &World) {
    let runner = world.runner().handler("work", |_: Run, n: u32| async move { Work::Ok(n) });
    runner.start(id("r"), "work", "a word").await.unwrap().ended().await;
    let (kind, message) = world.failure(&id("r")).await;
    assert_eq!(kind, FailureKind::Error);
    assert!(message.starts_with("the handler cannot take the input"), "{message}");
}

async fn a_dropped_future_leaves_the_run_due(world: &World) {
    let runner = world.runner().handler("work", |run: Run, (): ()| async move {
        run.step("one", || async { Work::Ok(()) }).await?;
        std::future::pending::<()>().await;
        Work::Ok(())
    });
    let work = runner.run::<_, ()>(id("r"), "work", &());
    assert!(tokio::time::timeout(Duration::from_millis(60), work).await.is_err());
    world.until(&id("r"), Status::Interrupted).await;
    assert_eq!(world.head(&id("r")).await.lapses, 0, "it was let go of");
    assert_eq!(world.kinds(&id("r")).await, "step-began step-done");
}

async fn a_lost_lease_stops_the_handler_and_writes_nothing(world: &World) {
    use milepost_core::{Ids, Open, Store, SystemIds};
    let tally = Tally::default();
    let seen = tally.clone();
    struct Dropped(Tally);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.add("dropped");
        }
    }
    let runner = world.runner().settings(brisk().ttl(Duration::from_millis(90)));
    let runner = runner.handler("work", move |run: Run, (): ()| {
        let tally = seen.clone();
        async move {
            let _dropped = Dropped(tally.clone());
            run.step("long", || async {
                tally.add("began");
                std::future::pending::<()>().await;
                Work::Ok(())
            })
            .await?;
            Work::Ok(())
        }
    });
    let handle = runner.start(id("r"), "work", &()).await.unwrap();
    while tally.of("began") == 0 {
        tokio::task::yield_now().await;
    }
    let fence = world.head(&id("r")).await.fence;
    let open = Open::resume(SystemIds.operation()).over(fence);
    let successor = world.store.open(&id("r"), open).await.unwrap();
    assert_eq!(handle.ended().await, Ended::Lost, "the next heartbeat tells");
    assert_eq!(tally.of("dropped"), 1);
    let head = world.head(&id("r")).await;
    assert_eq!((head.version, head.outcome), (successor.head.version, None), "nothing was written");
}

async fn a_stopping_runner_lets_the_step_in_flight_end(world: &World) {
    let tally = Tally::default();
    let seen = tally.clone();
    let work = |runner: Runner| {
        let seen = seen.clone();
        runner.handler("work", move |run: Run, (): ()| {
            let tally = seen.clone();
            async move {
                for step in ["one", "two"] {
                    run.step(step, || async {
                        tally.add(step);
                        tokio::time::sleep(Duration::from_millis(60)).await;
                        Work::Ok(())
                    })
                    .await?;
                }
                Work::Ok(())
            }
        })
    };
    let runner = work(world.runner());
    let shutdown = CancellationToken::new();
    let handle = runner.start(id("r"), "work", &()).await.unwrap();
    let served = tokio::spawn({
        let (runner, shutdown) = (runner.clone(), shutdown.clone());
        async move { runner.serve(shutdown).await }
    });
    while tally.of("one") == 0 {
        tokio::task::yield_now().await;
    }
    shutdown.cancel();
    served.await.unwrap();
    assert_eq!(handle.ended().await, Ended::Released);
    assert_eq!(handle.output::<()>().await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(world.kinds(&id("r")).await, "step-began step-done", "its result is there");
    assert_eq!(world.head(&id("r")).await.status(), Status::Interrupted);
    work(world.runner()).resume(&id("r")).await.unwrap().output::<()>().await.unwrap();
    assert_eq!(tally.all(), ["one", "two"], "each ran once");
}

async fn a_stopping_runner_waits_no_longer_than_its_grace(world: &World) {
    let runner = world.runner().settings(brisk().grace(Duration::from_millis(30)));
    let runner = runner.handler("work", |run: Run, watches: bool| async move {
        run.step("long", || async {
            if watches {
                run.stopping().await;
                return Err(BoxError::from(Shutdown));
            }
            std::future::pending::<()>().await;
            Ok(())
        })
        .await?;
        Work::Ok(())
    });
    let stubborn = runner.start(id("stubborn"), "work", &false).await.unwrap();
    let polite = runner.start(id("polite"), "work", &true).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    runner.stop().await;
    assert_eq!((stubborn.ended().await, polite.ended().await), (Ended::Released, Ended::Released));
    for run in ["stubborn", "polite"] {
        assert_eq!(world.head(&id(run)).await.status(), Status::Interrupted);
        assert_eq!(world.kinds(&id(run)).await, "step-began");
    }
}

async fn errors_of_the_last_commit_hide_no_other(world: &World) {
    let faults = world.faults.clone();
    let runner = world.runner().handler("work", move |run: Run, (): ()| {
        let faults = faults.clone();
        async move {
            run.step("one", || async { Work::Ok(()) }).await?;
            // From now on the store refuses, for a reason that no second try mends.
            milepost_core::Store::close(&faults).await.unwrap();
            Err::<(), BoxError>("the primary error".into())
        }
    });
    let ended = runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    let Ended::Unwritten { meant, error } = ended else { panic!("{ended:?}") };
    assert!(meant.to_string().contains("the primary error"), "{meant}");
    assert!(error.contains("closed"), "{error}");
}

async fn the_end_is_written_once_whatever_is_lost(world: &World) {
    let runner = world.runner().handler("work", |run: Run, fails: bool| async move {
        run.step("one", || async { Work::Ok(()) }).await?;
        if fails { Err(BoxError::from("no")) } else { Ok(()) }
    });
    for fate in [Fate::AckLost, Fate::Lost, Fate::Refused] {
        for fails in [false, true] {
            // open, intent, result, end.
            world.faults.arm(FaultPlan::none().at(4, fate));
            let run = id(&format!("{fate} {fails}"));
            let ended = runner.start(run.clone(), "work", &fails).await.unwrap().ended().await;
            assert_eq!(matches!(ended, Ended::Failed(_)), fails, "{ended}");
            let head = world.head(&run).await;
            assert_eq!((head.version, head.outcome.is_some()), (4, true));
        }
    }
}

async fn an_observer_that_panics_kills_no_run(world: &World) {
    let runner =
        world.runner().observe(|_, _| panic!("an observer")).handler("work", |run: Run, (): ()| async move {
            Work::Ok(run.step("one", || async { Work::Ok(7u32) }).await?)
        });
    assert_eq!(runner.run::<_, u32>(id("r"), "work", &()).await.unwrap(), 7);
}
