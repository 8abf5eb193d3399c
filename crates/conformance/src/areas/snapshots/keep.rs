//! Which snapshots are kept, and which one is read.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::task::JoinSet;

use super::{keep, logged, state, told};
use crate::areas::prelude::*;

cases! { snapshots:
    /// A run without a snapshot has none; that is no error.
    a_run_without_a_snapshot_has_none [Snapshots],
    /// The newest snapshot is read, by every handle, and the head tells the newest two.
    the_newest_wins [Log, Snapshots],
    /// The newest snapshot is read, also when it is smaller than the ones before, or empty.
    the_newest_wins_whatever_its_size [Log, Snapshots],
    /// A snapshot is kept as it was given: empty, any bytes, or large.
    a_snapshot_is_any_bytes [Snapshots],
    /// A snapshot at the cursor of the newest one replaces it.
    the_same_cursor_replaces [Snapshots],
    /// With `History` a snapshot at the cursor of any kept one replaces that one and leaves the others.
    with_history_an_older_one_is_replaced [Log, Snapshots, History],
    /// With `History` the newest snapshot that is not newer than a cursor is read, whichever it is.
    the_newest_not_newer_than_a_cursor [Log, Snapshots, History],
    /// With `History` a snapshot of the past is put where it belongs.
    with_history_the_past_can_be_filled_in [Log, Snapshots, History],
    /// Without `History` only the newest two snapshots are kept.
    without_history_two_are_kept [Log, Snapshots, not History],
    /// Without `History` a snapshot older than the newest is dropped without an error, and the rest of its commit holds.
    without_history_an_older_one_is_dropped [Log, Snapshots, not History],
    /// A snapshot rides with the records that it covers.
    a_snapshot_rides_with_its_records [Log, Snapshots],
    /// A snapshot that was made in the background, for an older cursor while records went on, shortens the resume.
    a_snapshot_for_an_older_cursor_while_records_went_on [Log, TailStream, Snapshots],
    /// A snapshot past the end of its own commit is a `Conflict` about its cursor, and nothing of the commit holds.
    past_the_end_is_refused [Log, Snapshots],
    /// Of a run that holds no records a snapshot stands at the origin, and nowhere else.
    without_records_a_snapshot_stands_at_0 [Snapshots],
    /// A commit that is refused leaves the snapshots as they were.
    a_refused_commit_keeps_no_snapshot [Snapshots],
    /// Snapshots are there after a reopen, a takeover, a release and the outcome, and gone with the run.
    snapshots_live_as_long_as_their_run [Snapshots],
    /// Head and snapshot never disagree while snapshots are written: what the head tells can be read.
    a_reader_beside_a_writer_gets_a_whole_snapshot [Log, Snapshots],
    /// Snapshots of one run are no other's.
    each_run_has_its_own_snapshots [Snapshots],
}

async fn a_run_without_a_snapshot_has_none(ctx: &Context) -> Verdict {
    let run = ctx.run("bare");
    let unknown = ctx.b.snapshot(&run, At::Latest).await;
    refused_as("of a run that is not there", unknown, Refusal::NotFound)?;
    ctx.create(&run).await?;
    expect_eq("its snapshot", ctx.b.snapshot(&run, At::Latest).await?, None)
}

async fn the_newest_wins_whatever_its_size(ctx: &Context) -> Verdict {
    let mut driver = logged(ctx, "shrinking", 6).await?;
    for cursor in 1..=6 {
        let shrinking = Snapshot::new(cursor, vec![b'x'; 600 - 100 * cursor as usize]);
        ctx.commit(&mut driver, |commit| commit.snapshot(shrinking.clone())).await?;
        expect_eq("the newest", ctx.b.snapshot(&driver.run, At::Latest).await?, Some(shrinking))?;
    }
    Ok(())
}

async fn the_newest_wins(ctx: &Context) -> Verdict {
    let mut driver = logged(ctx, "kept", 6).await?;
    for (cursor, kept) in [(2, vec![2]), (4, vec![4, 2]), (6, vec![6, 4])] {
        keep(ctx, &mut driver, &[cursor]).await?;
        for store in [&ctx.a, &ctx.b, &ctx.reopen().await?] {
            expect_eq("the newest", store.snapshot(&driver.run, At::Latest).await?, Some(state(cursor)))?;
        }
        expect_eq("the newest two that the head tells", told(ctx, &driver).await?, kept)?;
    }
    let size = if ctx.capabilities.supports_history() { 3 } else { 2 } * "state 2".len() as u64;
    expect_eq("the size of its snapshots", ctx.head(&driver.run).await?.sizes.snapshots, size)
}

