//! The order of verdicts: of everything that is wrong with a commit, the first is told.

use crate::areas::{
    moves::{completed, undeclared},
    prelude::*,
};

cases! { commit:
    /// What contradicts itself is `Invalid`, before it is `TooLarge`.
    invalid_comes_before_too_large [],
    /// `TooLarge` comes before `Unsupported` and before anything is asked of the run.
    too_large_comes_before_unsupported_and_not_found [],
    /// `Unsupported` comes before anything is asked of the run.
    unsupported_comes_before_not_found [],
    /// A commit to another incarnation is `NotFound`, also when its id is remembered, with its content or another.
    not_found_comes_before_the_remembered_id [],
    /// The remembered id with another digest is `IdReused`, also when the fence is an old one.
    id_reused_comes_before_fenced [],
    /// The remembered id with another digest is `IdReused`, also when the run has finished.
    id_reused_comes_before_finished [],
    /// An older fence of a finished run is `Fenced`.
    fenced_comes_before_finished [],
    /// An older fence is `Fenced`, whatever version it expects.
    fenced_comes_before_conflict [],
    /// A commit to a finished run is `Finished`, whatever version it expects.
    finished_comes_before_conflict [],
    /// Of a conflict the version comes first: before the messages, blobs, snapshot and trim that the store knows.
    the_version_comes_before_every_other_conflict [],
    /// The head that a conflict carries is as of the refusal, not of the run's last change.
    a_conflict_tells_the_head_as_of_now [],
    /// A message that is not waiting comes before a missing blob.
    not_waiting_comes_before_a_missing_blob [Inbox, Blobs, Log],
    /// A message that is not waiting comes before a snapshot past the end.
    not_waiting_comes_before_the_snapshots_cursor [Inbox, Snapshots],
    /// A missing blob comes before a snapshot past the end.
    a_missing_blob_comes_before_the_snapshots_cursor [Blobs, Log, Snapshots],
    /// A snapshot past the end comes before a trim too far.
    the_snapshots_cursor_comes_before_the_trim [Snapshots],
    /// The version comes before a repeated record id.
    the_version_comes_before_duplicate [Log, RecordIds],
    /// A message that is not waiting comes before a repeated record id.
    not_waiting_comes_before_duplicate [Log, RecordIds, Inbox],
    /// A missing blob comes before a repeated record id.
    a_missing_blob_comes_before_duplicate [Log, RecordIds, Blobs],
    /// A snapshot past the end comes before a repeated record id.
    the_snapshots_cursor_comes_before_duplicate [Log, RecordIds, Snapshots],
    /// A trim too far comes before a repeated record id.
    the_trim_comes_before_duplicate [Log, RecordIds, Snapshots],
}

/// A commit to a run that is not there.
fn to_nobody(ctx: &Context) -> Commit {
    let fence = Fence { incarnation: ctx.ids().incarnation(), epoch: 1, token: ctx.ids().token() };
    Commit::new(ctx.run("nobody"), fence, ctx.id(), 1)
}

/// Makes any commit too large for any store.
fn too_large(commit: Commit) -> Commit {
    commit.note(Note { text: "x".repeat(NOTE_LIMIT), ..Note::default() })
}

async fn invalid_comes_before_too_large(ctx: &Context) -> Verdict {
    let run = ctx.run("senseless");
    let mut driver = ctx.create(&run).await?;
    let nothing_wakes = Wake { at: None, after: None };
    ctx.unchanged(&run, async {
        for commit in [to_nobody(ctx), ctx.next(&driver)] {
            for senseless in [
                commit.clone().extend(Duration::ZERO),
                commit.clone().release(nothing_wakes),
                commit.clone().release(Wake::now()).finish(completed(), Retain::Keep),
                commit.clone().extend(ctx.long()).finish(completed(), Retain::Keep),
                commit.clone().take(1).take(1),
                commit.clone().blob(Blob::of("x")).drop_blob(Digest::of(b"x")),
                commit.blob(Blob::of("x")).blob(Blob::of("x")),
            ] {
                let answer = ctx.a.commit(too_large(senseless)).await;
                refused("a senseless and too large commit", answer, ErrorKind::Invalid)?;
            }
        }
        Ok(())
    })
    .await?;
    ctx.commit(&mut driver, |commit| commit).await.map(drop)
}

