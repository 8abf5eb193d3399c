//! Limits: what fits is taken, and one byte more is refused before any trip.

use crate::areas::prelude::*;

cases! { commit:
    /// A record at the limit is taken whole.
    a_record_at_the_limit_is_taken [Log],
    /// A record of one byte more is `TooLarge`, and the others of its batch are not stored either.
    a_record_over_the_limit_is_refused_with_its_batch [Log],
    /// A snapshot at the limit is taken whole.
    a_snapshot_at_the_limit_is_taken [Snapshots],
    /// A snapshot of one byte more is `TooLarge`.
    a_snapshot_over_the_limit_is_refused [Snapshots],
    /// A blob at the limit is taken whole.
    a_blob_at_the_limit_is_taken [Blobs],
    /// A blob of one byte more is `TooLarge`.
    a_blob_over_the_limit_is_refused [Blobs],
    /// A commit whose bodies together are at the limit is taken whole.
    a_commit_at_the_limit_is_taken [Log],
    /// A commit whose bodies together have one byte more is `TooLarge`, though each of them fits.
    a_commit_over_the_limit_is_refused [Log],
    /// A snapshot, a blob and an outcome count for the limit of a commit as its records do.
    every_part_counts_for_the_limit_of_a_commit [Log],
    /// An outcome at the limit of a record, an output or a failure's message, is taken whole.
    an_outcome_at_the_limit_is_taken [],
    /// An outcome of one byte more is `TooLarge`, and the run goes on.
    an_outcome_over_the_limit_is_refused [],
    /// A note of 1,023 bytes is taken, by commits and renewals.
    a_note_at_the_limit_is_taken [],
    /// A note of 1,024 bytes is `TooLarge`, for commits and renewals.
    a_note_over_the_limit_is_refused [],
    /// A run id at the limit is taken, and one of a byte more refused for everything.
    a_run_id_has_a_limit [],
    /// Many small records in one commit are taken: there is no limit but bytes.
    a_commit_of_5000_records_is_taken [Log],
}

/// A body of `size` bytes that no two places of are alike, or that costs nothing where it is only counted.
fn body(size: u64, seed: u64) -> Bytes {
    let word = |number: u64| (number ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    let mut bytes: Vec<u8> = (0..size.div_ceil(8)).flat_map(word).collect();
    bytes.truncate(size as usize);
    bytes.into()
}

/// A body of `size` bytes that is refused by its size: nobody looks into it.
fn nought(size: u64) -> Bytes {
    vec![0; usize::try_from(size).unwrap_or(usize::MAX)].into()
}

/// What the kit can try of a limit: it, or as much of it as a case writes.
fn feasible(ctx: &Context, limit: u64) -> u64 {
    limit.min(ctx.capabilities.limits.commit).min(ctx.tuning().body)
}

/// One byte over a limit; `None` when no program can have so many.
fn over(limit: u64) -> Option<u64> {
    limit.checked_add(1).filter(|size| *size <= 4 << 30)
}

fn entry(body: Bytes) -> NewRecord {
    NewRecord::new(Kind::from_static("entry"), body)
}

/// `commit` must be `TooLarge`, and the run go on.
async fn is_too_large(ctx: &Context, driver: &mut Driver, fill: impl FnOnce(Commit) -> Commit) -> Verdict {
    let commit = fill(ctx.next(driver).advances());
    ctx.unchanged(&driver.run.clone(), async {
        refused("a commit over the limit", ctx.a.commit(commit).await, ErrorKind::TooLarge)
    })
    .await?;
    ctx.commit(driver, |commit| commit).await.map(drop)
}

async fn a_record_at_the_limit_is_taken(ctx: &Context) -> Verdict {
    let run = ctx.run("fits");
    let mut driver = ctx.create(&run).await?;
    let size = feasible(ctx, ctx.capabilities.limits.record);
    ctx.commit(&mut driver, |commit| commit.record(entry(body(size, 1)))).await?;
    let records = collect(ctx.b.stream(&run, Span::all())).await?;
    let read: Vec<_> = records.into_iter().map(|record| record.body).collect();
    expect("its body comes back", read == [body(size, 1)], read)?;
    expect_eq("its size in the head", ctx.head(&run).await?.sizes.records, size)
}

async fn a_record_over_the_limit_is_refused_with_its_batch(ctx: &Context) -> Verdict {
    let run = ctx.run("over");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 1).await?;
    if let Some(size) = over(ctx.capabilities.limits.record) {
        let batch = [entry("small".into()), entry(nought(size)), entry("small".into())];
        is_too_large(ctx, &mut driver, |commit| commit.records(batch)).await?;
    }
    expect_eq("the cursor", ctx.head(&run).await?.cursor, 1)
}

