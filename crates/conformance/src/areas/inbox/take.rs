//! Taking: a message leaves the inbox exactly if the commit holds.

use crate::areas::prelude::*;

cases! { inbox:
    /// A message is gone from the inbox exactly if the commit that takes it holds; the others stay, and so do numbers.
    taken_exactly_when_the_commit_holds [Inbox],
    /// A commit that is refused takes nothing.
    a_refused_commit_takes_nothing [Inbox],
    /// Taking a message that is not waiting (never sent, taken already) is a `Conflict` about it, and nothing is taken.
    taking_what_is_not_waiting_is_a_conflict [Inbox],
    /// Messages can be taken in any order and many at once.
    messages_are_taken_in_any_order [Inbox],
    /// A commit that takes a message, sent again, is answered as the first time, and takes nothing else.
    a_replayed_take_takes_once [Inbox],
    /// The first message of a key wins also after it was taken: its number is never given again.
    a_key_is_known_after_its_message_was_taken [Inbox],
    /// Keys of taken messages are remembered behind many newer ones, over a reopen and a takeover.
    keys_are_remembered_behind_many_others [Inbox],
    /// As many keys are remembered as the store declares, the first one to the last.
    as_many_keys_are_remembered_as_declared [Inbox],
    /// What waits in the inbox is there after a takeover, and for every handle.
    the_inbox_survives_a_takeover [Inbox],
    /// The inbox goes with its run, and so do its numbers and its keys: a run of the same name starts with none.
    the_inbox_goes_with_the_run [Inbox],
    /// A failed run that is opened again still has its inbox, and takes new messages.
    a_reopened_run_keeps_its_inbox [Inbox],
}

/// Sends so many messages, whose keys and bodies are their numbers.
async fn send(ctx: &Context, run: &RunId, numbers: std::ops::RangeInclusive<u64>) -> Verdict {
    for number in numbers {
        let message = ctx.message(format!("key {number}"), format!("{number}"));
        expect_eq("the answer", ctx.b.send(run, message).await?, Sent::Accepted { number })?;
    }
    Ok(())
}

/// The numbers that wait.
async fn waiting(ctx: &Context, run: &RunId) -> Verdict<Vec<u64>> {
    let inbox = collect(ctx.b.inbox(run, Span::all())).await?;
    Ok(inbox.into_iter().map(|message| message.number).collect())
}

async fn taken_exactly_when_the_commit_holds(ctx: &Context) -> Verdict {
    let run = ctx.run("taking");
    let mut driver = ctx.create(&run).await?;
    send(ctx, &run, 1..=4).await?;
    ctx.commit(&mut driver, |commit| commit.take(2)).await?;
    expect_eq("the numbers that wait", waiting(ctx, &run).await?, vec![1, 3, 4])?;
    let head = ctx.head(&run).await?;
    expect_eq("newest message and size", (head.newest_message, head.sizes.messages), (4, 3))?;
    ctx.commit(&mut driver, |commit| commit.take(4).take(1).take(3)).await?;
    expect_eq("the numbers that wait", waiting(ctx, &run).await?, Vec::<u64>::new())?;
    let head = ctx.head(&run).await?;
    expect_eq("newest message and size", (head.newest_message, head.sizes.messages), (4, 0))?;
    send(ctx, &run, 5..=5).await?;
    expect_eq("the numbers that wait", waiting(ctx, &run).await?, vec![5])
}

async fn a_refused_commit_takes_nothing(ctx: &Context) -> Verdict {
    let run = ctx.run("taking");
    let old = ctx.create(&run).await?;
    let mut driver = Driver::of(&ctx.b.open(&run, ctx.resuming().over(old.fence)).await?);
    send(ctx, &run, 1..=2).await?;
    ctx.commit(&mut driver, |commit| commit).await?;
    ctx.unchanged(&run, async {
        let late = Commit { expect: driver.version - 1, ..ctx.next(&driver).take(1) };
        clashed("a take at an old version", ctx.a.commit(late).await, Clash::Version)?;
        let dead = Driver { version: driver.version, ..old };
        let current = driver.fence;
        let fenced = ctx.a.commit(ctx.next(&dead).take(1)).await;
        refused_as("a take by an older fence", fenced, Refusal::Fenced { current })?;
        let batch = vec![ctx.next(&driver).take(1), ctx.next(&driver).take(2)];
        for twice in ctx.a.commit_many(batch).await {
            refused("a take in a batch with its run twice", twice, ErrorKind::Invalid)?;
        }
        let double = ctx.a.commit(ctx.next(&driver).take(1).take(1)).await;
        refused("one message twice", double, ErrorKind::Invalid)
    })
    .await?;
    ctx.commit(&mut driver, |commit| commit.take(1).take(2)).await.map(drop)
}

