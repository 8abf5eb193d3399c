//! Wakes under races, and what becomes of a wake that is not needed any more.

use crate::areas::prelude::*;

cases! { inbox:
    /// A message that races the release never loses the wake: the run is due after both, in whichever order they come.
    a_send_racing_the_release_never_loses_the_wake [Inbox],
    /// Of racing openers of a run that a message woke exactly one succeeds.
    of_16_racing_openers_of_a_woken_run_one_wins [Inbox],
    /// Waking and waiting a hundred times is no poison: lapses stay 0.
    waiting_a_hundred_times_is_no_poison [Inbox],
    /// A waiting run is taken `Over` its newest fence before it is due, and its wake is gone with that.
    a_takeover_ends_the_wake [Inbox],
    /// A later release replaces the wake: a message that only an earlier one asked for wakes nobody.
    a_later_release_replaces_the_wake [Inbox],
    /// A run that waits for no message is not woken by one.
    a_message_wakes_only_who_asked_for_it [Inbox],
    /// A run whose owner is gone takes messages like any other, and is due since its lease ran out.
    a_message_to_an_interrupted_run_waits_there [Inbox],
    /// A refused release leaves the run with its owner.
    a_refused_release_releases_nothing [],
    /// A draft is never due, also when it waits for a message that comes.
    a_message_wakes_no_draft [Inbox, Snapshots],
    /// Outcome, records and takes of the commit that releases a run hold with it.
    a_release_carries_the_rest_of_its_commit [Inbox, Log],
}

async fn a_send_racing_the_release_never_loses_the_wake(ctx: &Context) -> Verdict {
    let run = ctx.run("raced");
    let mut driver = ctx.create(&run).await?;
    for round in (1..).zip(ctx.rounds(ctx.tuning().rounds)).map(|(round, _)| round) {
        let message = ctx.message(format!("{round}"), "");
        let seen = round - 1;
        let take = if seen == 0 { vec![] } else { vec![seen] };
        let commit = Commit { take, ..ctx.next(&driver) }.release(Wake::message(seen));
        let (store, addressee) = (ctx.b.clone(), run.clone());
        let sending = tokio::spawn(async move { store.send(&addressee, message).await });
        ctx.a.commit(commit).await?;
        let sent = sending
            .await
            .map_err(|error| crate::Failure::new("the sender", "no panic", error.to_string()))??;
        expect_eq("the answer to the message", sent, Sent::Accepted { number: round })?;
        let head = ctx.head(&run).await?;
        expect_eq(&format!("the status after round {round}"), head.status(), Status::Interrupted)?;
        driver = ctx.resume(&run).await?;
    }
    expect_eq("lapses", ctx.head(&run).await?.lapses, 0)
}

async fn of_16_racing_openers_of_a_woken_run_one_wins(ctx: &Context) -> Verdict {
    let run = ctx.run("raced");
    let mut driver = ctx.create(&run).await?;
    ctx.commit(&mut driver, |commit| commit.release(Wake::message(0))).await?;
    ctx.a.send(&run, ctx.message("wake", "up")).await?;
    let answers = ctx
        .race(16, |_, store| {
            let (run, open) = (run.clone(), ctx.resuming());
            async move { store.open(&run, open).await }
        })
        .await?;
    let winner = one_winner("16 racing openers", answers, ErrorKind::LeaseHeld)?;
    let head = ctx.head(&run).await?;
    expect_eq("fence, version, lapses", (head.fence, head.version, head.lapses), (winner.fence, 3, 0))
}

async fn waiting_a_hundred_times_is_no_poison(ctx: &Context) -> Verdict {
    let run = ctx.run("patient");
    let mut driver = ctx.create(&run).await?;
    for number in 1..=100 {
        ctx.commit(&mut driver, |commit| commit.release(Wake::message(number - 1))).await?;
        ctx.b.send(&run, ctx.message(format!("{number}"), "")).await?;
        driver = ctx.resume(&run).await?;
    }
    let head = ctx.head(&run).await?;
    expect_eq("lapses and epoch", (head.lapses, head.fence.epoch), (0, 101))
}

async fn a_takeover_ends_the_wake(ctx: &Context) -> Verdict {
    let run = ctx.run("taken");
    let mut driver = ctx.create(&run).await?;
    ctx.commit(&mut driver, |commit| commit.release(Wake::message(0))).await?;
    let stale = Fence { token: Token(!driver.fence.token.0), ..driver.fence };
    let held = ctx.b.open(&run, ctx.resuming().over(stale)).await;
    refused("Over another fence", held, ErrorKind::LeaseHeld)?;
    let opened = ctx.b.open(&run, ctx.resuming().over(driver.fence)).await?;
    expect_eq("lapses", opened.head.lapses, 0)?;
    ctx.a.send(&run, ctx.message("late", "")).await?;
    let head = ctx.head(&run).await?;
    expect_eq("lease and due", (&head.lease, head.due), (&opened.head.lease, opened.head.due))?;
    let held = ctx.a.open(&run, ctx.resuming()).await;
    refused("an open of the driven run", held, ErrorKind::LeaseHeld).map(drop)
}

