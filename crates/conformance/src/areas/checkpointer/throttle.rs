//! Saving at most so often, and losing nothing by it.

use super::*;

cases! { checkpointer:
    /// The first save of a handle is never throttled, whatever another handle has saved before.
    the_first_save_is_never_throttled [],
    /// A save is throttled while less than the throttle has passed since the last one that succeeded; exactly equal saves.
    elapsed_equal_to_the_throttle_saves [],
    /// A failed save throttles nothing and keeps what is pending: the next call writes it.
    a_failed_save_throttles_nothing_and_stays_pending [],
    /// A wall clock that is set, back or forward, neither holds a save back nor lets one through.
    a_wall_clock_that_is_set_changes_nothing [],
    /// Two runs of one factory throttle apart.
    two_runs_throttle_apart [],
    /// A state that the throttle has kept for later is written by a flush.
    a_throttled_state_is_written_by_flush [],
    /// A state that the throttle has kept for later is written by a release.
    a_throttled_state_is_written_by_release [],
    /// A state that the throttle has kept for later is written by a completion, with the outcome.
    a_throttled_state_is_written_by_complete [],
    /// A state that the throttle has kept for later is written by a failure, with the outcome.
    a_throttled_state_is_written_by_fail [],
    /// A checkpoint is never throttled.
    a_checkpoint_is_never_throttled [],
    /// An append is never throttled, and does not throttle the next save.
    an_append_is_never_throttled [Log],
    /// A state that equals the persisted one writes nothing, whichever handle has persisted it.
    an_unchanged_state_writes_nothing [],
}

const THROTTLE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_micros(1);

async fn the_first_save_is_never_throttled(ctx: &Context) -> Verdict {
    let (run, clock) = (ctx.run("throttled"), clock());
    let checkpoints = checkpoints(ctx).throttle(THROTTLE).clock(clock);
    let mut first = drive(ctx, &checkpoints, &run).await?;
    expect_eq("the first save", first.save(state(1)).await?, persisted(ctx, 1))?;
    first.release(Wake::now()).await?;
    let mut second = drive(ctx, &checkpoints, &run).await?;
    expect_eq("the first save of the next handle", second.save(state(2)).await?, persisted(ctx, 2))?;
    expect_eq("the newest state", newest(ctx, &run).await?, Some(2))
}

async fn elapsed_equal_to_the_throttle_saves(ctx: &Context) -> Verdict {
    let (run, clock) = (ctx.run("throttled"), clock());
    let mut driver = drive(ctx, &checkpoints(ctx).throttle(THROTTLE).clock(clock.clone()), &run).await?;
    driver.save(state(0)).await?;
    for round in 1..=3 {
        ctx.unchanged(&run, async {
            expect_eq("a save at once", driver.save(state(100)).await?, Saved::Throttled)?;
            clock.advance(THROTTLE - TICK);
            expect_eq("a save just before the throttle", driver.save(state(101)).await?, Saved::Throttled)
        })
        .await?;
        clock.advance(TICK);
        expect_eq("a save at the throttle", driver.save(state(round)).await?, persisted(ctx, round + 1))?;
        expect_eq("the newest state", newest(ctx, &run).await?, Some(round))?;
    }
    Ok(())
}

async fn a_failed_save_throttles_nothing_and_stays_pending(ctx: &Context) -> Verdict {
    let (run, clock) = (ctx.run("throttled"), clock());
    let store = Faults::new(ctx.a.clone(), FaultPlan::none());
    let mut driver =
        drive(ctx, &over(ctx, store.clone()).throttle(THROTTLE).clock(clock.clone()), &run).await?;
    store.arm(FaultPlan::none().at(1, Fate::Refused));
    fails("a save that is refused", driver.save(state(1)).await, ErrorKind::Unavailable)?;
    expect_eq("what is stored then", newest(ctx, &run).await?, None)?;
    expect_eq("the next save, at once", driver.save(state(2)).await?, persisted(ctx, 1))?;
    for fate in [Fate::Refused, Fate::Lost] {
        let before = newest(ctx, &run).await?.unwrap_or_default();
        clock.advance(THROTTLE);
        store.arm(FaultPlan::none().at(1, fate));
        expect("a save fails", driver.save(state(before + 1)).await.is_err(), fate)?;
        driver.flush().await?;
        expect_eq("what a flush has written", newest(ctx, &run).await?, Some(before + 1))?;
    }
    Ok(())
}

async fn a_wall_clock_that_is_set_changes_nothing(ctx: &Context) -> Verdict {
    let (run, clock) = (ctx.run("throttled"), clock());
    let mut driver = drive(ctx, &checkpoints(ctx).throttle(THROTTLE).clock(clock.clone()), &run).await?;
    driver.save(state(1)).await?;
    clock.jump(Timestamp(0));
    clock.advance(THROTTLE);
    expect_eq("a save after the wall clock was set back", driver.save(state(2)).await?, persisted(ctx, 2))?;
    clock.jump(Timestamp(3_000_000_000_000_000));
    expect_eq("a save after it was set forward", driver.save(state(3)).await?, Saved::Throttled)?;
    expect_eq("the newest state", newest(ctx, &run).await?, Some(2))
}

