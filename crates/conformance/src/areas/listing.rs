//! Listing: finding runs by what they are and what they are doing, and recovering those that nobody drives.

pub(crate) mod filters;
pub(crate) mod pages;
pub(crate) mod recover;
pub(crate) mod settled;
pub(crate) mod status;

use std::cmp::Reverse;

use futures_util::future::try_join_all;

use super::prelude::*;

/// The ids of `heads`, in their order.
pub(crate) fn ids(heads: &[Head]) -> Vec<RunId> {
    heads.iter().map(|head| head.run.clone()).collect()
}

/// `heads`, which `query` gave, must come in the order that it asks for, none twice, and be what it asks for.
#[track_caller]
pub(crate) fn answers(query: &Query, heads: &[Head]) -> Verdict {
    for head in heads {
        let asked = format!("{:?} is what was asked for by {query:?}", head.run);
        expect(&asked, query.matches(head), head)?;
    }
    let place = |head: &Head| {
        let newest = query.order == Order::NewestFirst;
        (newest.then_some(Reverse(head.created_at)), head.run.clone())
    };
    let sorted = heads.is_sorted_by(|one, next| place(one) < place(next));
    expect(&format!("the runs come in order ({:?}), and none twice", query.order), sorted, ids(heads))
}

/// All that `query` gives, the same by both handles, while nobody writes.
pub(crate) async fn listed(ctx: &Context, query: &Query) -> Verdict<Vec<Head>> {
    let heads = collect(ctx.b.list(query.clone())).await?;
    answers(query, &heads)?;
    let others = collect(ctx.a.list(query.clone())).await?;
    expect_eq("what the other handle lists", ids(&others), ids(&heads))?;
    Ok(heads)
}

/// `query` must give exactly the runs `want`, in whatever order they stand there.
pub(crate) async fn lists<'a>(
    ctx: &Context,
    query: &Query,
    want: impl IntoIterator<Item = &'a RunId>,
) -> Verdict {
    let mut want: Vec<RunId> = want.into_iter().cloned().collect();
    let mut got = ids(&listed(ctx, query).await?);
    want.sort();
    got.sort();
    expect_eq(&format!("what {} gives", told(query)), got, want)
}

/// What `query` asks for, without what it leaves open.
pub(crate) fn told(query: &Query) -> String {
    let text = format!("{query:?}");
    let open = ["None", "[]", "false", "Id"].map(|nothing| format!(": {nothing}"));
    let body = text.trim_start_matches("Query { ").trim_end_matches(" }");
    let set: Vec<_> = body.split(", ").filter(|part| !open.iter().any(|open| part.ends_with(open))).collect();
    format!("Query {{ {} }}", set.join(", "))
}

/// Creates up to `most` runs from what `open` makes of each one's number, several at a time: as many as a fifth of
/// the effort allows.
pub(crate) async fn populate(
    ctx: &Context,
    most: u32,
    name: impl Fn(u32) -> RunId,
    open: impl Fn(u32) -> Open,
) -> Verdict<Vec<Driver>> {
    const AT_ONCE: u32 = 50;
    let mut drivers = Vec::new();
    for batch in ctx.rounds(most.div_ceil(AT_ONCE)) {
        let numbers = batch * AT_ONCE..most.min((batch + 1) * AT_ONCE);
        let opening = numbers.map(|number| {
            let (run, open) = (name(number), open(number));
            async move { ctx.a.open(&run, open).await }
        });
        drivers.extend(try_join_all(opening).await?.iter().map(Driver::of));
    }
    Ok(drivers)
}

/// Ends the run of `driver` as failed.
pub(crate) async fn fail(ctx: &Context, driver: &mut Driver, kind: FailureKind) -> Verdict {
    let failure = milepost_core::Failure::new(kind, "it did");
    ctx.commit(driver, |commit| commit.finish(Outcome::Failed { failure }, Retain::Keep)).await.map(drop)
}

/// A run of each status, with it.
pub(crate) async fn one_of_each(ctx: &Context) -> Verdict<Vec<(Status, RunId)>> {
    let mut runs = Vec::new();
    for status in [Status::Running, Status::Waiting, Status::Interrupted, Status::Completed, Status::Failed] {
        let run = ctx.run(&status.to_string());
        let mut driver = ctx.create(&run).await?;
        match status {
            Status::Running => {}
            Status::Waiting => {
                let at = ctx.head(&run).await?.at + ctx.long() * 10;
                ctx.commit(&mut driver, |commit| commit.release(Wake::at(at))).await?;
            }
            Status::Interrupted => {
                ctx.commit(&mut driver, |commit| commit.release(Wake::now())).await?;
            }
            Status::Completed => drop(ctx.complete(&mut driver).await?),
            Status::Failed => fail(ctx, &mut driver, FailureKind::Panicked).await?,
        }
        runs.push((status, run));
    }
    Ok(runs)
}
