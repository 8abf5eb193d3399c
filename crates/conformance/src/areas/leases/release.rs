//! Letting go of a lease: from when on the run is anyone's.

use crate::areas::prelude::*;

/// The shortest time there is.
const MICRO: Duration = Duration::from_micros(1);

cases! { leases:
    /// A release for now makes the run due at once: interrupted, without a lease, and no lapse.
    a_release_for_now_is_due_at_once [],
    /// A release for an instant makes the run due then and not before, and the time left is told exactly.
    a_release_for_an_instant_is_due_then [clock],
    /// A release for an instant in the future leaves the run waiting; nobody but `Over` its fence opens it before.
    a_release_for_later_leaves_it_waiting [],
    /// A release for an instant that has passed makes the run due at the commit, not before.
    a_release_for_the_past_is_due_at_the_commit [clock],
    /// A release for the end of time leaves the run waiting for ever, and neither wraps nor fails.
    a_release_for_the_end_of_time_waits [],
    /// A release without a message or an instant to wake it is `Invalid`.
    a_release_that_nothing_wakes_is_invalid [],
    /// A release that waits for a message alone is due at no instant.
    a_release_for_a_message_is_never_due_by_itself [Inbox],
    /// A release for a message that is there already is due at once.
    a_release_for_a_message_that_is_there_is_due_at_once [Inbox],
    /// A release for a message or an instant is due with whichever comes first.
    a_release_for_either_is_due_by_the_first [Inbox, clock],
    /// What a run waits for is forgotten when it is opened: a message does not end the new owner's lease.
    what_it_waits_for_is_forgotten_with_the_open [Inbox],
    /// Waiting and waking a hundred times is no lapse.
    waiting_and_waking_is_no_lapse [],
    /// An open of a waiting run by its due starts a lease like any other, and takes what the release wrote.
    an_open_of_a_waiting_run_goes_on [],
}

/// Releases a new run.
async fn released(ctx: &Context, run: &RunId, wake: Wake) -> Verdict<Driver> {
    let mut driver = ctx.create(run).await?;
    ctx.commit(&mut driver, |commit| commit.release(wake)).await?;
    Ok(driver)
}

async fn send(ctx: &Context, run: &RunId, key: &'static str) -> Verdict {
    let kind = Kind::from_static("signal");
    let message = NewMessage::new(ctx.id(), MessageKey::from_static(key), kind, key);
    Ok(ctx.b.send(run, message).await.map(drop)?)
}

async fn a_release_for_now_is_due_at_once(ctx: &Context) -> Verdict {
    let run = ctx.run("released");
    let driver = released(ctx, &run, Wake::now()).await?;
    let head = ctx.head(&run).await?;
    expect_eq("lease and status", (&head.lease, head.status()), (&None, Status::Interrupted))?;
    expect_eq("its due, against its newest commit", head.due, Some(head.updated_at))?;
    let opened = ctx.b.open(&run, ctx.resuming()).await?;
    expect("the new fence supersedes the old one", opened.fence.supersedes(driver.fence), opened.fence)?;
    expect_eq("lapses", opened.head.lapses, 0)
}

async fn a_release_for_an_instant_is_due_then(ctx: &Context) -> Verdict {
    let run = ctx.run("waiting");
    let mut driver = ctx.create(&run).await?;
    let at = ctx.head(&run).await?.at + Duration::from_secs(3);
    ctx.pass(Duration::from_secs(1)).await;
    ctx.commit(&mut driver, |commit| commit.release(Wake::at(at))).await?;
    ctx.pass(Duration::from_secs(2) - MICRO).await;
    let head = ctx.head(&run).await?;
    expect_eq("status and due just before", (head.status(), head.due), (Status::Waiting, Some(at)))?;
    ctx.unchanged(&run, async {
        let held = Refusal::LeaseHeld { owner: None, expires_in: Some(MICRO) };
        refused_as("an open", ctx.b.open(&run, ctx.resuming()).await, held)
    })
    .await?;
    ctx.pass(MICRO).await;
    expect_eq("its status then", ctx.head(&run).await?.status(), Status::Interrupted)?;
    let opened = ctx.b.open(&run, ctx.resuming()).await?;
    expect_eq("epoch and lapses", (opened.fence.epoch, opened.head.lapses), (2, 0))
}

