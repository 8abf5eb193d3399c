//! Waiting: when a run that let go is due again.

use crate::areas::prelude::*;

cases! { inbox:
    /// `Wake::now` is due at once.
    now_is_due_at_once [],
    /// An instant that has passed is due at once, and not before the commit.
    a_past_instant_is_due_at_once [],
    /// Released until an instant, a run waits: it is refused to everyone, with the time left and no owner.
    until_its_instant_a_run_waits [],
    /// After its instant a run is anyone's, and nobody lapsed.
    after_its_instant_a_run_is_anyones [],
    /// Released until an instant, a run is due at it and not a microsecond before.
    is_due_at_its_instant_and_not_before [clock],
    /// An instant so far away that adding to it would overflow is one like any other.
    the_last_instant_never_comes [],
    /// Released until a message numbered above the one seen, a run is due with the first such message.
    is_due_by_a_message_above_the_number_seen [Inbox],
    /// Messages that the owner has seen, and repeated and conflicting ones, wake nobody.
    messages_already_seen_wake_nobody [Inbox],
    /// Released until a message that is there already, a run is due at once, taken or not: no wake is lost.
    a_message_that_is_there_already_wakes_at_once [Inbox],
    /// Of an instant and a message the message wakes the run when it comes first.
    the_message_wakes_when_it_comes_first [Inbox],
    /// Of an instant and a message the instant wakes the run when it comes first, and a message later on moves nothing.
    the_instant_wakes_when_it_comes_first [Inbox],
    /// Only the first message that wakes a run says when it became due.
    later_messages_do_not_move_the_due [Inbox, clock],
    /// A run that waits is known as waiting by a listing, and as interrupted once it is due.
    a_listing_tells_waiting_from_due [Inbox, List],
}

/// How far off the instants of these cases are: further than a case takes.
const FAR: Duration = Duration::from_secs(3600);

/// Creates a run and lets go of it.
async fn released(ctx: &Context, run: &RunId, wake: Wake) -> Verdict<Head> {
    let mut driver = ctx.create(run).await?;
    ctx.commit(&mut driver, |commit| commit.release(wake)).await?;
    ctx.head(run).await
}

/// What `head` tells of a run that waits for no instant.
fn expect_waiting(head: &Head) -> Verdict {
    expect_eq("lease, due, status", (&head.lease, head.due, head.status()), (&None, None, Status::Waiting))
}

/// A run that became due between two heads, by now.
fn expect_woken(before: &Head, after: &Head) -> Verdict {
    let due = after.due.is_some_and(|due| due >= before.at && due <= after.at);
    expect("it became due when it was woken", due, (before.at, after.due, after.at))?;
    expect_eq("its status", after.status(), Status::Interrupted)
}

async fn now_is_due_at_once(ctx: &Context) -> Verdict {
    let run = ctx.run("released");
    let mut driver = ctx.create(&run).await?;
    let before = ctx.head(&run).await?;
    ctx.commit(&mut driver, |commit| commit.release(Wake::now())).await?;
    let after = ctx.head(&run).await?;
    expect_eq("its lease", &after.lease, &None)?;
    expect_woken(&before, &after)?;
    let opened = ctx.b.open(&run, ctx.resuming()).await?;
    expect_eq("lapses", opened.head.lapses, 0)
}

async fn a_past_instant_is_due_at_once(ctx: &Context) -> Verdict {
    let run = ctx.run("released");
    let mut driver = ctx.create(&run).await?;
    let before = ctx.head(&run).await?;
    let wake = Wake::at(before.at - FAR);
    ctx.commit(&mut driver, |commit| commit.release(wake)).await?;
    expect_woken(&before, &ctx.head(&run).await?)
}

async fn until_its_instant_a_run_waits(ctx: &Context) -> Verdict {
    let run = ctx.run("waiting");
    let mut driver = ctx.create(&run).await?;
    let at = ctx.head(&run).await?.at + FAR;
    ctx.commit(&mut driver, |commit| commit.release(Wake::at(at))).await?;
    let head = ctx.head(&run).await?;
    expect_eq(
        "lease, due, status",
        (&head.lease, head.due, head.status()),
        (&None, Some(at), Status::Waiting),
    )?;
    ctx.unchanged(&run, async {
        for store in [&ctx.a, &ctx.b] {
            let early = store.open(&run, ctx.resuming()).await;
            let error = refused("an open before its due", early, ErrorKind::LeaseHeld)?;
            let told = matches!(error.refusal(), Some(Refusal::LeaseHeld { owner: None, expires_in: Some(left) })
                if !left.is_zero() && *left <= FAR);
            expect("no owner, and the time left", told, &error)?;
        }
        Ok(())
    })
    .await
}

