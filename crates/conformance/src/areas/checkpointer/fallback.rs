//! Snapshots that cannot be used: the same state by another way, or the error; never an older state.

use super::*;

cases! { checkpointer:
    /// Foreign bytes for a snapshot: the older kept one and the records after it, with the same state.
    foreign_bytes_fall_back_to_the_older_snapshot [Log, TailStream, Snapshots, History],
    /// A snapshot of a newer version of the format falls back to the older kept one, with the same state.
    a_newer_version_falls_back_to_the_older_snapshot [Log, TailStream, Snapshots, History],
    /// A snapshot whose checksum is wrong falls back to the older kept one, with the same state.
    a_bad_checksum_falls_back_to_the_older_snapshot [Log, TailStream, Snapshots, History],
    /// A snapshot that the store calls `Corrupt` falls back to the older kept one, with the same state.
    a_corrupt_snapshot_falls_back_to_the_older_one [Log, TailStream, Snapshots, History],
    /// A snapshot that cannot be used falls back to a log that is whole from 1, with the same state.
    a_bad_snapshot_falls_back_to_a_whole_log [Log, TailStream, Snapshots],
    /// When there is neither an older snapshot nor a whole log, the error is returned, never an older state; the run is
    /// let go of.
    with_neither_the_error_is_returned [Log, TailStream, Snapshots],
    /// With snapshots alone a snapshot that cannot be used is its error, never an older state.
    without_a_log_a_bad_snapshot_is_its_error [Snapshots],
    /// A snapshot ahead of the log is `Corrupt`: the whole log instead, or the error.
    a_snapshot_ahead_of_the_log_is_corrupt [Log, TailStream, Snapshots],
    /// Any other error of the store is returned: nothing falls back, and nothing older is given.
    an_error_of_the_store_is_returned [Log, TailStream, Snapshots],
    /// After a fallback the run goes on, and its next snapshot can be used.
    after_a_fallback_the_run_goes_on [Log, TailStream, Snapshots],
}

/// How a snapshot goes bad.
#[derive(Clone, Copy, Debug)]
enum Bad {
    Foreign,
    Newer,
    Checksum,
    Body,
}

impl Bad {
    /// Where the format keeps its version and its checksum.
    const VERSION: usize = 4;
    const CHECKSUM: usize = 16;

    fn apply(self, body: &Bytes) -> Bytes {
        let mut body = body.to_vec();
        match self {
            Bad::Foreign => body = b"these bytes are somebody else's".to_vec(),
            Bad::Newer => body[Bad::VERSION] += 1,
            Bad::Checksum => body[Bad::CHECKSUM] ^= 1,
            Bad::Body => *body.last_mut().expect("a snapshot has bytes") ^= 1,
        }
        body.into()
    }
}

/// A run with the states 1 to 6 and snapshots at 2 and 4, let go of.
async fn saved(ctx: &Context, run: &RunId, keep: Keep) -> Verdict {
    let mut driver = drive(ctx, &checkpoints(ctx).snapshots(SnapshotPolicy::Manual).keep(keep), run).await?;
    for step in 1..=6 {
        match step {
            2 | 4 => driver.checkpoint(state(step)).await.map(drop),
            _ => driver.save(state(step)).await.map(drop),
        }?;
    }
    driver.release(Wake::now()).await?;
    expect_eq("the snapshots", ctx.head(run).await?.snapshots, [4, 2])
}

/// Puts another body in the place of the newest snapshot, really.
async fn spoil(ctx: &Context, run: &RunId, bad: Bad) -> Verdict {
    let newest = ctx.b.snapshot(run, At::Latest).await?;
    let Snapshot { cursor, body, .. } =
        newest.ok_or_else(|| Broken::new("the newest snapshot", "one", "None"))?;
    let mut driver = ctx.resume(run).await?;
    let spoiled = Snapshot::new(cursor, bad.apply(&body));
    ctx.commit(&mut driver, |commit| commit.snapshot(spoiled).release(Wake::now())).await?;
    Ok(())
}

