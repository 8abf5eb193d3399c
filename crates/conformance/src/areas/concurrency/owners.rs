//! Owners that meet: two who would drive one run, and one who goes on beside another who takes over.

use super::{Before, head, meet};
use crate::{
    areas::{moves::completed, prelude::*},
    duel::{commits, opens, renews},
};

cases! { concurrency:
    /// Of two creators of one run that meet at one instant one wins, and the run is the winner's.
    of_two_creators_that_meet_one_wins [] once "two handles must stand to meet",
    /// Of two who take a due run over at one instant one wins.
    of_two_takeovers_that_meet_one_wins [] once "two handles must stand to meet",
    /// Of two who take a driven run over from one fence at one instant one wins.
    of_two_overs_that_meet_one_wins [] once "two handles must stand to meet",
    /// One open that arrives twice at one instant opens once, and both are told so.
    of_one_open_that_meets_itself_one_fence_comes [] once "two handles must stand to meet",
    /// Of two who reopen a failed run at one instant one wins.
    of_two_reopenings_that_meet_one_wins [] once "two handles must stand to meet",
    /// Of two commits of one version that meet at one instant one holds, whole.
    of_two_commits_that_meet_one_holds [] once "two handles must stand to meet",
    /// One commit that arrives twice at one instant is stored once: the other answer is its replay.
    of_one_commit_that_meets_itself_one_is_stored [] once "two handles must stand to meet",
    /// A commit that meets a takeover at one instant is before it, or is refused.
    a_commit_that_meets_a_takeover_is_before_it_or_refused [] once "two handles must stand to meet",
    /// An outcome that meets a takeover at one instant ends the run, or is refused.
    an_outcome_that_meets_a_takeover_is_before_it_or_refused [] once "two handles must stand to meet",
    /// A renewal that meets a takeover at one instant leaves the successor's lease alone.
    a_renewal_that_meets_a_takeover_keeps_its_lease [] once "two handles must stand to meet",
    /// A renewal that meets a commit at one instant undoes nothing of it: both hold.
    a_renewal_that_meets_a_commit_undoes_nothing [] once "two handles must stand to meet",
}

/// Of two answers one must be good, and the other a refusal of this kind.
#[track_caller]
fn one_of<'a, T: std::fmt::Debug>(
    left: Result<&'a T>,
    right: Result<&'a T>,
    kind: ErrorKind,
) -> Verdict<&'a T> {
    one_winner("two that met", vec![left, right], kind)
}

/// Lets two opens meet of which one wins; gives the winner to nobody, for all of it stands in the run.
async fn one_opens(
    ctx: &Context,
    before: Before,
    open: impl Fn(&Driver) -> Open,
    lost: ErrorKind,
) -> Verdict {
    meet(
        ctx,
        before,
        |driver| (opens(&driver.run, open(driver)), opens(&driver.run, open(driver))),
        |driver, left, right, image| {
            let winner = one_of(left, right, lost)?;
            let head = head(image)?;
            expect_eq("whose run it is", head.fence, winner.fence)?;
            expect_eq("its version", head.version, driver.version + 1)
        },
    )
    .await
}

async fn of_two_creators_that_meet_one_wins(ctx: &Context) -> Verdict {
    one_opens(ctx, Before::Unknown, |_| ctx.creating(), ErrorKind::AlreadyExists).await
}

async fn of_two_takeovers_that_meet_one_wins(ctx: &Context) -> Verdict {
    one_opens(ctx, Before::Due, |_| ctx.resuming(), ErrorKind::LeaseHeld).await
}

async fn of_two_overs_that_meet_one_wins(ctx: &Context) -> Verdict {
    one_opens(ctx, Before::Driven, |driver| ctx.resuming().over(driver.fence), ErrorKind::LeaseHeld).await
}

async fn of_two_reopenings_that_meet_one_wins(ctx: &Context) -> Verdict {
    one_opens(ctx, Before::Failed, |_| ctx.resuming().reopen_failed(), ErrorKind::LeaseHeld).await
}

async fn of_one_open_that_meets_itself_one_fence_comes(ctx: &Context) -> Verdict {
    meet(
        ctx,
        Before::Due,
        |driver| {
            let open = ctx.resuming();
            (opens(&driver.run, open.clone()), opens(&driver.run, open))
        },
        |driver, left, right, image| {
            let (left, right, head) = (left?, right?, head(image)?);
            expect_eq("the two fences of one open", left.fence, right.fence)?;
            let stands = (head.fence, head.version, head.fence.epoch);
            expect_eq("what stands", stands, (left.fence, driver.version + 1, 2))
        },
    )
    .await
}

/// A commit that tells its number: in a record, where the store has a log, and in its note.
fn numbered(ctx: &Context, driver: &Driver, number: u64) -> Commit {
    let commit = ctx.next(driver).note(Note { done: number, ..Note::default() });
    match ctx.capabilities.supports_log() {
        true => commit.record(record(number)),
        false => commit,
    }
}

/// What commits of [`numbered`] have left must be that of these numbers.
#[track_caller]
fn holds(image: &Image, log: bool, numbers: &[u64]) -> Verdict {
    let bodies: Vec<_> = image.records.iter().map(|record| record.body.clone()).collect();
    let want = if log { numbers.iter().map(|number| record(*number).body).collect() } else { vec![] };
    expect_eq("the log", bodies, want)?;
    let note = head(image)?.note.as_ref().map(|note| note.done);
    expect_eq("the note", note.as_ref(), numbers.last())
}

