//! Whose log it is: runs that are not there, and other lives of those that are.

use super::cursors;
use crate::areas::prelude::*;

cases! { streams:
    /// Every read of a run that was never there is `NotFound`; its head is none.
    every_read_of_an_unknown_run_is_not_found [],
    /// Every read of a deleted run is `NotFound`; its head is none.
    every_read_of_a_deleted_run_is_not_found [],
    /// A span may name the life of the run that it is about: another one ends with `NotFound`.
    another_life_of_the_run_is_not_found [Log],
    /// A run that was deleted and made again begins with an empty log.
    a_recreated_run_begins_empty [Log],
    /// A stream that is half read when its run is deleted ends with `NotFound`, or gives what it had fetched; never the
    /// records of another life.
    a_half_read_stream_never_continues_in_another_life [Log],
    /// The log of a run that let go or has finished is read like any other.
    a_finished_log_is_read_like_any_other [Log],
}

/// Reads whatever the store offers to read of a run that is not there.
async fn every_read_is_not_found(ctx: &Context, run: &RunId) -> Verdict {
    let offered = ctx.capabilities;
    let name = Digest::of(b"a blob");
    for store in [&ctx.a, &ctx.b] {
        expect_eq("its head", store.head(run).await?, None)?;
        if offered.supports_log() {
            for span in [Span::all(), Span::all().limit(0), Span::all().until(0), Span::all().reverse()] {
                let records = collect(store.stream(run, span)).await;
                refused_as(&format!("the stream of {span:?}"), records, Refusal::NotFound)?;
            }
        }
        if offered.supports_tail_stream() && offered.supports_log() {
            let records = collect(store.stream(run, Span::after(7))).await;
            refused_as("the stream after a cursor", records, Refusal::NotFound)?;
        }
        if offered.supports_follow() && offered.supports_log() {
            let records = collect(store.stream(run, Span::all().follow())).await;
            refused_as("a following stream", records, Refusal::NotFound)?;
        }
        if offered.supports_snapshots() {
            refused_as("its snapshot", store.snapshot(run, At::Latest).await, Refusal::NotFound)?;
        }
        if offered.supports_history() && offered.supports_snapshots() {
            refused_as("an older one", store.snapshot(run, At::OrBefore(3)).await, Refusal::NotFound)?;
        }
        if offered.supports_inbox() {
            refused_as("its inbox", collect(store.inbox(run, Span::all())).await, Refusal::NotFound)?;
        }
        if offered.supports_blobs() {
            refused_as("a blob", store.blob(run, &name).await, Refusal::NotFound)?;
            refused_as("its blobs", collect(store.blobs(run)).await, Refusal::NotFound)?;
        }
    }
    Ok(())
}

async fn every_read_of_an_unknown_run_is_not_found(ctx: &Context) -> Verdict {
    let run = ctx.run("unknown");
    ctx.create(&ctx.run("unknown-no-more")).await?;
    every_read_is_not_found(ctx, &run).await
}

async fn every_read_of_a_deleted_run_is_not_found(ctx: &Context) -> Verdict {
    let run = ctx.run("deleted");
    let mut driver = ctx.create(&run).await?;
    let offered = ctx.capabilities;
    ctx.commit(&mut driver, |mut commit| {
        if offered.supports_log() {
            commit = commit.record(record(1));
        }
        if offered.supports_snapshots() {
            commit = commit.snapshot(Snapshot::new(0, "the state"));
        }
        if offered.supports_blobs() {
            commit = commit.blob(Blob::of("a blob"));
        }
        commit
    })
    .await?;
    if offered.supports_inbox() {
        ctx.a.send(&run, ctx.message("key", "content")).await?;
    }
    expect("it is deleted", ctx.a.delete(&run, Delete::Any).await?, ())?;
    every_read_is_not_found(ctx, &run).await
}

