//! All of a commit or nothing, visible at once or not at all.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::areas::{
    moves::{WHOLE, abandoned, holds_whole, whole},
    prelude::*,
};

cases! { commit:
    /// Everything that a commit carries is there when it returns, on every handle, also one that is opened later.
    all_of_it_is_there_when_it_returns [],
    /// Records, snapshot, note and outcome become visible together, seen from another handle under load.
    it_becomes_visible_at_once [],
    /// A stream that is read while commits come in gives whole commits, as a gapless prefix.
    a_stream_under_load_gives_whole_commits [Log],
    /// A commit whose future is dropped is done or not done, never half.
    dropped_it_is_done_or_not_done [],
}

async fn all_of_it_is_there_when_it_returns(ctx: &Context) -> Verdict {
    let run = ctx.run("whole");
    let mut driver = ctx.create(&run).await?;
    for _ in 0..3 {
        let commit = whole(ctx, &driver);
        ctx.commit(&mut driver, |_| commit.clone()).await?;
        let reopened = ctx.reopen().await?;
        for store in [&ctx.a, &ctx.b, &reopened] {
            let image = image(&**store, &run).await?;
            holds_whole(&image, &commit)?;
            let told = image.head.as_ref().map(|head| (head.version, head.cursor));
            expect_eq("version and cursor", told, Some((driver.version, driver.cursor)))?;
        }
    }
    let image = ctx.image(&run).await?;
    let cursors: Vec<_> = image.records.iter().map(|record| record.cursor).collect();
    expect_eq("the cursors of all records", cursors, (1..=driver.cursor).collect::<Vec<_>>())
}

/// How many commits a loaded run gets.
const COMMITS: u64 = 60;
/// The body of each of its records.
const BODY: &str = "ten bytes.";

/// Commit `number` of a loaded run: all of its parts tell the number. The last one ends the run.
fn loaded(offered: &Capabilities, driver: &Driver, id: OperationId, number: u64) -> Commit {
    let mut commit = Commit::new(driver.run.clone(), driver.fence, id, number);
    commit.note = Some(Note { done: number, ..Note::default() });
    let mut end = 0;
    if offered.supports_log() {
        let one = NewRecord::new(Kind::from_static("entry"), BODY);
        commit.records = vec![one; WHOLE as usize];
        end = number * WHOLE;
    }
    if offered.supports_snapshots() {
        commit.snapshot = Some(Snapshot::new(end, number.to_string()));
    }
    if number == COMMITS {
        commit = commit.finish(Outcome::Completed { output: Bytes::new() }, Retain::Keep);
    }
    commit
}

/// All that a head says must be what one and the same commit left; gives its number.
fn tells_one_commit(offered: &Capabilities, head: &Head) -> Verdict<u64> {
    let number = head.version - 1;
    let note = head.note.as_ref().map_or(0, |note| note.done);
    expect_eq("the commit that the note is of, against the version's", note, number)?;
    if offered.supports_log() {
        let told = (head.cursor, head.sizes.records);
        let want = (number * WHOLE, number * WHOLE * BODY.len() as u64);
        expect_eq("cursor and size of the records, against the version's", told, want)?;
    }
    if offered.supports_snapshots() {
        let newest = head.snapshots.first().copied();
        expect_eq("the newest snapshot", newest, (number > 0).then_some(head.cursor))?;
    }
    let last = number == COMMITS;
    let ended = (head.outcome.is_some(), head.lease.is_none(), head.due.is_none());
    expect_eq("outcome, no lease, no due", ended, (last, last, last))?;
    Ok(number)
}

/// A run that is being loaded, and whether that has ended: what is read from then on is all of it.
#[derive(Clone)]
struct Loaded {
    run: RunId,
    ended: Arc<AtomicBool>,
}

/// Reads heads and snapshots of a run while it is loaded.
async fn watch(store: Arc<dyn Store>, loaded: Loaded) -> Verdict {
    let offered = store.capabilities();
    let (mut seen, mut ended) = (0, false);
    while !ended {
        ended = loaded.ended.load(Ordering::Acquire);
        let head = store.head(&loaded.run).await?;
        let number = match &head {
            Some(head) => tells_one_commit(&offered, head)?,
            None => return expect("the run is there", false, head),
        };
        expect("no head is older than the one before", number >= seen, (seen, number))?;
        seen = number;
        if offered.supports_snapshots() && seen > 0 {
            let snapshot = store.snapshot(&loaded.run, At::Latest).await?;
            let told = snapshot.as_ref().and_then(|snapshot| {
                let number: u64 = std::str::from_utf8(&snapshot.body).ok()?.parse().ok()?;
                Some((snapshot.cursor, number))
            });
            let whole = told.is_some_and(|(cursor, number)| {
                number >= seen && (!offered.supports_log() || cursor == number * WHOLE)
            });
            expect("a snapshot is whole and not older than the head", whole, (seen, told))?;
        }
        tokio::task::yield_now().await;
    }
    expect_eq("the commits that are seen in the end", seen, COMMITS)
}

