//! The same commit again, whatever has happened since: its first answer, and nothing stored twice.

use crate::areas::{
    moves::{completed, holds_whole, whole},
    prelude::*,
};

cases! { lost_ack:
    /// The same commit again gives its first answer, replayed, and is stored once.
    the_same_commit_again_gives_its_first_answer [],
    /// The same commit by the other handle is the same commit.
    by_another_handle_it_is_the_same_commit [],
    /// The same commit after the store was opened again is the same commit.
    after_a_reopen_it_is_the_same_commit [],
    /// A renewal displaces no remembered commit.
    after_a_renewal_it_is_the_same_commit [],
    /// A message that was sent meanwhile displaces no remembered commit.
    after_a_message_it_is_the_same_commit [Inbox],
    /// A commit that was refused meanwhile displaces no remembered commit.
    after_a_refused_commit_it_is_the_same_commit [],
    /// After the run has finished by it, the commit that finished it is answered as the first time.
    after_the_run_finished_by_it_it_is_the_same_commit [],
    /// After a takeover the old owner's last commit is answered as the first time.
    after_a_takeover_it_is_the_same_commit [],
    /// It is answered after several takeovers too, as long as nobody has committed.
    after_several_takeovers_it_is_the_same_commit [],
    /// After the successor's first commit the old owner's last one is fenced.
    after_the_successors_first_commit_it_is_fenced [],
    /// After a release and an open by another the release is answered as the first time.
    after_a_release_and_an_open_it_is_the_same_commit [],
    /// After its lease has run out a commit is answered as the first time.
    after_its_lease_it_is_the_same_commit [],
    /// A failed run that was reopened answers the commit that failed it, and stays open.
    after_a_reopen_of_a_failed_run_it_is_the_same_commit [],
    /// Of 16 of the same commit at once one is the first, the others are replayed, and it is stored once.
    of_16_at_once_one_is_stored [],
    /// Alone and in a batch at once it is the same commit.
    alone_and_in_a_batch_it_is_the_same_commit [],
    /// When every acknowledgement of a run of 50 commits is lost, its log is exact.
    when_every_acknowledgement_is_lost_the_log_is_exact [],
    /// A commit that repeats its own record ids is the same commit, not a duplicate.
    with_record_ids_it_is_the_same_commit [Log, RecordIds],
    /// A commit that took messages is answered as the first time, though they wait no more.
    with_takes_it_is_the_same_commit [Inbox],
    /// The same open and the same message sent again are settled like a commit.
    opens_and_messages_are_settled_too [Inbox],
}

/// A new run with one commit of every part.
async fn committed(ctx: &Context, run: &RunId) -> Verdict<(Driver, Commit, Committed)> {
    let mut driver = ctx.create(run).await?;
    ctx.commit(&mut driver, |commit| commit).await?;
    let commit = whole(ctx, &driver);
    let first = ctx.commit(&mut driver, |_| commit.clone()).await?;
    Ok((driver, commit, first))
}

/// `commit` sent again by each handle must give its `first` answer, replayed, and change nothing.
async fn replays(ctx: &Context, commit: &Commit, first: Committed) -> Verdict {
    ctx.unchanged(&commit.run, async {
        for store in [&ctx.a, &ctx.b, &ctx.a] {
            let again = store.commit(commit.clone()).await?;
            expect_eq("the same commit again", again, Committed { replayed: true, ..first })?;
        }
        Ok(())
    })
    .await
}

async fn the_same_commit_again_gives_its_first_answer(ctx: &Context) -> Verdict {
    let run = ctx.run("again");
    let mut driver = ctx.create(&run).await?;
    let empty = ctx.next(&driver);
    let first = ctx.commit(&mut driver, |_| empty.clone()).await?;
    replays(ctx, &empty, first).await?;
    let commit = whole(ctx, &driver);
    let first = ctx.commit(&mut driver, |_| commit.clone()).await?;
    ctx.pass(Duration::from_millis(2)).await;
    replays(ctx, &commit, first).await?;
    let image = ctx.image(&run).await?;
    holds_whole(&image, &commit)?;
    expect_eq("how many records there are", image.records.len(), commit.records.len())?;
    ctx.commit(&mut driver, |commit| commit).await.map(drop)
}

