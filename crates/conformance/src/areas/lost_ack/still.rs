//! A replay is an answer and not a write: what has happened since stays as it is.

use crate::areas::prelude::*;

cases! { lost_ack:
    /// A replayed extension does not extend the lease again.
    a_replay_extends_no_lease [],
    /// A replayed extension of an old owner does not touch the successor's lease.
    a_replay_extends_no_lease_of_a_successor [],
    /// A replayed commit that advances does not reset the lapses that were counted since.
    a_replay_forgets_no_lapse [],
    /// A replayed note does not replace the one of a renewal since.
    a_replay_replaces_no_note [],
    /// A replayed trim, take, snapshot or blob does nothing.
    a_replay_of_every_part_stores_nothing [Log, Snapshots],
    /// A replay does not count as an update of the run.
    a_replay_updates_nothing [clock],
    /// A replayed release does not make a message wake the run again.
    a_replay_of_a_release_wakes_nothing [Inbox],
}

async fn a_replay_extends_no_lease(ctx: &Context) -> Verdict {
    let run = ctx.run("again");
    let mut driver = ctx.create(&run).await?;
    let commit = ctx.next(&driver).extend(ctx.long() * 2);
    ctx.commit(&mut driver, |_| commit.clone()).await?;
    let lease = ctx.head(&run).await?.lease;
    ctx.pass(Duration::from_millis(5)).await;
    for store in [&ctx.a, &ctx.b] {
        expect("it is replayed", store.commit(commit.clone()).await?.replayed, ())?;
        expect_eq("the lease", &ctx.head(&run).await?.lease, &lease)?;
    }
    Ok(())
}

async fn a_replay_extends_no_lease_of_a_successor(ctx: &Context) -> Verdict {
    let run = ctx.run("again");
    let mut old = ctx.create(&run).await?;
    let commit = ctx.next(&old).extend(ctx.long() * 9);
    ctx.commit(&mut old, |_| commit.clone()).await?;
    let opened = ctx.b.open(&run, ctx.resuming().owner(Owner::new("successor")).over(old.fence)).await?;
    expect("it is replayed", ctx.a.commit(commit).await?.replayed, ())?;
    let head = ctx.head(&run).await?;
    expect_eq("the lease", &head.lease, &opened.head.lease)?;
    expect_eq("due and fence", (head.due, head.fence), (opened.head.due, opened.fence))
}

async fn a_replay_forgets_no_lapse(ctx: &Context) -> Verdict {
    let run = ctx.run("again");
    let mut old = ctx.create(&run).await?;
    let commit = ctx.next(&old).advances();
    ctx.commit(&mut old, |_| commit.clone()).await?;
    ctx.b.open(&run, ctx.resuming().over(old.fence)).await?;
    expect("it is replayed", ctx.a.commit(commit).await?.replayed, ())?;
    expect_eq("the lapses", ctx.head(&run).await?.lapses, 1)
}

async fn a_replay_replaces_no_note(ctx: &Context) -> Verdict {
    let run = ctx.run("again");
    let note = |done| Note { done, ..Note::default() };
    let mut driver = ctx.create(&run).await?;
    let commit = ctx.next(&driver).note(note(1));
    ctx.commit(&mut driver, |_| commit.clone()).await?;
    ctx.a.renew(&run, Renew::new(driver.fence, ctx.long()).note(note(2))).await?;
    expect("it is replayed", ctx.b.commit(commit).await?.replayed, ())?;
    expect_eq("the note", ctx.head(&run).await?.note, Some(note(2)))
}

async fn a_replay_of_every_part_stores_nothing(ctx: &Context) -> Verdict {
    let run = ctx.run("again");
    let mut driver = ctx.create(&run).await?;
    for cursor in 1..=3 {
        let state = Snapshot::new(cursor, "a state");
        ctx.commit(&mut driver, |commit| commit.record(record(cursor)).snapshot(state)).await?;
    }
    let mut commit = ctx.next(&driver).record(record(4)).snapshot(Snapshot::new(4, "the state")).trim(3);
    if ctx.capabilities.supports_blobs() {
        commit = commit.blob(Blob::of("a blob")).drop_blob(Digest::of(b"another"));
    }
    if ctx.capabilities.supports_inbox() {
        ctx.b.send(&run, ctx.message("a key", "a body")).await?;
        commit = commit.take(1);
    }
    let first = ctx.commit(&mut driver, |_| commit.clone()).await?;
    ctx.unchanged(&run, async {
        for store in [&ctx.a, &ctx.b] {
            let again = store.commit(commit.clone()).await?;
            expect_eq("the commit again", again, Committed { replayed: true, ..first })?;
        }
        Ok(())
    })
    .await?;
    let head = ctx.head(&run).await?;
    expect_eq("first, cursor, snapshots", (head.first, head.cursor, head.snapshots), (4, 4, vec![4, 3]))
}

async fn a_replay_updates_nothing(ctx: &Context) -> Verdict {
    let run = ctx.run("again");
    let mut driver = ctx.create(&run).await?;
    ctx.pass(Duration::from_secs(1)).await;
    let commit = ctx.next(&driver).advances();
    ctx.commit(&mut driver, |_| commit.clone()).await?;
    let updated = ctx.head(&run).await?.at;
    ctx.pass(Duration::from_secs(1)).await;
    expect("it is replayed", ctx.b.commit(commit).await?.replayed, ())?;
    expect_eq("when it was updated", ctx.head(&run).await?.updated_at, updated)
}

async fn a_replay_of_a_release_wakes_nothing(ctx: &Context) -> Verdict {
    let run = ctx.run("again");
    let mut driver = ctx.create(&run).await?;
    let release = ctx.next(&driver).release(Wake::message(0));
    ctx.commit(&mut driver, |_| release.clone()).await?;
    let opened = ctx.b.open(&run, ctx.resuming().over(driver.fence)).await?;
    expect("it is replayed", ctx.a.commit(release).await?.replayed, ())?;
    ctx.b.send(&run, ctx.message("a key", "a body")).await?;
    let head = ctx.head(&run).await?;
    expect_eq("lease and due", (&head.lease, head.due), (&opened.head.lease, opened.head.due))
}
