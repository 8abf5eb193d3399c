//! Commits of different runs, in one trip where the backend can.

use super::every::{begun, kinds};
use crate::areas::{
    moves::{completed, holds_whole, undeclared, whole},
    prelude::*,
};

cases! { commit:
    /// The commits of a batch all hold, each with its own answer, in the order in which they were given.
    a_batch_answers_in_order [],
    /// Each commit of a batch has its own verdict, and one failure spoils no other.
    one_failure_of_a_batch_spoils_no_other [],
    /// Each commit of a batch is whole: none of the parts of a refused one is kept, and all of the others.
    each_commit_of_a_batch_is_atomic [],
    /// Each kind of commit does in a batch what it does alone: a release, an outcome and a take as much as records.
    each_kind_of_commit_does_in_a_batch_what_it_does_alone [],
    /// A run that occurs twice in a batch is `Invalid` for each of its commits; the other runs do not notice.
    a_run_twice_in_a_batch_is_invalid_for_both [],
    /// One commit that occurs twice in a batch is a run that occurs twice.
    a_commit_twice_in_a_batch_is_invalid [],
    /// A batch of no commits has no answers and changes nothing.
    an_empty_batch_has_no_answers [],
    /// A batch of 200 runs is a batch; a run that occurs twice in it is `Invalid` for both commits, wherever they stand.
    a_batch_of_200_runs [],
    /// Limits are of a commit: a batch may be larger than one.
    a_batch_may_be_larger_than_a_commit [Log],
    /// A commit of a batch is remembered like any other: sent again, alone or in a batch, it replays.
    a_commit_of_a_batch_replays [],
    /// Batches that race for the same runs in opposite orders end, and each run goes to exactly one of them.
    racing_batches_share_the_runs [],
}

async fn create_many(ctx: &Context, count: u64) -> Verdict<Vec<Driver>> {
    let mut drivers = Vec::new();
    for number in 0..count {
        drivers.push(ctx.create(&ctx.run(&format!("run{number}"))).await?);
    }
    Ok(drivers)
}

fn noted(ctx: &Context, driver: &Driver, done: u64) -> Commit {
    ctx.next(driver).note(Note { done, ..Note::default() })
}

async fn note_of(ctx: &Context, run: &RunId) -> Verdict<Option<u64>> {
    Ok(ctx.head(run).await?.note.map(|note| note.done))
}

async fn a_batch_answers_in_order(ctx: &Context) -> Verdict {
    let mut drivers = create_many(ctx, 8).await?;
    for (count, driver) in (0..).zip(&mut drivers) {
        for _ in 0..count {
            ctx.commit(driver, |commit| commit).await?;
        }
    }
    drivers.swap(0, 5);
    drivers.swap(2, 7);
    let commits = drivers.iter().map(|driver| whole(ctx, driver)).collect::<Vec<_>>();
    let answers = ctx.b.commit_many(commits.clone()).await;
    expect_eq("how many answers there are", answers.len(), commits.len())?;
    for ((driver, commit), answer) in drivers.iter().zip(commits).zip(answers) {
        let cursor = driver.cursor + commit.records.len() as u64;
        let want = Committed { version: driver.version + 1, cursor, replayed: false };
        expect_eq("an answer", answer?, want)?;
        holds_whole(&ctx.image(&driver.run).await?, &commit)?;
    }
    Ok(())
}