async fn taking_what_is_not_waiting_is_a_conflict(ctx: &Context) -> Verdict {
    let run = ctx.run("taking");
    let mut driver = ctx.create(&run).await?;
    ctx.unchanged(&run, async {
        clashed("from an empty inbox", ctx.a.commit(ctx.next(&driver).take(1)).await, Clash::NotWaiting(1))
    })
    .await?;
    send(ctx, &run, 1..=3).await?;
    ctx.commit(&mut driver, |commit| commit.take(2)).await?;
    ctx.unchanged(&run, async {
        for (take, missing) in [
            (vec![2], 2),
            (vec![0], 0),
            (vec![4], 4),
            (vec![u64::MAX], u64::MAX),
            (vec![1, 3, 4], 4),
            (vec![1, 2, 3], 2),
        ] {
            let commit = Commit { take: take.clone(), ..ctx.next(&driver).advances() };
            let head =
                clashed(&format!("taking {take:?}"), ctx.a.commit(commit).await, Clash::NotWaiting(missing))?;
            expect_eq("the version that the conflict tells", head.version, driver.version)?;
        }
        Ok(())
    })
    .await
}

async fn messages_are_taken_in_any_order(ctx: &Context) -> Verdict {
    let run = ctx.run("taking");
    let mut driver = ctx.create(&run).await?;
    send(ctx, &run, 1..=200).await?;
    let even = (1..=100).rev().map(|half| half * 2).collect();
    ctx.commit(&mut driver, |commit| Commit { take: even, ..commit }).await?;
    let odd: Vec<u64> = (0..100).map(|half| half * 2 + 1).collect();
    expect_eq("the numbers that wait", waiting(ctx, &run).await?, odd.clone())?;
    ctx.commit(&mut driver, |commit| Commit { take: odd, ..commit }).await?;
    expect_eq("the numbers that wait", waiting(ctx, &run).await?, Vec::<u64>::new())
}

async fn a_replayed_take_takes_once(ctx: &Context) -> Verdict {
    let run = ctx.run("taking");
    let driver = ctx.create(&run).await?;
    send(ctx, &run, 1..=2).await?;
    let commit = ctx.next(&driver).take(1);
    let first = ctx.a.commit(commit.clone()).await?;
    ctx.unchanged(&run, async {
        let again = ctx.b.commit(commit).await?;
        expect_eq("the answer to it again", again, Committed { replayed: true, ..first })
    })
    .await?;
    expect_eq("the numbers that wait", waiting(ctx, &run).await?, vec![2])
}

async fn a_key_is_known_after_its_message_was_taken(ctx: &Context) -> Verdict {
    let run = ctx.run("taking");
    let mut driver = ctx.create(&run).await?;
    send(ctx, &run, 1..=2).await?;
    ctx.commit(&mut driver, |commit| commit.take(1).take(2)).await?;
    let reopened = ctx.reopen().await?;
    ctx.unchanged(&run, async {
        for store in [&ctx.a, &ctx.b, &reopened] {
            let same = store.send(&run, ctx.message("key 2", "2")).await?;
            expect_eq("the same content", same, Sent::Repeated { number: 2 })?;
            let other = store.send(&run, ctx.message("key 1", "2")).await?;
            expect_eq("other content", other, Sent::Conflicting { number: 1 })?;
        }
        Ok(())
    })
    .await?;
    send(ctx, &run, 3..=3).await
}

async fn keys_are_remembered_behind_many_others(ctx: &Context) -> Verdict {
    let run = ctx.run("taking");
    let mut driver = ctx.create(&run).await?;
    let mut count = 0;
    for _ in ctx.rounds(ctx.tuning().rounds.saturating_mul(3).max(2)) {
        count += 1;
        send(ctx, &run, count..=count).await?;
    }
    ctx.commit(&mut driver, |commit| Commit { take: (1..=count).collect(), ..commit }).await?;
    ctx.a.open(&run, ctx.resuming().over(driver.fence)).await?;
    let reopened = ctx.reopen().await?;
    for number in [1, 2, count / 2 + 1, count] {
        let (key, body) = (format!("key {number}"), format!("{number}"));
        let same = reopened.send(&run, ctx.message(&key, body)).await?;
        expect_eq("the same content", same, Sent::Repeated { number })?;
        let other = reopened.send(&run, ctx.message(&key, "other")).await?;
        expect_eq("other content", other, Sent::Conflicting { number })?;
    }
    send(ctx, &run, count + 1..=count + 1).await
}

