//! Waits: a run lets go of its process and is woken when it is due, by time or by message, in another one too.

use std::time::Duration;

use milepost_core::{Sent, Timestamp};
use milepost_run::{CancellationToken, SignalToken};

use crate::support::{Run, World, *};

on_every_store! {
    a_timer_keeps_its_instant_and_a_past_one_fires_at_once,
    a_waiting_run_is_woken_by_another_process,
    the_first_signal_wins,
    a_signal_sent_early_is_kept,
    a_signal_that_nobody_sends_in_time_is_none,
    a_default_stands_in_for_an_answer,
    a_signal_after_its_bound_comes_too_late,
    a_signal_of_another_type_is_an_error_that_is_replayed,
    two_waits_for_one_signal_get_the_same,
    a_token_is_the_same_after_a_resume_and_answers_once,
    a_running_run_gets_its_signals,
    a_deadline_does_not_slide,
    a_cancelled_run_stops_at_once,
    a_waiting_run_is_cancelled_without_its_handler,
    a_short_wait_is_waited_for_here,
    waking_a_hundred_times_is_no_poison,
}

async fn a_timer_keeps_its_instant_and_a_past_one_fires_at_once(world: &World) {
    let runner = world.runner().handler("work", |run: Run, (): ()| async move {
        let before = run.now();
        run.sleep(Duration::from_millis(100)).await;
        run.sleep_until(Timestamp(0)).await;
        Work::Ok(run.now().since(before))
    });
    let ended = runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    let Ended::Waiting(wake) = ended else { panic!("{ended:?}") };
    let until = world.log(&id("r")).await[1].event["until"].as_i64().unwrap();
    assert_eq!(wake.at, Some(Timestamp(until)));
    assert_eq!(world.head(&id("r")).await.due, Some(Timestamp(until)));
    let due = world.until(&id("r"), Status::Interrupted).await;
    assert_eq!(due.due, Some(Timestamp(until)), "and not before");
    let slept: Duration = runner.resume(&id("r")).await.unwrap().output().await.unwrap();
    assert!(slept >= Duration::from_millis(100), "{slept:?}");
}

async fn a_waiting_run_is_woken_by_another_process(world: &World) {
    let work = |runner: Runner| {
        runner.handler("work", |run: Run, (): ()| async move {
            run.sleep(Duration::from_millis(200)).await;
            Work::Ok(run.signal::<u32>("go").await?)
        })
    };
    let here = work(world.runner());
    let handle = here.start(id("r"), "work", &()).await.unwrap();
    assert!(matches!(handle.ended().await, Ended::Waiting(_)));
    let shutdown = CancellationToken::new();
    let there = work(world.runner());
    let served = tokio::spawn({
        let (there, shutdown) = (there.clone(), shutdown.clone());
        async move { there.serve(shutdown).await }
    });
    // It comes by the wait for an instant, and is let go of again in the wait for a signal.
    while !world.kinds(&id("r")).await.ends_with("wait-done wait-began") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    here.signal(&id("r"), "go", &7).await.unwrap();
    assert_eq!(handle.output::<u32>().await.unwrap(), 7, "its starter gets the output from there");
    shutdown.cancel();
    served.await.unwrap();
}

/// Waits for a signal and returns what came.
fn waiting(world: &World) -> Runner {
    world.runner().handler("work", |run: Run, (): ()| async move { Work::Ok(run.signal::<u32>("go").await?) })
}

async fn the_first_signal_wins(world: &World) {
    let runner = waiting(world);
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    assert_eq!(runner.signal(&id("r"), "go", &1).await.unwrap(), Sent::Accepted { number: 1 });
    assert_eq!(runner.signal(&id("r"), "go", &2).await.unwrap(), Sent::Conflicting { number: 1 });
    assert_eq!(runner.signal(&id("r"), "go", &1).await.unwrap(), Sent::Repeated { number: 1 });
    assert_eq!(runner.resume(&id("r")).await.unwrap().output::<u32>().await.unwrap(), 1);
    let late = runner.signal(&id("r"), "other", &2).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Finished);
}

async fn a_signal_sent_early_is_kept(world: &World) {
    let runner = world.runner().handler("work", |run: Run, (): ()| async move {
        run.sleep(Duration::from_millis(200)).await;
        Work::Ok(run.signal::<u32>("go").await?)
    });
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    runner.signal(&id("r"), "go", &5).await.unwrap();
    // The signal wakes the run before its time; it waits on.
    let ended = runner.resume(&id("r")).await.unwrap().ended().await;
    if let Ended::Waiting(_) = ended {
        world.until(&id("r"), Status::Interrupted).await;
        runner.resume(&id("r")).await.unwrap().ended().await;
    }
    assert_eq!(runner.output::<u32>(&id("r")).await.unwrap(), 5);
}

