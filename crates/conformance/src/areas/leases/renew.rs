//! Keeping a lease: by renewals, and by commits where they come anyway.

use crate::areas::{moves::ends, prelude::*};

cases! { leases:
    /// A renewal counts from the renewal, by the store's clock.
    a_renewal_counts_from_the_renewal [clock],
    /// A renewal keeps the run from everyone beyond the first lease's end.
    a_renewal_outlasts_the_first_lease [],
    /// A renewal never shortens a lease.
    a_renewal_never_shortens [],
    /// A renewal changes the lease, the due and the note, and nothing else that can be read.
    a_renewal_changes_nothing_else [],
    /// A renewal without a note keeps the old one, and one with a note replaces it.
    a_renewal_keeps_or_replaces_the_note [],
    /// A renewal sent twice is harmless.
    a_renewal_sent_twice_is_harmless [],
    /// A renewal of no time at all is `Invalid`.
    a_renewal_of_no_time_is_invalid [],
    /// A renewal of a run that is not there, or of an earlier life of it, is `NotFound`.
    a_renewal_of_a_run_that_is_gone_is_not_found [],
    /// A renewal after the lease's end makes it valid again, while nobody has taken the run over.
    a_renewal_after_the_end_revives_the_lease [],
    /// A delayed renewal after the release starts no lease, also when the run is due.
    a_delayed_renewal_after_release_starts_no_lease [],
    /// A delayed renewal after the outcome, a completion or a failure, starts no lease.
    a_delayed_renewal_after_the_outcome_starts_no_lease [],
    /// A renewal of a finished run by an older fence is `Fenced`, which comes before `Finished`.
    a_renewal_by_an_older_fence_is_fenced_before_finished [],
    /// A delayed renewal after a takeover leaves the successor's lease as it is.
    a_delayed_renewal_after_a_takeover_starts_no_lease [],
    /// A renewal of a draft does not make it due.
    a_renewal_makes_no_draft_due [Snapshots],
    /// An open, a renewal and a commit, each by itself, may be for as long as can be said: none wraps, and none fails.
    a_renewal_may_be_for_ever [],
    /// A commit that extends counts from the commit, by the store's clock.
    a_commit_extends_from_the_commit [clock],
    /// A commit never shortens a lease.
    a_commit_never_shortens [],
    /// A commit that keeps the lease keeps its end.
    a_commit_that_keeps_the_lease_keeps_its_end [],
    /// A commit that extends after the lease's end makes it valid again.
    a_commit_after_the_end_revives_the_lease [],
}

async fn lease(ctx: &Context, run: &RunId) -> Verdict<Option<Timestamp>> {
    let head = ctx.head(run).await?;
    let until = head.lease.as_ref().map(|lease| lease.until);
    expect_eq("the due of a driven run, against its lease's end", head.due, until)?;
    Ok(until)
}

async fn a_renewal_counts_from_the_renewal(ctx: &Context) -> Verdict {
    let run = ctx.run("renewed");
    let driver = ctx.create_briefly(&run).await?;
    for seconds in [0, 1, 9] {
        ctx.pass(Duration::from_secs(seconds)).await;
        let ttl = ctx.brief() + Duration::from_micros(seconds);
        ctx.b.renew(&run, Renew::new(driver.fence, ttl)).await?;
        let now = ctx.head(&run).await?.at;
        expect_eq("the lease's end", lease(ctx, &run).await?, Some(now + ttl))?;
    }
    Ok(())
}

async fn a_renewal_may_be_for_ever(ctx: &Context) -> Verdict {
    let year = Duration::from_secs(31_557_600);
    for (number, ttl) in [year * 200, year * 100_000, Duration::MAX].into_iter().enumerate() {
        for way in ["open", "renewal", "commit"] {
            let run = ctx.run(&format!("{way}{number}"));
            let first = if way == "open" { ttl } else { ctx.long() };
            let mut driver = Driver::of(&ctx.a.open(&run, ctx.creating().ttl(first)).await?);
            match way {
                "renewal" => ctx.b.renew(&run, Renew::new(driver.fence, ttl)).await?,
                "commit" => drop(ctx.commit(&mut driver, |commit| commit.extend(ttl)).await?),
                _ => {}
            }
            let (until, now) = (lease(ctx, &run).await?, ctx.head(&run).await?.at);
            let far = until.is_some_and(|until| until >= now + year * 199);
            expect("it lasts for two hundred years at least", far, until)?;
        }
    }
    Ok(())
}

