//! Steps: what has finished is never run again, what was begun is, and a changed handler is noticed.

use std::time::Duration;

use milepost_run::{Answer, FailureCause, Retry, StepError};

use crate::support::{Run, World, *};

on_every_store! {
    a_finished_step_is_answered_from_the_log,
    the_intent_is_durable_before_the_body_runs,
    a_step_that_was_begun_runs_again_with_the_next_attempt_and_the_same_key,
    a_failed_step_is_retried_with_attempt_numbers,
    a_failure_is_replayed_as_it_was,
    a_timeout_is_replayed_as_a_timeout,
    other_code_at_the_same_place_is_a_divergence_that_names_both,
    a_step_left_out_is_a_divergence,
    a_result_of_another_type_is_a_divergence,
    one_name_twice_is_two_steps,
    a_step_in_doubt_waits_and_is_retried_on_request,
    a_step_in_doubt_adopts_a_result,
    a_step_in_doubt_is_given_up,
    a_result_without_a_form_in_json_is_a_failure_of_its_step,
    a_large_result_leaves_the_log_and_comes_back,
    a_missing_blob_is_loud,
    a_backoff_is_not_waited_for_in_the_process,
}

async fn a_finished_step_is_answered_from_the_log(world: &World) {
    let tally = Tally::default();
    let counted = tally.clone();
    let runner = world.runner().handler("work", move |run: Run, n: u32| {
        let tally = counted.clone();
        async move {
            let one = run
                .step("one", || async {
                    tally.add("one");
                    Work::Ok(n + 1)
                })
                .await?;
            run.sleep(Duration::from_millis(200)).await;
            Work::Ok(run.step("two", || async { Work::Ok(one * 2) }).await?)
        }
    });
    let handle = runner.start(id("r"), "work", &20).await.unwrap();
    assert!(matches!(handle.ended().await, Ended::Waiting(_)), "the wait ends the handler");
    world.until(&id("r"), Status::Interrupted).await;
    let handle = runner.resume(&id("r")).await.unwrap();
    assert_eq!(handle.output::<u32>().await.unwrap(), 42);
    assert_eq!(tally.of("one"), 1);
    assert_eq!(world.kinds(&id("r")).await, "step-began step-done wait-began wait-done step-began step-done");
}

async fn the_intent_is_durable_before_the_body_runs(world: &World) {
    let store = world.store.clone();
    let runner = world.runner().handler("work", move |run: Run, (): ()| {
        let store = store.clone();
        async move {
            let id = run.id().clone();
            let cursor =
                run.step("look", || async { Work::Ok(store.head(&id).await?.unwrap().cursor) }).await?;
            Work::Ok((cursor, store.head(&id).await?.unwrap().cursor))
        }
    });
    let handle = runner.start(id("r"), "work", &()).await.unwrap();
    assert_eq!(handle.output::<(u64, u64)>().await.unwrap(), (1, 2), "the intent, then the result");
}

async fn a_step_that_was_begun_runs_again_with_the_next_attempt_and_the_same_key(world: &World) {
    let tally = Tally::default();
    let seen = tally.clone();
    let work = move |runner: Runner| {
        let seen = seen.clone();
        runner.handler("work", move |run: Run, (): ()| {
            let tally = seen.clone();
            async move {
                let attempts = run.effect("effect", |effect| {
                    tally.add(format!("{} {}", effect.attempt(), effect.key()));
                    async move {
                        if effect.attempt() == 0 {
                            std::future::pending::<()>().await;
                        }
                        Work::Ok(effect.attempt())
                    }
                });
                Work::Ok(attempts.await?)
            }
        })
    };
    world.die_in(&work, "r", &tally).await;
    let runner = work(world.runner());
    let handle = runner.resume(&id("r")).await.unwrap();
    assert_eq!(handle.output::<u32>().await.unwrap(), 1);
    let seen = tally.all();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].strip_prefix("0 ").unwrap(), seen[1].strip_prefix("1 ").unwrap(), "one key");
    let epochs: Vec<_> = world.log(&id("r")).await.iter().map(|logged| logged.epoch).collect();
    assert_eq!(epochs, [1, 2, 2], "who wrote what is in the log");
}

