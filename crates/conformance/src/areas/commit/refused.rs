//! What is refused changes nothing: of a commit of every part, none is kept.

use crate::areas::{
    moves::{ends, whole},
    prelude::*,
};

cases! { commit:
    /// To a run that is not there: `NotFound`, and nothing is created.
    to_an_unknown_run_it_is_not_found [],
    /// To a deleted run: `NotFound`, and nothing is created.
    to_a_deleted_run_it_is_not_found [],
    /// By a fence of an earlier life of the run: `NotFound`, and the new life is as it was.
    to_an_earlier_incarnation_it_is_not_found [],
    /// To a finished run, completed or failed: `Finished` with the outcome, and the run is as it was.
    to_a_finished_run_it_is_finished [],
    /// By the fence of another run: `NotFound`, and both are as they were.
    by_the_fence_of_another_run_it_is_not_found [],
    /// A commit with every part that is refused by any verdict changes nothing, whichever part is the reason.
    a_refused_commit_keeps_none_of_its_parts [],
    /// A refused commit is not remembered: its id may be used again, and the newest commit still replays.
    a_refused_commit_is_not_remembered [],
    /// A conflict about numbers at the edge of their type is a conflict like any other.
    numbers_at_the_edge_are_conflicts [],
}

async fn to_an_unknown_run_it_is_not_found(ctx: &Context) -> Verdict {
    let run = ctx.run("unknown");
    let fence = Fence { incarnation: ctx.ids().incarnation(), epoch: 1, token: ctx.ids().token() };
    for version in [0, 1, 2] {
        let driver = Driver { run: run.clone(), fence, version, cursor: 0 };
        refused_as("a commit", ctx.a.commit(whole(ctx, &driver)).await, Refusal::NotFound)?;
        for store in [&ctx.a, &ctx.b] {
            expect_eq("the head after it", store.head(&run).await?, None)?;
        }
    }
    Ok(())
}

async fn to_a_deleted_run_it_is_not_found(ctx: &Context) -> Verdict {
    let run = ctx.run("deleted");
    let mut driver = ctx.create(&run).await?;
    ctx.commit(&mut driver, |commit| commit.advances()).await?;
    expect("it was deleted", ctx.b.delete(&run, Delete::Any).await?, ())?;
    for store in [&ctx.a, &ctx.b] {
        refused_as("a commit", store.commit(whole(ctx, &driver)).await, Refusal::NotFound)?;
        expect_eq("the head after it", store.head(&run).await?, None)?;
    }
    Ok(())
}

async fn to_an_earlier_incarnation_it_is_not_found(ctx: &Context) -> Verdict {
    let run = ctx.run("reborn");
    let old = ctx.create(&run).await?;
    ctx.a.delete(&run, Delete::Any).await?;
    let new = ctx.create(&run).await?;
    expect("the new life is another one", new.fence.incarnation != old.fence.incarnation, new.fence)?;
    ctx.unchanged(&run, async {
        for store in [&ctx.a, &ctx.b] {
            refused_as("a commit", store.commit(whole(ctx, &old)).await, Refusal::NotFound)?;
        }
        Ok(())
    })
    .await
}

