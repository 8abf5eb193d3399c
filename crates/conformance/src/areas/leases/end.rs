//! The end of a lease, to the microsecond.

use crate::areas::prelude::*;

/// The shortest time there is.
const MICRO: Duration = Duration::from_micros(1);

cases! { leases:
    /// A lease is valid until just before its end, and the time left is told exactly.
    is_valid_just_before_its_end [clock],
    /// At its end a lease is gone: the run is interrupted, and anyone may open it.
    is_gone_at_its_end [clock],
    /// A lease counts from the open, by the store's clock, and the run is due at its end.
    counts_from_the_open [clock],
    /// A lease shorter than the store's shortest is raised to it: of opens, renewals and commits.
    is_never_shorter_than_the_stores_shortest [],
    /// A lease raised to the store's shortest ends with it, to the microsecond.
    ends_with_the_stores_shortest [clock],
    /// A lease as long as can be said ends far in the future, and neither wraps nor fails.
    may_last_for_ever [],
    /// A lease that has run out stays in the head, with its owner and its end, until a takeover.
    stays_in_the_head_after_its_end [],
    /// A takeover starts a lease of its own, of its own length, which may be shorter than the one before.
    of_a_takeover_is_its_own [clock],
    /// A listing of interrupted runs shows a run from its lease's end on, and not before.
    is_listed_as_interrupted_at_its_end [List, clock],
}

async fn is_valid_just_before_its_end(ctx: &Context) -> Verdict {
    let run = ctx.run("driven");
    let owner = Owner::new("the owner");
    ctx.a.open(&run, ctx.creating().owner(owner.clone()).ttl(ctx.brief())).await?;
    ctx.pass(ctx.brief() - MICRO).await;
    expect_eq("its status", ctx.head(&run).await?.status(), Status::Running)?;
    ctx.unchanged(&run, async {
        let held = Refusal::LeaseHeld { owner: Some(owner), expires_in: Some(MICRO) };
        refused_as("an open", ctx.b.open(&run, ctx.resuming()).await, held)
    })
    .await
}

async fn is_gone_at_its_end(ctx: &Context) -> Verdict {
    let run = ctx.run("driven");
    ctx.create_briefly(&run).await?;
    ctx.pass(ctx.brief()).await;
    expect_eq("its status", ctx.head(&run).await?.status(), Status::Interrupted)?;
    let opened = ctx.b.open(&run, ctx.resuming()).await?;
    expect_eq("epoch and lapses", (opened.fence.epoch, opened.head.lapses), (2, 1))
}

/// When the lease of `run` ends, which must also be its due.
async fn end(ctx: &Context, run: &RunId) -> Verdict<Option<Timestamp>> {
    let head = ctx.head(run).await?;
    let until = head.lease.as_ref().map(|lease| lease.until);
    expect_eq("the due of a driven run, against its lease's end", head.due, until)?;
    Ok(until)
}

async fn now(ctx: &Context, run: &RunId) -> Verdict<Timestamp> {
    Ok(ctx.head(run).await?.at)
}

async fn counts_from_the_open(ctx: &Context) -> Verdict {
    let run = ctx.run("driven");
    let mut driver = ctx.create_briefly(&run).await?;
    expect_eq("its end", end(ctx, &run).await?, Some(now(ctx, &run).await? + ctx.brief()))?;
    for seconds in [1, 7] {
        ctx.pass(Duration::from_secs(seconds)).await;
        let ttl = ctx.brief() + Duration::from_micros(seconds);
        driver = Driver::of(&ctx.b.open(&run, ctx.resuming().ttl(ttl).over(driver.fence)).await?);
        expect_eq("its end", end(ctx, &run).await?, Some(now(ctx, &run).await? + ttl))?;
    }
    Ok(())
}

async fn is_never_shorter_than_the_stores_shortest(ctx: &Context) -> Verdict {
    let run = ctx.run("short");
    let shortest = ctx.capabilities.limits.min_ttl;
    let lasts = |head: &Head| {
        let until = head.lease.as_ref().map(|lease| lease.until);
        let enough = until.is_some_and(|until| until >= head.updated_at + shortest);
        expect("it lasts at least the store's shortest", enough, (head.updated_at, until))
    };
    let opened = ctx.a.open(&run, ctx.creating().ttl(MICRO)).await?;
    lasts(&opened.head)?;
    lasts(&ctx.head(&run).await?)?;
    let opened = ctx.b.open(&run, ctx.resuming().ttl(MICRO).over(opened.fence)).await?;
    lasts(&opened.head)?;
    let mut driver = Driver::of(&opened);
    ctx.pass(Duration::from_millis(2)).await;
    ctx.a.renew(&run, Renew::new(driver.fence, MICRO)).await?;
    lasts(&ctx.head(&run).await?)?;
    ctx.commit(&mut driver, |commit| commit.extend(MICRO)).await?;
    let head = ctx.head(&run).await?;
    lasts(&head)?;
    expect_eq("version and epoch", (head.version, head.fence.epoch), (3, 2))
}