async fn a_snapshot_at_the_limit_is_taken(ctx: &Context) -> Verdict {
    let run = ctx.run("fits");
    let mut driver = ctx.create(&run).await?;
    let size = feasible(ctx, ctx.capabilities.limits.snapshot);
    ctx.commit(&mut driver, |commit| commit.snapshot(Snapshot::new(0, body(size, 2)))).await?;
    let read = ctx.b.snapshot(&run, At::Latest).await?;
    expect("its body comes back", read == Some(Snapshot::new(0, body(size, 2))), read)
}

async fn a_snapshot_over_the_limit_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("over");
    let mut driver = ctx.create(&run).await?;
    if let Some(size) = over(ctx.capabilities.limits.snapshot) {
        is_too_large(ctx, &mut driver, |commit| commit.snapshot(Snapshot::new(0, nought(size)))).await?;
    }
    expect_eq("its snapshots", ctx.head(&run).await?.snapshots, vec![0; 0])
}

async fn a_blob_at_the_limit_is_taken(ctx: &Context) -> Verdict {
    let run = ctx.run("fits");
    let mut driver = ctx.create(&run).await?;
    let blob = Blob::of(body(feasible(ctx, ctx.capabilities.limits.blob), 3));
    ctx.commit(&mut driver, |commit| commit.blob(blob.clone())).await?;
    let read = ctx.b.blob(&run, &blob.name).await?;
    expect("its body comes back", read.as_ref() == Some(&blob.body), read.map(|body| body.len()))
}

async fn a_blob_over_the_limit_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("over");
    let mut driver = ctx.create(&run).await?;
    let name = Digest::of(b"a name need not be the digest");
    if let Some(size) = over(ctx.capabilities.limits.blob) {
        is_too_large(ctx, &mut driver, |commit| commit.blob(Blob { name, body: nought(size) })).await?;
    }
    expect_eq("the blob", ctx.b.blob(&run, &name).await?, None)
}

/// Bodies of `size` bytes together, each of which fits into a record.
fn shares(ctx: &Context, size: u64, body: impl Fn(u64) -> Bytes) -> Vec<NewRecord> {
    let most = ctx.capabilities.limits.record.max(1);
    let (full, rest) = (body(most.min(size)), size % most);
    let mut records = vec![entry(full); usize::try_from(size / most).unwrap_or(usize::MAX)];
    records.push(entry(body(rest)));
    records
}

async fn a_commit_at_the_limit_is_taken(ctx: &Context) -> Verdict {
    let run = ctx.run("fits");
    let mut driver = ctx.create(&run).await?;
    let size = feasible(ctx, u64::MAX);
    let records = shares(ctx, size, |size| body(size, 4));
    let bodies: Vec<_> = records.iter().map(|record| record.body.clone()).collect();
    ctx.commit(&mut driver, |commit| commit.records(records)).await?;
    expect_eq("the size in the head", ctx.head(&run).await?.sizes.records, size)?;
    let records = collect(ctx.b.stream(&run, Span::all())).await?;
    let read: Vec<_> = records.into_iter().map(|record| record.body).collect();
    expect("the bodies come back", read == bodies, read.len())
}

async fn a_commit_over_the_limit_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("over");
    let mut driver = ctx.create(&run).await?;
    if let Some(size) = over(ctx.capabilities.limits.commit) {
        let records = shares(ctx, size, nought);
        is_too_large(ctx, &mut driver, |commit| commit.records(records)).await?;
    }
    expect_eq("the cursor", ctx.head(&run).await?.cursor, 0)
}

async fn every_part_counts_for_the_limit_of_a_commit(ctx: &Context) -> Verdict {
    let (run, offered) = (ctx.run("over"), &ctx.capabilities);
    let mut driver = ctx.create(&run).await?;
    if over(offered.limits.commit).is_some() {
        let full = |commit: Commit| commit.records(shares(ctx, offered.limits.commit, nought));
        let output = nought(1);
        let done = Outcome::Completed { output };
        is_too_large(ctx, &mut driver, |commit| full(commit).finish(done, Retain::Keep)).await?;
        if offered.supports_snapshots() {
            is_too_large(ctx, &mut driver, |commit| full(commit).snapshot(Snapshot::new(0, nought(1))))
                .await?;
        }
        if offered.supports_blobs() {
            is_too_large(ctx, &mut driver, |commit| full(commit).blob(Blob::of(nought(1)))).await?;
        }
    }
    expect_eq("the cursor", ctx.head(&run).await?.cursor, 0)
}

/// A failure whose message has so many bytes.
fn failed(size: u64) -> Outcome {
    let message = "x".repeat(usize::try_from(size).unwrap_or(usize::MAX));
    Outcome::Failed { failure: Failure::new(FailureKind::Error, message) }
}

