//! Odd run ids.

use std::collections::BTreeSet;

use super::{ALIKE, ODD, carry, is_carried};
use crate::areas::{
    listing::{ids, listed, lists},
    moves::whole,
    prelude::*,
};

cases! { ids:
    /// A run may bear any id of 1 to 255 bytes without NUL, and is a run like any other; many odd ones stay apart.
    odd_ids_are_ordinary_ids [],
    /// Ids that differ only by case, by normal form, by blanks or by look stay apart.
    ids_that_look_alike_stay_apart [],
    /// A run with an odd id goes through a whole life: everything that it has comes back, and it is deleted.
    an_odd_id_lives_a_whole_life [],
    /// Deleting a run named `*`, `%` or the like deletes that run only.
    deleting_a_pattern_deletes_that_run_only [],
    /// `user1` never matches `user10`: what is done to one is not done to the other.
    user1_is_not_user10 [],
    /// Ids of every length up to the limit work; those that differ in their last byte alone stay apart.
    ids_of_every_length [],
    /// An id over the store's limit is `TooLarge`, and one with NUL, an empty one and one of 256 bytes are none.
    longer_ids_are_refused [],
    /// Runs are listed by the bytes of their ids, whatever characters these are.
    odd_ids_are_listed_by_their_bytes [List],
    /// A prefix that holds odd characters is no pattern.
    an_odd_prefix_is_no_pattern [List],
    /// A run without a run of its name is not found, though another one's name would match it as a pattern.
    a_pattern_finds_nothing [],
}

/// Every odd id, once.
fn odd() -> Verdict<Vec<RunId>> {
    let texts: BTreeSet<_> = ODD.iter().chain(ALIKE.iter().copied().flatten()).collect();
    Ok(texts.into_iter().map(RunId::new).collect::<Result<_>>()?)
}

/// Carries and reads all of `runs` side by side.
async fn stay_apart(ctx: &Context, runs: &[RunId]) -> Verdict {
    for (number, run) in (0..).zip(runs) {
        carry(ctx, run, number).await?;
    }
    for (number, run) in (0..).zip(runs) {
        is_carried(ctx, run, number).await?;
    }
    Ok(())
}

async fn odd_ids_are_ordinary_ids(ctx: &Context) -> Verdict {
    stay_apart(ctx, &odd()?).await
}

async fn ids_that_look_alike_stay_apart(ctx: &Context) -> Verdict {
    for (group, alike) in ALIKE.iter().enumerate() {
        let runs = alike.iter().map(|text| RunId::new(format!("{group}{text}")));
        let runs = runs.collect::<Result<Vec<_>>>()?;
        stay_apart(ctx, &runs).await?;
        // The first goes; the others stay.
        ctx.a.delete(&runs[0], Delete::Any).await?;
        expect_eq("the deleted one", ctx.b.head(&runs[0]).await?, None)?;
        for (number, run) in (0..).zip(&runs).skip(1) {
            is_carried(ctx, run, number).await?;
        }
    }
    Ok(())
}

async fn an_odd_id_lives_a_whole_life(ctx: &Context) -> Verdict {
    for run in odd()?.iter().step_by(3) {
        let mut driver = ctx.create(run).await?;
        let commit = whole(ctx, &driver);
        ctx.commit(&mut driver, |_| commit.clone()).await?;
        let replay = ctx.b.commit(commit.clone()).await?;
        expect("sent again it is a replay", replay.replayed, replay)?;
        ctx.b.renew(run, Renew::new(driver.fence, ctx.long() * 3)).await?;
        if ctx.capabilities.supports_inbox() {
            let sent = ctx.b.send(run, ctx.message("1", run.as_str().to_owned())).await?;
            expect_eq("a message", sent, Sent::Accepted { number: 1 })?;
        }
        let image = ctx.image(run).await?;
        crate::areas::moves::holds_whole(&image, &commit)?;
        let opened = ctx.b.open(run, ctx.resuming().over(driver.fence)).await?;
        let late = ctx.a.commit(ctx.next(&driver)).await;
        refused_as("the old owner", late, Refusal::Fenced { current: opened.fence })?;
        ctx.complete(&mut Driver::of(&opened)).await?;
        let guard = Delete::Finished(opened.fence.incarnation);
        expect_eq("the deletion", ctx.a.delete(run, guard).await?, true)?;
        crate::areas::deletion::is_gone(ctx, run).await?;
    }
    Ok(())
}

async fn deleting_a_pattern_deletes_that_run_only(ctx: &Context) -> Verdict {
    let patterns = [
        "*",
        "%",
        "_",
        "?",
        "[a]",
        "{a}",
        "a*",
        "a%",
        "a?",
        "a_",
        ".*",
        "..",
        "/",
        "a/",
        "'",
        "a' OR '1'='1",
    ];
    let others = ["a", "ab", "aa", "b", "x", "a/b", "/a", "a/b/c", "1"];
    let runs = patterns.iter().chain(&others).map(RunId::new).collect::<Result<Vec<_>>>()?;
    for (number, run) in (0..).zip(&runs) {
        carry(ctx, run, number).await?;
    }
    for (gone, run) in runs.iter().enumerate().take(patterns.len()) {
        expect_eq(&format!("the deletion of {run:?}"), ctx.a.delete(run, Delete::Any).await?, true)?;
        expect_eq(&format!("the head of {run:?}"), ctx.b.head(run).await?, None)?;
        for (number, other) in (0..).zip(&runs).skip(gone + 1) {
            let head = ctx.head(other).await?;
            expect_eq(&format!("the note of {other:?}"), head.note.map(|note| note.done), Some(number))?;
        }
    }
    for (number, run) in (0..).zip(&runs).skip(patterns.len()) {
        is_carried(ctx, run, number).await?;
    }
    Ok(())
}

