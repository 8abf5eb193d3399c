//! What a deletion refuses, and what it answers.

use super::{full, is_gone};
use crate::areas::{moves::completed, prelude::*};

cases! { deletion:
    /// There is no such run: `false`, whatever the guard, and nothing comes to be.
    an_unknown_run_is_false [],
    /// The second deletion is `false`, whatever the guard.
    twice_is_harmless [],
    /// `Finished` removes a run that has completed or failed.
    finished_removes_a_finished_run [],
    /// `Finished` refuses a run that has not finished, whatever it is doing, unchanged.
    finished_refuses_an_unfinished_run [],
    /// `Finished` refuses a failed run that was reopened since, unchanged.
    finished_refuses_a_reopened_run [],
    /// `NotDriven` removes a run that waits, is interrupted or has finished.
    not_driven_removes_what_nobody_drives [],
    /// `NotDriven` refuses a run whose lease is valid, unchanged.
    not_driven_refuses_a_driven_run [],
    /// `NotDriven` removes a run whose lease has run out.
    not_driven_removes_a_run_whose_lease_ran_out [],
    /// `NotDriven` removes from the lease's end on, and not a microsecond before.
    not_driven_removes_from_the_leases_end_on [clock],
    /// `NotDriven` refuses a draft that somebody drives, and removes one that nobody does.
    not_driven_looks_at_the_lease_of_a_draft [Snapshots],
    /// Both guards refuse another life of the run with `NotFound`, unchanged.
    guards_refuse_another_life [],
    /// `Any` removes whatever bears the id.
    any_removes_whatever_is_there [],
    /// The conflict of a guard carries the run's head as it is.
    a_guards_conflict_carries_the_head [],
}

async fn an_unknown_run_is_false(ctx: &Context) -> Verdict {
    let run = ctx.run("unknown");
    let incarnation = ctx.ids().incarnation();
    for guard in [Delete::Any, Delete::Finished(incarnation), Delete::NotDriven(incarnation)] {
        expect_eq(&format!("{guard:?} of no run"), ctx.a.delete(&run, guard).await?, false)?;
    }
    is_gone(ctx, &run).await
}

async fn twice_is_harmless(ctx: &Context) -> Verdict {
    let run = ctx.run("deleted");
    let mut driver = full(ctx, &run).await?;
    ctx.complete(&mut driver).await?;
    let incarnation = driver.fence.incarnation;
    expect_eq("the first", ctx.a.delete(&run, Delete::Finished(incarnation)).await?, true)?;
    for guard in [Delete::Finished(incarnation), Delete::NotDriven(incarnation), Delete::Any] {
        for store in [&ctx.a, &ctx.b] {
            expect_eq(&format!("{guard:?} once more"), store.delete(&run, guard).await?, false)?;
        }
    }
    is_gone(ctx, &run).await
}

async fn finished_removes_a_finished_run(ctx: &Context) -> Verdict {
    let failure = milepost_core::Failure::new(FailureKind::Error, "no");
    for (label, outcome) in [("completed", completed()), ("failed", Outcome::Failed { failure })] {
        let run = ctx.run(label);
        let mut driver = full(ctx, &run).await?;
        ctx.commit(&mut driver, |commit| commit.finish(outcome, Retain::Keep)).await?;
        let deleted = ctx.b.delete(&run, Delete::Finished(driver.fence.incarnation)).await?;
        expect_eq("the answer", deleted, true)?;
        is_gone(ctx, &run).await?;
    }
    Ok(())
}

async fn finished_refuses_an_unfinished_run(ctx: &Context) -> Verdict {
    let late = ctx.long() * 10;
    for label in ["driven", "waiting", "interrupted"] {
        let run = ctx.run(label);
        let mut driver = full(ctx, &run).await?;
        let at = ctx.head(&run).await?.at;
        match label {
            "waiting" => drop(ctx.commit(&mut driver, |c| c.release(Wake::at(at + late))).await?),
            "interrupted" => drop(ctx.commit(&mut driver, |c| c.release(Wake::now())).await?),
            _ => {}
        }
        let guard = Delete::Finished(driver.fence.incarnation);
        ctx.unchanged(&run, async {
            clashed(label, ctx.a.delete(&run, guard).await, Clash::NotFinished).map(drop)
        })
        .await?;
    }
    Ok(())
}

async fn finished_refuses_a_reopened_run(ctx: &Context) -> Verdict {
    let run = ctx.run("reopened");
    let mut driver = full(ctx, &run).await?;
    let failure = milepost_core::Failure::new(FailureKind::Error, "no");
    ctx.commit(&mut driver, |commit| commit.finish(Outcome::Failed { failure }, Retain::Delete)).await?;
    let opened = ctx.b.open(&run, ctx.resuming().reopen_failed()).await?;
    let mut driver = Driver::of(&opened);
    let guard = Delete::Finished(driver.fence.incarnation);
    ctx.unchanged(&run, async {
        clashed("the deletion", ctx.a.delete(&run, guard).await, Clash::NotFinished).map(drop)
    })
    .await?;
    ctx.complete(&mut driver).await?;
    expect_eq("once it has finished again", ctx.a.delete(&run, guard).await?, true)
}

