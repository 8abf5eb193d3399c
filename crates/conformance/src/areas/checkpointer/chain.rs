//! The digest chain over a run's log, as it comes back from the store.

use super::*;

cases! { checkpointer:
    /// A healthy run verifies from end to end, whoever has written its parts.
    a_healthy_run_verifies [Log],
    /// A state record that was appended to another log is `Corrupt`: verify says so, and a resume gives no older state.
    a_record_of_another_log_is_corrupt [Log],
    /// A log without the states before a patch is `Corrupt`, never another state.
    a_patch_without_its_base_is_corrupt [Log],
}

/// Three handles, one after another, each with records of the program's own and a state.
async fn written(ctx: &Context, run: &RunId) -> Verdict {
    for (round, store) in (1..).zip([&ctx.a, &ctx.b, &ctx.a]) {
        let mut driver = drive(ctx, &over(ctx, store.clone()), run).await?;
        driver.append(vec![record(round), record(round + 100)]).await?;
        driver.save(state(round)).await?;
        driver.release(Wake::now()).await?;
    }
    Ok(())
}

async fn a_healthy_run_verifies(ctx: &Context) -> Verdict {
    let run = ctx.run("healthy");
    written(ctx, &run).await?;
    for store in [&ctx.a, &ctx.b, &ctx.reopen().await?] {
        expect_eq("how many records verify has read", verify(&**store, &run, Raw).await?, 9)?;
    }
    let unknown = verify(&*ctx.b, &ctx.run("unknown"), Raw).await;
    refused_as("verify of a run that is not there", unknown, Refusal::NotFound)
}

/// Appends a body as a state, by the run's own right but past its checkpointer.
async fn forge(ctx: &Context, run: &RunId, body: Bytes) -> Verdict {
    let mut driver = ctx.resume(run).await?;
    let forged = NewRecord::new(Kind::from_static("milepost/state"), body);
    ctx.commit(&mut driver, |commit| commit.record(forged).release(Wake::now())).await?;
    fails("verify", verify(&*ctx.b, run, Raw).await, ErrorKind::Corrupt)?;
    fails(
        "a resume",
        ctx.checkpointers(over(ctx, ctx.b.clone())).begin(begin(run)).await,
        ErrorKind::Corrupt,
    )?;
    expect_eq("its status then", ctx.head(run).await?.status(), Status::Interrupted)
}

async fn a_record_of_another_log_is_corrupt(ctx: &Context) -> Verdict {
    let run = ctx.run("forged");
    written(ctx, &run).await?;
    let records = collect(ctx.b.stream(&run, Span::all())).await?;
    let older = records.into_iter().find(|record| record.kind.as_str().starts_with("milepost/"));
    let older = older.ok_or_else(|| Broken::new("the first state record", "one", "None"))?;
    forge(ctx, &run, older.body).await?;
    let before: Option<u64> = state_at(&*ctx.b, &run, Some(9), Raw).await?;
    expect_eq("the state before what was forged", before, Some(3))
}

async fn a_patch_without_its_base_is_corrupt(ctx: &Context) -> Verdict {
    let (run, other) = (ctx.run("forged"), ctx.run("other"));
    let dice = Dice(ctx);
    let mut handle = drive(ctx, &checkpoints(ctx), &other).await?;
    let mut large = dice.bytes(room(ctx, 4 << 10));
    handle.save(large.clone().into()).await?;
    large[0] ^= 1;
    handle.save(large.clone().into()).await?;
    let patch = collect(ctx.b.stream(&other, Span::all())).await?.pop();
    let patch = patch.ok_or_else(|| Broken::new("the patch", "one", "None"))?;
    expect("it is a patch", patch.body.len() < large.len() / 2, patch.body.len())?;
    drive(ctx, &checkpoints(ctx), &run).await?.release(Wake::now()).await?;
    forge(ctx, &run, patch.body).await
}