async fn a_signal_that_nobody_sends_in_time_is_none(world: &World) {
    let runner = world.runner().handler("work", |run: Run, (): ()| async move {
        Work::Ok(run.signal::<u32>("go").within(Duration::from_millis(200)).await?)
    });
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    world.until(&id("r"), Status::Interrupted).await;
    assert_eq!(runner.resume(&id("r")).await.unwrap().output::<Option<u32>>().await.unwrap(), None);
}

async fn a_default_stands_in_for_an_answer(world: &World) {
    let with = |default: u32| {
        world.runner().handler("work", move |run: Run, (): ()| async move {
            Work::Ok(run.signal::<u32>("go").within(Duration::from_millis(200)).or(default).await?)
        })
    };
    with(7).start(id("r"), "work", &()).await.unwrap().ended().await;
    world.until(&id("r"), Status::Interrupted).await;
    let output: u32 = with(8).resume(&id("r")).await.unwrap().output().await.unwrap();
    assert_eq!(output, 7, "as it was when the wait began");
}

async fn a_signal_after_its_bound_comes_too_late(world: &World) {
    let runner = world.runner().handler("work", |run: Run, (): ()| async move {
        let first = run.signal::<u32>("go").within(Duration::from_millis(200)).await?;
        Work::Ok((first, run.signal::<u32>("go").await?))
    });
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    world.until(&id("r"), Status::Interrupted).await;
    runner.signal(&id("r"), "go", &9).await.unwrap();
    let output: (Option<u32>, u32) = runner.resume(&id("r")).await.unwrap().output().await.unwrap();
    assert_eq!(output, (None, 9), "nobody looked when it passed, and yet it had");
}

async fn a_signal_of_another_type_is_an_error_that_is_replayed(world: &World) {
    let runner = world.runner().handler("work", |run: Run, (): ()| async move {
        let error = run.signal::<u32>("go").await.unwrap_err();
        run.sleep(Duration::from_millis(200)).await;
        Work::Ok(error.to_string())
    });
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    runner.signal(&id("r"), "go", "seven").await.unwrap();
    runner.resume(&id("r")).await.unwrap().ended().await;
    world.until(&id("r"), Status::Interrupted).await;
    let error: String = runner.resume(&id("r")).await.unwrap().output().await.unwrap();
    assert!(error.contains("signal \"go\" came with what cannot be read"), "{error}");
}

async fn two_waits_for_one_signal_get_the_same(world: &World) {
    let runner = world.runner().handler("work", |run: Run, (): ()| async move {
        let (left, right) = (run.branch("left"), run.branch("right"));
        let (left, right) = tokio::try_join!(left.signal::<u32>("go"), right.signal::<u32>("go"))?;
        Work::Ok((left, right, run.signal::<u32>("go").await?))
    });
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    runner.signal(&id("r"), "go", &3).await.unwrap();
    assert_eq!(runner.resume(&id("r")).await.unwrap().output::<(u32, u32, u32)>().await.unwrap(), (3, 3, 3));
}

