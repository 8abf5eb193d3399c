//! What may be resumed now.

use std::collections::BTreeSet;

use super::*;

cases! { checkpointer:
    /// A run that was released and one whose lease has run out are interrupted; driven, waiting, completed and failed
    /// ones are not.
    released_and_expired_runs_are_interrupted [List],
    /// What is interrupted can be resumed by who knows nothing else of it, and is not interrupted then.
    what_is_interrupted_can_be_resumed [List],
    /// A completed or failed run is not interrupted from the moment on at which its end returns.
    a_run_that_has_ended_is_not_interrupted [List],
}

async fn interrupted(ctx: &Context) -> Verdict<BTreeSet<RunId>> {
    let heads = collect(ctx.checkpointers(over(ctx, ctx.b.clone())).interrupted()).await?;
    Ok(heads.into_iter().map(|head| head.run).collect())
}

async fn released_and_expired_runs_are_interrupted(ctx: &Context) -> Verdict {
    let mut drivers = Vec::new();
    for label in ["released", "waiting", "completed", "failed", "expired", "driven"] {
        let run = ctx.run(label);
        let ttl = if label == "expired" { ctx.brief() } else { ctx.long() };
        let mut driver = drive(ctx, &checkpoints(ctx).ttl(ttl), &run).await?;
        driver.save(state(1)).await?;
        match label {
            "released" => driver.release(Wake::now()).await?,
            "waiting" => {
                let at = ctx.head(&run).await?.at + Duration::from_secs(3600);
                driver.release(Wake::at(at)).await?;
            }
            "completed" => driver.complete(Bytes::new()).await?,
            "failed" => driver.fail(Failure::new(FailureKind::Error, "broken")).await?,
            _ => drivers.push(driver),
        }
    }
    expect_eq("what is interrupted at first", interrupted(ctx).await?, [ctx.run("released")].into())?;
    ctx.expire().await;
    let both = [ctx.run("expired"), ctx.run("released")].into();
    expect_eq("what is interrupted once a lease has run out", interrupted(ctx).await?, both)
}

async fn what_is_interrupted_can_be_resumed(ctx: &Context) -> Verdict {
    for number in 1..=5 {
        let mut driver = drive(ctx, &checkpoints(ctx), &ctx.run(&format!("run-{number}"))).await?;
        driver.save(state(number)).await?;
        driver.release(Wake::now()).await?;
    }
    let factory = ctx.checkpointers(over(ctx, ctx.b.clone()));
    let heads = collect(factory.interrupted()).await?;
    expect_eq("how many are interrupted", heads.len(), 5)?;
    let mut states = BTreeSet::new();
    let mut drivers = Vec::new();
    for head in heads {
        expect_eq("the handler of its info", head.info.name.as_str(), "case")?;
        let mut driver = driven(factory.resume(&head.run).await?)?;
        states.extend(restored(&mut *driver)?.state);
        drivers.push(driver);
    }
    expect_eq("their states", states, (1..=5).map(state).collect())?;
    expect_eq("what is interrupted then", interrupted(ctx).await?, BTreeSet::new())
}

async fn a_run_that_has_ended_is_not_interrupted(ctx: &Context) -> Verdict {
    for completes in [true, false] {
        let run = ctx.run(if completes { "completed" } else { "failed" });
        drive(ctx, &checkpoints(ctx), &run).await?.release(Wake::now()).await?;
        expect_eq("what is interrupted", interrupted(ctx).await?, [run.clone()].into())?;
        let mut driver = drive(ctx, &checkpoints(ctx), &run).await?;
        match completes {
            true => driver.complete(Bytes::new()).await,
            false => driver.fail(Failure::new(FailureKind::Operator, "ended")).await,
        }?;
        expect_eq("what is interrupted then", interrupted(ctx).await?, BTreeSet::new())?;
    }
    Ok(())
}
