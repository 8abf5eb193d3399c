//! Versions and cursors: what commits add to a log, and upon what they build.

use crate::areas::{moves::whole, prelude::*};

cases! { commit:
    /// The cursors of a commit follow the run's newest one, so that they are additive, gapless and known beforehand.
    cursors_are_additive_and_gapless [Log],
    /// A batch of records stands in the log without a gap and in the order in which it was given.
    a_large_batch_is_contiguous_and_in_order [Log],
    /// A commit without records raises the version and no cursor.
    without_records_it_raises_the_version_only [],
    /// A commit that expects a lower version than the run's is a conflict that shows the head, and changes nothing.
    too_low_a_version_is_a_conflict [],
    /// A commit that expects a higher version than the run's is a conflict that shows the head, and changes nothing.
    too_high_a_version_is_a_conflict [],
    /// A delayed duplicate of an older commit without records never applies.
    a_delayed_duplicate_without_records_never_applies [],
    /// Of 16 writers that share a fence and expect one version exactly one commits; the others are told the conflict.
    of_16_writers_with_one_fence_one_commits [],
    /// Writers that share a fence and follow the version make one line of commits: none is lost, none is there twice.
    writers_with_one_fence_make_one_line [Log],
    /// Runs of one store do not see each other's commits.
    runs_stay_apart [Log],
    /// Records and heads carry the time of the store at their commit.
    times_are_the_stores [Log, clock],
    /// The head sums up the bodies of the records that it holds.
    sizes_sum_up_the_records [Log],
}

async fn cursors_are_additive_and_gapless(ctx: &Context) -> Verdict {
    let run = ctx.run("additive");
    let mut driver = ctx.create(&run).await?;
    let mut cursor = 0;
    for (version, count) in (2..).zip([1, 3, 0, 7, 1, 0, 2]) {
        ctx.commit_records(&mut driver, count).await?;
        cursor += count;
        let head = ctx.head(&run).await?;
        expect_eq("version, cursor, first", (head.version, head.cursor, head.first), (version, cursor, 1))?;
    }
    let records = ctx.image(&run).await?.records;
    let got: Vec<_> = records.into_iter().map(|record| (record.cursor, record.body)).collect();
    let want: Vec<_> = (1..=cursor).map(|cursor| (cursor, record(cursor).body)).collect();
    expect_eq("cursors and bodies", got, want)
}

async fn a_large_batch_is_contiguous_and_in_order(ctx: &Context) -> Verdict {
    let run = ctx.run("batch");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 2).await?;
    ctx.commit_records(&mut driver, 1_000).await?;
    ctx.commit_records(&mut driver, 1).await?;
    let records = ctx.image(&run).await?.records;
    expect_eq("how many records there are", records.len(), 1_003)?;
    for (cursor, found) in (1..).zip(records) {
        expect_eq("cursor and body", (found.cursor, found.body), (cursor, record(cursor).body))?;
    }
    Ok(())
}

async fn without_records_it_raises_the_version_only(ctx: &Context) -> Verdict {
    let run = ctx.run("empty");
    let mut driver = ctx.create(&run).await?;
    let commit = whole(ctx, &driver);
    ctx.commit(&mut driver, |_| commit).await?;
    let mut driver = Driver::of(&ctx.b.open(&run, ctx.resuming().over(driver.fence)).await?);
    let before = ctx.image(&run).await?;
    for _ in 0..3 {
        ctx.pass(Duration::from_millis(1)).await;
        ctx.commit(&mut driver, |commit| commit).await?;
    }
    let mut after = ctx.image(&run).await?;
    if let (Some(was), Some(is)) = (&before.head, &mut after.head) {
        expect_eq("the version", is.version, was.version + 3)?;
        (is.version, is.updated_at) = (was.version, was.updated_at);
    }
    expect_eq("all else that can be read", after, before)
}

/// Sends commits that expect each of `versions` of a run at version 3.
async fn clash_at(ctx: &Context, versions: &[Version]) -> Verdict {
    let run = ctx.run("elsewhere");
    let mut driver = ctx.create(&run).await?;
    for _ in 0..2 {
        ctx.commit(&mut driver, |commit| commit.advances()).await?;
    }
    let before = ctx.image(&run).await?.head;
    ctx.unchanged(&run, async {
        for &expect in versions {
            let commit = Commit { expect, ..whole(ctx, &driver) };
            let head = clashed("a commit elsewhere", ctx.b.commit(commit).await, Clash::Version)?;
            let told = Head { at: Timestamp::default(), ..head };
            expect_eq("the head in the conflict", Some(told), before.clone())?;
        }
        Ok(())
    })
    .await?;
    ctx.commit(&mut driver, |commit| commit).await.map(drop)
}

async fn too_low_a_version_is_a_conflict(ctx: &Context) -> Verdict {
    clash_at(ctx, &[2, 1, 0]).await
}

async fn too_high_a_version_is_a_conflict(ctx: &Context) -> Verdict {
    clash_at(ctx, &[4, 5, 3 + (1 << 32), i64::MAX as u64, 1 << 63, u64::MAX]).await
}

