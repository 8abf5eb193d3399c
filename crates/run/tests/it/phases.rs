//! Phases that are finished once and for all, and loops that go on from their newest state.

use std::ops::ControlFlow::{Break, Continue};

use serde::{Deserialize, Serialize};

use crate::support::{Run, World, *};

on_every_store! {
    a_finished_phase_is_skipped_and_the_interrupted_one_restarts,
    two_phases_of_one_name_both_run,
    another_phase_at_the_same_place_is_a_divergence_that_names_both,
    what_a_phase_returns_is_what_its_log_has,
    a_failed_phase_is_the_handlers_to_deal_with,
    a_signal_that_came_in_a_finished_phase_is_known,
    a_loop_goes_on_from_its_saved_state_with_no_new_input,
    a_loop_that_dies_again_and_again_gets_on,
    a_loop_in_a_branch_of_a_loop,
    a_failure_of_an_earlier_round_stands,
}

/// A handler that counts what it does, and says when its process may die.
fn work<T, F, H>(seen: &Tally, dies: &Tally, handler: H) -> impl Fn(Runner) -> Runner + use<T, F, H>
where
    H: Fn(Run, Tally, Tally) -> F + Clone + Send + Sync + 'static,
    T: Serialize + 'static,
    F: Future<Output = Work<T>> + Send + 'static,
{
    let (seen, dies) = (seen.clone(), dies.clone());
    move |runner| {
        let (seen, dies, handler) = (seen.clone(), dies.clone(), handler.clone());
        runner.handler("work", move |run, (): ()| handler(run, seen.clone(), dies.clone()))
    }
}

/// A step that counts its attempts.
async fn step(run: &Run, seen: &Tally, name: &str) -> Work<String> {
    let done = run.step(name, || async {
        seen.add(name);
        Work::Ok(name.to_uppercase())
    });
    Ok(done.await?)
}

/// A step in which the process dies the first time.
async fn deadly(run: &Run, dies: &Tally) -> Work<()> {
    let step = run.effect("deadly", |effect| async move {
        if effect.attempt() == 0 {
            dies.add("here");
            std::future::pending::<()>().await;
        }
        Work::Ok(())
    });
    Ok(step.await?)
}

