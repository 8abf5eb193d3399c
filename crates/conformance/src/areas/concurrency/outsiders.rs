//! Outsiders that meet the owner, or each other: who sends, and who deletes.

use super::{Before, head, meet};
use crate::{
    areas::{moves::completed, prelude::*},
    duel::{commits, deletes, opens, sends},
};

cases! { concurrency:
    /// Two messages that meet at one instant are both kept, under two numbers.
    messages_that_meet_are_both_kept [Inbox] once "two handles must stand to meet",
    /// Of two messages of one key that meet at one instant one is the first, and the other is told so.
    of_two_messages_of_one_key_that_meet_one_is_first [Inbox] once "two handles must stand to meet",
    /// A message that meets a commit at one instant undoes nothing of it, nor it of the message.
    a_message_that_meets_a_commit_is_kept [Inbox] once "two handles must stand to meet",
    /// A message that meets the outcome at one instant is before it and kept, or is told `Finished`.
    a_message_that_meets_the_outcome_is_kept_or_told [Inbox] once "two handles must stand to meet",
    /// A message that meets the release that waits for it at one instant makes the run due.
    a_message_that_meets_the_release_wakes [Inbox] once "two handles must stand to meet",
    /// Of two deletions that meet at one instant one removes the run.
    of_two_deletions_that_meet_one_removes [] once "two handles must stand to meet",
    /// A deletion that meets a commit at one instant leaves nothing of the run.
    a_deletion_that_meets_a_commit_leaves_nothing [] once "two handles must stand to meet",
    /// A deletion that meets a message at one instant leaves nothing of the run.
    a_deletion_that_meets_a_message_leaves_nothing [Inbox] once "two handles must stand to meet",
    /// Of a deletion of an undriven run and a takeover that meet at one instant one holds.
    of_a_deletion_and_a_takeover_that_meet_one_holds [] once "two handles must stand to meet",
    /// Of a deletion of a failed run and its reopening that meet at one instant one holds.
    of_a_deletion_and_a_reopening_that_meet_one_holds [] once "two handles must stand to meet",
}

/// The numbers of the messages that wait.
fn waiting(image: &Image) -> Vec<u64> {
    image.messages.iter().map(|message| message.number).collect()
}

async fn messages_that_meet_are_both_kept(ctx: &Context) -> Verdict {
    meet(
        ctx,
        Before::Driven,
        |Driver { run, .. }| {
            (sends(run, ctx.message("one", "one")), sends(run, ctx.message("other", "other")))
        },
        |_, left, right, image| {
            let number = |sent: &Sent| match sent {
                Sent::Accepted { number } => Some(*number),
                _ => None,
            };
            let mut numbers = [number(left?), number(right?)];
            numbers.sort_unstable();
            expect_eq("the numbers of two messages", numbers, [Some(1), Some(2)])?;
            expect_eq("what waits", waiting(image), [1, 2])?;
            expect_eq("the newest message", head(image)?.newest_message, 2)
        },
    )
    .await
}

async fn of_two_messages_of_one_key_that_meet_one_is_first(ctx: &Context) -> Verdict {
    meet(
        ctx,
        Before::Driven,
        |Driver { run, .. }| (sends(run, ctx.message("key", "one")), sends(run, ctx.message("key", "other"))),
        |_, left, right, image| {
            let (left, right) = (left?, right?);
            let want = match left {
                Sent::Accepted { number: 1 } => (*left, Sent::Conflicting { number: 1 }, "one"),
                _ => (Sent::Conflicting { number: 1 }, Sent::Accepted { number: 1 }, "other"),
            };
            expect_eq("the two answers", (*left, *right), (want.0, want.1))?;
            let bodies: Vec<_> = image.messages.iter().map(|message| message.body.clone()).collect();
            expect_eq("what waits", bodies, [want.2])?;
            expect_eq("the newest message", head(image)?.newest_message, 1)
        },
    )
    .await
}

async fn a_message_that_meets_a_commit_is_kept(ctx: &Context) -> Verdict {
    meet(
        ctx,
        Before::Told,
        |driver| {
            let note = Note { done: 7, ..Note::default() };
            let taking = ctx.next(driver).take(1).note(note);
            (sends(&driver.run, ctx.message("key", "new")), commits(taking))
        },
        |driver, sent, committed, image| {
            expect_eq("the answer to the message", *sent?, Sent::Accepted { number: 2 })?;
            let (committed, head) = (committed?, head(image)?);
            expect_eq("its version", committed.version, driver.version + 1)?;
            let stands = (head.version, head.newest_message, head.note.as_ref().map(|note| note.done));
            expect_eq("version, newest message and note", stands, (driver.version + 1, 2, Some(7)))?;
            expect_eq("what waits", waiting(image), [2])
        },
    )
    .await
}