async fn another_life_of_the_run_is_not_found(ctx: &Context) -> Verdict {
    let run = ctx.run("recreated");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 2).await?;
    let old = driver.fence.incarnation;
    let mine = collect(ctx.b.stream(&run, Span::all().incarnation(old))).await?;
    expect_eq("the cursors of this life", cursors(&mine), vec![1, 2])?;
    expect("it is deleted", ctx.a.delete(&run, Delete::Any).await?, ())?;
    let gone = collect(ctx.b.stream(&run, Span::all().incarnation(old))).await;
    refused_as("a life that has ended", gone, Refusal::NotFound)?;
    let mut driver = ctx.create(&run).await?;
    expect("it has a life of its own", driver.fence.incarnation != old, driver.fence)?;
    ctx.commit_records(&mut driver, 3).await?;
    for span in [Span::all(), Span::all().limit(0), Span::all().reverse(), Span::all().until(1)] {
        let earlier = collect(ctx.b.stream(&run, span.incarnation(old))).await;
        refused_as(&format!("an earlier life, {span:?}"), earlier, Refusal::NotFound)?;
    }
    let mine = collect(ctx.b.stream(&run, Span::all().incarnation(driver.fence.incarnation))).await?;
    expect_eq("the cursors of this life", cursors(&mine), vec![1, 2, 3])
}

async fn a_recreated_run_begins_empty(ctx: &Context) -> Verdict {
    let run = ctx.run("recreated");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 3).await?;
    expect("it is deleted", ctx.a.delete(&run, Delete::Any).await?, ())?;
    let mut driver = ctx.create(&run).await?;
    expect_eq("its records", collect(ctx.b.stream(&run, Span::all())).await?, vec![])?;
    expect_eq("the size of its records", ctx.head(&run).await?.sizes.records, 0)?;
    ctx.commit_records(&mut driver, 1).await?;
    expect_eq("its cursors", cursors(&collect(ctx.b.stream(&run, Span::all())).await?), vec![1])
}

async fn a_half_read_stream_never_continues_in_another_life(ctx: &Context) -> Verdict {
    let run = ctx.run("recreated");
    let old_kind = Kind::from_static("entry");
    for page in [1, 2, 1_000] {
        let mut driver = ctx.create(&run).await?;
        ctx.commit_records(&mut driver, 4).await?;
        let mut stream = ctx.b.stream(&run, Span::all().page(page));
        expect(
            "it gives the first",
            next(&mut stream).await?.is_some_and(|record| record.cursor == 1),
            page,
        )?;
        expect("it is deleted", ctx.a.delete(&run, Delete::Any).await?, ())?;
        let mut driver = ctx.create(&run).await?;
        let other = || NewRecord::new(Kind::from_static("another life"), "");
        ctx.commit(&mut driver, |commit| commit.records((0..9).map(|_| other()))).await?;
        let mut cursor = 1;
        let end = loop {
            match next(&mut stream).await {
                Ok(Some(record)) => {
                    cursor += 1;
                    let own = record.kind == old_kind && record.cursor == cursor && cursor <= 4;
                    expect("what still comes is of the old life", own, &record)?;
                }
                end => break end,
            }
        };
        match end {
            Ok(_) => expect_eq("the last one of a stream that ends well", cursor, 4)?,
            gone => refused_as("a stream that ends before", gone, Refusal::NotFound)?,
        }
        expect("it is deleted", ctx.a.delete(&run, Delete::Any).await?, ())?;
    }
    Ok(())
}

async fn a_finished_log_is_read_like_any_other(ctx: &Context) -> Verdict {
    let run = ctx.run("finished");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 3).await?;
    ctx.commit(&mut driver, |commit| commit.release(Wake::now())).await?;
    expect_eq("let go", cursors(&collect(ctx.b.stream(&run, Span::all())).await?), vec![1, 2, 3])?;
    let mut driver = ctx.resume(&run).await?;
    let outcome = Outcome::Completed { output: "done".into() };
    ctx.commit(&mut driver, |commit| commit.record(record(4)).finish(outcome, Retain::Keep)).await?;
    for store in [&ctx.a, &ctx.b, &ctx.reopen().await?] {
        let records = collect(store.stream(&run, Span::all())).await?;
        expect_eq("finished", cursors(&records), vec![1, 2, 3, 4])?;
    }
    Ok(())
}
