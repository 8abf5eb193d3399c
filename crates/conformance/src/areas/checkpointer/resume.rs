//! Going on from what is stored.

use super::*;

cases! { checkpointer:
    /// Snapshot and tail equal the full replay, for every cut and every position of the snapshot.
    snapshot_and_tail_equal_the_full_replay [Log, TailStream, Snapshots],
    /// Any cut of a log can be read again: the newest state at or before it.
    every_cut_has_its_state [Log],
    /// A run that was just created starts from nothing; one that has saved nothing starts from no state.
    a_run_without_a_state_starts_from_none [],
    /// A run is resumed by another handle, any number of times, from its newest state.
    a_run_is_resumed_by_another_handle [],
    /// A resume gives the program's own records after the restored state, and none before it.
    a_resume_gives_the_records_after_the_state [Log],
    /// A run is resumed by its manifest: another one is refused and changes nothing.
    another_manifest_is_refused [],
    /// Beginning a run that exists is refused unless resuming is asked for.
    a_run_that_exists_is_not_begun_again [],
    /// A run that somebody drives is refused, under any availability.
    a_driven_run_is_refused [],
    /// Resuming a run that is not there is refused, and creates nothing.
    a_run_that_is_not_there_is_not_resumed [],
    /// A finished run answers its outcome and is not driven.
    a_finished_run_answers_its_outcome [],
    /// A failed run is begun again when that is asked for, from where it was.
    a_failed_run_is_reopened_on_purpose [],
    /// After a takeover every write of the old checkpointer is `Fenced`, and nothing of it is in the run.
    after_a_takeover_the_old_one_is_fenced [],
}

async fn snapshot_and_tail_equal_the_full_replay(ctx: &Context) -> Verdict {
    const SAVES: u64 = 6;
    let whole = Reduced::over(&ctx.b, &[Capability::Snapshots]);
    for position in 0..=SAVES {
        let run = ctx.run(&format!("at-{position}"));
        let mut driver = drive(ctx, &checkpoints(ctx).snapshots(SnapshotPolicy::Manual), &run).await?;
        for step in 1..=SAVES {
            let next = Bytes::from(format!("{}", step * 1_000_001));
            match step == position {
                true => driver.checkpoint(next).await.map(drop),
                false => driver.save(next).await.map(drop),
            }?;
        }
        let kept = ctx.head(&run).await?.snapshots;
        expect_eq("the snapshot", kept.first().copied().unwrap_or(0), position)?;
        for cut in 0..=SAVES {
            let expected = (cut > 0).then_some(cut * 1_000_001);
            let full: Option<u64> = state_at(&whole, &run, Some(cut), Raw).await?;
            let short: Option<u64> = state_at(&*ctx.b, &run, Some(cut), Raw).await?;
            expect_eq(&format!("cut {cut}, snapshot {position}"), (short, full), (expected, expected))?;
        }
        driver.release(Wake::now()).await?;
        let mut driver = drive(ctx, &over(ctx, ctx.b.clone()), &run).await?;
        let found = restored(&mut *driver)?;
        let expected = Bytes::from(format!("{}", SAVES * 1_000_001));
        expect_eq("what a resume starts from", (found.state, found.cursor), (Some(expected), SAVES))?;
    }
    Ok(())
}

async fn every_cut_has_its_state(ctx: &Context) -> Verdict {
    let run = ctx.run("run");
    let mut driver = drive(ctx, &checkpoints(ctx), &run).await?;
    for step in 1..=4 {
        driver.append(vec![record(step)]).await?;
        driver.save(state(step)).await?;
    }
    for cut in 0..=9u64 {
        let expected = Some(cut.min(8) / 2).filter(|step| *step > 0);
        for store in [&ctx.a, &ctx.b] {
            let stored: Option<u64> = state_at(&**store, &run, Some(cut), Raw).await?;
            expect_eq(&format!("the state at {cut}"), stored, expected)?;
        }
    }
    let unknown = state_at::<u64, _>(&*ctx.b, &ctx.run("unknown"), None, Raw).await;
    refused_as("the state of a run that is not there", unknown, Refusal::NotFound)
}

async fn a_run_without_a_state_starts_from_none(ctx: &Context) -> Verdict {
    let run = ctx.run("run");
    let mut driver = drive(ctx, &checkpoints(ctx), &run).await?;
    expect_eq("what a run that was just created starts from", driver.restored(), None)?;
    expect_eq("its cursor", driver.cursor(), 0)?;
    expect_eq("its run", driver.run(), Some(&run))?;
    expect_eq("its fence", driver.fence(), Some(ctx.head(&run).await?.fence))?;
    expect_eq("what the store offers", driver.capabilities(), ctx.capabilities)?;
    driver.release(Wake::now()).await?;
    let mut driver = drive(ctx, &checkpoints(ctx), &run).await?;
    expect_eq("what a resumed one starts from", driver.restored(), Some(Restored::default()))?;
    expect_eq("the state of the store", newest(ctx, &run).await?, None)
}