async fn a_delayed_duplicate_without_records_never_applies(ctx: &Context) -> Verdict {
    let run = ctx.run("delayed");
    let driver = ctx.create(&run).await?;
    let delayed = ctx.next(&driver).note(Note::new(1, None, "old")?).advances().extend(ctx.long() * 3);
    ctx.a.commit(delayed.clone()).await?;
    let mut driver = Driver { version: 2, ..driver };
    ctx.commit(&mut driver, |commit| commit.note(Note { text: "new".into(), ..Note::default() })).await?;
    ctx.unchanged(&run, async {
        for store in [&ctx.a, &ctx.b] {
            clashed("the delayed duplicate", store.commit(delayed.clone()).await, Clash::Version)?;
        }
        Ok(())
    })
    .await
}

async fn of_16_writers_with_one_fence_one_commits(ctx: &Context) -> Verdict {
    let run = ctx.run("shared");
    let mut driver = ctx.create(&run).await?;
    for _ in ctx.rounds(20) {
        let answers = ctx
            .race(16, |index, store| {
                let commit = ctx.next(&driver).note(Note { done: index as u64, ..Note::default() });
                async move { store.commit(commit).await.map(|committed| (index as u64, committed)) }
            })
            .await?;
        let (index, committed) = one_winner("16 writers with one fence", answers, ErrorKind::Conflict)?;
        driver.version += 1;
        let want = Committed { version: driver.version, cursor: 0, replayed: false };
        expect_eq("the winner's answer", committed, want)?;
        let head = ctx.head(&run).await?;
        let done = head.note.map(|note| note.done);
        expect_eq("the run's version and note", (head.version, done), (driver.version, Some(index)))?;
    }
    Ok(())
}

async fn writers_with_one_fence_make_one_line(ctx: &Context) -> Verdict {
    const EACH: u64 = 5;
    let run = ctx.run("line");
    let driver = ctx.create(&run).await?;
    let answers = ctx
        .race(8, |writer, store| {
            let ids: Vec<_> = (0..EACH).map(|_| ctx.id()).collect();
            let first = writer as u64 * EACH;
            let driver = driver.clone();
            async move {
                let (mut cursors, mut driver) = (Vec::new(), driver);
                for (number, id) in (first..).zip(ids) {
                    cursors.push(append(&*store, &mut driver, id, record(number)).await?);
                }
                Ok::<_, Error>(cursors)
            }
        })
        .await?;
    let records = ctx.image(&run).await?.records;
    expect_eq("how many records there are", records.len() as u64, 8 * EACH)?;
    for (writer, cursors) in (0..).zip(answers) {
        for (number, cursor) in (writer * EACH..).zip(cursors?) {
            let found = records.get(cursor as usize - 1).map(|record| &record.body);
            expect_eq("the record where its writer was told", found, Some(&record(number).body))?;
        }
    }
    Ok(())
}

/// Appends a record behind whatever others have appended meanwhile; gives its cursor.
async fn append(
    store: &dyn Store,
    driver: &mut Driver,
    id: OperationId,
    record: NewRecord,
) -> Result<Cursor> {
    loop {
        let commit = Commit::new(driver.run.clone(), driver.fence, id, driver.version);
        let error = match store.commit(commit.record(record.clone())).await {
            Ok(committed) => {
                driver.version = committed.version;
                return Ok(committed.cursor);
            }
            Err(error) => error,
        };
        match error.refusal() {
            Some(Refusal::Conflict { head, clash: Clash::Version }) if head.version > driver.version => {
                driver.version = head.version;
            }
            _ => return Err(error),
        }
        tokio::task::yield_now().await;
    }
}

async fn runs_stay_apart(ctx: &Context) -> Verdict {
    let (one, other) = (ctx.run("a"), ctx.run("a0"));
    let mut driver = ctx.create(&one).await?;
    let mut others = ctx.create(&other).await?;
    ctx.commit_records(&mut driver, 3).await?;
    let before = ctx.image(&other).await?;
    ctx.commit_records(&mut driver, 3).await?;
    before.same_as(&ctx.image(&other).await?)?;
    ctx.commit_records(&mut others, 1).await?;
    let (one, other) = (ctx.image(&one).await?, ctx.image(&other).await?);
    expect_eq("records of the one and the other", (one.records.len(), other.records.len()), (6, 1))
}

async fn times_are_the_stores(ctx: &Context) -> Verdict {
    let run = ctx.run("timed");
    let mut driver = ctx.create(&run).await?;
    let mut times = Vec::new();
    for micros in [1, 1_500, 1_000_000] {
        ctx.pass(Duration::from_micros(micros)).await;
        ctx.commit_records(&mut driver, 2).await?;
        let head = ctx.head(&run).await?;
        expect_eq("when it was updated, against the store's now", head.updated_at, head.at)?;
        times.extend([head.at, head.at]);
    }
    let image = ctx.image(&run).await?;
    let got: Vec<_> = image.records.iter().map(|record| record.at).collect();
    expect_eq("the times of the records", got, times)
}

async fn sizes_sum_up_the_records(ctx: &Context) -> Verdict {
    let run = ctx.run("sized");
    let mut driver = ctx.create(&run).await?;
    let kind = Kind::from_static("sized");
    ctx.commit(&mut driver, |commit| {
        commit.records([0, 1, 100].map(|size| NewRecord::new(kind.clone(), vec![b'x'; size])))
    })
    .await?;
    expect_eq("the bytes of three records", ctx.head(&run).await?.sizes.records, 101)?;
    ctx.commit(&mut driver, |commit| commit.record(NewRecord::new(kind, "é"))).await?;
    let sizes = Sizes { records: 103, ..Sizes::default() };
    expect_eq("the bytes of four records", ctx.head(&run).await?.sizes, sizes)
}
