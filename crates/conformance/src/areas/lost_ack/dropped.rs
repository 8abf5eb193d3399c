//! Dropped futures: a write that nobody waits for any more is found out like a lost acknowledgement.

use tokio::time::timeout;

use crate::areas::{
    moves::{abandoned, completed, whole},
    prelude::*,
};

cases! { lost_ack:
    /// A commit that is dropped after any number of polls, then sent again, is done exactly once.
    a_commit_dropped_after_some_polls_is_settled [],
    /// A commit that is dropped after any time, then sent again, is done exactly once.
    a_commit_dropped_after_some_time_is_settled [],
    /// A commit that is dropped again and again, then sent once more, is done exactly once.
    a_commit_dropped_often_is_settled [],
    /// A batch that is dropped, then sent again, is done exactly once for each of its runs.
    a_batch_dropped_is_settled [],
    /// An open that is dropped, then sent again, has opened the run exactly once.
    an_open_dropped_is_settled [],
    /// A creation that is dropped, then sent again, has created the run exactly once.
    a_creation_dropped_is_settled [],
    /// A message that is dropped, then sent again, is in the inbox exactly once.
    a_message_dropped_is_settled [Inbox],
    /// A renewal that is dropped, then sent again, leaves the lease as one renewal does.
    a_renewal_dropped_is_settled [],
    /// A commit that ends a run, dropped and sent again, ends it once.
    an_outcome_dropped_is_settled [],
    /// Reads that are dropped leave nothing behind that keeps a write from being done.
    dropped_reads_hold_nothing_up [Log],
}

/// Sends `commit` again, by one handle or the other, checks the answer and takes it over.
async fn settle(ctx: &Context, driver: &mut Driver, commit: &Commit, round: u32) -> Verdict {
    let store = if round.is_multiple_of(2) { &ctx.a } else { &ctx.b };
    let settled = store.commit(commit.clone()).await?;
    let cursor = driver.cursor + commit.records.len() as u64;
    let want = (driver.version + 1, cursor);
    expect_eq("version and cursor of what is settled", (settled.version, settled.cursor), want)?;
    (driver.version, driver.cursor) = want;
    Ok(())
}

/// The log of `driver` must be what it was told, and nothing else.
async fn is_exact(ctx: &Context, driver: &Driver) -> Verdict {
    let image = ctx.image(&driver.run).await?;
    let told = image.head.map(|head| (head.version, head.cursor));
    expect_eq("version and cursor", told, Some((driver.version, driver.cursor)))?;
    let read: Vec<_> = image.records.into_iter().map(|record| (record.cursor, record.body)).collect();
    let want: Vec<_> = (1..=driver.cursor).map(|cursor| (cursor, record(cursor).body)).collect();
    expect_eq("the log", read, want)
}

async fn a_commit_dropped_after_some_polls_is_settled(ctx: &Context) -> Verdict {
    let run = ctx.run("dropped");
    let mut driver = ctx.create(&run).await?;
    for round in ctx.rounds(48) {
        let commit = whole(ctx, &driver);
        drop(abandoned(round / 2, ctx.a.commit(commit.clone())).await);
        settle(ctx, &mut driver, &commit, round).await?;
    }
    is_exact(ctx, &driver).await
}

async fn a_commit_dropped_after_some_time_is_settled(ctx: &Context) -> Verdict {
    let run = ctx.run("dropped");
    let mut driver = ctx.create(&run).await?;
    for round in ctx.rounds(40) {
        let commit = whole(ctx, &driver);
        let patience = Duration::from_micros(25) * round;
        drop(timeout(patience, ctx.a.commit(commit.clone())).await);
        settle(ctx, &mut driver, &commit, round).await?;
    }
    is_exact(ctx, &driver).await
}

async fn a_commit_dropped_often_is_settled(ctx: &Context) -> Verdict {
    let run = ctx.run("dropped");
    let mut driver = ctx.create(&run).await?;
    for round in ctx.rounds(12) {
        let commit = whole(ctx, &driver);
        for polls in 1..=8 {
            let store = if polls % 2 == 0 { &ctx.a } else { &ctx.b };
            drop(abandoned(polls, store.commit(commit.clone())).await);
        }
        settle(ctx, &mut driver, &commit, round).await?;
    }
    is_exact(ctx, &driver).await
}

async fn a_batch_dropped_is_settled(ctx: &Context) -> Verdict {
    let mut drivers = Vec::new();
    for number in 0..4 {
        drivers.push(ctx.create(&ctx.run(&format!("dropped{number}"))).await?);
    }
    for round in ctx.rounds(24) {
        let commits: Vec<_> = drivers.iter().map(|driver| whole(ctx, driver)).collect();
        drop(abandoned(round, ctx.a.commit_many(commits.clone())).await);
        let answers = ctx.b.commit_many(commits.clone()).await;
        expect_eq("how many answers there are", answers.len(), drivers.len())?;
        for ((driver, commit), answer) in drivers.iter_mut().zip(commits).zip(answers) {
            let settled = answer?;
            let want = (driver.version + 1, driver.cursor + commit.records.len() as u64);
            expect_eq("version and cursor of what is settled", (settled.version, settled.cursor), want)?;
            (driver.version, driver.cursor) = want;
        }
    }
    for driver in &drivers {
        is_exact(ctx, driver).await?;
    }
    Ok(())
}

