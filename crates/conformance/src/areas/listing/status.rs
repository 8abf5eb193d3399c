//! Which runs are running, waiting, interrupted, completed and failed.

use super::{listed, lists, one_of_each};
use crate::areas::{moves::whole, prelude::*};

cases! { listing:
    /// A run is listed under the status that it has, and under no other.
    each_run_is_listed_under_its_status_alone [List],
    /// What is listed of a run is its head.
    what_is_listed_is_the_head [List],
    /// A run whose lease ran out is interrupted, until somebody takes it over.
    a_run_whose_lease_ran_out_is_interrupted [List],
    /// A run is interrupted from its due on, and not a microsecond before.
    a_run_is_interrupted_from_its_due_on [List, clock],
    /// A lease that was renewed or extended in time is listed as running beyond its first end.
    a_renewed_run_is_not_interrupted [List],
    /// A released run is listed as its wake says: at once, or from its instant on.
    a_released_run_is_listed_as_its_wake_says [List],
    /// A run that waits for a message is interrupted with it, and not with one that it has seen.
    a_message_makes_its_run_interrupted [List, Inbox],
    /// A draft is never interrupted, also when its lease has run out; the commit that ends the draft makes it an
    /// ordinary run.
    a_draft_is_never_interrupted [List, Snapshots],
    /// `due_by` gives what is due at that instant or before: no finished run, no draft, none that only a message wakes.
    due_by_an_instant [List],
}

async fn each_run_is_listed_under_its_status_alone(ctx: &Context) -> Verdict {
    let runs = one_of_each(ctx).await?;
    for (status, run) in &runs {
        lists(ctx, &Query { status: Some(*status), ..Query::all() }, [run]).await?;
    }
    lists(ctx, &Query::all(), runs.iter().map(|(_, run)| run)).await
}

async fn what_is_listed_is_the_head(ctx: &Context) -> Verdict {
    one_of_each(ctx).await?;
    let mut driver = ctx.create(&ctx.run("noted")).await?;
    ctx.commit(&mut driver, |commit| {
        commit.note(Note { done: 3, total: Some(4), text: "three of four".into() })
    })
    .await?;
    let run = ctx.run("whole");
    let info = RunInfo::named("case").label("key", "value").parent(ctx.run("noted")).meta("meta");
    let created = ctx.a.open(&run, Open { info: Some(info), ..ctx.creating() }).await?;
    let commit = whole(ctx, &Driver::of(&created));
    ctx.a.commit(commit).await?;
    if ctx.capabilities.supports_inbox() {
        ctx.a.send(&run, ctx.message("key", "a message")).await?;
    }
    let heads = listed(ctx, &Query::all()).await?;
    expect_eq("how many are listed", heads.len(), 7)?;
    for listed in heads {
        let head = ctx.head(&listed.run).await?;
        expect_eq("what is listed of a run", &Head { at: head.at, ..listed }, &head)?;
    }
    Ok(())
}

async fn a_run_whose_lease_ran_out_is_interrupted(ctx: &Context) -> Verdict {
    let (run, other) = (ctx.run("expired"), ctx.run("driven"));
    ctx.create(&other).await?;
    ctx.create_briefly(&run).await?;
    ctx.expire().await;
    lists(ctx, &Query::interrupted(), [&run]).await?;
    lists(ctx, &Query { status: Some(Status::Running), ..Query::all() }, [&other]).await?;
    ctx.open_due(&run, ctx.resuming()).await?;
    lists(ctx, &Query::interrupted(), []).await?;
    lists(ctx, &Query { status: Some(Status::Running), ..Query::all() }, [&run, &other]).await
}

async fn a_run_is_interrupted_from_its_due_on(ctx: &Context) -> Verdict {
    let (leased, waiting) = (ctx.run("leased"), ctx.run("waiting"));
    ctx.create_briefly(&leased).await?;
    let due = ctx.head(&leased).await?.due;
    let mut driver = ctx.create(&waiting).await?;
    let wake = Wake { at: due, after: None };
    ctx.commit(&mut driver, |commit| commit.release(wake)).await?;
    let last = Duration::from_micros(1);
    ctx.pass(ctx.brief() - last).await;
    lists(ctx, &Query::interrupted(), []).await?;
    lists(ctx, &Query { status: Some(Status::Running), ..Query::all() }, [&leased]).await?;
    lists(ctx, &Query { status: Some(Status::Waiting), ..Query::all() }, [&waiting]).await?;
    ctx.pass(last).await;
    lists(ctx, &Query::interrupted(), [&leased, &waiting]).await?;
    lists(ctx, &Query { status: Some(Status::Running), ..Query::all() }, []).await?;
    lists(ctx, &Query { status: Some(Status::Waiting), ..Query::all() }, []).await
}