async fn a_failed_step_is_retried_with_attempt_numbers(world: &World) {
    let work = failing(2);
    let runner = world.runner().handler("work", move |run: Run, (): ()| {
        let work = work.clone();
        async move {
            let retry = Retry::times(5).base(Duration::from_millis(1));
            Work::Ok(run.step("shaky", || async { work() }).retry(retry).await?)
        }
    });
    let output: u32 = runner.run(id("r"), "work", &()).await.unwrap();
    assert_eq!(output, 2);
    let log = world.log(&id("r")).await;
    let attempts: Vec<_> = log.iter().map(|logged| (&*logged.kind, &logged.event["attempt"])).collect();
    let expected = [
        ("step-began", 0),
        ("step-failed", 0),
        ("step-began", 1),
        ("step-failed", 1),
        ("step-began", 2),
        ("step-done", 2),
    ];
    assert!(attempts.iter().zip(expected).all(|((kind, n), (k, m))| *kind == k && **n == m), "{attempts:?}");
    assert_eq!(log[1].event["message"], "call 0 failed");
}

async fn a_failure_is_replayed_as_it_was(world: &World) {
    let tally = Tally::default();
    let seen = tally.clone();
    let runner = world.runner().handler("work", move |run: Run, (): ()| {
        let tally = seen.clone();
        async move {
            let error: StepError = run
                .step("fails", || async {
                    tally.add("body");
                    Err::<(), BoxError>(anyhow::anyhow!("disk full").context("saving").into())
                })
                .await
                .unwrap_err();
            tally.add(format!("{:?} {} {}", error.cause(), error.attempts(), error));
            run.sleep(Duration::from_millis(200)).await;
            Work::Ok(())
        }
    });
    let handle = runner.start(id("r"), "work", &()).await.unwrap();
    handle.ended().await;
    world.until(&id("r"), Status::Interrupted).await;
    runner.resume(&id("r")).await.unwrap().output::<()>().await.unwrap();
    assert_eq!(tally.of("body"), 1);
    assert_eq!(tally.of("Error 1 step \"fails\" failed: saving: disk full"), 2, "{:?}", tally.all());
}

async fn a_timeout_is_replayed_as_a_timeout(world: &World) {
    let runner = world.runner().handler("work", |run: Run, (): ()| async move {
        let slow = run.step("slow", || async {
            std::future::pending::<()>().await;
            Work::Ok(())
        });
        let error = slow.timeout(Duration::from_millis(10)).await.unwrap_err();
        run.sleep(Duration::from_millis(200)).await;
        Work::Ok((error.cause() == FailureCause::TimedOut, error.message().to_owned()))
    });
    let handle = runner.start(id("r"), "work", &()).await.unwrap();
    handle.ended().await;
    world.until(&id("r"), Status::Interrupted).await;
    let output: (bool, String) = runner.resume(&id("r")).await.unwrap().output().await.unwrap();
    assert_eq!(output, (true, "it took longer than 10ms".into()));
}

/// A handler of three steps by these names, which waits after them.
fn stepping(world: &World, names: &'static [&'static str]) -> Runner {
    world.runner().handler("work", move |run: Run, (): ()| async move {
        for name in names {
            run.step(*name, || async { Work::Ok(()) }).await?;
        }
        run.signal::<()>("go").await?;
        Work::Ok(())
    })
}

async fn other_code_at_the_same_place_is_a_divergence_that_names_both(world: &World) {
    let old = stepping(world, &["a", "b", "c"]);
    old.start(id("r"), "work", &()).await.unwrap().ended().await;
    old.signal(&id("r"), "go", &()).await.unwrap();

    // Renamed, or in another order.
    for (names, says) in [
        (&["a", "x", "c"], "at 1 the handler asked for step \"x\", and its log has step \"b\" there"),
        (&["b", "a", "c"], "at 0 the handler asked for step \"b\", and its log has step \"a\" there"),
    ] {
        let new = stepping(world, names);
        let ended = if world.head(&id("r")).await.outcome.is_some() {
            new.reopen(&id("r")).await.unwrap().ended().await
        } else {
            new.resume(&id("r")).await.unwrap().ended().await
        };
        assert!(matches!(ended, Ended::Failed(_)), "{ended:?}");
        let (kind, message) = world.failure(&id("r")).await;
        assert_eq!(kind, FailureKind::Error);
        assert!(message.contains(says), "{message}");
    }

    // The old code goes on where it was, once it is asked to.
    let handle = old.reopen(&id("r")).await.unwrap();
    assert_eq!(handle.ended().await, Ended::Completed);
}

