//! A writing process that stands still while another one takes over.

use crate::areas::prelude::*;

cases! { crash:
    /// A writer that was stopped, and goes on after a takeover, is refused, whatever it had under way; its successor's
    /// data is intact.
    a_stopped_writer_is_refused_when_it_thaws [processes] once "its writer is another process",
    /// A stopped process holds nobody up: others read, and write to other runs.
    a_stopped_process_holds_nobody_up [processes] once "its writer is another process",
}

async fn a_stopped_writer_is_refused_when_it_thaws(ctx: &Context) -> Verdict {
    let run = ctx.run("stopped");
    let second = ctx.process().await?;
    let opened = second.store.open(&run, ctx.creating().ttl(ctx.brief())).await?;
    let mut old = Driver::of(&opened);
    old.version = second.store.commit(ctx.next(&old)).await?.version;

    second.process.stop().await?;
    let (store, commit) = (second.store.clone(), ctx.next(&old));
    let under_way = tokio::spawn(async move { store.commit(commit).await });
    ctx.expire().await;
    let mut new = Driver::of(&ctx.open_due(&run, ctx.resuming()).await?);
    ctx.commit(&mut new, |commit| commit.advances()).await?;
    let intact = ctx.image(&run).await?;

    second.process.thaw()?;
    let current = Refusal::Fenced { current: new.fence };
    let late = under_way.await.map_err(|error| {
        crate::Failure::new("a commit that was under way", "an answer", error.to_string())
    })?;
    refused_as("a commit that was under way", late, current.clone())?;
    let again = second.store.commit(ctx.next(&old)).await;
    refused_as("another commit of the thawed writer", again, current.clone())?;
    let renewed = second.store.renew(&run, Renew::new(old.fence, ctx.long())).await;
    refused_as("its renewal", renewed, current.clone())?;
    let finish = Outcome::Completed { output: Bytes::new() };
    let finished = second.store.commit(ctx.next(&old).finish(finish, Retain::Keep)).await;
    refused_as("its outcome", finished, current)?;
    intact.same_as(&ctx.image(&run).await?)?;
    ctx.complete(&mut new).await.map(drop)
}

async fn a_stopped_process_holds_nobody_up(ctx: &Context) -> Verdict {
    let (run, other) = (ctx.run("stopped"), ctx.run("other"));
    let second = ctx.process().await?;
    let mut driver = Driver::of(&second.store.open(&run, ctx.creating()).await?);
    driver.version = second.store.commit(ctx.next(&driver)).await?.version;
    second.process.stop().await?;
    expect_eq("the version that others read", ctx.head(&run).await?.version, driver.version)?;
    let mut free = ctx.create(&other).await?;
    for _ in 0..3 {
        ctx.commit(&mut free, |commit| commit).await?;
    }
    let held = ctx.a.open(&run, ctx.resuming()).await;
    refused("opening what a stopped process drives", held, ErrorKind::LeaseHeld)?;
    second.process.thaw()?;
    expect_eq("the thawed one goes on", second.store.commit(ctx.next(&driver)).await?.version, 3)
}
