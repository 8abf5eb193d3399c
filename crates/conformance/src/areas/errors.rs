//! What a caller is told when the backend is not there, and what it is never told.

use crate::{
    areas::{moves::commit_whole, prelude::*},
    expect::told,
};

cases! { errors:
    /// While the server is down nobody connects, and is told that it cannot be reached; later it works again.
    nobody_connects_while_the_server_is_down [server],
    /// While the server is down every write fails as transient and says whether it may have happened; sent again when the
    /// server is back, it holds once.
    writes_fail_honestly_while_the_server_is_down [server],
    /// While the server is down every read fails as transient: nothing is empty, and nothing is not there.
    reads_fail_while_the_server_is_down [server],
    /// A stream whose server dies gives a gapless prefix and then the error, never a silent end.
    a_stream_whose_server_dies_ends_with_the_error [server, Log],
    /// Neither a handle nor an error shows a secret.
    no_secret_is_shown [secret],
    /// Neither does an error of a server that is down.
    no_secret_is_shown_while_the_server_is_down [secret, server],
    /// An error tells its operation and its run, and its text is one line.
    an_error_tells_its_operation_and_run [],
}

/// An error of a server that is not there.
#[track_caller]
fn unreachable<T: std::fmt::Debug>(what: &str, result: Result<T>) -> Verdict<Error> {
    match result {
        Err(error) if error.kind().is_transient() => Ok(error),
        Err(error) => Err(crate::Failure::new(what, "an error that is transient", told(&error))),
        Ok(value) => Err(crate::Failure::new(what, "an error that is transient", format!("Ok({value:?})"))),
    }
}

/// The same of a write, which says whether it may have happened.
#[track_caller]
fn unreachable_write<T: std::fmt::Debug>(what: &str, result: Result<T>) -> Verdict {
    let error = unreachable(what, result)?;
    expect(&format!("{what} says whether it may have happened"), error.applied().is_some(), told(&error))
}

async fn nobody_connects_while_the_server_is_down(ctx: &Context) -> Verdict {
    let run = ctx.run("kept");
    ctx.create(&run).await?;
    ctx.kill_server().await?;
    // A store may connect when it is first used.
    let connected = match ctx.connect_anew().await {
        Ok(store) => store.head(&run).await.map(drop),
        Err(error) => Err(error),
    };
    unreachable("connecting while the server is down", connected)?;
    ctx.restart_server().await?;
    let store = ctx.connect_anew().await?;
    store.open(&ctx.run("another"), ctx.creating()).await?;
    store.close().await.map_err(crate::Failure::from)
}

async fn writes_fail_honestly_while_the_server_is_down(ctx: &Context) -> Verdict {
    let run = ctx.run("written");
    let driver = ctx.create(&run).await?;
    let other = ctx.run("created");
    ctx.kill_server().await?;
    let (creating, commit) = (ctx.creating(), ctx.next(&driver).advances());
    let message = ctx.message("key", "the message");
    unreachable_write("an open", ctx.a.open(&other, creating.clone()).await)?;
    unreachable_write("a commit", ctx.a.commit(commit.clone()).await)?;
    for answer in ctx.b.commit_many(vec![commit.clone()]).await {
        unreachable_write("a commit of a batch", answer)?;
    }
    unreachable_write("a renewal", ctx.b.renew(&run, Renew::new(driver.fence, ctx.long())).await)?;
    if ctx.capabilities.supports_inbox() {
        unreachable_write("a message", ctx.a.send(&run, message.clone()).await)?;
    }
    let guard = Delete::NotDriven(driver.fence.incarnation);
    unreachable_write("a deletion", ctx.b.delete(&other, guard).await)?;
    ctx.restart_server().await?;
    if ctx.capabilities.durability < Durability::Fsync {
        return expect("the store answers again", ctx.b.head(&run).await.is_ok(), ());
    }
    let opened = ctx.a.open(&other, creating).await?;
    expect_eq("the open again", (opened.created, opened.fence.epoch), (true, 1))?;
    expect_eq("the commit again", ctx.a.commit(commit).await?.version, driver.version + 1)?;
    if ctx.capabilities.supports_inbox() {
        let sent = ctx.a.send(&run, message).await?;
        let once = matches!(sent, Sent::Accepted { number: 1 } | Sent::Repeated { number: 1 });
        expect("the message again is the first one", once, sent)?;
    }
    expect_eq("the version in the end", ctx.head(&run).await?.version, driver.version + 1)
}

async fn reads_fail_while_the_server_is_down(ctx: &Context) -> Verdict {
    let (run, offered) = (ctx.run("read"), ctx.capabilities);
    let mut driver = ctx.create(&run).await?;
    commit_whole(ctx, &mut driver).await?;
    let before = ctx.image(&run).await?;
    ctx.kill_server().await?;
    unreachable("a head", ctx.b.head(&run).await)?;
    unreachable("the head of an unknown run", ctx.b.head(&ctx.run("unknown")).await)?;
    if offered.supports_log() {
        unreachable("a stream", collect(ctx.b.stream(&run, Span::all())).await)?;
    }
    if offered.supports_snapshots() {
        unreachable("a snapshot", ctx.b.snapshot(&run, At::Latest).await)?;
    }
    if offered.supports_inbox() {
        unreachable("an inbox", collect(ctx.b.inbox(&run, Span::all())).await)?;
    }
    if offered.supports_blobs() {
        unreachable("a blob", ctx.b.blob(&run, &Digest::of(b"x")).await)?;
        unreachable("the blobs", collect(ctx.b.blobs(&run)).await)?;
    }
    if offered.supports_list() {
        unreachable("a listing", collect(ctx.b.list(Query::all())).await)?;
    }
    ctx.restart_server().await?;
    if offered.durability < Durability::Fsync {
        return expect("the store answers again", ctx.b.head(&run).await.is_ok(), ());
    }
    before.same_as(&ctx.image(&run).await?)
}