async fn a_later_release_replaces_the_wake(ctx: &Context) -> Verdict {
    let run = ctx.run("replaced");
    let mut driver = ctx.create(&run).await?;
    let at = ctx.head(&run).await?.at + ctx.long() * 10;
    ctx.commit(&mut driver, |commit| commit.release(Wake::message(0))).await?;
    let mut driver = Driver::of(&ctx.a.open(&run, ctx.resuming().over(driver.fence)).await?);
    ctx.commit(&mut driver, |commit| commit.release(Wake::at(at))).await?;
    ctx.b.send(&run, ctx.message("1", "")).await?;
    let head = ctx.head(&run).await?;
    expect_eq("due and status", (head.due, head.status()), (Some(at), Status::Waiting))?;
    let mut driver = Driver::of(&ctx.a.open(&run, ctx.resuming().over(driver.fence)).await?);
    ctx.commit(&mut driver, |commit| commit.release(Wake::message(1))).await?;
    let head = ctx.head(&run).await?;
    expect_eq("due and status", (head.due, head.status()), (None, Status::Waiting))?;
    ctx.b.send(&run, ctx.message("2", "")).await?;
    expect_eq("the status after its message", ctx.head(&run).await?.status(), Status::Interrupted)
}

async fn a_message_wakes_only_who_asked_for_it(ctx: &Context) -> Verdict {
    let (asleep, driven) = (ctx.run("asleep"), ctx.run("driven"));
    let mut driver = ctx.create(&asleep).await?;
    let at = ctx.head(&asleep).await?.at + ctx.long() * 10;
    ctx.commit(&mut driver, |commit| commit.release(Wake::at(at))).await?;
    ctx.create(&driven).await?;
    for (run, status) in [(&asleep, Status::Waiting), (&driven, Status::Running)] {
        let before = ctx.head(run).await?;
        ctx.b.send(run, ctx.message("wake", "up")).await?;
        let after = ctx.head(run).await?;
        expect_eq("due and status", (after.due, after.status()), (before.due, status))?;
    }
    Ok(())
}

async fn a_message_to_an_interrupted_run_waits_there(ctx: &Context) -> Verdict {
    let run = ctx.run("interrupted");
    ctx.create_briefly(&run).await?;
    ctx.expire().await;
    let due = ctx.head(&run).await?.due;
    let sent = ctx.b.send(&run, ctx.message("key", "content")).await?;
    expect_eq("the answer", sent, Sent::Accepted { number: 1 })?;
    let head = ctx.head(&run).await?;
    expect_eq("due and status", (head.due, head.status()), (due, Status::Interrupted))?;
    let opened = ctx.open_due(&run, ctx.resuming()).await?;
    let told = (opened.head.lapses, opened.head.newest_message);
    expect_eq("lapses, and the newest message", told, (1, 1))?;
    ctx.commit(&mut Driver::of(&opened), |commit| commit.take(1)).await.map(drop)
}

async fn a_refused_release_releases_nothing(ctx: &Context) -> Verdict {
    let run = ctx.run("kept");
    let mut driver = ctx.create(&run).await?;
    ctx.unchanged(&run, async {
        let late = Commit { expect: driver.version + 1, ..ctx.next(&driver).release(Wake::now()) };
        clashed("a release at another version", ctx.a.commit(late).await, Clash::Version)?;
        let nothing = Wake { at: None, after: None };
        let endless = ctx.a.commit(ctx.next(&driver).release(nothing)).await;
        refused("a release that nothing can wake", endless, ErrorKind::Invalid)?;
        refused("an open", ctx.b.open(&run, ctx.resuming()).await, ErrorKind::LeaseHeld)
    })
    .await?;
    ctx.commit(&mut driver, |commit| commit.release(Wake::now())).await.map(drop)
}

async fn a_message_wakes_no_draft(ctx: &Context) -> Verdict {
    let run = ctx.run("draft");
    let open = ctx.creating().origin(Origin { cursor: 7, lineage: None });
    let mut driver = Driver::of(&ctx.a.open(&run, open).await?);
    ctx.commit(&mut driver, |commit| commit.release(Wake::message(0))).await?;
    let sent = ctx.b.send(&run, ctx.message("wake", "up")).await?;
    expect_eq("the answer", sent, Sent::Accepted { number: 1 })?;
    let head = ctx.head(&run).await?;
    expect("it is a draft, and not due", head.draft && head.due.is_none(), &head)?;
    let held = ctx.a.open(&run, ctx.resuming()).await;
    refused("an open of a draft", held, ErrorKind::LeaseHeld)?;
    ctx.a.open(&run, ctx.resuming().over(driver.fence)).await.map(drop).map_err(Into::into)
}

async fn a_release_carries_the_rest_of_its_commit(ctx: &Context) -> Verdict {
    let run = ctx.run("released");
    let mut driver = ctx.create(&run).await?;
    ctx.b.send(&run, ctx.message("1", "")).await?;
    let note = Note::new(1, None, "until later")?;
    ctx.commit(&mut driver, |commit| {
        commit.record(record(1)).take(1).note(note.clone()).release(Wake::message(1))
    })
    .await?;
    let image = ctx.image(&run).await?;
    expect_eq("records and messages", (image.records.len(), image.messages.len()), (1, 0))?;
    let head = ctx.head(&run).await?;
    expect_eq("note and status", (&head.note, head.status()), (&Some(note), Status::Waiting))?;
    let dead = ctx.a.commit(ctx.next(&driver)).await;
    refused_as("a commit after the release", dead, Refusal::Fenced { current: driver.fence })
}
