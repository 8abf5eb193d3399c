//! Moves that the cases of several areas make.

use std::{
    pin::{Pin, pin},
    task::Poll,
};

use futures_util::poll;

use super::prelude::*;

/// How many records a [`whole`] commit has.
pub(crate) const WHOLE: u64 = 3;

/// The next commit of `driver` with every part that the store offers, but a trim, a take, a release and an outcome.
pub(crate) fn whole(ctx: &Context, driver: &Driver) -> Commit {
    let offered = &ctx.capabilities;
    let (version, mut end) = (driver.version, driver.cursor);
    let mut commit = ctx.next(driver).advances().extend(ctx.long() * 2);
    commit.note = Some(Note { done: version, total: None, text: "whole".into() });
    let blob = Blob::of(format!("the blob of version {version}"));
    if offered.supports_log() {
        for cursor in end + 1..=end + WHOLE {
            let mut record = record(cursor);
            if offered.supports_record_ids() {
                record.id = RecordId::new(format!("record-{cursor}")).ok();
            }
            if offered.supports_blobs() {
                record.blobs.push(blob.name);
            }
            commit.records.push(record);
        }
        end += WHOLE;
    }
    if offered.supports_snapshots() {
        commit.snapshot = Some(Snapshot::new(end, format!("the state of version {version}")));
    }
    if offered.supports_blobs() {
        commit.blobs.push(blob);
    }
    commit
}

/// Commits a [`whole`] one.
pub(crate) async fn commit_whole(ctx: &Context, driver: &mut Driver) -> Verdict<Commit> {
    let commit = whole(ctx, driver);
    ctx.commit(driver, |_| commit.clone()).await?;
    Ok(commit)
}

/// `image` must end with all that `commit`, a [`whole`] one, carries.
#[track_caller]
pub(crate) fn holds_whole(image: &Image, commit: &Commit) -> Verdict {
    let skipped = image.records.len().saturating_sub(commit.records.len());
    let tail: Vec<_> = image.records.iter().skip(skipped).cloned().collect();
    let want = tail.iter().zip(commit.records.iter().cloned());
    let want: Vec<_> = want.map(|(found, new)| new.at(found.cursor, found.at)).collect();
    expect_eq("the newest records", &tail, &want)?;
    expect_eq("how many there are", tail.len(), commit.records.len())?;
    expect_eq("the newest snapshot", image.snapshots.first(), commit.snapshot.as_ref())?;
    for Blob { name, body } in &commit.blobs {
        let found = image.blobs.iter().find(|(info, _)| info.name == *name);
        expect_eq("a blob", found.and_then(|(_, body)| body.as_ref()), Some(body))?;
    }
    let note = image.head.as_ref().and_then(|head| head.note.as_ref());
    expect_eq("the note", note, commit.note.as_ref())
}

/// Polls `work` at most `polls` times, with time for others in between, and drops it when it is not done by then.
pub(crate) async fn abandoned<T>(polls: u32, work: impl Future<Output = T>) -> Option<T> {
    begun(polls, pin!(work)).await
}

/// Polls `work` so, and leaves it where it is.
pub(crate) async fn begun<T>(polls: u32, mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    for poll in 0..polls {
        if let Poll::Ready(answer) = poll!(work.as_mut()) {
            return Some(answer);
        }
        if poll % 4 == 3 {
            tokio::time::sleep(Duration::from_micros(50)).await;
        }
        tokio::task::yield_now().await;
    }
    None
}

/// The outcome of a run that has completed.
pub(crate) fn completed() -> Outcome {
    Outcome::Completed { output: Bytes::from_static(b"the output") }
}

/// The two ways in which a run ends, named. A failed run may be reopened; until then it is as finished as the other.
pub(crate) fn ends() -> [(&'static str, Outcome); 2] {
    let failure = Failure::new(FailureKind::Error, "broken");
    [("completed", completed()), ("failed", Outcome::Failed { failure })]
}

/// `commit` with each part that the store does not declare, and the capability that is missing.
pub(crate) fn undeclared(ctx: &Context, commit: &Commit) -> Vec<(Capability, Commit)> {
    let offered = ctx.capabilities.set;
    let commit = || commit.clone();
    let mut parts = vec![
        (Capability::Log, commit().record(record(1))),
        (Capability::Snapshots, commit().snapshot(Snapshot::new(0, ""))),
        (Capability::Snapshots, commit().trim(1)),
        (Capability::Inbox, commit().take(1)),
        (Capability::Inbox, commit().release(Wake::message(0))),
        (Capability::Blobs, commit().blob(Blob::of("x"))),
        (Capability::Blobs, commit().drop_blob(Digest::of(b"x"))),
    ];
    if offered.contains(Capability::Log) {
        let id = RecordId::from_static("id");
        parts.push((Capability::RecordIds, commit().record(record(1).id(id))));
        parts.push((Capability::Blobs, commit().record(record(1).blob(Digest::of(b"x")))));
    }
    parts.retain(|(capability, _)| !offered.contains(*capability));
    parts
}
