//! Many runs, many writers of one run, many lives of one run.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{Failure, areas::prelude::*};

cases! { concurrency:
    /// 32 runs that are driven at once by two handles, 50 commits each: every one is exact.
    of_32_runs_at_once_all_are_exact [],
    /// 16 writers with one fence: of the commits that expect one version exactly one holds, and the log is what the
    /// winners wrote, in their order.
    of_16_writers_with_one_fence_one_wins_a_version [],
    /// 16 writers with one fence that try until they hold: every commit is there once, and none is lost.
    writers_that_try_again_all_hold [],
    /// Many opens and deletions of one id end in a legal state: as many lives begun as ended, or one more, which stands.
    many_opens_and_deletions_end_in_a_legal_state [],
    /// Racing senders and an owner that takes: every message is accepted once and taken once.
    racing_senders_and_an_owner_that_takes [Inbox],
}

/// A source of ids for a task of its own.
fn ids_of(ctx: &Context) -> Arc<SeededIds> {
    Arc::new(SeededIds::new(ctx.ids().bits() as u64))
}

/// Commit `number` of `driver`: some records, where the store has a log, and a note that tells the number.
fn numbered(log: bool, driver: &Driver, id: OperationId, number: u64) -> Commit {
    let note = Note { done: number, total: None, text: driver.run.to_string() };
    let commit = Commit::new(driver.run.clone(), driver.fence, id, driver.version).note(note);
    let many = if log { 1 + number % 3 } else { 0 };
    let bodies = (1..=many).map(|offset| format!("{} {}", driver.run, driver.cursor + offset));
    commit.records(bodies.map(|body| NewRecord::new(Kind::from_static("entry"), body)))
}

async fn of_32_runs_at_once_all_are_exact(ctx: &Context) -> Verdict {
    const COMMITS: u64 = 50;
    let log = ctx.capabilities.supports_log();
    let (enough, clock) = (ctx.tuning().part(2), SystemClock::default());
    let answers = ctx
        .race(32, |index, store| {
            let (run, open, ids) = (ctx.run(&format!("r{index}")), ctx.creating(), ids_of(ctx));
            async move {
                let mut driver = Driver::of(&store.open(&run, open).await?);
                for number in 1..=COMMITS {
                    let commit = numbered(log, &driver, ids.operation(), number);
                    let cursor = driver.cursor + commit.records.len() as u64;
                    let want = Committed { version: number + 1, cursor, replayed: false };
                    expect_eq("the answer to a commit", store.commit(commit).await?, want)?;
                    (driver.version, driver.cursor) = (number + 1, cursor);
                    if clock.elapsed() > enough {
                        break;
                    }
                }
                Ok(driver)
            }
        })
        .await?;
    for driver in answers.into_iter().collect::<Verdict<Vec<_>>>()? {
        for store in [&ctx.a, &ctx.b] {
            let image = image(&**store, &driver.run).await?;
            let told = image.head.as_ref().map(|head| (head.version, head.cursor, head.fence));
            let want = Some((driver.version, driver.cursor, driver.fence));
            expect_eq("version, cursor and fence", told, want)?;
            let note = image.head.as_ref().and_then(|head| head.note.as_ref());
            expect_eq("the note", note.map(|note| note.done), Some(driver.version - 1))?;
            let bodies: Vec<_> =
                image.records.into_iter().map(|record| (record.cursor, record.body)).collect();
            let want =
                (1..=driver.cursor).map(|cursor| (cursor, Bytes::from(format!("{} {cursor}", driver.run))));
            expect_eq("the records", bodies, want.collect::<Vec<_>>())?;
        }
    }
    Ok(())
}

async fn of_16_writers_with_one_fence_one_wins_a_version(ctx: &Context) -> Verdict {
    let run = ctx.run("shared");
    let log = ctx.capabilities.supports_log();
    let mut driver = ctx.create(&run).await?;
    let mut winners = Vec::new();
    for _ in ctx.rounds(40) {
        let answers = ctx
            .race(16, |index, store| {
                let note = Note { done: index as u64, ..Note::default() };
                let mut commit = ctx.next(&driver).note(note);
                if log {
                    commit = commit.record(record(index as u64));
                }
                async move { store.commit(commit).await.map(|committed| (index as u64, committed)) }
            })
            .await?;
        let (winner, committed) = one_winner("16 commits of one version", answers, ErrorKind::Conflict)?;
        (driver.version, driver.cursor) = (driver.version + 1, driver.cursor + u64::from(log));
        let want = Committed { version: driver.version, cursor: driver.cursor, replayed: false };
        expect_eq("the winner's answer", committed, want)?;
        let head = ctx.head(&run).await?;
        expect_eq(
            "version and note",
            (head.version, head.note.map(|note| note.done)),
            (driver.version, Some(winner)),
        )?;
        winners.push(winner);
    }
    if log {
        let records = ctx.image(&run).await?.records;
        let bodies: Vec<_> = records.into_iter().map(|record| record.body).collect();
        let want: Vec<_> = winners.iter().map(|winner| format!("record {winner}")).collect();
        expect_eq("the log", bodies, want)?;
    }
    Ok(())
}

