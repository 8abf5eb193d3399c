//! Work side by side: stable keys whatever the order, and records that share commits.

use std::time::Duration;

use crate::support::{Run, World, *};

on_every_store! {
    branches_keep_their_results_in_another_order,
    steps_in_flight_share_commits,
    a_branch_turned_into_a_step_is_a_divergence,
    a_branch_that_waits_keeps_no_other_from_going_on,
}

async fn branches_keep_their_results_in_another_order(world: &World) {
    let tally = Tally::default();
    let seen = tally.clone();
    let runner = world.runner().handler("work", move |run: Run, (): ()| {
        let tally = seen.clone();
        async move {
            // The second life sees the list the other way round.
            let mut items: Vec<u32> = (0..8).collect();
            if run.step("first", || async { Work::Ok(()) }).await.is_ok() && tally.of("pass") > 0 {
                items.reverse();
            }
            tally.add("pass");
            let mut sums = run
                .map(items, 3, u32::to_string, |run, item| {
                    let tally = tally.clone();
                    async move {
                        let a = run.step("a", || async { Work::Ok(item * 10) }).await?;
                        let b = run
                            .step("b", || async {
                                tally.add("b");
                                Work::Ok(a + 1)
                            })
                            .await?;
                        Work::Ok(b)
                    }
                })
                .await?;
            sums.sort_unstable();
            run.signal::<()>("go").await?;
            Work::Ok(sums)
        }
    });
    runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    runner.signal(&id("r"), "go", &()).await.unwrap();
    let sums: Vec<u32> = runner.resume(&id("r")).await.unwrap().output().await.unwrap();
    assert_eq!(sums, [1, 11, 21, 31, 41, 51, 61, 71]);
    assert_eq!((tally.of("pass"), tally.of("b")), (2, 8), "no step ran again");
}

async fn steps_in_flight_share_commits(world: &World) {
    let runner = world.runner().handler("work", |run: Run, (): ()| async move {
        let items: Vec<u32> = (0..32).collect();
        run.map(items, 32, u32::to_string, |run, _| async move {
            run.step("s", || async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                Work::Ok(())
            })
            .await
        })
        .await?;
        Work::Ok(())
    });
    // A store whose every write takes a moment.
    world.faults.arm(milepost_layers::FaultPlan::seeded(1).delays(1.0, Duration::from_millis(4)));
    runner.run::<_, ()>(id("r"), "work", &()).await.unwrap();
    let head = world.head(&id("r")).await;
    assert_eq!(head.cursor, 64);
    assert!(head.version < 40, "64 records in {} commits", head.version);
}

async fn a_branch_turned_into_a_step_is_a_divergence(world: &World) {
    let old = world.runner().handler("work", |run: Run, (): ()| async move {
        let left = run.branch("left");
        left.step("a", || async { Work::Ok(()) }).await?;
        run.signal::<()>("go").await?;
        Work::Ok(())
    });
    old.start(id("r"), "work", &()).await.unwrap().ended().await;
    old.signal(&id("r"), "go", &()).await.unwrap();
    let new = world.runner().handler("work", |run: Run, (): ()| async move {
        run.step("a", || async { Work::Ok(()) }).await?;
        Work::Ok(())
    });
    new.resume(&id("r")).await.unwrap().ended().await;
    let (_, message) = world.failure(&id("r")).await;
    assert!(message.contains("asked for step \"a\", and its log has branch \"left\" there"), "{message}");
}

async fn a_branch_that_waits_keeps_no_other_from_going_on(world: &World) {
    let runner = world.runner().handler("work", |run: Run, (): ()| async move {
        let waits = async {
            let run = run.branch("waits");
            Work::Ok(run.signal::<u32>("go").await?)
        };
        let works = async {
            let run = run.branch("works");
            let mut sum = 0;
            for n in 0..10u32 {
                sum += run
                    .step("n", || async {
                        tokio::time::sleep(Duration::from_millis(2)).await;
                        Work::Ok(n)
                    })
                    .await?;
            }
            Work::Ok(sum)
        };
        let (signal, sum) = tokio::try_join!(waits, works)?;
        Work::Ok(signal + sum)
    });
    let ended = runner.start(id("r"), "work", &()).await.unwrap().ended().await;
    assert!(matches!(ended, Ended::Waiting(_)), "{ended:?}");
    let done = world.log(&id("r")).await.iter().filter(|logged| logged.kind == "step-done").count();
    assert_eq!(done, 10, "it was let go of when nothing but the wait was left");
    runner.signal(&id("r"), "go", &100).await.unwrap();
    assert_eq!(runner.resume(&id("r")).await.unwrap().output::<u32>().await.unwrap(), 145);
}
