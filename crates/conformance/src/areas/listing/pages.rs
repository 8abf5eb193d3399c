//! Order, limits and pages.

use std::{collections::BTreeSet, sync::Arc};

use super::{answers, fail, ids, listed, lists, populate};
use crate::areas::prelude::*;

cases! { listing:
    /// Runs come in the order of their ids' bytes, or the newest first and equal ones by their ids; how many are
    /// fetched in a trip changes nothing.
    the_page_never_changes_the_result [List],
    /// The newest comes first, by when it was created, and not by when it was last worked on.
    newest_first_is_by_creation [List],
    /// At most `limit` runs come: the first ones, with filters, in either order.
    a_limit_cuts_the_listing [List],
    /// A listing is judged at its first page's now: what becomes due while it is read does not come, and what was
    /// running then still does.
    a_listing_is_cut_at_its_first_page [List],
    /// A run that was created after the first page does not come.
    what_comes_later_is_not_listed [List],
    /// While runs come and go, every run that matches throughout comes exactly once, in order.
    complete_while_runs_come_and_go [List],
    /// The same while writers on both handles race the reader.
    complete_beside_racing_writers [List],
    /// Ten thousand runs come completely, in order, none twice, and a first few of them at once.
    ten_thousand_runs [List],
    /// Listings that are half read hold up neither writers nor readers, however many there are.
    half_read_listings_hold_nobody_up [List],
}

/// Both orders.
const ORDERS: [Order; 2] = [Order::Id, Order::NewestFirst];

async fn the_page_never_changes_the_result(ctx: &Context) -> Verdict {
    let names = ["b", "a", "aa", "B", "a ", "\u{e9}", "z", "\u{10ffff}", "\u{e000}", "a/b", "0", "10", "9"];
    for name in names {
        ctx.create(&RunId::new(name)?).await?;
    }
    for order in ORDERS {
        let all = listed(ctx, &Query { order, ..Query::all() }).await?;
        expect_eq("how many are listed", all.len(), names.len())?;
        for page in [0, 1, 2, 3, 12, 13, 14, 256, u32::MAX] {
            let got = listed(ctx, &Query { order, page: Some(page), ..Query::all() }).await?;
            expect_eq(&format!("{order:?} in pages of {page}"), ids(&got), ids(&all))?;
        }
    }
    Ok(())
}

async fn newest_first_is_by_creation(ctx: &Context) -> Verdict {
    let newest = Query { order: Order::NewestFirst, ..Query::all() };
    let mut created = Vec::new();
    for label in ["m", "z", "a", "k", "b"] {
        ctx.pass(Duration::from_millis(2)).await;
        created.push(ctx.create(&ctx.run(label)).await?);
    }
    ctx.pass(Duration::from_millis(2)).await;
    let oldest = &mut created[0];
    ctx.commit(oldest, |commit| commit.note(Note::default())).await?;
    ctx.complete(&mut created[2]).await?;
    let opened = ctx.a.open(&created[1].run, ctx.resuming().over(created[1].fence)).await?;
    expect_eq("who is opened again", opened.fence.epoch, 2)?;
    let want: Vec<_> = created.iter().rev().map(|driver| driver.run.clone()).collect();
    for page in [1, 2, 5, 9] {
        let got = listed(ctx, &Query { page: Some(page), ..newest.clone() }).await?;
        expect_eq(&format!("the newest first, {page} a page"), &ids(&got), &want)?;
    }
    // Deleted and created again, it is new.
    ctx.a.delete(&want[4], Delete::Any).await?;
    ctx.create(&want[4]).await?;
    let got = ids(&listed(ctx, &newest).await?);
    expect_eq("the newest one", got.first(), want.last())
}

async fn a_limit_cuts_the_listing(ctx: &Context) -> Verdict {
    populate(
        ctx,
        20,
        |number| ctx.run(&format!("r{number}")),
        |number| {
            let name = ["even", "odd"][number as usize % 2];
            Open { info: Some(RunInfo::named(name)), ..ctx.creating() }
        },
    )
    .await?;
    for order in ORDERS {
        for name in [None, Some("odd".to_owned())] {
            let query = Query { order, name, ..Query::all() };
            let all = ids(&listed(ctx, &query).await?);
            let some = all.len() as u64;
            for limit in [0, 1, 2, some - 1, some, some + 1, 1 << 32, u64::MAX] {
                for page in [None, Some(1), Some(3), Some(1000)] {
                    let got = listed(ctx, &Query { limit: Some(limit), page, ..query.clone() }).await?;
                    let want = &all[..all.len().min(usize::try_from(limit).unwrap_or(usize::MAX))];
                    expect_eq(&format!("at most {limit} in pages of {page:?}"), &*ids(&got), want)?;
                }
            }
        }
    }
    Ok(())
}