async fn user1_is_not_user10(ctx: &Context) -> Verdict {
    let (one, ten) = (RunId::new("user1")?, RunId::new("user10")?);
    for parent in [&one, &ten] {
        let mut driver = carry(ctx, parent, 0).await?;
        let child = Open { info: Some(RunInfo::named("child").parent(parent.clone())), ..ctx.creating() };
        ctx.a.open(&RunId::new(format!("child of {parent}"))?, child).await?;
        if ctx.capabilities.supports_blobs() {
            let blob = Blob { name: Digest::of(b"shared"), body: parent.as_str().to_owned().into() };
            ctx.commit(&mut driver, |commit| commit.blob(blob)).await?;
        }
        if ctx.capabilities.supports_inbox() {
            ctx.a.send(parent, ctx.message("key", parent.as_str().to_owned())).await?;
        }
    }
    if ctx.capabilities.supports_list() {
        let of_one = Query { parent: Some(one.clone()), ..Query::all() };
        lists(ctx, &of_one, [&RunId::new("child of user1")?]).await?;
        let both = Query { id_prefix: Some("user1".into()), ..Query::all() };
        lists(ctx, &both, [&one, &ten]).await?;
    }
    let before = ctx.image(&ten).await?;
    let fence = ctx.head(&one).await?.fence;
    ctx.a.open(&one, ctx.resuming().over(fence)).await?;
    before.same_as(&ctx.image(&ten).await?)?;
    ctx.a.delete(&one, Delete::Any).await?;
    before.same_as(&ctx.image(&ten).await?)?;
    expect_eq("the head of the deleted one", ctx.b.head(&one).await?, None)
}

async fn ids_of_every_length(ctx: &Context) -> Verdict {
    let limit = usize::try_from(ctx.capabilities.limits.run_id).unwrap_or(RunId::LIMIT).min(RunId::LIMIT);
    let mut runs = Vec::new();
    for length in (1..=16).chain((17..limit).step_by(23)).chain([limit - 1, limit]) {
        runs.push(RunId::new("x".repeat(length))?);
    }
    let stem = "y".repeat(limit - 1);
    for last in ["a", "b", "A", "0", " ", "/", "%"] {
        runs.push(RunId::new(format!("{stem}{last}"))?);
    }
    // Many bytes when they are encoded, and a character that a cut would split.
    for fill in ["%", "/", " ", "\u{1}", "\u{e9}", "\u{1f600}"] {
        let text = fill.repeat(limit / fill.len());
        let padding = "z".repeat(limit - text.len());
        runs.push(RunId::new(format!("{padding}{text}"))?);
    }
    runs.sort();
    runs.dedup();
    stay_apart(ctx, &runs).await
}

async fn longer_ids_are_refused(ctx: &Context) -> Verdict {
    for none in ["", "\0", "a\0", "\0a", &"x".repeat(RunId::LIMIT + 1), &"\u{e9}".repeat(128)] {
        let error = RunId::new(none).map(drop);
        refused(&format!("{none:?} as an id"), error, ErrorKind::Invalid)?;
    }
    let limit = ctx.capabilities.limits.run_id;
    if limit >= RunId::LIMIT as u64 {
        let run = RunId::new("x".repeat(RunId::LIMIT))?;
        carry(ctx, &run, 1).await?;
        return is_carried(ctx, &run, 1).await;
    }
    let run = RunId::new("x".repeat(limit as usize + 1))?;
    refused("an open", ctx.a.open(&run, ctx.creating()).await, ErrorKind::TooLarge).map(drop)
}

async fn odd_ids_are_listed_by_their_bytes(ctx: &Context) -> Verdict {
    let runs = odd()?;
    for run in &runs {
        ctx.create(run).await?;
    }
    for page in [1, 7, 1000] {
        let query = Query { page: Some(page), ..Query::all() };
        expect_eq(&format!("in pages of {page}"), &ids(&listed(ctx, &query).await?), &runs)?;
    }
    let newest = Query { order: Order::NewestFirst, page: Some(9), ..Query::all() };
    lists(ctx, &newest, &runs).await
}

async fn an_odd_prefix_is_no_pattern(ctx: &Context) -> Verdict {
    let runs = odd()?;
    for run in &runs {
        ctx.create(run).await?;
    }
    for prefix in ODD {
        let want = runs.iter().filter(|run| run.as_str().starts_with(prefix));
        lists(ctx, &Query { id_prefix: Some((*prefix).into()), ..Query::all() }, want).await?;
    }
    lists(ctx, &Query { id_prefix: Some("\0".into()), ..Query::all() }, []).await
}

async fn a_pattern_finds_nothing(ctx: &Context) -> Verdict {
    carry(ctx, &RunId::new("abc")?, 1).await?;
    carry(ctx, &RunId::new("a/b")?, 2).await?;
    for pattern in
        ["*", "%", "a%", "a_c", "a?c", "a*", "ABC", "abc ", "[a]bc", "a/*", "a//b", "a/./b", "ab", "abcd"]
    {
        let run = RunId::new(pattern)?;
        expect_eq(&format!("the head of {pattern:?}"), ctx.a.head(&run).await?, None)?;
        expect_eq(&format!("the deletion of {pattern:?}"), ctx.a.delete(&run, Delete::Any).await?, false)?;
        refused(pattern, ctx.a.open(&run, ctx.resuming()).await, ErrorKind::NotFound)?;
    }
    is_carried(ctx, &RunId::new("abc")?, 1).await?;
    is_carried(ctx, &RunId::new("a/b")?, 2).await
}
