//! When a save is durable, and what a store out of reach does.

use std::future::Future;

use super::*;

cases! { checkpointer:
    /// A save that says `Persisted` is there for everybody when it returns.
    a_sync_save_is_there_when_it_returns [],
    /// `Required`: a store out of reach is an error of every call; nothing is said to be persisted, and no run begins.
    required_returns_the_error [],
    /// `BestEffort`: the run goes on, what could not be saved stays pending and is written once the store is back.
    best_effort_goes_on_and_makes_up_for_it [],
    /// `BestEffort`: a run that cannot begin goes on without durability; that is said, by `Off`.
    best_effort_says_that_a_run_is_off [],
    /// `BestEffort`: a run that may have begun does not go on without its log, for somebody would recover it.
    best_effort_leaves_no_run_that_may_be_there [],
    /// A refusal is returned under either availability.
    a_refusal_is_returned_under_either [],
    /// A run whose durability is switched off, in words, touches no store; asked for, it is never silently not there.
    off_touches_no_store [],
    /// `Async`: one newest state is under way and older ones are dropped.
    async_keeps_the_newest [],
    /// `Async`: a save waits when the oldest state that is not durable has waited for the lag.
    async_bounds_the_lag [],
    /// `Async`: an error comes with the next call, and what failed is written after all.
    async_surfaces_the_error [],
    /// `Async`: what could not be written in the background is written by a flush, exactly once.
    async_keeps_what_failed [],
    /// `Async`: each end takes along what waits.
    async_ends_with_the_newest [],
    /// `OnExit`: nothing is written until the run is flushed, released, completed or failed.
    on_exit_writes_at_the_exit [],
}

const LAG: Duration = Duration::from_secs(5);
const BACKGROUND: SaveMode = SaveMode::Async { max_lag: LAG };
const BOTH: [Availability; 2] = [Availability::Required, Availability::BestEffort];

fn failure() -> Failure {
    Failure::new(FailureKind::Error, "broken")
}

async fn a_sync_save_is_there_when_it_returns(ctx: &Context) -> Verdict {
    let run = ctx.run("sync");
    let mut driver = drive(ctx, &checkpoints(ctx), &run).await?;
    for step in 1..=20 {
        expect_eq("a save", driver.save(state(step)).await?, persisted(ctx, step))?;
        expect_eq("what the other handle reads", newest(ctx, &run).await?, Some(step))?;
    }
    Ok(())
}

async fn required_returns_the_error(ctx: &Context) -> Verdict {
    let run = ctx.run("required");
    let store = Faults::new(ctx.a.clone(), FaultPlan::none());
    let mut driver = drive(ctx, &over(ctx, store.clone()), &run).await?;
    driver.save(state(1)).await?;
    ctx.unchanged(&run, async {
        store.kill();
        let down = ErrorKind::Unavailable;
        fails("a save", driver.save(state(2)).await, down)?;
        fails("a checkpoint", driver.checkpoint(state(3)).await, down)?;
        fails("a flush", driver.flush().await, down)?;
        if ctx.capabilities.supports_log() {
            fails("an append", driver.append(vec![record(1)]).await, down)?;
        }
        fails("a renewal", driver.renew().await, down)?;
        fails("a completion", driver.complete(Bytes::new()).await, down)?;
        fails(
            "the beginning of another",
            ctx.checkpointers(over(ctx, store.clone())).begin(begin(&ctx.run("other"))).await,
            down,
        )
        .map(drop)
    })
    .await?;
    store.revive();
    driver.flush().await?;
    let records = if ctx.capabilities.supports_log() { vec![record(1).body] } else { vec![] };
    expect_eq("the records once it is back", own_records(ctx, &run).await?, records)?;
    expect_eq("the newest state once it is back", newest(ctx, &run).await?, Some(3))
}

async fn best_effort_goes_on_and_makes_up_for_it(ctx: &Context) -> Verdict {
    let run = ctx.run("effort");
    let store = Faults::new(ctx.a.clone(), FaultPlan::none());
    let effort = over(ctx, store.clone()).availability(Availability::BestEffort);
    let mut driver = drive(ctx, &effort, &run).await?;
    driver.save(state(1)).await?;
    ctx.unchanged(&run, async {
        store.kill();
        for step in 2..=4 {
            expect_eq("a save", driver.save(state(step)).await?, Saved::Throttled)?;
        }
        if ctx.capabilities.supports_log() {
            expect_eq("an append", driver.append(vec![record(1)]).await?, 1)?;
        }
        driver.renew().await?;
        let down = driver.complete(Bytes::new()).await;
        fails("a completion, which nobody may believe in", down, ErrorKind::Unavailable).map(drop)
    })
    .await?;
    store.revive();
    driver.flush().await?;
    let records = if ctx.capabilities.supports_log() { vec![record(1).body] } else { vec![] };
    expect_eq("the records once it is back", own_records(ctx, &run).await?, records)?;
    expect_eq("the newest state once it is back", newest(ctx, &run).await?, Some(4))
}

