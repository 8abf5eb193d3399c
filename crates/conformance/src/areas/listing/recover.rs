//! Recovery as a store carries it: list what is interrupted, open it, go on.

use std::{collections::BTreeMap, sync::Arc};

use super::{listed, lists, populate};
use crate::{Failure, areas::prelude::*};

cases! { listing:
    /// What is listed of an interrupted run is enough to dispatch it again: its name, manifest, parent, labels, meta,
    /// how far it is and how often it lapsed; and its fence, to take it over by.
    what_is_listed_is_enough_to_dispatch [List],
    /// Recoverers that list and open what was released share the runs: each is driven exactly once.
    recoverers_share_released_runs [List],
    /// Recoverers that list and open runs whose lease ran out share them: each is driven exactly once, and has lapsed
    /// once.
    recoverers_share_runs_of_the_dead [List],
    /// A run that is taken over again and again without advancing is listed with every lapse.
    lapses_are_listed [List],
}

async fn what_is_listed_is_enough_to_dispatch(ctx: &Context) -> Verdict {
    let (run, parent) = (ctx.run("killed"), ctx.run("parent"));
    let info = RunInfo::named("import")
        .parent(parent)
        .label("tenant", "a")
        .label("", "empty")
        .meta(Bytes::from_static(b"\0 the arguments \xff"));
    let manifest = Manifest::of(b"orders.csv");
    let open = Open::create(ctx.id(), info.clone(), manifest).ttl(ctx.brief());
    let mut driver = Driver::of(&ctx.a.open(&run, open).await?);
    let note = Note { done: 1, total: Some(2), text: "half".into() };
    ctx.commit(&mut driver, |commit| commit.note(note.clone())).await?;
    ctx.expire().await;
    let heads = listed(ctx, &Query { name: Some("import".into()), ..Query::interrupted() }).await?;
    let [head] = heads.as_slice() else {
        return expect("the killed run alone is listed", false, &heads);
    };
    expect_eq("its info", &head.info, &info)?;
    expect_eq(
        "manifest, note, lapses",
        (head.manifest, &head.note, head.lapses),
        (manifest, &Some(note), 0),
    )?;
    let open = ctx.resuming().manifest(head.manifest).over(head.fence);
    let opened = ctx.b.open(&head.run, open).await?;
    let told = (opened.head.version, opened.fence.epoch, opened.head.lapses);
    expect_eq("version, epoch and lapses of who goes on", told, (driver.version + 1, 2, 1))?;
    lists(ctx, &Query::interrupted(), []).await
}

async fn recoverers_share_released_runs(ctx: &Context) -> Verdict {
    let drivers = populate(ctx, SHARED, |number| ctx.run(&format!("r{number}")), |_| ctx.creating()).await?;
    for driver in &drivers {
        ctx.a.commit(ctx.next(driver).release(Wake::now())).await?;
    }
    share(ctx, &drivers, 0).await
}

async fn recoverers_share_runs_of_the_dead(ctx: &Context) -> Verdict {
    let name = |number| ctx.run(&format!("d{number}"));
    let drivers = populate(ctx, SHARED, name, |_| ctx.creating().ttl(ctx.brief())).await?;
    ctx.expire().await;
    share(ctx, &drivers, 1).await
}

/// How many runs recoverers share, where the backend is quick enough.
const SHARED: u32 = 200;

/// Two recoverers on each handle drive all of `drivers`, which are interrupted, to their ends.
async fn share(ctx: &Context, drivers: &[Driver], lapses: u32) -> Verdict {
    let before: BTreeMap<_, _> = drivers.iter().map(|driver| (&driver.run, 0)).collect();
    let answers = ctx
        .race(4, |index, store| {
            let ids = SeededIds::new(ctx.ids().bits() as u64);
            let ttl = ctx.long();
            async move { recover(store, &ids, ttl, index as u64).await }
        })
        .await?;
    let mut driven = before;
    for (recoverer, runs) in answers.into_iter().enumerate() {
        for run in runs? {
            match driven.get_mut(&run) {
                Some(times) => *times += 1,
                None => return Err(Failure::new("what was listed", "a run of this case", run.to_string())),
            }
            let note = ctx.head(&run).await?.note.map(|note| note.done);
            expect_eq(&format!("who drove {run}"), note, Some(recoverer as u64))?;
        }
    }
    let not_once: Vec<_> = driven.iter().filter(|(_, times)| **times != 1).collect();
    expect("each run was driven exactly once", not_once.is_empty(), not_once)?;
    for driver in drivers {
        let head = ctx.head(&driver.run).await?;
        let told = (head.status(), head.fence.epoch, head.lapses);
        expect_eq("status, epoch and lapses of a run", told, (Status::Completed, 2, lapses))?;
    }
    lists(ctx, &Query::interrupted(), []).await
}

/// Lists what is interrupted and drives what it gets, until nothing is left; tells which it drove.
async fn recover(store: Arc<dyn Store>, ids: &SeededIds, ttl: Duration, me: u64) -> Verdict<Vec<RunId>> {
    const SWEEPS: usize = 100;
    let mut driven = Vec::new();
    for _ in 0..SWEEPS {
        let due = collect(store.list(Query::interrupted())).await?;
        if due.is_empty() {
            return Ok(driven);
        }
        for head in due {
            let open = Open::resume(ids.operation()).manifest(head.manifest).ttl(ttl);
            let opened = match store.open(&head.run, open).await {
                Ok(opened) => opened,
                Err(error) if matches!(error.kind(), ErrorKind::LeaseHeld | ErrorKind::Finished) => continue,
                Err(error) => return Err(error.into()),
            };
            let commit = Commit::new(head.run.clone(), opened.fence, ids.operation(), opened.head.version)
                .note(Note { done: me, ..Note::default() })
                .finish(Outcome::Completed { output: Bytes::new() }, Retain::Keep);
            store.commit(commit).await?;
            driven.push(head.run);
        }
        tokio::task::yield_now().await;
    }
    Err(Failure::new(
        "runs that recoverers have driven",
        "that they are interrupted no more",
        "they still are",
    ))
}

async fn lapses_are_listed(ctx: &Context) -> Verdict {
    let run = ctx.run("poison");
    ctx.a.open(&run, ctx.creating().ttl(ctx.brief())).await?;
    for lapses in 0..4 {
        ctx.expire().await;
        let heads = listed(ctx, &Query::interrupted()).await?;
        let told: Vec<_> = heads.iter().map(|head| (&head.run, head.lapses)).collect();
        expect_eq("the listed run and its lapses", told, vec![(&run, lapses)])?;
        ctx.open_due(&run, ctx.resuming().ttl(ctx.brief())).await?;
    }
    Ok(())
}
