//! Deletion: what each guard refuses, and that nothing is left behind.

pub(crate) mod gone;
pub(crate) mod guards;
pub(crate) mod race;

use super::{moves::whole, prelude::*};

/// A run with all that a run can have: records with ids, a note, and, as far as the store offers them, snapshots, blobs
/// and messages that wait and that were taken. Two lapses, and a third on the way.
pub(crate) async fn full(ctx: &Context, run: &RunId) -> Verdict<Driver> {
    let first = ctx.create(run).await?;
    let second = ctx.a.open(run, ctx.resuming().over(first.fence)).await?;
    let mut driver = Driver::of(&ctx.a.open(run, ctx.resuming().over(second.fence)).await?);
    let inbox = ctx.capabilities.supports_inbox();
    if inbox {
        for key in ["taken", "waits", "waits too"] {
            ctx.a.send(run, ctx.message(key, format!("the message {key}"))).await?;
        }
    }
    for round in 0..2 {
        let take = if inbox && round == 0 { vec![1] } else { vec![] };
        let commit = Commit { take, advances: false, ..whole(ctx, &driver) };
        ctx.commit(&mut driver, |_| commit).await?;
    }
    expect_eq("the lapses of a full run", ctx.head(run).await?.lapses, 2)?;
    Ok(driver)
}

/// Nothing must be there under the name `run`, for every read of both handles.
pub(crate) async fn is_gone(ctx: &Context, run: &RunId) -> Verdict {
    let offered = &ctx.capabilities;
    for store in [&ctx.a, &ctx.b] {
        expect_eq("the head of a deleted run", store.head(run).await?, None)?;
        if offered.supports_log() {
            let records = collect(store.stream(run, Span::all())).await;
            refused("its records", records, ErrorKind::NotFound)?;
        }
        if offered.supports_snapshots() {
            refused("its snapshot", store.snapshot(run, At::Latest).await, ErrorKind::NotFound)?;
        }
        if offered.supports_inbox() {
            refused("its inbox", collect(store.inbox(run, Span::all())).await, ErrorKind::NotFound)?;
        }
        if offered.supports_blobs() {
            refused("its blobs", collect(store.blobs(run)).await, ErrorKind::NotFound)?;
            let blob = store.blob(run, &Digest::of(b"any")).await;
            refused("a blob of it", blob, ErrorKind::NotFound)?;
        }
        if offered.supports_list() {
            let listed = collect(store.list(Query::all())).await?;
            expect("it is not listed", listed.iter().all(|head| head.run != *run), &listed)?;
        }
    }
    Ok(())
}