async fn a_message_that_meets_the_outcome_is_kept_or_told(ctx: &Context) -> Verdict {
    meet(
        ctx,
        Before::Driven,
        |driver| {
            let last = ctx.next(driver).finish(completed(), Retain::Keep);
            (sends(&driver.run, ctx.message("key", "new")), commits(last))
        },
        |_, sent, committed, image| {
            committed?;
            let head = head(image)?;
            expect_eq("the outcome", head.outcome.as_ref(), Some(&completed()))?;
            match sent {
                Ok(sent) => {
                    expect_eq("the answer to the message", *sent, Sent::Accepted { number: 1 })?;
                    expect_eq("the newest message", head.newest_message, 1)?;
                    expect_eq("what waits", waiting(image), [1])
                }
                late => {
                    refused_as("the message", late, Refusal::Finished { outcome: completed() })?;
                    expect_eq("the newest message", head.newest_message, 0)
                }
            }
        },
    )
    .await
}

async fn a_message_that_meets_the_release_wakes(ctx: &Context) -> Verdict {
    meet(
        ctx,
        Before::Driven,
        |driver| {
            let release = ctx.next(driver).release(Wake::message(0));
            (sends(&driver.run, ctx.message("key", "new")), commits(release))
        },
        |driver, sent, released, image| {
            expect_eq("the answer to the message", *sent?, Sent::Accepted { number: 1 })?;
            expect_eq("the version of the release", released?.version, driver.version + 1)?;
            let head = head(image)?;
            expect_eq("nobody drives it", &head.lease, &None)?;
            expect("a message is there, so that it is due", head.due.is_some(), head)
        },
    )
    .await
}

async fn of_two_deletions_that_meet_one_removes(ctx: &Context) -> Verdict {
    meet(
        ctx,
        Before::Due,
        |Driver { run, fence, .. }| {
            (deletes(run, Delete::Any), deletes(run, Delete::NotDriven(fence.incarnation)))
        },
        |_, left, right, image| {
            let (left, right) = (*left?, *right?);
            expect("one of both removed it", left != right, (left, right))?;
            expect_eq("the head of the deleted run", &image.head, &None)
        },
    )
    .await
}

async fn a_deletion_that_meets_a_commit_leaves_nothing(ctx: &Context) -> Verdict {
    meet(
        ctx,
        Before::Driven,
        |driver| {
            let commit = ctx.next(driver);
            let commit = if ctx.capabilities.supports_log() { commit.record(record(1)) } else { commit };
            (deletes(&driver.run, Delete::Any), commits(commit))
        },
        |_, deleted, committed, image| {
            expect_eq("the answer to the deletion", *deleted?, true)?;
            if committed.is_err() {
                refused_as("the commit", committed, Refusal::NotFound)?;
            }
            expect_eq("the head of the deleted run", &image.head, &None)
        },
    )
    .await
}

async fn a_deletion_that_meets_a_message_leaves_nothing(ctx: &Context) -> Verdict {
    meet(
        ctx,
        Before::Driven,
        |Driver { run, .. }| (deletes(run, Delete::Any), sends(run, ctx.message("key", "late"))),
        |_, deleted, sent, image| {
            expect_eq("the answer to the deletion", *deleted?, true)?;
            if sent.is_err() {
                refused_as("the message", sent, Refusal::NotFound)?;
            }
            expect_eq("the head of the deleted run", &image.head, &None)
        },
    )
    .await
}

/// A guarded deletion and an open have met: one of them holds, and the other is told why not.
fn one_holds(deleted: Result<&bool>, opened: Result<&Opened>, image: &Image, guard: Clash) -> Verdict {
    match opened {
        Ok(opened) => {
            clashed("the deletion after the open", deleted, guard)?;
            expect_eq("the fence of the run that stays", head(image)?.fence, opened.fence)
        }
        lost => {
            refused_as("the open after the deletion", lost, Refusal::NotFound)?;
            expect_eq("the answer to the deletion", *deleted?, true)?;
            expect_eq("the head of the deleted run", &image.head, &None)
        }
    }
}

async fn of_a_deletion_and_a_takeover_that_meet_one_holds(ctx: &Context) -> Verdict {
    meet(
        ctx,
        Before::Due,
        |Driver { run, fence, .. }| {
            (deletes(run, Delete::NotDriven(fence.incarnation)), opens(run, ctx.resuming()))
        },
        |_, deleted, opened, image| one_holds(deleted, opened, image, Clash::Driven),
    )
    .await
}

async fn of_a_deletion_and_a_reopening_that_meet_one_holds(ctx: &Context) -> Verdict {
    meet(
        ctx,
        Before::Failed,
        |Driver { run, fence, .. }| {
            let open = ctx.resuming().reopen_failed();
            (deletes(run, Delete::Finished(fence.incarnation)), opens(run, open))
        },
        |_, deleted, opened, image| one_holds(deleted, opened, image, Clash::NotFinished),
    )
    .await
}
