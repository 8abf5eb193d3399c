//! A writing process that is killed with -9.

use crate::{
    areas::{
        moves::{WHOLE, abandoned, completed, holds_whole, whole},
        prelude::*,
    },
    hooked::Second,
};

cases! { crash:
    /// What a killed process was told is there, after each request of a run; its successor goes on from it.
    what_a_killed_writer_was_told_is_there [processes] once "its writer is another process",
    /// A commit that was under way when its process was killed holds whole or not at all, and the same commit again
    /// settles it.
    a_commit_that_a_kill_cut_holds_whole_or_not_at_all [processes] once "its writer is another process",
    /// A message that was under way when its sender was killed is there once or not at all, and the same again settles
    /// it.
    a_message_that_a_kill_cut_is_there_once_or_not [processes, Inbox] once "its writer is another process",
    /// A process that connects anew sees everything that was acknowledged.
    another_process_sees_everything [processes],
    /// Whether the owner of a run that was killed is gone, is one answer: its head, the listing of what is due, an open and a
    /// deletion of what nobody drives give the same.
    a_killed_owner_is_gone_for_every_question_or_for_none [processes] once "its owner is another process",
    /// A run of which every owner is killed loses nothing, doubles nothing, and counts each of them.
    a_run_outlives_all_of_its_owners [processes, Log] once "its writer is another process",
}

/// The requests of the run that is killed after each of them.
const REQUESTS: u32 = 7;

/// What the killed process had been told.
struct Told {
    driver: Driver,
    last: Option<Commit>,
    released: bool,
    finished: bool,
    sent: u64,
}

/// Does the first `count` requests of the script in the other process.
async fn script(ctx: &Context, second: &Second, run: &RunId, count: u32) -> Verdict<Told> {
    let store = &second.store;
    let opened = store.open(run, ctx.creating().ttl(ctx.brief())).await?;
    let mut told =
        Told { driver: Driver::of(&opened), last: None, released: false, finished: false, sent: 0 };
    for request in 2..=count {
        let commit = match request {
            2 => whole(ctx, &told.driver),
            3 if ctx.capabilities.supports_inbox() => {
                store.send(run, ctx.message("key", "the message")).await?;
                told.sent = 1;
                continue;
            }
            4 => {
                store.renew(run, Renew::new(told.driver.fence, ctx.brief())).await?;
                continue;
            }
            5 => Commit { take: (1..=told.sent).collect(), ..whole(ctx, &told.driver) },
            6 => ctx.next(&told.driver).release(Wake::now()),
            7 => {
                told.driver = Driver::of(&store.open(run, ctx.resuming()).await?);
                told.released = false;
                told.finished = true;
                ctx.next(&told.driver).finish(completed(), Retain::Keep)
            }
            _ => ctx.next(&told.driver),
        };
        let commit = Commit { lease: shortened(ctx, commit.lease), ..commit };
        told.released = request == 6;
        let answer = store.commit(commit.clone()).await?;
        (told.driver.version, told.driver.cursor) = (answer.version, answer.cursor);
        if !commit.records.is_empty() || commit.snapshot.is_some() {
            told.last = Some(commit);
        }
    }
    Ok(told)
}

/// A lease whose end the case can wait for.
fn shortened(ctx: &Context, lease: LeaseChange) -> LeaseChange {
    match lease {
        LeaseChange::Extend(_) => LeaseChange::Extend(ctx.brief()),
        other => other,
    }
}

