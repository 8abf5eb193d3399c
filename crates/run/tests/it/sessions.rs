//! Sessions: what is said is durable before it is heard, whoever hears it and however often anybody dies.

use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use milepost_core::{Capabilities, Capability, Cursor, Durability};
use milepost_run::{Streamed, StreamedEvent};
use milepost_store_memory::MemoryStore;

use crate::support::{Run, World, *};

on_every_store! {
    an_event_is_durable_before_the_next_is_asked_for,
    a_subscriber_that_reconnects_has_no_gap_and_no_duplicate,
    a_session_that_begins_anew_says_so,
    a_failure_is_the_final_event_and_its_clean_up_hides_it_not,
    a_failed_session_is_tried_again_when_its_run_is_reopened,
    a_panic_is_a_final_event,
    nothing_is_stored_before_the_producer_is_ready,
    a_session_that_has_ended_is_answered_without_a_producer,
    a_session_of_another_name_is_a_divergence,
}

type Said = Work<String>;

/// A producer of these events.
fn says<const N: usize>(events: [&'static str; N]) -> impl futures_util::Stream<Item = Said> {
    stream::iter(events.map(|event| Ok(event.to_owned())))
}

/// Waits for ever, once this has been told.
async fn dies<T>(reached: &Tally) -> T {
    reached.add("here");
    std::future::pending().await
}

async fn all(runner: &Runner, run: &str, after: Cursor) -> Vec<StreamedEvent<String>> {
    runner.subscribe(&id(run), "s", after).try_collect().await.unwrap()
}

/// As a reader reads it.
fn shown(events: &[StreamedEvent<String>]) -> String {
    let shown = events.iter().map(|event| match &event.what {
        Streamed::Began { attempt, keeps } => format!("begin {attempt} {keeps}"),
        Streamed::Event(event) => event.clone(),
        Streamed::Ended(Ok(())) => "end".into(),
        Streamed::Ended(Err(reason)) => format!("failed: {reason}"),
        other => format!("{other:?}"),
    });
    shown.collect::<Vec<_>>().join(", ")
}

async fn an_event_is_durable_before_the_next_is_asked_for(world: &World) {
    let (heard, hears) = tokio::sync::mpsc::unbounded_channel::<String>();
    let hears = std::sync::Arc::new(tokio::sync::Mutex::new(hears));
    let runner = world.runner().handler("work", move |run: Run, (): ()| {
        let hears = hears.clone();
        async move {
            // The next event is only said when the one before has been heard, by somebody who reads the store.
            let said = stream::unfold(0, |n| {
                let hears = hears.clone();
                async move {
                    if n > 0 {
                        assert_eq!(hears.lock().await.recv().await.unwrap(), (n - 1).to_string());
                    }
                    (n < 5).then(|| (Work::Ok(n.to_string()), n + 1))
                }
            });
            let events: Vec<String> = run.session("s", |_| async { Work::Ok(said) }).await?;
            Work::Ok(events)
        }
    });
    let handle = runner.start(id("r"), "work", &()).await.unwrap();
    let mut events = runner.subscribe::<String>(&id("r"), "s", 0);
    let mut seen = Vec::new();
    while let Some(event) = events.try_next().await.unwrap() {
        if let Streamed::Event(said) = &event.what {
            heard.send(said.clone()).unwrap();
        }
        seen.push(event);
    }
    assert_eq!(shown(&seen), "begin 0 false, 0, 1, 2, 3, 4, end");
    assert_eq!(handle.output::<Vec<String>>().await.unwrap(), ["0", "1", "2", "3", "4"]);
}

async fn a_subscriber_that_reconnects_has_no_gap_and_no_duplicate(world: &World) {
    let reached = Tally::default();
    let told = reached.clone();
    // It goes on behind the event that it is told, saying that one again, and dies after every third event.
    let work = move |runner: Runner| {
        let reached = told.clone();
        runner.handler("work", move |run: Run, (): ()| {
            let reached = reached.clone();
            async move {
                let open = |after: Option<String>| async move {
                    let first: u32 = after.map_or(0, |id| id.parse().unwrap());
                    Work::Ok(stream::unfold(first, move |n| {
                        let reached = reached.clone();
                        async move {
                            if n == first + 4 && n < 9 {
                                dies::<()>(&reached).await;
                            }
                            tokio::task::yield_now().await;
                            (n < 10).then(|| (Work::Ok(n.to_string()), n + 1))
                        }
                    }))
                };
                Work::Ok(run.session("s", open).ids(String::clone).await?)
            }
        })
    };
    for _ in 0..2 {
        world.die_in(&work, "r", &reached).await;
    }
    let runner = work(world.runner());
    let output: Vec<String> = runner.resume(&id("r")).await.unwrap().output().await.unwrap();
    let said: Vec<String> = (0..10).map(|n: u32| n.to_string()).collect();
    assert_eq!(output, said, "the boundary's duplicates are dropped");
    let whole = all(&runner, "r", 0).await;
    // What was under way when it died is said by its successor.
    let shown = shown(&whole);
    let (begins, events): (Vec<_>, Vec<_>) = shown.split(", ").partition(|event| event.starts_with("begin"));
    assert_eq!(begins, ["begin 0 true", "begin 1 true", "begin 2 true"], "{shown}");
    assert_eq!(events, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "end"], "{shown}");
    for (index, event) in whole.iter().enumerate() {
        assert_eq!(all(&runner, "r", event.cursor).await, whole[index + 1..], "behind {}", event.cursor);
    }
    // A reader that loses its stream after each event.
    let (mut after, mut read) = (0, Vec::new());
    while let Some(event) = runner.subscribe::<String>(&id("r"), "s", after).next().await {
        let event = event.unwrap();
        after = event.cursor;
        read.push(event);
    }
    assert_eq!(read, whole);
}