async fn a_renewal_outlasts_the_first_lease(ctx: &Context) -> Verdict {
    let run = ctx.run("renewed");
    let driver = ctx.create_briefly(&run).await?;
    ctx.a.renew(&run, Renew::new(driver.fence, ctx.long())).await?;
    ctx.expire().await;
    expect_eq("its status", ctx.head(&run).await?.status(), Status::Running)?;
    ctx.unchanged(&run, async {
        refused("an open", ctx.b.open(&run, ctx.resuming()).await, ErrorKind::LeaseHeld)
    })
    .await
    .map(drop)
}

async fn a_renewal_never_shortens(ctx: &Context) -> Verdict {
    let run = ctx.run("renewed");
    let driver = ctx.create(&run).await?;
    let until = lease(ctx, &run).await?;
    for ttl in [Duration::from_micros(1), ctx.long() / 4] {
        ctx.unchanged(&run, async { Ok(ctx.a.renew(&run, Renew::new(driver.fence, ttl)).await?) }).await?;
        expect_eq("the lease's end", lease(ctx, &run).await?, until)?;
    }
    ctx.a.renew(&run, Renew::new(driver.fence, ctx.long() * 2)).await?;
    expect("a longer one extends it", lease(ctx, &run).await? > until, until)
}

async fn a_renewal_changes_nothing_else(ctx: &Context) -> Verdict {
    let run = ctx.run("renewed");
    let first = ctx.create(&run).await?;
    let mut driver = Driver::of(&ctx.b.open(&run, ctx.resuming().over(first.fence)).await?);
    if ctx.capabilities.supports_log() {
        ctx.commit_records(&mut driver, 2).await?;
    }
    let before = ctx.image(&run).await?;
    ctx.pass(Duration::from_millis(2)).await;
    let note = Note { done: 1, total: Some(2), text: "half".into() };
    ctx.a.renew(&run, Renew::new(driver.fence, ctx.long() * 2).note(note.clone())).await?;
    let mut after = ctx.image(&run).await?;
    if let (Some(was), Some(is)) = (&before.head, &mut after.head) {
        expect("the lease lasts longer", is.lease.as_ref().map(|lease| lease.until) > was.due, &is.lease)?;
        expect_eq("the due, against its end", is.due, is.lease.as_ref().map(|lease| lease.until))?;
        expect_eq("the note", is.note.take(), Some(note))?;
        (is.lease, is.due) = (was.lease.clone(), was.due);
    }
    before.same_as(&after)?;
    ctx.commit(&mut driver, |commit| commit).await.map(drop)
}

async fn a_renewal_keeps_or_replaces_the_note(ctx: &Context) -> Verdict {
    let run = ctx.run("noted");
    let driver = ctx.create(&run).await?;
    let note = |done| Note { done, ..Note::default() };
    for (given, want) in
        [(None, None), (Some(1), Some(1)), (None, Some(1)), (Some(2), Some(2)), (None, Some(2))]
    {
        let renew = Renew { note: given.map(note), ..Renew::new(driver.fence, ctx.long()) };
        ctx.a.renew(&run, renew).await?;
        expect_eq("the note", ctx.head(&run).await?.note, want.map(note))?;
    }
    Ok(())
}

async fn a_renewal_sent_twice_is_harmless(ctx: &Context) -> Verdict {
    let run = ctx.run("renewed");
    let mut driver = ctx.create(&run).await?;
    let renew = Renew::new(driver.fence, ctx.long()).note(Note { done: 1, ..Note::default() });
    for store in [&ctx.a, &ctx.a, &ctx.b] {
        store.renew(&run, renew.clone()).await?;
    }
    let answers = ctx
        .race(8, |_, store| {
            let (run, renew) = (run.clone(), renew.clone());
            async move { store.renew(&run, renew).await }
        })
        .await?;
    answers.into_iter().collect::<Result<Vec<_>>>()?;
    let head = ctx.head(&run).await?;
    let told = (head.version, head.fence, head.lapses, head.note.map(|note| note.done));
    expect_eq("version, fence, lapses, note", told, (1, driver.fence, 0, Some(1)))?;
    ctx.commit(&mut driver, |commit| commit).await.map(drop)
}