async fn one_failure_of_a_batch_spoils_no_other(ctx: &Context) -> Verdict {
    let mut drivers = create_many(ctx, 7).await?;
    ctx.commit(&mut drivers[1], |commit| commit.finish(completed(), Retain::Keep)).await?;
    let replayed = ctx.next(&drivers[2]).advances();
    ctx.commit(&mut drivers[2], |_| replayed.clone()).await?;
    ctx.b.open(&drivers[3].run, ctx.resuming().over(drivers[3].fence)).await?;
    let fence = Fence { incarnation: ctx.ids().incarnation(), ..drivers[0].fence };
    let unknown = Commit::new(ctx.run("unknown"), fence, ctx.id(), 1);
    let mut batch = vec![
        (noted(ctx, &drivers[0], 10), None),
        (unknown, Some(ErrorKind::NotFound)),
        (noted(ctx, &drivers[1], 11), Some(ErrorKind::Finished)),
        (replayed, None),
        (noted(ctx, &drivers[3], 13), Some(ErrorKind::Fenced)),
        (Commit { expect: 9, ..noted(ctx, &drivers[4], 14) }, Some(ErrorKind::Conflict)),
        (noted(ctx, &drivers[5], 15).extend(Duration::ZERO), Some(ErrorKind::Invalid)),
        (noted(ctx, &drivers[6], 16), None),
    ];
    if let Some((_, commit)) = undeclared(ctx, &ctx.next(&drivers[5])).pop() {
        batch[6] = (commit, Some(ErrorKind::Unsupported));
    }
    let answers = ctx.a.commit_many(batch.iter().map(|(commit, _)| commit.clone()).collect()).await;
    expect_eq("how many answers there are", answers.len(), batch.len())?;
    for ((commit, kind), answer) in batch.into_iter().zip(answers) {
        match kind {
            Some(kind) => drop(refused("a commit of a batch", answer, kind)?),
            None => expect_eq("the version of a commit of a batch", answer?.version, commit.expect + 1)?,
        }
    }
    let wanted = [Some(10), None, None, None, None, None, Some(16)];
    for (driver, want) in drivers.iter().zip(wanted) {
        expect_eq("the note of a run of the batch", note_of(ctx, &driver.run).await?, want)?;
    }
    Ok(())
}

async fn each_commit_of_a_batch_is_atomic(ctx: &Context) -> Verdict {
    let drivers = create_many(ctx, 6).await?;
    let mut commits: Vec<_> = drivers.iter().map(|driver| whole(ctx, driver)).collect();
    for commit in commits.iter_mut().step_by(2) {
        commit.expect += 1;
    }
    let mut before = Vec::new();
    for driver in &drivers {
        before.push(ctx.image(&driver.run).await?);
    }
    let answers = ctx.a.commit_many(commits.clone()).await;
    expect_eq("how many answers there are", answers.len(), commits.len())?;
    for (number, answer) in answers.into_iter().enumerate() {
        let now = ctx.image(&drivers[number].run).await?;
        if number % 2 == 0 {
            clashed("a commit elsewhere", answer, Clash::Version)?;
            before[number].same_as(&now)?;
        } else {
            expect_eq("the version of a commit that holds", answer?.version, 2)?;
            holds_whole(&now, &commits[number])?;
        }
    }
    Ok(())
}

/// What a commit has left of a run, without what is each run's own: its name, its fence, and its times but for what they
/// say of the lease.
fn left_by(ctx: &Context, mut image: Image) -> (Image, Option<(Status, bool, bool)>) {
    let told = image.head.as_mut().map(|head| {
        let lasts = head.lease.as_ref().map_or(Duration::ZERO, |lease| lease.until.since(head.created_at));
        let told = (head.status(), head.due.is_some(), lasts > ctx.long() * 3 / 2);
        let nobody = Fence { incarnation: Incarnation(0), epoch: head.fence.epoch, token: Token(0) };
        (head.run, head.fence) = (RunId::from_static("run"), nobody);
        (head.created_at, head.updated_at) = (Timestamp(0), Timestamp(0));
        head.due = None;
        head.delete_after = head.delete_after.map(|_| Timestamp(0));
        head.lease = head.lease.take().map(|lease| Lease { until: Timestamp(0), ..lease });
        told
    });
    image.records.iter_mut().for_each(|record| record.at = Timestamp(0));
    for message in &mut image.messages {
        (message.at, message.id) = (Timestamp(0), OperationId(0));
    }
    (image, told)
}