async fn an_outcome_at_the_limit_is_taken(ctx: &Context) -> Verdict {
    let run = ctx.run("fits");
    let mut driver = ctx.create(&run).await?;
    let size = feasible(ctx, ctx.capabilities.limits.record);
    let outcome = Outcome::Completed { output: body(size, 5) };
    ctx.commit(&mut driver, |commit| commit.finish(outcome.clone(), Retain::Keep)).await?;
    let read = ctx.head(&run).await?.outcome;
    expect("its output comes back", read.as_ref() == Some(&outcome), read.is_some())?;
    let run = ctx.run("fails");
    let mut driver = ctx.create(&run).await?;
    let outcome = failed(size);
    ctx.commit(&mut driver, |commit| commit.finish(outcome.clone(), Retain::Keep)).await?;
    let read = ctx.head(&run).await?.outcome;
    expect("its message comes back", read.as_ref() == Some(&outcome), read.is_some())
}

async fn an_outcome_over_the_limit_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("over");
    let mut driver = ctx.create(&run).await?;
    if let Some(size) = over(ctx.capabilities.limits.record) {
        let done = Outcome::Completed { output: nought(size) };
        is_too_large(ctx, &mut driver, |commit| commit.finish(done, Retain::Keep)).await?;
        is_too_large(ctx, &mut driver, |commit| commit.finish(failed(size), Retain::Keep)).await?;
    }
    expect_eq("its status", ctx.head(&run).await?.status(), Status::Running)
}

fn note(size: usize) -> Note {
    Note { done: size as u64, total: Some(0), text: "é".repeat(size / 2) + &"x".repeat(size % 2) }
}

async fn a_note_at_the_limit_is_taken(ctx: &Context) -> Verdict {
    let run = ctx.run("fits");
    let mut driver = ctx.create(&run).await?;
    let longest = note(NOTE_LIMIT - 1);
    ctx.commit(&mut driver, |commit| commit.note(longest.clone())).await?;
    expect_eq("the note of a commit", ctx.head(&run).await?.note.as_ref(), Some(&longest))?;
    let empty = Note { done: u64::MAX, total: Some(u64::MAX), text: String::new() };
    ctx.commit(&mut driver, |commit| commit.note(empty.clone())).await?;
    expect_eq("the note of another", ctx.head(&run).await?.note, Some(empty))?;
    ctx.a.renew(&run, Renew::new(driver.fence, ctx.long()).note(longest.clone())).await?;
    expect_eq("the note of a renewal", ctx.head(&run).await?.note, Some(longest))
}

async fn a_note_over_the_limit_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("over");
    let mut driver = ctx.create(&run).await?;
    is_too_large(ctx, &mut driver, |commit| commit.note(note(NOTE_LIMIT))).await?;
    ctx.unchanged(&run, async {
        let renew = Renew::new(driver.fence, ctx.long() * 3).note(note(NOTE_LIMIT));
        refused("a renewal over the limit", ctx.a.renew(&run, renew).await, ErrorKind::TooLarge)
    })
    .await
    .map(drop)
}

async fn a_run_id_has_a_limit(ctx: &Context) -> Verdict {
    let limit = usize::try_from(ctx.capabilities.limits.run_id).unwrap_or(usize::MAX);
    let longest = RunId::LIMIT.min(limit);
    let stem = ctx.run("long").to_string();
    let padded = |size: usize| RunId::new(stem.clone() + &"x".repeat(size.saturating_sub(stem.len())));
    let run = padded(longest)?;
    let mut driver = ctx.create(&run).await?;
    let commit = ctx.next(&driver);
    ctx.commit(&mut driver, |_| commit.clone()).await?;
    expect_eq("the version of the run", ctx.head(&run).await?.version, 2)?;
    let Ok(over) = padded(longest + 1) else { return Ok(()) };
    refused("its creation", ctx.a.open(&over, ctx.creating()).await, ErrorKind::TooLarge)?;
    let commit = Commit { run: over, ..commit };
    refused("a commit to it", ctx.a.commit(commit).await, ErrorKind::TooLarge).map(drop)
}

async fn a_commit_of_5000_records_is_taken(ctx: &Context) -> Verdict {
    const COUNT: u64 = 5_000;
    let run = ctx.run("many");
    let mut driver = ctx.create(&run).await?;
    let count = COUNT.min(ctx.capabilities.limits.commit / 16);
    ctx.commit_records(&mut driver, count).await?;
    let records = collect(ctx.b.stream(&run, Span::all())).await?;
    let whole = (1..)
        .zip(&records)
        .all(|(cursor, found)| found.cursor == cursor && found.body == record(cursor).body);
    expect("all of them come back", whole && records.len() as u64 == count, records.len())
}
