//! Staying at the end of a log.

use tokio::task::JoinSet;

use super::{are_whole, cursors};
use crate::areas::{moves::completed, prelude::*};

cases! { streams:
    /// A following stream sees later records in order, without gap or duplicate, through every handle.
    a_follower_sees_later_records [Log, Follow],
    /// A following stream sees the commits of batches like any other, and ends with the run that a batch finishes.
    a_follower_sees_the_commits_of_batches [Log, Follow],
    /// Followers on two handles of a run that commits as fast as it can see every record once and in order.
    followers_of_a_busy_run_miss_nothing [Log, Follow],
    /// A following stream starts where it is told, also past the end, and gives nothing before.
    a_follower_starts_where_it_is_told [Log, TailStream, Follow],
    /// A following stream gives nothing while nothing is committed: opens, renewals and messages are no records.
    a_follower_waits_for_records_only [Log, Follow],
    /// A following stream survives release and takeover.
    a_follower_survives_release_and_takeover [Log, Follow],
    /// A following stream ends after the last record of a finished run, however it finished.
    a_follower_ends_when_the_run_finishes [Log, Follow],
    /// Following a run that has finished gives its records and ends.
    following_a_finished_run_ends [Log, Follow],
    /// A following stream ends at its limit and at its last position.
    a_follower_ends_at_its_bounds [Log, Follow],
    /// A following stream is `NotFound` once its run was deleted.
    a_follower_of_a_deleted_run_gets_not_found [Log, Follow],
    /// A following stream is `NotFound`, not the other run, when its run was deleted and its name lives again.
    a_follower_of_a_recreated_run_gets_not_found [Log, Follow],
    /// A following stream of another life of the run is `NotFound` at once.
    following_another_life_is_not_found [Log, Follow],
    /// A following stream that falls behind a trim is `Trimmed`, never less data.
    a_follower_behind_a_trim_is_trimmed [Log, TailStream, Snapshots, Follow],
    /// A stream that follows goes forward: in reverse it is `Invalid`.
    following_in_reverse_is_invalid [Log, Follow],
}

async fn a_follower_sees_later_records(ctx: &Context) -> Verdict {
    let run = ctx.run("followed");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 2).await?;
    let third = ctx.reopen().await?;
    let mut followers = [&ctx.a, &ctx.b, &third].map(|store| store.stream(&run, Span::all().follow()));
    for follower in &mut followers {
        for cursor in 1..=2 {
            expect_eq("what is there", next(follower).await?.map(|record| record.cursor), Some(cursor))?;
        }
    }
    for cursor in 3..=20 {
        let [one, two, three] = &mut followers;
        let (one, two, three, committed) =
            futures_util::join!(next(one), next(two), next(three), ctx.commit_records(&mut driver, 1));
        committed?;
        for record in [one?, two?, three?] {
            expect_eq("what came", record.as_ref().map(|record| record.cursor), Some(cursor))?;
            expect("it is whole", are_whole(record.as_slice()), ())?;
        }
    }
    Ok(())
}

async fn a_follower_sees_the_commits_of_batches(ctx: &Context) -> Verdict {
    let mut drivers = [ctx.create(&ctx.run("one")).await?, ctx.create(&ctx.run("another")).await?];
    let [mut one, mut another] = {
        let stream = |store: &std::sync::Arc<dyn Store>, driver: &Driver| {
            store.stream(&driver.run, Span::all().follow())
        };
        [stream(&ctx.a, &drivers[0]), stream(&ctx.b, &drivers[1])]
    };
    for cursor in 1..=4 {
        let batch = |driver: &Driver| ctx.next(driver).record(record(cursor));
        let commits = drivers.iter().map(batch).collect();
        let (first, second, answers) =
            futures_util::join!(next(&mut one), next(&mut another), ctx.a.commit_many(commits));
        for (driver, answer) in drivers.iter_mut().zip(answers) {
            driver.version = answer?.version;
        }
        for came in [first?, second?] {
            expect_eq("what came", came.map(|record| record.cursor), Some(cursor))?;
        }
    }
    let last = |driver: &Driver| ctx.next(driver).finish(completed(), Retain::Keep);
    let commits = drivers.iter().map(last).collect();
    let (first, second, answers) =
        futures_util::join!(next(&mut one), next(&mut another), ctx.a.commit_many(commits));
    for answer in answers {
        answer?;
    }
    expect_eq("what comes after the end", (first?, second?), (None, None))
}

async fn followers_of_a_busy_run_miss_nothing(ctx: &Context) -> Verdict {
    let run = ctx.run("followed");
    let mut driver = ctx.create(&run).await?;
    let mut followers = JoinSet::new();
    for (store, page) in [(&ctx.a, 1), (&ctx.b, 1), (&ctx.b, 3), (&ctx.a, 1_000)] {
        followers.spawn(collect(store.stream(&run, Span::all().follow().page(page))));
    }
    for count in (0..60).map(|round| round % 4 + 1) {
        ctx.commit_records(&mut driver, count).await?;
    }
    ctx.complete(&mut driver).await?;
    for records in followers.join_all().await {
        let records = records?;
        expect_eq("the cursors followed", cursors(&records), (1..=driver.cursor).collect::<Vec<_>>())?;
        expect("each record is as it was written", are_whole(&records), ())?;
    }
    Ok(())
}