async fn best_effort_says_that_a_run_is_off(ctx: &Context) -> Verdict {
    let run = ctx.run("effort");
    let store = Faults::new(ctx.a.clone(), FaultPlan::none().at(1, Fate::Refused));
    let effort = over(ctx, store).availability(Availability::BestEffort);
    let begun = ctx.checkpointers(effort.clone()).begin(begin(&run)).await?;
    expect("a run that cannot begin is Off", matches!(begun, Begun::Off), &begun)?;
    expect_eq("its head", ctx.b.head(&run).await?, None)?;
    let mut driver = drive(ctx, &effort, &run).await?;
    driver.save(state(1)).await?;
    expect_eq("the newest state", newest(ctx, &run).await?, Some(1))
}

async fn best_effort_leaves_no_run_that_may_be_there(ctx: &Context) -> Verdict {
    for fate in [Fate::AckLost, Fate::Lost] {
        let run = ctx.run(&format!("{fate:?}"));
        // The same open is sent again, and that answer is lost, too.
        let store = Faults::new(ctx.a.clone(), FaultPlan::none().at(1, fate).at(2, fate));
        let effort = ctx.checkpointers(over(ctx, store).availability(Availability::BestEffort));
        let error = fails("a run that may be there", effort.begin(begin(&run)).await, ErrorKind::TimedOut)?;
        expect_eq("whether it began", error.applied(), Some(Applied::Maybe))?;
        expect_eq("whether it is there", ctx.b.head(&run).await?.is_some(), fate.happens())?;
    }
    Ok(())
}

async fn a_refusal_is_returned_under_either(ctx: &Context) -> Verdict {
    for availability in BOTH {
        let run = ctx.run(&format!("{availability:?}"));
        let mut old = drive(ctx, &checkpoints(ctx).availability(availability), &run).await?;
        old.save(state(1)).await?;
        let fence = ctx.head(&run).await?.fence;
        let mut new =
            driven(ctx.checkpointers(over(ctx, ctx.b.clone())).begin(begin(&run).over(fence)).await?)?;
        refused("a save of the old one", old.save(state(2)).await, ErrorKind::Fenced)?;
        refused("its renewal", old.renew().await, ErrorKind::Fenced)?;
        new.complete(Bytes::new()).await?;
        expect_eq("the newest state", newest(ctx, &run).await?, Some(1))?;

        let gone = ctx.run(&format!("gone-{availability:?}"));
        let mut driver = drive(ctx, &checkpoints(ctx).availability(availability), &gone).await?;
        expect("the run is there", ctx.b.delete(&gone, Delete::Any).await?, ())?;
        refused("a save of a deleted run", driver.save(state(1)).await, ErrorKind::NotFound)?;
    }
    Ok(())
}

async fn off_touches_no_store(ctx: &Context) -> Verdict {
    let run = ctx.run("off");
    let store = Counted::over(ctx.a.clone());
    let off = over(ctx, store.clone()).off();
    let begun = off.begin(begin(&run)).await?;
    expect("the answer is Off", matches!(begun, Begun::Off), &begun)?;
    let mut driver = started(off.begin_state(begin(&run), || 0u64).await?)?;
    expect_eq("an update", driver.update(|state| *state += 1).await?, Saved::Unchanged)?;
    driver.append(vec![record(1)]).await?;
    driver.flush().await?;
    driver.complete(&1u64).await?;
    expect_eq("its state and fence", (*driver.state(), driver.fence()), (1, None))?;
    expect_eq("what was called", store.calls(), [])?;
    expect_eq("its head", ctx.b.head(&run).await?, None)?;
    let mut driver = started(over(ctx, store.clone()).begin_state(begin(&run), || 0u64).await?)?;
    driver.update(|state| *state += 1).await?;
    let stored: Option<u64> = state_at(&*ctx.b, &run, None, Compact).await?;
    expect_eq("the same with durability", stored, Some(1))?;
    expect_eq("what was called", store.calls(), [Operation::Open, Operation::Commit])
}

/// A run that saves in the background, whose first commit is being held.
async fn held(
    ctx: &Context,
    run: &RunId,
    clock: Arc<ManualClock>,
) -> Verdict<(Faults<Arc<dyn Store>>, Box<dyn Checkpointer>)> {
    let store = Faults::new(ctx.a.clone(), FaultPlan::none());
    let mut driver = drive(ctx, &over(ctx, store.clone()).mode(BACKGROUND).clock(clock), run).await?;
    store.arm(FaultPlan::none().stall_at(1));
    expect_eq("a save in the background", driver.save(state(1)).await?, Saved::Persisted { cursor: 0 })?;
    store.stalled().await;
    Ok((store, driver))
}