async fn by_another_handle_it_is_the_same_commit(ctx: &Context) -> Verdict {
    let run = ctx.run("again");
    let mut driver = ctx.create(&run).await?;
    for number in 0..6 {
        let commit = whole(ctx, &driver);
        let (one, other) = if number % 2 == 0 { (&ctx.a, &ctx.b) } else { (&ctx.b, &ctx.a) };
        let first = one.commit(commit.clone()).await?;
        expect_eq("the first answer", (first.version, first.replayed), (driver.version + 1, false))?;
        let again = other.commit(commit).await?;
        expect_eq("the second one", again, Committed { replayed: true, ..first })?;
        (driver.version, driver.cursor) = (first.version, first.cursor);
    }
    let records = ctx.image(&run).await?.records.len() as u64;
    expect_eq("how many records there are", records, driver.cursor)
}

async fn after_a_reopen_it_is_the_same_commit(ctx: &Context) -> Verdict {
    let run = ctx.run("again");
    let (_, commit, first) = committed(ctx, &run).await?;
    let reopened = ctx.reopen().await?;
    ctx.unchanged(&run, async {
        let again = reopened.commit(commit.clone()).await?;
        expect_eq("the same commit again", again, Committed { replayed: true, ..first })
    })
    .await
}

async fn after_a_renewal_it_is_the_same_commit(ctx: &Context) -> Verdict {
    let run = ctx.run("again");
    let (driver, commit, first) = committed(ctx, &run).await?;
    let renew = Renew::new(driver.fence, ctx.long() * 5).note(Note { done: 99, ..Note::default() });
    ctx.b.renew(&run, renew).await?;
    replays(ctx, &commit, first).await
}

async fn after_a_message_it_is_the_same_commit(ctx: &Context) -> Verdict {
    let run = ctx.run("again");
    let (_, commit, first) = committed(ctx, &run).await?;
    ctx.b.send(&run, ctx.message("a key", "")).await?;
    replays(ctx, &commit, first).await
}

async fn after_a_refused_commit_it_is_the_same_commit(ctx: &Context) -> Verdict {
    let run = ctx.run("again");
    let (driver, commit, first) = committed(ctx, &run).await?;
    let elsewhere = Commit { expect: driver.version + 1, ..ctx.next(&driver) };
    clashed("a commit elsewhere", ctx.b.commit(elsewhere).await, Clash::Version)?;
    replays(ctx, &commit, first).await
}

async fn after_the_run_finished_by_it_it_is_the_same_commit(ctx: &Context) -> Verdict {
    let run = ctx.run("finished");
    let mut driver = ctx.create(&run).await?;
    let last = Commit { lease: LeaseChange::Keep, ..whole(ctx, &driver) }.finish(completed(), Retain::Delete);
    let first = ctx.commit(&mut driver, |_| last.clone()).await?;
    ctx.pass(Duration::from_millis(2)).await;
    replays(ctx, &last, first).await
}

async fn after_a_takeover_it_is_the_same_commit(ctx: &Context) -> Verdict {
    let run = ctx.run("taken");
    let (old, commit, first) = committed(ctx, &run).await?;
    let mut new = Driver::of(&ctx.b.open(&run, ctx.resuming().over(old.fence)).await?);
    replays(ctx, &commit, first).await?;
    ctx.b.renew(&run, Renew::new(new.fence, ctx.long() * 2)).await?;
    replays(ctx, &commit, first).await?;
    ctx.commit(&mut new, |commit| commit).await.map(drop)
}

async fn after_several_takeovers_it_is_the_same_commit(ctx: &Context) -> Verdict {
    let run = ctx.run("taken");
    let (old, commit, first) = committed(ctx, &run).await?;
    let mut fence = old.fence;
    for _ in 0..3 {
        fence = ctx.b.open(&run, ctx.resuming().over(fence)).await?.fence;
        replays(ctx, &commit, first).await?;
    }
    Ok(())
}

