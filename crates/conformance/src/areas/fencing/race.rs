//! Takeovers that race what the owner still does.

use std::sync::Arc;

use tokio::sync::Barrier;

use crate::areas::{moves::completed, prelude::*};

cases! { fencing:
    /// A takeover that races commits: each is in the log before the takeover, or it is refused. Never acknowledged and lost.
    a_takeover_racing_commits_loses_none [Log],
    /// The same without records: each commit that was acknowledged is counted in the version that the successor gets.
    a_takeover_racing_empty_commits_loses_none [],
    /// A renewal that races a takeover never touches the successor's lease.
    a_takeover_racing_renewals_keeps_its_lease [],
    /// A release that races a takeover never ends the successor's lease.
    a_takeover_racing_a_release_keeps_its_lease [],
    /// An outcome that races a takeover ends the run, or is refused: never both, never neither.
    a_takeover_racing_an_outcome_is_one_or_the_other [],
    /// A deletion that races a commit leaves nothing behind: the run is gone, and the writer is told `NotFound`.
    a_deletion_racing_commits_leaves_nothing [],
}

/// Runs two tasks that start at the same moment.
async fn both<L: Send + 'static, R: Send + 'static>(
    left: impl Future<Output = L> + Send + 'static,
    right: impl Future<Output = R> + Send + 'static,
) -> (L, R) {
    let start = Arc::new(Barrier::new(2));
    let also = start.clone();
    let left = tokio::spawn(async move {
        start.wait().await;
        left.await
    });
    let right = tokio::spawn(async move {
        also.wait().await;
        right.await
    });
    (left.await.expect("the left task ends"), right.await.expect("the right task ends"))
}

/// Commits until it is refused because of a newer fence.
async fn until_fenced(store: Arc<dyn Store>, commits: Vec<Commit>) -> Result<Vec<Committed>> {
    let mut acknowledged = Vec::new();
    for commit in commits {
        match store.commit(commit).await {
            Ok(committed) => acknowledged.push(committed),
            Err(error) if error.kind() == ErrorKind::Fenced => break,
            Err(error) => return Err(error),
        }
        tokio::task::yield_now().await;
    }
    Ok(acknowledged)
}

/// Opens `run` over its fence a little later than at once: a little more each round.
async fn take(store: Arc<dyn Store>, run: RunId, open: Open, round: u32) -> Result<Opened> {
    for _ in 0..round % 32 {
        tokio::task::yield_now().await;
    }
    store.open(&run, open).await
}

/// The next commits of `driver`, each built upon the one before.
fn line(ctx: &Context, driver: &Driver, count: u64, fill: impl Fn(Commit, Cursor) -> Commit) -> Vec<Commit> {
    let commits = (0..count).map(|number| {
        let commit = Commit { expect: driver.version + number, ..ctx.next(driver) };
        fill(commit, driver.cursor + number + 1)
    });
    commits.collect()
}

/// Races takeovers against lines of commits; tells `check` who was acknowledged and what the successor was told.
async fn race_commits(
    ctx: &Context,
    run: &RunId,
    fill: impl Fn(Commit, Cursor) -> Commit,
    check: impl Fn(&Driver, &[Committed], &Opened) -> Verdict,
) -> Verdict<Driver> {
    let mut driver = ctx.create(run).await?;
    for round in ctx.rounds(60) {
        let open = ctx.resuming().over(driver.fence);
        let commits = line(ctx, &driver, 12, &fill);
        let (acknowledged, opened) =
            both(until_fenced(ctx.a.clone(), commits), take(ctx.b.clone(), run.clone(), open, round)).await;
        let (acknowledged, opened) = (acknowledged?, opened?);
        check(&driver, &acknowledged, &opened)?;
        let head = ctx.head(run).await?;
        let stands = (head.fence, head.version, head.cursor);
        expect_eq("what stands", stands, (opened.fence, opened.head.version, opened.head.cursor))?;
        driver = Driver::of(&opened);
    }
    Ok(driver)
}

async fn a_takeover_racing_commits_loses_none(ctx: &Context) -> Verdict {
    let run = ctx.run("raced");
    let driver = race_commits(
        ctx,
        &run,
        |commit, cursor| commit.record(record(cursor)),
        |driver, acknowledged, opened| {
            let count = acknowledged.len() as u64;
            expect_eq("the successor's version", opened.head.version, driver.version + count + 1)?;
            expect_eq("the successor's cursor", opened.head.cursor, driver.cursor + count)?;
            let cursors: Vec<_> = acknowledged.iter().map(|committed| committed.cursor).collect();
            let want: Vec<_> = (driver.cursor + 1..=driver.cursor + count).collect();
            expect_eq("the cursors that were acknowledged", cursors, want)
        },
    )
    .await?;
    let records = ctx.image(&run).await?.records;
    let read: Vec<_> = records.into_iter().map(|record| (record.cursor, record.body)).collect();
    let want: Vec<_> = (1..=driver.cursor).map(|cursor| (cursor, record(cursor).body)).collect();
    expect_eq("the log", read, want)
}

async fn a_takeover_racing_empty_commits_loses_none(ctx: &Context) -> Verdict {
    let run = ctx.run("raced");
    race_commits(
        ctx,
        &run,
        |commit, _| {
            let note = Note { done: commit.expect + 1, ..Note::default() };
            commit.note(note)
        },
        |driver, acknowledged, opened| {
            let last = driver.version + acknowledged.len() as u64;
            expect_eq("the successor's version", opened.head.version, last + 1)?;
            let note = opened.head.note.as_ref().map(|note| note.done);
            let noted = acknowledged.last().map(|committed| committed.version);
            expect(
                "the last note that was acknowledged stands",
                noted.is_none() || note == noted,
                (noted, note),
            )
        },
    )
    .await
    .map(drop)
}

