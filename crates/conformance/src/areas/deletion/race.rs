//! Deleting while others write, read, open and delete.

use super::{full, is_gone};
use crate::areas::{
    moves::{WHOLE, abandoned, completed, whole},
    prelude::*,
};

cases! { deletion:
    /// While a writer works: it gets `NotFound` from the deletion on, and leaves no orphan; neither does a sender.
    a_writer_beside_a_deletion_leaves_no_orphan [],
    /// Of racing deletions exactly one removes the run; every other is told that there is none.
    of_16_racing_deletions_one_removes [],
    /// A deletion of a failed run that races its reopening: one of the two holds, and the other is told why not.
    racing_a_reopening [],
    /// A deletion of an undriven run that races a takeover: one of the two holds, and the other is told why not.
    racing_a_takeover [],
    /// A deletion of a finished run that races the finish never takes an unfinished one.
    racing_the_finish [],
    /// A reader beside a deletion gets whole data or `NotFound`, never less.
    a_reader_beside_a_deletion_gets_whole_data [Log],
    /// A deletion whose future is dropped is done or not done; sent again, it is done, and does not reach the next life.
    dropped_and_sent_again_it_is_done [],
}

/// How often a race is run, where the backend is quick enough.
const RACES: u32 = 30;

async fn a_writer_beside_a_deletion_leaves_no_orphan(ctx: &Context) -> Verdict {
    const COMMITS: u64 = 40;
    let (inbox, log) = (ctx.capabilities.supports_inbox(), ctx.capabilities.supports_log());
    for round in ctx.rounds(RACES) {
        let run = ctx.run("raced");
        let driver = ctx.create(&run).await?;
        let commits: Vec<_> = (0..COMMITS)
            .map(|number| {
                let cursor = if log { number * WHOLE } else { 0 };
                whole(ctx, &Driver { version: 1 + number, cursor, ..driver.clone() })
            })
            .collect();
        let messages: Vec<_> = (0..COMMITS).map(|number| ctx.message(number.to_string(), "m")).collect();
        let verdicts = ctx
            .race(3, |index, store| {
                let (run, commits, messages) = (run.clone(), commits.clone(), messages.clone());
                async move {
                    let mut answers: Vec<Result<()>> = Vec::new();
                    match index {
                        0 => {
                            for commit in commits {
                                answers.push(store.commit(commit).await.map(drop));
                            }
                        }
                        1 if inbox => {
                            for message in messages {
                                answers.push(store.send(&run, message).await.map(drop));
                            }
                        }
                        1 => {}
                        _ => {
                            for _ in 0..round * 4 {
                                tokio::task::yield_now().await;
                            }
                            let deleted = store.delete(&run, Delete::Any).await?;
                            expect_eq("the deletion", deleted, true)?;
                        }
                    }
                    // From the first refusal on, all are refused.
                    for refusal in answers.into_iter().skip_while(Result::is_ok) {
                        refused_as("a write after the deletion", refusal, Refusal::NotFound)?;
                    }
                    Ok(())
                }
            })
            .await?;
        verdicts.into_iter().collect::<Verdict>()?;
        is_gone(ctx, &run).await?;
        let new = ctx.create(&run).await?;
        let image = ctx.image(&run).await?;
        let left = image.records.len() + image.snapshots.len() + image.messages.len() + image.blobs.len();
        expect_eq("what is left of the old life", left, 0)?;
        let first = Commit { fence: new.fence, id: ctx.id(), ..commits[0].clone() };
        expect_eq("the first commit of the new one", ctx.a.commit(first).await?.version, 2)?;
        ctx.a.delete(&run, Delete::Any).await?;
    }
    Ok(())
}

async fn of_16_racing_deletions_one_removes(ctx: &Context) -> Verdict {
    let run = ctx.run("raced");
    for _ in ctx.rounds(10) {
        let mut driver = full(ctx, &run).await?;
        ctx.complete(&mut driver).await?;
        let incarnation = driver.fence.incarnation;
        let guards = [Delete::Any, Delete::Finished(incarnation), Delete::NotDriven(incarnation)];
        let answers = ctx
            .race(16, |index, store| {
                let run = run.clone();
                async move { store.delete(&run, guards[index % 3]).await }
            })
            .await?;
        let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
        expect_eq("how many removed it", answers.iter().filter(|deleted| **deleted).count(), 1)?;
        is_gone(ctx, &run).await?;
    }
    Ok(())
}

/// What a racer of a deletion answers.
#[derive(Debug)]
enum Racer {
    /// It deleted.
    Deletion(Result<bool>),
    /// It opened.
    Opening(Result<Box<Opened>>),
}

/// Races a deletion under `guard` with `open`: exactly one of them holds; the other is refused.
async fn one_of_both(ctx: &Context, run: &RunId, guard: Delete, open: Open, clash: Clash) -> Verdict {
    let answers = ctx
        .race(2, |index, store| {
            let (run, open) = (run.clone(), open.clone());
            async move {
                match index {
                    0 => Racer::Deletion(store.delete(&run, guard).await),
                    _ => Racer::Opening(store.open(&run, open).await.map(Box::new)),
                }
            }
        })
        .await?;
    let mut answers = answers.into_iter();
    let (Some(Racer::Deletion(deletion)), Some(Racer::Opening(opening))) = (answers.next(), answers.next())
    else {
        return expect("both raced", false, ());
    };
    match opening {
        Ok(opened) => {
            clashed("the deletion after the open", deletion, clash)?;
            let head = ctx.head(run).await?;
            expect_eq("the fence of the run that stays", head.fence, opened.fence)?;
            ctx.a.delete(run, Delete::Any).await?;
        }
        Err(error) => {
            refused_as("the open after the deletion", Err::<(), _>(error), Refusal::NotFound)?;
            expect_eq("the deletion", deletion?, true)?;
        }
    }
    is_gone(ctx, run).await
}

