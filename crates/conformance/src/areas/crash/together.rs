//! Two processes at once.

use crate::areas::prelude::*;

cases! { crash:
    /// Of two processes that open a run at the same moment one gets it, created or taken over.
    of_two_processes_one_opens [processes],
    /// A process follows what another one commits: in order, without gap or duplicate, to the end.
    a_process_follows_what_another_commits [processes, Log, Follow],
    /// The other way round: the second process commits, and this one follows.
    what_a_process_commits_is_followed [processes, Log, Follow],
    /// Of senders in two processes the first message of a key wins, and the numbers are gapless.
    of_two_senders_the_first_wins [processes, Inbox],
}

async fn of_two_processes_one_opens(ctx: &Context) -> Verdict {
    let second = ctx.process().await?;
    for round in ctx.rounds(40) {
        let run = ctx.run(&format!("raced-{round}"));
        let open = || ctx.creating().ttl(ctx.brief());
        let (here, there) =
            futures_util::future::join(ctx.a.open(&run, open()), second.store.open(&run, open())).await;
        let created = one_winner("two processes that create", vec![here, there], ErrorKind::AlreadyExists)?;
        if !ctx.harness.moves_clock() && round > 2 {
            continue;
        }
        ctx.expire().await;
        let (here, there) = futures_util::future::join(
            ctx.a.open(&run, ctx.resuming()),
            second.store.open(&run, ctx.resuming()),
        )
        .await;
        let taken = one_winner("two processes that take over", vec![here, there], ErrorKind::LeaseHeld)?;
        expect_eq("the epoch of the winner", taken.fence.epoch, created.fence.epoch + 1)?;
        expect_eq("the fence that stands", ctx.head(&run).await?.fence, taken.fence)?;
    }
    Ok(())
}

/// How much is followed.
const FOLLOWED: u64 = 30;

/// Commits through one handle what the other one follows.
async fn followed(ctx: &Context, writer: &dyn Store, reader: &dyn Store) -> Verdict {
    let run = ctx.run("followed");
    let mut driver = Driver::of(&writer.open(&run, ctx.creating()).await?);
    let mut stream = reader.stream(&run, Span::all().follow());
    let (mut seen, batches) = (0, FOLLOWED / 3);
    for batch in 1..=batches {
        let commit = ctx.next(&driver).records((driver.cursor + 1..=driver.cursor + 3).map(record));
        let commit = match batch == batches {
            true => commit.finish(Outcome::Completed { output: Bytes::new() }, Retain::Keep),
            false => commit,
        };
        let answer = writer.commit(commit).await?;
        (driver.version, driver.cursor) = (answer.version, answer.cursor);
        // Now and then it catches up, and waits.
        while batch % 4 == 0 && seen < driver.cursor {
            let found = next(&mut stream).await?;
            seen = follows(seen, found.as_ref())?;
        }
    }
    while let Some(found) = next(&mut stream).await? {
        seen = follows(seen, Some(&found))?;
    }
    expect_eq("the last record that was followed", seen, FOLLOWED)
}

/// What comes after the record at `seen` must be the next one.
fn follows(seen: Cursor, found: Option<&Record>) -> Verdict<Cursor> {
    let found = found.map(|found| (found.cursor, found.body.clone()));
    expect_eq("the next record of a followed log", found, Some((seen + 1, record(seen + 1).body)))?;
    Ok(seen + 1)
}

async fn a_process_follows_what_another_commits(ctx: &Context) -> Verdict {
    let second = ctx.process().await?;
    followed(ctx, &*ctx.a, &*second.store).await
}

async fn what_a_process_commits_is_followed(ctx: &Context) -> Verdict {
    let second = ctx.process().await?;
    followed(ctx, &*second.store, &*ctx.a).await
}

async fn of_two_senders_the_first_wins(ctx: &Context) -> Verdict {
    let run = ctx.run("receiver");
    ctx.create(&run).await?;
    let second = ctx.process().await?;
    for number in 1..=20 {
        let key = format!("key {number}");
        let (here, there) = (ctx.message(&key, "from here"), ctx.message(&key, "from there"));
        let (here, there) =
            futures_util::future::join(ctx.a.send(&run, here), second.store.send(&run, there)).await;
        let told = (here?, there?);
        let (accepted, conflicting) = (Sent::Accepted { number }, Sent::Conflicting { number });
        let one_won = told == (accepted, conflicting) || told == (conflicting, accepted);
        expect("one of two senders of a key wins", one_won, told)?;
    }
    let waiting = collect(ctx.b.inbox(&run, Span::all())).await?;
    let numbers: Vec<_> = waiting.iter().map(|message| message.number).collect();
    expect_eq("the numbers that wait", numbers, (1..=20).collect::<Vec<_>>())
}