async fn a_follower_starts_where_it_is_told(ctx: &Context) -> Verdict {
    let run = ctx.run("followed");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 3).await?;
    for (after, wanted) in [(1, 2), (3, 4), (5, 6)] {
        let mut follower = ctx.b.stream(&run, Span::after(after).follow());
        let (came, committed) = futures_util::join!(next(&mut follower), async {
            for _ in driver.cursor..7 {
                ctx.commit_records(&mut driver, 1).await?;
            }
            Ok::<_, crate::Failure>(())
        });
        committed?;
        expect_eq(&format!("the first after {after}"), came?.map(|record| record.cursor), Some(wanted))?;
    }
    let mut beyond = ctx.b.stream(&run, Span::after(9).follow());
    let (came, committed) = futures_util::join!(next(&mut beyond), async {
        ctx.commit_records(&mut driver, 2).await?;
        ctx.commit_records(&mut driver, 3).await
    });
    committed?;
    expect_eq("the first past the end", came?.map(|record| record.cursor), Some(10))
}

/// Whether `follower` has nothing to give for as long as the store may be late.
async fn is_silent(ctx: &Context, follower: &mut BoxStream<'static, Result<Record>>) -> bool {
    tokio::time::timeout(ctx.tuning().slack, next(follower)).await.is_err()
}

async fn a_follower_waits_for_records_only(ctx: &Context) -> Verdict {
    let run = ctx.run("followed");
    let mut driver = ctx.create(&run).await?;
    let mut follower = ctx.b.stream(&run, Span::all().follow());
    expect("it waits", is_silent(ctx, &mut follower).await, ())?;
    ctx.commit(&mut driver, |commit| commit.advances()).await?;
    ctx.a.renew(&run, Renew::new(driver.fence, ctx.long())).await?;
    if ctx.capabilities.supports_inbox() {
        ctx.a.send(&run, ctx.message("key", "content")).await?;
    }
    let mut driver = Driver::of(&ctx.a.open(&run, ctx.resuming().over(driver.fence)).await?);
    expect("it still waits", is_silent(ctx, &mut follower).await, ())?;
    ctx.commit_records(&mut driver, 1).await?;
    expect_eq("what came", next(&mut follower).await?.map(|record| record.cursor), Some(1))
}

async fn a_follower_survives_release_and_takeover(ctx: &Context) -> Verdict {
    let run = ctx.run("followed");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 1).await?;
    let mut followers = [&ctx.a, &ctx.b].map(|store| store.stream(&run, Span::all().follow()));
    for (cursor, taken) in (1..).zip([false, true, false, true]) {
        for follower in &mut followers {
            expect_eq("what is there", next(follower).await?.map(|record| record.cursor), Some(cursor))?;
            expect("then it waits", is_silent(ctx, follower).await, ())?;
        }
        let open = if taken {
            ctx.resuming().over(driver.fence)
        } else {
            ctx.commit(&mut driver, |commit| commit.release(Wake::now())).await?;
            ctx.resuming()
        };
        for follower in &mut followers {
            expect("it waits while nobody drives", is_silent(ctx, follower).await, ())?;
        }
        driver = Driver::of(&ctx.b.open(&run, open).await?);
        ctx.commit_records(&mut driver, 1).await?;
    }
    Ok(())
}

async fn a_follower_ends_when_the_run_finishes(ctx: &Context) -> Verdict {
    let completed = Outcome::Completed { output: "done".into() };
    let failed = Outcome::Failed { failure: Failure::new(FailureKind::Error, "it did not work") };
    for (label, outcome) in [("completed", completed), ("failed", failed)] {
        let run = ctx.run(label);
        let mut driver = ctx.create(&run).await?;
        ctx.commit_records(&mut driver, 1).await?;
        let followers = [&ctx.a, &ctx.b].map(|store| collect(store.stream(&run, Span::all().follow())));
        let [one, another] = followers;
        let (one, another, finished) = futures_util::join!(one, another, async {
            ctx.commit_records(&mut driver, 2).await?;
            let last = |commit: Commit| commit.record(record(4)).finish(outcome, Retain::Delete);
            ctx.commit(&mut driver, last).await
        });
        finished?;
        for records in [one?, another?] {
            expect_eq("the cursors followed", cursors(&records), vec![1, 2, 3, 4])?;
        }
    }
    Ok(())
}