async fn racing_a_reopening(ctx: &Context) -> Verdict {
    let run = ctx.run("raced");
    for _ in ctx.rounds(RACES) {
        let failure = milepost_core::Failure::new(FailureKind::Error, "no");
        let mut driver = ctx.create(&run).await?;
        ctx.commit(&mut driver, |commit| commit.finish(Outcome::Failed { failure }, Retain::Delete)).await?;
        let guard = Delete::Finished(driver.fence.incarnation);
        one_of_both(ctx, &run, guard, ctx.resuming().reopen_failed(), Clash::NotFinished).await?;
    }
    Ok(())
}

async fn racing_a_takeover(ctx: &Context) -> Verdict {
    let run = ctx.run("raced");
    for _ in ctx.rounds(RACES) {
        let mut driver = ctx.create(&run).await?;
        ctx.commit(&mut driver, |commit| commit.release(Wake::now())).await?;
        let guard = Delete::NotDriven(driver.fence.incarnation);
        one_of_both(ctx, &run, guard, ctx.resuming(), Clash::Driven).await?;
    }
    Ok(())
}

async fn racing_the_finish(ctx: &Context) -> Verdict {
    let run = ctx.run("raced");
    for _ in ctx.rounds(RACES) {
        let driver = ctx.create(&run).await?;
        let guard = Delete::Finished(driver.fence.incarnation);
        let commit = ctx.next(&driver).finish(completed(), Retain::Keep);
        let answers = ctx
            .race(2, |index, store| {
                let (run, commit) = (run.clone(), commit.clone());
                async move {
                    match index {
                        0 => store.delete(&run, guard).await,
                        _ => store.commit(commit).await.map(|committed| committed.version == 2),
                    }
                }
            })
            .await?;
        let mut answers = answers.into_iter();
        let (deletion, commit) = (answers.next(), answers.next());
        expect("the commit holds", matches!(commit, Some(Ok(true))), &commit)?;
        match deletion {
            Some(Ok(deleted)) => {
                expect("it was removed", deleted, deleted)?;
                is_gone(ctx, &run).await?;
            }
            Some(Err(error)) => {
                clashed("the deletion before the finish", Err::<(), _>(error), Clash::NotFinished)?;
                expect_eq("its status", ctx.head(&run).await?.status(), Status::Completed)?;
                expect_eq("the deletion sent again", ctx.a.delete(&run, guard).await?, true)?;
            }
            None => return expect("both raced", false, ()),
        }
    }
    Ok(())
}

async fn a_reader_beside_a_deletion_gets_whole_data(ctx: &Context) -> Verdict {
    let run = ctx.run("read");
    for round in ctx.rounds(RACES) {
        let mut driver = ctx.create(&run).await?;
        ctx.commit_records(&mut driver, 60).await?;
        let answers = ctx
            .race(4, |index, store| {
                let run = run.clone();
                async move {
                    if index == 0 {
                        for _ in 0..round {
                            tokio::task::yield_now().await;
                        }
                        store.delete(&run, Delete::Any).await?;
                        return Ok(vec![]);
                    }
                    collect(store.stream(&run, Span::all().page(4 * index as u32))).await
                }
            })
            .await?;
        for answer in answers.into_iter().skip(1) {
            match answer {
                Ok(records) => expect_eq("how many records came", records.len(), 60)?,
                Err(error) => {
                    refused_as("the stream", Err::<(), _>(error), Refusal::NotFound)?;
                }
            }
        }
    }
    Ok(())
}

async fn dropped_and_sent_again_it_is_done(ctx: &Context) -> Verdict {
    let run = ctx.run("dropped");
    for polls in ctx.rounds(16) {
        let mut driver = full(ctx, &run).await?;
        ctx.complete(&mut driver).await?;
        let guard = Delete::Finished(driver.fence.incarnation);
        let first = abandoned(polls, ctx.a.delete(&run, guard)).await.transpose()?;
        if ctx.capabilities.supports_log() {
            match collect(ctx.b.stream(&run, Span::all())).await {
                Ok(records) => expect_eq("how many records came", records.len() as u64, driver.cursor)?,
                Err(error) => refused_as("its records", Err::<(), _>(error), Refusal::NotFound)?,
            }
        }
        let again = ctx.b.delete(&run, guard).await?;
        expect("one of both removed it", !(again && first == Some(true)), (first, again))?;
        is_gone(ctx, &run).await?;
        let new = ctx.create(&run).await?;
        ctx.pass(Duration::from_millis(1)).await;
        expect_eq("the next life stays", ctx.head(&run).await?.fence, new.fence)?;
        ctx.a.delete(&run, Delete::Any).await?;
    }
    Ok(())
}