async fn a_listing_is_cut_at_its_first_page(ctx: &Context) -> Verdict {
    let (first, second) = (ctx.run("a"), ctx.run("b"));
    let mut unread = ctx.b.list(Query::all());
    ctx.pass(Duration::from_millis(2)).await;
    let mut driver = ctx.create(&first).await?;
    let got = next(&mut unread).await?;
    expect_eq("what came before its first page", got.map(|head| head.run), Some(first.clone()))?;
    ctx.create_briefly(&second).await?;
    let running = Query { status: Some(Status::Running), page: Some(1), ..Query::all() };
    let mut stream = ctx.b.list(running);
    let got = next(&mut stream).await?;
    expect_eq("the first that is running", got.map(|head| head.run), Some(first.clone()))?;
    ctx.expire().await;
    let got = next(&mut stream).await?;
    let told = got.as_ref().map(|head| (&head.run, head.status()));
    expect_eq("the second that was running", told, Some((&second, Status::Running)))?;
    expect_eq("its end", next(&mut stream).await?, None)?;

    ctx.commit(&mut driver, |commit| commit.release(Wake::now())).await?;
    let reopened = ctx.open_due(&second, ctx.resuming().ttl(ctx.brief())).await?;
    let mut stream = ctx.b.list(Query { page: Some(1), ..Query::interrupted() });
    let got = next(&mut stream).await?;
    expect_eq("the first that is interrupted", got.map(|head| head.run), Some(first.clone()))?;
    ctx.expire().await;
    expect_eq("what became due later", next(&mut stream).await?, None)?;
    expect_eq("its epoch", reopened.fence.epoch, 2)?;
    lists(ctx, &Query::interrupted(), [&first, &second]).await
}

async fn what_comes_later_is_not_listed(ctx: &Context) -> Verdict {
    for (round, order) in ORDERS.into_iter().enumerate() {
        let name = Some(format!("round {round}"));
        let open = || Open { info: Some(RunInfo::named(format!("round {round}"))), ..ctx.creating() };
        let run = |label: &str| ctx.run(&format!("{label}{round}"));
        for label in ["b", "d", "f"] {
            ctx.a.open(&run(label), open()).await?;
        }
        ctx.pass(Duration::from_millis(2)).await;
        let mut stream = ctx.b.list(Query { order, name, page: Some(1), ..Query::all() });
        let mut got = vec![next(&mut stream).await?];
        ctx.pass(Duration::from_millis(2)).await;
        for label in ["a", "c", "e", "g"] {
            ctx.a.open(&run(label), open()).await?;
        }
        while got.last().is_some_and(Option::is_some) {
            got.push(next(&mut stream).await?);
        }
        let mut got: Vec<_> = got.into_iter().flatten().map(|head| head.run).collect();
        got.sort();
        expect_eq("what was there at first", got, ["b", "d", "f"].map(run).to_vec())?;
    }
    Ok(())
}

async fn complete_while_runs_come_and_go(ctx: &Context) -> Verdict {
    for (round, order) in ORDERS.into_iter().enumerate() {
        let run = |number: u32| ctx.run(&format!("{round}-{number:03}"));
        let mut drivers = populate(ctx, 60, run, |_| ctx.creating()).await?;
        ctx.pass(Duration::from_millis(2)).await;
        let query = Query { status: Some(Status::Running), order, page: Some(4), ..Query::all() };
        let mut stream = ctx.b.list(query.clone());
        let mut got = Vec::new();
        let mut stays: BTreeSet<_> = drivers.iter().map(|driver| driver.run.clone()).collect();
        // With each run that is read, others go: deleted, finished, deleted and created again.
        let mut step = 0;
        while let Some(head) = next(&mut stream).await? {
            got.push(head);
            for _ in 0..2 {
                let at = (step * 7) % drivers.len();
                step += 1;
                let driver = &mut drivers[at];
                if at % 3 == 0 || !stays.remove(&driver.run) {
                    continue;
                }
                match at % 4 {
                    0 => drop(ctx.a.delete(&driver.run, Delete::Any).await?),
                    1 => drop(ctx.complete(driver).await?),
                    2 => fail(ctx, driver, FailureKind::Error).await?,
                    _ => {
                        ctx.a.delete(&driver.run, Delete::Any).await?;
                        ctx.create(&driver.run).await?;
                    }
                }
            }
            ctx.create(&ctx.run(&format!("{round}-later-{step:03}"))).await?;
        }
        answers(&query, &got)?;
        let got: BTreeSet<_> = ids(&got).into_iter().collect();
        let missing: Vec<_> = stays.difference(&got).collect();
        expect("every run that stays is listed", missing.is_empty(), missing)?;
        for driver in &drivers {
            ctx.a.delete(&driver.run, Delete::Any).await?;
        }
    }
    Ok(())
}