async fn of_two_commits_that_meet_one_holds(ctx: &Context) -> Verdict {
    let log = ctx.capabilities.supports_log();
    meet(
        ctx,
        Before::Driven,
        |driver| (commits(numbered(ctx, driver, 1)), commits(numbered(ctx, driver, 2))),
        |driver, left, right, image| {
            let number = if left.is_ok() { 1 } else { 2 };
            let committed = one_of(left, right, ErrorKind::Conflict)?;
            expect_eq("the winner's version", committed.version, driver.version + 1)?;
            expect_eq("the run's version", head(image)?.version, driver.version + 1)?;
            holds(image, log, &[number])
        },
    )
    .await
}

async fn of_one_commit_that_meets_itself_one_is_stored(ctx: &Context) -> Verdict {
    let log = ctx.capabilities.supports_log();
    meet(
        ctx,
        Before::Driven,
        |driver| {
            let commit = numbered(ctx, driver, 1);
            (commits(commit.clone()), commits(commit))
        },
        |driver, left, right, image| {
            let (left, right) = (left?, right?);
            let first = Committed { version: driver.version + 1, cursor: u64::from(log), replayed: false };
            let answers = [left, right].map(|answer| Committed { replayed: false, ..*answer });
            expect_eq("the two answers to one commit", answers, [first; 2])?;
            expect("one of both is a replay", left.replayed != right.replayed, (left, right))?;
            expect_eq("the run's version", head(image)?.version, driver.version + 1)?;
            holds(image, log, &[1])
        },
    )
    .await
}

/// The old owner's write was before the takeover, or it was refused by the newer fence.
#[track_caller]
fn before_or_fenced<T: std::fmt::Debug>(written: Result<T>, current: Fence) -> Verdict<bool> {
    match written {
        Ok(_) => Ok(true),
        lost => refused_as("the old owner's write", lost, Refusal::Fenced { current }).map(|()| false),
    }
}

async fn a_commit_that_meets_a_takeover_is_before_it_or_refused(ctx: &Context) -> Verdict {
    let log = ctx.capabilities.supports_log();
    meet(
        ctx,
        Before::Driven,
        |driver| {
            let open = ctx.resuming().over(driver.fence);
            (commits(numbered(ctx, driver, 1)), opens(&driver.run, open))
        },
        |driver, written, opened, image| {
            let opened = opened?;
            let counted = before_or_fenced(written, opened.fence)?;
            let (version, cursor) =
                (driver.version + 1 + u64::from(counted), driver.cursor + u64::from(counted && log));
            let told = (opened.head.version, opened.head.cursor);
            expect_eq("version and cursor, as the successor was told", told, (version, cursor))?;
            let head = head(image)?;
            let stands = (head.fence, head.version, head.cursor);
            expect_eq("what stands", stands, (opened.fence, version, cursor))?;
            holds(image, log, if counted { &[1] } else { &[] })
        },
    )
    .await
}

async fn an_outcome_that_meets_a_takeover_is_before_it_or_refused(ctx: &Context) -> Verdict {
    meet(
        ctx,
        Before::Driven,
        |driver| {
            let last = ctx.next(driver).finish(completed(), Retain::Keep);
            (commits(last), opens(&driver.run, ctx.resuming().over(driver.fence)))
        },
        |driver, written, opened, image| {
            let head = head(image)?;
            expect_eq("the run's version", head.version, driver.version + 1)?;
            match opened {
                Ok(opened) => {
                    expect_eq("outcome and fence", (&head.outcome, head.fence), (&None, opened.fence))?;
                    refused_as("the outcome", written, Refusal::Fenced { current: opened.fence })
                }
                lost => {
                    expect_eq("the outcome", head.outcome.as_ref(), Some(&completed()))?;
                    refused_as("the takeover", lost, Refusal::Finished { outcome: completed() })?;
                    Ok(written.map(drop)?)
                }
            }
        },
    )
    .await
}

async fn a_renewal_that_meets_a_takeover_keeps_its_lease(ctx: &Context) -> Verdict {
    let longer = ctx.long() * 4;
    meet(
        ctx,
        Before::Driven,
        |driver| {
            let open = ctx.resuming().owner(Owner::new("successor")).over(driver.fence);
            (renews(&driver.run, Renew::new(driver.fence, longer)), opens(&driver.run, open))
        },
        |driver, written, opened, image| {
            let (opened, head) = (opened?, head(image)?);
            expect_eq("the run's version", head.version, driver.version + 1)?;
            expect_eq("the fence that stands", head.fence, opened.fence)?;
            expect_eq("whose lease it is", &head.lease, &opened.head.lease)?;
            expect_eq("its due", head.due, head.lease.as_ref().map(|lease| lease.until))?;
            before_or_fenced(written, opened.fence).map(drop)
        },
    )
    .await
}

async fn a_renewal_that_meets_a_commit_undoes_nothing(ctx: &Context) -> Verdict {
    let log = ctx.capabilities.supports_log();
    let longer = ctx.long() * 4;
    meet(
        ctx,
        Before::Driven,
        |driver| {
            let renew = Renew::new(driver.fence, longer);
            (renews(&driver.run, renew), commits(numbered(ctx, driver, 1)))
        },
        |driver, renewed, committed, image| {
            renewed?;
            let (committed, head) = (committed?, head(image)?);
            let stands = (head.version, head.cursor);
            expect_eq("version and cursor", stands, (committed.version, committed.cursor))?;
            expect_eq("the version", committed.version, driver.version + 1)?;
            let left = head.lease.as_ref().map(|lease| lease.until.since(head.updated_at));
            expect("the lease is extended", left.is_some_and(|left| left > ctx.long() * 2), left)?;
            holds(image, log, &[1])
        },
    )
    .await
}