async fn as_many_keys_are_remembered_as_declared(ctx: &Context) -> Verdict {
    let run = ctx.run("window");
    ctx.create(&run).await?;
    let declared = ctx.capabilities.limits.message_keys;
    // None is forgotten where there is no last one; the trace of a failure is for people to read.
    let most =
        if declared == u64::MAX { 100 } else { u32::try_from(declared.min(65_536)).unwrap_or(u32::MAX) };
    let [store, _] = &ctx.untraced;
    let mut count = 0;
    for _ in ctx.rounds(most) {
        count += 1;
        store.send(&run, ctx.message(format!("key {count}"), "")).await?;
    }
    for number in [1, count] {
        let key = format!("key {number}");
        let same = ctx.b.send(&run, ctx.message(&key, "")).await?;
        expect_eq("the same content", same, Sent::Repeated { number })?;
        let other = ctx.b.send(&run, ctx.message(&key, "other")).await?;
        expect_eq("other content", other, Sent::Conflicting { number })?;
    }
    expect_eq("the newest message", ctx.head(&run).await?.newest_message, count)
}

async fn the_inbox_survives_a_takeover(ctx: &Context) -> Verdict {
    let run = ctx.run("taken-over");
    let old = ctx.create(&run).await?;
    send(ctx, &run, 1..=3).await?;
    let before = ctx.image(&run).await?.messages;
    let opened = ctx.b.open(&run, ctx.resuming().over(old.fence)).await?;
    expect_eq("the newest message that the open tells", opened.head.newest_message, 3)?;
    for store in [&ctx.a, &ctx.b, &ctx.reopen().await?] {
        expect_eq("the inbox", collect(store.inbox(&run, Span::all())).await?, before.clone())?;
    }
    let mut driver = Driver::of(&opened);
    ctx.commit(&mut driver, |commit| commit.take(1)).await?;
    expect_eq("the numbers that wait", waiting(ctx, &run).await?, vec![2, 3])
}

async fn the_inbox_goes_with_the_run(ctx: &Context) -> Verdict {
    let run = ctx.run("recreated");
    ctx.create(&run).await?;
    send(ctx, &run, 1..=3).await?;
    expect("it is deleted", ctx.a.delete(&run, Delete::Any).await?, ())?;
    let mut driver = ctx.create(&run).await?;
    let head = ctx.head(&run).await?;
    expect_eq("newest message and size", (head.newest_message, head.sizes.messages), (0, 0))?;
    expect_eq("the numbers that wait", waiting(ctx, &run).await?, Vec::<u64>::new())?;
    let taken = ctx.a.commit(ctx.next(&driver).take(1)).await;
    clashed("taking a message of the life before", taken, Clash::NotWaiting(1))?;
    let sent = ctx.a.send(&run, ctx.message("key 3", "other")).await?;
    expect_eq("a key of the life before", sent, Sent::Accepted { number: 1 })?;
    ctx.commit(&mut driver, |commit| commit.take(1)).await.map(drop)
}

async fn a_reopened_run_keeps_its_inbox(ctx: &Context) -> Verdict {
    let run = ctx.run("reopened");
    let mut driver = ctx.create(&run).await?;
    send(ctx, &run, 1..=3).await?;
    let failure = Failure::new(FailureKind::Error, "for a while");
    let outcome = Outcome::Failed { failure };
    ctx.commit(&mut driver, |commit| commit.take(2).finish(outcome, Retain::Keep)).await?;
    expect_eq("the numbers that wait", waiting(ctx, &run).await?, vec![1, 3])?;
    let mut driver = Driver::of(&ctx.a.open(&run, ctx.resuming().reopen_failed()).await?);
    send(ctx, &run, 4..=4).await?;
    let known = ctx.b.send(&run, ctx.message("key 2", "2")).await?;
    expect_eq("a key of before", known, Sent::Repeated { number: 2 })?;
    ctx.commit(&mut driver, |commit| commit.take(1).take(4)).await?;
    expect_eq("the numbers that wait", waiting(ctx, &run).await?, vec![3])
}
