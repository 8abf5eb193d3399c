//! Letting go of a run and ending it: exactly once.

use super::*;

cases! { checkpointer:
    /// A completion is one commit with the outcome; any later call is `Closed` and changes nothing.
    a_run_is_completed_exactly_once [],
    /// A failure is one commit with the outcome; any later call is `Closed` and changes nothing.
    a_run_is_failed_exactly_once [],
    /// A release is one commit, due as its wake says; any later call is `Closed` and changes nothing.
    a_run_is_released_exactly_once [],
    /// A release makes the run wait until its instant.
    a_release_waits_for_its_instant [],
    /// A release makes the run wait for a message.
    a_release_waits_for_a_message [Inbox],
    /// An end whose acknowledgement was lost is asked for again: it holds once.
    an_end_in_doubt_is_settled_by_asking_again [],
    /// An end that is refused by a store out of reach leaves the run driven; the call may be repeated, or another end.
    an_end_that_failed_may_be_repeated [],
    /// With `Retain::Delete` nothing is left of a run that has finished.
    retain_delete_leaves_nothing [],
    /// With `Retain::KeepFor` the head says from when on the data may be deleted.
    retain_keep_for_says_until_when [],
    /// With `Retain::Keep` a finished run can be read as before.
    retain_keep_keeps_everything [],
    /// A checkpointer that is dropped writes nothing, and its run is still driven.
    a_dropped_checkpointer_writes_nothing [],
}

#[derive(Clone, Copy, Debug)]
enum How {
    Complete,
    Fail,
    Release,
}

impl How {
    const ALL: [How; 3] = [How::Complete, How::Fail, How::Release];

    async fn end(self, driver: &mut dyn Checkpointer) -> Result<()> {
        match self {
            How::Complete => driver.complete(Bytes::from_static(b"output")).await,
            How::Fail => driver.fail(Failure::new(FailureKind::Error, "broken")).await,
            How::Release => driver.release(Wake::now()).await,
        }
    }

    fn status(self) -> Status {
        match self {
            How::Complete => Status::Completed,
            How::Fail => Status::Failed,
            How::Release => Status::Interrupted,
        }
    }

    fn outcome(self) -> Option<Outcome> {
        match self {
            How::Complete => Some(Outcome::Completed { output: Bytes::from_static(b"output") }),
            How::Fail => Some(Outcome::Failed { failure: Failure::new(FailureKind::Error, "broken") }),
            How::Release => None,
        }
    }
}

/// The run must have ended so, by its third version.
async fn has_ended(ctx: &Context, run: &RunId, how: How) -> Verdict {
    let head = ctx.head(run).await?;
    expect_eq("its status", head.status(), how.status())?;
    expect_eq("its version", head.version, 3)?;
    expect("its lease is gone", head.lease.is_none(), &head.lease)?;
    expect_eq("its outcome", head.outcome, how.outcome())?;
    expect_eq("the newest state", newest(ctx, run).await?, Some(1))
}

async fn once(ctx: &Context, how: How) -> Verdict {
    let run = ctx.run("ending");
    let mut driver = drive(ctx, &checkpoints(ctx), &run).await?;
    driver.save(state(1)).await?;
    how.end(&mut *driver).await?;
    has_ended(ctx, &run, how).await?;
    ctx.unchanged(&run, async {
        for again in How::ALL {
            refused("another end", again.end(&mut *driver).await, ErrorKind::Closed)?;
        }
        refused("a save", driver.save(state(2)).await, ErrorKind::Closed)?;
        refused("a checkpoint", driver.checkpoint(state(2)).await, ErrorKind::Closed)?;
        refused("an append", driver.append(vec![record(1)]).await, ErrorKind::Closed)?;
        refused("a flush", driver.flush().await, ErrorKind::Closed)?;
        refused("a renewal", driver.renew().await, ErrorKind::Closed).map(drop)
    })
    .await
}

async fn a_run_is_completed_exactly_once(ctx: &Context) -> Verdict {
    once(ctx, How::Complete).await
}

async fn a_run_is_failed_exactly_once(ctx: &Context) -> Verdict {
    once(ctx, How::Fail).await
}

async fn a_run_is_released_exactly_once(ctx: &Context) -> Verdict {
    once(ctx, How::Release).await
}

async fn a_release_waits_for_its_instant(ctx: &Context) -> Verdict {
    let run = ctx.run("waiting");
    let mut driver = drive(ctx, &checkpoints(ctx), &run).await?;
    driver.save(state(1)).await?;
    let at = ctx.head(&run).await?.at + Duration::from_secs(3600);
    driver.release(Wake::at(at)).await?;
    let head = ctx.head(&run).await?;
    expect_eq("its status and due", (head.status(), head.due), (Status::Waiting, Some(at)))?;
    let answer = ctx.checkpointers(over(ctx, ctx.b.clone())).resume(&run).await;
    refused("a resume before its instant", answer, ErrorKind::LeaseHeld).map(drop)
}

