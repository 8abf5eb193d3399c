//! Counting what is stored.

use super::*;
use crate::areas::{commit::refused::refusals, moves::whole};

cases! { corruption:
    /// A deletion leaves nothing behind but a tombstone under 1 KiB, and touches nothing of another run.
    a_deletion_leaves_nothing_behind [parts],
    /// Nothing is stored of a run that nobody created, whatever was asked of it.
    an_unknown_run_has_no_parts [parts],
    /// What is refused stores nothing of a run that is there: commits by any verdict, opens, renewals, messages, deletions.
    what_is_refused_stores_nothing [parts],
    /// What is read changes nothing of what is stored.
    reading_stores_nothing [parts],
}

/// The most that a tombstone has.
const TOMBSTONE: u64 = 1 << 10;

async fn a_deletion_leaves_nothing_behind(ctx: &Context) -> Verdict {
    let (run, other) = (ctx.run("deleted"), ctx.run("deleted-not"));
    furnished(ctx, &run).await?;
    let kept = furnished(ctx, &other).await?;
    let (before, beside) = (ctx.parts(&run).await?, ctx.parts(&other).await?);
    expect("a run that has something of everything is stored", !before.is_empty(), &before)?;
    expect_eq("a deletion", ctx.a.delete(&run, Delete::Any).await?, true)?;
    let after = ctx.parts(&run).await?;
    let bytes: u64 = after.iter().map(|part| part.size).sum();
    let tombstone = after.len() < before.len() && after.len() <= 1 && bytes < TOMBSTONE;
    expect("what is left is a tombstone at most", tombstone, &after)?;
    expect_eq("what is stored of the other run", ctx.parts(&other).await?, beside)?;
    kept.truth.same_as(&ctx.image(&other).await?)
}

async fn an_unknown_run_has_no_parts(ctx: &Context) -> Verdict {
    let (run, known) = (ctx.run("unknown"), ctx.run("known"));
    let driver = ctx.create(&known).await?;
    let opened = ctx.a.open(&run, ctx.resuming()).await;
    refused("resuming what nobody created", opened, ErrorKind::NotFound)?;
    let commit = Commit { run: run.clone(), ..whole(ctx, &driver) };
    refused("a commit to it", ctx.a.commit(commit).await, ErrorKind::NotFound)?;
    if ctx.capabilities.supports_inbox() {
        let sent = ctx.a.send(&run, ctx.message("key", "x")).await;
        refused("a message to it", sent, ErrorKind::NotFound)?;
    }
    let parts = ctx.parts(&run).await?;
    expect("nothing is stored of it", parts.is_empty(), &parts)?;
    let parts = ctx.parts(&known).await?;
    expect("something is stored of the other one", !parts.is_empty(), &parts)
}

async fn what_is_refused_stores_nothing(ctx: &Context) -> Verdict {
    let (run, offered) = (ctx.run("refused"), ctx.capabilities);
    let mut driver = ctx.create(&run).await?;
    if offered.supports_log() && offered.supports_record_ids() {
        ctx.commit(&mut driver, |commit| commit.record(record(1).id(RecordId::from_static("first")))).await?;
    }
    let before = ctx.parts(&run).await?;
    let holds = whole(ctx, &driver);
    for (kind, wrong) in refusals(ctx, &holds) {
        for store in [&ctx.a, &ctx.b] {
            refused("a commit of every part", store.commit(wrong.clone()).await, kind)?;
        }
        expect_eq(&format!("what is stored after {kind:?}"), &ctx.parts(&run).await?, &before)?;
    }
    let another = ctx.ids().incarnation();
    let stale = Fence { token: Token(!driver.fence.token.0), ..driver.fence };
    for store in [&ctx.a, &ctx.b] {
        refused("a creation", store.open(&run, ctx.creating()).await, ErrorKind::AlreadyExists)?;
        refused("an open", store.open(&run, ctx.resuming()).await, ErrorKind::LeaseHeld)?;
        let renew = Renew::new(stale, ctx.long() * 9).note(Note { done: 9, ..Note::default() });
        refused("a renewal", store.renew(&run, renew).await, ErrorKind::Fenced)?;
        if offered.supports_inbox() {
            let sent = store.send(&run, ctx.message("key", "x").incarnation(another)).await;
            refused("a message", sent, ErrorKind::NotFound)?;
        }
        let guard = Delete::Finished(driver.fence.incarnation);
        refused("a deletion", store.delete(&run, guard).await, ErrorKind::Conflict)?;
    }
    expect_eq("what is stored after every other refusal", &ctx.parts(&run).await?, &before)?;
    ctx.commit(&mut driver, |_| holds).await?;
    let after = ctx.parts(&run).await?;
    expect("what the same commit stores when it holds is seen by the hook", after != before, after)
}

async fn reading_stores_nothing(ctx: &Context) -> Verdict {
    let run = ctx.run("read");
    let furnished = furnished(ctx, &run).await?;
    let before = ctx.parts(&run).await?;
    expect("something is stored", !before.is_empty(), &before)?;
    read(&*ctx.b, &furnished, "undamaged").await?;
    expect_eq("what is stored after everything was read", ctx.parts(&run).await?, before)
}