async fn a_renewal_of_no_time_is_invalid(ctx: &Context) -> Verdict {
    let run = ctx.run("renewed");
    let driver = ctx.create(&run).await?;
    ctx.unchanged(&run, async {
        let renew = Renew::new(driver.fence, Duration::ZERO).note(Note::default());
        refused("a renewal", ctx.a.renew(&run, renew).await, ErrorKind::Invalid)?;
        let unknown = Renew::new(driver.fence, Duration::ZERO);
        refused("one of an unknown run", ctx.a.renew(&ctx.run("nobody"), unknown).await, ErrorKind::Invalid)
    })
    .await?;
    Ok(ctx.a.renew(&run, Renew::new(driver.fence, ctx.long())).await?)
}

async fn a_renewal_of_a_run_that_is_gone_is_not_found(ctx: &Context) -> Verdict {
    let run = ctx.run("gone");
    let old = ctx.create(&run).await?;
    let renew = Renew::new(old.fence, ctx.long() * 2);
    ctx.b.delete(&run, Delete::Any).await?;
    refused_as("a renewal", ctx.a.renew(&run, renew.clone()).await, Refusal::NotFound)?;
    expect_eq("the head after it", ctx.b.head(&run).await?, None)?;
    let new = ctx.create(&run).await?;
    ctx.unchanged(&run, async {
        refused_as("a renewal of the old life", ctx.a.renew(&run, renew).await, Refusal::NotFound)
    })
    .await?;
    Ok(ctx.b.renew(&run, Renew::new(new.fence, ctx.long())).await?)
}

async fn a_renewal_after_the_end_revives_the_lease(ctx: &Context) -> Verdict {
    let run = ctx.run("revived");
    let driver = ctx.create_briefly(&run).await?;
    ctx.expire().await;
    expect_eq("its status", ctx.head(&run).await?.status(), Status::Interrupted)?;
    ctx.a.renew(&run, Renew::new(driver.fence, ctx.long())).await?;
    let head = ctx.head(&run).await?;
    expect_eq("status and lapses", (head.status(), head.lapses), (Status::Running, 0))?;
    refused("an open", ctx.b.open(&run, ctx.resuming()).await, ErrorKind::LeaseHeld).map(drop)
}

async fn a_delayed_renewal_after_release_starts_no_lease(ctx: &Context) -> Verdict {
    for (number, wait) in [Duration::ZERO, Duration::from_secs(3_600)].into_iter().enumerate() {
        let run = ctx.run(&format!("released{number}"));
        let mut driver = ctx.create(&run).await?;
        let wake = Wake::at(ctx.head(&run).await?.at + wait);
        ctx.commit(&mut driver, |commit| commit.release(wake)).await?;
        ctx.unchanged(&run, async {
            let renew = Renew::new(driver.fence, ctx.long()).note(Note::default());
            let fenced = Refusal::Fenced { current: driver.fence };
            refused_as("the delayed renewal", ctx.b.renew(&run, renew).await, fenced)
        })
        .await?;
        expect_eq("the lease", ctx.head(&run).await?.lease, None)?;
    }
    Ok(())
}

async fn a_delayed_renewal_after_the_outcome_starts_no_lease(ctx: &Context) -> Verdict {
    for (label, outcome) in ends() {
        let run = ctx.run(label);
        let mut driver = ctx.create(&run).await?;
        ctx.commit(&mut driver, |commit| commit.finish(outcome.clone(), Retain::Keep)).await?;
        ctx.unchanged(&run, async {
            for store in [&ctx.a, &ctx.b] {
                let renew = Renew::new(driver.fence, ctx.long()).note(Note::default());
                let finished = Refusal::Finished { outcome: outcome.clone() };
                refused_as("the delayed renewal", store.renew(&run, renew).await, finished)?;
            }
            Ok(())
        })
        .await?;
        expect_eq("the lease", ctx.head(&run).await?.lease, None)?;
    }
    Ok(())
}