async fn to_a_finished_run_it_is_finished(ctx: &Context) -> Verdict {
    for (label, outcome) in ends() {
        let run = ctx.run(label);
        let mut driver = ctx.create(&run).await?;
        ctx.commit(&mut driver, |commit| commit.finish(outcome.clone(), Retain::Keep)).await?;
        let other = Outcome::Failed { failure: Failure::new(FailureKind::Error, "too late") };
        ctx.unchanged(&run, async {
            for commit in [
                whole(ctx, &driver),
                ctx.next(&driver),
                ctx.next(&driver).release(Wake::now()),
                ctx.next(&driver).finish(other, Retain::Delete),
            ] {
                for store in [&ctx.a, &ctx.b] {
                    let finished = Refusal::Finished { outcome: outcome.clone() };
                    refused_as("a commit", store.commit(commit.clone()).await, finished)?;
                }
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn by_the_fence_of_another_run_it_is_not_found(ctx: &Context) -> Verdict {
    let (one, other) = (ctx.run("one"), ctx.run("other"));
    let driver = ctx.create(&one).await?;
    let others = ctx.create(&other).await?;
    expect("two runs have two incarnations", driver.fence.incarnation != others.fence.incarnation, ())?;
    let strayed = Driver { run: other.clone(), ..driver };
    ctx.unchanged(&other, async {
        refused_as("a commit", ctx.a.commit(whole(ctx, &strayed)).await, Refusal::NotFound)
    })
    .await?;
    expect_eq("the version of the fence's own run", ctx.head(&one).await?.version, 1)
}

/// Every way in which the store can refuse `whole`, a commit upon a run with one record with the id `first`.
pub(crate) fn refusals(ctx: &Context, whole: &Commit) -> Vec<(ErrorKind, Commit)> {
    let offered = &ctx.capabilities;
    let commit = || whole.clone();
    let stale = Fence { token: Token(!whole.fence.token.0), ..whole.fence };
    let mut refusals = vec![
        (ErrorKind::Invalid, commit().extend(Duration::ZERO)),
        (ErrorKind::TooLarge, commit().note(Note { text: "x".repeat(NOTE_LIMIT), ..Note::default() })),
        (ErrorKind::Fenced, Commit { fence: stale, ..commit() }),
        (ErrorKind::Conflict, Commit { expect: whole.expect + 1, ..commit() }),
        (ErrorKind::Conflict, Commit { expect: whole.expect - 1, ..commit() }),
    ];
    if offered.supports_inbox() {
        refusals.push((ErrorKind::Conflict, commit().take(1)));
    }
    if offered.supports_snapshots() {
        refusals.push((ErrorKind::Conflict, commit().snapshot(Snapshot::new(1_000, ""))));
        refusals.push((ErrorKind::Conflict, commit().trim(1_000)));
    }
    if offered.supports_log() && offered.supports_blobs() {
        let missing = record(9).blob(Digest::of(b"missing"));
        refusals.push((ErrorKind::Conflict, commit().record(missing)));
    }
    if offered.supports_log() && offered.supports_record_ids() {
        let first = record(9).id(RecordId::from_static("first"));
        refusals.push((ErrorKind::Duplicate, commit().record(first)));
        let twice = record(9).id(RecordId::from_static("twice"));
        refusals.push((ErrorKind::Duplicate, commit().records([twice.clone(), twice])));
    }
    refusals
}

async fn a_refused_commit_keeps_none_of_its_parts(ctx: &Context) -> Verdict {
    let run = ctx.run("refused");
    let mut driver = ctx.create(&run).await?;
    if ctx.capabilities.supports_log() && ctx.capabilities.supports_record_ids() {
        ctx.commit(&mut driver, |commit| commit.record(record(1).id(RecordId::from_static("first")))).await?;
    }
    let commit = whole(ctx, &driver);
    for (kind, wrong) in refusals(ctx, &commit) {
        ctx.unchanged(&run, async {
            for store in [&ctx.a, &ctx.b] {
                refused("a commit of every part", store.commit(wrong.clone()).await, kind)?;
            }
            Ok(())
        })
        .await?;
    }
    ctx.commit(&mut driver, |_| commit).await.map(drop)
}

async fn a_refused_commit_is_not_remembered(ctx: &Context) -> Verdict {
    let run = ctx.run("refused");
    let mut driver = ctx.create(&run).await?;
    if ctx.capabilities.supports_log() && ctx.capabilities.supports_record_ids() {
        ctx.commit(&mut driver, |commit| commit.record(record(1).id(RecordId::from_static("first")))).await?;
    }
    let newest = ctx.next(&driver).advances();
    let committed = ctx.commit(&mut driver, |_| newest.clone()).await?;
    let good = whole(ctx, &driver);
    for (kind, wrong) in refusals(ctx, &good) {
        refused("a commit of every part", ctx.a.commit(wrong).await, kind)?;
        let again = ctx.b.commit(newest.clone()).await?;
        expect_eq("the newest commit sent again", again, Committed { replayed: true, ..committed })?;
    }
    ctx.commit(&mut driver, |_| good).await.map(drop)
}

async fn numbers_at_the_edge_are_conflicts(ctx: &Context) -> Verdict {
    const EDGES: [u64; 4] = [1 << 32, i64::MAX as u64, 1 << 63, u64::MAX];
    let run = ctx.run("edges");
    let mut driver = ctx.create(&run).await?;
    ctx.unchanged(&run, async {
        for edge in EDGES {
            let commit = || ctx.next(&driver);
            let elsewhere = Commit { expect: edge, ..commit() };
            clashed("a version", ctx.a.commit(elsewhere).await, Clash::Version)?;
            if ctx.capabilities.supports_inbox() {
                clashed("a take", ctx.a.commit(commit().take(edge)).await, Clash::NotWaiting(edge))?;
            }
            if ctx.capabilities.supports_snapshots() {
                let ahead = commit().snapshot(Snapshot::new(edge, ""));
                clashed("a snapshot", ctx.a.commit(ahead).await, Clash::SnapshotCursor(edge))?;
                clashed("a trim", ctx.a.commit(commit().trim(edge)).await, Clash::Trim(0))?;
            }
        }
        Ok(())
    })
    .await?;
    ctx.commit(&mut driver, |commit| commit).await.map(drop)
}
