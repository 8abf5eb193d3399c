//! Record ids: what is appended under an id is appended once.

use crate::areas::prelude::*;

cases! { commit:
    /// A repeated record id is refused with the cursor of the first one.
    a_repeated_record_id_is_refused_with_the_first_cursor [Log, RecordIds],
    /// A record id that occurs twice in one commit is refused with the cursor that the first one would have got.
    a_record_id_twice_in_one_commit_is_refused [Log, RecordIds],
    /// Of a commit that repeats an id of the run and one of its own, the one of the run is told.
    a_record_id_of_the_run_is_told_before_one_of_the_commit [Log, RecordIds],
    /// Record ids are compared byte for byte, and each run has its own.
    record_ids_are_bytes_of_one_run [Log, RecordIds],
    /// A record keeps its id, as it was given.
    record_ids_round_trip [Log, RecordIds],
    /// A record id is remembered over a takeover, by whoever appends.
    a_record_id_is_remembered_over_a_takeover [Log, RecordIds],
    /// A record id is remembered when a failed run is reopened.
    a_record_id_is_remembered_over_a_reopening [Log, RecordIds],
    /// Trimming does not shorten the memory of record ids.
    a_record_id_is_remembered_after_a_trim [Log, RecordIds, Snapshots],
    /// At least the newest 4,096 record ids are remembered.
    the_newest_4096_record_ids_are_remembered [Log, RecordIds],
    /// What is remembered is a number of ids: records without one do not push them out, before or after a takeover.
    records_without_ids_push_none_out [Log, RecordIds],
    /// Of 16 racing commits that append one record id exactly one appends it.
    of_16_racing_appends_of_one_id_one_holds [Log, RecordIds],
}

fn id(name: impl AsRef<str>) -> RecordId {
    RecordId::new(name).expect("names of cases are short")
}

/// A commit of `record` must be refused for the record at `cursor`.
async fn is_duplicate(ctx: &Context, driver: &Driver, records: Vec<NewRecord>, cursor: Cursor) -> Verdict {
    ctx.unchanged(&driver.run, async {
        for store in [&ctx.a, &ctx.b] {
            let commit = ctx.next(driver).records(records.clone()).advances();
            refused_as("a repeated id", store.commit(commit).await, Refusal::Duplicate { cursor })?;
        }
        Ok(())
    })
    .await
}

async fn a_repeated_record_id_is_refused_with_the_first_cursor(ctx: &Context) -> Verdict {
    let run = ctx.run("repeated");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 2).await?;
    let batch = [record(3).id(id("three")), record(4), record(5).id(id("five"))];
    ctx.commit(&mut driver, |commit| commit.records(batch)).await?;
    for (name, cursor) in [("three", 3), ("five", 5)] {
        is_duplicate(ctx, &driver, vec![record(6).id(id(name))], cursor).await?;
        is_duplicate(ctx, &driver, vec![record(6), record(7).id(id(name)), record(8)], cursor).await?;
    }
    ctx.commit(&mut driver, |commit| commit.record(record(6).id(id("six")))).await?;
    is_duplicate(ctx, &driver, vec![record(7).id(id("three"))], 3).await
}

async fn a_record_id_twice_in_one_commit_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("twice");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 2).await?;
    let twice = |name: &str| record(0).id(id(name));
    is_duplicate(ctx, &driver, vec![twice("a"), twice("a")], 3).await?;
    is_duplicate(ctx, &driver, vec![record(3), twice("a"), twice("b"), twice("a")], 4).await?;
    ctx.commit(&mut driver, |commit| commit.records([twice("a"), twice("b"), record(5)])).await.map(drop)
}

async fn a_record_id_of_the_run_is_told_before_one_of_the_commit(ctx: &Context) -> Verdict {
    let run = ctx.run("both");
    let mut driver = ctx.create(&run).await?;
    ctx.commit(&mut driver, |commit| commit.record(record(1).id(id("old")))).await?;
    let named = |name: &str| record(0).id(id(name));
    is_duplicate(ctx, &driver, vec![named("new"), named("new"), named("old")], 1).await
}

/// Ids that a backend may take for each other or for something else.
const NAMES: [&str; 12] =
    ["a", "A", "a ", " a", "é", "e\u{301}", "%", "*", "'; --", "a/b:c{d}[e]\\", "\u{202e}\n\t\u{1f600}", "1"];

/// Long ids that differ in one byte each: the last, one that an index may cut away, and the first.
fn long_names() -> Vec<String> {
    let differing = |at: usize| {
        let mut name = "x".repeat(RecordId::LIMIT);
        name.replace_range(at..=at, "y");
        name
    };
    [RecordId::LIMIT - 1, 191, 127, 63, 0].map(differing).into()
}

async fn record_ids_are_bytes_of_one_run(ctx: &Context) -> Verdict {
    let (one, other) = (ctx.run("one"), ctx.run("other"));
    let mut driver = ctx.create(&one).await?;
    let mut others = ctx.create(&other).await?;
    let names = long_names();
    let names: Vec<&str> = NAMES.into_iter().chain(names.iter().map(String::as_str)).collect();
    for name in &names {
        ctx.commit(&mut driver, |commit| commit.record(record(0).id(id(name)))).await?;
    }
    let all = names.iter().map(|name| record(0).id(id(name)));
    ctx.commit(&mut others, |commit| commit.records(all)).await?;
    for (cursor, name) in (1..).zip(&names) {
        is_duplicate(ctx, &driver, vec![record(0).id(id(name))], cursor).await?;
    }
    Ok(())
}