async fn a_step_left_out_is_a_divergence(world: &World) {
    let old = stepping(world, &["a", "b", "c"]);
    old.start(id("r"), "work", &()).await.unwrap().ended().await;
    old.signal(&id("r"), "go", &()).await.unwrap();
    let new = world.runner().handler("work", |run: Run, (): ()| async move {
        run.step("a", || async { Work::Ok(()) }).await?;
        Work::Ok(())
    });
    new.resume(&id("r")).await.unwrap().ended().await;
    let (_, message) = world.failure(&id("r")).await;
    assert!(message.contains("returned without asking for step \"b\", which its log has at 1"), "{message}");
}

async fn a_result_of_another_type_is_a_divergence(world: &World) {
    let old = stepping(world, &["a"]);
    old.start(id("r"), "work", &()).await.unwrap().ended().await;
    old.signal(&id("r"), "go", &()).await.unwrap();
    let new = world.runner().handler("work", |run: Run, (): ()| async move {
        Work::Ok(run.step("a", || async { Work::Ok(String::new()) }).await?)
    });
    new.resume(&id("r")).await.unwrap().ended().await;
    let (_, message) = world.failure(&id("r")).await;
    assert!(message.contains("does not fit its type any more"), "{message}");
}

async fn one_name_twice_is_two_steps(world: &World) {
    let runner = world.runner().handler("work", |run: Run, (): ()| async move {
        let first = run.effect("same", |effect| async move { Work::Ok(effect.key().to_owned()) }).await?;
        let second = run.effect("same", |effect| async move { Work::Ok(effect.key().to_owned()) }).await?;
        Work::Ok(first != second)
    });
    assert!(runner.run::<_, bool>(id("r"), "work", &()).await.unwrap());
}

/// A run whose process died in a step that must not be run twice.
async fn in_doubt(world: &World, tally: &Tally) -> Runner {
    let seen = tally.clone();
    let work = move |runner: Runner| {
        let seen = seen.clone();
        runner.handler("work", move |run: Run, (): ()| {
            let tally = seen.clone();
            async move {
                let charged = run.effect("charge", |effect| {
                    tally.add("charged");
                    async move {
                        if effect.attempt() == 0 {
                            std::future::pending::<()>().await;
                        }
                        Work::Ok(format!("receipt {}", effect.attempt()))
                    }
                });
                match charged.once().await {
                    Ok(receipt) => Work::Ok(receipt),
                    Err(error) if error.cause() == FailureCause::GivenUp => Ok(error.to_string()),
                    Err(error) => Err(error.into()),
                }
            }
        })
    };
    world.die_in(&work, "r", tally).await;
    let runner = work(world.runner());
    let ended = runner.resume(&id("r")).await.unwrap().ended().await;
    assert!(matches!(ended, Ended::Waiting(_)), "{ended:?}");
    let head = world.head(&id("r")).await;
    assert_eq!(head.status(), Status::Waiting);
    assert!(
        head.note.unwrap().text.contains("in doubt: step \"charge\" at 0"),
        "it can be seen in a listing"
    );
    assert_eq!(tally.of("charged"), 1, "it was not run again");
    runner
}

async fn answered(world: &World, answer: Answer) -> (String, usize) {
    let tally = Tally::default();
    let runner = in_doubt(world, &tally).await;
    let doubts = runner.in_doubt(&id("r")).await.unwrap();
    assert_eq!(doubts.len(), 1);
    assert_eq!((&*doubts[0].step, doubts[0].attempt, doubts[0].key.len()), ("charge", 0, 32));
    runner.answer(&id("r"), &doubts[0], &answer).await.unwrap();
    let again = runner.answer(&id("r"), &doubts[0], &Answer::give_up("too late")).await.unwrap();
    assert!(matches!(again, milepost_core::Sent::Conflicting { .. }), "the first answer wins");
    let output = runner.resume(&id("r")).await.unwrap().output::<String>().await.unwrap();
    assert!(runner.in_doubt(&id("r")).await.unwrap().is_empty());
    (output, tally.of("charged"))
}

