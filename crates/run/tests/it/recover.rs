//! Recovery: what is due is found and driven by one, what is poison stops, what has ended does no work.

use std::time::Duration;

use milepost_core::Retain;
use milepost_run::CancellationToken;

use crate::support::{Run, World, *};

on_every_store! {
    two_recoverers_drive_each_of_200_runs_once,
    a_run_that_kills_its_process_ends_as_poison,
    work_that_advances_is_no_poison,
    an_ended_run_answers_with_no_work,
    a_failed_run_is_reopened_on_purpose,
    refusals_are_typed,
    a_large_input_survives,
    a_beginning_cut_short_is_begun_again,
    ended_runs_are_found_no_more,
    runs_of_unknown_handlers_are_left_alone,
    retention_is_kept_by_who_serves,
}

async fn two_recoverers_drive_each_of_200_runs_once(world: &World) {
    let tally = Tally::default();
    let work = |runner: Runner| {
        let seen = tally.clone();
        runner.handler("work", move |run: Run, n: u32| {
            let tally = seen.clone();
            async move {
                run.signal::<()>("go").await?;
                tally.add(run.id().as_str());
                run.step("one", || async { Work::Ok(n) }).await?;
                Work::Ok(n)
            }
        })
    };
    let starter = work(world.runner());
    for n in 0..200u32 {
        // Let go of in its wait, and due by a signal.
        let ended = starter.start(id(&format!("r{n}")), "work", &n).await.unwrap().ended().await;
        assert!(matches!(ended, Ended::Waiting(_)), "{ended}");
        starter.signal(&id(&format!("r{n}")), "go", &()).await.unwrap();
    }
    let (here, there) = (work(world.runner()), work(world.runner()));
    let (here, there) = tokio::join!(here.recover(), there.recover());
    let (here, there) = (here.unwrap(), there.unwrap());
    assert_eq!(here.completed + there.completed, 200, "{here:?} {there:?}");
    assert_eq!(tally.all().len(), 200, "each was driven once");
    assert_eq!(here.unopened + there.unopened, 0);
}

async fn a_run_that_kills_its_process_ends_as_poison(world: &World) {
    let tally = Tally::default();
    let seen = tally.clone();
    let work = move |runner: Runner| {
        let seen = seen.clone();
        runner.handler("work", move |run: Run, (): ()| {
            let tally = seen.clone();
            async move {
                run.step("deadly", || async {
                    tally.add("died");
                    std::future::pending::<()>().await;
                    Work::Ok(())
                })
                .await?;
                Work::Ok(())
            }
        })
    };
    for _ in 0..5 {
        world.die_in(&work, "r", &tally).await;
    }
    let told = Tally::default();
    let teller = told.clone();
    let runner = work(world.runner()).observe(move |_, happened| teller.add(format!("{happened:?}")));
    let recovered = runner.recover().await.unwrap();
    assert_eq!((recovered.poison, recovered.resumed), (1, 0));
    let (kind, message) = world.failure(&id("r")).await;
    assert_eq!(kind, FailureKind::Poison);
    assert!(message.contains("5 owners in a row died"), "{message}");
    assert_eq!(tally.of("died"), 5, "and it was not called again");
    assert!(told.all().iter().any(|told| told.contains("Poison")), "it is reported");
}

async fn work_that_advances_is_no_poison(world: &World) {
    let tally = Tally::default();
    let seen = tally.clone();
    let work = move |runner: Runner| {
        let seen = seen.clone();
        runner.handler("work", move |run: Run, (): ()| {
            let tally = seen.clone();
            async move {
                let mut made = 0;
                for n in 0..8u32 {
                    run.effect("step", |effect| {
                        made += 1;
                        let tally = &tally;
                        async move {
                            if effect.attempt() == 0 && n > 0 {
                                tally.add("died");
                                std::future::pending::<()>().await;
                            }
                            Work::Ok(())
                        }
                    })
                    .await?;
                }
                Work::Ok(made)
            }
        })
    };
    for _ in 0..7 {
        world.die_in(&work, "r", &tally).await;
    }
    let runner = work(world.runner());
    let output: u32 = runner.resume(&id("r")).await.unwrap().output().await.unwrap();
    assert_eq!(output, 1, "seven deaths, each after some work");
}

async fn an_ended_run_answers_with_no_work(world: &World) {
    let tally = Tally::default();
    let seen = tally.clone();
    let runner = world.runner().handler("work", move |_: Run, n: u32| {
        seen.add("called");
        async move { Work::Ok(n * 2) }
    });
    assert_eq!(runner.run::<_, u32>(id("r"), "work", &21).await.unwrap(), 42);
    let version = world.head(&id("r")).await.version;
    assert_eq!(runner.run::<_, u32>(id("r"), "work", &21).await.unwrap(), 42);
    assert_eq!(runner.resume(&id("r")).await.unwrap().output::<u32>().await.unwrap(), 42);
    assert_eq!(runner.output::<u32>(&id("r")).await.unwrap(), 42);
    assert_eq!(runner.reopen(&id("r")).await.unwrap().ended().await, Ended::Completed, "it is final");
    assert_eq!((tally.of("called"), world.head(&id("r")).await.version), (1, version));
}