async fn ends_with_the_stores_shortest(ctx: &Context) -> Verdict {
    let run = ctx.run("short");
    let shortest = ctx.capabilities.limits.min_ttl.max(MICRO);
    let mut driver = Driver::of(&ctx.a.open(&run, ctx.creating().ttl(MICRO)).await?);
    for step in 0..3 {
        let until = Some(now(ctx, &run).await? + shortest);
        expect_eq("its end", end(ctx, &run).await?, until)?;
        ctx.pass(shortest).await;
        match step {
            0 => ctx.a.renew(&run, Renew::new(driver.fence, MICRO)).await?,
            1 => drop(ctx.commit(&mut driver, |commit| commit.extend(MICRO)).await?),
            _ => drop(ctx.b.open(&run, ctx.resuming()).await?),
        }
    }
    Ok(())
}

async fn may_last_for_ever(ctx: &Context) -> Verdict {
    let years = |count: u32| Duration::from_secs(31_557_600) * count;
    for (number, ttl) in [years(200), years(100_000), Duration::MAX].into_iter().enumerate() {
        let run = ctx.run(&format!("ever{number}"));
        let mut driver = Driver::of(&ctx.a.open(&run, ctx.creating().ttl(ttl)).await?);
        ctx.a.renew(&run, Renew::new(driver.fence, ttl)).await?;
        ctx.commit(&mut driver, |commit| commit.extend(ttl)).await?;
        let head = ctx.head(&run).await?;
        let until = head.lease.as_ref().map(|lease| lease.until);
        let far = until.is_some_and(|until| until >= head.at + years(199));
        expect("it lasts for two hundred years at least", far, until)?;
        expect_eq("status and due", (head.status(), head.due), (Status::Running, until))?;
        refused("an open", ctx.b.open(&run, ctx.resuming()).await, ErrorKind::LeaseHeld)?;
    }
    Ok(())
}

async fn stays_in_the_head_after_its_end(ctx: &Context) -> Verdict {
    let run = ctx.run("expired");
    let owner = Owner::new("the owner");
    let opened = ctx.a.open(&run, ctx.creating().owner(owner).ttl(ctx.brief())).await?;
    ctx.expire().await;
    ctx.pass(Duration::from_millis(5)).await;
    let head = ctx.head(&run).await?;
    expect_eq("the lease", &head.lease, &opened.head.lease)?;
    expect_eq("due and status", (head.due, head.status()), (opened.head.due, Status::Interrupted))?;
    ctx.commit(&mut Driver::of(&opened), |commit| commit.advances()).await?;
    let head = ctx.head(&run).await?;
    expect_eq("the lease after a commit that keeps it", &head.lease, &opened.head.lease)?;
    expect_eq("due and status", (head.due, head.status()), (opened.head.due, Status::Interrupted))
}

async fn of_a_takeover_is_its_own(ctx: &Context) -> Verdict {
    let run = ctx.run("taken");
    let old = ctx.create(&run).await?;
    let owner = Owner::new("successor");
    let open = ctx.resuming().owner(owner.clone()).ttl(ctx.brief()).over(old.fence);
    ctx.b.open(&run, open).await?;
    let until = now(ctx, &run).await? + ctx.brief();
    expect_eq("its lease", ctx.head(&run).await?.lease, Some(Lease { owner, until }))?;
    ctx.pass(ctx.brief()).await;
    expect_eq("its status at the end", ctx.head(&run).await?.status(), Status::Interrupted)
}

async fn is_listed_as_interrupted_at_its_end(ctx: &Context) -> Verdict {
    let run = ctx.run("listed");
    ctx.create_briefly(&run).await?;
    ctx.pass(ctx.brief() - MICRO).await;
    let ids = |heads: Vec<Head>| heads.into_iter().map(|head| head.run).collect::<Vec<_>>();
    let early = collect(ctx.b.list(Query::interrupted())).await?;
    expect_eq("the interrupted runs just before its end", ids(early), vec![])?;
    ctx.pass(MICRO).await;
    let listed = collect(ctx.b.list(Query::interrupted())).await?;
    expect_eq("the interrupted runs at its end", ids(listed), vec![run])
}