async fn two_runs_throttle_apart(ctx: &Context) -> Verdict {
    let checkpoints = checkpoints(ctx).throttle(THROTTLE).clock(clock());
    let (one, other) = (ctx.run("one"), ctx.run("other"));
    let mut first = drive(ctx, &checkpoints, &one).await?;
    let mut second = drive(ctx, &checkpoints, &other).await?;
    expect_eq("the first run's save", first.save(state(1)).await?, persisted(ctx, 1))?;
    expect_eq("the second run's save", second.save(state(2)).await?, persisted(ctx, 1))?;
    expect_eq("the first run's next", first.save(state(3)).await?, Saved::Throttled)?;
    expect_eq("what is stored of one", newest(ctx, &one).await?, Some(1))?;
    expect_eq("what is stored of the other", newest(ctx, &other).await?, Some(2))
}

/// A run whose newest two states are throttled.
async fn holding(ctx: &Context, run: &RunId) -> Verdict<Box<dyn Checkpointer>> {
    let mut driver = drive(ctx, &checkpoints(ctx).throttle(THROTTLE).clock(clock()), run).await?;
    driver.save(state(1)).await?;
    for held in [2, 3] {
        expect_eq("a save at once", driver.save(state(held)).await?, Saved::Throttled)?;
    }
    expect_eq("what is stored then", newest(ctx, run).await?, Some(1))?;
    Ok(driver)
}

/// The newest state must be there, written by one commit.
async fn written(ctx: &Context, run: &RunId, status: Status) -> Verdict {
    expect_eq("the newest state", newest(ctx, run).await?, Some(3))?;
    let head = ctx.head(run).await?;
    expect_eq("its status", head.status(), status)?;
    expect_eq("its version and cursor", (head.version, head.cursor), (3, cursor(ctx, 2)))
}

async fn a_throttled_state_is_written_by_flush(ctx: &Context) -> Verdict {
    let run = ctx.run("throttled");
    let mut driver = holding(ctx, &run).await?;
    expect_eq("a flush", driver.flush().await?, persisted(ctx, 2))?;
    written(ctx, &run, Status::Running).await?;
    expect_eq("a second flush", driver.flush().await?, Saved::Unchanged)
}

async fn a_throttled_state_is_written_by_release(ctx: &Context) -> Verdict {
    let run = ctx.run("throttled");
    holding(ctx, &run).await?.release(Wake::now()).await?;
    written(ctx, &run, Status::Interrupted).await
}

async fn a_throttled_state_is_written_by_complete(ctx: &Context) -> Verdict {
    let run = ctx.run("throttled");
    holding(ctx, &run).await?.complete(Bytes::from_static(b"output")).await?;
    written(ctx, &run, Status::Completed).await
}

async fn a_throttled_state_is_written_by_fail(ctx: &Context) -> Verdict {
    let run = ctx.run("throttled");
    holding(ctx, &run).await?.fail(Failure::new(FailureKind::Error, "broken")).await?;
    written(ctx, &run, Status::Failed).await
}

async fn a_checkpoint_is_never_throttled(ctx: &Context) -> Verdict {
    let run = ctx.run("throttled");
    let mut driver = drive(ctx, &checkpoints(ctx).throttle(THROTTLE).clock(clock()), &run).await?;
    for number in 1..=3 {
        let at = driver.checkpoint(state(number)).await?;
        expect_eq("the cursor of a checkpoint", at, cursor(ctx, number))?;
        expect_eq("the newest state", newest(ctx, &run).await?, Some(number))?;
    }
    expect_eq("a save right after it", driver.save(state(9)).await?, Saved::Throttled)
}

async fn an_append_is_never_throttled(ctx: &Context) -> Verdict {
    let run = ctx.run("throttled");
    let mut driver = drive(ctx, &checkpoints(ctx).throttle(THROTTLE).clock(clock()), &run).await?;
    expect_eq("an append", driver.append(vec![record(1)]).await?, 1)?;
    expect_eq("the first save", driver.save(state(1)).await?, persisted(ctx, 2))?;
    expect_eq("the next save", driver.save(state(2)).await?, Saved::Throttled)?;
    expect_eq("an append at once", driver.append(vec![record(2), record(3)]).await?, 4)?;
    let own = own_records(ctx, &run).await?;
    expect_eq("the records", own, [1, 2, 3].map(|number| record(number).body))?;
    expect_eq("the newest state", newest(ctx, &run).await?, Some(1))
}

async fn an_unchanged_state_writes_nothing(ctx: &Context) -> Verdict {
    let run = ctx.run("unchanged");
    let checkpoints = checkpoints(ctx);
    let mut driver = drive(ctx, &checkpoints, &run).await?;
    driver.save(state(1)).await?;
    ctx.unchanged(&run, async {
        expect_eq("the same state again", driver.save(state(1)).await?, Saved::Unchanged)?;
        expect_eq("a flush of nothing", driver.flush().await?, Saved::Unchanged)
    })
    .await?;
    driver.release(Wake::now()).await?;
    let mut driver = drive(ctx, &checkpoints, &run).await?;
    ctx.unchanged(&run, async {
        expect_eq("the restored state", driver.save(state(1)).await?, Saved::Unchanged)
    })
    .await?;
    expect_eq("another state", driver.save(state(2)).await?, persisted(ctx, 2))
}