async fn a_run_is_resumed_by_another_handle(ctx: &Context) -> Verdict {
    let run = ctx.run("run");
    let third = ctx.reopen().await?;
    for (round, store) in (1..).zip([&ctx.a, &ctx.b, &third, &ctx.a]) {
        let mut driver = drive(ctx, &over(ctx, store.clone()), &run).await?;
        if round > 1 {
            let found = restored(&mut *driver)?;
            let expected = (Some(state(round - 1)), cursor(ctx, round - 1));
            expect_eq("what it starts from", (found.state, found.cursor), expected)?;
        }
        let epoch = driver.fence().map(|fence| fence.epoch);
        expect_eq("its epoch", epoch, Some(round))?;
        expect_eq("a save", driver.save(state(round)).await?, persisted(ctx, round))?;
        driver.release(Wake::now()).await?;
    }
    expect_eq("the newest state", newest(ctx, &run).await?, Some(4))
}

async fn a_resume_gives_the_records_after_the_state(ctx: &Context) -> Verdict {
    let run = ctx.run("run");
    let mut driver = drive(ctx, &checkpoints(ctx), &run).await?;
    driver.append(vec![record(1), record(2)]).await?;
    driver.save(state(1)).await?;
    expect_eq("the cursor of an append", driver.append(vec![record(3), record(4)]).await?, 5)?;
    driver.release(Wake::now()).await?;
    let mut driver = drive(ctx, &over(ctx, ctx.b.clone()), &run).await?;
    let Restored { state: found, cursor, records } = restored(&mut *driver)?;
    expect_eq("what it starts from, asked for again", driver.restored(), None)?;
    expect_eq("state and cursor", (found, cursor), (Some(state(1)), 3))?;
    let tail: Vec<_> = records.into_iter().map(|record| (record.cursor, record.body)).collect();
    expect_eq("the records after it", tail, [(4, record(3).body), (5, record(4).body)])
}

async fn another_manifest_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("run");
    let mut driver = drive(ctx, &checkpoints(ctx), &run).await?;
    driver.save(state(1)).await?;
    driver.release(Wake::now()).await?;
    ctx.unchanged(&run, async {
        for availability in [Availability::Required, Availability::BestEffort] {
            let other = Begin { manifest: Manifest::of(b"other"), ..begin(&run) };
            let answer = ctx.checkpointers(checkpoints(ctx).availability(availability)).begin(other).await;
            refused("a run with another manifest", answer, ErrorKind::ManifestMismatch)?;
        }
        Ok(())
    })
    .await?;
    let mut driver = driven(ctx.checkpointers(checkpoints(ctx)).resume(&run).await?)?;
    expect_eq("what an operator resumes", restored(&mut *driver)?.state, Some(state(1)))
}

async fn a_run_that_exists_is_not_begun_again(ctx: &Context) -> Verdict {
    let run = ctx.run("run");
    drive(ctx, &checkpoints(ctx), &run).await?.release(Wake::now()).await?;
    ctx.unchanged(&run, async {
        let begin = Begin { mode: Mode::Create, ..begin(&run) };
        let answer =
            ctx.checkpointers(checkpoints(ctx).availability(Availability::BestEffort)).begin(begin).await;
        refused_as("beginning a run that exists", answer, Refusal::AlreadyExists)
    })
    .await
}

async fn a_driven_run_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("run");
    let mut driver = drive(ctx, &checkpoints(ctx), &run).await?;
    ctx.unchanged(&run, async {
        for availability in [Availability::Required, Availability::BestEffort] {
            let others = ctx.checkpointers(over(ctx, ctx.b.clone()).availability(availability));
            refused("a driven run", others.begin(begin(&run)).await, ErrorKind::LeaseHeld)?;
            refused("a driven run", others.resume(&run).await, ErrorKind::LeaseHeld)?;
        }
        Ok(())
    })
    .await?;
    expect_eq("its driver's save", driver.save(state(1)).await?, persisted(ctx, 1))
}

async fn a_run_that_is_not_there_is_not_resumed(ctx: &Context) -> Verdict {
    let (run, there) = (ctx.run("unknown"), ctx.run("there"));
    let factory = checkpoints(ctx).availability(Availability::BestEffort);
    refused_as(
        "a run that is not there",
        ctx.checkpointers(factory.clone()).resume(&run).await,
        Refusal::NotFound,
    )?;
    expect_eq("its head", ctx.b.head(&run).await?, None)?;
    drive(ctx, &factory, &there).await?.release(Wake::now()).await?;
    driven(ctx.checkpointers(factory).resume(&there).await?).map(drop)
}