async fn too_large_comes_before_unsupported_and_not_found(ctx: &Context) -> Verdict {
    let run = ctx.run("large");
    let mut driver = ctx.create(&run).await?;
    ctx.unchanged(&run, async {
        for commit in [to_nobody(ctx), ctx.next(&driver)] {
            let unsupported = undeclared(ctx, &commit).into_iter().map(|(_, commit)| commit);
            for commit in std::iter::once(commit).chain(unsupported) {
                refused("too large a commit", ctx.a.commit(too_large(commit)).await, ErrorKind::TooLarge)?;
            }
        }
        Ok(())
    })
    .await?;
    ctx.commit(&mut driver, |commit| commit).await.map(drop)
}

async fn unsupported_comes_before_not_found(ctx: &Context) -> Verdict {
    for (capability, commit) in undeclared(ctx, &to_nobody(ctx)) {
        let unsupported = Refusal::Unsupported { capability };
        refused_as("a commit of what is not declared", ctx.a.commit(commit).await, unsupported)?;
    }
    let answer = ctx.a.commit(to_nobody(ctx)).await;
    refused_as("a commit to a run that is not there", answer, Refusal::NotFound)
}

async fn not_found_comes_before_the_remembered_id(ctx: &Context) -> Verdict {
    let run = ctx.run("reborn");
    let old = ctx.create(&run).await?;
    let remembered = ctx.next(&old).advances();
    ctx.a.commit(remembered.clone()).await?;
    ctx.a.delete(&run, Delete::Any).await?;
    let gone = ctx.b.commit(remembered.clone()).await;
    refused_as("the remembered commit of a deleted run", gone, Refusal::NotFound)?;
    let new = ctx.create(&run).await?;
    ctx.a.commit(Commit { fence: new.fence, ..remembered.clone() }).await?;
    ctx.unchanged(&run, async {
        for commit in [remembered.clone(), remembered.note(Note::default())] {
            let answer = ctx.b.commit(commit).await;
            refused_as("a commit of the earlier life", answer, Refusal::NotFound)?;
        }
        Ok(())
    })
    .await
}

async fn id_reused_comes_before_fenced(ctx: &Context) -> Verdict {
    let run = ctx.run("reused");
    let old = ctx.create(&run).await?;
    let remembered = ctx.next(&old).advances();
    ctx.a.commit(remembered.clone()).await?;
    let new = ctx.b.open(&run, ctx.resuming().over(old.fence)).await?.fence;
    ctx.unchanged(&run, async {
        for fence in [old.fence, new] {
            let another = Commit { fence, ..remembered.clone().note(Note::default()) };
            refused_as("another commit of its id", ctx.a.commit(another).await, Refusal::IdReused)?;
        }
        let fenced = Refusal::Fenced { current: new };
        let another = Commit { id: ctx.id(), ..remembered.clone() };
        refused_as("a commit of another id", ctx.a.commit(another).await, fenced)
    })
    .await
}

async fn id_reused_comes_before_finished(ctx: &Context) -> Verdict {
    let run = ctx.run("reused");
    let driver = ctx.create(&run).await?;
    let last = ctx.next(&driver).finish(completed(), Retain::Keep);
    ctx.a.commit(last.clone()).await?;
    ctx.unchanged(&run, async {
        let another = last.finish(completed(), Retain::Delete);
        refused_as("another commit of its id", ctx.a.commit(another).await, Refusal::IdReused)
    })
    .await
}