async fn not_driven_removes_what_nobody_drives(ctx: &Context) -> Verdict {
    for label in ["waiting", "interrupted", "finished"] {
        let run = ctx.run(label);
        let mut driver = full(ctx, &run).await?;
        let at = ctx.head(&run).await?.at + ctx.long() * 10;
        ctx.commit(&mut driver, |commit| match label {
            "waiting" => commit.release(Wake::at(at)),
            "interrupted" => commit.release(Wake::now()),
            _ => commit.finish(completed(), Retain::Keep),
        })
        .await?;
        let guard = Delete::NotDriven(driver.fence.incarnation);
        expect_eq(label, ctx.a.delete(&run, guard).await?, true)?;
        is_gone(ctx, &run).await?;
    }
    Ok(())
}

async fn not_driven_refuses_a_driven_run(ctx: &Context) -> Verdict {
    let run = ctx.run("driven");
    let driver = full(ctx, &run).await?;
    let guard = Delete::NotDriven(driver.fence.incarnation);
    ctx.unchanged(&run, async {
        for store in [&ctx.a, &ctx.b] {
            clashed("the deletion", store.delete(&run, guard).await, Clash::Driven)?;
        }
        Ok(())
    })
    .await
}

async fn not_driven_removes_a_run_whose_lease_ran_out(ctx: &Context) -> Verdict {
    let run = ctx.run("killed");
    let driver = ctx.create_briefly(&run).await?;
    ctx.expire().await;
    let guard = Delete::NotDriven(driver.fence.incarnation);
    expect_eq("the answer", ctx.b.delete(&run, guard).await?, true)?;
    is_gone(ctx, &run).await
}

async fn not_driven_removes_from_the_leases_end_on(ctx: &Context) -> Verdict {
    let run = ctx.run("killed");
    let last = Duration::from_micros(1);
    let driver = ctx.create_briefly(&run).await?;
    let guard = Delete::NotDriven(driver.fence.incarnation);
    ctx.pass(ctx.brief() - last).await;
    clashed("just before the end", ctx.b.delete(&run, guard).await, Clash::Driven)?;
    ctx.pass(last).await;
    expect_eq("at the end", ctx.b.delete(&run, guard).await?, true)
}

async fn not_driven_looks_at_the_lease_of_a_draft(ctx: &Context) -> Verdict {
    let (driven, released, killed) = (ctx.run("driven"), ctx.run("released"), ctx.run("killed"));
    let draft = || ctx.creating().origin(Origin { cursor: 4, lineage: None });
    let opened = ctx.a.open(&driven, draft()).await?;
    let guard = Delete::NotDriven(opened.fence.incarnation);
    clashed("a draft that is driven", ctx.b.delete(&driven, guard).await, Clash::Driven)?;
    let mut driver = Driver::of(&ctx.a.open(&released, draft()).await?);
    ctx.commit(&mut driver, |commit| commit.release(Wake::now())).await?;
    let guard = Delete::NotDriven(driver.fence.incarnation);
    expect_eq("a draft that was let go", ctx.b.delete(&released, guard).await?, true)?;
    let opened = ctx.a.open(&killed, draft().ttl(ctx.brief())).await?;
    ctx.expire().await;
    let guard = Delete::NotDriven(opened.fence.incarnation);
    expect_eq("a draft whose lease ran out", ctx.b.delete(&killed, guard).await?, true)
}

async fn guards_refuse_another_life(ctx: &Context) -> Verdict {
    let run = ctx.run("recreated");
    let old = ctx.create(&run).await?.fence.incarnation;
    ctx.a.delete(&run, Delete::Any).await?;
    let mut driver = full(ctx, &run).await?;
    expect("it is another life", driver.fence.incarnation != old, old)?;
    for step in ["driven", "finished"] {
        ctx.unchanged(&run, async {
            for other in [old, ctx.ids().incarnation()] {
                for guard in [Delete::Finished(other), Delete::NotDriven(other)] {
                    refused_as(step, ctx.b.delete(&run, guard).await, Refusal::NotFound)?;
                }
            }
            Ok(())
        })
        .await?;
        if step == "driven" {
            ctx.complete(&mut driver).await?;
        }
    }
    let own = Delete::Finished(driver.fence.incarnation);
    expect_eq("this life", ctx.b.delete(&run, own).await?, true)
}

async fn any_removes_whatever_is_there(ctx: &Context) -> Verdict {
    for label in ["driven", "released", "finished"] {
        let run = ctx.run(label);
        let mut driver = full(ctx, &run).await?;
        match label {
            "released" => drop(ctx.commit(&mut driver, |c| c.release(Wake::now())).await?),
            "finished" => drop(ctx.complete(&mut driver).await?),
            _ => {}
        }
        expect_eq(label, ctx.b.delete(&run, Delete::Any).await?, true)?;
        is_gone(ctx, &run).await?;
    }
    Ok(())
}

async fn a_guards_conflict_carries_the_head(ctx: &Context) -> Verdict {
    let run = ctx.run("driven");
    let incarnation = full(ctx, &run).await?.fence.incarnation;
    for (guard, clash) in
        [(Delete::Finished(incarnation), Clash::NotFinished), (Delete::NotDriven(incarnation), Clash::Driven)]
    {
        let told = clashed("the deletion", ctx.a.delete(&run, guard).await, clash)?;
        let head = ctx.head(&run).await?;
        expect_eq("the head that it tells", &Head { at: head.at, ..told }, &head)?;
    }
    Ok(())
}
