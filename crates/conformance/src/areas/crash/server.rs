//! A server that is killed with -9 while it works.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{areas::prelude::*, expect::told as shown};

cases! { crash:
    /// A server that is killed under load loses nothing that it acknowledged, and nothing twice, at a durability of
    /// `Fsync` or above; below it loses a suffix at most. What was under way is settled by the same commit again, and the
    /// newest commit that is there is known by its id.
    a_killed_server_keeps_what_it_acknowledged [server, Log],
    /// Messages that were acknowledged outlive the server as commits do, and their keys are remembered.
    a_killed_server_keeps_the_messages_it_acknowledged [server, Inbox],
    /// A fence is as dead after the server's death as before: a takeover that was acknowledged holds.
    a_killed_server_keeps_its_fences [server],
}

/// How many runs are committed to when the server dies.
const RUNS: u64 = 4;
/// After how many acknowledged commits it is killed.
const LOAD: u64 = 120;

/// What a client was told until the server died.
struct Cut {
    driver: Driver,
    /// The newest commit that was acknowledged.
    newest: Option<Commit>,
    /// The commit that was not acknowledged, and why.
    under_way: Commit,
    error: Error,
}

/// Commits one record after another until it fails.
async fn load(
    store: Arc<dyn Store>,
    mut driver: Driver,
    ids: SeededIds,
    acknowledged: Arc<AtomicU64>,
) -> Cut {
    let mut newest = None;
    loop {
        let commit = Commit::new(driver.run.clone(), driver.fence, ids.operation(), driver.version)
            .record(record(driver.cursor + 1));
        match store.commit(commit.clone()).await {
            Ok(answer) => {
                (driver.version, driver.cursor) = (answer.version, answer.cursor);
                newest = Some(commit);
                acknowledged.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
            Err(error) => return Cut { driver, newest, under_way: commit, error },
        }
    }
}

/// Whether the store declares that the death of its server takes nothing.
fn durable(ctx: &Context) -> bool {
    ctx.capabilities.durability >= Durability::Fsync
}

/// An error of a server that is not there: transient, and honest about whether the write has happened.
fn unreachable(what: &str, error: &Error, write: bool) -> Verdict {
    expect(&format!("{what} fails for a transient reason"), error.kind().is_transient(), shown(error))?;
    let honest = !write || error.applied().is_some();
    expect(&format!("{what} says whether it has happened"), honest, shown(error))
}

async fn a_killed_server_keeps_what_it_acknowledged(ctx: &Context) -> Verdict {
    let acknowledged = Arc::new(AtomicU64::new(0));
    let mut clients = Vec::new();
    for number in 0..RUNS {
        let driver = ctx.create(&ctx.run(&format!("loaded-{number}"))).await?;
        let store = if number % 2 == 0 { &ctx.a } else { &ctx.b };
        let ids = SeededIds::new(ctx.ids().bits() as u64);
        clients.push(tokio::spawn(load(store.clone(), driver, ids, acknowledged.clone())));
    }
    while acknowledged.load(Ordering::SeqCst) < LOAD {
        expect("every client is being served", clients.iter().all(|client| !client.is_finished()), ())?;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    ctx.kill_server().await?;
    let mut cuts = Vec::new();
    for client in clients {
        let cut = client.await.map_err(|error| {
            crate::Failure::new("a client of the killed server", "no panic", error.to_string())
        })?;
        unreachable("a commit while the server is down", &cut.error, true)?;
        cuts.push(cut);
    }
    ctx.restart_server().await?;
    for Cut { driver, newest, under_way, .. } in cuts {
        let head = ctx.b.head(&driver.run).await?;
        let version = head.as_ref().map_or(0, |head| head.version);
        if durable(ctx) {
            let found = version >= driver.version && version <= driver.version + 1;
            expect("every acknowledged commit is there", found, (&head, driver.version))?;
        }
        let lost = version < driver.version;
        if head.is_some() {
            let records = collect(ctx.b.stream(&driver.run, Span::all())).await?;
            for (number, found) in (1..).zip(&records) {
                expect_eq("a record", (found.cursor, &found.body), (number, &record(number).body))?;
            }
            expect_eq("the length of the log", records.len() as u64, head.map_or(0, |head| head.cursor))?;
        }
        if lost {
            // What it would build on is gone, so it must not hold.
            let answer = ctx.a.commit(under_way).await;
            expect("a commit upon what was lost is refused", answer.is_err(), answer)?;
            continue;
        }
        if let Some(newest) = newest.filter(|_| version == driver.version) {
            let known = Committed { version: driver.version, cursor: driver.cursor, replayed: true };
            expect_eq("the newest commit again", ctx.a.commit(newest).await?, known)?;
        }
        let settled = ctx.a.commit(under_way).await?;
        let want = Committed {
            version: driver.version + 1,
            cursor: driver.cursor + 1,
            replayed: version > driver.version,
        };
        expect_eq("the same commit again", settled, want)?;
        let records = collect(ctx.b.stream(&driver.run, Span::all())).await?;
        expect_eq("records, nothing twice", records.len() as u64, driver.cursor + 1)?;
    }
    Ok(())
}

async fn a_killed_server_keeps_the_messages_it_acknowledged(ctx: &Context) -> Verdict {
    let run = ctx.run("receiver");
    ctx.create(&run).await?;
    let messages: Vec<_> = (1..=20u64).map(|n| ctx.message(format!("key {n}"), format!("{n}"))).collect();
    for message in &messages {
        ctx.a.send(&run, message.clone()).await?;
    }
    ctx.kill_server().await?;
    let late = ctx.message("late", "sent to nobody");
    match ctx.a.send(&run, late.clone()).await {
        Ok(sent) => expect("a message while the server is down is not accepted", false, sent)?,
        Err(error) => unreachable("a message while the server is down", &error, true)?,
    }
    ctx.restart_server().await?;
    if !durable(ctx) {
        return expect("the store answers again", ctx.b.head(&run).await.is_ok(), ());
    }
    let waiting = collect(ctx.b.inbox(&run, Span::all())).await?;
    let numbers: Vec<_> = waiting.iter().map(|message| message.number).collect();
    expect_eq("the messages that wait", numbers, (1..=20).collect::<Vec<_>>())?;
    for (number, message) in (1..).zip(messages) {
        expect_eq("a key of before", ctx.a.send(&run, message).await?, Sent::Repeated { number })?;
    }
    expect_eq("the next number", ctx.a.send(&run, late).await?, Sent::Accepted { number: 21 })
}

async fn a_killed_server_keeps_its_fences(ctx: &Context) -> Verdict {
    let run = ctx.run("fenced");
    let old = ctx.create(&run).await?;
    let new = Driver::of(&ctx.a.open(&run, ctx.resuming().over(old.fence)).await?);
    ctx.kill_server().await?;
    ctx.restart_server().await?;
    if !durable(ctx) {
        return expect("the store answers again", ctx.b.head(&run).await.is_ok(), ());
    }
    let late = settled(&ctx.b, ctx.next(&old)).await;
    refused_as("a commit of the owner before", late, Refusal::Fenced { current: new.fence })?;
    let held = ctx.b.open(&run, ctx.resuming()).await;
    refused("opening under a live lease", held, ErrorKind::LeaseHeld)?;
    expect_eq("the new owner goes on", settled(&ctx.a, ctx.next(&new)).await?.version, new.version + 1)
}

/// The first request after the server's death may find that its connection has died with it: what then may have happened is
/// settled by the same commit again.
async fn settled(store: &Arc<dyn Store>, commit: Commit) -> Result<Committed> {
    match store.commit(commit.clone()).await {
        Err(error) if error.kind().is_transient() && error.applied() == Some(Applied::Maybe) => {
            store.commit(commit).await
        }
        answer => answer,
    }
}