/// Ends a run and begins it again.
async fn ended(ctx: &Context, run: &RunId, outcome: &Outcome) -> Verdict<Begun> {
    let mut driver = drive(ctx, &checkpoints(ctx), run).await?;
    driver.save(state(1)).await?;
    match outcome.clone() {
        Outcome::Completed { output } => driver.complete(output).await?,
        Outcome::Failed { failure } => driver.fail(failure).await?,
    }
    Ok(ctx.checkpointers(over(ctx, ctx.b.clone())).begin(begin(run)).await?)
}

async fn a_finished_run_answers_its_outcome(ctx: &Context) -> Verdict {
    let completed = Outcome::Completed { output: Bytes::from_static(b"the output") };
    let failed = Outcome::Failed { failure: Failure::new(FailureKind::TimedOut, "too late") };
    for (label, outcome) in [("completed", completed), ("failed", failed)] {
        let run = ctx.run(label);
        let answers =
            [ended(ctx, &run, &outcome).await?, ctx.checkpointers(checkpoints(ctx)).resume(&run).await?];
        for answer in answers {
            match answer {
                Begun::Finished(found) => expect_eq("the outcome", &found, &outcome)?,
                other => return Err(Broken::new("a finished run", "Finished", format!("{other:?}"))),
            }
        }
        let typed = checkpoints(ctx).begin_state_in(Json, begin(&run), || 0u64).await?;
        let finished = matches!(&typed, Started::Finished(found) if *found == outcome);
        expect("a typed handle answers it too", finished, &typed)?;
        expect_eq("the outcome in the store", ctx.head(&run).await?.outcome, Some(outcome))?;
    }
    Ok(())
}

async fn a_failed_run_is_reopened_on_purpose(ctx: &Context) -> Verdict {
    let run = ctx.run("failed");
    let failed = Outcome::Failed { failure: Failure::new(FailureKind::Error, "broken") };
    ended(ctx, &run, &failed).await?;
    let mut driver = driven(ctx.checkpointers(checkpoints(ctx)).begin(begin(&run).reopen_failed()).await?)?;
    expect_eq("what it starts from", restored(&mut *driver)?.state, Some(state(1)))?;
    expect_eq("its status", ctx.head(&run).await?.status(), Status::Running)?;
    driver.complete(Bytes::new()).await?;
    expect_eq("its status", ctx.head(&run).await?.status(), Status::Completed)
}

async fn after_a_takeover_the_old_one_is_fenced(ctx: &Context) -> Verdict {
    let (run, clock) = (ctx.run("run"), clock());
    let throttle = Duration::from_secs(10);
    let mut old = drive(ctx, &checkpoints(ctx).throttle(throttle).clock(clock.clone()), &run).await?;
    old.save(state(1)).await?;
    expect_eq("a save at once", old.save(state(666)).await?, Saved::Throttled)?;
    let fence = ctx.head(&run).await?.fence;
    let mut new = driven(ctx.checkpointers(over(ctx, ctx.b.clone())).begin(begin(&run).over(fence)).await?)?;
    expect_eq("what the successor starts from", restored(&mut *new)?.state, Some(state(1)))?;
    new.save(state(2)).await?;
    clock.advance(throttle);
    ctx.unchanged(&run, async {
        refused("a flush", old.flush().await, ErrorKind::Fenced)?;
        refused("a save", old.save(state(667)).await, ErrorKind::Fenced)?;
        refused("a checkpoint", old.checkpoint(state(668)).await, ErrorKind::Fenced)?;
        if ctx.capabilities.supports_log() {
            refused("an append", old.append(vec![record(666)]).await, ErrorKind::Fenced)?;
        }
        refused("a renewal", old.renew().await, ErrorKind::Fenced)?;
        refused("a release", old.release(Wake::now()).await, ErrorKind::Fenced)?;
        refused("a completion", old.complete(Bytes::new()).await, ErrorKind::Fenced)?;
        let failure = Failure::new(FailureKind::Error, "late");
        refused("a failure", old.fail(failure).await, ErrorKind::Fenced).map(drop)
    })
    .await?;
    new.save(state(3)).await?;
    expect_eq("the records of the program", own_records(ctx, &run).await?, [""; 0])?;
    expect_eq("the newest state", newest(ctx, &run).await?, Some(3))?;
    expect_eq("the cursor", ctx.head(&run).await?.cursor, cursor(ctx, 3))
}
