//! Reading while others write, and reading only half.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::{FutureExt, StreamExt, TryStreamExt};

use super::{are_whole, cursors};
use crate::{areas::prelude::*, expect::Failure as Broken};

cases! { streams:
    /// While records are appended every stream gives a gapless prefix, whole commits, and all that was acknowledged.
    a_stream_beside_a_writer_gives_a_gapless_prefix [Log],
    /// A stream that was begun before later commits goes on gaplessly over them.
    a_half_read_stream_goes_on_gaplessly [Log],
    /// A stream in reverse goes on downward, whatever is committed meanwhile.
    a_half_read_reverse_stream_goes_on_downward [Log],
    /// While the log is trimmed a stream gives whole data or `Trimmed`.
    a_stream_beside_a_trim_gives_whole_data_or_trimmed [Log, TailStream, Snapshots],
    /// Streams that are half read hold up neither writers nor readers, however many there are.
    half_read_streams_hold_nobody_up [Log],
    /// Readers that look elsewhere in the middle of a read, and drop nothing, hold up neither writers nor readers, however
    /// many there are.
    readers_that_look_away_hold_nobody_up [Log],
    /// Followers that look elsewhere in the middle of a read, and drop nothing, hold up neither writers nor readers, however
    /// many there are.
    followers_that_look_away_hold_nobody_up [Log, Follow],
    /// A dropped half-read stream leaks nothing: the store goes on, and closes.
    dropped_streams_leak_nothing [Log],
    /// A dropped follower leaks nothing: the store goes on, and closes.
    dropped_followers_leak_nothing [Log, Follow],
    /// A stream that was made and never read asks nothing of the store.
    a_stream_that_is_never_read_does_no_harm [Log],
}

async fn a_stream_beside_a_writer_gives_a_gapless_prefix(ctx: &Context) -> Verdict {
    let run = ctx.run("busy");
    let driver = ctx.create(&run).await?;
    let commits: Vec<_> = (0..60)
        .map(|round| {
            let records = (round * 3 + 1..=round * 3 + 3).map(record);
            Commit { expect: driver.version + round, ..ctx.next(&driver) }.records(records)
        })
        .collect();
    let done = Arc::new(AtomicBool::new(false));
    let answers = ctx
        .race(4, |index, store| {
            let (run, commits, done) = (run.clone(), commits.clone(), done.clone());
            async move {
                if index == 0 {
                    write(&*store, commits, &done).await
                } else {
                    read(&*store, &run, index, &done).await
                }
            }
        })
        .await?;
    answers.into_iter().collect()
}

/// Makes the commits, and says when that has ended, whether well or not.
async fn write(store: &dyn Store, commits: Vec<Commit>, done: &AtomicBool) -> Verdict {
    let mut answer = Ok(());
    for commit in commits {
        if let Err(error) = store.commit(commit).await {
            answer = Err(error.into());
            break;
        }
        tokio::task::yield_now().await;
    }
    done.store(true, Ordering::SeqCst);
    answer
}

/// Reads the log again and again, and once more when the writer has ended.
async fn read(store: &dyn Store, run: &RunId, index: usize, done: &AtomicBool) -> Verdict {
    let page = [1, 2, 1_000][index % 3];
    loop {
        let last = done.load(Ordering::SeqCst);
        let acknowledged = store.head(run).await?.map_or(0, |head| head.cursor);
        let records = collect(store.stream(run, Span::all().page(page))).await?;
        let read = records.len() as u64;
        expect_eq("the cursors", cursors(&records), (1..=read).collect::<Vec<_>>())?;
        expect("each record is as it was written", are_whole(&records), ())?;
        expect("nothing that was acknowledged is missing", read >= acknowledged, (read, acknowledged))?;
        expect("each commit is there whole or not at all", read.is_multiple_of(3), read)?;
        if last {
            return expect_eq("how many records there are in the end", read, 180);
        }
        tokio::task::yield_now().await;
    }
}

