//! Fences that are not the newest one of their run.

use crate::areas::{
    moves::{completed, holds_whole, whole},
    prelude::*,
};

cases! { fencing:
    /// An older fence's commit is refused with the newest fence, empty or not, whatever version it builds upon.
    an_older_fences_commit_is_refused [],
    /// An older fence's renewal is refused, also of its note, and the successor's lease is as it was.
    an_older_fences_renewal_is_refused [],
    /// An older fence's release is refused, and the run stays its successor's.
    an_older_fences_release_is_refused [],
    /// An older fence's extension is refused, and the successor's lease is as it was.
    an_older_fences_extension_is_refused [],
    /// An older fence's records are refused.
    an_older_fences_records_are_refused [Log],
    /// An older fence's snapshot is refused, at a new cursor or in place of a kept one.
    an_older_fences_snapshot_is_refused [Snapshots],
    /// An older fence's trim is refused.
    an_older_fences_trim_is_refused [Log, Snapshots],
    /// An older fence's take is refused, and the message waits for the successor.
    an_older_fences_take_is_refused [Inbox],
    /// An older fence's blob is refused, and so is dropping one.
    an_older_fences_blobs_are_refused [Blobs],
    /// An older fence's outcome is refused, and the run goes on.
    an_older_fences_outcome_is_refused [],
    /// An older fence is refused although its lease would still be valid, and although the successor's has run out.
    an_older_fence_is_refused_whatever_the_leases [],
    /// Every older fence is refused, not only the last but one.
    every_older_fence_is_refused [],
    /// A fence of the newest epoch with another token is refused.
    the_newest_epoch_with_another_token_is_refused [],
    /// A fence of an epoch that the run has not reached is refused.
    a_later_epoch_is_refused [],
    /// A fence of an earlier life of the run is `NotFound`, though its epoch is the newest.
    an_earlier_incarnation_is_not_found [],
    /// Two lives of a run have nothing of their fences in common but the epoch.
    two_lives_have_two_incarnations_and_tokens [],
    /// A stalled writer that thaws after a takeover is refused, and its successor's data is intact.
    a_stalled_writer_is_refused [Log],
    /// While nobody has taken the run over, a commit by the newest fence holds after its lease has run out.
    the_newest_fence_commits_after_its_lease [],
}

/// A run whose first driver was replaced: the old one, and the new one.
async fn replaced(ctx: &Context, run: &RunId) -> Verdict<(Driver, Driver)> {
    let mut old = ctx.create(run).await?;
    ctx.commit(&mut old, |commit| commit.advances()).await?;
    let new = ctx.b.open(run, ctx.resuming().over(old.fence)).await?;
    Ok((old, Driver::of(&new)))
}

/// Commits that `fill` fills must be refused by `stale`'s fence, on both handles and at whatever version, and change
/// nothing; then the same content must hold by the newest fence.
async fn is_fenced(
    ctx: &Context,
    stale: &Driver,
    new: &mut Driver,
    fill: impl Fn(Commit) -> Commit,
) -> Verdict {
    ctx.unchanged(&new.run.clone(), async {
        for store in [&ctx.a, &ctx.b] {
            for version in [stale.version, new.version] {
                let late = Driver { version, ..stale.clone() };
                let answer = store.commit(fill(ctx.next(&late))).await;
                refused_as("a commit by an older fence", answer, Refusal::Fenced { current: new.fence })?;
            }
        }
        Ok(())
    })
    .await?;
    ctx.commit(new, fill).await.map(drop)
}

async fn an_older_fences_commit_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("replaced");
    let (old, mut new) = replaced(ctx, &run).await?;
    is_fenced(ctx, &old, &mut new, |commit| commit).await?;
    is_fenced(ctx, &old, &mut new, |commit| commit.advances().note(Note::default())).await?;
    let late = Driver { version: new.version, cursor: new.cursor, ..old };
    ctx.unchanged(&run, async {
        let answer = ctx.a.commit(whole(ctx, &late)).await;
        refused_as("a commit of every part", answer, Refusal::Fenced { current: new.fence })
    })
    .await
}

async fn an_older_fences_renewal_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("replaced");
    let (old, new) = replaced(ctx, &run).await?;
    ctx.unchanged(&run, async {
        for store in [&ctx.a, &ctx.b] {
            let renew = Renew::new(old.fence, ctx.long() * 4).note(Note { done: 7, ..Note::default() });
            let fenced = Refusal::Fenced { current: new.fence };
            refused_as("a renewal", store.renew(&run, renew).await, fenced)?;
        }
        Ok(())
    })
    .await?;
    Ok(ctx.a.renew(&run, Renew::new(new.fence, ctx.long())).await?)
}