async fn a_snapshot_is_any_bytes(ctx: &Context) -> Verdict {
    let run = ctx.run("kept");
    let mut driver = ctx.create(&run).await?;
    let limits = ctx.capabilities.limits;
    let large = usize::try_from(limits.snapshot.min(limits.commit).min(1 << 20)).unwrap_or(1 << 20);
    let every_byte: Vec<u8> = (0..=255).collect();
    for body in [vec![], vec![0], every_byte, (0..large).map(|at| (at % 251) as u8).collect(), vec![]] {
        let snapshot = Snapshot::new(0, body);
        let kept = snapshot.clone();
        ctx.commit(&mut driver, |commit| commit.snapshot(kept)).await?;
        expect_eq("the snapshot", ctx.b.snapshot(&run, At::Latest).await?, Some(snapshot))?;
    }
    expect_eq("the size of its snapshots", ctx.head(&run).await?.sizes.snapshots, 0)
}

async fn the_same_cursor_replaces(ctx: &Context) -> Verdict {
    let run = ctx.run("replaced");
    let mut driver = ctx.create(&run).await?;
    for body in ["one", "another", "the last one"] {
        ctx.commit(&mut driver, |commit| commit.snapshot(Snapshot::new(0, body))).await?;
        let newest = ctx.b.snapshot(&run, At::Latest).await?;
        expect_eq("the newest", newest, Some(Snapshot::new(0, body)))?;
        let head = ctx.head(&run).await?;
        let size = body.len() as u64;
        expect_eq("snapshots and their size", (&head.snapshots, head.sizes.snapshots), (&vec![0], size))?;
    }
    Ok(())
}

async fn with_history_an_older_one_is_replaced(ctx: &Context) -> Verdict {
    let mut driver = logged(ctx, "replaced", 6).await?;
    keep(ctx, &mut driver, &[2, 4, 6]).await?;
    ctx.commit(&mut driver, |commit| commit.snapshot(Snapshot::new(2, "better"))).await?;
    let kept = ctx.image(&driver.run).await?.snapshots;
    expect_eq("the kept ones", kept, vec![state(6), state(4), Snapshot::new(2, "better")])?;
    let size = ctx.head(&driver.run).await?.sizes.snapshots;
    expect_eq("their size", size, ("state 6state 4better").len() as u64)
}

async fn the_newest_not_newer_than_a_cursor(ctx: &Context) -> Verdict {
    let mut driver = logged(ctx, "history", 20).await?;
    expect_eq("of none", ctx.b.snapshot(&driver.run, At::OrBefore(20)).await?, None)?;
    keep(ctx, &mut driver, &[3, 5, 6, 10, 15, 17]).await?;
    for (cursor, wanted) in [
        (0, None),
        (2, None),
        (3, Some(3)),
        (4, Some(3)),
        (5, Some(5)),
        (9, Some(6)),
        (14, Some(10)),
        (16, Some(15)),
        (17, Some(17)),
        (21, Some(17)),
        (u64::MAX, Some(17)),
    ] {
        for store in [&ctx.a, &ctx.b] {
            let snapshot = store.snapshot(&driver.run, At::OrBefore(cursor)).await?;
            expect_eq(&format!("at {cursor} or before"), snapshot, wanted.map(state))?;
        }
    }
    expect_eq("the newest two that the head tells", told(ctx, &driver).await?, vec![17, 15])
}

async fn with_history_the_past_can_be_filled_in(ctx: &Context) -> Verdict {
    let mut driver = logged(ctx, "history", 10).await?;
    for (cursor, kept) in [(8, vec![8]), (2, vec![8, 2]), (5, vec![8, 5]), (0, vec![8, 5]), (10, vec![10, 8])]
    {
        keep(ctx, &mut driver, &[cursor]).await?;
        expect_eq("the newest two that the head tells", told(ctx, &driver).await?, kept)?;
    }
    let kept = ctx.image(&driver.run).await?.snapshots;
    expect_eq("the kept ones", kept, [10, 8, 5, 2, 0].map(state).to_vec())
}