async fn each_kind_of_commit_does_in_a_batch_what_it_does_alone(ctx: &Context) -> Verdict {
    let count = kinds(ctx, &begun(ctx, &ctx.run("counted")).await?).len();
    let (mut alone, mut batched) = (Vec::new(), Vec::new());
    for number in 0..count {
        for (label, commits) in [("alone", &mut alone), ("batched", &mut batched)] {
            let begun = begun(ctx, &ctx.run(&format!("{label}{number}"))).await?;
            // With a lapse that work forgets.
            let driver = Driver::of(&ctx.b.open(&begun.run, ctx.resuming().over(begun.fence)).await?);
            commits.push(kinds(ctx, &driver).swap_remove(number));
        }
    }
    let mut wanted = Vec::new();
    for (_, commit) in alone {
        let run = commit.run.clone();
        let answer = ctx.a.commit(commit).await?;
        let left = ctx.image(&run).await?;
        let version = left.head.as_ref().map_or(answer.version, |head| head.version);
        expect_eq("the version that a commit has left, alone", version, answer.version)?;
        wanted.push((answer, left_by(ctx, left)));
    }
    let answers = ctx.b.commit_many(batched.iter().map(|(_, commit)| commit.clone()).collect()).await;
    expect_eq("how many answers there are", answers.len(), count)?;
    for (((kind, commit), answer), (first, want)) in batched.into_iter().zip(answers).zip(wanted) {
        expect_eq(&format!("the answer to {kind} in a batch, against alone"), answer?, first)?;
        for store in [&ctx.a, &ctx.b] {
            let left = left_by(ctx, image(&**store, &commit.run).await?);
            expect_eq(&format!("what {kind} has left in a batch, against alone"), &left, &want)?;
        }
    }
    Ok(())
}

async fn a_run_twice_in_a_batch_is_invalid_for_both(ctx: &Context) -> Verdict {
    let mut drivers = create_many(ctx, 3).await?;
    let (twice, others) = (&drivers[1], [&drivers[0], &drivers[2]]);
    let stale = Fence { token: Token(!twice.fence.token.0), ..twice.fence };
    let second = [
        noted(ctx, twice, 2),
        Commit { expect: twice.version + 1, ..noted(ctx, twice, 2) },
        Commit { fence: stale, ..noted(ctx, twice, 2) },
    ];
    for (version, second) in (1..).zip(second) {
        let other = |number: usize| Commit { expect: version, ..noted(ctx, others[number], version) };
        let batch = vec![noted(ctx, twice, 1), other(0), second, other(1)];
        let answers = ctx
            .unchanged(&twice.run, async {
                let answers = ctx.a.commit_many(batch).await;
                expect_eq("how many answers there are", answers.len(), 4)?;
                Ok(answers)
            })
            .await?;
        for (number, answer) in answers.into_iter().enumerate() {
            if number % 2 == 0 {
                refused("a commit of the run that occurs twice", answer, ErrorKind::Invalid)?;
            } else {
                expect_eq("the version of another run", answer?.version, version + 1)?;
            }
        }
        for driver in others {
            expect_eq("the note of another run", note_of(ctx, &driver.run).await?, Some(version))?;
        }
    }
    ctx.commit(&mut drivers[1], |commit| commit).await.map(drop)
}

async fn a_commit_twice_in_a_batch_is_invalid(ctx: &Context) -> Verdict {
    let run = ctx.run("twice");
    let mut driver = ctx.create(&run).await?;
    let commit = ctx.next(&driver).advances();
    ctx.unchanged(&run, async {
        let answers = ctx.a.commit_many(vec![commit.clone(); 3]).await;
        expect_eq("how many answers there are", answers.len(), 3)?;
        for answer in answers {
            refused("a commit that occurs twice", answer, ErrorKind::Invalid)?;
        }
        Ok(())
    })
    .await?;
    ctx.commit(&mut driver, |_| commit).await.map(drop)
}

async fn an_empty_batch_has_no_answers(ctx: &Context) -> Verdict {
    let run = ctx.run("idle");
    let mut driver = ctx.create(&run).await?;
    ctx.unchanged(&run, async {
        expect_eq("how many answers there are", ctx.a.commit_many(vec![]).await.len(), 0)
    })
    .await?;
    ctx.commit(&mut driver, |commit| commit.note(Note { done: 1, ..Note::default() })).await?;
    expect_eq("the note of the commit after it", note_of(ctx, &run).await?, Some(1))
}