async fn an_older_fences_release_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("replaced");
    let (old, mut new) = replaced(ctx, &run).await?;
    is_fenced(ctx, &old, &mut new, |commit| commit.release(Wake::now())).await?;
    expect_eq("who drives it", ctx.head(&run).await?.lease, None)
}

async fn an_older_fences_extension_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("replaced");
    let (old, mut new) = replaced(ctx, &run).await?;
    is_fenced(ctx, &old, &mut new, |commit| commit.extend(ctx.long() * 4)).await
}

async fn an_older_fences_records_are_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("replaced");
    let (old, mut new) = replaced(ctx, &run).await?;
    is_fenced(ctx, &old, &mut new, |commit| commit.records([record(1), record(2)])).await?;
    expect_eq("how many records there are", ctx.image(&run).await?.records.len(), 2)
}

async fn an_older_fences_snapshot_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("replaced");
    let (old, mut new) = replaced(ctx, &run).await?;
    is_fenced(ctx, &old, &mut new, |commit| commit.snapshot(Snapshot::new(0, "a state"))).await?;
    is_fenced(ctx, &old, &mut new, |commit| commit.snapshot(Snapshot::new(0, "another state"))).await
}

async fn an_older_fences_trim_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("replaced");
    let mut old = ctx.create(&run).await?;
    for cursor in 1..=3 {
        let state = Snapshot::new(cursor, "a state");
        ctx.commit(&mut old, |commit| commit.record(record(cursor)).snapshot(state)).await?;
    }
    let mut new = Driver::of(&ctx.b.open(&run, ctx.resuming().over(old.fence)).await?);
    is_fenced(ctx, &old, &mut new, |commit| commit.trim(2)).await?;
    expect_eq("the first record that is left", ctx.head(&run).await?.first, 3)
}

async fn an_older_fences_take_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("replaced");
    let (old, mut new) = replaced(ctx, &run).await?;
    let kind = Kind::from_static("signal");
    for key in ["one", "two"] {
        let message = NewMessage::new(ctx.id(), MessageKey::from_static(key), kind.clone(), key);
        ctx.b.send(&run, message).await?;
    }
    is_fenced(ctx, &old, &mut new, |commit| commit.take(1)).await?;
    let waiting: Vec<_> = ctx.image(&run).await?.messages.iter().map(|message| message.number).collect();
    expect_eq("the messages that wait", waiting, vec![2])
}

async fn an_older_fences_blobs_are_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("replaced");
    let (old, mut new) = replaced(ctx, &run).await?;
    let blob = Blob::of("a large value");
    is_fenced(ctx, &old, &mut new, |commit| commit.blob(blob.clone())).await?;
    is_fenced(ctx, &old, &mut new, |commit| commit.drop_blob(blob.name)).await?;
    expect_eq("the blob", ctx.b.blob(&run, &blob.name).await?, None)
}

async fn an_older_fences_outcome_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("replaced");
    let (old, mut new) = replaced(ctx, &run).await?;
    is_fenced(ctx, &old, &mut new, |commit| commit.finish(completed(), Retain::Keep)).await?;
    expect_eq("how it ended", ctx.head(&run).await?.outcome, Some(completed()))
}

async fn an_older_fence_is_refused_whatever_the_leases(ctx: &Context) -> Verdict {
    let run = ctx.run("outlived");
    let old = ctx.create(&run).await?;
    let opened = ctx.b.open(&run, ctx.resuming().ttl(ctx.brief()).over(old.fence)).await?;
    let mut new = Driver::of(&opened);
    ctx.expire().await;
    let renewed = ctx.a.renew(&run, Renew::new(old.fence, ctx.long())).await;
    refused_as("a renewal", renewed, Refusal::Fenced { current: new.fence })?;
    is_fenced(ctx, &old, &mut new, |commit| commit.advances()).await
}

async fn every_older_fence_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("passed-on");
    let mut newest = ctx.create(&run).await?;
    let mut older = Vec::new();
    for _ in 0..5 {
        let opened = ctx.b.open(&run, ctx.resuming().over(newest.fence)).await?;
        older.push(std::mem::replace(&mut newest, Driver::of(&opened)));
    }
    for old in &older {
        is_fenced(ctx, old, &mut newest, |commit| commit.note(Note::default())).await?;
    }
    Ok(())
}