async fn a_half_read_stream_goes_on_gaplessly(ctx: &Context) -> Verdict {
    let run = ctx.run("half-read");
    for page in [1, 2, 100] {
        let mut driver = ctx.create(&run).await?;
        ctx.commit_records(&mut driver, 4).await?;
        let mut stream = ctx.b.stream(&run, Span::all().page(page));
        expect(
            "it gives the first",
            next(&mut stream).await?.is_some_and(|record| record.cursor == 1),
            page,
        )?;
        ctx.commit_records(&mut driver, 4).await?;
        let rest = collect(stream).await?;
        let read = rest.len() as u64 + 1;
        expect_eq("the rest", cursors(&rest), (2..=read).collect::<Vec<_>>())?;
        expect("with all that was there at the start", read == 4 || read == 8, read)?;
        expect("it is deleted", ctx.a.delete(&run, Delete::Any).await?, ())?;
    }
    Ok(())
}

async fn a_half_read_reverse_stream_goes_on_downward(ctx: &Context) -> Verdict {
    let run = ctx.run("half-read");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 6).await?;
    let mut stream = ctx.b.stream(&run, Span::all().reverse().page(2));
    for cursor in (1..=6).rev() {
        expect_eq("what comes", next(&mut stream).await?.map(|record| record.cursor), Some(cursor))?;
        ctx.commit_records(&mut driver, 1).await?;
    }
    expect_eq("then", next(&mut stream).await?, None)
}

async fn a_stream_beside_a_trim_gives_whole_data_or_trimmed(ctx: &Context) -> Verdict {
    let run = ctx.run("trimmed");
    let driver = ctx.create(&run).await?;
    let commits: Vec<_> = (0..60_u64)
        .map(|round| {
            let end = round * 4 + 4;
            let next = Commit { expect: driver.version + round, ..ctx.next(&driver) };
            next.records((end - 3..=end).map(record))
                .snapshot(Snapshot::new(end, format!("state {end}")))
                .trim(end - 4)
        })
        .collect();
    let done = Arc::new(AtomicBool::new(false));
    let answers = ctx
        .race(3, |index, store| {
            let (run, commits, done) = (run.clone(), commits.clone(), done.clone());
            async move {
                if index == 0 {
                    write(&*store, commits, &done).await
                } else {
                    resume(&*store, &run, index, &done).await
                }
            }
        })
        .await?;
    answers.into_iter().collect()
}

/// Reads the newest snapshot and what follows it again and again, and once more when the writer has ended.
async fn resume(store: &dyn Store, run: &RunId, index: usize, done: &AtomicBool) -> Verdict {
    loop {
        let last = done.load(Ordering::SeqCst);
        let snapshot = store.snapshot(run, At::Latest).await?;
        let after = snapshot.as_ref().map_or(0, |snapshot| snapshot.cursor);
        if let Some(snapshot) = snapshot {
            expect_eq("the snapshot's body", &snapshot.body, &Bytes::from(format!("state {after}")))?;
        }
        let mut stream = store.stream(run, Span::after(after.saturating_sub(6)).page(index as u32));
        let mut cursor = after.saturating_sub(6);
        loop {
            match next(&mut stream).await {
                Ok(Some(record)) => {
                    cursor += 1;
                    let whole = record.cursor == cursor && are_whole(std::slice::from_ref(&record));
                    expect("it is the next one, whole", whole, &record)?;
                }
                Ok(None) => {
                    expect("it reaches what the snapshot covers", cursor >= after, (cursor, after))?;
                    break;
                }
                Err(error) => {
                    let trimmed =
                        matches!(error.refusal(), Some(Refusal::Trimmed { first }) if *first > cursor + 1);
                    expect("it ends early only because of a trim", trimmed, &error)?;
                    break;
                }
            }
        }
        if last {
            return expect_eq("the newest snapshot in the end", after, 240);
        }
        tokio::task::yield_now().await;
    }
}