async fn after_its_instant_a_run_is_anyones(ctx: &Context) -> Verdict {
    let run = ctx.run("waiting");
    let mut driver = ctx.create(&run).await?;
    let at = ctx.head(&run).await?.at + ctx.brief();
    ctx.commit(&mut driver, |commit| commit.release(Wake::at(at))).await?;
    let opened = ctx.open_due(&run, ctx.resuming()).await?;
    expect_eq("epoch and lapses", (opened.fence.epoch, opened.head.lapses), (2, 0))?;
    expect("it is opened no earlier than its due", opened.head.at >= at, opened.head.at)
}

async fn is_due_at_its_instant_and_not_before(ctx: &Context) -> Verdict {
    let run = ctx.run("waiting");
    let mut driver = ctx.create(&run).await?;
    let at = ctx.head(&run).await?.at + FAR;
    ctx.commit(&mut driver, |commit| commit.release(Wake::at(at))).await?;
    let microsecond = Duration::from_micros(1);
    ctx.pass(FAR - microsecond).await;
    expect_eq("a microsecond before", ctx.head(&run).await?.status(), Status::Waiting)?;
    let early = ctx.a.open(&run, ctx.resuming()).await;
    let held = Refusal::LeaseHeld { owner: None, expires_in: Some(microsecond) };
    refused_as("an open a microsecond before its due", early, held)?;
    ctx.pass(microsecond).await;
    expect_eq("at its instant", ctx.head(&run).await?.status(), Status::Interrupted)?;
    let opened = ctx.a.open(&run, ctx.resuming()).await?;
    expect_eq("epoch and lapses", (opened.fence.epoch, opened.head.lapses), (2, 0))
}

async fn the_last_instant_never_comes(ctx: &Context) -> Verdict {
    let run = ctx.run("waiting");
    let last = Timestamp(i64::MAX);
    let head = released(ctx, &run, Wake::at(last)).await?;
    expect_eq("due and status", (head.due, head.status()), (Some(last), Status::Waiting))?;
    let early = ctx.a.open(&run, ctx.resuming()).await;
    refused("an open before the end of time", early, ErrorKind::LeaseHeld).map(drop)
}

async fn is_due_by_a_message_above_the_number_seen(ctx: &Context) -> Verdict {
    let run = ctx.run("waiting");
    expect_waiting(&released(ctx, &run, Wake::message(0)).await?)?;
    let held = Refusal::LeaseHeld { owner: None, expires_in: None };
    ctx.unchanged(&run, async {
        refused_as("an open before the message", ctx.a.open(&run, ctx.resuming()).await, held)
    })
    .await?;
    ctx.pass(Duration::from_millis(2)).await;
    let before = ctx.head(&run).await?;
    ctx.a.send(&run, ctx.message("wake", "up")).await?;
    let after = ctx.head(&run).await?;
    expect_woken(&before, &after)?;
    expect_eq("version and fence", (after.version, after.fence), (before.version, before.fence))?;
    let opened = ctx.b.open(&run, ctx.resuming()).await?;
    expect_eq("epoch and lapses", (opened.fence.epoch, opened.head.lapses), (2, 0))
}

async fn messages_already_seen_wake_nobody(ctx: &Context) -> Verdict {
    let run = ctx.run("waiting");
    let mut driver = ctx.create(&run).await?;
    for key in ["1", "2"] {
        ctx.b.send(&run, ctx.message(key, "seen")).await?;
    }
    // One may also have been told of messages that are still to come.
    ctx.commit(&mut driver, |commit| commit.take(1).release(Wake::message(4))).await?;
    expect_waiting(&ctx.head(&run).await?)?;
    for (key, body) in
        [("1", "seen"), ("1", "other"), ("2", "seen"), ("3", "new"), ("4", "new"), ("4", "new")]
    {
        ctx.b.send(&run, ctx.message(key, body)).await?;
        expect_waiting(&ctx.head(&run).await?)?;
    }
    let before = ctx.head(&run).await?;
    expect_eq("the fifth", ctx.b.send(&run, ctx.message("5", "new")).await?, Sent::Accepted { number: 5 })?;
    expect_woken(&before, &ctx.head(&run).await?)
}