async fn a_release_waits_for_a_message(ctx: &Context) -> Verdict {
    let run = ctx.run("waiting");
    let mut driver = drive(ctx, &checkpoints(ctx), &run).await?;
    driver.save(state(1)).await?;
    driver.release(Wake::message(0)).await?;
    expect_eq("its status", ctx.head(&run).await?.status(), Status::Waiting)?;
    ctx.b.send(&run, ctx.message("key", "wake up")).await?;
    let mut driver = driven(ctx.checkpointers(over(ctx, ctx.b.clone())).resume(&run).await?)?;
    expect_eq("what it starts from", restored(&mut *driver)?.state, Some(state(1)))
}

async fn an_end_in_doubt_is_settled_by_asking_again(ctx: &Context) -> Verdict {
    for how in How::ALL {
        for fate in [Fate::AckLost, Fate::Lost] {
            let run = ctx.run(&format!("{how:?}-{fate:?}"));
            let store = Faults::new(ctx.a.clone(), FaultPlan::none());
            let mut driver = drive(ctx, &over(ctx, store.clone()), &run).await?;
            driver.save(state(1)).await?;
            store.arm(FaultPlan::none().at(1, fate));
            let error =
                fails("an end of which nobody hears", how.end(&mut *driver).await, ErrorKind::TimedOut)?;
            expect_eq("whether it was applied", error.applied(), Some(Applied::Maybe))?;
            how.end(&mut *driver).await?;
            has_ended(ctx, &run, how).await?;
            refused("a third time", how.end(&mut *driver).await, ErrorKind::Closed)?;
        }
    }
    Ok(())
}

async fn an_end_that_failed_may_be_repeated(ctx: &Context) -> Verdict {
    for (first, second) in [
        (How::Complete, How::Complete),
        (How::Complete, How::Release),
        (How::Release, How::Fail),
        (How::Fail, How::Complete),
    ] {
        let run = ctx.run(&format!("{first:?}-{second:?}"));
        let store = Faults::new(ctx.a.clone(), FaultPlan::none());
        let mut driver = drive(ctx, &over(ctx, store.clone()), &run).await?;
        driver.save(state(1)).await?;
        store.arm(FaultPlan::none().at(1, Fate::Refused));
        fails("an end out of reach", first.end(&mut *driver).await, ErrorKind::Unavailable)?;
        expect_eq("its status then", ctx.head(&run).await?.status(), Status::Running)?;
        expect_eq("a save then", driver.save(state(1)).await?, Saved::Unchanged)?;
        second.end(&mut *driver).await?;
        has_ended(ctx, &run, second).await?;
    }
    Ok(())
}

/// Completes a run that keeps its data so long.
async fn retained(ctx: &Context, run: &RunId, retain: Retain) -> Verdict {
    let mut driver = drive(ctx, &checkpoints(ctx).retain(retain), run).await?;
    driver.save(state(1)).await?;
    expect_eq("the state before its end", newest(ctx, run).await?, Some(1))?;
    driver.complete(Bytes::from_static(b"output")).await?;
    Ok(())
}

async fn retain_delete_leaves_nothing(ctx: &Context) -> Verdict {
    let run = ctx.run("deleted");
    retained(ctx, &run, Retain::Delete).await?;
    expect_eq("its head", ctx.b.head(&run).await?, None)?;
    let mut driver = drive(ctx, &over(ctx, ctx.b.clone()), &run).await?;
    expect_eq("what another run of this name starts from", driver.restored(), None)?;
    expect_eq("its cursor", driver.cursor(), 0)
}

async fn retain_keep_for_says_until_when(ctx: &Context) -> Verdict {
    let (run, hour) = (ctx.run("kept"), Duration::from_secs(3600));
    retained(ctx, &run, Retain::KeepFor(hour)).await?;
    let head = ctx.head(&run).await?;
    expect_eq("from when on it may be deleted", head.delete_after, Some(head.updated_at + hour))?;
    expect_eq("the newest state", newest(ctx, &run).await?, Some(1))
}

async fn retain_keep_keeps_everything(ctx: &Context) -> Verdict {
    let run = ctx.run("kept");
    retained(ctx, &run, Retain::Keep).await?;
    has_ended(ctx, &run, How::Complete).await?;
    expect_eq("from when on it may be deleted", ctx.head(&run).await?.delete_after, None)
}

async fn a_dropped_checkpointer_writes_nothing(ctx: &Context) -> Verdict {
    let run = ctx.run("dropped");
    let throttle = Duration::from_secs(10);
    let mut driver = drive(ctx, &checkpoints(ctx).throttle(throttle).clock(clock()), &run).await?;
    driver.save(state(1)).await?;
    expect_eq("a save at once", driver.save(state(2)).await?, Saved::Throttled)?;
    ctx.unchanged(&run, async {
        drop(driver);
        Ok(())
    })
    .await?;
    let head = ctx.head(&run).await?;
    expect_eq("its status", head.status(), Status::Running)?;
    let mut next =
        driven(ctx.checkpointers(over(ctx, ctx.b.clone())).begin(begin(&run).over(head.fence)).await?)?;
    expect_eq("what a successor starts from", restored(&mut *next)?.state, Some(state(1)))
}
