//! Who gets a run that somebody drives, or drove.

use crate::areas::prelude::*;

cases! { open:
    /// A live lease is refused to everyone, the same owner name included, with its owner and the time that it has left.
    a_live_lease_is_refused_to_everyone [],
    /// After the lease has run out the same owner gets a new epoch.
    after_expiry_the_same_owner_gets_a_new_epoch [],
    /// `Over(fence)` takes a live lease while that is the newest fence.
    over_the_newest_fence_takes_a_live_lease [],
    /// `Over` an older fence is treated as `IfDue`: it takes no live lease.
    over_an_older_fence_takes_no_live_lease [],
    /// `Over` an older fence is treated as `IfDue`: it takes a run that is due.
    over_an_older_fence_takes_a_due_run [],
    /// Of racing `Over` one and the same fence exactly one succeeds.
    of_16_racing_overs_one_wins [],
    /// Of racing creators exactly one succeeds; every other is told `AlreadyExists`.
    of_16_racing_creators_one_wins [],
    /// Of racing openers that create or resume exactly one gets the lease; every other is told who holds it.
    of_16_racing_openers_one_wins [],
    /// Of racing takeovers of a due run exactly one succeeds.
    of_16_racing_takeovers_one_wins [],
    /// A lapse is the takeover of a lease that was never released: run out or taken `Over`, not let go.
    lapses_count_unreleased_takeovers_only [],
    /// Lapses are forgotten by a commit that advances; an intent, a renewal and a note keep them.
    lapses_are_reset_by_work_that_advances [],
}

async fn a_live_lease_is_refused_to_everyone(ctx: &Context) -> Verdict {
    let run = ctx.run("driven");
    let owner = Owner::new("the owner");
    ctx.a.open(&run, ctx.creating().owner(owner.clone())).await?;
    ctx.unchanged(&run, async {
        for (store, name, mode) in [
            (&ctx.a, "the owner", Mode::Resume),
            (&ctx.b, "the owner", Mode::CreateOrResume),
            (&ctx.b, "another", Mode::Resume),
        ] {
            let open = Open { mode, ..ctx.creating().owner(Owner::new(name)) };
            let error =
                refused("an open of a driven run", store.open(&run, open).await, ErrorKind::LeaseHeld)?;
            let told = matches!(
                error.refusal(),
                Some(Refusal::LeaseHeld { owner: Some(holder), expires_in: Some(left) })
                    if *holder == owner && !left.is_zero() && *left <= ctx.long()
            );
            expect("it tells the owner and the time left", told, &error)?;
        }
        Ok(())
    })
    .await
}

async fn after_expiry_the_same_owner_gets_a_new_epoch(ctx: &Context) -> Verdict {
    let run = ctx.run("expired");
    let owner = Owner::new("the owner");
    let first = ctx.a.open(&run, ctx.creating().owner(owner.clone()).ttl(ctx.brief())).await?;
    ctx.expire().await;
    expect_eq("its status", ctx.head(&run).await?.status(), Status::Interrupted)?;
    let second = ctx.open_due(&run, ctx.resuming().owner(owner.clone())).await?;
    expect("the new fence supersedes the old one", second.fence.supersedes(first.fence), second.fence)?;
    expect_eq("epoch and version", (second.fence.epoch, second.head.version), (2, 2))?;
    expect_eq("the lease's owner", second.head.lease.as_ref().map(|lease| &lease.owner), Some(&owner))
}

async fn over_the_newest_fence_takes_a_live_lease(ctx: &Context) -> Verdict {
    let run = ctx.run("taken");
    let old = ctx.create(&run).await?;
    let opened = ctx.b.open(&run, ctx.resuming().over(old.fence).owner(Owner::new("successor"))).await?;
    expect("the new fence supersedes the old one", opened.fence.supersedes(old.fence), opened.fence)?;
    let owner = opened.head.lease.as_ref().map(|lease| lease.owner.as_str());
    expect_eq("the lease's owner", owner, Some("successor"))?;
    let late = ctx.a.commit(ctx.next(&old)).await;
    refused_as("a commit of the old owner", late, Refusal::Fenced { current: opened.fence })
}

async fn over_an_older_fence_takes_no_live_lease(ctx: &Context) -> Verdict {
    let run = ctx.run("taken");
    let old = ctx.create(&run).await?.fence;
    let new = ctx.b.open(&run, ctx.resuming().over(old)).await?.fence;
    ctx.unchanged(&run, async {
        for stale in [
            old,
            Fence { token: Token(!new.token.0), ..new },
            Fence { epoch: old.epoch, ..new },
            Fence { epoch: new.epoch + 1, ..new },
            Fence { incarnation: ctx.ids().incarnation(), ..new },
        ] {
            let answer = ctx.a.open(&run, ctx.resuming().over(stale)).await;
            refused("Over a fence that is not the newest", answer, ErrorKind::LeaseHeld)?;
        }
        Ok(())
    })
    .await
}