/// A resume must give the newest state, reading so many records.
async fn resumes(ctx: &Context, run: &RunId, store: impl Store, records: usize) -> Verdict {
    let store = Counted::over(store);
    let mut driver = drive(ctx, &over(ctx, store.clone()), run).await?;
    let found = restored(&mut *driver)?;
    expect_eq("what it starts from", (found.state, found.cursor), (Some(state(6)), 6))?;
    expect_eq("how many records were read", store.records(), records)?;
    expect_eq("what anybody else reads", newest(ctx, run).await?, Some(6))?;
    driver.release(Wake::now()).await?;
    Ok(())
}

/// A resume must fail with this kind, and leave the run to others.
async fn gives_up(ctx: &Context, run: &RunId, store: impl Store, kind: ErrorKind) -> Verdict {
    fails("a resume", ctx.checkpointers(over(ctx, store)).begin(begin(run)).await, kind)?;
    expect_eq("its status then", ctx.head(run).await?.status(), Status::Interrupted)
}

async fn falls_back(ctx: &Context, bad: Bad) -> Verdict {
    let run = ctx.run("spoiled");
    saved(ctx, &run, Keep::All).await?;
    spoil(ctx, &run, bad).await?;
    // The records after the older snapshot, which stands at 2.
    resumes(ctx, &run, ctx.b.clone(), 4).await
}

async fn foreign_bytes_fall_back_to_the_older_snapshot(ctx: &Context) -> Verdict {
    falls_back(ctx, Bad::Foreign).await
}

async fn a_newer_version_falls_back_to_the_older_snapshot(ctx: &Context) -> Verdict {
    falls_back(ctx, Bad::Newer).await
}

async fn a_bad_checksum_falls_back_to_the_older_snapshot(ctx: &Context) -> Verdict {
    falls_back(ctx, Bad::Checksum).await
}

/// What a store says of a snapshot that it cannot read.
fn corrupt() -> Error {
    Error::new(ErrorKind::Corrupt, "a lie: the snapshot is not as it was written")
}

async fn a_corrupt_snapshot_falls_back_to_the_older_one(ctx: &Context) -> Verdict {
    let run = ctx.run("spoiled");
    saved(ctx, &run, Keep::All).await?;
    let lying = Lying::over(ctx.b.clone(), |_, snapshot| match snapshot.cursor {
        4 => Err(corrupt()),
        _ => Ok(snapshot),
    });
    resumes(ctx, &run, lying, 4).await
}

async fn a_bad_snapshot_falls_back_to_a_whole_log(ctx: &Context) -> Verdict {
    for bad in [Bad::Foreign, Bad::Newer, Bad::Checksum, Bad::Body] {
        let run = ctx.run(&format!("{bad:?}"));
        saved(ctx, &run, Keep::All).await?;
        spoil(ctx, &run, bad).await?;
        let no_history = Reduced::over(&ctx.b, &[Capability::History]);
        resumes(ctx, &run, no_history, 6).await?;
    }
    let run = ctx.run("all");
    saved(ctx, &run, Keep::All).await?;
    resumes(ctx, &run, Lying::over(ctx.b.clone(), |_, _| Err(corrupt())), 6).await
}

async fn with_neither_the_error_is_returned(ctx: &Context) -> Verdict {
    for bad in [Bad::Foreign, Bad::Newer, Bad::Checksum, Bad::Body] {
        let run = ctx.run(&format!("{bad:?}"));
        saved(ctx, &run, Keep::Trim).await?;
        expect_eq("the oldest retained record", ctx.head(&run).await?.first, 3)?;
        let all = move |_, snapshot: Snapshot| Ok(Snapshot::new(snapshot.cursor, bad.apply(&snapshot.body)));
        let kind = if matches!(bad, Bad::Checksum | Bad::Body) {
            ErrorKind::Corrupt
        } else {
            ErrorKind::Undecodable
        };
        gives_up(ctx, &run, Lying::over(ctx.b.clone(), all), kind).await?;
        spoil(ctx, &run, bad).await?;
        gives_up(ctx, &run, Reduced::over(&ctx.b, &[Capability::History]), kind).await?;
    }
    let run = ctx.run("corrupt");
    saved(ctx, &run, Keep::Trim).await?;
    gives_up(ctx, &run, Lying::over(ctx.b.clone(), |_, _| Err(corrupt())), ErrorKind::Corrupt).await?;
    resumes(ctx, &run, ctx.b.clone(), 2).await
}

