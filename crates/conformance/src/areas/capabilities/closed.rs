//! A handle that was closed.

use std::pin::pin;

use crate::areas::{moves::begun, prelude::*};

cases! { capabilities:
    /// After `close` every write of the handle is `Closed`.
    a_closed_handle_writes_nothing [],
    /// After `close` every read of the handle is `Closed`.
    a_closed_handle_reads_nothing [],
    /// Closing twice, also at the same moment, is harmless.
    closing_twice_is_harmless [],
    /// Commits that race the close hold, or are refused as `Closed`; no other answer is given.
    commits_racing_the_close_hold_or_are_refused [],
    /// Closing waits for what is in flight: what is not done when it returns is never done.
    closing_waits_for_what_is_in_flight [] once "each operation has a handle of its own",
    /// Closing ends the streams that wait for more: with `Closed`, like every later call.
    closing_ends_who_follows [Log, Follow],
}

async fn a_closed_handle_writes_nothing(ctx: &Context) -> Verdict {
    let run = ctx.run("closed");
    let mut driver = ctx.create(&run).await?;
    ctx.commit(&mut driver, |commit| commit).await?;
    let store = ctx.reopen().await?;
    store.close().await?;
    let what = ErrorKind::Closed;
    refused("an open", store.open(&ctx.run("another"), ctx.creating()).await, what)?;
    refused("a takeover", store.open(&run, ctx.resuming().over(driver.fence)).await, what)?;
    refused("a commit", store.commit(ctx.next(&driver)).await, what)?;
    let answers = store.commit_many(vec![ctx.next(&driver)]).await;
    expect_eq("how many answers a batch gets", answers.len(), 1)?;
    for answer in answers {
        refused("a commit of a batch", answer, what)?;
    }
    refused("a renewal", store.renew(&run, Renew::new(driver.fence, ctx.long())).await, what)?;
    if ctx.capabilities.supports_inbox() {
        refused("a message", store.send(&run, ctx.message("key", "")).await, what)?;
    }
    for guard in [Delete::Any, Delete::NotDriven(driver.fence.incarnation)] {
        refused("a deletion", store.delete(&run, guard).await, what)?;
    }
    Ok(())
}

async fn a_closed_handle_reads_nothing(ctx: &Context) -> Verdict {
    let run = ctx.run("closed");
    let offered = ctx.capabilities;
    ctx.create(&run).await?;
    let store = ctx.reopen().await?;
    expect("it reads before", store.head(&run).await?.is_some(), ())?;
    store.close().await?;
    let what = ErrorKind::Closed;
    for run in [&run, &ctx.run("unknown")] {
        refused("a head", store.head(run).await, what)?;
        if offered.supports_log() {
            refused("a stream", collect(store.stream(run, Span::all())).await, what)?;
        }
        if offered.supports_snapshots() {
            refused("a snapshot", store.snapshot(run, At::Latest).await, what)?;
        }
        if offered.supports_inbox() {
            refused("an inbox", collect(store.inbox(run, Span::all())).await, what)?;
        }
        if offered.supports_blobs() {
            refused("a blob", store.blob(run, &Digest::of(b"x")).await, what)?;
            refused("the blobs", collect(store.blobs(run)).await, what)?;
        }
    }
    if offered.supports_list() {
        refused("a listing", collect(store.list(Query::all())).await, what)?;
    }
    Ok(())
}

async fn closing_twice_is_harmless(ctx: &Context) -> Verdict {
    let run = ctx.run("closed");
    ctx.create(&run).await?;
    let store = ctx.reopen().await?;
    let (one, another) = futures_util::join!(store.close(), store.close());
    one?;
    another?;
    store.close().await?;
    refused("a read after it", store.head(&run).await, ErrorKind::Closed).map(drop)
}

async fn commits_racing_the_close_hold_or_are_refused(ctx: &Context) -> Verdict {
    let mut drivers = Vec::new();
    for number in 0..15 {
        drivers.push(ctx.create(&ctx.run(&format!("closing-{number}"))).await?);
    }
    let store = ctx.reopen().await?;
    let answers = ctx
        .race(16, |index, _| {
            let commit = drivers.get(index).map(|driver| ctx.next(driver).advances());
            let store = store.clone();
            async move {
                match commit {
                    Some(commit) => store.commit(commit).await.map(|committed| committed.version),
                    None => store.close().await.map(|()| 2),
                }
            }
        })
        .await?;
    for (index, answer) in answers.into_iter().enumerate() {
        let holds = answer.is_ok();
        match answer {
            Ok(version) => expect_eq("the version of a commit that holds", version, 2)?,
            refusal => drop(refused("a commit too late", refusal, ErrorKind::Closed)?),
        }
        // A store that dies with its process has nothing left to look at.
        if let Some(driver) = drivers.get(index)
            && ctx.capabilities.durability > Durability::Process
        {
            let version = ctx.head(&driver.run).await?.version;
            expect_eq("the version seen by the other handle", version, if holds { 2 } else { 1 })?;
        }
    }
    refused("a commit after it", store.commit(ctx.next(&drivers[0])).await, ErrorKind::Closed).map(drop)
}

async fn closing_waits_for_what_is_in_flight(ctx: &Context) -> Verdict {
    let mut driver = ctx.create(&ctx.run("closing")).await?;
    for round in ctx.rounds(40) {
        let store = ctx.reopen().await?;
        let mut commit = pin!(store.commit(ctx.next(&driver)));
        let early = begun(round % 4, commit.as_mut()).await;
        let answered = async {
            match early {
                Some(answer) => answer,
                None => commit.await,
            }
        };
        let closing = async {
            store.close().await?;
            // Where a close is one of all handles, nobody is left to look.
            if ctx.closes_alone() { Verdict::Ok(Some(ctx.head(&driver.run).await?)) } else { Ok(None) }
        };
        let (answer, seen) = futures_util::join!(answered, closing);
        let seen = seen?;
        match answer {
            Ok(committed) => {
                expect_eq("the version of a commit that holds", committed.version, driver.version + 1)?;
                driver.version = committed.version;
            }
            refusal => drop(refused("a commit too late", refusal, ErrorKind::Closed)?),
        }
        let Some(seen) = seen else { return Ok(()) };
        expect_eq("the version when the close had returned", seen.version, driver.version)?;
        expect_eq("the version later", ctx.head(&driver.run).await?.version, driver.version)?;
    }
    Ok(())
}

async fn closing_ends_who_follows(ctx: &Context) -> Verdict {
    let run = ctx.run("followed");
    let mut driver = ctx.create(&run).await?;
    ctx.commit_records(&mut driver, 1).await?;
    let store = ctx.reopen().await?;
    let mut follower = store.stream(&run, Span::all().follow());
    expect_eq("what is there", next(&mut follower).await?.map(|record| record.cursor), Some(1))?;
    let (came, closed) = futures_util::join!(next(&mut follower), store.close());
    closed?;
    refused("what follows", came, ErrorKind::Closed).map(drop)
}