async fn the_newest_epoch_with_another_token_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("forged");
    let (old, mut new) = replaced(ctx, &run).await?;
    for token in [Token(new.fence.token.0 ^ 1), Token(0), old.fence.token] {
        let forged = Driver { fence: Fence { token, ..new.fence }, ..new.clone() };
        ctx.unchanged(&run, async {
            let renew = Renew::new(forged.fence, ctx.long() * 4);
            refused_as("a renewal", ctx.a.renew(&run, renew).await, Refusal::Fenced { current: new.fence })
        })
        .await?;
        is_fenced(ctx, &forged, &mut new, |commit| commit.advances()).await?;
    }
    Ok(())
}

async fn a_later_epoch_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("forged");
    let (old, mut new) = replaced(ctx, &run).await?;
    for epoch in [new.fence.epoch + 1, 1 << 32, i64::MAX as u64, u64::MAX] {
        for token in [new.fence.token, old.fence.token] {
            let forged = Driver { fence: Fence { epoch, token, ..new.fence }, ..new.clone() };
            is_fenced(ctx, &forged, &mut new, |commit| commit.advances()).await?;
        }
    }
    let early = Driver { fence: Fence { epoch: 0, ..new.fence }, ..new.clone() };
    is_fenced(ctx, &early, &mut new, |commit| commit.advances()).await
}

async fn an_earlier_incarnation_is_not_found(ctx: &Context) -> Verdict {
    let run = ctx.run("reborn");
    let old = ctx.create(&run).await?;
    ctx.b.delete(&run, Delete::Any).await?;
    let new = ctx.create(&run).await?;
    ctx.unchanged(&run, async {
        for fence in [old.fence, Fence { token: new.fence.token, ..old.fence }] {
            for store in [&ctx.a, &ctx.b] {
                let late = Driver { fence, ..new.clone() };
                refused_as("a commit", store.commit(ctx.next(&late)).await, Refusal::NotFound)?;
                let ended = ctx.next(&late).finish(completed(), Retain::Delete);
                refused_as("an outcome", store.commit(ended).await, Refusal::NotFound)?;
                let released = ctx.next(&late).release(Wake::now());
                refused_as("a release", store.commit(released).await, Refusal::NotFound)?;
                let renewed = store.renew(&run, Renew::new(fence, ctx.long() * 4)).await;
                refused_as("a renewal", renewed, Refusal::NotFound)?;
            }
        }
        Ok(())
    })
    .await
}

async fn two_lives_have_two_incarnations_and_tokens(ctx: &Context) -> Verdict {
    let run = ctx.run("reborn");
    let mut seen: Vec<Fence> = Vec::new();
    for _ in 0..5 {
        let fence = ctx.create(&run).await?.fence;
        expect_eq("the epoch of the open that creates", fence.epoch, 1)?;
        let known = seen.iter().any(|old| old.incarnation == fence.incarnation || old.token == fence.token);
        expect("incarnation and token are new", !known, (&seen, fence))?;
        expect_eq("the fence that another handle reads", ctx.head(&run).await?.fence, fence)?;
        seen.push(fence);
        ctx.b.delete(&run, Delete::Any).await?;
    }
    Ok(())
}

async fn a_stalled_writer_is_refused(ctx: &Context) -> Verdict {
    let run = ctx.run("stalled");
    let mut old = ctx.create_briefly(&run).await?;
    ctx.commit_records(&mut old, 2).await?;
    let stalled = whole(ctx, &old);
    let mut new = Driver::of(&ctx.open_due(&run, ctx.resuming()).await?);
    let theirs = whole(ctx, &new);
    ctx.commit(&mut new, |_| theirs.clone()).await?;
    ctx.unchanged(&run, async {
        for store in [&ctx.a, &ctx.b] {
            let answer = store.commit(stalled.clone()).await;
            refused_as("the stalled commit", answer, Refusal::Fenced { current: new.fence })?;
        }
        Ok(())
    })
    .await?;
    let image = ctx.image(&run).await?;
    holds_whole(&image, &theirs)?;
    expect_eq("how many records there are", image.records.len() as u64, new.cursor)?;
    ctx.commit_records(&mut new, 1).await.map(drop)
}

async fn the_newest_fence_commits_after_its_lease(ctx: &Context) -> Verdict {
    let run = ctx.run("late");
    let mut driver = ctx.create_briefly(&run).await?;
    ctx.expire().await;
    expect_eq("its status", ctx.head(&run).await?.status(), Status::Interrupted)?;
    ctx.commit(&mut driver, |commit| commit.note(Note::default())).await?;
    let commit = whole(ctx, &driver);
    ctx.commit(&mut driver, |_| commit.clone()).await?;
    let image = ctx.image(&run).await?;
    holds_whole(&image, &commit)?;
    expect_eq("epoch", image.head.map(|head| head.fence.epoch), Some(1))
}