async fn fenced_comes_before_finished(ctx: &Context) -> Verdict {
    let run = ctx.run("finished");
    let old = ctx.create(&run).await?;
    let mut driver = Driver::of(&ctx.b.open(&run, ctx.resuming().over(old.fence)).await?);
    ctx.commit(&mut driver, |commit| commit.finish(completed(), Retain::Keep)).await?;
    ctx.unchanged(&run, async {
        for version in [old.version, driver.version, driver.version + 1] {
            let commit = Commit { expect: version, ..ctx.next(&old) };
            let fenced = Refusal::Fenced { current: driver.fence };
            refused_as("a commit by an older fence", ctx.a.commit(commit).await, fenced)?;
        }
        Ok(())
    })
    .await
}

async fn fenced_comes_before_conflict(ctx: &Context) -> Verdict {
    let run = ctx.run("fenced");
    let old = ctx.create(&run).await?;
    let driver = Driver::of(&ctx.b.open(&run, ctx.resuming().over(old.fence)).await?);
    ctx.unchanged(&run, async {
        for expect in [0, old.version, driver.version, driver.version + 1] {
            let commit = Commit { expect, ..ctx.next(&old) };
            let fenced = Refusal::Fenced { current: driver.fence };
            refused_as("a commit by an older fence", ctx.a.commit(commit).await, fenced)?;
        }
        Ok(())
    })
    .await
}

async fn finished_comes_before_conflict(ctx: &Context) -> Verdict {
    let run = ctx.run("finished");
    let mut driver = ctx.create(&run).await?;
    ctx.commit(&mut driver, |commit| commit.finish(completed(), Retain::Keep)).await?;
    ctx.unchanged(&run, async {
        for expect in [0, driver.version - 1, driver.version, driver.version + 1] {
            let commit = Commit { expect, ..ctx.next(&driver) };
            let finished = Refusal::Finished { outcome: completed() };
            refused_as("a commit to a finished run", ctx.b.commit(commit).await, finished)?;
        }
        Ok(())
    })
    .await
}

/// The conflicts of a commit that the store knows, in their order.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Wrong {
    Version,
    NotWaiting,
    MissingBlob,
    SnapshotCursor,
    Trim,
    Duplicate,
}

impl Wrong {
    /// Whether the store can be wrong in this.
    fn applies(self, offered: &Capabilities) -> bool {
        match self {
            Wrong::Version => true,
            Wrong::NotWaiting => offered.supports_inbox(),
            Wrong::MissingBlob => offered.supports_log() && offered.supports_blobs(),
            Wrong::SnapshotCursor | Wrong::Trim => offered.supports_snapshots(),
            Wrong::Duplicate => offered.supports_log() && offered.supports_record_ids(),
        }
    }

    /// Makes `commit`, which builds upon one record with the id `first`, wrong in this.
    fn put_into(self, commit: Commit) -> Commit {
        match self {
            Wrong::Version => Commit { expect: commit.expect + 1, ..commit },
            Wrong::NotWaiting => commit.take(7),
            Wrong::MissingBlob => commit.record(record(2).blob(Digest::of(b"missing"))),
            Wrong::SnapshotCursor => commit.snapshot(Snapshot::new(1_000, "")),
            Wrong::Trim => commit.trim(1),
            Wrong::Duplicate => commit.record(record(2).id(RecordId::from_static("first"))),
        }
    }

    /// What is to be told of it; `None` is the duplicate.
    fn clash(self) -> Option<Clash> {
        match self {
            Wrong::Version => Some(Clash::Version),
            Wrong::NotWaiting => Some(Clash::NotWaiting(7)),
            Wrong::MissingBlob => Some(Clash::MissingBlob(Digest::of(b"missing"))),
            Wrong::SnapshotCursor => Some(Clash::SnapshotCursor(1_000)),
            Wrong::Trim => Some(Clash::Trim(0)),
            Wrong::Duplicate => None,
        }
    }
}