async fn a_release_for_later_leaves_it_waiting(ctx: &Context) -> Verdict {
    let run = ctx.run("waiting");
    let mut driver = ctx.create_briefly(&run).await?;
    let at = ctx.head(&run).await?.at + ctx.long() * 3;
    ctx.commit(&mut driver, |commit| commit.release(Wake::at(at))).await?;
    ctx.expire().await;
    let head = ctx.head(&run).await?;
    expect_eq("status and due", (head.status(), head.due), (Status::Waiting, Some(at)))?;
    ctx.unchanged(&run, async {
        let error = refused("an open", ctx.b.open(&run, ctx.resuming()).await, ErrorKind::LeaseHeld)?;
        let told = matches!(
            error.refusal(),
            Some(Refusal::LeaseHeld { owner: None, expires_in: Some(left) }) if *left <= ctx.long() * 3
        );
        expect("it tells the time left, and no owner", told, &error)
    })
    .await?;
    let opened = ctx.b.open(&run, ctx.resuming().over(driver.fence)).await?;
    expect_eq("epoch and lapses", (opened.fence.epoch, opened.head.lapses), (2, 0))?;
    let due = opened.head.lease.as_ref().map(|lease| lease.until);
    expect_eq("its due, against its lease's end", opened.head.due, due)
}

async fn a_release_for_the_past_is_due_at_the_commit(ctx: &Context) -> Verdict {
    let run = ctx.run("late");
    let mut driver = ctx.create(&run).await?;
    let at = ctx.head(&run).await?.at;
    ctx.pass(Duration::from_secs(1)).await;
    ctx.commit(&mut driver, |commit| commit.release(Wake::at(at))).await?;
    let head = ctx.head(&run).await?;
    expect_eq("its due, against the store's now", head.due, Some(head.at))?;
    expect_eq("its status", head.status(), Status::Interrupted)
}

async fn a_release_for_the_end_of_time_waits(ctx: &Context) -> Verdict {
    let run = ctx.run("for-ever");
    let driver = released(ctx, &run, Wake::at(Timestamp(i64::MAX))).await?;
    let head = ctx.head(&run).await?;
    expect_eq("its status", head.status(), Status::Waiting)?;
    let far = head.at + Duration::from_secs(31_557_600) * 1_000;
    expect("it is not due in a thousand years", head.due.is_none_or(|due| due > far), head.due)?;
    refused("an open", ctx.b.open(&run, ctx.resuming()).await, ErrorKind::LeaseHeld)?;
    ctx.b.open(&run, ctx.resuming().over(driver.fence)).await?;
    Ok(())
}

async fn a_release_that_nothing_wakes_is_invalid(ctx: &Context) -> Verdict {
    let run = ctx.run("asleep");
    let mut driver = ctx.create(&run).await?;
    ctx.unchanged(&run, async {
        let release = ctx.next(&driver).release(Wake { at: None, after: None });
        refused("the release", ctx.a.commit(release).await, ErrorKind::Invalid)
    })
    .await?;
    ctx.commit(&mut driver, |commit| commit).await.map(drop)
}

async fn a_release_for_a_message_is_never_due_by_itself(ctx: &Context) -> Verdict {
    let run = ctx.run("waiting");
    let mut driver = ctx.create_briefly(&run).await?;
    ctx.commit(&mut driver, |commit| commit.release(Wake::message(0))).await?;
    ctx.expire().await;
    let head = ctx.head(&run).await?;
    expect_eq("status and due", (head.status(), head.due), (Status::Waiting, None))?;
    ctx.unchanged(&run, async {
        let held = Refusal::LeaseHeld { owner: None, expires_in: None };
        refused_as("an open", ctx.b.open(&run, ctx.resuming()).await, held)
    })
    .await?;
    send(ctx, &run, "one").await?;
    expect_eq("its status with the message", ctx.head(&run).await?.status(), Status::Interrupted)?;
    let opened = ctx.a.open(&run, ctx.resuming()).await?;
    expect_eq("epoch and lapses", (opened.fence.epoch, opened.head.lapses), (2, 0))
}