async fn a_finished_phase_is_skipped_and_the_interrupted_one_restarts(world: &World) {
    let (seen, dies) = (Tally::default(), Tally::default());
    let work = work(&seen, &dies, |run, seen, dies| async move {
        let first = run.phase("first", |run| {
            seen.add("first is called");
            let seen = seen.clone();
            async move { Work::Ok([step(&run, &seen, "a").await?, step(&run, &seen, "b").await?]) }
        });
        let first: [String; 2] = first.await?;
        let second = run.phase("second", |run| {
            seen.add("second is called");
            let seen = seen.clone();
            async move {
                let c = step(&run, &seen, "c").await?;
                deadly(&run, &dies).await?;
                Work::Ok(c)
            }
        });
        let second: String = second.await?;
        Work::Ok([first.concat(), second, step(&run, &seen, "d").await?])
    });
    world.die_in(&work, "r", &dies).await;
    let resumed = work(world.runner());
    let happened = Tally::default();
    let told = happened.clone();
    let resumed = resumed.observe(move |_, what| told.add(format!("{what:?}")));
    let output: [String; 3] = resumed.resume(&id("r")).await.unwrap().output().await.unwrap();
    assert_eq!(output, ["AB", "C", "D"]);
    assert_eq!((seen.of("first is called"), seen.of("second is called")), (1, 2), "{:?}", seen.all());
    assert_eq!(["a", "b", "c", "d"].map(|step| seen.of(step)), [1; 4], "no finished step ran again");
    assert_eq!(happened.of(r#"PhaseSkipped { phase: "first" }"#), 1, "{:?}", happened.all());
    assert_eq!(happened.of(r#"StepReplayed { step: "a" }"#), 0, "what is inside of it is not asked for");
    assert_eq!(happened.of(r#"StepReplayed { step: "c" }"#), 1, "the other one restarts");
}

async fn two_phases_of_one_name_both_run(world: &World) {
    let (seen, dies) = (Tally::default(), Tally::default());
    let work = work(&seen, &dies, |run, seen, dies| async move {
        let mut results = Vec::new();
        for n in 0..3 {
            let (seen, dies) = (seen.clone(), dies.clone());
            let same = run.phase("same", |run| async move {
                seen.add(format!("call {n}"));
                if n == 1 && run.id().as_str() == "r" {
                    deadly(&run, &dies).await?;
                }
                Work::Ok(n)
            });
            results.push(same.await?);
        }
        Work::Ok(results)
    });
    world.die_in(&work, "r", &dies).await;
    let output: Vec<u32> = work(world.runner()).resume(&id("r")).await.unwrap().output().await.unwrap();
    assert_eq!(output, [0, 1, 2], "a result is not another phase's for its name");
    assert_eq!(["call 0", "call 1", "call 2"].map(|call| seen.of(call)), [1, 2, 1]);
    let fresh: Vec<u32> = work(world.runner()).run(id("fresh"), "work", &()).await.unwrap();
    assert_eq!(fresh, [0, 1, 2]);
    assert_eq!(["call 0", "call 2"].map(|call| seen.of(call)), [2, 2], "a fresh run runs all of them");
}

async fn another_phase_at_the_same_place_is_a_divergence_that_names_both(world: &World) {
    let dies = Tally::default();
    let named = |name: &'static str| {
        work(&Tally::default(), &dies, move |run, _, dies| async move {
            run.phase(name, |run| async move { deadly(&run, &dies).await }).await
        })
    };
    world.die_in(&named("old"), "r", &dies).await;
    named("new")(world.runner()).resume(&id("r")).await.unwrap().ended().await;
    let (_, message) = world.failure(&id("r")).await;
    assert!(message.contains("asked for phase \"new\", and its log has phase \"old\""), "{message}");
    let step = |runner: Runner| {
        runner.handler("work", |run: Run, (): ()| async move { step(&run, &Tally::default(), "x").await })
    };
    step(world.runner()).reopen(&id("r")).await.unwrap().ended().await;
    let (_, message) = world.failure(&id("r")).await;
    assert!(message.contains("asked for step \"x\", and its log has phase \"old\""), "{message}");
}

async fn what_a_phase_returns_is_what_its_log_has(world: &World) {
    #[derive(Serialize, Deserialize)]
    struct Forgetful(u32, #[serde(skip)] u32);
    let runner = world.runner().handler("work", |run: Run, number: Option<f64>| async move {
        let Forgetful(kept, lost) = run.phase("p", |_| async { Work::Ok(Forgetful(1, 2)) }).await?;
        let number = number.map_or(f64::NAN, |number| number);
        Work::Ok((kept, lost, run.phase("number", |_| async move { Work::Ok(number) }).await?))
    });
    let output: (u32, u32, f64) = runner.run(id("r"), "work", &Some(0.5)).await.unwrap();
    assert_eq!(output, (1, 0, 0.5), "the same now as after a crash");
    runner.start(id("nan"), "work", &None::<f64>).await.unwrap().ended().await;
    let (_, message) = world.failure(&id("nan")).await;
    assert!(message.contains("what phase \"number\" returned cannot be recorded"), "{message}");
}

async fn a_failed_phase_is_the_handlers_to_deal_with(world: &World) {
    let (seen, dies) = (Tally::default(), Tally::default());
    let shaky = failing(2);
    let work = work(&seen, &dies, move |run, seen, _| {
        let shaky = shaky.clone();
        async move {
            let handled = run.phase("handled", |run| async move {
                run.step("always", || async { Err::<(), _>("fails") }).await?;
                Work::Ok(())
            });
            let handled = handled.await.is_err();
            run.phase("fails", |run| async move {
                step(&run, &seen, "a").await?;
                Work::Ok((handled, run.step("shaky", || async { shaky() }).await?))
            })
            .await
        }
    });
    let runner = work(world.runner());
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    assert_eq!(world.failure(&id("r")).await.1, "step \"shaky\" failed: call 0 failed");
    runner.reopen(&id("r")).await.unwrap().ended().await;
    let output: (bool, u32) = runner.reopen(&id("r")).await.unwrap().output().await.unwrap();
    assert_eq!(output, (true, 2), "the failure that was handled stands, the last one was tried again");
    assert_eq!(seen.of("a"), 1);
}

async fn a_signal_that_came_in_a_finished_phase_is_known(world: &World) {
    let dies = Tally::default();
    let work = work(&Tally::default(), &dies, |run, _, dies| async move {
        let first: u32 =
            run.phase("wait", |run| async move { Ok::<_, BoxError>(run.signal("go").await?) }).await?;
        deadly(&run, &dies).await?;
        Work::Ok((first, run.signal::<u32>("go").await?))
    });
    let runner = work(world.runner());
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    runner.signal(&id("r"), "go", &7).await.unwrap();
    world.die_in(&work, "r", &dies).await;
    let output: (u32, u32) = runner.resume(&id("r")).await.unwrap().output().await.unwrap();
    assert_eq!(output, (7, 7));
}

/// A loop over `rounds` rounds, each with a step whose result weighs 3 KB, that dies once in round `last`.
fn heavy(seen: &Tally, dies: &Tally, last: u64, rounds: u64) -> impl Fn(Runner) -> Runner + use<> {
    work(seen, dies, move |run, seen, dies| async move {
        let texts = run.repeat("rounds", (0, 0), |run, (n, bytes)| {
            let (seen, dies) = (seen.clone(), dies.clone());
            async move {
                seen.add(format!("round {n}"));
                let page = run.step("page", || async {
                    seen.add(format!("step {n}"));
                    Work::Ok(format!("{n:>3000}"))
                });
                let page: String = page.await?;
                if n == last {
                    deadly(&run, &dies).await?;
                }
                let next = (n + 1, bytes + page.len() as u64);
                Work::Ok(if next.0 == rounds { Break(next) } else { Continue(next) })
            }
        });
        texts.await
    })
}

async fn a_loop_goes_on_from_its_saved_state_with_no_new_input(world: &World) {
    let (seen, dies) = (Tally::default(), Tally::default());
    let work = heavy(&seen, &dies, 40, 50);
    world.die_in(&work, "r", &dies).await;
    let saves = world.kinds(&id("r")).await.matches("phase-saved").count();
    assert!((3..=10).contains(&saves), "{saves} saves of 120 KB in steps of at least 16 KiB");
    let output: (u64, u64) = work(world.runner()).resume(&id("r")).await.unwrap().output().await.unwrap();
    assert_eq!(output, (50, 150_000));
    let again = (0..50).filter(|n| seen.of(&format!("round {n}")) == 2).collect::<Vec<_>>();
    assert!(
        again.len() <= 7 && again.last() == Some(&40),
        "only the rounds since the newest save: {again:?}"
    );
    assert!((0..50).all(|n| seen.of(&format!("step {n}")) == 1), "no finished step ran again");
}

async fn a_loop_that_dies_again_and_again_gets_on(world: &World) {
    let (seen, dies) = (Tally::default(), Tally::default());
    let work = work(&seen, &dies, |run, seen, dies| async move {
        let sum = run.repeat("rounds", 0, |run, n: u32| {
            let (seen, dies) = (seen.clone(), dies.clone());
            async move {
                seen.add(format!("round {n}"));
                run.step("page", || async { Work::Ok("x".repeat(3000)) }).await?;
                deadly(&run, &dies).await?;
                Work::Ok(if n == 19 { Break(n) } else { Continue(n + 1) })
            }
        });
        sum.await
    });
    for _ in 0..20 {
        world.die_in(&work, "r", &dies).await;
    }
    let output: u32 = work(world.runner()).resume(&id("r")).await.unwrap().output().await.unwrap();
    assert_eq!(output, 19);
    let calls = (0..20).map(|n| seen.of(&format!("round {n}"))).max();
    assert!(calls <= Some(8), "a round is left behind though each process dies in the next: {calls:?}");
}

async fn a_loop_in_a_branch_of_a_loop(world: &World) {
    let (seen, dies) = (Tally::default(), Tally::default());
    let work = work(&seen, &dies, |run, seen, dies| async move {
        let outer = run.repeat("outer", 0u32, |run, n| {
            let (seen, dies) = (seen.clone(), dies.clone());
            async move {
                let inner = run.map(0..3u32, 3, u32::to_string, |run, part| {
                    let (seen, dies) = (seen.clone(), dies.clone());
                    async move {
                        run.repeat("inner", 0u32, |run, m| {
                            let (seen, dies) = (seen.clone(), dies.clone());
                            async move {
                                let (name, text) = (format!("{n} {part} {m}"), "x".repeat(9000));
                                run.step("page", || async {
                                    seen.add(&*name);
                                    Work::Ok(text.as_str().to_owned())
                                })
                                .await?;
                                if (n, part, m) == (1, 1, 3) {
                                    deadly(&run, &dies).await?;
                                }
                                Work::Ok(if m == 4 { Break(m) } else { Continue(m + 1) })
                            }
                        })
                        .await
                    }
                });
                inner.await?;
                Work::Ok(if n == 2 { Break(n) } else { Continue(n + 1) })
            }
        });
        outer.await
    });
    world.die_in(&work, "r", &dies).await;
    assert_eq!(work(world.runner()).resume(&id("r")).await.unwrap().output::<u32>().await.unwrap(), 2);
    let steps = seen.all();
    let distinct: std::collections::HashSet<_> = steps.iter().collect();
    assert_eq!(distinct.len(), 3 * 3 * 5);
    // Steps that were under way when the process died may have run again; finished ones have not.
    assert!(steps.len() <= distinct.len() + 3, "{steps:?}");
}

async fn a_failure_of_an_earlier_round_stands(world: &World) {
    let attempts = Tally::default();
    let work = work(&attempts, &Tally::default(), |run, seen, _| async move {
        let failures = run.repeat("rounds", 0u32, |run, n| {
            let seen = seen.clone();
            async move {
                let step = run.step("fails", || async {
                    seen.add(format!("round {n}"));
                    Err::<(), _>("no")
                });
                let failed = step.await;
                // What happens in the last round is not dealt with.
                if n == 2 {
                    failed?;
                }
                Work::Ok(if n == 3 { Break(n) } else { Continue(n + 1) })
            }
        });
        failures.await
    });
    let runner = work(world.runner());
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    runner.reopen(&id("r")).await.unwrap().ended().await;
    assert_eq!(["round 0", "round 1", "round 2"].map(|round| attempts.of(round)), [1, 1, 2]);
}