async fn an_open_dropped_is_settled(ctx: &Context) -> Verdict {
    let run = ctx.run("dropped");
    let mut driver = ctx.create(&run).await?;
    for round in ctx.rounds(24) {
        let open = ctx.resuming().over(driver.fence);
        drop(abandoned(round, ctx.a.open(&run, open.clone())).await);
        let opened = ctx.b.open(&run, open).await?;
        let told = (opened.fence.epoch, opened.head.version);
        expect_eq("epoch and version", told, (driver.fence.epoch + 1, driver.version + 1))?;
        driver = Driver::of(&opened);
        ctx.commit(&mut driver, |commit| commit.advances()).await?;
    }
    expect_eq("the fence that stands", ctx.head(&run).await?.fence, driver.fence)
}

async fn a_creation_dropped_is_settled(ctx: &Context) -> Verdict {
    for round in ctx.rounds(16) {
        let run = ctx.run(&format!("dropped{round}"));
        let open = ctx.creating();
        drop(abandoned(round, ctx.a.open(&run, open.clone())).await);
        let opened = ctx.b.open(&run, open).await?;
        expect("it says that it created the run", opened.created, &opened)?;
        let head = ctx.head(&run).await?;
        let told = (head.fence, head.version, head.fence.epoch);
        expect_eq("fence, version, epoch", told, (opened.fence, 1, 1))?;
        ctx.commit(&mut Driver::of(&opened), |commit| commit).await?;
        expect_eq("the version after a commit", ctx.head(&run).await?.version, 2)?;
    }
    Ok(())
}

async fn a_message_dropped_is_settled(ctx: &Context) -> Verdict {
    let run = ctx.run("dropped");
    ctx.create(&run).await?;
    let mut numbers = Vec::new();
    for round in ctx.rounds(24) {
        let message = ctx.message(format!("key {round}"), "a body");
        drop(abandoned(round, ctx.a.send(&run, message.clone())).await);
        let number = u64::from(round) + 1;
        match ctx.b.send(&run, message).await? {
            Sent::Accepted { number } | Sent::Repeated { number } => numbers.push(number),
            other => expect("the same content is no conflict", false, other)?,
        }
        expect_eq("its number", numbers.last(), Some(&number))?;
    }
    let waiting: Vec<_> = ctx.image(&run).await?.messages.iter().map(|message| message.number).collect();
    expect_eq("the messages that wait", waiting, numbers)
}

async fn a_renewal_dropped_is_settled(ctx: &Context) -> Verdict {
    let run = ctx.run("dropped");
    let mut driver = ctx.create(&run).await?;
    for round in ctx.rounds(16) {
        let before = ctx.head(&run).await?.lease.map(|lease| lease.until);
        // Without a note: one that is dropped may come late, and then it is the newest.
        let renew = Renew::new(driver.fence, ctx.long() * (round + 2));
        drop(abandoned(round, ctx.a.renew(&run, renew.clone())).await);
        ctx.b.renew(&run, renew).await?;
        let head = ctx.head(&run).await?;
        let until = head.lease.as_ref().map(|lease| lease.until);
        expect("the lease lasts longer", until > before, (before, until))?;
        expect_eq("fence and version", (head.fence, head.version), (driver.fence, driver.version))?;
    }
    ctx.commit(&mut driver, |commit| commit).await.map(drop)
}

async fn an_outcome_dropped_is_settled(ctx: &Context) -> Verdict {
    for round in ctx.rounds(16) {
        let run = ctx.run(&format!("dropped{round}"));
        let mut driver = ctx.create(&run).await?;
        let whole = Commit { lease: LeaseChange::Keep, ..whole(ctx, &driver) };
        let last = whole.finish(completed(), Retain::Keep);
        drop(abandoned(round, ctx.a.commit(last.clone())).await);
        settle(ctx, &mut driver, &last, round).await?;
        expect_eq("the outcome", ctx.head(&run).await?.outcome, Some(completed()))?;
        is_exact(ctx, &driver).await?;
    }
    Ok(())
}

async fn dropped_reads_hold_nothing_up(ctx: &Context) -> Verdict {
    let run = ctx.run("read");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 50).await?;
    for round in ctx.rounds(24) {
        drop(abandoned(round, ctx.a.head(&run)).await);
        drop(abandoned(round, collect(ctx.b.stream(&run, Span::all().page(3)))).await);
        ctx.commit_records(&mut driver, 1).await?;
    }
    is_exact(ctx, &driver).await
}