async fn record_ids_round_trip(ctx: &Context) -> Verdict {
    let run = ctx.run("named");
    let mut driver = ctx.create(&run).await?;
    let long = "é".repeat(RecordId::LIMIT / 2) + "x";
    let mut names: Vec<_> = NAMES.iter().copied().chain([long.as_str()]).map(|name| Some(id(name))).collect();
    names.insert(3, None);
    let records = names.iter().map(|name| NewRecord { id: name.clone(), ..record(0) });
    ctx.commit(&mut driver, |commit| commit.records(records)).await?;
    let read: Vec<_> = ctx.image(&run).await?.records.into_iter().map(|record| record.id).collect();
    expect_eq("the ids of the records", read, names)
}

async fn a_record_id_is_remembered_over_a_takeover(ctx: &Context) -> Verdict {
    let run = ctx.run("inherited");
    let mut old = ctx.create(&run).await?;
    ctx.commit(&mut old, |commit| commit.record(record(1).id(id("first")))).await?;
    let mut driver = Driver::of(&ctx.b.open(&run, ctx.resuming().over(old.fence)).await?);
    is_duplicate(ctx, &driver, vec![record(2).id(id("first"))], 1).await?;
    ctx.commit(&mut driver, |commit| commit.release(Wake::now())).await?;
    let driver = Driver::of(&ctx.a.open(&run, ctx.resuming()).await?);
    is_duplicate(ctx, &driver, vec![record(2).id(id("first"))], 1).await
}

async fn a_record_id_is_remembered_over_a_reopening(ctx: &Context) -> Verdict {
    let run = ctx.run("reopened");
    let mut driver = ctx.create(&run).await?;
    let failure = Failure::new(FailureKind::Error, "no");
    let last = |commit: Commit| {
        commit.record(record(1).id(id("first"))).finish(Outcome::Failed { failure }, Retain::Keep)
    };
    ctx.commit(&mut driver, last).await?;
    let driver = Driver::of(&ctx.b.open(&run, ctx.resuming().reopen_failed()).await?);
    is_duplicate(ctx, &driver, vec![record(2).id(id("first"))], 1).await
}

async fn a_record_id_is_remembered_after_a_trim(ctx: &Context) -> Verdict {
    let run = ctx.run("trimmed");
    let mut driver = ctx.create(&run).await?;
    for cursor in 1..=4 {
        let one = record(cursor).id(id(format!("record {cursor}")));
        let state = Snapshot::new(cursor, "a state");
        ctx.commit(&mut driver, |commit| commit.record(one).snapshot(state)).await?;
    }
    ctx.commit(&mut driver, |commit| commit.trim(3)).await?;
    expect_eq("the first record that is left", ctx.head(&run).await?.first, 4)?;
    for cursor in 1..=4 {
        let again = record(5).id(id(format!("record {cursor}")));
        is_duplicate(ctx, &driver, vec![again], cursor).await?;
    }
    Ok(())
}

async fn the_newest_4096_record_ids_are_remembered(ctx: &Context) -> Verdict {
    const WINDOW: u64 = 4_096;
    let declared = ctx.capabilities.limits.record_ids;
    expect("at least 4,096 record ids are declared to be remembered", declared >= WINDOW, declared)?;
    let run = ctx.run("window");
    let mut driver = ctx.create(&run).await?;
    while driver.cursor < WINDOW {
        let cursors = driver.cursor + 1..=driver.cursor + 512;
        let batch = cursors.map(|cursor| record(cursor).id(id(cursor.to_string())));
        ctx.commit(&mut driver, |commit| commit.records(batch)).await?;
    }
    for cursor in [1, 2, WINDOW / 2, WINDOW] {
        let again = ctx.next(&driver).record(record(0).id(id(cursor.to_string())));
        refused_as("a repeated id", ctx.b.commit(again).await, Refusal::Duplicate { cursor })?;
    }
    expect_eq("the newest cursor", ctx.head(&run).await?.cursor, WINDOW)
}

async fn records_without_ids_push_none_out(ctx: &Context) -> Verdict {
    let run = ctx.run("window");
    let mut driver = ctx.create(&run).await?;
    ctx.commit(&mut driver, |commit| commit.record(record(1).id(id("first")))).await?;
    for batch in 0..9 {
        let mut records: Vec<_> = (1..=512).map(record).collect();
        if batch % 3 == 0 {
            records[7] = record(8).id(id(format!("batch {batch}")));
        }
        ctx.commit(&mut driver, |commit| commit.records(records)).await?;
    }
    for takeover in [false, true] {
        if takeover {
            driver = Driver::of(&ctx.b.open(&run, ctx.resuming().over(driver.fence)).await?);
        }
        for (name, cursor) in [("first", 1), ("batch 0", 9), ("batch 6", 3_081)] {
            let again = ctx.next(&driver).record(record(0).id(id(name)));
            refused_as("a repeated id", ctx.b.commit(again).await, Refusal::Duplicate { cursor })?;
        }
    }
    Ok(())
}

async fn of_16_racing_appends_of_one_id_one_holds(ctx: &Context) -> Verdict {
    let run = ctx.run("raced");
    let mut driver = ctx.create(&run).await?;
    for round in ctx.rounds(10) {
        let name = id(format!("round {round}"));
        let answers = ctx
            .race(16, |_, store| {
                let commit = ctx.next(&driver).record(record(0).id(name.clone()));
                async move { store.commit(commit).await }
            })
            .await?;
        let committed = one_winner("16 racing appends", answers, ErrorKind::Conflict)?;
        expect_eq("the winner's cursor", committed.cursor, driver.cursor + 1)?;
        (driver.version, driver.cursor) = (committed.version, committed.cursor);
        is_duplicate(ctx, &driver, vec![record(0).id(name)], committed.cursor).await?;
    }
    expect_eq("how many records there are", ctx.image(&run).await?.records.len() as u64, driver.cursor)
}
