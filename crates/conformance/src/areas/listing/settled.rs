//! Runs that have finished, and what becomes of them.

use super::{fail, listed, lists};
use crate::areas::prelude::*;

cases! { listing:
    /// Completed and failed runs are not listed as interrupted: at once, when the lease would have run out, and ever
    /// after.
    finished_runs_are_not_interrupted [List],
    /// A failed run is listed by the kind of its failure, and by no other.
    by_kind_of_failure [List],
    /// A failed run that was reopened is running again, and no failure finds it.
    a_reopened_run_is_running_again [List],
    /// `expired` gives the finished runs whose time to be deleted has come, and no other.
    expired_gives_what_may_be_deleted [List],
    /// A run that ends again is kept as its second end says, whatever its first one said.
    a_second_end_has_its_own_retention [List],
    /// A run may be deleted from its `delete_after` on, and not a microsecond before.
    a_run_expires_at_its_instant [List, clock],
}

/// The runs that are doing `status`.
fn doing(status: Status) -> Query {
    Query { status: Some(status), ..Query::all() }
}

async fn finished_runs_are_not_interrupted(ctx: &Context) -> Verdict {
    let (completed, failed, killed) = (ctx.run("completed"), ctx.run("failed"), ctx.run("killed"));
    let far = Query { due_by: Some(Timestamp(i64::MAX)), ..Query::all() };
    ctx.create_briefly(&killed).await?;
    ctx.complete(&mut ctx.create_briefly(&completed).await?).await?;
    fail(ctx, &mut ctx.create_briefly(&failed).await?, FailureKind::Error).await?;
    for interrupted in [vec![], vec![&killed]] {
        if interrupted.is_empty() {
            let listed = listed(ctx, &Query::interrupted()).await?;
            let early = listed.iter().all(|head| head.run == killed);
            expect("no finished run is interrupted", early, &listed)?;
        } else {
            ctx.expire().await;
            lists(ctx, &Query::interrupted(), interrupted).await?;
        }
        lists(ctx, &doing(Status::Completed), [&completed]).await?;
        lists(ctx, &doing(Status::Failed), [&failed]).await?;
        lists(ctx, &far, [&killed]).await?;
    }
    for run in [&completed, &failed] {
        refused("an open of a finished run", ctx.b.open(run, ctx.resuming()).await, ErrorKind::Finished)?;
    }
    lists(ctx, &Query::interrupted(), [&killed]).await
}

async fn by_kind_of_failure(ctx: &Context) -> Verdict {
    let mut runs = Vec::new();
    for kind in FailureKind::ALL {
        let run = ctx.run(kind.as_str());
        fail(ctx, &mut ctx.create(&run).await?, kind).await?;
        runs.push((kind, run));
    }
    ctx.complete(&mut ctx.create(&ctx.run("completed")).await?).await?;
    ctx.create(&ctx.run("running")).await?;
    for (kind, run) in &runs {
        let query = Query { failure: Some(*kind), ..Query::all() };
        lists(ctx, &query, [run]).await?;
        lists(ctx, &Query { status: Some(Status::Failed), ..query.clone() }, [run]).await?;
        lists(ctx, &Query { status: Some(Status::Completed), ..query }, []).await?;
    }
    lists(ctx, &doing(Status::Failed), runs.iter().map(|(_, run)| run)).await
}

async fn a_reopened_run_is_running_again(ctx: &Context) -> Verdict {
    let run = ctx.run("reopened");
    let poison = Query { failure: Some(FailureKind::Poison), ..Query::all() };
    let outcome = Outcome::Failed { failure: milepost_core::Failure::new(FailureKind::Poison, "again") };
    let mut driver = ctx.create(&run).await?;
    ctx.commit(&mut driver, |commit| commit.finish(outcome, Retain::Delete)).await?;
    lists(ctx, &poison, [&run]).await?;
    lists(ctx, &Query::expired(), [&run]).await?;
    ctx.b.open(&run, ctx.resuming().reopen_failed()).await?;
    for query in [poison, Query::expired(), doing(Status::Failed), Query::interrupted()] {
        lists(ctx, &query, []).await?;
    }
    lists(ctx, &doing(Status::Running), [&run]).await
}

async fn expired_gives_what_may_be_deleted(ctx: &Context) -> Verdict {
    let (soon, late) = (ctx.brief(), ctx.long() * 10);
    let retains = [
        ("kept", Retain::Keep),
        ("soon", Retain::KeepFor(soon)),
        ("late", Retain::KeepFor(late)),
        ("at-once", Retain::Delete),
        ("for-nothing", Retain::KeepFor(Duration::ZERO)),
        ("for-ever", Retain::KeepFor(Duration::MAX)),
    ];
    let runs = retains.map(|(label, _)| ctx.run(label));
    for ((_, retain), run) in retains.iter().zip(&runs) {
        let mut driver = ctx.create(run).await?;
        ctx.commit(&mut driver, |commit| commit.finish(Outcome::Completed { output: Bytes::new() }, *retain))
            .await?;
    }
    let mut released = ctx.create(&ctx.run("released")).await?;
    ctx.commit(&mut released, |commit| commit.release(Wake::now())).await?;
    let [_, soon, _, at_once, for_nothing, _] = &runs;
    ctx.expire().await;
    lists(ctx, &Query::expired(), [soon, at_once, for_nothing]).await?;
    let head = ctx.head(soon).await?;
    ctx.a.delete(soon, Delete::Finished(head.fence.incarnation)).await?;
    lists(ctx, &Query::expired(), [at_once, for_nothing]).await
}

async fn a_second_end_has_its_own_retention(ctx: &Context) -> Verdict {
    let late = ctx.long() * 10;
    let failure = milepost_core::Failure::new(FailureKind::Error, "no");
    let failed = Outcome::Failed { failure };
    let mut expired = Vec::new();
    for (number, (first, second, expires)) in [
        (Retain::Delete, Retain::Keep, false),
        (Retain::KeepFor(ctx.brief()), Retain::Keep, false),
        (Retain::Delete, Retain::KeepFor(late), false),
        (Retain::Keep, Retain::Delete, true),
        (Retain::KeepFor(late), Retain::KeepFor(ctx.brief()), true),
    ]
    .into_iter()
    .enumerate()
    {
        let run = ctx.run(&format!("ended-{number}"));
        let mut driver = ctx.create(&run).await?;
        ctx.commit(&mut driver, |commit| commit.finish(failed.clone(), first)).await?;
        let mut driver = Driver::of(&ctx.b.open(&run, ctx.resuming().reopen_failed()).await?);
        let completed = Outcome::Completed { output: Bytes::new() };
        ctx.commit(&mut driver, |commit| commit.finish(completed, second)).await?;
        if expires {
            expired.push(run);
        }
    }
    ctx.expire().await;
    lists(ctx, &Query::expired(), &expired).await
}

async fn a_run_expires_at_its_instant(ctx: &Context) -> Verdict {
    let run = ctx.run("kept");
    let (keep, last) = (Duration::from_secs(60), Duration::from_micros(1));
    let mut driver = ctx.create(&run).await?;
    let output = Bytes::from_static(b"the output");
    ctx.commit(&mut driver, |commit| commit.finish(Outcome::Completed { output }, Retain::KeepFor(keep)))
        .await?;
    ctx.pass(keep - last).await;
    lists(ctx, &Query::expired(), []).await?;
    ctx.pass(last).await;
    lists(ctx, &Query::expired(), [&run]).await
}