async fn a_renewal_by_an_older_fence_is_fenced_before_finished(ctx: &Context) -> Verdict {
    for (label, outcome) in ends() {
        let run = ctx.run(label);
        let old = ctx.create(&run).await?;
        let mut new = Driver::of(&ctx.b.open(&run, ctx.resuming().over(old.fence)).await?);
        ctx.commit(&mut new, |commit| commit.finish(outcome, Retain::Keep)).await?;
        ctx.unchanged(&run, async {
            let fenced = || Refusal::Fenced { current: new.fence };
            for store in [&ctx.a, &ctx.b] {
                let renew = Renew::new(old.fence, ctx.long()).note(Note::default());
                refused_as("a renewal by an older fence", store.renew(&run, renew).await, fenced())?;
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn a_delayed_renewal_after_a_takeover_starts_no_lease(ctx: &Context) -> Verdict {
    let run = ctx.run("taken");
    let old = ctx.create_briefly(&run).await?;
    let opened = ctx.open_due(&run, ctx.resuming()).await?;
    ctx.unchanged(&run, async {
        let renew = Renew::new(old.fence, ctx.long() * 4).note(Note::default());
        let fenced = Refusal::Fenced { current: opened.fence };
        refused_as("the delayed renewal", ctx.b.renew(&run, renew).await, fenced)
    })
    .await?;
    expect_eq("the lease", ctx.head(&run).await?.lease, opened.head.lease)
}

async fn a_renewal_makes_no_draft_due(ctx: &Context) -> Verdict {
    let run = ctx.run("draft");
    let open = ctx.creating().origin(Origin { cursor: 9, lineage: None });
    let mut driver = Driver::of(&ctx.a.open(&run, open).await?);
    ctx.a.renew(&run, Renew::new(driver.fence, ctx.long() * 2)).await?;
    expect_eq("its due after a renewal", ctx.head(&run).await?.due, None)?;
    ctx.commit(&mut driver, |commit| commit.extend(ctx.long() * 3)).await?;
    expect_eq("its due after a commit that extends", ctx.head(&run).await?.due, None)?;
    ctx.commit(&mut driver, |commit| commit.snapshot(Snapshot::new(9, "the state"))).await?;
    expect("it is due at its lease's end then", lease(ctx, &run).await?.is_some(), ())
}

async fn a_commit_extends_from_the_commit(ctx: &Context) -> Verdict {
    let run = ctx.run("extended");
    let mut driver = ctx.create_briefly(&run).await?;
    for seconds in [0, 1, 9] {
        ctx.pass(Duration::from_secs(seconds)).await;
        let ttl = ctx.brief() + Duration::from_micros(seconds);
        ctx.commit(&mut driver, |commit| commit.extend(ttl)).await?;
        let now = ctx.head(&run).await?.at;
        expect_eq("the lease's end", lease(ctx, &run).await?, Some(now + ttl))?;
    }
    Ok(())
}

async fn a_commit_never_shortens(ctx: &Context) -> Verdict {
    let run = ctx.run("extended");
    let mut driver = ctx.create(&run).await?;
    let until = lease(ctx, &run).await?;
    for ttl in [Duration::from_micros(1), ctx.long() / 4] {
        ctx.commit(&mut driver, |commit| commit.extend(ttl)).await?;
        expect_eq("the lease's end", lease(ctx, &run).await?, until)?;
    }
    ctx.commit(&mut driver, |commit| commit.extend(ctx.long() * 2)).await?;
    expect("a longer one extends it", lease(ctx, &run).await? > until, until)
}

async fn a_commit_that_keeps_the_lease_keeps_its_end(ctx: &Context) -> Verdict {
    let run = ctx.run("kept");
    let owner = Owner::new("the owner");
    let opened = ctx.a.open(&run, ctx.creating().owner(owner)).await?;
    let mut driver = Driver::of(&opened);
    for _ in 0..3 {
        ctx.pass(Duration::from_millis(2)).await;
        ctx.commit(&mut driver, |commit| commit.advances().note(Note::default())).await?;
        expect_eq("the lease", ctx.head(&run).await?.lease, opened.head.lease.clone())?;
        expect_eq("the due", ctx.head(&run).await?.due, opened.head.due)?;
    }
    expect_eq("the version", ctx.head(&run).await?.version, driver.version)
}

async fn a_commit_after_the_end_revives_the_lease(ctx: &Context) -> Verdict {
    let run = ctx.run("revived");
    let mut driver = ctx.create_briefly(&run).await?;
    ctx.expire().await;
    ctx.commit(&mut driver, |commit| commit.extend(ctx.long())).await?;
    let head = ctx.head(&run).await?;
    expect_eq("status and lapses", (head.status(), head.lapses), (Status::Running, 0))?;
    refused("an open", ctx.b.open(&run, ctx.resuming()).await, ErrorKind::LeaseHeld).map(drop)
}