async fn a_renewed_run_is_not_interrupted(ctx: &Context) -> Verdict {
    let (renewed, extended, left) = (ctx.run("renewed"), ctx.run("extended"), ctx.run("left"));
    let driver = ctx.create_briefly(&renewed).await?;
    ctx.b.renew(&renewed, Renew::new(driver.fence, ctx.long())).await?;
    let mut driver = ctx.create_briefly(&extended).await?;
    ctx.commit(&mut driver, |commit| commit.extend(ctx.long())).await?;
    ctx.create_briefly(&left).await?;
    ctx.expire().await;
    lists(ctx, &Query::interrupted(), [&left]).await?;
    lists(ctx, &Query { status: Some(Status::Running), ..Query::all() }, [&renewed, &extended]).await
}

async fn a_released_run_is_listed_as_its_wake_says(ctx: &Context) -> Verdict {
    let waiting = Query { status: Some(Status::Waiting), ..Query::all() };
    let (now, past, soon, late) = (ctx.run("now"), ctx.run("past"), ctx.run("soon"), ctx.run("late"));
    let mut driver = ctx.create(&now).await?;
    let start = ctx.head(&now).await?.at;
    ctx.commit(&mut driver, |commit| commit.release(Wake::now())).await?;
    for (run, at) in
        [(&past, start - ctx.long()), (&soon, start + ctx.brief()), (&late, start + ctx.long() * 10)]
    {
        let mut driver = ctx.create(run).await?;
        ctx.commit(&mut driver, |commit| commit.release(Wake::at(at))).await?;
    }
    let early = collect(ctx.a.list(waiting.clone())).await?;
    if ctx.head(&soon).await?.status() == Status::Waiting {
        let waits = early.iter().any(|head| head.run == soon);
        expect("what is not due yet is listed as waiting", waits, &early)?;
    }
    ctx.expire().await;
    lists(ctx, &Query::interrupted(), [&now, &past, &soon]).await?;
    lists(ctx, &waiting, [&late]).await?;
    ctx.resume(&soon).await?;
    lists(ctx, &Query::interrupted(), [&now, &past]).await
}

async fn a_message_makes_its_run_interrupted(ctx: &Context) -> Verdict {
    let waiting = Query { status: Some(Status::Waiting), ..Query::all() };
    let (next, second) = (ctx.run("next"), ctx.run("second"));
    for (run, after) in [(&next, 0), (&second, 1)] {
        let mut driver = ctx.create(run).await?;
        ctx.commit(&mut driver, |commit| commit.release(Wake::message(after))).await?;
    }
    lists(ctx, &Query::interrupted(), []).await?;
    lists(ctx, &waiting, [&next, &second]).await?;
    ctx.a.send(&next, ctx.message("1", "")).await?;
    ctx.a.send(&second, ctx.message("1", "")).await?;
    lists(ctx, &Query::interrupted(), [&next]).await?;
    lists(ctx, &waiting, [&second]).await?;
    ctx.b.send(&second, ctx.message("2", "")).await?;
    lists(ctx, &Query::interrupted(), [&next, &second]).await?;
    lists(ctx, &waiting, []).await
}

async fn a_draft_is_never_interrupted(ctx: &Context) -> Verdict {
    let run = ctx.run("draft");
    let open = ctx.creating().origin(Origin { cursor: 3, lineage: None }).ttl(ctx.brief());
    let mut driver = Driver::of(&ctx.a.open(&run, open).await?);
    let far = ctx.head(&run).await?.at + ctx.long() * 100;
    ctx.expire().await;
    lists(ctx, &Query::interrupted(), []).await?;
    lists(ctx, &Query { due_by: Some(far), ..Query::all() }, []).await?;
    lists(ctx, &Query::all(), [&run]).await?;
    ctx.commit(&mut driver, |commit| commit.snapshot(Snapshot::new(3, "the state"))).await?;
    lists(ctx, &Query::interrupted(), [&run]).await
}

async fn due_by_an_instant(ctx: &Context) -> Verdict {
    one_of_each(ctx).await?;
    if ctx.capabilities.supports_inbox() {
        let mut driver = ctx.create(&ctx.run("asleep")).await?;
        ctx.commit(&mut driver, |commit| commit.release(Wake::message(0))).await?;
    }
    if ctx.capabilities.supports_snapshots() {
        let open = ctx.creating().origin(Origin { cursor: 1, lineage: None });
        ctx.a.open(&ctx.run("draft"), open).await?;
    }
    let heads = listed(ctx, &Query::all()).await?;
    let dues: Vec<_> = heads.iter().filter_map(|head| Some((head.due?, &head.run))).collect();
    expect_eq("how many are ever due", dues.len(), 3)?;
    let step = Duration::from_micros(1);
    let instants = dues.iter().flat_map(|(due, _)| [*due - step, *due, *due + step]);
    for by in instants.chain([Timestamp(i64::MIN), Timestamp(i64::MAX)]) {
        let want = dues.iter().filter(|(due, _)| *due <= by).map(|(_, run)| *run);
        lists(ctx, &Query { due_by: Some(by), ..Query::all() }, want).await?;
    }
    Ok(())
}