async fn over_an_older_fence_takes_a_due_run(ctx: &Context) -> Verdict {
    let run = ctx.run("due");
    let old = ctx.create(&run).await?.fence;
    let mut driver = Driver::of(&ctx.a.open(&run, ctx.resuming().over(old)).await?);
    ctx.commit(&mut driver, |commit| commit.release(Wake::now())).await?;
    let opened = ctx.b.open(&run, ctx.resuming().over(old)).await?;
    expect_eq("its epoch", opened.fence.epoch, 3)
}

async fn of_16_racing_overs_one_wins(ctx: &Context) -> Verdict {
    let run = ctx.run("raced");
    let fence = ctx.create(&run).await?.fence;
    let answers = ctx
        .race(16, |_, store| {
            let (run, open) = (run.clone(), ctx.resuming().over(fence));
            async move { store.open(&run, open).await }
        })
        .await?;
    let winner = one_winner("16 racing Overs", answers, ErrorKind::LeaseHeld)?;
    let head = ctx.head(&run).await?;
    expect_eq("the run's fence and version", (head.fence, head.version), (winner.fence, 2))
}

async fn of_16_racing_creators_one_wins(ctx: &Context) -> Verdict {
    let run = ctx.run("raced");
    let answers = ctx
        .race(16, |index, store| {
            let (run, open) = (run.clone(), ctx.creating().owner(Owner::new(format!("racer {index}"))));
            async move { store.open(&run, open).await }
        })
        .await?;
    let winner = one_winner("16 racing creators", answers, ErrorKind::AlreadyExists)?;
    let head = ctx.head(&run).await?;
    expect_eq("the run's fence and version", (head.fence, head.version), (winner.fence, 1))?;
    expect_eq("the run's lease", head.lease, winner.head.lease)
}

async fn of_16_racing_openers_one_wins(ctx: &Context) -> Verdict {
    let run = ctx.run("raced");
    let answers = ctx
        .race(16, |_, store| {
            let (run, open) = (run.clone(), Open { mode: Mode::CreateOrResume, ..ctx.creating() });
            async move { store.open(&run, open).await }
        })
        .await?;
    let winner = one_winner("16 racing openers", answers, ErrorKind::LeaseHeld)?;
    expect("the winner created the run", winner.created, &winner)?;
    expect_eq("the run's fence", ctx.head(&run).await?.fence, winner.fence)
}

async fn of_16_racing_takeovers_one_wins(ctx: &Context) -> Verdict {
    let run = ctx.run("raced");
    ctx.create_briefly(&run).await?;
    ctx.expire().await;
    let answers = ctx
        .race(16, |_, store| {
            let (run, open) = (run.clone(), ctx.resuming());
            async move { store.open(&run, open).await }
        })
        .await?;
    let winner = one_winner("16 racing takeovers", answers, ErrorKind::LeaseHeld)?;
    let head = ctx.head(&run).await?;
    expect_eq("fence, version, lapses", (head.fence, head.version, head.lapses), (winner.fence, 2, 1))
}

async fn lapses_count_unreleased_takeovers_only(ctx: &Context) -> Verdict {
    let run = ctx.run("lapsing");
    ctx.create_briefly(&run).await?;
    let expired = ctx.open_due(&run, ctx.resuming()).await?;
    expect_eq("lapses after a lease that ran out", expired.head.lapses, 1)?;
    let taken = ctx.b.open(&run, ctx.resuming().over(expired.fence)).await?;
    expect_eq("lapses after a lease that was taken", taken.head.lapses, 2)?;
    let mut driver = Driver::of(&taken);
    ctx.commit(&mut driver, |commit| commit.release(Wake::now())).await?;
    let released = ctx.b.open(&run, ctx.resuming()).await?;
    expect_eq("lapses after a lease that was let go", released.head.lapses, 2)
}

async fn lapses_are_reset_by_work_that_advances(ctx: &Context) -> Verdict {
    let run = ctx.run("lapsing");
    let first = ctx.create(&run).await?;
    let opened = ctx.a.open(&run, ctx.resuming().over(first.fence)).await?;
    let mut driver = Driver::of(&opened);
    ctx.commit(&mut driver, |commit| commit.note(Note::default())).await?;
    ctx.a.renew(&run, Renew::new(driver.fence, ctx.long())).await?;
    if ctx.capabilities.supports_log() {
        ctx.commit_records(&mut driver, 1).await?;
    }
    expect_eq("lapses after a note, a renewal and an intent", ctx.head(&run).await?.lapses, 1)?;
    ctx.commit(&mut driver, |commit| commit.advances()).await?;
    expect_eq("lapses after a commit that advances", ctx.head(&run).await?.lapses, 0)
}
