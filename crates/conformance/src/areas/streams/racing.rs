//! Reading while others write, and reading only half.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::{FutureExt, StreamExt};

use super::{are_whole, cursors};
use crate::areas::prelude::*;

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
    /// Readers that look elsewhere in the middle of a read, and drop nothing, hold up neither writers nor readers.
    readers_that_look_away_hold_nobody_up [Log],
    /// Followers that look elsewhere in the middle of a read, and drop nothing, hold up neither writers nor readers.
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
async fn nobody_is_held_up(ctx: &Context, span: Span) -> Verdict {
    let run = ctx.run("looked-at");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 3).await?;
    for looks in 1..=12 {
        let mut streams = Vec::new();
        for store in [&ctx.a, &ctx.b] {
            let mut stream = store.stream(&run, span);
            glance(&mut stream, looks).await;
            let mut listing = store.list(Query { id_prefix: Some(run.to_string()), ..Query::all() });
            if ctx.capabilities.supports_list() {
                glance(&mut listing, looks).await;
            }
            streams.push((stream, listing));
        }
        ctx.commit_records(&mut driver, 1).await?;
        for store in [&ctx.a, &ctx.b] {
            let head = store.head(&run).await?;
            expect_eq("the cursor", head.map(|head| head.cursor), Some(driver.cursor))?;
        }
        drop(streams);
    }
    Ok(())
}

async fn readers_that_look_away_hold_nobody_up(ctx: &Context) -> Verdict {
    nobody_is_held_up(ctx, Span::all().page(1)).await
}

async fn followers_that_look_away_hold_nobody_up(ctx: &Context) -> Verdict {
    nobody_is_held_up(ctx, Span::all().follow()).await
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
    works_and_closes(ctx, &*store, &driver).await?;
    for stream in unread.into_iter().take(1) {
        refused("a stream read after the close", collect(stream).await, ErrorKind::Closed)?;
    }
    Ok(())
}