async fn without_history_two_are_kept(ctx: &Context) -> Verdict {
    let mut driver = logged(ctx, "kept", 12).await?;
    keep(ctx, &mut driver, &[1, 2, 3, 11, 12]).await?;
    let head = ctx.head(&driver.run).await?;
    let size = "state 11state 12".len() as u64;
    expect_eq("snapshots and their size", (&head.snapshots, head.sizes.snapshots), (&vec![12, 11], size))?;
    let older = ctx.b.snapshot(&driver.run, At::OrBefore(11)).await;
    refused_as("an older one", older, Refusal::Unsupported { capability: Capability::History })
}

async fn without_history_an_older_one_is_dropped(ctx: &Context) -> Verdict {
    let mut driver = logged(ctx, "kept", 8).await?;
    keep(ctx, &mut driver, &[4, 6]).await?;
    for older in [0, 3, 5] {
        ctx.commit(&mut driver, |commit| commit.snapshot(state(older)).record(record(9)).advances()).await?;
        let head = ctx.head(&driver.run).await?;
        expect_eq("the kept ones", &head.snapshots, &vec![6, 4])?;
        expect_eq("their size", head.sizes.snapshots, "state 6state 4".len() as u64)?;
        expect_eq("version and cursor", (head.version, head.cursor), (driver.version, driver.cursor))?;
    }
    expect_eq("the newest", ctx.b.snapshot(&driver.run, At::Latest).await?, Some(state(6)))
}

async fn a_snapshot_rides_with_its_records(ctx: &Context) -> Verdict {
    let mut driver = logged(ctx, "riding", 2).await?;
    ctx.commit(&mut driver, |commit| commit.records((3..=5).map(record)).snapshot(state(5))).await?;
    ctx.commit(&mut driver, |commit| commit.records((6..=9).map(record)).snapshot(state(7))).await?;
    let image = ctx.image(&driver.run).await?;
    expect_eq("the records", image.records.len(), 9)?;
    expect_eq("the newest", image.snapshots.first(), Some(&state(7)))?;
    expect_eq("the newest two that the head tells", told(ctx, &driver).await?, vec![7, 5])
}

async fn a_snapshot_for_an_older_cursor_while_records_went_on(ctx: &Context) -> Verdict {
    let mut driver = logged(ctx, "background", 3).await?;
    keep(ctx, &mut driver, &[1]).await?;
    ctx.commit_records(&mut driver, 4).await?;
    ctx.commit(&mut driver, |commit| commit.record(record(8)).snapshot(state(3))).await?;
    let snapshot = ctx.b.snapshot(&driver.run, At::Latest).await?;
    expect_eq("the newest", &snapshot, &Some(state(3)))?;
    let rest = collect(ctx.b.stream(&driver.run, Span::after(3))).await?;
    let cursors: Vec<_> = rest.iter().map(|record| record.cursor).collect();
    expect_eq("the records after it", cursors, vec![4, 5, 6, 7, 8])?;
    expect_eq("the newest two that the head tells", told(ctx, &driver).await?, vec![3, 1])
}

async fn past_the_end_is_refused(ctx: &Context) -> Verdict {
    let mut driver = logged(ctx, "ahead", 3).await?;
    keep(ctx, &mut driver, &[2]).await?;
    ctx.unchanged(&driver.run, async {
        for (records, cursor) in [(0, 4), (0, u64::MAX), (2, 6)] {
            let records = (4..4 + records).map(record);
            let commit = ctx.next(&driver).records(records).snapshot(state(cursor)).advances();
            let answer = ctx.a.commit(commit).await;
            clashed("a snapshot past the end", answer, Clash::SnapshotCursor(cursor))?;
        }
        Ok(())
    })
    .await?;
    ctx.commit(&mut driver, |commit| commit.records((4..=5).map(record)).snapshot(state(5))).await?;
    expect_eq("the newest two that the head tells", told(ctx, &driver).await?, vec![5, 2])
}

async fn without_records_a_snapshot_stands_at_0(ctx: &Context) -> Verdict {
    let run = ctx.run("bare");
    let mut driver = ctx.create(&run).await?;
    ctx.unchanged(&run, async {
        let answer = ctx.a.commit(ctx.next(&driver).snapshot(state(1))).await;
        clashed("a snapshot past the end", answer, Clash::SnapshotCursor(1))
    })
    .await?;
    keep(ctx, &mut driver, &[0]).await?;
    expect_eq("the snapshot", ctx.b.snapshot(&run, At::Latest).await?, Some(state(0)))?;
    expect_eq("the newest two that the head tells", told(ctx, &driver).await?, vec![0])
}