async fn async_keeps_the_newest(ctx: &Context) -> Verdict {
    let run = ctx.run("async");
    let (store, mut driver) = held(ctx, &run, clock()).await?;
    for step in 2..=9 {
        driver.save(state(step)).await?;
    }
    expect_eq("what is stored while it is held", newest(ctx, &run).await?, None)?;
    store.thaw();
    driver.flush().await?;
    expect_eq("the newest state", newest(ctx, &run).await?, Some(9))?;
    expect_eq("how many commits there were", store.writes(), 2)?;
    expect_eq("the cursor", ctx.head(&run).await?.cursor, cursor(ctx, 2))
}

/// Does `work` while `store` lets go of what it holds: `work` may have to wait for that.
async fn thawing<T>(store: &Faults<Arc<dyn Store>>, work: impl Future<Output = T>) -> T {
    let thaw = async {
        tokio::task::yield_now().await;
        store.thaw();
    };
    tokio::join!(work, thaw).0
}

async fn async_bounds_the_lag(ctx: &Context) -> Verdict {
    let (run, clock) = (ctx.run("async"), clock());
    let (store, mut driver) = held(ctx, &run, clock.clone()).await?;
    clock.advance(LAG - Duration::from_micros(1));
    driver.save(state(2)).await?;
    expect_eq("what is stored before the lag is over", newest(ctx, &run).await?, None)?;
    clock.advance(Duration::from_micros(1));
    let saved = thawing(&store, driver.save(state(3))).await?;
    expect_eq("a save when it is over", saved, persisted(ctx, 2))?;
    expect_eq("what is stored when it returns", newest(ctx, &run).await?, Some(3))
}

async fn async_surfaces_the_error(ctx: &Context) -> Verdict {
    let run = ctx.run("async");
    let store = Faults::new(ctx.a.clone(), FaultPlan::none());
    let mut driver = drive(ctx, &over(ctx, store.clone()).mode(BACKGROUND).clock(clock()), &run).await?;
    store.arm(FaultPlan::none().at(1, Fate::Refused));
    driver.save(state(1)).await?;
    let mut step = 1;
    let error = loop {
        step += 1;
        match driver.save(state(step)).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => break error,
        }
    };
    expect_eq("the error", error.kind(), ErrorKind::Unavailable)?;
    driver.flush().await?;
    expect_eq("what is stored after all", newest(ctx, &run).await?, Some(step))?;
    driver.save(state(step + 1)).await?;
    driver.release(Wake::now()).await?;
    expect_eq("the newest state", newest(ctx, &run).await?, Some(step + 1))
}

async fn async_keeps_what_failed(ctx: &Context) -> Verdict {
    let run = ctx.run("async");
    let store = Faults::new(ctx.a.clone(), FaultPlan::none());
    let mut driver = drive(ctx, &over(ctx, store.clone()).mode(BACKGROUND).clock(clock()), &run).await?;
    for (fate, step) in [(Fate::Refused, 1), (Fate::Lost, 2), (Fate::AckLost, 3)] {
        store.arm(FaultPlan::none().at(1, fate));
        driver.save(state(step)).await?;
        while store.writes() == 0 {
            tokio::task::yield_now().await;
        }
        driver.flush().await?;
        expect_eq(&format!("what is stored after it was {fate}"), newest(ctx, &run).await?, Some(step))?;
        expect_eq("the cursor", ctx.head(&run).await?.cursor, cursor(ctx, step))?;
    }
    Ok(())
}

async fn async_ends_with_the_newest(ctx: &Context) -> Verdict {
    for status in [Status::Interrupted, Status::Completed, Status::Failed] {
        let run = ctx.run(&status.to_string());
        let (store, mut driver) = held(ctx, &run, clock()).await?;
        driver.save(state(2)).await?;
        driver.save(state(3)).await?;
        thawing(&store, async {
            match status {
                Status::Completed => driver.complete(Bytes::new()).await,
                Status::Failed => driver.fail(failure()).await,
                _ => driver.release(Wake::now()).await,
            }
        })
        .await?;
        expect_eq("the newest state", newest(ctx, &run).await?, Some(3))?;
        expect_eq("its status", ctx.head(&run).await?.status(), status)?;
    }
    Ok(())
}

async fn on_exit_writes_at_the_exit(ctx: &Context) -> Verdict {
    for exit in ["flush", "release", "complete", "fail"] {
        let run = ctx.run(exit);
        let mut driver = drive(ctx, &checkpoints(ctx).mode(SaveMode::OnExit), &run).await?;
        ctx.unchanged(&run, async {
            for step in 1..=3 {
                expect_eq("a save", driver.save(state(step)).await?, Saved::Throttled)?;
            }
            Ok(())
        })
        .await?;
        match exit {
            "flush" => driver.flush().await.map(drop),
            "release" => driver.release(Wake::now()).await,
            "complete" => driver.complete(Bytes::new()).await,
            _ => driver.fail(failure()).await,
        }?;
        expect_eq(&format!("what a {exit} has written"), newest(ctx, &run).await?, Some(3))?;
        let head = ctx.head(&run).await?;
        expect_eq("version and cursor", (head.version, head.cursor), (2, cursor(ctx, 1)))?;
    }
    Ok(())
}