/// Races a takeover against `rival`, the old owner's write, in many rounds; gives each round's end to `check`.
async fn race_takeover<F>(
    ctx: &Context,
    rival: impl Fn(Arc<dyn Store>, &Driver) -> F,
    check: impl Fn(Result<()>, Result<Opened>, Head) -> Verdict,
) -> Verdict
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    for round in ctx.rounds(60) {
        let run = ctx.run(&format!("raced{round}"));
        let driver = ctx.create(&run).await?;
        let open = ctx.resuming().owner(Owner::new("successor")).over(driver.fence);
        let (a, b, raced) = match round % 2 {
            0 => (ctx.a.clone(), ctx.b.clone(), run.clone()),
            _ => (ctx.b.clone(), ctx.a.clone(), run.clone()),
        };
        let (written, opened) = both(rival(a, &driver), async move { b.open(&raced, open).await }).await;
        if let Ok(opened) = &opened {
            let newer = opened.fence.supersedes(driver.fence);
            expect("the new fence supersedes the old one", newer, opened.fence)?;
        }
        check(written, opened, ctx.head(&run).await?)?;
    }
    Ok(())
}

/// A write that lost against a newer fence must say so.
fn held_or_fenced(written: Result<()>, current: Fence) -> Verdict {
    match written {
        Ok(()) => Ok(()),
        lost => refused_as("the old owner's write", lost, Refusal::Fenced { current }),
    }
}

async fn a_takeover_racing_renewals_keeps_its_lease(ctx: &Context) -> Verdict {
    let longer = ctx.long() * 4;
    race_takeover(
        ctx,
        |store, driver| {
            let (run, renew) = (driver.run.clone(), Renew::new(driver.fence, longer));
            async move { store.renew(&run, renew).await }
        },
        |written, opened, head| {
            let opened = opened?;
            expect_eq("whose lease it is", &head.lease, &opened.head.lease)?;
            expect_eq("its due", head.due, head.lease.as_ref().map(|lease| lease.until))?;
            held_or_fenced(written, opened.fence)
        },
    )
    .await
}

async fn a_takeover_racing_a_release_keeps_its_lease(ctx: &Context) -> Verdict {
    race_takeover(
        ctx,
        |store, driver| {
            let release = ctx.next(driver).release(Wake::now());
            async move { store.commit(release).await.map(drop) }
        },
        |written, opened, head| {
            let opened = opened?;
            expect_eq("the fence that stands", head.fence, opened.fence)?;
            expect_eq("whose lease it is", &head.lease, &opened.head.lease)?;
            expect("the successor drives", head.lease.is_some(), &head)?;
            let lapsed = u32::from(written.is_err());
            expect_eq("lapses: one if it was not let go", head.lapses, lapsed)?;
            held_or_fenced(written, opened.fence)
        },
    )
    .await
}

async fn a_takeover_racing_an_outcome_is_one_or_the_other(ctx: &Context) -> Verdict {
    race_takeover(
        ctx,
        |store, driver| {
            let last = ctx.next(driver).finish(completed(), Retain::Keep);
            async move { store.commit(last).await.map(drop) }
        },
        |written, opened, head| match opened {
            Ok(opened) => {
                expect_eq("outcome and fence", (head.outcome, head.fence), (None, opened.fence))?;
                refused_as("the outcome", written, Refusal::Fenced { current: opened.fence })
            }
            lost => {
                expect_eq("the outcome", head.outcome, Some(completed()))?;
                refused_as("the takeover", lost, Refusal::Finished { outcome: completed() })?;
                Ok(written?)
            }
        },
    )
    .await
}

async fn a_deletion_racing_commits_leaves_nothing(ctx: &Context) -> Verdict {
    let run = ctx.run("deleted");
    for round in ctx.rounds(40) {
        let driver = ctx.create(&run).await?;
        expect_eq("version and cursor of a new life", (driver.version, driver.cursor), (1, 0))?;
        let logs = ctx.capabilities.supports_log();
        let commits = line(ctx, &driver, 8, |commit, cursor| match logs {
            true => commit.record(record(cursor)),
            false => commit.advances(),
        });
        let (a, b, deleted) = (ctx.a.clone(), ctx.b.clone(), run.clone());
        let writing = async move {
            for commit in commits {
                a.commit(commit).await?;
                tokio::task::yield_now().await;
            }
            Ok::<_, Error>(())
        };
        let deleting = async move {
            for _ in 0..round % 16 {
                tokio::task::yield_now().await;
            }
            b.delete(&deleted, Delete::Any).await
        };
        let (written, deleted) = both(writing, deleting).await;
        if written.is_err() {
            refused_as("a commit", written, Refusal::NotFound)?;
        }
        expect("it was deleted", deleted?, ())?;
        expect_eq("the head of the deleted run", ctx.b.head(&run).await?, None)?;
    }
    let mut driver = ctx.create(&run).await?;
    let image = ctx.image(&run).await?;
    expect("a new life has nothing of the old one", image.records.is_empty(), &image.records)?;
    ctx.commit(&mut driver, |commit| commit).await.map(drop)
}