async fn a_batch_may_be_larger_than_a_commit(ctx: &Context) -> Verdict {
    let (limits, most) = (&ctx.capabilities.limits, ctx.tuning().body);
    let size = (limits.record / 2).min(limits.commit / 4).min(most / 32);
    // Where a commit may be larger than the kit's largest body, the batch is as large as that.
    let count = (limits.commit / size + 1).min(most / size);
    let drivers = create_many(ctx, count).await?;
    let body = Bytes::from(vec![7; size as usize]);
    let large = |driver| ctx.next(driver).record(NewRecord::new(Kind::from_static("entry"), body.clone()));
    let answers = ctx.a.commit_many(drivers.iter().map(large).collect()).await;
    expect_eq("how many answers there are", answers.len() as u64, count)?;
    for (driver, answer) in drivers.iter().zip(answers) {
        expect_eq("the answer to a commit of it", answer?.cursor, 1)?;
        expect_eq("its cursor", ctx.head(&driver.run).await?.cursor, 1)?;
    }
    Ok(())
}

async fn a_batch_of_200_runs(ctx: &Context) -> Verdict {
    let drivers = create_many(ctx, 200).await?;
    let mut commits: Vec<_> =
        (0..).zip(&drivers).map(|(number, driver)| noted(ctx, driver, number)).collect();
    commits.reverse();
    let answers = ctx.b.commit_many(commits).await;
    expect_eq("how many answers there are", answers.len(), drivers.len())?;
    for answer in answers {
        let want = Committed { version: 2, cursor: 0, replayed: false };
        expect_eq("an answer", answer?, want)?;
    }
    for (number, driver) in (0..).zip(&drivers) {
        expect_eq("the note of a run", note_of(ctx, &driver.run).await?, Some(number))?;
    }
    for (version, place) in (2..).zip([17, 70, 130, 199]) {
        let next = |driver: &Driver| Commit { expect: version, ..ctx.next(driver) };
        let mut commits: Vec<_> = drivers[1..].iter().map(next).collect();
        commits.insert(0, next(&drivers[0]));
        commits.insert(place, next(&drivers[0]));
        for (at, answer) in ctx.a.commit_many(commits).await.into_iter().enumerate() {
            if at == 0 || at == place {
                refused("a run that occurs twice", answer, ErrorKind::Invalid)?;
            } else {
                expect_eq("the version of another run", answer?.version, version + 1)?;
            }
        }
    }
    expect_eq("the version of the run that occurred twice", ctx.head(&drivers[0].run).await?.version, 2)
}

async fn a_commit_of_a_batch_replays(ctx: &Context) -> Verdict {
    let drivers = create_many(ctx, 3).await?;
    let commits: Vec<_> = drivers.iter().map(|driver| whole(ctx, driver)).collect();
    let firsts: Vec<_> = ctx.a.commit_many(commits.clone()).await.into_iter().collect::<Result<_>>()?;
    for driver in &drivers {
        expect_eq("the version", ctx.head(&driver.run).await?.version, 2)?;
    }
    let replays: Vec<_> = firsts.iter().map(|first| Committed { replayed: true, ..*first }).collect();
    for (driver, (commit, replay)) in drivers.iter().zip(commits.iter().zip(&replays)) {
        let again = ctx.unchanged(&driver.run, async { Ok(ctx.b.commit(commit.clone()).await?) }).await?;
        expect_eq("a commit of the batch sent alone", again, *replay)?;
    }
    let again: Vec<_> = ctx.b.commit_many(commits).await.into_iter().collect::<Result<_>>()?;
    expect_eq("the batch sent again", again, replays)
}

async fn racing_batches_share_the_runs(ctx: &Context) -> Verdict {
    let mut drivers = create_many(ctx, 12).await?;
    for _ in ctx.rounds(20) {
        let mut batches = ctx
            .race(6, |index, store| {
                let mut commits: Vec<_> =
                    drivers.iter().map(|driver| noted(ctx, driver, index as u64)).collect();
                if index % 2 == 0 {
                    commits.reverse();
                }
                async move {
                    let mut answers = store.commit_many(commits).await;
                    if index % 2 == 0 {
                        answers.reverse();
                    }
                    answers
                }
            })
            .await?;
        for driver in drivers.iter_mut().rev() {
            let answers = (0u64..).zip(&mut batches).filter_map(|(index, batch)| {
                let answer = batch.pop()?;
                Some(answer.map(|committed| (index, committed)))
            });
            let (index, committed) = one_winner("racing batches", answers.collect(), ErrorKind::Conflict)?;
            driver.version += 1;
            expect_eq("the winner's version", committed.version, driver.version)?;
            expect_eq("the run's note", note_of(ctx, &driver.run).await?, Some(index))?;
        }
    }
    Ok(())
}
