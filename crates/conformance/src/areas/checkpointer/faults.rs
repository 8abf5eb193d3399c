//! A scripted run under each fate of each of its writes: the log is exact afterwards.

use super::*;

cases! { checkpointer:
    /// Whichever write is refused, lost, or done without an answer: every record is there exactly once and in order, and
    /// the newest state with them.
    whichever_write_fails_the_log_is_exact [],
    /// Whatever befalls a third of all writes, at random, the log is exact.
    under_random_faults_the_log_is_exact [],
    /// Once a write may have held, no later refusal says that nothing was applied: what became of it, only the log knows.
    after_maybe_no_refusal_says_no [],
    /// Wherever its process dies, another one finishes the run: nothing acknowledged is lost, nothing is there twice.
    wherever_it_dies_the_run_is_finished [],
}

/// How often a call is repeated until it succeeds.
const TRIES: usize = 12;

/// A run of 18 steps of every sort and its completion: about 20 writes. Errors are as a program would take them: what
/// was to be written is pending, and goes with the next call.
async fn program(ctx: &Context, run: &RunId, store: Faults<Arc<dyn Store>>) -> Verdict {
    let log = ctx.capabilities.supports_log();
    let four = std::num::NonZeroU64::new(4).expect("is not zero");
    let factory = over(ctx, store).snapshots(SnapshotPolicy::EveryNCheckpoints(four));
    let mut driver = begun(ctx, &factory, run).await?;
    for step in 1..=18 {
        // Whether it is told at once does not matter here; that it is there in the end does.
        let _ = match step % 6 {
            1 | 4 if log => driver.append(vec![record(step), record(step + 100)]).await.map(drop),
            2 => driver.checkpoint(state(step)).await.map(drop),
            3 => driver.renew().await,
            5 => driver.flush().await.map(drop),
            _ => driver.save(state(step)).await.map(drop),
        };
    }
    for _ in 0..TRIES {
        if driver.complete(Bytes::from_static(b"output")).await.is_ok() {
            return Ok(());
        }
    }
    Err(Broken::new("the completion", "success in the end", "none"))
}

/// Begins the run, however often the store has to be asked.
async fn begun(ctx: &Context, factory: &Checkpoints, run: &RunId) -> Verdict<Box<dyn Checkpointer>> {
    for _ in 1..TRIES {
        match ctx.checkpointers(factory.clone()).begin(begin(run)).await {
            Err(error) if error.kind().is_transient() => {}
            answer => return driven(answer?),
        }
    }
    drive(ctx, factory, run).await
}

/// What the program has to leave behind, whatever went wrong.
async fn exact(ctx: &Context, run: &RunId) -> Verdict {
    let expected: Vec<_> = (1..=18)
        .filter(|step| ctx.capabilities.supports_log() && matches!(step % 6, 1 | 4))
        .flat_map(|step| [record(step).body, record(step + 100).body])
        .collect();
    expect_eq("the records", own_records(ctx, run).await?, expected)?;
    expect_eq("the newest state", newest(ctx, run).await?, Some(18))?;
    let head = ctx.head(run).await?;
    let output = Bytes::from_static(b"output");
    expect_eq("the outcome", head.outcome, Some(Outcome::Completed { output }))?;
    expect_eq("the epoch", head.fence.epoch, 1)?;
    expect_eq("what verify says", verify(&*ctx.b, run, Raw).await?, head.cursor)?;
    let mut last = 0;
    for cut in (1..=head.cursor).filter(|_| ctx.capabilities.supports_log()) {
        let stored: Option<u64> = state_at(&*ctx.b, run, Some(cut), Raw).await?;
        let stored = stored.unwrap_or(0);
        expect("no state is older than the one before it", stored >= last, (cut, last, stored))?;
        last = stored;
    }
    Ok(())
}

/// A failure that tells what was done to the writes.
fn under(store: &Faults<Arc<dyn Store>>, verdict: Verdict) -> Verdict {
    verdict.map_err(|broken| {
        Broken::new(format!("a run under these faults:\n{}", store.trail()), "", broken.to_string())
    })
}

async fn whichever_write_fails_the_log_is_exact(ctx: &Context) -> Verdict {
    let calm = ctx.run("calm");
    let store = Faults::new(ctx.a.clone(), FaultPlan::none());
    program(ctx, &calm, store.clone()).await?;
    exact(ctx, &calm).await?;
    let writes = u32::try_from(store.writes()).unwrap_or(u32::MAX);
    let fates = [Fate::AckLost, Fate::Lost, Fate::Refused];
    let rounds = writes * 3;
    for round in ctx.rounds(rounds) {
        // All of them, in an order that a slow store may cut anywhere.
        let chosen = round * 37 % rounds;
        let (write, fate) = (u64::from(chosen / 3 + 1), fates[chosen as usize % 3]);
        let run = ctx.run(&format!("write-{write}-{fate:?}"));
        let store = Faults::new(ctx.a.clone(), FaultPlan::none().at(write, fate));
        under(&store, program(ctx, &run, store.clone()).await)?;
        under(&store, exact(ctx, &run).await)?;
    }
    Ok(())
}

