//! The typed handles, and appending from many tasks.

use std::task::Poll;

use futures_util::poll;
use tokio::task::JoinSet;

use super::*;

cases! { checkpointer:
    /// `Stateful` owns the state: what the throttle has held is written by each exit, as the newest whole state.
    stateful_writes_the_newest_state_at_each_exit [],
    /// `Stateful` goes on from the restored state and tells the records after it.
    stateful_goes_on_from_the_restored_state [],
    /// `Saver` is handed the state, owes what the throttle has held, and settles it with the next call.
    saver_settles_what_it_owes [],
    /// `Saver` gives the restored state beside the handle.
    saver_gives_the_restored_state [],
    /// What many tasks append is there exactly once, and what one call appends stands together.
    many_tasks_append_exactly_once [Log],
    /// A record id that the run holds is refused for the call that brings it, and for no other.
    a_duplicate_is_refused_for_its_own_call [Log, RecordIds],
    /// A kind that is the checkpointer's own is refused before anything is written.
    a_reserved_kind_is_refused [Log],
    /// A save whose future is dropped is settled by the next call before anything else is written.
    a_dropped_save_is_settled_by_the_next_call [],
    /// A state that saves work says so: lapses are forgotten with it, and not by an append alone.
    a_saved_state_advances_the_run [],
}

const THROTTLE: Duration = Duration::from_secs(10);

async fn stateful_writes_the_newest_state_at_each_exit(ctx: &Context) -> Verdict {
    for exit in ["flush", "checkpoint", "release", "complete", "fail"] {
        let run = ctx.run(exit);
        let checkpoints = checkpoints(ctx).throttle(THROTTLE).clock(clock());
        let mut driver = started(checkpoints.begin_state(begin(&run), Vec::<u64>::new).await?)?;
        expect_eq("the first update", driver.update(|state| state.push(1)).await?, persisted(ctx, 1))?;
        for step in 2..=3 {
            expect_eq("an update at once", driver.update(|state| state.push(step)).await?, Saved::Throttled)?;
            expect("it is owing", driver.is_owing(), step)?;
        }
        match exit {
            "flush" => driver.flush().await.map(drop),
            "checkpoint" => driver.checkpoint().await.map(drop),
            "release" => driver.release(Wake::now()).await,
            "complete" => driver.complete(&"output").await,
            _ => driver.fail(Failure::new(FailureKind::Error, "broken")).await,
        }?;
        expect("it owes nothing", !driver.is_owing(), exit)?;
        let stored: Option<Vec<u64>> = state_at(&*ctx.b, &run, None, Compact).await?;
        expect_eq(&format!("what a {exit} has written"), stored, Some(vec![1, 2, 3]))?;
        expect_eq("the version", ctx.head(&run).await?.version, 3)?;
    }
    Ok(())
}

async fn stateful_goes_on_from_the_restored_state(ctx: &Context) -> Verdict {
    let (run, log) = (ctx.run("run"), ctx.capabilities.supports_log());
    let mut driver = started(checkpoints(ctx).begin_state(begin(&run), || 40u64).await?)?;
    expect_eq("its first state and cursor", (*driver.state(), driver.resumed_at()), (40, None))?;
    driver.update(|state| *state += 1).await?;
    if log {
        expect_eq("an append", driver.append(vec![record(1)]).await?, 2)?;
    }
    expect_eq("its fence", driver.fence(), Some(ctx.head(&run).await?.fence))?;
    driver.release(Wake::now()).await?;
    let again = over(ctx, ctx.b.clone()).begin_state(begin(&run), || 0u64).await?;
    let mut driver = started(again)?;
    let at = Some(cursor(ctx, 1));
    expect_eq("what it resumes from", (*driver.state(), driver.resumed_at()), (41, at))?;
    let bodies: Vec<_> = driver.restored_records().into_iter().map(|record| record.body).collect();
    expect_eq("the records after it", bodies, if log { vec![record(1).body] } else { vec![] })?;
    expect_eq("what is told a second time", driver.restored_records().len(), 0)?;
    driver.update(|state| *state += 1).await?;
    expect_eq("its cursor", driver.cursor(), cursor(ctx, 3))?;
    let stored: Option<u64> = state_at(&*ctx.a, &run, None, Compact).await?;
    expect_eq("the newest state", stored, Some(42))
}

async fn saver_settles_what_it_owes(ctx: &Context) -> Verdict {
    for exit in ["flush", "checkpoint", "release", "complete", "fail"] {
        let run = ctx.run(exit);
        let checkpoints = checkpoints(ctx).throttle(THROTTLE).clock(clock());
        let (mut saver, none) = started(checkpoints.begin_saver::<String, _>(Json, begin(&run)).await?)?;
        expect_eq("the restored state", none, None)?;
        expect_eq("the first save", saver.save(&"one").await?, persisted(ctx, 1))?;
        expect_eq("a save at once", saver.save(&"two").await?, Saved::Throttled)?;
        expect("it is owing", saver.is_owing(), ())?;
        match exit {
            "flush" => saver.flush(&"three").await.map(drop),
            "checkpoint" => saver.checkpoint(&"three").await.map(drop),
            "release" => saver.release(&"three", Wake::now()).await,
            "complete" => saver.complete(&"three", &3).await,
            _ => saver.fail(&"three", Failure::new(FailureKind::Error, "broken")).await,
        }?;
        expect("it owes nothing", !saver.is_owing(), exit)?;
        let stored: Option<String> = state_at(&*ctx.b, &run, None, Json).await?;
        expect_eq(&format!("what a {exit} has written"), stored.as_deref(), Some("three"))?;
        expect_eq("the version", ctx.head(&run).await?.version, 3)?;
    }
    Ok(())
}

