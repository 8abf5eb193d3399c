//! What only looks like the same commit.

use crate::areas::{
    moves::{completed, whole},
    prelude::*,
};

cases! { lost_ack:
    /// The remembered id with any other content is `IdReused`, whichever part differs.
    the_same_id_with_other_content_is_reused [],
    /// The remembered id of a commit that has ended the run or let go of it is `IdReused` with any other end.
    the_same_id_with_another_end_is_reused [],
    /// Another id with the same content and the old version is a conflict, and nothing is stored.
    another_id_with_the_old_version_is_a_conflict [],
    /// The commit before the newest is remembered no more: its version is a conflict.
    the_commit_before_the_newest_is_a_conflict [],
    /// The same id and content under the successor's fence is no replay, but a conflict about the version.
    the_successor_replays_no_commit_of_its_predecessor [],
    /// The same id with content of its own by the successor is `IdReused`, until its first commit.
    the_successor_may_not_reuse_the_id_either [],
    /// An id is remembered by its run: another run may use it.
    an_id_belongs_to_its_run [],
    /// Whether two commits are the same is decided by what they do, not by who made the value.
    an_equal_commit_made_anew_is_the_same_commit [],
}

/// `whole` with each of its parts changed in turn.
fn variants(ctx: &Context, whole: &Commit) -> Vec<Commit> {
    let offered = &ctx.capabilities;
    let commit = || whole.clone();
    let mut variants = vec![
        Commit { expect: whole.expect + 1, ..commit() },
        Commit { note: None, ..commit() },
        commit().note(Note { done: 1_000, ..Note::default() }),
        Commit { advances: false, ..commit() },
        Commit { lease: LeaseChange::Keep, ..commit() },
        commit().extend(ctx.long() * 3),
        commit().release(Wake::now()),
        Commit { lease: LeaseChange::Keep, ..commit() }.finish(completed(), Retain::Keep),
        Commit::new(whole.run.clone(), whole.fence, whole.id, whole.expect),
    ];
    if offered.supports_log() {
        variants.push(commit().record(record(0)));
        variants.push(Commit { records: whole.records[1..].to_vec(), ..commit() });
        variants.push(Commit { records: whole.records.iter().rev().cloned().collect(), ..commit() });
        let mut records = whole.records.clone();
        records[1].body = Bytes::from_static(b"another body");
        variants.push(Commit { records, ..commit() });
    }
    if offered.supports_snapshots() {
        variants.push(Commit { snapshot: None, ..commit() });
        variants.push(commit().snapshot(Snapshot::new(0, "another state")));
        variants.push(commit().trim(0));
    }
    if offered.supports_inbox() {
        variants.push(commit().take(1));
    }
    if offered.supports_blobs() {
        variants.push(commit().blob(Blob::of("another blob")));
        variants.push(commit().drop_blob(Digest::of(b"no blob of it")));
    }
    variants
}

async fn the_same_id_with_other_content_is_reused(ctx: &Context) -> Verdict {
    let run = ctx.run("reused");
    let mut driver = ctx.create(&run).await?;
    let commit = whole(ctx, &driver);
    let first = ctx.commit(&mut driver, |_| commit.clone()).await?;
    ctx.unchanged(&run, async {
        for (number, variant) in variants(ctx, &commit).into_iter().enumerate() {
            let store = if number % 2 == 0 { &ctx.a } else { &ctx.b };
            refused_as("other content", store.commit(variant).await, Refusal::IdReused)?;
        }
        let again = ctx.b.commit(commit.clone()).await?;
        expect_eq("the same content", again, Committed { replayed: true, ..first })
    })
    .await
}

/// Ends of a run, no two of which are the same.
fn ends(ctx: &Context) -> Vec<(LeaseChange, Option<Finish>)> {
    let failed = |kind, message: &str| Outcome::Failed { failure: Failure::new(kind, message) };
    let hour = Duration::from_secs(3600);
    let finishes = [
        (completed(), Retain::Keep),
        (Outcome::Completed { output: Bytes::new() }, Retain::Keep),
        (completed(), Retain::Delete),
        (completed(), Retain::KeepFor(hour)),
        (completed(), Retain::KeepFor(hour * 2)),
        (failed(FailureKind::Error, "broken"), Retain::Keep),
        (failed(FailureKind::Panicked, "broken"), Retain::Keep),
        (failed(FailureKind::Error, "broken otherwise"), Retain::Keep),
    ];
    let far = Timestamp(4_000_000_000_000_000);
    let mut wakes = vec![Wake::at(far), Wake::at(far + hour), Wake::now()];
    if ctx.capabilities.supports_inbox() {
        wakes.extend([Wake::message(8), Wake::message(9), Wake::message(9).or_at(far)]);
    }
    let finishes = finishes.map(|(outcome, retain)| (LeaseChange::Keep, Some(Finish { outcome, retain })));
    let releases = wakes.into_iter().map(|wake| (LeaseChange::Release(wake), None));
    finishes.into_iter().chain(releases).collect()
}