async fn what_a_killed_writer_was_told_is_there(ctx: &Context) -> Verdict {
    for count in 1..=REQUESTS {
        let run = ctx.run(&format!("killed-{count}"));
        let second = ctx.process().await?;
        let told = script(ctx, &second, &run, count).await?;
        second.process.kill()?;
        let after = ctx.image(&run).await?;
        let anew = ctx.connect_anew().await?;
        after.same_as(&image(&*anew, &run).await?)?;
        anew.close().await?;
        let head = ctx.head(&run).await?;
        let numbers = (head.version, head.cursor, head.newest_message, head.outcome.is_some());
        let Told { driver, last, released, finished, sent } = told;
        expect_eq(
            "version, cursor, newest message, finished",
            numbers,
            (driver.version, driver.cursor, sent, finished),
        )?;
        if let Some(commit) = &last {
            holds_whole(&after, commit)?;
        }
        let next = if finished {
            refused(
                "opening what has finished",
                ctx.a.open(&run, ctx.resuming()).await,
                ErrorKind::Finished,
            )?;
            continue;
        } else {
            ctx.open_due(&run, ctx.resuming()).await?
        };
        expect_eq("the epoch of its successor", next.fence.epoch, driver.fence.epoch + 1)?;
        expect_eq("the lapses", next.head.lapses, u32::from(!released))?;
        ctx.commit(&mut Driver::of(&next), |commit| commit.advances()).await?;
    }
    Ok(())
}

/// What an embedded store, which knows that a holder is gone, may say otherwise at once.
fn without_lease(mut image: Image) -> Image {
    if let Some(head) = &mut image.head {
        (head.due, head.lease) = (None, None);
    }
    image
}

async fn a_commit_that_a_kill_cut_holds_whole_or_not_at_all(ctx: &Context) -> Verdict {
    for round in 0..8u64 {
        let run = ctx.run(&format!("cut-{round}"));
        let second = ctx.process().await?;
        let mut driver = Driver::of(&second.store.open(&run, ctx.creating()).await?);
        for _ in 0..round % 3 {
            let answer = second.store.commit(whole(ctx, &driver)).await?;
            (driver.version, driver.cursor) = (answer.version, answer.cursor);
        }
        let before = without_lease(ctx.image(&run).await?);
        let cut = whole(ctx, &driver);
        // A server may be so quick that nothing is cut.
        let answered = abandoned(1, second.store.commit(cut.clone())).await.transpose()?;
        tokio::time::sleep(Duration::from_micros(300 * round)).await;
        second.process.kill()?;
        // A server that had the request when its sender died may do it at any time, also while we look.
        let mut after = without_lease(ctx.image(&run).await?);
        let happened = |image: &Image| image.head.as_ref().is_some_and(|head| head.version > driver.version);
        if !happened(&after) && after != before {
            after = without_lease(ctx.image(&run).await?);
        }
        let happened = happened(&after);
        expect("what was answered has happened", happened || answered.is_none(), answered)?;
        if happened {
            holds_whole(&after, &cut)?;
        } else {
            before.same_as(&after)?;
        }
        let settled = ctx.a.commit(cut.clone()).await?;
        expect("replayed if it had happened", settled.replayed || !happened, settled.replayed)?;
        let records = if ctx.capabilities.supports_log() { WHOLE } else { 0 };
        let want = (driver.version + 1, driver.cursor + records);
        expect_eq("its version and cursor", (settled.version, settled.cursor), want)?;
        holds_whole(&ctx.image(&run).await?, &cut)?;
    }
    Ok(())
}

async fn a_message_that_a_kill_cut_is_there_once_or_not(ctx: &Context) -> Verdict {
    let run = ctx.run("receiver");
    ctx.create(&run).await?;
    for round in 0..6u64 {
        let second = ctx.process().await?;
        let message = ctx.message(format!("key {round}"), "the message");
        // A server may be so quick that nothing is cut.
        let answered = abandoned(1, second.store.send(&run, message.clone())).await.transpose()?;
        tokio::time::sleep(Duration::from_micros(300 * round)).await;
        second.process.kill()?;
        let waiting = collect(ctx.b.inbox(&run, Span::all())).await?.len() as u64;
        let number = round + 1;
        expect("what was answered has happened", waiting == number || answered.is_none(), answered)?;
        let again = ctx.a.send(&run, message).await?;
        // A server that had it when its sender died may have taken it after we looked.
        let late = waiting < number && again == Sent::Accepted { number };
        expect("the same message again", late || again == Sent::Repeated { number }, again)?;
        let waiting = collect(ctx.b.inbox(&run, Span::all())).await?;
        expect_eq("how many wait", waiting.len() as u64, number)?;
    }
    Ok(())
}

