//! Trimming: up to the second-newest snapshot, and no further.

use super::{keep, logged, state, told};
use crate::areas::prelude::*;

cases! { snapshots:
    /// Nothing can be trimmed before two snapshots are kept.
    nothing_is_trimmed_before_two_are_kept [Log, Snapshots],
    /// A trim past the second-newest snapshot is a `Conflict` that tells how far it may go, and nothing is trimmed.
    a_trim_past_the_second_newest_is_refused [Log, Snapshots],
    /// The snapshot of the same commit counts: it is put in before the trim is judged.
    the_snapshot_of_the_same_commit_counts [Log, Snapshots],
    /// A snapshot that is dropped does not count.
    a_dropped_snapshot_does_not_count [Log, Snapshots, not History],
    /// A trim removes the records up to its cursor and the snapshots below it, and keeps all that the second-newest and
    /// the newest snapshot need.
    a_trim_removes_records_and_older_snapshots [Log, Snapshots],
    /// Trimming what is trimmed already changes nothing but the version.
    trimming_again_is_harmless [Log, Snapshots],
    /// A trim of nothing is always allowed.
    trimming_nothing_is_allowed [Snapshots],
    /// A log of which everything was trimmed is empty behind its head, and goes on there.
    everything_can_be_trimmed [Log, Snapshots],
    /// A snapshot whose tail was trimmed would shorten nothing, and is dropped without an error; at the boundary it is
    /// kept.
    a_snapshot_below_the_trimmed_is_dropped [Log, Snapshots, History],
    /// A trim and the records, the snapshot and the outcome of its commit hold together.
    a_trim_holds_with_the_rest_of_its_commit [Log, Snapshots],
    /// A commit that is refused trims nothing.
    a_refused_commit_trims_nothing [Log, Snapshots],
    /// A trimmed log and what the head tells of it are the same after a takeover and a reopen.
    a_trim_survives_a_takeover [Log, Snapshots],
    /// A trim of one run is no other's.
    each_run_is_trimmed_alone [Log, Snapshots],
}

/// What is left of a run: its first and its last retained record, and its snapshots as far as they can be read.
async fn left(ctx: &Context, driver: &Driver) -> Verdict<(Cursor, Cursor, Vec<Cursor>)> {
    let image = ctx.image(&driver.run).await?;
    let Some(head) = image.head else {
        return Err(crate::Failure::new("what is left", "a run", "None"));
    };
    if ctx.capabilities.supports_tail_stream() {
        let cursors: Vec<_> = image.records.iter().map(|record| record.cursor).collect();
        expect_eq("the retained records", cursors, (head.first..=head.cursor).collect::<Vec<_>>())?;
        let size: usize = image.records.iter().map(|record| record.body.len()).sum();
        expect_eq("their size", head.sizes.records, size as u64)?;
    }
    let kept = if ctx.capabilities.supports_history() {
        let size: usize = image.snapshots.iter().map(|snapshot| snapshot.body.len()).sum();
        expect_eq("the size of the snapshots", head.sizes.snapshots, size as u64)?;
        image.snapshots.iter().map(|snapshot| snapshot.cursor).collect()
    } else {
        head.snapshots
    };
    Ok((head.first, head.cursor, kept))
}

/// `driver`'s next commit must not trim through any of `cursors`, but told to go to `limit` at most.
async fn refuses(ctx: &Context, driver: &Driver, limit: Cursor, cursors: &[Cursor]) -> Verdict {
    ctx.unchanged(&driver.run, async {
        for through in cursors {
            let answer = ctx.a.commit(ctx.next(driver).trim(*through).advances()).await;
            clashed(&format!("a trim through {through}"), answer, Clash::Trim(limit))?;
        }
        Ok(())
    })
    .await
}

async fn nothing_is_trimmed_before_two_are_kept(ctx: &Context) -> Verdict {
    let mut driver = logged(ctx, "trimmed", 6).await?;
    refuses(ctx, &driver, 0, &[1, 6, 7, u64::MAX]).await?;
    keep(ctx, &mut driver, &[4]).await?;
    refuses(ctx, &driver, 0, &[1, 3, 4, 6]).await?;
    expect_eq("what is left", left(ctx, &driver).await?, (1, 6, vec![4]))
}