async fn saver_gives_the_restored_state(ctx: &Context) -> Verdict {
    let run = ctx.run("run");
    for round in 0..4u64 {
        let store = if round % 2 == 0 { &ctx.a } else { &ctx.b };
        let again = over(ctx, store.clone()).begin_saver::<u64, _>(Compact, begin(&run)).await?;
        let (mut saver, found) = started(again)?;
        expect_eq("the restored state", found, round.checked_sub(1))?;
        expect_eq("a save", saver.save(&round).await?, persisted(ctx, round + 1))?;
        expect_eq("the same again", saver.save(&round).await?, Saved::Unchanged)?;
        saver.release(&round, Wake::now()).await?;
    }
    Ok(())
}

async fn many_tasks_append_exactly_once(ctx: &Context) -> Verdict {
    const TASKS: u64 = 8;
    const CALLS: u64 = 4;
    let run = ctx.run("run");
    let mut driver = started(checkpoints(ctx).begin_state(begin(&run), || 0u64).await?)?;
    let appender = driver.appender().ok_or_else(|| Broken::new("an appender", "one", "None"))?;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let appender = appender.clone();
        tasks.spawn(async move {
            for call in 0..CALLS {
                let first = (task * CALLS + call) * 2;
                appender.append(vec![record(first), record(first + 1)]).await?;
            }
            Ok::<_, Error>(())
        });
    }
    driver.update(|state| *state = 1).await?;
    while let Some(joined) = tasks.join_next().await {
        joined.map_err(|error| Broken::new("a task", "no panic", error.to_string()))??;
    }
    driver.release(Wake::now()).await?;
    let bodies = own_records(ctx, &run).await?;
    let place = |number: u64| bodies.iter().position(|body| *body == record(number).body);
    expect_eq("how many records there are", bodies.len() as u64, TASKS * CALLS * 2)?;
    let mut last = None;
    for first in (0..TASKS * CALLS).map(|call| call * 2) {
        let (one, two) = (place(first), place(first + 1));
        expect_eq("the place of a call's second record", two, one.map(|place| place + 1))?;
        let in_order = first % (CALLS * 2) == 0 || one > last;
        expect("the calls of one task stand in their order", in_order, (first, one, last))?;
        last = one;
    }
    expect_eq("what verify says", verify(&*ctx.b, &run, Compact).await?, TASKS * CALLS * 2 + 1)
}

async fn a_duplicate_is_refused_for_its_own_call(ctx: &Context) -> Verdict {
    let run = ctx.run("run");
    let mut driver = drive(ctx, &checkpoints(ctx), &run).await?;
    let named = |number| record(number).id(RecordId::from_static("same"));
    expect_eq("the first", driver.append(vec![record(1), named(2)]).await?, 2)?;
    ctx.unchanged(&run, async {
        let answer = driver.append(vec![record(3), named(4)]).await;
        refused_as("the second", answer, Refusal::Duplicate { cursor: 2 })
    })
    .await?;
    expect_eq("what comes next", driver.append(vec![record(5)]).await?, 3)?;
    expect_eq("a save", driver.save(state(1)).await?, persisted(ctx, 4))?;
    let bodies = own_records(ctx, &run).await?;
    expect_eq("the records", bodies, [1, 2, 5].map(|number| record(number).body))
}

async fn a_reserved_kind_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("run");
    let mut driver = drive(ctx, &checkpoints(ctx), &run).await?;
    driver.save(state(1)).await?;
    ctx.unchanged(&run, async {
        let reserved = NewRecord::new(Kind::from_static("milepost/state"), "forged");
        let answer = driver.append(vec![record(1), reserved]).await;
        refused("an append", answer, ErrorKind::Invalid)
    })
    .await?;
    expect_eq("the newest state", newest(ctx, &run).await?, Some(1))
}

async fn a_dropped_save_is_settled_by_the_next_call(ctx: &Context) -> Verdict {
    let run = ctx.run("run");
    let store = Faults::new(ctx.a.clone(), FaultPlan::none());
    let mut driver = drive(ctx, &over(ctx, store.clone()), &run).await?;
    store.arm(FaultPlan::none().stall_at(1));
    {
        let mut save = driver.save(state(1));
        while store.writes() == 0 {
            expect("a save that is held", matches!(poll!(&mut save), Poll::Pending), ())?;
        }
    }
    expect_eq("what is stored when it is dropped", newest(ctx, &run).await?, None)?;
    store.thaw();
    expect_eq("the next save", driver.save(state(2)).await?, persisted(ctx, 2))?;
    for (cut, expected) in [(Some(cursor(ctx, 1)), 1), (None, 2)] {
        if cut != Some(0) {
            let stored: Option<u64> = state_at(&*ctx.b, &run, cut, Raw).await?;
            expect_eq("what is stored", stored, Some(expected))?;
        }
    }
    let head = ctx.head(&run).await?;
    expect_eq("version and cursor", (head.version, head.cursor), (3, cursor(ctx, 2)))
}

async fn a_saved_state_advances_the_run(ctx: &Context) -> Verdict {
    let run = ctx.run("run");
    drive(ctx, &checkpoints(ctx), &run).await?;
    let fence = ctx.head(&run).await?.fence;
    let mut driver =
        driven(ctx.checkpointers(over(ctx, ctx.b.clone())).begin(begin(&run).over(fence)).await?)?;
    if ctx.capabilities.supports_log() {
        driver.append(vec![record(1)]).await?;
    }
    driver.renew().await?;
    expect_eq("the lapses before a save", ctx.head(&run).await?.lapses, 1)?;
    driver.save(state(1)).await?;
    expect_eq("the lapses after it", ctx.head(&run).await?.lapses, 0)
}
