//! Keeping the lease, and finding out that it is gone.

use std::{future::Future, pin::pin};

use futures_util::future::{Either, select};

use super::*;

cases! { checkpointer:
    /// The background renews the lease while the run is quiet.
    a_quiet_run_is_renewed [],
    /// A commit extends the lease by itself.
    a_save_extends_the_lease [],
    /// A renewal by hand extends the lease, and writes nothing else.
    a_renewal_by_hand_extends_the_lease [],
    /// A renewal finds out that another has taken over: the run is lost, and every call says so.
    a_renewal_finds_out_that_the_run_is_lost [],
    /// A lease that has run out while nobody has taken over still lets a save through.
    a_save_after_the_lease_has_run_out_holds [],
    /// A worker whose clock is hours off drives like any other: leases and dues are by the store's time.
    a_worker_whose_clock_is_hours_off_changes_nothing [],
    /// After its release a run is not renewed any more.
    after_a_release_nothing_is_renewed [],
}

/// When the run's lease ends.
async fn until(ctx: &Context, run: &RunId) -> Verdict<Timestamp> {
    let lease = ctx.head(run).await?.lease;
    lease.map(|lease| lease.until).ok_or_else(|| Broken::new("the run's lease", "one", "None"))
}

/// How long a lease lasts that the background renews.
fn ttl(ctx: &Context) -> Duration {
    ctx.long().max(ctx.capabilities.limits.min_ttl)
}

/// Renews in the background, by a clock of its own.
fn renewing(ctx: &Context, store: impl Store, clock: Arc<ManualClock>) -> Checkpoints {
    let settings = Settings { ttl: ttl(ctx), ..Settings::default() };
    over(ctx, store).settings(settings).clock(clock)
}

/// Lets time pass for the owner until the background has done something. More than once: it may have looked at its clock just
/// before, and begin to sleep just after.
async fn passing<T>(ctx: &Context, clock: &ManualClock, done: impl Future<Output = T>) -> T {
    let mut done = pin!(done);
    loop {
        clock.advance(ttl(ctx) / 3);
        let patience = SystemClock::default();
        if let Either::Left((done, _)) =
            select(done.as_mut(), patience.sleep(Duration::from_millis(100))).await
        {
            return done;
        }
    }
}

/// Long enough for an instant of the store to be told from the one before.
const MOMENT: Duration = Duration::from_millis(2);

async fn a_quiet_run_is_renewed(ctx: &Context) -> Verdict {
    let (run, clock) = (ctx.run("quiet"), clock());
    let _driver = drive(ctx, &renewing(ctx, ctx.a.clone(), clock.clone()), &run).await?;
    for _ in 0..3 {
        let before = until(ctx, &run).await?;
        ctx.pass(MOMENT).await;
        expect_eq("the lease's end while no time passes for its owner", until(ctx, &run).await?, before)?;
        let renewed = async {
            while until(ctx, &run).await? == before {
                tokio::task::yield_now().await;
            }
            Verdict::Ok(())
        };
        passing(ctx, &clock, renewed).await?;
        expect("it is later", until(ctx, &run).await? > before, before)?;
    }
    expect_eq("the version", ctx.head(&run).await?.version, 1)
}

async fn a_save_extends_the_lease(ctx: &Context) -> Verdict {
    let run = ctx.run("saving");
    let mut driver = drive(ctx, &checkpoints(ctx), &run).await?;
    for step in 1..=3 {
        let before = until(ctx, &run).await?;
        ctx.pass(MOMENT).await;
        driver.save(state(step)).await?;
        expect("the lease's end is later", until(ctx, &run).await? > before, before)?;
    }
    Ok(())
}

async fn a_renewal_by_hand_extends_the_lease(ctx: &Context) -> Verdict {
    let run = ctx.run("renewed");
    let mut driver = drive(ctx, &checkpoints(ctx), &run).await?;
    driver.save(state(1)).await?;
    let before = ctx.head(&run).await?;
    ctx.pass(MOMENT).await;
    driver.renew().await?;
    let after = ctx.head(&run).await?;
    let ends = [&before, &after].map(|head| head.lease.as_ref().map(|lease| lease.until));
    expect("the lease's end is later", ends[1] > ends[0], ends)?;
    expect_eq("version and cursor", (after.version, after.cursor), (before.version, before.cursor))
}