async fn a_failed_run_is_reopened_on_purpose(world: &World) {
    let tally = Tally::default();
    let seen = tally.clone();
    let work = failing(2);
    let runner = world.runner().handler("work", move |run: Run, (): ()| {
        let (tally, work) = (seen.clone(), work.clone());
        async move {
            run.step("one", || async {
                tally.add("one");
                Work::Ok(())
            })
            .await?;
            let handled = run.step("handled", || async { Err::<(), _>("always") }).await.is_err();
            let attempt = run.effect("shaky", |effect| {
                let work = work.clone();
                async move { work().map(|_| effect.attempt()) }
            });
            Work::Ok((handled, attempt.await?))
        }
    });
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    assert_eq!(world.failure(&id("r")).await.1, "step \"shaky\" failed: call 0 failed");
    // Resuming does no work; asking for it does.
    assert!(matches!(runner.resume(&id("r")).await.unwrap().ended().await, Ended::Failed(_)));
    runner.reopen(&id("r")).await.unwrap().ended().await;
    assert!(world.failure(&id("r")).await.1.contains("call 1 failed"));
    let output: (bool, u32) = runner.reopen(&id("r")).await.unwrap().output().await.unwrap();
    assert_eq!(output, (true, 2), "the failure that was handled stands, the last one was tried again");
    assert_eq!(tally.of("one"), 1);
}

async fn refusals_are_typed(world: &World) {
    let runner = world.runner().handler("work", |run: Run, _: serde_json::Value| async move {
        run.signal::<()>("go").await?;
        Work::Ok(())
    });
    assert_eq!(runner.resume(&id("r")).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(runner.output::<()>(&id("r")).await.unwrap_err().kind(), ErrorKind::NotFound);
    let unknown = runner.start(id("r"), "other", &1).await.unwrap_err();
    assert!(unknown.to_string().contains("no handler is registered under \"other\""), "{unknown}");
    let nan = runner.start(id("r"), "work", &f64::NAN).await.unwrap_err();
    assert_eq!(nan.kind(), ErrorKind::Invalid);
    assert!(world.store.head(&id("r")).await.unwrap().is_none(), "nothing was begun");

    let input = serde_json::json!({ "b": 1, "a": [1.5] });
    let handle = runner.start(id("r"), "work", &input).await.unwrap();
    let again = runner.start(id("r"), "work", &input).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists, "resuming is opt-in");
    handle.ended().await;
    let same: serde_json::Value = serde_json::from_str(r#"{ "a": [1.5], "b": 1 }"#).unwrap();
    let other = runner.start(id("r"), "work", &serde_json::json!({ "b": 2 })).or_resume().await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::ManifestMismatch);
    runner.signal(&id("r"), "go", &()).await.unwrap();
    runner.start(id("r"), "work", &same).or_resume().await.unwrap().output::<()>().await.unwrap();
}

async fn a_large_input_survives(world: &World) {
    let runner = world.runner().handler("work", |run: Run, input: String| async move {
        run.sleep(Duration::from_millis(200)).await;
        Work::Ok(input.len())
    });
    let input = "x".repeat(300_000);
    runner.start(id("r"), "work", &input).await.unwrap().ended().await;
    world.until(&id("r"), Status::Interrupted).await;
    assert_eq!(runner.resume(&id("r")).await.unwrap().output::<usize>().await.unwrap(), 300_000);
    let other = runner.start(id("r"), "work", &"y".repeat(300_000)).or_resume().await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::ManifestMismatch);
}

async fn a_beginning_cut_short_is_begun_again(world: &World) {
    let work =
        |runner: Runner| runner.handler("work", |_: Run, input: String| async move { Work::Ok(input.len()) });
    let input = "x".repeat(100_000);
    let faults =
        milepost_layers::Faults::new(world.store.clone(), milepost_layers::FaultPlan::none().die_before(2));
    let dying = Runner::new(faults).settings(brisk().ttl(Duration::from_millis(50)));
    let error = work(dying).start(id("r"), "work", &input).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(world.head(&id("r")).await.draft, "the run is there without its input, and never due");
    tokio::time::sleep(Duration::from_millis(60)).await;
    let output: usize =
        work(world.runner()).start(id("r"), "work", &input).await.unwrap().output().await.unwrap();
    assert_eq!(output, 100_000);
}

async fn ended_runs_are_found_no_more(world: &World) {
    let runner =
        world.runner().handler("work", |_: Run, ok: bool| async move { if ok { Ok(()) } else { Err("no") } });
    for ok in [true, false] {
        runner.start(id(&ok.to_string()), "work", &ok).await.unwrap().ended().await;
    }
    assert_eq!(runner.recover().await.unwrap(), milepost_run::Recovered::default());
}

async fn runs_of_unknown_handlers_are_left_alone(world: &World) {
    let old = world.runner().handler("old", |run: Run, (): ()| async move {
        run.sleep(Duration::from_millis(200)).await;
        Work::Ok(())
    });
    old.start(id("r"), "old", &()).await.unwrap().ended().await;
    world.until(&id("r"), Status::Interrupted).await;
    let new = world.runner().handler("new", |_: Run, (): ()| async move { Work::Ok(()) });
    assert_eq!(new.recover().await.unwrap().unknown, 1);
    assert_eq!(world.head(&id("r")).await.fence.epoch, 1);
    assert_eq!(old.recover().await.unwrap().completed, 1);
}

async fn retention_is_kept_by_who_serves(world: &World) {
    let settings = brisk().retain(Retain::KeepFor(Duration::ZERO));
    let runner =
        world.runner().settings(settings).handler("work", |_: Run, (): ()| async move { Work::Ok(()) });
    runner.run::<_, ()>(id("r"), "work", &()).await.unwrap();
    let shutdown = CancellationToken::new();
    let served = tokio::spawn({
        let (runner, shutdown) = (runner.clone(), shutdown.clone());
        async move { runner.serve(shutdown).await }
    });
    while world.store.head(&id("r")).await.unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    shutdown.cancel();
    served.await.unwrap();
}
