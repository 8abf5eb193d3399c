//! Asking again: with an open that was answered before, or for a run that has finished.

use crate::areas::prelude::*;

cases! { open:
    /// The same open id again, with nothing opened or committed since, answers the same fence and changes nothing.
    the_same_open_id_answers_the_same_fence [],
    /// The answer to a repeated open id is the same from every handle and says again whether the run was created.
    the_same_open_id_answers_on_every_handle [],
    /// Of one open sent 16 times at once every answer is the same fence, and the run was opened once.
    one_open_sent_16_times_at_once_opens_once [],
    /// A renewal and a message are neither opens nor commits: after them a repeated open id is answered all the same.
    the_same_open_id_after_a_renewal_and_a_message [],
    /// The same open id after its lease has run out, with nothing opened or committed since, answers the same fence and
    /// starts no lease: the run stays anyone's.
    the_same_open_id_after_its_lease_starts_none [],
    /// After a commit a repeated open id is an open like any other.
    the_same_open_id_after_a_commit_is_refused [],
    /// After another open a repeated open id is an open like any other.
    the_same_open_id_after_another_open_is_refused [],
    /// A completed run answers its outcome to everyone, asked to reopen it or not, and stays as it is.
    a_completed_run_answers_its_outcome [],
    /// A failed run is reopened only when that is asked for.
    a_failed_run_is_reopened_only_when_asked [],
    /// The lapses of a failed run are forgotten when it is reopened, and counted anew from then on.
    a_reopened_run_has_no_lapses [],
    /// A finished run is first a run that exists, then one of a manifest, and only then one that has finished.
    refusals_of_a_finished_run_come_in_order [],
}

async fn the_same_open_id_answers_the_same_fence(ctx: &Context) -> Verdict {
    let run = ctx.run("asked-twice");
    let created = ctx.creating();
    let first = ctx.a.open(&run, created.clone()).await?;
    let again = ctx.unchanged(&run, async { Ok(ctx.a.open(&run, created).await?) }).await?;
    expect_eq("the fence of the repeated open", again.fence, first.fence)?;
    expect_eq("its version and lease", (again.head.version, &again.head.lease), (1, &first.head.lease))?;
    let resumed = ctx.resuming().over(first.fence);
    let second = ctx.a.open(&run, resumed.clone()).await?;
    expect("the takeover has a fence of its own", second.fence.supersedes(first.fence), second.fence)?;
    ctx.pass(Duration::from_millis(2)).await;
    let again = ctx.unchanged(&run, async { Ok(ctx.a.open(&run, resumed).await?) }).await?;
    expect_eq("the fence of the repeated takeover", again.fence, second.fence)?;
    expect_eq("its lapses", again.head.lapses, second.head.lapses)
}

async fn the_same_open_id_answers_on_every_handle(ctx: &Context) -> Verdict {
    let run = ctx.run("asked-twice");
    let created = ctx.creating();
    let first = ctx.a.open(&run, created.clone()).await?;
    let reopened = ctx.reopen().await?;
    for store in [&ctx.b, &reopened] {
        let again = store.open(&run, created.clone()).await?;
        expect_eq("fence and created", (again.fence, again.created), (first.fence, true))?;
    }
    let resumed = ctx.resuming().over(first.fence);
    let second = ctx.a.open(&run, resumed.clone()).await?;
    let again = reopened.open(&run, resumed).await?;
    expect_eq("fence and created", (again.fence, again.created), (second.fence, false))
}

async fn one_open_sent_16_times_at_once_opens_once(ctx: &Context) -> Verdict {
    let run = ctx.run("asked-often");
    let open = ctx.creating();
    let answers = ctx
        .race(16, |_, store| {
            let (run, open) = (run.clone(), open.clone());
            async move { store.open(&run, open).await }
        })
        .await?;
    let head = ctx.head(&run).await?;
    expect_eq("version and epoch", (head.version, head.fence.epoch), (1, 1))?;
    for answer in answers {
        let opened = answer?;
        expect_eq("fence and created", (opened.fence, opened.created), (head.fence, true))?;
    }
    let another = ctx.b.open(&run, ctx.resuming()).await;
    refused("an open with another id", another, ErrorKind::LeaseHeld).map(drop)
}

async fn the_same_open_id_after_a_renewal_and_a_message(ctx: &Context) -> Verdict {
    let run = ctx.run("quiet");
    let open = ctx.creating();
    let first = ctx.a.open(&run, open.clone()).await?;
    let another = ctx.b.open(&run, ctx.resuming()).await;
    refused("another open", another, ErrorKind::LeaseHeld)?;
    ctx.b.renew(&run, Renew::new(first.fence, ctx.long() * 2).note(Note::default())).await?;
    if ctx.capabilities.supports_inbox() {
        ctx.b.send(&run, ctx.message("key", "body")).await?;
    }
    let again = ctx.unchanged(&run, async { Ok(ctx.b.open(&run, open).await?) }).await?;
    expect_eq("fence and created", (again.fence, again.created), (first.fence, true))?;
    expect_eq("its lease is the renewed one", again.head.lease, ctx.head(&run).await?.lease)
}