async fn a_trim_past_the_second_newest_is_refused(ctx: &Context) -> Verdict {
    let mut driver = logged(ctx, "trimmed", 8).await?;
    keep(ctx, &mut driver, &[3, 6]).await?;
    refuses(ctx, &driver, 3, &[4, 5, 6, 8, 9, u64::MAX]).await?;
    ctx.commit(&mut driver, |commit| commit.trim(3)).await?;
    expect_eq("what is left", left(ctx, &driver).await?, (4, 8, vec![6, 3]))?;
    refuses(ctx, &driver, 3, &[4, 6]).await?;
    keep(ctx, &mut driver, &[8]).await?;
    refuses(ctx, &driver, 6, &[7, 8]).await
}

async fn the_snapshot_of_the_same_commit_counts(ctx: &Context) -> Verdict {
    let mut driver = logged(ctx, "trimmed", 4).await?;
    keep(ctx, &mut driver, &[3]).await?;
    ctx.unchanged(&driver.run, async {
        let over = ctx.next(&driver).record(record(5)).snapshot(state(5)).trim(4);
        clashed("a trim past the second-newest", ctx.a.commit(over).await, Clash::Trim(3))?;
        // At the cursor of a kept one it replaces that one, and there is still only one.
        let replacing = ctx.next(&driver).snapshot(state(3)).trim(1);
        clashed("a trim with one snapshot", ctx.a.commit(replacing).await, Clash::Trim(0))
    })
    .await?;
    ctx.commit(&mut driver, |commit| commit.record(record(5)).snapshot(state(5)).trim(3)).await?;
    expect_eq("what is left", left(ctx, &driver).await?, (4, 5, vec![5, 3]))
}

async fn a_dropped_snapshot_does_not_count(ctx: &Context) -> Verdict {
    let mut driver = logged(ctx, "trimmed", 6).await?;
    keep(ctx, &mut driver, &[2, 6]).await?;
    ctx.unchanged(&driver.run, async {
        let dropped = ctx.next(&driver).snapshot(state(4)).trim(4);
        clashed("a trim up to a dropped snapshot", ctx.a.commit(dropped).await, Clash::Trim(2))
    })
    .await
    .map(drop)
}

async fn a_trim_removes_records_and_older_snapshots(ctx: &Context) -> Verdict {
    let mut driver = logged(ctx, "trimmed", 12).await?;
    keep(ctx, &mut driver, &[2, 4, 6, 9]).await?;
    let history = ctx.capabilities.supports_history();
    ctx.commit(&mut driver, |commit| commit.trim(5)).await?;
    expect_eq("what is left", left(ctx, &driver).await?, (6, 12, vec![9, 6]))?;
    expect_eq("the newest", ctx.b.snapshot(&driver.run, At::Latest).await?, Some(state(9)))?;
    if history {
        for (cursor, wanted) in [(5, None), (6, Some(state(6))), (8, Some(state(6)))] {
            let snapshot = ctx.b.snapshot(&driver.run, At::OrBefore(cursor)).await?;
            expect_eq(&format!("at {cursor} or before"), snapshot, wanted)?;
        }
    }
    ctx.commit(&mut driver, |commit| commit.trim(6)).await?;
    expect_eq(
        "what is left, the snapshot at the boundary too",
        left(ctx, &driver).await?,
        (7, 12, vec![9, 6]),
    )
}

async fn trimming_again_is_harmless(ctx: &Context) -> Verdict {
    let mut driver = logged(ctx, "trimmed", 8).await?;
    keep(ctx, &mut driver, &[5, 8]).await?;
    ctx.commit(&mut driver, |commit| commit.trim(5)).await?;
    let sizes = ctx.head(&driver.run).await?.sizes;
    for through in [5, 3, 1, 0] {
        ctx.commit(&mut driver, |commit| commit.trim(through)).await?;
        expect_eq("what is left", left(ctx, &driver).await?, (6, 8, vec![8, 5]))?;
        expect_eq("its sizes", ctx.head(&driver.run).await?.sizes, sizes)?;
    }
    Ok(())
}

async fn trimming_nothing_is_allowed(ctx: &Context) -> Verdict {
    let run = ctx.run("bare");
    let mut driver = ctx.create(&run).await?;
    ctx.commit(&mut driver, |commit| commit.trim(0)).await?;
    keep(ctx, &mut driver, &[0]).await?;
    ctx.commit(&mut driver, |commit| commit.trim(0)).await?;
    let head = ctx.head(&run).await?;
    expect_eq("first, cursor and snapshots", (head.first, head.cursor, head.snapshots), (1, 0, vec![0]))?;
    refuses(ctx, &driver, 0, &[1, u64::MAX]).await
}