async fn writers_that_try_again_all_hold(ctx: &Context) -> Verdict {
    const WRITERS: usize = 16;
    let run = ctx.run("shared");
    let log = ctx.capabilities.supports_log();
    let driver = ctx.create(&run).await?;
    let (enough, clock) = (ctx.tuning().part(4), SystemClock::default());
    let answers = ctx
        .race(WRITERS, |index, store| {
            let (driver, ids) = (driver.clone(), ids_of(ctx));
            async move {
                let (mut version, mut held) = (driver.version, BTreeMap::new());
                while held.len() < 5 && (held.is_empty() || clock.elapsed() < enough) {
                    let body = format!("{index} {}", held.len());
                    let mut commit = Commit::new(driver.run.clone(), driver.fence, ids.operation(), version);
                    if log {
                        commit = commit.record(NewRecord::new(Kind::from_static("entry"), body.clone()));
                    }
                    match store.commit(commit).await {
                        Ok(committed) => {
                            version = committed.version;
                            held.insert(version, body);
                        }
                        Err(error) => match error.refusal() {
                            Some(Refusal::Conflict { head, clash: Clash::Version }) => version = head.version,
                            _ => return Err(Failure::from(error)),
                        },
                    }
                }
                Ok(held)
            }
        })
        .await?;
    let mut all = BTreeMap::new();
    for held in answers {
        for (version, body) in held? {
            let twice = all.insert(version, body);
            expect("no version is told to two writers", twice.is_none(), (version, twice))?;
        }
    }
    let versions: Vec<_> = all.keys().copied().collect();
    expect_eq("the versions", versions, (2..2 + all.len() as u64).collect::<Vec<_>>())?;
    expect_eq("the run's version", ctx.head(&run).await?.version, 1 + all.len() as u64)?;
    if log {
        let records = ctx.image(&run).await?.records;
        let bodies: Vec<_> = records.into_iter().map(|record| record.body).collect();
        expect_eq("the log, by versions", bodies, all.into_values().collect::<Vec<_>>())?;
    }
    Ok(())
}

async fn many_opens_and_deletions_end_in_a_legal_state(ctx: &Context) -> Verdict {
    let run = ctx.run("reborn");
    for _ in ctx.rounds(10) {
        let answers = ctx
            .race(12, |index, store| {
                let (run, ids) = (run.clone(), ids_of(ctx));
                let open = Open { mode: Mode::CreateOrResume, ..ctx.creating() };
                async move {
                    let (mut created, mut deleted) = (Vec::new(), 0);
                    for _ in 0..6 {
                        if index % 3 == 0 {
                            deleted += usize::from(store.delete(&run, Delete::Any).await?);
                            continue;
                        }
                        match store.open(&run, Open { id: ids.operation(), ..open.clone() }).await {
                            Ok(opened) => {
                                expect_eq("its epoch, while others hold live leases", opened.fence.epoch, 1)?;
                                expect("who opens it created it", opened.created, &opened)?;
                                created.push(opened.fence);
                            }
                            Err(error) => {
                                refused("an open", Err::<(), _>(error), ErrorKind::LeaseHeld)?;
                            }
                        }
                    }
                    Ok((created, deleted))
                }
            })
            .await?;
        let (mut created, mut deleted) = (Vec::new(), 0);
        for answer in answers.into_iter().collect::<Verdict<Vec<_>>>()? {
            created.extend(answer.0);
            deleted += answer.1;
        }
        let lives: BTreeSet<_> = created.iter().map(|fence| fence.incarnation).collect();
        expect_eq("each life is another", lives.len(), created.len())?;
        let head = ctx.b.head(&run).await?;
        let alive = usize::from(head.is_some());
        expect_eq(
            "lives begun, against lives ended and the one that stands",
            created.len(),
            deleted + alive,
        )?;
        if let Some(head) = head {
            expect("the one that stands was begun", created.contains(&head.fence), &head)?;
            expect_eq("its version and cursor", (head.version, head.cursor), (1, 0))?;
            ctx.a.delete(&run, Delete::Any).await?;
        }
        ctx.create(&run).await?;
        expect_eq("the last deletion", ctx.b.delete(&run, Delete::Any).await?, true)?;
    }
    Ok(())
}

async fn racing_senders_and_an_owner_that_takes(ctx: &Context) -> Verdict {
    const EACH: u64 = 12;
    let run = ctx.run("told");
    let driver = ctx.create(&run).await?;
    let total = 7 * EACH;
    let answers = ctx
        .race(8, |index, store| {
            let (mut driver, ids) = (driver.clone(), ids_of(ctx));
            let messages: Vec<_> = (0..EACH)
                .map(|number| ctx.message(format!("{index} {number}"), format!("{index}")))
                .collect();
            async move {
                let mut numbers = Vec::new();
                if index > 0 {
                    for message in messages {
                        match store.send(&driver.run, message).await? {
                            Sent::Accepted { number } => numbers.push(number),
                            other => return Err(Failure::new("a new key", "Accepted", format!("{other:?}"))),
                        }
                    }
                    return Ok(numbers);
                }
                while (numbers.len() as u64) < total {
                    let waiting = collect(store.inbox(&driver.run, Span::all())).await?;
                    let id = ids.operation();
                    let mut commit = Commit::new(driver.run.clone(), driver.fence, id, driver.version);
                    commit.take = waiting.iter().map(|message| message.number).collect();
                    driver.version = store.commit(commit).await?.version;
                    numbers.extend(waiting.iter().map(|message| message.number));
                    tokio::task::yield_now().await;
                }
                Ok(numbers)
            }
        })
        .await?;
    let mut answers = answers.into_iter().collect::<Verdict<Vec<_>>>()?.into_iter();
    let taken = answers.next().unwrap_or_default();
    let mut sent: Vec<u64> = answers.flatten().collect();
    sent.sort_unstable();
    let every: Vec<_> = (1..=total).collect();
    expect_eq("the numbers of what was sent", &sent, &every)?;
    expect_eq("what was taken, in its order", &taken, &every)?;
    let head = ctx.head(&run).await?;
    expect_eq("what is left, and the newest number", (head.sizes.messages, head.newest_message), (0, total))
}