async fn a_release_for_a_message_that_is_there_is_due_at_once(ctx: &Context) -> Verdict {
    let run = ctx.run("waiting");
    let mut driver = ctx.create(&run).await?;
    send(ctx, &run, "one").await?;
    send(ctx, &run, "two").await?;
    ctx.commit(&mut driver, |commit| commit.release(Wake::message(1))).await?;
    let head = ctx.head(&run).await?;
    expect_eq("its status", head.status(), Status::Interrupted)?;
    expect_eq("its due, against its newest commit", head.due, Some(head.updated_at))?;
    let mut driver = Driver::of(&ctx.b.open(&run, ctx.resuming()).await?);
    ctx.commit(&mut driver, |commit| commit.release(Wake::message(2))).await?;
    let head = ctx.head(&run).await?;
    expect_eq("status and due after what was seen", (head.status(), head.due), (Status::Waiting, None))
}

async fn a_release_for_either_is_due_by_the_first(ctx: &Context) -> Verdict {
    let run = ctx.run("either");
    let mut driver = ctx.create(&run).await?;
    let at = ctx.head(&run).await?.at + Duration::from_secs(5);
    ctx.commit(&mut driver, |commit| commit.release(Wake::message(0).or_at(at))).await?;
    expect_eq("its due without the message", ctx.head(&run).await?.due, Some(at))?;
    ctx.pass(Duration::from_secs(2)).await;
    send(ctx, &run, "one").await?;
    let head = ctx.head(&run).await?;
    expect_eq("its due with the message", head.due, Some(head.at))?;
    let mut driver = Driver::of(&ctx.b.open(&run, ctx.resuming()).await?);
    let at = ctx.head(&run).await?.at + Duration::from_secs(1);
    ctx.commit(&mut driver, |commit| commit.release(Wake::message(1).or_at(at))).await?;
    ctx.pass(Duration::from_secs(3)).await;
    send(ctx, &run, "two").await?;
    expect_eq("its due after a message that came later", ctx.head(&run).await?.due, Some(at))
}

async fn what_it_waits_for_is_forgotten_with_the_open(ctx: &Context) -> Verdict {
    let run = ctx.run("opened");
    let driver = released(ctx, &run, Wake::message(0)).await?;
    let opened = ctx.b.open(&run, ctx.resuming().over(driver.fence)).await?;
    send(ctx, &run, "one").await?;
    let head = ctx.head(&run).await?;
    expect_eq("lease and due", (&head.lease, head.due), (&opened.head.lease, opened.head.due))?;
    let far = Wake::at(head.at + ctx.long() * 3);
    let mut driver = Driver::of(&opened);
    ctx.commit(&mut driver, |commit| commit.release(far)).await?;
    send(ctx, &run, "two").await?;
    expect_eq("its due, for it waits for no message", ctx.head(&run).await?.due, far.at)
}

async fn waiting_and_waking_is_no_lapse(ctx: &Context) -> Verdict {
    let run = ctx.run("patient");
    let mut driver = ctx.create(&run).await?;
    let mut waits = 0;
    for _ in ctx.rounds(100) {
        waits += 1;
        ctx.commit(&mut driver, |commit| commit.release(Wake::now())).await?;
        driver = Driver::of(&ctx.b.open(&run, ctx.resuming()).await?);
    }
    let head = ctx.head(&run).await?;
    let told = (head.lapses, head.version, head.fence.epoch);
    expect_eq("lapses, version, epoch", told, (0, 1 + 2 * waits, 1 + waits))
}

async fn an_open_of_a_waiting_run_goes_on(ctx: &Context) -> Verdict {
    let run = ctx.run("waiting");
    let mut driver = ctx.create(&run).await?;
    let note = Note { done: 4, total: None, text: "until then".into() };
    let logs = ctx.capabilities.supports_log();
    let wake = Wake::at(ctx.head(&run).await?.at + Duration::from_millis(20));
    ctx.commit(&mut driver, |commit| {
        let commit = commit.note(note.clone()).release(wake);
        if logs { commit.record(record(1)) } else { commit }
    })
    .await?;
    let opened = ctx.open_due(&run, ctx.resuming().owner(Owner::new("successor"))).await?;
    let head = &opened.head;
    expect_eq(
        "version, cursor, note",
        (head.version, head.cursor, head.note.as_ref()),
        (3, u64::from(logs), Some(&note)),
    )?;
    let owner = head.lease.as_ref().map(|lease| lease.owner.as_str());
    expect_eq("whose lease it is", owner, Some("successor"))?;
    ctx.commit(&mut Driver::of(&opened), |commit| commit).await.map(drop)
}