async fn a_step_in_doubt_waits_and_is_retried_on_request(world: &World) {
    assert_eq!(answered(world, Answer::Retry).await, ("receipt 1".into(), 2));
}

async fn a_step_in_doubt_adopts_a_result(world: &World) {
    assert_eq!(answered(world, Answer::adopt("looked up").unwrap()).await, ("looked up".into(), 1));
}

async fn a_step_in_doubt_is_given_up(world: &World) {
    let (output, charged) = answered(world, Answer::give_up("the bank is gone")).await;
    assert_eq!((&*output, charged), ("step \"charge\" failed: the bank is gone", 1));
}

async fn a_result_without_a_form_in_json_is_a_failure_of_its_step(world: &World) {
    let runner = world.runner().handler("work", |run: Run, (): ()| async move {
        let error = run.step("nan", || async { Work::Ok(f64::NAN) }).await.unwrap_err();
        Work::Ok(error.to_string())
    });
    let error: String = runner.run(id("r"), "work", &()).await.unwrap();
    assert!(error.contains("NaN is no number of JSON"), "{error}");
}

async fn a_large_result_leaves_the_log_and_comes_back(world: &World) {
    let runner = world.runner().settings(brisk().inline(1000));
    let runner = runner.handler("work", |run: Run, (): ()| async move {
        let large = run.step("large", || async { Work::Ok("x".repeat(100_000)) }).await?;
        let small = run.step("small", || async { Work::Ok("y".repeat(10)) }).await?;
        run.sleep(Duration::from_millis(200)).await;
        Work::Ok(large.len() + small.len())
    });
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    let head = world.head(&id("r")).await;
    assert!(head.sizes.records < 2_000 && head.sizes.blobs > 100_000, "{:?}", head.sizes);
    world.until(&id("r"), Status::Interrupted).await;
    assert_eq!(runner.resume(&id("r")).await.unwrap().output::<usize>().await.unwrap(), 100_010);
}

async fn a_missing_blob_is_loud(world: &World) {
    use milepost_core::{Commit, Ids, Open, Store, SystemIds, Wake};
    let runner = world.runner().settings(brisk().inline(10));
    let runner = runner.handler("work", |run: Run, (): ()| async move {
        let large = run.step("large", || async { Work::Ok("x".repeat(100)) }).await?;
        run.signal::<()>("go").await?;
        Work::Ok(large)
    });
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    runner.signal(&id("r"), "go", &()).await.unwrap();
    // Somebody removes it behind the run's back.
    let opened = world.store.open(&id("r"), Open::resume(SystemIds.operation())).await.unwrap();
    let blobs: Vec<_> = world.store.blobs(&id("r")).try_collect().await.unwrap();
    let commit = Commit::new(id("r"), opened.fence, SystemIds.operation(), opened.head.version)
        .drop_blob(blobs[0].name)
        .release(Wake::now());
    world.store.commit(commit).await.unwrap();
    runner.resume(&id("r")).await.unwrap().ended().await;
    let (_, message) = world.failure(&id("r")).await;
    assert!(message.contains(&format!("names blob {}, which is not there", blobs[0].name)), "{message}");
}

async fn a_backoff_is_not_waited_for_in_the_process(world: &World) {
    let work = failing(1);
    let runner = world.runner().handler("work", move |run: Run, (): ()| {
        let work = work.clone();
        async move {
            let retry = Retry::times(1).base(Duration::from_millis(200)).exact();
            Work::Ok(run.step("shaky", || async { work() }).retry(retry).await?)
        }
    });
    let ended = runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    assert!(matches!(ended, Ended::Waiting(wake) if wake.at.is_some()), "{ended:?}");
    world.until(&id("r"), Status::Interrupted).await;
    assert_eq!(runner.resume(&id("r")).await.unwrap().output::<u32>().await.unwrap(), 1);
}