async fn without_a_log_a_bad_snapshot_is_its_error(ctx: &Context) -> Verdict {
    let run = ctx.run("run");
    let no_log = |store| Reduced::over(store, &[Capability::Log, Capability::TailStream]);
    let mut driver = drive(ctx, &over(ctx, no_log(&ctx.a)), &run).await?;
    for step in 1..=3 {
        driver.save(state(step)).await?;
    }
    driver.release(Wake::now()).await?;
    for bad in [Bad::Foreign, Bad::Newer] {
        let all = move |_, snapshot: Snapshot| Ok(Snapshot::new(snapshot.cursor, bad.apply(&snapshot.body)));
        gives_up(ctx, &run, Lying::over(no_log(&ctx.b), all), ErrorKind::Undecodable).await?;
    }
    let ahead = |_, snapshot: Snapshot| Ok(Snapshot::new(snapshot.cursor + 1, snapshot.body));
    gives_up(ctx, &run, Lying::over(no_log(&ctx.b), ahead), ErrorKind::Corrupt).await?;
    let mut driver = drive(ctx, &over(ctx, no_log(&ctx.b)), &run).await?;
    expect_eq("what an honest store gives", restored(&mut *driver)?.state, Some(state(3)))
}

async fn a_snapshot_ahead_of_the_log_is_corrupt(ctx: &Context) -> Verdict {
    let ahead = || {
        Lying::over(Reduced::over(&ctx.b, &[Capability::History]), |_, snapshot| {
            Ok(Snapshot::new(snapshot.cursor + 100, snapshot.body))
        })
    };
    let whole = ctx.run("whole");
    saved(ctx, &whole, Keep::All).await?;
    resumes(ctx, &whole, ahead(), 6).await?;
    let trimmed = ctx.run("trimmed");
    saved(ctx, &trimmed, Keep::Trim).await?;
    gives_up(ctx, &trimmed, ahead(), ErrorKind::Corrupt).await
}

async fn an_error_of_the_store_is_returned(ctx: &Context) -> Verdict {
    let run = ctx.run("run");
    saved(ctx, &run, Keep::All).await?;
    // The snapshot is the first read of a resume, the tail the second.
    for read in [1, 2] {
        let store = Faults::new(ctx.b.clone(), FaultPlan::none().fail_read(read));
        gives_up(ctx, &run, store.clone(), ErrorKind::Unavailable).await?;
        expect_eq("how many reads there were", store.reads(), read)?;
    }
    resumes(ctx, &run, ctx.b.clone(), 2).await
}

async fn after_a_fallback_the_run_goes_on(ctx: &Context) -> Verdict {
    let run = ctx.run("spoiled");
    saved(ctx, &run, Keep::All).await?;
    spoil(ctx, &run, Bad::Foreign).await?;
    let trimming = over(ctx, ctx.b.clone()).snapshots(SnapshotPolicy::Manual).keep(Keep::Trim);
    let mut driver = drive(ctx, &trimming, &run).await?;
    expect_eq("what it starts from", restored(&mut *driver)?.state, Some(state(6)))?;
    driver.checkpoint(state(7)).await?;
    expect_eq("the newest snapshot", ctx.head(&run).await?.snapshots.first().copied(), Some(7))?;
    expect_eq("the newest state", newest(ctx, &run).await?, Some(7))?;
    driver.release(Wake::now()).await?;
    // The one that is spoilt counts for nothing: should the new one go bad too, there is still a way back.
    spoil(ctx, &run, Bad::Foreign).await?;
    let mut driver = drive(ctx, &trimming, &run).await?;
    expect_eq("what it starts from then", restored(&mut *driver)?.state, Some(state(7)))
}