async fn the_same_open_id_after_its_lease_starts_none(ctx: &Context) -> Verdict {
    let run = ctx.run("late");
    let mut open = ctx.creating().ttl(ctx.brief());
    for epoch in 1..=2 {
        let first = ctx.a.open(&run, open.clone()).await?;
        expect_eq("epoch and lapses", (first.fence.epoch, first.head.lapses), (epoch, 0))?;
        ctx.expire().await;
        ctx.unchanged(&run, async {
            for store in [&ctx.a, &ctx.b] {
                let again = store.open(&run, open.clone()).await?;
                expect_eq("fence and created", (again.fence, again.created), (first.fence, epoch == 1))?;
                expect_eq("the lease that it tells", &again.head.lease, &first.head.lease)?;
                expect_eq("its status", again.head.status(), Status::Interrupted)?;
            }
            Ok(())
        })
        .await?;
        // Let go of, so that the next open is no lapse.
        ctx.commit(&mut Driver::of(&first), |commit| commit.release(Wake::now())).await?;
        open = ctx.resuming().ttl(ctx.brief());
    }
    Ok(())
}

async fn the_same_open_id_after_a_commit_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("went-on");
    let open = Open { mode: Mode::CreateOrResume, ..ctx.creating() };
    let mut driver = Driver::of(&ctx.a.open(&run, open.clone()).await?);
    ctx.commit(&mut driver, |commit| commit.advances()).await?;
    ctx.unchanged(&run, async {
        refused("the repeated open", ctx.b.open(&run, open).await, ErrorKind::LeaseHeld)
    })
    .await
    .map(drop)
}

async fn the_same_open_id_after_another_open_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("taken-over");
    let open = Open { mode: Mode::CreateOrResume, ..ctx.creating() };
    let first = ctx.a.open(&run, open.clone()).await?;
    ctx.b.open(&run, ctx.resuming().over(first.fence)).await?;
    ctx.unchanged(&run, async {
        refused("the repeated open", ctx.a.open(&run, open).await, ErrorKind::LeaseHeld)
    })
    .await
    .map(drop)
}

fn completed() -> Outcome {
    Outcome::Completed { output: "the output \0 \u{1f600}".into() }
}

fn failed() -> Outcome {
    Outcome::Failed { failure: Failure::new(FailureKind::TimedOut, "too slow") }
}

async fn a_completed_run_answers_its_outcome(ctx: &Context) -> Verdict {
    let run = ctx.run("completed");
    let mut driver = ctx.create(&run).await?;
    ctx.commit(&mut driver, |commit| commit.finish(completed(), Retain::Keep)).await?;
    let head = ctx.head(&run).await?;
    expect_eq("its outcome", &head.outcome, &Some(completed()))?;
    expect_eq("its lease and its due", (&head.lease, head.due), (&None, None))?;
    ctx.unchanged(&run, async {
        let create_or_resume = Open { mode: Mode::CreateOrResume, ..ctx.creating() };
        for open in [
            ctx.resuming(),
            create_or_resume,
            ctx.resuming().over(driver.fence),
            ctx.resuming().reopen_failed(),
        ] {
            let finished = Refusal::Finished { outcome: completed() };
            refused_as("an open of a completed run", ctx.b.open(&run, open).await, finished)?;
        }
        Ok(())
    })
    .await
}

async fn a_reopened_run_has_no_lapses(ctx: &Context) -> Verdict {
    let run = ctx.run("poisoned");
    let mut driver = ctx.create(&run).await?;
    for lapses in 1..=3 {
        let opened = ctx.b.open(&run, ctx.resuming().over(driver.fence)).await?;
        expect_eq("lapses", opened.head.lapses, lapses)?;
        driver = Driver::of(&opened);
    }
    ctx.commit(&mut driver, |commit| commit.finish(failed(), Retain::Keep)).await?;
    expect_eq("lapses of the failed run", ctx.head(&run).await?.lapses, 3)?;
    let opened = ctx.b.open(&run, ctx.resuming().reopen_failed()).await?;
    expect_eq("lapses of the reopened run", opened.head.lapses, 0)?;
    let opened = ctx.a.open(&run, ctx.resuming().over(opened.fence)).await?;
    expect_eq("lapses after the next takeover", opened.head.lapses, 1)
}

async fn a_failed_run_is_reopened_only_when_asked(ctx: &Context) -> Verdict {
    let run = ctx.run("failed");
    let mut driver = ctx.create(&run).await?;
    ctx.commit(&mut driver, |commit| commit.finish(failed(), Retain::Delete)).await?;
    expect("it may be deleted", ctx.head(&run).await?.delete_after.is_some(), ())?;
    ctx.unchanged(&run, async {
        let finished = Refusal::Finished { outcome: failed() };
        refused_as("an open of a failed run", ctx.b.open(&run, ctx.resuming()).await, finished)
    })
    .await?;
    let opened = ctx.b.open(&run, ctx.resuming().reopen_failed()).await?;
    expect_eq("epoch and version", (opened.fence.epoch, opened.head.version), (2, 3))?;
    let head = ctx.head(&run).await?;
    expect_eq("its outcome and when it may be deleted", (&head.outcome, head.delete_after), (&None, None))?;
    expect_eq("its lapses and its status", (head.lapses, head.status()), (0, Status::Running))
}

async fn refusals_of_a_finished_run_come_in_order(ctx: &Context) -> Verdict {
    let run = ctx.run("finished");
    let mut driver = ctx.create(&run).await?;
    ctx.commit(&mut driver, |commit| commit.finish(failed(), Retain::Keep)).await?;
    ctx.unchanged(&run, async {
        let (stored, given) = (Manifest::of(b"case"), Manifest::of(b"another"));
        let create = ctx.creating().manifest(given).reopen_failed();
        refused_as("Create", ctx.a.open(&run, create).await, Refusal::AlreadyExists)?;
        let resume = ctx.resuming().manifest(given).reopen_failed();
        let mismatch = Refusal::ManifestMismatch { stored, given };
        refused_as("another manifest", ctx.a.open(&run, resume).await, mismatch)
    })
    .await
}