async fn a_token_is_the_same_after_a_resume_and_answers_once(world: &World) {
    let tally = Tally::default();
    let seen = tally.clone();
    let runner = world.runner().handler("work", move |run: Run, (): ()| {
        let tally = seen.clone();
        async move {
            tally.add(run.token("approval").to_string());
            Work::Ok(run.signal::<bool>("approval").await?)
        }
    });
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    let token: SignalToken = tally.all()[0].parse().unwrap();
    runner.wake(&token, &true).await.unwrap();
    runner.wake(&token, &true).await.unwrap();
    let second = runner.wake(&token, &false).await.unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Conflict);
    assert!(
        second.to_string().contains("the wait for \"approval\" of run r was answered before"),
        "{second}"
    );
    assert!(runner.resume(&id("r")).await.unwrap().output::<bool>().await.unwrap());
    assert_eq!(tally.all()[0], tally.all()[1]);

    // The token of a life that is over answers no later one.
    world.store.delete(&id("r"), milepost_core::Delete::Any).await.unwrap();
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    assert_eq!(runner.wake(&token, &true).await.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn a_running_run_gets_its_signals(world: &World) {
    let runner = world.runner().settings(brisk().linger(Duration::from_secs(30)));
    let runner =
        runner.handler("work", |run: Run, (): ()| async move { Work::Ok(run.signal::<u32>("go").await?) });
    let handle = runner.start(id("r"), "work", &()).await.unwrap();
    while world.head(&id("r")).await.cursor < 1 {
        tokio::task::yield_now().await;
    }
    // From another handle of the store.
    Runner::new(world.store.clone()).signal(&id("r"), "go", &7).await.unwrap();
    assert_eq!(handle.output::<u32>().await.unwrap(), 7);
    assert_eq!(world.head(&id("r")).await.fence.epoch, 1, "it was never let go of");
}

async fn a_deadline_does_not_slide(world: &World) {
    let runner = world.runner().handler("work", |run: Run, (): ()| async move {
        run.signal::<()>("first").await?;
        run.signal::<()>("second").await?;
        Work::Ok(())
    });
    runner.start(id("r"), "work", &()).deadline(Duration::from_millis(250)).await.unwrap().ended().await;
    let created = world.head(&id("r")).await.created_at;
    runner.signal(&id("r"), "first", &()).await.unwrap();
    let ended = runner.resume(&id("r")).await.unwrap().ended().await;
    let Ended::Waiting(wake) = ended else { panic!("{ended:?}") };
    assert_eq!(wake.at, Some(created + Duration::from_millis(250)));
    world.until(&id("r"), Status::Interrupted).await;
    runner.resume(&id("r")).await.unwrap().ended().await;
    assert_eq!(world.failure(&id("r")).await.0, FailureKind::TimedOut);
}

async fn a_cancelled_run_stops_at_once(world: &World) {
    let tally = Tally::default();
    let seen = tally.clone();
    let runner = world.runner().handler("work", move |run: Run, (): ()| {
        let tally = seen.clone();
        async move {
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
    runner.cancel(&id("r"), "not wanted any more").await.unwrap();
    assert!(matches!(handle.ended().await, Ended::Failed(_)));
    assert_eq!(world.failure(&id("r")).await, (FailureKind::Cancelled, "not wanted any more".into()));
    assert_eq!(world.kinds(&id("r")).await, "step-began", "it blocked every later commit");
    let again = runner.cancel(&id("r"), "not wanted any more").await.unwrap();
    assert!(matches!(again, Sent::Repeated { .. }), "the same request is a look-up");
    let other = runner.cancel(&id("r"), "for another reason").await.unwrap();
    assert!(matches!(other, Sent::Conflicting { .. }));
}

async fn a_waiting_run_is_cancelled_without_its_handler(world: &World) {
    let tally = Tally::default();
    let seen = tally.clone();
    let runner = world.runner().handler("work", move |run: Run, (): ()| {
        let tally = seen.clone();
        async move {
            tally.add("called");
            run.sleep(Duration::from_secs(3600)).await;
            Work::Ok(())
        }
    });
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    runner.cancel(&id("r"), "enough").await.unwrap();
    assert_eq!(world.head(&id("r")).await.status(), Status::Interrupted, "the request wakes it");
    let recovered = runner.recover().await.unwrap();
    assert_eq!((recovered.resumed, recovered.failed), (1, 1));
    assert_eq!(world.failure(&id("r")).await.0, FailureKind::Cancelled);
    assert_eq!(tally.of("called"), 1);
}

async fn a_short_wait_is_waited_for_here(world: &World) {
    let runner = world.runner().settings(brisk().linger(Duration::from_secs(5)));
    let runner = runner.handler("work", |run: Run, (): ()| async move {
        run.sleep(Duration::from_millis(20)).await;
        Work::Ok(())
    });
    let handle = runner.start(id("r"), "work", &()).await.unwrap();
    assert_eq!(handle.ended().await, Ended::Completed);
    assert_eq!(world.head(&id("r")).await.fence.epoch, 1);
}

async fn waking_a_hundred_times_is_no_poison(world: &World) {
    let runner = world.runner().handler("work", |run: Run, (): ()| async move {
        run.signal::<()>("go").await?;
        Work::Ok(())
    });
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    for n in 0..100 {
        runner.signal(&id("r"), &format!("noise {n}"), &()).await.unwrap();
        let ended = runner.resume(&id("r")).await.unwrap().ended().await;
        assert!(matches!(ended, Ended::Waiting(_)), "{ended:?}");
    }
    assert_eq!(world.head(&id("r")).await.lapses, 0);
}