async fn following_a_finished_run_ends(ctx: &Context) -> Verdict {
    let run = ctx.run("finished");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 5).await?;
    ctx.complete(&mut driver).await?;
    for (span, wanted) in [
        (Span::all(), vec![1, 2, 3, 4, 5]),
        (Span::all().page(2), vec![1, 2, 3, 4, 5]),
        (Span::all().limit(2), vec![1, 2]),
        (Span::all().until(9), vec![1, 2, 3, 4, 5]),
    ] {
        let records = collect(ctx.b.stream(&run, span.follow())).await?;
        expect_eq(&format!("the cursors of {span:?}"), cursors(&records), wanted)?;
    }
    if ctx.capabilities.supports_tail_stream() {
        for (after, wanted) in [(3, vec![4, 5]), (5, vec![]), (6, vec![])] {
            let records = collect(ctx.b.stream(&run, Span::after(after).follow())).await?;
            expect_eq(&format!("the cursors after {after}"), cursors(&records), wanted)?;
        }
    }
    Ok(())
}

async fn a_follower_ends_at_its_bounds(ctx: &Context) -> Verdict {
    let run = ctx.run("followed");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 1).await?;
    let follow = |span: Span| collect(ctx.b.stream(&run, span.follow()));
    let (limited, paged, bounded, committed) = futures_util::join!(
        follow(Span::all().limit(3)),
        follow(Span::all().limit(4).page(3)),
        follow(Span::all().until(4)),
        async {
            for _ in 0..3 {
                ctx.commit_records(&mut driver, 2).await?;
            }
            Ok::<_, crate::Failure>(())
        }
    );
    committed?;
    expect_eq("up to the limit", cursors(&limited?), vec![1, 2, 3])?;
    expect_eq("up to the limit, in pages", cursors(&paged?), vec![1, 2, 3, 4])?;
    expect_eq("up to the last position", cursors(&bounded?), vec![1, 2, 3, 4])?;
    for span in [Span::all().limit(0), Span::all().until(0)] {
        expect_eq(&format!("nothing, {span:?}"), follow(span).await?, vec![])?;
    }
    Ok(())
}

async fn a_follower_of_a_deleted_run_gets_not_found(ctx: &Context) -> Verdict {
    let run = ctx.run("deleted");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 1).await?;
    let mut followers = [&ctx.a, &ctx.b].map(|store| store.stream(&run, Span::all().follow()));
    for follower in &mut followers {
        expect_eq("what is there", next(follower).await?.map(|record| record.cursor), Some(1))?;
    }
    let [one, another] = &mut followers;
    let (one, another, deleted) =
        futures_util::join!(next(one), next(another), ctx.a.delete(&run, Delete::Any));
    expect("it is deleted", deleted?, ())?;
    for came in [one, another] {
        refused_as("what follows", came, Refusal::NotFound)?;
    }
    Ok(())
}

async fn a_follower_of_a_recreated_run_gets_not_found(ctx: &Context) -> Verdict {
    let run = ctx.run("recreated");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 1).await?;
    let mut followers = [&ctx.a, &ctx.b].map(|store| store.stream(&run, Span::all().follow()));
    for follower in &mut followers {
        expect_eq("what is there", next(follower).await?.map(|record| record.cursor), Some(1))?;
        expect("then it waits", is_silent(ctx, follower).await, ())?;
    }
    expect("it is deleted", ctx.a.delete(&run, Delete::Any).await?, ())?;
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 5).await?;
    for follower in &mut followers {
        refused_as("what follows", next(follower).await, Refusal::NotFound)?;
    }
    Ok(())
}

async fn following_another_life_is_not_found(ctx: &Context) -> Verdict {
    let run = ctx.run("followed");
    ctx.create(&run).await?;
    let other = Span::all().follow().incarnation(ctx.ids().incarnation());
    refused_as("another life", collect(ctx.b.stream(&run, other)).await, Refusal::NotFound)?;
    let unknown = collect(ctx.b.stream(&ctx.run("unknown"), Span::all().follow())).await;
    refused_as("a run that is not there", unknown, Refusal::NotFound)
}

async fn a_follower_behind_a_trim_is_trimmed(ctx: &Context) -> Verdict {
    let run = ctx.run("trimmed");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 1).await?;
    let mut follower = ctx.b.stream(&run, Span::all().follow().page(1));
    expect_eq("what is there", next(&mut follower).await?.map(|record| record.cursor), Some(1))?;
    ctx.commit_records(&mut driver, 9).await?;
    ctx.commit(&mut driver, |commit| commit.snapshot(Snapshot::new(6, "6"))).await?;
    ctx.commit(&mut driver, |commit| commit.snapshot(Snapshot::new(8, "8")).trim(6)).await?;
    let mut cursor = 1;
    let end = loop {
        match next(&mut follower).await {
            Ok(Some(record)) => {
                cursor += 1;
                expect_eq("what it had fetched goes on", record.cursor, cursor)?;
                if cursor == 10 {
                    return Ok(());
                }
            }
            end => break end,
        }
    };
    refused_as("what it had not fetched", end, Refusal::Trimmed { first: 7 })
}

async fn following_in_reverse_is_invalid(ctx: &Context) -> Verdict {
    let run = ctx.run("followed");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 1).await?;
    let backward = collect(ctx.b.stream(&run, Span::all().follow().reverse())).await;
    refused("following in reverse", backward, ErrorKind::Invalid).map(drop)
}