async fn a_refused_commit_keeps_no_snapshot(ctx: &Context) -> Verdict {
    let run = ctx.run("refused");
    let old = ctx.create(&run).await?;
    let mut driver = Driver::of(&ctx.b.open(&run, ctx.resuming().over(old.fence)).await?);
    keep(ctx, &mut driver, &[0]).await?;
    let better = Snapshot::new(0, "another state");
    ctx.unchanged(&run, async {
        let dead = Driver { version: driver.version, ..old };
        let fenced = ctx.a.commit(ctx.next(&dead).snapshot(better.clone())).await;
        refused_as("by an older fence", fenced, Refusal::Fenced { current: driver.fence })?;
        let late = Commit { expect: driver.version - 1, ..ctx.next(&driver) };
        clashed("at an old version", ctx.a.commit(late.snapshot(better)).await, Clash::Version)
    })
    .await
    .map(drop)
}

async fn snapshots_live_as_long_as_their_run(ctx: &Context) -> Verdict {
    let run = ctx.run("living");
    let mut driver = ctx.create(&run).await?;
    keep(ctx, &mut driver, &[0]).await?;
    let opened = ctx.b.open(&run, ctx.resuming().over(driver.fence)).await?;
    expect_eq("what the takeover tells", &opened.head.snapshots, &vec![0])?;
    let mut driver = Driver::of(&opened);
    ctx.commit(&mut driver, |commit| commit.release(Wake::now())).await?;
    expect_eq("after a release", ctx.b.snapshot(&run, At::Latest).await?, Some(state(0)))?;
    let mut driver = ctx.resume(&run).await?;
    ctx.complete(&mut driver).await?;
    for store in [&ctx.a, &ctx.b, &ctx.reopen().await?] {
        expect_eq("after its outcome", store.snapshot(&run, At::Latest).await?, Some(state(0)))?;
    }
    expect("it is deleted", ctx.a.delete(&run, Delete::Any).await?, ())?;
    let gone = ctx.b.snapshot(&run, At::Latest).await;
    refused_as("of a deleted run", gone, Refusal::NotFound)?;
    let driver = ctx.create(&run).await?;
    expect_eq("of its next life", ctx.b.snapshot(&run, At::Latest).await?, None)?;
    expect_eq("as its head tells", told(ctx, &driver).await?, Vec::<Cursor>::new())
}

async fn a_reader_beside_a_writer_gets_a_whole_snapshot(ctx: &Context) -> Verdict {
    let mut driver = logged(ctx, "busy", 1).await?;
    keep(ctx, &mut driver, &[1]).await?;
    let done = Arc::new(AtomicBool::new(false));
    let (run, store, ended) = (driver.run.clone(), ctx.b.clone(), done.clone());
    let mut readers = JoinSet::new();
    readers.spawn(async move {
        let mut newest = 0;
        loop {
            let last = ended.load(Ordering::SeqCst);
            let told = store.head(&run).await?.and_then(|head| head.snapshots.first().copied());
            let snapshot = store.snapshot(&run, At::Latest).await?;
            let cursor = snapshot.as_ref().map_or(0, |snapshot| snapshot.cursor);
            expect_eq("the snapshot", snapshot, Some(state(cursor)))?;
            let moves_on = cursor >= newest && told.is_some_and(|told| told <= cursor);
            expect("it is never older than one before", moves_on, (newest, told, cursor))?;
            newest = cursor;
            if last {
                return expect_eq("the newest in the end", newest, 61);
            }
            tokio::task::yield_now().await;
        }
    });
    for _ in 0..60 {
        let cursor = driver.cursor + 1;
        ctx.commit(&mut driver, |commit| commit.record(record(cursor)).snapshot(state(cursor))).await?;
    }
    done.store(true, Ordering::SeqCst);
    let read = readers.join_all().await;
    read.into_iter().collect()
}

async fn each_run_has_its_own_snapshots(ctx: &Context) -> Verdict {
    let (one, another) = (ctx.run("one"), ctx.run("one-more"));
    let mut first = ctx.create(&one).await?;
    ctx.create(&another).await?;
    ctx.commit(&mut first, |commit| commit.snapshot(Snapshot::new(0, "of one"))).await?;
    expect_eq("the other's", ctx.b.snapshot(&another, At::Latest).await?, None)?;
    expect_eq("its own", ctx.b.snapshot(&one, At::Latest).await?, Some(Snapshot::new(0, "of one")))
}