async fn a_renewal_finds_out_that_the_run_is_lost(ctx: &Context) -> Verdict {
    let (run, clock) = (ctx.run("lost"), clock());
    let begun = renewing(ctx, ctx.a.clone(), clock.clone()).begin_state(begin(&run), || 0u64).await?;
    let mut old = started(begun)?;
    old.update(|state| *state = 1).await?;
    let lost = old.checkpointer().map(|checkpointer| checkpointer.lost());
    let lost = lost.ok_or_else(|| Broken::new("the checkpointer beneath", "one", "None"))?;
    let fence = ctx.head(&run).await?.fence;
    let successor = over(ctx, ctx.b.clone()).begin_state(begin(&run).over(fence), || 0u64).await?;
    let mut new = started(successor)?;
    let error = passing(ctx, &clock, lost).await;
    expect_eq("why the run is lost", error.kind(), ErrorKind::Fenced)?;
    ctx.unchanged(&run, async {
        refused("an update", old.update(|state| *state = 666).await, ErrorKind::Fenced)?;
        refused("a release", old.release(Wake::now()).await, ErrorKind::Fenced)
    })
    .await?;
    new.update(|state| *state += 1).await?;
    let stored: Option<u64> = state_at(&*ctx.a, &run, None, Compact).await?;
    expect_eq("the newest state", stored, Some(2))
}

async fn a_save_after_the_lease_has_run_out_holds(ctx: &Context) -> Verdict {
    let run = ctx.run("late");
    let mut driver = drive(ctx, &checkpoints(ctx).ttl(ctx.brief()), &run).await?;
    driver.save(state(1)).await?;
    ctx.expire().await;
    expect_eq("its status", ctx.head(&run).await?.status(), Status::Interrupted)?;
    expect_eq("a save", driver.save(state(2)).await?, persisted(ctx, 2))?;
    expect_eq("its status then", ctx.head(&run).await?.status(), Status::Running)?;
    expect_eq("the newest state", newest(ctx, &run).await?, Some(2))
}

async fn a_worker_whose_clock_is_hours_off_changes_nothing(ctx: &Context) -> Verdict {
    const OFF: Duration = Duration::from_secs(12 * 3600);
    let run = ctx.run("off");
    let other = ctx.create(&ctx.run("other")).await?;
    for (round, behind) in (1..).zip([true, false, true]) {
        let now = ctx.head(&other.run).await?.at;
        let clock = Arc::new(ManualClock::new(if behind { now - OFF } else { now + OFF }));
        let mut driver = drive(ctx, &renewing(ctx, ctx.a.clone(), clock), &run).await?;
        driver.save(state(round)).await?;
        driver.renew().await?;
        let head = ctx.head(&run).await?;
        let end = head.lease.as_ref().map(|lease| lease.until);
        let lasts = end.is_some_and(|end| end >= now + ttl(ctx) && end <= head.at + ttl(ctx));
        expect("its lease counts from the store's now", lasts, (now, end, head.at))?;
        expect_eq("its status", head.status(), Status::Running)?;
        let held = ctx.b.open(&run, ctx.resuming()).await;
        refused("an open by another", held, ErrorKind::LeaseHeld)?;
        driver.release(Wake::now()).await?;
        let head = ctx.head(&run).await?;
        let due = head.due.is_some_and(|due| due >= now && due <= head.at);
        expect("it is due when it was let go", due, (now, head.due, head.at))?;
    }
    let head = ctx.head(&run).await?;
    expect_eq("epoch and lapses", (head.fence.epoch, head.lapses), (3, 0))
}

async fn after_a_release_nothing_is_renewed(ctx: &Context) -> Verdict {
    let (run, clock) = (ctx.run("released"), clock());
    let store = Counted::over(ctx.a.clone());
    let mut driver = drive(ctx, &renewing(ctx, store.clone(), clock.clone()), &run).await?;
    driver.save(state(1)).await?;
    driver.release(Wake::now()).await?;
    let mut next = drive(ctx, &over(ctx, ctx.b.clone()), &run).await?;
    clock.advance(ttl(ctx));
    next.save(state(2)).await?;
    tokio::task::yield_now().await;
    let calls = [Operation::Open, Operation::Commit, Operation::Commit];
    expect_eq("what was called", store.calls(), calls)?;
    expect_eq("the newest state", newest(ctx, &run).await?, Some(2))
}