async fn a_session_that_begins_anew_says_so(world: &World) {
    let reached = Tally::default();
    let told = reached.clone();
    let first = std::sync::Arc::new(AtomicBool::new(true));
    let work = move |runner: Runner| {
        let (reached, first) = (told.clone(), first.clone());
        runner.handler("work", move |run: Run, (): ()| {
            let (reached, first) = (reached.clone(), first.clone());
            async move {
                let open = |after: Option<String>| async move {
                    assert_eq!(after, None);
                    Work::Ok(if first.swap(false, SeqCst) {
                        says(["a", "b"]).chain(stream::once(async move { dies(&reached).await })).boxed()
                    } else {
                        says(["x", "y", "z"]).boxed()
                    })
                };
                Work::Ok(run.session("s", open).await?)
            }
        })
    };
    world.die_in(&work, "r", &reached).await;
    let runner = work(world.runner());
    let output: Vec<String> = runner.resume(&id("r")).await.unwrap().output().await.unwrap();
    assert_eq!(output, ["x", "y", "z"]);
    assert_eq!(shown(&all(&runner, "r", 0).await), "begin 0 false, a, b, begin 1 false, x, y, z, end");
}

async fn a_failure_is_the_final_event_and_its_clean_up_hides_it_not(world: &World) {
    for (name, cleans_up, expected) in [
        ("clean", true, "the model hung up: broken pipe"),
        ("unclean", false, "the model hung up: broken pipe; its clean-up failed: no such process"),
    ] {
        let runner = world.runner().handler("work", move |run: Run, (): ()| async move {
            let open = |_| async {
                let error = anyhow::anyhow!("broken pipe").context("the model hung up");
                Work::Ok(says(["a"]).chain(stream::iter([Err(error.into()), Ok("never".into())])))
            };
            let close = || async move { if cleans_up { Ok(()) } else { Err("no such process") } };
            let session = run.session("s", open).close(close).await;
            let error = session.unwrap_err();
            Work::Ok(format!("{}: {}", error.session(), error.message()))
        });
        let output: String = runner.run(id(name), "work", &()).await.unwrap();
        assert_eq!(output, format!("s: {expected}"));
        let events = all(&runner, name, 0).await;
        assert_eq!(shown(&events), format!("begin 0 false, a, failed: {expected}"));
    }
    // One that went well is not spoilt by its clean-up.
    let runner = world.runner().handler("work", |run: Run, (): ()| async move {
        let session = run.session("s", |_| async { Work::Ok(says(["a"])) });
        Work::Ok(session.close(|| async { Err("no such process") }).await?)
    });
    assert_eq!(runner.run::<_, Vec<String>>(id("well"), "work", &()).await.unwrap(), ["a"]);
    assert_eq!(shown(&all(&runner, "well", 0).await), "begin 0 false, a, end");
}

async fn a_failed_session_is_tried_again_when_its_run_is_reopened(world: &World) {
    let work = failing(1);
    let runner = world.runner().handler("work", move |run: Run, (): ()| {
        let work = work.clone();
        async move {
            let open = |_| async move { work().map(|_| says(["a"])) };
            Work::Ok(run.session("s", open).await?)
        }
    });
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    assert_eq!(world.failure(&id("r")).await.1, "session \"s\" failed: call 0 failed");
    assert_eq!(shown(&all(&runner, "r", 0).await), "failed: call 0 failed", "nothing but the end");
    let output: Vec<String> = runner.reopen(&id("r")).await.unwrap().output().await.unwrap();
    assert_eq!(output, ["a"]);
}