async fn another_process_sees_everything(ctx: &Context) -> Verdict {
    let run = ctx.run("seen");
    let mut driver = ctx.create(&run).await?;
    for _ in 0..3 {
        let commit = whole(ctx, &driver);
        let answer = ctx.a.commit(commit).await?;
        (driver.version, driver.cursor) = (answer.version, answer.cursor);
    }
    if ctx.capabilities.supports_inbox() {
        ctx.a.send(&run, ctx.message("key", vec![0, 255])).await?;
    }
    let second = ctx.process().await?;
    ctx.image(&run).await?.same_as(&image(&*second.store, &run).await?)?;
    let commit = whole(ctx, &driver);
    ctx.a.commit(commit.clone()).await?;
    let seen = image(&*second.store, &run).await?;
    holds_whole(&seen, &commit)?;
    ctx.image(&run).await?.same_as(&seen)
}

async fn a_killed_owner_is_gone_for_every_question_or_for_none(ctx: &Context) -> Verdict {
    for deletes in [false, true] {
        let run = ctx.run(if deletes { "deleted" } else { "opened" });
        let second = ctx.process().await?;
        let driver = Driver::of(&second.store.open(&run, ctx.creating()).await?);
        second.process.kill()?;
        let head = ctx.head(&run).await?;
        let gone = head.status() == Status::Interrupted;
        expect("a run is interrupted or running", gone || head.status() == Status::Running, &head)?;
        if ctx.capabilities.supports_list() {
            let due = Query { due_by: Some(head.at), ..Query::all() };
            for query in [Query::interrupted(), due] {
                for store in [&ctx.a, &ctx.b] {
                    let heads = collect(store.list(query.clone())).await?;
                    let listed = heads.iter().any(|head| head.run == run);
                    expect_eq(&format!("whether {query:?} gives it"), listed, gone)?;
                }
            }
        }
        if deletes {
            let answer = ctx.b.delete(&run, Delete::NotDriven(driver.fence.incarnation)).await;
            if gone {
                expect("a deletion of what nobody drives", answer?, ())?;
            } else {
                clashed("a deletion of what nobody drives", answer, Clash::Driven)?;
            }
        } else {
            let answer = ctx.b.open(&run, ctx.resuming()).await;
            if gone {
                expect_eq("the epoch of its successor", answer?.fence.epoch, 2)?;
            } else {
                refused("an open", answer, ErrorKind::LeaseHeld)?;
            }
        }
    }
    Ok(())
}

async fn a_run_outlives_all_of_its_owners(ctx: &Context) -> Verdict {
    let run = ctx.run("outlived");
    let creating = Open { mode: Mode::CreateOrResume, ..ctx.creating().ttl(ctx.brief()) };
    let mut acknowledged = 0;
    for owner in 0..4u64 {
        if owner > 0 {
            ctx.expire().await;
        }
        let second = ctx.process().await?;
        let opened = second.store.open(&run, Open { id: ctx.id(), ..creating.clone() }).await?;
        let mut driver = Driver::of(&opened);
        expect_eq("where it goes on", driver.cursor, acknowledged)?;
        expect_eq("the lapses", u64::from(opened.head.lapses), owner)?;
        for _ in 0..=owner {
            let commit = ctx.next(&driver).record(record(driver.cursor + 1));
            let answer = second.store.commit(commit).await?;
            (driver.version, driver.cursor) = (answer.version, answer.cursor);
        }
        acknowledged = driver.cursor;
        second.process.kill()?;
    }
    let bodies: Vec<_> =
        collect(ctx.b.stream(&run, Span::all())).await?.into_iter().map(|record| record.body).collect();
    let want: Vec<_> = (1..=acknowledged).map(|number| record(number).body).collect();
    expect_eq("the bodies of its log", bodies, want)
}
