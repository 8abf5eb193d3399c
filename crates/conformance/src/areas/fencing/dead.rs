//! A fence whose owner has let go, or whose run has ended.

use crate::areas::{
    moves::{completed, whole},
    prelude::*,
};

cases! { fencing:
    /// A release ends its fence: whatever it writes from then on is `Fenced`, with that same fence as the newest.
    a_release_ends_its_fence [],
    /// The release itself, sent again, is still answered, and changes nothing.
    a_release_answers_its_own_replay [],
    /// The commit before the release is not answered any more: the release is the newest one.
    a_commit_before_the_release_is_fenced [],
    /// A released fence takes nothing over by itself: only an open starts a lease.
    a_released_fence_drives_no_more_after_its_wake [],
    /// A release by another handle ends the fence for every handle.
    a_release_by_one_handle_ends_the_fence_for_all [],
    /// `Over` a released fence opens the run, and that fence stays dead.
    a_released_fence_stays_dead_under_its_successor [],
    /// The fence of a finished run writes nothing more: `Finished`.
    the_fence_of_a_finished_run_writes_no_more [],
    /// A fence from before a reopen is refused, though it is the one that failed the run.
    a_fence_from_before_a_reopen_is_refused [],
}

/// Whatever `driver`, whose fence is dead, does must be refused as `Fenced` by `current`.
async fn is_dead(ctx: &Context, driver: &Driver, current: Fence) -> Verdict {
    ctx.unchanged(&driver.run, async {
        for store in [&ctx.a, &ctx.b] {
            for commit in [
                ctx.next(driver),
                whole(ctx, driver),
                Commit { expect: driver.version - 1, ..ctx.next(driver) },
                ctx.next(driver).extend(ctx.long()),
                ctx.next(driver).release(Wake::now()),
                ctx.next(driver).finish(completed(), Retain::Keep),
            ] {
                let answer = store.commit(commit).await;
                refused_as("a commit by a dead fence", answer, Refusal::Fenced { current })?;
            }
            let renew = Renew::new(driver.fence, ctx.long()).note(Note::default());
            let renewed = store.renew(&driver.run, renew).await;
            refused_as("a renewal by a dead fence", renewed, Refusal::Fenced { current })?;
        }
        Ok(())
    })
    .await
}

/// A run that was let go, until an hour has passed.
async fn released(ctx: &Context, run: &RunId) -> Verdict<(Driver, Commit)> {
    let mut driver = ctx.create(run).await?;
    let wake = Wake::at(ctx.head(run).await?.at + Duration::from_secs(3_600));
    let release = ctx.next(&driver).note(Note { done: 3, ..Note::default() }).release(wake);
    ctx.commit(&mut driver, |_| release.clone()).await?;
    Ok((driver, release))
}

async fn a_release_ends_its_fence(ctx: &Context) -> Verdict {
    let run = ctx.run("released");
    let (driver, _) = released(ctx, &run).await?;
    let head = ctx.head(&run).await?;
    expect_eq("lease and fence", (head.lease, head.fence), (None, driver.fence))?;
    is_dead(ctx, &driver, driver.fence).await
}

async fn a_release_answers_its_own_replay(ctx: &Context) -> Verdict {
    let run = ctx.run("released");
    let (driver, release) = released(ctx, &run).await?;
    let want = Committed { version: driver.version, cursor: 0, replayed: true };
    ctx.unchanged(&run, async {
        for store in [&ctx.a, &ctx.b] {
            expect_eq("the release sent again", store.commit(release.clone()).await?, want)?;
        }
        let another = Commit { id: ctx.id(), ..release.clone() };
        let fenced = Refusal::Fenced { current: driver.fence };
        refused_as("the same under another id", ctx.a.commit(another).await, fenced)
    })
    .await
}

async fn a_commit_before_the_release_is_fenced(ctx: &Context) -> Verdict {
    let run = ctx.run("released");
    let mut driver = ctx.create(&run).await?;
    let before = ctx.next(&driver).advances();
    ctx.commit(&mut driver, |_| before.clone()).await?;
    ctx.commit(&mut driver, |commit| commit.release(Wake::now())).await?;
    ctx.unchanged(&run, async {
        let fenced = Refusal::Fenced { current: driver.fence };
        refused_as("the commit before the release", ctx.a.commit(before).await, fenced)
    })
    .await
}

async fn a_released_fence_drives_no_more_after_its_wake(ctx: &Context) -> Verdict {
    let run = ctx.run("woken");
    let mut driver = ctx.create(&run).await?;
    let wake = Wake::at(ctx.head(&run).await?.at + Duration::from_millis(20));
    ctx.commit(&mut driver, |commit| commit.release(wake)).await?;
    ctx.pass(Duration::from_millis(40)).await;
    is_dead(ctx, &driver, driver.fence).await?;
    let opened = ctx.open_due(&run, ctx.resuming()).await?;
    expect_eq("epoch and lapses", (opened.fence.epoch, opened.head.lapses), (2, 0))?;
    is_dead(ctx, &driver, opened.fence).await
}

async fn a_release_by_one_handle_ends_the_fence_for_all(ctx: &Context) -> Verdict {
    let run = ctx.run("released");
    let mut driver = ctx.create(&run).await?;
    ctx.commit(&mut driver, |commit| commit.advances()).await?;
    driver.version = ctx.b.commit(ctx.next(&driver).release(Wake::now())).await?.version;
    let late = ctx.a.commit(ctx.next(&driver)).await;
    refused_as("a commit by the handle that drove", late, Refusal::Fenced { current: driver.fence })?;
    is_dead(ctx, &driver, driver.fence).await
}

async fn a_released_fence_stays_dead_under_its_successor(ctx: &Context) -> Verdict {
    let run = ctx.run("released");
    let (driver, _) = released(ctx, &run).await?;
    let opened = ctx.b.open(&run, ctx.resuming().over(driver.fence)).await?;
    expect_eq("lapses of a run that was let go", opened.head.lapses, 0)?;
    let late = Driver { version: opened.head.version, ..driver };
    is_dead(ctx, &late, opened.fence).await?;
    let mut new = Driver::of(&opened);
    ctx.commit(&mut new, |commit| commit.advances()).await.map(drop)
}

async fn the_fence_of_a_finished_run_writes_no_more(ctx: &Context) -> Verdict {
    let run = ctx.run("finished");
    let mut driver = ctx.create(&run).await?;
    ctx.commit(&mut driver, |commit| commit.finish(completed(), Retain::Keep)).await?;
    ctx.unchanged(&run, async {
        for store in [&ctx.a, &ctx.b] {
            let finished = || Refusal::Finished { outcome: completed() };
            refused_as("a commit", store.commit(whole(ctx, &driver)).await, finished())?;
            let released = ctx.next(&driver).release(Wake::now());
            refused_as("a release", store.commit(released).await, finished())?;
            let renew = Renew::new(driver.fence, ctx.long()).note(Note::default());
            refused_as("a renewal", store.renew(&run, renew).await, finished())?;
        }
        Ok(())
    })
    .await
}

async fn a_fence_from_before_a_reopen_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("reopened");
    let mut old = ctx.create(&run).await?;
    let outcome = Outcome::Failed { failure: Failure::new(FailureKind::Error, "once") };
    ctx.commit(&mut old, |commit| commit.finish(outcome, Retain::Keep)).await?;
    let opened = ctx.b.open(&run, ctx.resuming().reopen_failed()).await?;
    let late = Driver { version: opened.head.version, ..old };
    is_dead(ctx, &late, opened.fence).await
}