async fn after_the_successors_first_commit_it_is_fenced(ctx: &Context) -> Verdict {
    let run = ctx.run("taken");
    let (old, commit, _) = committed(ctx, &run).await?;
    let mut new = Driver::of(&ctx.b.open(&run, ctx.resuming().over(old.fence)).await?);
    ctx.commit(&mut new, |commit| commit).await?;
    ctx.unchanged(&run, async {
        for store in [&ctx.a, &ctx.b] {
            let fenced = Refusal::Fenced { current: new.fence };
            refused_as("the old owner's commit", store.commit(commit.clone()).await, fenced)?;
        }
        Ok(())
    })
    .await
}

async fn after_a_release_and_an_open_it_is_the_same_commit(ctx: &Context) -> Verdict {
    let run = ctx.run("released");
    let mut driver = ctx.create(&run).await?;
    let release = whole(ctx, &driver).release(Wake::now());
    let first = ctx.commit(&mut driver, |_| release.clone()).await?;
    replays(ctx, &release, first).await?;
    let opened = ctx.b.open(&run, ctx.resuming()).await?;
    replays(ctx, &release, first).await?;
    let head = ctx.head(&run).await?;
    expect_eq("lease and due", (&head.lease, head.due), (&opened.head.lease, opened.head.due))?;
    ctx.commit(&mut Driver::of(&opened), |commit| commit).await.map(drop)
}

async fn after_its_lease_it_is_the_same_commit(ctx: &Context) -> Verdict {
    let run = ctx.run("late");
    let mut driver = ctx.create_briefly(&run).await?;
    let commit = ctx.next(&driver).extend(ctx.brief()).note(Note::default());
    let first = ctx.commit(&mut driver, |_| commit.clone()).await?;
    ctx.expire().await;
    replays(ctx, &commit, first).await?;
    expect_eq("its status", ctx.head(&run).await?.status(), Status::Interrupted)
}

async fn after_a_reopen_of_a_failed_run_it_is_the_same_commit(ctx: &Context) -> Verdict {
    let run = ctx.run("reopened");
    let mut driver = ctx.create(&run).await?;
    let outcome = Outcome::Failed { failure: Failure::new(FailureKind::Error, "once") };
    let last = ctx.next(&driver).finish(outcome, Retain::Delete);
    let first = ctx.commit(&mut driver, |_| last.clone()).await?;
    let opened = ctx.b.open(&run, ctx.resuming().reopen_failed()).await?;
    replays(ctx, &last, first).await?;
    let head = ctx.head(&run).await?;
    expect_eq("outcome and delete_after", (head.outcome, head.delete_after), (None, None))?;
    ctx.commit(&mut Driver::of(&opened), |commit| commit).await.map(drop)
}

async fn of_16_at_once_one_is_stored(ctx: &Context) -> Verdict {
    let run = ctx.run("at-once");
    let mut driver = ctx.create(&run).await?;
    for _ in ctx.rounds(20) {
        let commit = whole(ctx, &driver);
        let answers = ctx
            .race(16, |_, store| {
                let commit = commit.clone();
                async move { store.commit(commit).await }
            })
            .await?;
        let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
        let cursor = driver.cursor + commit.records.len() as u64;
        (driver.version, driver.cursor) = (driver.version + 1, cursor);
        for answer in &answers {
            let told = (answer.version, answer.cursor);
            expect_eq("version and cursor of each answer", told, (driver.version, cursor))?;
        }
        let firsts = answers.iter().filter(|answer| !answer.replayed).count();
        expect_eq("how many of 16 were the first", firsts, 1)?;
        let image = ctx.image(&run).await?;
        holds_whole(&image, &commit)?;
        expect_eq("how many records there are", image.records.len() as u64, cursor)?;
        expect_eq("the version", image.head.map(|head| head.version), Some(driver.version))?;
    }
    Ok(())
}