/// Of a commit that is wrong in `first` and in each of `others` that the store knows, `first` must be told.
async fn told_first(ctx: &Context, first: Wrong, others: &[Wrong]) -> Verdict {
    let run = ctx.run("wrong");
    let mut driver = ctx.create(&run).await?;
    if Wrong::Duplicate.applies(&ctx.capabilities) {
        ctx.commit(&mut driver, |commit| commit.record(record(1).id(RecordId::from_static("first")))).await?;
    }
    let others: Vec<_> = others.iter().filter(|other| other.applies(&ctx.capabilities)).collect();
    ctx.unchanged(&run, async {
        let mut wrong = first.put_into(ctx.next(&driver).note(Note::default()).advances());
        let mut tried = vec![wrong.clone()];
        for other in others {
            tried.push(other.put_into(first.put_into(ctx.next(&driver))));
            wrong = other.put_into(wrong);
            tried.push(wrong.clone());
        }
        for commit in tried {
            let answer = ctx.a.commit(commit).await;
            match first.clash() {
                Some(clash) => drop(clashed("a commit that is wrong in several ways", answer, clash)?),
                None => refused_as("a repeated id", answer, Refusal::Duplicate { cursor: 1 })?,
            }
        }
        Ok(())
    })
    .await?;
    ctx.commit(&mut driver, |commit| commit).await.map(drop)
}

async fn the_version_comes_before_every_other_conflict(ctx: &Context) -> Verdict {
    use Wrong::*;
    told_first(ctx, Version, &[NotWaiting, MissingBlob, SnapshotCursor, Trim, Duplicate]).await
}

async fn a_conflict_tells_the_head_as_of_now(ctx: &Context) -> Verdict {
    let run = ctx.run("changed");
    let mut driver = ctx.create(&run).await?;
    ctx.commit(&mut driver, |commit| commit).await?;
    ctx.pass(Duration::from_millis(2)).await;
    let late = Commit { expect: driver.version - 1, ..ctx.next(&driver) };
    let told = clashed("a commit at an old version", ctx.a.commit(late).await, Clash::Version)?;
    let now = ctx.head(&run).await?;
    expect(
        "it was read after the last change",
        told.at > told.updated_at && told.at <= now.at,
        (&told, now.at),
    )?;
    expect_eq("the rest of it", Head { at: now.at, ..told }, now)
}

async fn not_waiting_comes_before_a_missing_blob(ctx: &Context) -> Verdict {
    told_first(ctx, Wrong::NotWaiting, &[Wrong::MissingBlob]).await
}

async fn not_waiting_comes_before_the_snapshots_cursor(ctx: &Context) -> Verdict {
    told_first(ctx, Wrong::NotWaiting, &[Wrong::SnapshotCursor, Wrong::Trim]).await
}

async fn a_missing_blob_comes_before_the_snapshots_cursor(ctx: &Context) -> Verdict {
    told_first(ctx, Wrong::MissingBlob, &[Wrong::SnapshotCursor, Wrong::Trim]).await
}

async fn the_snapshots_cursor_comes_before_the_trim(ctx: &Context) -> Verdict {
    told_first(ctx, Wrong::SnapshotCursor, &[Wrong::Trim]).await
}

async fn the_version_comes_before_duplicate(ctx: &Context) -> Verdict {
    told_first(ctx, Wrong::Version, &[Wrong::Duplicate]).await
}

async fn not_waiting_comes_before_duplicate(ctx: &Context) -> Verdict {
    told_first(ctx, Wrong::NotWaiting, &[Wrong::Duplicate]).await
}

async fn a_missing_blob_comes_before_duplicate(ctx: &Context) -> Verdict {
    told_first(ctx, Wrong::MissingBlob, &[Wrong::Duplicate]).await
}

async fn the_snapshots_cursor_comes_before_duplicate(ctx: &Context) -> Verdict {
    told_first(ctx, Wrong::SnapshotCursor, &[Wrong::Duplicate]).await
}

async fn the_trim_comes_before_duplicate(ctx: &Context) -> Verdict {
    told_first(ctx, Wrong::Trim, &[Wrong::Duplicate]).await
}