async fn under_random_faults_the_log_is_exact(ctx: &Context) -> Verdict {
    for round in ctx.rounds(20) {
        let run = ctx.run(&format!("round-{round}"));
        let seed = ctx.ids().bits() as u64;
        // A beginning that is lost twice has to wait for its own lease, so that one is spared.
        let plan = FaultPlan::seeded(seed).ack_lost(0.15).lost(0.1).refused(0.1).at(1, Fate::Done);
        let store = Faults::new(ctx.a.clone(), plan);
        under(&store, program(ctx, &run, store.clone()).await)?;
        under(&store, exact(ctx, &run).await)?;
    }
    Ok(())
}

async fn after_maybe_no_refusal_says_no(ctx: &Context) -> Verdict {
    for fate in [Fate::AckLost, Fate::Lost] {
        let run = ctx.run(&format!("{fate:?}"));
        let store = Faults::new(ctx.a.clone(), FaultPlan::none());
        let mut old = drive(ctx, &over(ctx, store.clone()), &run).await?;
        old.save(state(1)).await?;
        store.arm(FaultPlan::none().at(1, fate));
        let maybe = |what, answer, kind| {
            let error = fails(what, answer, kind)?;
            expect_eq("whether it was applied", error.applied(), Some(Applied::Maybe))
        };
        maybe("a save of which nobody hears", old.save(state(2)).await.map(drop), ErrorKind::TimedOut)?;
        let fence = ctx.head(&run).await?.fence;
        let successor = ctx.checkpointers(over(ctx, ctx.b.clone())).begin(begin(&run).over(fence)).await?;
        let mut new = driven(successor)?;
        // The successor's own commit takes the place of the one that could be settled by its id.
        new.save(state(3)).await?;
        maybe("a save after the takeover", old.save(state(4)).await.map(drop), ErrorKind::Fenced)?;
        maybe("a flush then", old.flush().await.map(drop), ErrorKind::Fenced)?;
        maybe("a release then", old.release(Wake::now()).await, ErrorKind::Fenced)?;
        expect_eq("the newest state", newest(ctx, &run).await?, Some(3))?;
    }
    Ok(())
}

/// The steps of [`worker`].
const STEPS: u64 = 9;

/// Drives the run from where it is to its end, and remembers what was acknowledged: each step is a record, each third a
/// state; a store without a log gets a state with each.
async fn worker(ctx: &Context, begin: Begin, store: impl Store, acknowledged: &mut u64) -> Verdict {
    let log = ctx.capabilities.supports_log();
    let mut driver = driven(ctx.checkpointers(over(ctx, store)).begin(begin).await?)?;
    let found = driver.restored().unwrap_or_default();
    let saved: Option<u64> = found.state.as_ref().map(|bytes| Json.decode(bytes)).transpose()?;
    let done = saved.unwrap_or(0) + found.records.len() as u64;
    let lost = format!("{done} of {acknowledged} steps are there");
    expect("nothing that was acknowledged is lost", done >= *acknowledged, lost)?;
    for step in done + 1..=STEPS {
        if log {
            driver.append(vec![record(step)]).await?;
            *acknowledged = step;
        }
        if !log || step % 3 == 0 {
            driver.save(state(step)).await?;
            *acknowledged = step;
        }
    }
    driver.save(state(STEPS)).await?;
    driver.complete(Bytes::from_static(b"output")).await?;
    Ok(())
}

async fn wherever_it_dies_the_run_is_finished(ctx: &Context) -> Verdict {
    let most = STEPS + STEPS / 3 + 2;
    for round in ctx.rounds(u32::try_from(most * 2).unwrap_or(u32::MAX)) {
        let round = u64::from(round) * 5 % (most * 2);
        let (write, after) = (round / 2 + 1, round % 2 == 1);
        let run = ctx.run(&format!("dies-{write}-{after}"));
        let plan = FaultPlan::none();
        let mortal =
            Faults::new(ctx.a.clone(), if after { plan.die_after(write) } else { plan.die_before(write) });
        let mut acknowledged = 0;
        // It dies, or has fewer writes than that; who comes next finds out.
        let _ = worker(ctx, begin(&run), mortal.clone(), &mut acknowledged).await;
        let next = match ctx.b.head(&run).await? {
            Some(head) if head.outcome.is_none() => Some(begin(&run).over(head.fence)),
            Some(_) => None,
            None => Some(begin(&run)),
        };
        if let Some(next) = next {
            under(&mortal, worker(ctx, next, ctx.b.clone(), &mut acknowledged).await)?;
        }
        let expected: Vec<_> = match ctx.capabilities.supports_log() {
            true => (1..=STEPS).map(|step| record(step).body).collect(),
            false => vec![],
        };
        under(&mortal, expect_eq("the records", own_records(ctx, &run).await?, expected))?;
        expect_eq("the newest state", newest(ctx, &run).await?, Some(STEPS))?;
        expect_eq("its status", ctx.head(&run).await?.status(), Status::Completed)?;
    }
    Ok(())
}