async fn everything_can_be_trimmed(ctx: &Context) -> Verdict {
    let mut driver = logged(ctx, "trimmed", 5).await?;
    keep(ctx, &mut driver, &[5]).await?;
    ctx.commit(&mut driver, |commit| commit.record(record(6)).snapshot(state(6)).trim(5)).await?;
    expect_eq("what is left", left(ctx, &driver).await?, (6, 6, vec![6, 5]))?;
    ctx.commit(&mut driver, |commit| commit.record(record(7)).snapshot(state(7)).trim(6)).await?;
    expect_eq("what is left", left(ctx, &driver).await?, (7, 7, vec![7, 6]))?;
    ctx.commit_records(&mut driver, 2).await?;
    expect_eq("what is left", left(ctx, &driver).await?, (7, 9, vec![7, 6]))
}

async fn a_snapshot_below_the_trimmed_is_dropped(ctx: &Context) -> Verdict {
    let mut driver = logged(ctx, "trimmed", 10).await?;
    keep(ctx, &mut driver, &[6, 9]).await?;
    ctx.commit(&mut driver, |commit| commit.trim(5)).await?;
    keep(ctx, &mut driver, &[4, 0, 5]).await?;
    expect_eq("what is left", left(ctx, &driver).await?, (6, 10, vec![9, 6, 5]))
}

async fn a_trim_holds_with_the_rest_of_its_commit(ctx: &Context) -> Verdict {
    let mut driver = logged(ctx, "trimmed", 4).await?;
    keep(ctx, &mut driver, &[2]).await?;
    let outcome = Outcome::Completed { output: "done".into() };
    ctx.commit(&mut driver, |commit| {
        commit.record(record(5)).snapshot(state(5)).trim(2).finish(outcome.clone(), Retain::Keep)
    })
    .await?;
    expect_eq("what is left", left(ctx, &driver).await?, (3, 5, vec![5, 2]))?;
    expect_eq("its outcome", ctx.head(&driver.run).await?.outcome, Some(outcome))
}

async fn a_refused_commit_trims_nothing(ctx: &Context) -> Verdict {
    let mut driver = logged(ctx, "refused", 6).await?;
    keep(ctx, &mut driver, &[3, 6]).await?;
    ctx.unchanged(&driver.run, async {
        let late = Commit { expect: driver.version - 1, ..ctx.next(&driver) };
        clashed("at an old version", ctx.a.commit(late.trim(3)).await, Clash::Version)?;
        let ahead = ctx.next(&driver).snapshot(state(7)).trim(3);
        clashed("with a snapshot past the end", ctx.a.commit(ahead).await, Clash::SnapshotCursor(7))
    })
    .await
    .map(drop)
}

async fn a_trim_survives_a_takeover(ctx: &Context) -> Verdict {
    let mut driver = logged(ctx, "trimmed", 6).await?;
    keep(ctx, &mut driver, &[3, 6]).await?;
    ctx.commit(&mut driver, |commit| commit.trim(3)).await?;
    let opened = ctx.b.open(&driver.run, ctx.resuming().over(driver.fence)).await?;
    expect_eq("first and snapshots", (opened.head.first, &opened.head.snapshots), (4, &vec![6, 3]))?;
    let below = collect(ctx.reopen().await?.stream(&driver.run, Span::all())).await;
    refused_as("a stream from the start", below, Refusal::Trimmed { first: 4 })?;
    let mut driver = Driver::of(&opened);
    ctx.commit_records(&mut driver, 1).await?;
    expect_eq("what is left", left(ctx, &driver).await?, (4, 7, vec![6, 3]))
}

async fn each_run_is_trimmed_alone(ctx: &Context) -> Verdict {
    let mut one = logged(ctx, "one", 6).await?;
    let mut another = logged(ctx, "one-more", 6).await?;
    keep(ctx, &mut one, &[3, 6]).await?;
    keep(ctx, &mut another, &[3, 6]).await?;
    ctx.commit(&mut one, |commit| commit.trim(3)).await?;
    expect_eq("what is left of the other", left(ctx, &another).await?, (1, 6, vec![6, 3]))?;
    expect_eq("the newest two that its head tells", told(ctx, &another).await?, vec![6, 3])
}