/// Streams a run again and again while it is loaded.
async fn restream(store: Arc<dyn Store>, loaded: Loaded, page: u32) -> Verdict {
    let (mut count, mut ended) = (0, false);
    while !ended {
        ended = loaded.ended.load(Ordering::Acquire);
        let known = store.head(&loaded.run).await?.map_or(0, |head| head.cursor);
        let records = collect(store.stream(&loaded.run, Span::all().page(page))).await?;
        count = records.len() as u64;
        let gapless = (1..).zip(&records).all(|(cursor, record)| cursor == record.cursor);
        expect("the records are a gapless prefix", gapless, &records)?;
        expect("nothing that the head told of is missing", count >= known, (known, count))?;
        expect_eq("records beyond the last whole commit", count % WHOLE, 0)?;
        tokio::task::yield_now().await;
    }
    expect_eq("the records that are streamed in the end", count, COMMITS * WHOLE)
}

/// Loads a run by one handle, while `reader` reads it by both.
async fn under_load<F>(ctx: &Context, reader: impl Fn(usize, Arc<dyn Store>, Loaded) -> F) -> Verdict
where
    F: Future<Output = Verdict> + Send + 'static,
{
    let run = ctx.run("loaded");
    let driver = ctx.create(&run).await?;
    let commits: Vec<_> =
        (1..=COMMITS).map(|number| loaded(&ctx.capabilities, &driver, ctx.id(), number)).collect();
    let loaded = Loaded { run, ended: Arc::default() };
    let answers = ctx
        .race(4, |index, store| {
            let read = (index > 0).then(|| reader(index, store.clone(), loaded.clone()));
            let (commits, ended) = (commits.clone(), loaded.ended.clone());
            async move {
                match read {
                    Some(read) => read.await,
                    None => {
                        let written = write(&*store, commits).await;
                        ended.store(true, Ordering::Release);
                        written
                    }
                }
            }
        })
        .await?;
    answers.into_iter().collect()
}

async fn write(store: &dyn Store, commits: Vec<Commit>) -> Verdict {
    for commit in commits {
        store.commit(commit).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn it_becomes_visible_at_once(ctx: &Context) -> Verdict {
    under_load(ctx, |_, store, loaded| watch(store, loaded)).await
}

async fn a_stream_under_load_gives_whole_commits(ctx: &Context) -> Verdict {
    under_load(ctx, |index, store, loaded| restream(store, loaded, [256, 2, 256, 7][index])).await
}

async fn dropped_it_is_done_or_not_done(ctx: &Context) -> Verdict {
    let run = ctx.run("dropped");
    let mut driver = ctx.create(&run).await?;
    for polls in ctx.rounds(24) {
        let before = ctx.image(&run).await?;
        let commit = whole(ctx, &driver);
        let answer = abandoned(polls, ctx.a.commit(commit.clone())).await;
        // Nothing that is still under way can hold once there is a newer fence.
        let opened = ctx.b.open(&run, ctx.resuming().over(driver.fence)).await?;
        let after = ctx.image(&run).await?;
        let done = opened.head.version - driver.version == 2;
        if done {
            holds_whole(&after, &commit)?;
        } else {
            expect("one that was acknowledged is done", !matches!(answer, Some(Ok(_))), &answer)?;
            expect_eq("the version", opened.head.version, driver.version + 1)?;
            let (was, is) = (&before.head, &after.head);
            let told = |head: &Option<Head>| head.as_ref().map(|head| (head.cursor, head.note.clone()));
            expect_eq("cursor and note of one that is not done", told(is), told(was))?;
            expect_eq("its records", &after.records, &before.records)?;
            expect_eq("its snapshots", &after.snapshots, &before.snapshots)?;
            expect_eq("its blobs", &after.blobs, &before.blobs)?;
        }
        driver = Driver::of(&opened);
    }
    Ok(())
}