/// How often the racing readers and writers begin again.
const ROUNDS: u32 = 4;

async fn complete_beside_racing_writers(ctx: &Context) -> Verdict {
    let stays = populate(ctx, 40, |number| ctx.run(&format!("s{number:02}")), |_| ctx.creating()).await?;
    let comes: Vec<_> = (0..40).map(|number| ctx.run(&format!("t{number:02}"))).collect();
    let (stays, comes) = (Arc::new(stays), Arc::new(comes));
    let opens: Arc<Vec<_>> = Arc::new((0..40).map(|_| ctx.creating()).collect());
    let verdicts = ctx
        .race(6, |index, store| {
            let (stays, comes, opens) = (stays.clone(), comes.clone(), opens.clone());
            async move {
                for round in 0..ROUNDS {
                    if index < 3 {
                        read(&*store, &stays, ORDERS[index % 2]).await?;
                        continue;
                    }
                    for (run, open) in comes.iter().zip(opens.iter()).skip(index - 3).step_by(3) {
                        let id = OperationId(open.id.0 ^ u128::from(round));
                        store.open(run, Open { id, ..open.clone() }).await?;
                        store.delete(run, Delete::Any).await?;
                    }
                }
                Ok(())
            }
        })
        .await?;
    verdicts.into_iter().collect()
}

/// Lists everything, a few at a time: none of `stays` may be missing.
async fn read(store: &dyn Store, stays: &[Driver], order: Order) -> Verdict {
    let query = Query { order, page: Some(3), ..Query::all() };
    let heads = collect(store.list(query.clone())).await?;
    answers(&query, &heads)?;
    let got: BTreeSet<_> = heads.iter().map(|head| &head.run).collect();
    let missing: Vec<_> = stays.iter().map(|driver| &driver.run).filter(|run| !got.contains(run)).collect();
    expect("every run that stays is listed", missing.is_empty(), missing)
}

async fn ten_thousand_runs(ctx: &Context) -> Verdict {
    let run = |number: u32| ctx.run(&format!("{:08x}", number.wrapping_mul(0x9e37_79b1)));
    let drivers = populate(ctx, ctx.tuning().runs, run, |_| ctx.creating()).await?;
    let mut want: Vec<_> = drivers.into_iter().map(|driver| driver.run).collect();
    want.sort();
    for (query, some) in [
        (Query { limit: Some(10), ..Query::all() }, 10),
        (Query { status: Some(Status::Running), ..Query::all() }, want.len()),
        (Query { order: Order::NewestFirst, page: Some(1000), ..Query::all() }, want.len()),
    ] {
        let (mut stream, mut got) = (ctx.b.list(query.clone()), Vec::new());
        while let Some(head) = next(&mut stream).await? {
            got.push(head);
        }
        answers(&query, &got)?;
        let mut got = ids(&got);
        got.sort();
        let few = &want[..some.min(want.len())];
        let same = got == few;
        expect(&format!("{} gives {} runs", super::told(&query), few.len()), same, got.len())?;
    }
    Ok(())
}

async fn half_read_listings_hold_nobody_up(ctx: &Context) -> Verdict {
    populate(ctx, 20, |number| ctx.run(&format!("r{number}")), |_| ctx.creating()).await?;
    let mut half = Vec::new();
    for number in 0..100 {
        let query = Query { order: ORDERS[number % 2], page: Some(1), ..Query::all() };
        let mut stream = if number % 3 == 0 { ctx.a.list(query) } else { ctx.b.list(query) };
        if number % 10 != 0 {
            let head = next(&mut stream).await?;
            expect("something is listed", head.is_some(), &head)?;
        }
        half.push(stream);
    }
    let mut driver = ctx.create(&ctx.run("written")).await?;
    ctx.complete(&mut driver).await?;
    ctx.b.delete(&driver.run, Delete::Any).await?;
    for store in [&ctx.a, &ctx.b] {
        expect_eq("how many are listed", collect(store.list(Query::all())).await?.len(), 20)?;
    }
    drop(half);
    lists(ctx, &Query { name: Some("nothing".into()), ..Query::all() }, []).await
}