async fn a_panic_is_a_final_event(world: &World) {
    let runner = world.runner().handler("work", |run: Run, (): ()| async move {
        let open = |_| async { Work::Ok(says(["a"]).chain(stream::once(async { panic!("out of tokens") }))) };
        Work::Ok(run.session("s", open).await?)
    });
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    assert_eq!(world.failure(&id("r")).await, (FailureKind::Panicked, "out of tokens".into()));
    let last = all(&runner, "r", 0).await.pop().unwrap();
    assert_eq!(shown(&[last]), "failed: its producer panicked: out of tokens");
}

async fn nothing_is_stored_before_the_producer_is_ready(world: &World) {
    let reached = Tally::default();
    let told = reached.clone();
    let first = std::sync::Arc::new(AtomicBool::new(true));
    let work = move |runner: Runner| {
        let (reached, first) = (told.clone(), first.clone());
        runner.handler("work", move |run: Run, (): ()| {
            let (reached, first) = (reached.clone(), first.clone());
            async move {
                let open = |_| async move {
                    if first.swap(false, SeqCst) {
                        dies::<()>(&reached).await;
                    }
                    Work::Ok(says(["a"]))
                };
                Work::Ok(run.session("s", open).await?)
            }
        })
    };
    world.die_in(&work, "r", &reached).await;
    assert_eq!(world.kinds(&id("r")).await, "");
    let runner = work(world.runner());
    runner.resume(&id("r")).await.unwrap().ended().await;
    assert_eq!(shown(&all(&runner, "r", 0).await), "begin 0 false, a, end");
}

async fn a_session_that_has_ended_is_answered_without_a_producer(world: &World) {
    let (reached, opened) = (Tally::default(), Tally::default());
    let (told, counted) = (reached.clone(), opened.clone());
    let work = move |runner: Runner| {
        let (reached, opened) = (told.clone(), counted.clone());
        runner.handler("work", move |run: Run, (): ()| {
            let (reached, opened) = (reached.clone(), opened.clone());
            async move {
                let well = run.session("s", |_| {
                    opened.add("well");
                    async { Work::Ok(says(["a", "b"])) }
                });
                let well: Vec<String> = well.await?;
                let badly = run.session::<String, _, _, _, _>("s", |_| {
                    opened.add("badly");
                    async { Work::Ok(stream::iter([Err("no")])) }
                });
                let badly = badly.await.unwrap_err().to_string();
                let step = run.effect("deadly", |effect| {
                    let reached = reached.clone();
                    async move { if effect.attempt() == 0 { dies(&reached).await } else { Work::Ok(()) } }
                });
                step.await?;
                Work::Ok((well, badly))
            }
        })
    };
    world.die_in(&work, "r", &reached).await;
    let runner = work(world.runner());
    let output: (Vec<String>, String) = runner.resume(&id("r")).await.unwrap().output().await.unwrap();
    assert_eq!(output, (vec!["a".into(), "b".into()], "session \"s\" failed: no".into()));
    assert_eq!(opened.all(), ["well", "badly"]);
    assert_eq!(shown(&all(&runner, "r", 0).await), "begin 0 false, a, b, end, begin 0 false, failed: no");
}

async fn a_session_of_another_name_is_a_divergence(world: &World) {
    let reached = Tally::default();
    let named = |name: &'static str| {
        let reached = reached.clone();
        move |runner: Runner| {
            let reached = reached.clone();
            runner.handler("work", move |run: Run, (): ()| {
                let reached = reached.clone();
                async move {
                    let open = |_| async {
                        Work::Ok(says(["a"]).chain(stream::once(async move { dies(&reached).await })))
                    };
                    Work::Ok(run.session::<String, _, _, _, _>(name, open).await?)
                }
            })
        }
    };
    world.die_in(&named("old"), "r", &reached).await;
    named("new")(world.runner()).resume(&id("r")).await.unwrap().ended().await;
    let (_, message) = world.failure(&id("r")).await;
    assert!(message.contains("asked for session \"new\", and its log has session \"old\""), "{message}");
}

#[tokio::test]
async fn a_store_that_cannot_be_followed_is_asked_again() {
    let store = MemoryStore::builder()
        .capabilities(Capabilities::all(Durability::Process).without(Capability::Follow))
        .build();
    let runner = Runner::new(store).settings(brisk()).handler("work", |run: Run, (): ()| async move {
        let said = stream::unfold(0, |n| async move {
            tokio::time::sleep(Duration::from_millis(30)).await;
            (n < 4).then(|| (Work::Ok(n.to_string()), n + 1))
        });
        let events: Vec<String> = run.session("s", |_| async { Work::Ok(said) }).await?;
        Work::Ok(events.len())
    });
    let handle = runner.start(id("r"), "work", &()).await.unwrap();
    assert_eq!(shown(&all(&runner, "r", 0).await), "begin 0 false, 0, 1, 2, 3, end");
    assert_eq!(handle.output::<usize>().await.unwrap(), 4);
}