async fn a_message_that_is_there_already_wakes_at_once(ctx: &Context) -> Verdict {
    for (label, take) in [("waiting", false), ("taken", true)] {
        let run = ctx.run(label);
        let mut driver = ctx.create(&run).await?;
        for key in ["1", "2"] {
            ctx.b.send(&run, ctx.message(key, "unseen")).await?;
        }
        let before = ctx.head(&run).await?;
        let wake = Wake::message(1).or_at(before.at + FAR);
        let fill = |commit: Commit| if take { commit.take(2) } else { commit };
        ctx.commit(&mut driver, |commit| fill(commit).release(wake)).await?;
        expect_woken(&before, &ctx.head(&run).await?)?;
        ctx.b.open(&run, ctx.resuming()).await?;
    }
    Ok(())
}

async fn the_message_wakes_when_it_comes_first(ctx: &Context) -> Verdict {
    let run = ctx.run("waiting");
    let mut driver = ctx.create(&run).await?;
    let at = ctx.head(&run).await?.at + FAR;
    ctx.commit(&mut driver, |commit| commit.release(Wake::message(0).or_at(at))).await?;
    let before = ctx.head(&run).await?;
    expect_eq("due and status", (before.due, before.status()), (Some(at), Status::Waiting))?;
    ctx.a.send(&run, ctx.message("wake", "up")).await?;
    expect_woken(&before, &ctx.head(&run).await?)?;
    ctx.b.open(&run, ctx.resuming()).await.map(drop).map_err(Into::into)
}

async fn the_instant_wakes_when_it_comes_first(ctx: &Context) -> Verdict {
    let run = ctx.run("waiting");
    let mut driver = ctx.create(&run).await?;
    let at = ctx.head(&run).await?.at + ctx.brief();
    ctx.commit(&mut driver, |commit| commit.release(Wake::message(0).or_at(at))).await?;
    ctx.expire().await;
    let head = ctx.head(&run).await?;
    expect_eq("its status", head.status(), Status::Interrupted)?;
    expect("it was not due before its instant", head.due.is_some_and(|due| due >= at), (head.due, at))?;
    ctx.a.send(&run, ctx.message("late", "")).await?;
    expect_eq("its due after a message", ctx.head(&run).await?.due, head.due)?;
    let opened = ctx.b.open(&run, ctx.resuming()).await?;
    expect_eq("lapses", opened.head.lapses, 0)
}

async fn later_messages_do_not_move_the_due(ctx: &Context) -> Verdict {
    let run = ctx.run("waiting");
    released(ctx, &run, Wake::message(0)).await?;
    ctx.pass(FAR).await;
    ctx.a.send(&run, ctx.message("first", "")).await?;
    let Head { due, at, .. } = ctx.head(&run).await?;
    expect_eq("its due after the first message", due, Some(at))?;
    ctx.pass(FAR).await;
    ctx.a.send(&run, ctx.message("second", "")).await?;
    expect_eq("its due after the second message", ctx.head(&run).await?.due, due)
}

async fn a_listing_tells_waiting_from_due(ctx: &Context) -> Verdict {
    let run = ctx.run("waiting");
    released(ctx, &run, Wake::message(0)).await?;
    let listed = |status| {
        let prefix = Some(run.to_string());
        collect(ctx.b.list(Query { status: Some(status), id_prefix: prefix, ..Query::all() }))
    };
    let counts = (listed(Status::Waiting).await?.len(), listed(Status::Interrupted).await?.len());
    expect_eq("how many are waiting and interrupted", counts, (1, 0))?;
    ctx.a.send(&run, ctx.message("wake", "up")).await?;
    let counts = (listed(Status::Waiting).await?.len(), listed(Status::Interrupted).await?.len());
    expect_eq("how many are waiting and interrupted after the wake", counts, (0, 1))
}
