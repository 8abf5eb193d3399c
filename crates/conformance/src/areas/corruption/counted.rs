//! Counting what is stored.

use super::*;

cases! { corruption:
    /// A deletion leaves nothing behind but a tombstone under 1 KiB, and touches nothing of another run.
    a_deletion_leaves_nothing_behind [parts],
    /// Nothing is stored of a run that nobody created, whatever was asked of it.
    an_unknown_run_has_no_parts [parts],
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
    let commit = Commit { run: run.clone(), ..crate::areas::moves::whole(ctx, &driver) };
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

async fn reading_stores_nothing(ctx: &Context) -> Verdict {
    let run = ctx.run("read");
    let furnished = furnished(ctx, &run).await?;
    let before = ctx.parts(&run).await?;
    expect("something is stored", !before.is_empty(), &before)?;
    read(&*ctx.b, &furnished, "undamaged").await?;
    expect_eq("what is stored after everything was read", ctx.parts(&run).await?, before)
}