async fn alone_and_in_a_batch_it_is_the_same_commit(ctx: &Context) -> Verdict {
    let run = ctx.run("both-ways");
    let mut driver = ctx.create(&run).await?;
    for _ in ctx.rounds(10) {
        let commit = whole(ctx, &driver);
        let answers = ctx
            .race(8, |index, store| {
                let commit = commit.clone();
                async move {
                    if index < 4 {
                        return store.commit(commit).await;
                    }
                    let none = || Error::new(ErrorKind::Other, "a batch of one has no answer");
                    store.commit_many(vec![commit]).await.pop().unwrap_or_else(|| Err(none()))
                }
            })
            .await?;
        let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
        let firsts = answers.iter().filter(|answer| !answer.replayed).count();
        expect_eq("how many of 8 were the first", firsts, 1)?;
        holds_whole(&ctx.image(&run).await?, &commit)?;
        (driver.version, driver.cursor) = (answers[0].version, answers[0].cursor);
    }
    let head = ctx.head(&run).await?;
    expect_eq("version and cursor", (head.version, head.cursor), (driver.version, driver.cursor))
}

async fn when_every_acknowledgement_is_lost_the_log_is_exact(ctx: &Context) -> Verdict {
    let run = ctx.run("deaf");
    let open = ctx.creating();
    for store in [&ctx.a, &ctx.b] {
        store.open(&run, open.clone()).await?;
    }
    let mut driver = Driver::of(&ctx.a.open(&run, open).await?);
    for number in 0..50 {
        if number == 25 {
            let open = ctx.resuming().over(driver.fence);
            ctx.a.open(&run, open.clone()).await?;
            driver = Driver::of(&ctx.b.open(&run, open).await?);
        }
        let commit = whole(ctx, &driver);
        for _ in 0..number % 3 {
            ctx.a.commit(commit.clone()).await?;
        }
        ctx.b.commit(commit.clone()).await?;
        let told = ctx.a.commit(commit.clone()).await?;
        let cursor = driver.cursor + commit.records.len() as u64;
        let want = Committed { version: driver.version + 1, cursor, replayed: true };
        expect_eq("the answer that is heard", told, want)?;
        (driver.version, driver.cursor) = (told.version, told.cursor);
    }
    let image = ctx.image(&run).await?;
    expect_eq("its version", image.head.map(|head| head.version), Some(52))?;
    let bodies: Vec<_> = image.records.into_iter().map(|record| record.body).collect();
    let want: Vec<_> = (1..=driver.cursor).map(|cursor| record(cursor).body).collect();
    expect_eq("its log", bodies, want)
}

async fn with_record_ids_it_is_the_same_commit(ctx: &Context) -> Verdict {
    let run = ctx.run("named");
    let mut driver = ctx.create(&run).await?;
    let named = record(1).id(RecordId::from_static("an id"));
    let commit = ctx.next(&driver).record(named);
    let first = ctx.commit(&mut driver, |_| commit.clone()).await?;
    replays(ctx, &commit, first).await
}

async fn with_takes_it_is_the_same_commit(ctx: &Context) -> Verdict {
    let run = ctx.run("taking");
    let mut driver = ctx.create(&run).await?;
    for key in ["one", "two", "three"] {
        ctx.b.send(&run, ctx.message(key, key)).await?;
    }
    let commit = ctx.next(&driver).take(1).take(3);
    let first = ctx.commit(&mut driver, |_| commit.clone()).await?;
    replays(ctx, &commit, first).await
}

async fn opens_and_messages_are_settled_too(ctx: &Context) -> Verdict {
    let run = ctx.run("settled");
    let open = ctx.creating();
    let first = ctx.a.open(&run, open.clone()).await?;
    let message = ctx.message("a key", "a body");
    expect_eq("the message", ctx.a.send(&run, message.clone()).await?, Sent::Accepted { number: 1 })?;
    ctx.unchanged(&run, async {
        for store in [&ctx.a, &ctx.b] {
            let again = store.send(&run, message.clone()).await?;
            expect_eq("the message again", again, Sent::Repeated { number: 1 })?;
            let again = store.open(&run, open.clone()).await?;
            expect_eq("the open again, also after a message", again.fence, first.fence)?;
        }
        Ok(())
    })
    .await
}
