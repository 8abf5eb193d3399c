//! What holds for every kind of commit, whatever it carries: the expected version, the times, the lapses.

use crate::areas::{
    moves::{completed, whole},
    prelude::*,
};

cases! { commit:
    /// Every kind of commit expects its version: a release, an outcome and a take as much as records.
    every_kind_of_commit_expects_its_version [],
    /// `updated_at` tells the newest open or commit, of any kind; renewals, messages and reads leave it, and nothing moves `created_at`.
    times_tell_opens_and_commits [clock],
    /// What is refused later than the last update leaves the time of that update: commits, opens, renewals, deletions.
    what_is_refused_leaves_the_times [],
    /// Only `advances` forgets lapses, all of them at once: no snapshot, message, extension or release does.
    only_advances_forgets_lapses [],
}

/// A commit of each kind by `driver`, named. The inbox holds the message 1.
pub(super) fn kinds(ctx: &Context, driver: &Driver) -> Vec<(&'static str, Commit)> {
    let (next, offered) = (|| ctx.next(driver), &ctx.capabilities);
    let failed = Outcome::Failed { failure: Failure::new(FailureKind::Error, "broken") };
    let mut kinds = vec![
        ("nothing", next()),
        ("a note", next().note(Note { done: 7, ..Note::default() })),
        ("work", next().advances()),
        ("an extension", next().extend(ctx.long() * 4)),
        ("every part", whole(ctx, driver)),
    ];
    if offered.supports_log() {
        kinds.push(("a record", next().record(record(1))));
    }
    if offered.supports_snapshots() {
        kinds.push(("a snapshot", next().snapshot(Snapshot::new(0, "state"))));
        kinds.push(("a trim", next().trim(0)));
    }
    if offered.supports_blobs() {
        kinds.push(("a blob", next().blob(Blob::of("blob"))));
        kinds.push(("a drop", next().drop_blob(Digest::of(b"blob"))));
    }
    if offered.supports_inbox() {
        kinds.push(("a take", next().take(1)));
        kinds.push(("a wait", next().release(Wake::message(1))));
    }
    kinds.push(("a release", next().release(Wake::now())));
    kinds.push(("a completion", next().finish(completed(), Retain::Keep)));
    kinds.push(("a failure", next().finish(failed, Retain::Delete)));
    kinds
}

/// A run with an open, a commit and, where there is an inbox, a message; its newest version is 2.
pub(super) async fn begun(ctx: &Context, run: &RunId) -> Verdict<Driver> {
    let mut driver = ctx.create(run).await?;
    if ctx.capabilities.supports_inbox() {
        ctx.b.send(run, ctx.message("key", "body")).await?;
    }
    ctx.commit(&mut driver, |commit| commit.note(Note::default())).await?;
    Ok(driver)
}

async fn every_kind_of_commit_expects_its_version(ctx: &Context) -> Verdict {
    let run = ctx.run("expecting");
    let driver = begun(ctx, &run).await?;
    ctx.unchanged(&run, async {
        for version in [0, driver.version - 1, driver.version + 1] {
            for (kind, commit) in kinds(ctx, &Driver { version, ..driver.clone() }) {
                let what = format!("{kind}, expecting version {version} of {}", driver.version);
                clashed(&what, ctx.a.commit(commit).await, Clash::Version)?;
            }
        }
        Ok(())
    })
    .await
}

/// The times of a run: when it was created, when it was updated.
async fn times(ctx: &Context, run: &RunId) -> Verdict<(Timestamp, Timestamp)> {
    let head = ctx.head(run).await?;
    Ok((head.created_at, head.updated_at))
}

/// Time enough that no store tells two instants with it between as one.
const TICK: Duration = Duration::from_millis(3);

async fn times_tell_opens_and_commits(ctx: &Context) -> Verdict {
    for (index, kind) in (0..).zip(0..kinds(ctx, &begun(ctx, &ctx.run("counted")).await?).len()) {
        let run = ctx.run(&format!("updated-{index}"));
        let driver = begun(ctx, &run).await?;
        let (created, updated) = times(ctx, &run).await?;
        ctx.pass(TICK).await;
        ctx.a.renew(&run, Renew::new(driver.fence, ctx.long()).note(Note::default())).await?;
        if ctx.capabilities.supports_inbox() {
            ctx.b.send(&run, ctx.message("another key", "body")).await?;
        }
        expect_eq("the times after a renewal and a message", times(ctx, &run).await?, (created, updated))?;
        let (name, commit) = kinds(ctx, &driver).swap_remove(kind);
        ctx.a.commit(commit).await?;
        let (still, committed) = times(ctx, &run).await?;
        expect_eq("the creation", still, created)?;
        expect(&format!("{name} is an update"), committed > updated, (committed, updated))?;
        ctx.pass(TICK).await;
        let open = ctx.resuming().over(driver.fence).reopen_failed();
        if let Ok(opened) = ctx.b.open(&run, open).await {
            let (still, reopened) = times(ctx, &run).await?;
            expect_eq("the creation", still, created)?;
            expect("an open is an update", reopened > committed, (reopened, committed))?;
            expect_eq("what the open told", opened.head.updated_at, reopened)?;
        }
    }
    Ok(())
}

async fn what_is_refused_leaves_the_times(ctx: &Context) -> Verdict {
    let run = ctx.run("refused");
    let driver = begun(ctx, &run).await?;
    let stale = Fence { token: Token(!driver.fence.token.0), ..driver.fence };
    ctx.pass(TICK).await;
    ctx.unchanged(&run, async {
        refused("an open", ctx.b.open(&run, ctx.resuming()).await, ErrorKind::LeaseHeld)?;
        refused("a creation", ctx.b.open(&run, ctx.creating()).await, ErrorKind::AlreadyExists)?;
        let renewal = Renew::new(stale, ctx.long() * 9).note(Note { done: 9, ..Note::default() });
        refused("a renewal", ctx.b.renew(&run, renewal).await, ErrorKind::Fenced)?;
        let guard = Delete::Finished(driver.fence.incarnation);
        refused("a deletion", ctx.b.delete(&run, guard).await, ErrorKind::Conflict)?;
        for (kind, commit) in kinds(ctx, &driver) {
            let by = Commit { fence: stale, ..commit.clone() };
            refused(kind, ctx.b.commit(by).await, ErrorKind::Fenced)?;
            let expecting = Commit { expect: commit.expect + 1, ..commit };
            refused(kind, ctx.b.commit(expecting).await, ErrorKind::Conflict)?;
        }
        Ok(())
    })
    .await
}

async fn only_advances_forgets_lapses(ctx: &Context) -> Verdict {
    for index in 0..kinds(ctx, &begun(ctx, &ctx.run("counted")).await?).len() {
        let run = ctx.run(&format!("lapsed-{index}"));
        let mut driver = begun(ctx, &run).await?;
        for _ in 0..3 {
            driver = Driver::of(&ctx.b.open(&run, ctx.resuming().over(driver.fence)).await?);
        }
        ctx.a.renew(&run, Renew::new(driver.fence, ctx.long()).note(Note::default())).await?;
        if ctx.capabilities.supports_inbox() {
            ctx.b.send(&run, ctx.message("another key", "body")).await?;
        }
        expect_eq("lapses after three takeovers", ctx.head(&run).await?.lapses, 3)?;
        let (kind, commit) = kinds(ctx, &driver).swap_remove(index);
        let left = if commit.advances { 0 } else { 3 };
        ctx.a.commit(commit).await?;
        expect_eq(&format!("lapses after {kind}"), ctx.head(&run).await?.lapses, left)?;
    }
    Ok(())
}