async fn the_same_id_with_another_end_is_reused(ctx: &Context) -> Verdict {
    for (number, (lease, finish)) in ends(ctx).into_iter().enumerate() {
        let run = ctx.run(&format!("ended-{number}"));
        let mut driver = ctx.create(&run).await?;
        let commit = Commit { lease, finish, ..ctx.next(&driver) };
        let first = ctx.commit(&mut driver, |_| commit.clone()).await?;
        ctx.unchanged(&run, async {
            for (other, (lease, finish)) in ends(ctx).into_iter().enumerate() {
                let answer = ctx.b.commit(Commit { lease, finish, ..commit.clone() }).await;
                if other == number {
                    expect_eq("the same end again", answer?, Committed { replayed: true, ..first })?;
                } else {
                    refused_as("another end", answer, Refusal::IdReused)?;
                }
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn another_id_with_the_old_version_is_a_conflict(ctx: &Context) -> Verdict {
    let run = ctx.run("twice");
    let mut driver = ctx.create(&run).await?;
    for commit in [ctx.next(&driver), whole(ctx, &driver)] {
        let commit = Commit { expect: driver.version, ..commit };
        ctx.commit(&mut driver, |_| commit.clone()).await?;
        ctx.unchanged(&run, async {
            for store in [&ctx.a, &ctx.b] {
                let another = Commit { id: ctx.id(), ..commit.clone() };
                clashed("the same content", store.commit(another).await, Clash::Version)?;
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn the_commit_before_the_newest_is_a_conflict(ctx: &Context) -> Verdict {
    let run = ctx.run("older");
    let mut driver = ctx.create(&run).await?;
    let mut older = Vec::new();
    for _ in 0..4 {
        let commit = whole(ctx, &driver);
        ctx.commit(&mut driver, |_| commit.clone()).await?;
        older.push(commit);
    }
    older.pop();
    ctx.unchanged(&run, async {
        for commit in older {
            clashed("an older commit", ctx.b.commit(commit).await, Clash::Version)?;
        }
        Ok(())
    })
    .await
}

async fn the_successor_replays_no_commit_of_its_predecessor(ctx: &Context) -> Verdict {
    let run = ctx.run("inherited");
    let mut old = ctx.create(&run).await?;
    let commit = whole(ctx, &old);
    ctx.commit(&mut old, |_| commit.clone()).await?;
    let new = ctx.b.open(&run, ctx.resuming().over(old.fence)).await?;
    ctx.unchanged(&run, async {
        let theirs = Commit { fence: new.fence, ..commit };
        clashed("it under the new fence", ctx.b.commit(theirs).await, Clash::Version)
    })
    .await
    .map(drop)
}

async fn the_successor_may_not_reuse_the_id_either(ctx: &Context) -> Verdict {
    let run = ctx.run("inherited");
    let mut old = ctx.create(&run).await?;
    let commit = ctx.next(&old).advances();
    ctx.commit(&mut old, |_| commit.clone()).await?;
    let mut new = Driver::of(&ctx.b.open(&run, ctx.resuming().over(old.fence)).await?);
    let theirs = |driver: &Driver| Commit { id: commit.id, ..whole(ctx, driver) };
    ctx.unchanged(&run, async {
        refused_as("its id with other content", ctx.b.commit(theirs(&new)).await, Refusal::IdReused)
    })
    .await?;
    ctx.commit(&mut new, |commit| commit).await?;
    let theirs = theirs(&new);
    ctx.commit(&mut new, |_| theirs).await.map(drop)
}

async fn an_id_belongs_to_its_run(ctx: &Context) -> Verdict {
    let mut drivers = [ctx.create(&ctx.run("one")).await?, ctx.create(&ctx.run("other")).await?];
    let id = ctx.id();
    for driver in &mut drivers {
        let commit = Commit { id, ..whole(ctx, driver) };
        let first = ctx.commit(driver, |_| commit.clone()).await?;
        let again = ctx.b.commit(commit).await?;
        expect_eq("it again", again, Committed { replayed: true, ..first })?;
    }
    for driver in &drivers {
        expect_eq("the version", ctx.head(&driver.run).await?.version, 2)?;
    }
    Ok(())
}

async fn an_equal_commit_made_anew_is_the_same_commit(ctx: &Context) -> Verdict {
    let run = ctx.run("anew");
    let mut driver = ctx.create(&run).await?;
    let id = ctx.id();
    let before = driver.clone();
    let made = || Commit { id, ..whole(ctx, &before) };
    let first = ctx.commit(&mut driver, |_| made()).await?;
    let again = ctx.unchanged(&run, async { Ok(ctx.b.commit(made()).await?) }).await?;
    expect_eq("it made anew", again, Committed { replayed: true, ..first })
}