/// Looks a few times whether something has come, and then no more.
async fn glance<T>(stream: &mut BoxStream<'static, Result<T>>, looks: u32) {
    for _ in 0..looks {
        // Whatever it is, it is not waited for.
        let _ = stream.next().now_or_never();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Beside readers who have looked once, twice and so on, each read is stopped in another place.
async fn nobody_is_held_up(ctx: &Context, driver: &mut Driver, span: Span) -> Verdict {
    let run = driver.run.clone();
    for looks in 1..=12 {
        let mut streams = Vec::new();
        for store in [&ctx.a, &ctx.b] {
            let mut stream = store.stream(&run, span);
            glance(&mut stream, looks).await;
            let mut listing = store.list(only(&run));
            if ctx.capabilities.supports_list() {
                glance(&mut listing, looks).await;
            }
            streams.push((stream, listing));
        }
        ctx.commit_records(driver, 1).await?;
        for store in [&ctx.a, &ctx.b] {
            let head = store.head(&run).await?;
            expect_eq("the cursor", head.map(|head| head.cursor), Some(driver.cursor))?;
        }
        drop(streams);
    }
    Ok(())
}

/// The listing of this run alone.
fn only(run: &RunId) -> Query {
    Query { id_prefix: Some(run.to_string()), ..Query::all() }
}

/// More readers of each kind than any handle has connections.
const CROWD: usize = 20;

/// A reader of anything, and how much it gives at least.
type Reader = (BoxStream<'static, Result<()>>, usize);

/// Beside a crowd of readers on its own handle, each of which has looked once, everybody goes on; and so do they, later.
async fn a_crowd_holds_nobody_up(ctx: &Context, driver: &mut Driver, readers: Vec<Reader>) -> Verdict {
    let mut looked = Vec::new();
    for (mut reader, least) in readers {
        let first = reader.next().now_or_never().flatten().transpose()?;
        looked.push((reader, least.saturating_sub(first.iter().len())));
    }
    let others = async {
        ctx.commit_records(driver, 1).await?;
        let head = ctx.a.head(&driver.run).await?;
        expect_eq("the cursor", head.map(|head| head.cursor), Some(driver.cursor))?;
        let records = collect(ctx.a.stream(&driver.run, Span::all())).await?;
        expect_eq("how many records there are", records.len() as u64, driver.cursor)
    };
    let patience = ctx.tuning().timeout / 3;
    let waited = || Broken::new("a commit and two reads", "answers", format!("none after {patience:?}"));
    tokio::time::timeout(patience, others).await.map_err(|_| waited())??;
    for (reader, least) in looked {
        let rest = collect(reader).await?.len();
        expect("each reader goes on, whole", rest >= least, (rest, least))?;
    }
    Ok(())
}

async fn readers_that_look_away_hold_nobody_up(ctx: &Context) -> Verdict {
    let mut driver = ctx.create(&ctx.run("looked-at")).await?;
    ctx.commit_records(&mut driver, 3).await?;
    nobody_is_held_up(ctx, &mut driver, Span::all().page(1)).await?;
    let (run, offered) = (driver.run.clone(), ctx.capabilities);
    if offered.supports_inbox() {
        ctx.a.send(&run, ctx.message("key", "hint")).await?;
    }
    if offered.supports_blobs() {
        ctx.commit(&mut driver, |commit| commit.blob(Blob::of("blob"))).await?;
    }
    let each = |_| {
        let stream = ctx.a.stream(&run, Span::all());
        let mut readers = vec![(stream.map_ok(drop).boxed(), driver.cursor as usize)];
        if offered.supports_inbox() {
            readers.push((ctx.a.inbox(&run, Span::all()).map_ok(drop).boxed(), 1));
        }
        if offered.supports_blobs() {
            readers.push((ctx.a.blobs(&run).map_ok(drop).boxed(), 1));
        }
        if offered.supports_list() {
            readers.push((ctx.a.list(only(&run)).map_ok(drop).boxed(), 1));
        }
        readers
    };
    let crowd = (0..crowd(ctx)).flat_map(each).collect();
    a_crowd_holds_nobody_up(ctx, &mut driver, crowd).await
}

async fn followers_that_look_away_hold_nobody_up(ctx: &Context) -> Verdict {
    let mut driver = ctx.create(&ctx.run("looked-at")).await?;
    ctx.commit_records(&mut driver, 3).await?;
    nobody_is_held_up(ctx, &mut driver, Span::all().follow()).await?;
    let follower = |_| (ctx.a.stream(&driver.run, Span::all().follow().limit(3)).map_ok(drop).boxed(), 3);
    let crowd = (0..crowd(ctx)).map(follower).collect();
    a_crowd_holds_nobody_up(ctx, &mut driver, crowd).await
}

/// Re-opened, each reader has a handle of its own, and there is no crowd.
fn crowd(ctx: &Context) -> usize {
    if ctx.is_reopened() { 1 } else { CROWD }
}

async fn half_read_streams_hold_nobody_up(ctx: &Context) -> Verdict {
    let run = ctx.run("half-read");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 20).await?;
    let mut streams = Vec::new();
    for index in 0..64 {
        let store = if index % 2 == 0 { &ctx.a } else { &ctx.b };
        let mut stream = store.stream(&run, Span::all().page(2));
        expect(
            "it gives the first",
            next(&mut stream).await?.is_some_and(|record| record.cursor == 1),
            index,
        )?;
        streams.push(stream);
    }
    for _ in 0..5 {
        ctx.commit_records(&mut driver, 1).await?;
        expect_eq("the cursor", ctx.head(&run).await?.cursor, driver.cursor)?;
    }
    let other = ctx.run("another");
    ctx.create(&other).await?;
    expect("another run is deleted", ctx.b.delete(&other, Delete::Any).await?, ())?;
    for stream in streams {
        let rest = cursors(&collect(stream).await?);
        let gapless = rest.iter().copied().eq(2..2 + rest.len() as u64) && rest.len() >= 19;
        expect("each goes on gaplessly", gapless, &rest)?;
    }
    Ok(())
}

/// Does what a store that is well can do, and closes it.
async fn works_and_closes(ctx: &Context, store: &dyn Store, driver: &Driver) -> Verdict {
    let committed = store.commit(ctx.next(driver).record(record(driver.cursor + 1))).await?;
    expect_eq("the cursor of a commit", committed.cursor, driver.cursor + 1)?;
    let records = collect(store.stream(&driver.run, Span::all())).await?;
    expect_eq("how many records there are", records.len() as u64, committed.cursor)?;
    store.close().await?;
    refused("a read after it", store.head(&driver.run).await, ErrorKind::Closed).map(drop)
}

async fn dropped_streams_leak_nothing(ctx: &Context) -> Verdict {
    let run = ctx.run("half-read");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 50).await?;
    let store = ctx.reopen().await?;
    for index in 0..300_u32 {
        let mut stream = store.stream(&run, Span::all().page(index % 3 + 1));
        expect(
            "it gives the first",
            next(&mut stream).await?.is_some_and(|record| record.cursor == 1),
            index,
        )?;
        // Also in the middle of fetching the next page.
        let _ = futures_util::poll!(stream.next());
    }
    works_and_closes(ctx, &*store, &driver).await
}

async fn dropped_followers_leak_nothing(ctx: &Context) -> Verdict {
    let run = ctx.run("half-read");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 1).await?;
    let store = ctx.reopen().await?;
    for index in 0..300 {
        let mut stream = store.stream(&run, Span::all().follow());
        expect(
            "it gives the first",
            next(&mut stream).await?.is_some_and(|record| record.cursor == 1),
            index,
        )?;
        let waits = futures_util::poll!(stream.next()).is_pending();
        expect("then it waits", waits, index)?;
    }
    works_and_closes(ctx, &*store, &driver).await
}

async fn a_stream_that_is_never_read_does_no_harm(ctx: &Context) -> Verdict {
    let run = ctx.run("unread");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 3).await?;
    let store = ctx.reopen().await?;
    let unread: Vec<_> = (0..64).map(|_| store.stream(&run, Span::all())).collect();
    let (blobs, listing) = (store.blobs(&run), store.list(only(&run)));
    works_and_closes(ctx, &*store, &driver).await?;
    for stream in unread.into_iter().take(1) {
        refused("a stream read after the close", collect(stream).await, ErrorKind::Closed)?;
    }
    if ctx.capabilities.supports_blobs() {
        refused("blobs read after the close", collect(blobs).await, ErrorKind::Closed)?;
    }
    if ctx.capabilities.supports_list() {
        refused("a listing read after the close", collect(listing).await, ErrorKind::Closed)?;
    }
    Ok(())
}