async fn a_stream_whose_server_dies_ends_with_the_error(ctx: &Context) -> Verdict {
    const RECORDS: u64 = 300;
    let run = ctx.run("streamed");
    let mut driver = ctx.create(&run).await?;
    while driver.cursor < RECORDS {
        ctx.commit_records(&mut driver, 100).await?;
    }
    let mut stream = ctx.b.stream(&run, Span::all().page(10));
    let mut seen = 0;
    for _ in 0..5 {
        let found = next(&mut stream).await?.map(|record| record.cursor);
        expect_eq("a record before the server dies", found, Some(seen + 1))?;
        seen += 1;
    }
    ctx.kill_server().await?;
    loop {
        match next(&mut stream).await {
            Ok(Some(found)) => {
                expect_eq("a record that was fetched before", found.cursor, seen + 1)?;
                seen += 1;
            }
            // A store that had fetched all of it has nothing to ask the server for.
            Ok(None) => {
                expect_eq("the last record of a stream that ended well", seen, RECORDS)?;
                break;
            }
            Err(error) => {
                unreachable::<()>("the end of the stream", Err(error))?;
                break;
            }
        }
    }
    ctx.restart_server().await
}

/// Neither an error's text nor its `Debug` nor its causes may show a secret.
fn keeps_secrets(ctx: &Context, error: &Error) -> Verdict {
    hides(ctx, "an error", &format!("{error} {error:?} {error:#?} {}", told(error)))
}

fn hides(ctx: &Context, what: &str, text: &str) -> Verdict {
    for secret in ctx.secrets() {
        let shown = text.contains(secret.as_str());
        let masked = text.replace(secret.as_str(), "(the secret)");
        expect(&format!("{what} does not show a secret"), !shown, masked)?;
    }
    Ok(())
}

async fn no_secret_is_shown(ctx: &Context) -> Verdict {
    let run = ctx.run("kept");
    let driver = ctx.create(&run).await?;
    let store = ctx.connect_anew().await?;
    hides(ctx, "a handle", &format!("{store:?} {store:#?}"))?;
    let stale = Commit { expect: 99, ..ctx.next(&driver) };
    let taken = store.open(&run, ctx.creating()).await;
    let mut errors = vec![taken.err(), store.commit(stale).await.err()];
    errors.push(store.open(&ctx.run("unknown"), ctx.resuming()).await.err());
    store.close().await?;
    errors.push(store.head(&run).await.err());
    for error in errors {
        let Some(error) = error else {
            return Err(crate::Failure::new("what must be refused", "an error", "Ok"));
        };
        keeps_secrets(ctx, &error)?;
    }
    hides(ctx, "a closed handle", &format!("{store:?} {store:#?}"))
}

async fn no_secret_is_shown_while_the_server_is_down(ctx: &Context) -> Verdict {
    let run = ctx.run("kept");
    let driver = ctx.create(&run).await?;
    ctx.kill_server().await?;
    let connecting = match ctx.connect_anew().await {
        Ok(store) => store.head(&run).await.err(),
        Err(error) => Some(error),
    };
    let errors = [connecting, ctx.a.commit(ctx.next(&driver)).await.err(), ctx.b.head(&run).await.err()];
    for error in errors {
        let Some(error) = error else {
            return Err(crate::Failure::new("a server that is down", "an error", "Ok"));
        };
        keeps_secrets(ctx, &error)?;
    }
    ctx.restart_server().await
}

async fn an_error_tells_its_operation_and_run(ctx: &Context) -> Verdict {
    let (run, unknown) = (ctx.run("told"), ctx.run("unknown"));
    let driver = ctx.create(&run).await?;
    let stale = Commit { expect: 99, ..ctx.next(&driver) };
    let fence = Fence { epoch: driver.fence.epoch + 1, ..driver.fence };
    let renewed = ctx.b.renew(&run, Renew::new(fence, ctx.long())).await;
    let mut errors = vec![
        (Operation::Open, &run, ctx.b.open(&run, ctx.creating()).await.err()),
        (Operation::Commit, &run, ctx.b.commit(stale).await.err()),
        (Operation::Renew, &run, renewed.err()),
    ];
    if ctx.capabilities.supports_inbox() {
        let sent = ctx.b.send(&unknown, ctx.message("key", "")).await;
        errors.push((Operation::Send, &unknown, sent.err()));
    }
    if ctx.capabilities.supports_log() {
        let read = collect(ctx.b.stream(&unknown, Span::all())).await;
        errors.push((Operation::Stream, &unknown, read.err()));
    }
    for (operation, run, error) in errors {
        let Some(error) = error else {
            return Err(crate::Failure::new(format!("{operation}"), "a refusal", "Ok"));
        };
        let about = (error.operation(), error.run(), error.backend().is_some());
        expect_eq(
            "operation, run and whether the backend is named",
            about,
            (Some(operation), Some(run), true),
        )?;
        expect(&format!("the text of {operation} is one line"), !error.to_string().contains('\n'), &error)?;
    }
    Ok(())
}
