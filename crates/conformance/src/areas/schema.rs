//! Setting the backend up: by anybody, at once, and twice.

use tokio::task::JoinSet;

use crate::areas::{moves::commit_whole, prelude::*};

cases! { schema:
    /// Handles that connect at the same moment to a place where nothing is yet all work, and see the same.
    many_connect_at_once_to_nothing [] once "its handles are the connections",
    /// Connecting again changes nothing of what is there.
    connecting_again_changes_nothing [] once "its handles are the connections",
    /// Processes that connect at the same moment to a place where nothing is yet all work, and see the same.
    many_processes_connect_at_once_to_nothing [processes] once "its handles are the connections",
}

/// How many connect at the same moment.
const HANDLES: usize = 8;

/// Each of `stores` creates a run, and all of them see all.
async fn all_work(ctx: &Context, stores: &[std::sync::Arc<dyn Store>]) -> Verdict {
    for (number, store) in stores.iter().enumerate() {
        let opened = store.open(&ctx.run(&format!("of-{number}")), ctx.creating()).await?;
        let answer = store.commit(ctx.next(&Driver::of(&opened))).await?;
        expect_eq("a commit through one of them", (opened.created, answer.version), (true, 2))?;
    }
    for store in stores {
        for number in 0..stores.len() {
            let head = store.head(&ctx.run(&format!("of-{number}"))).await?;
            expect_eq("what each of them sees", head.map(|head| head.version), Some(2))?;
        }
    }
    Ok(())
}

async fn many_connect_at_once_to_nothing(ctx: &Context) -> Verdict {
    for round in 0..3 {
        let fresh = ctx.elsewhere();
        let mut connecting = JoinSet::new();
        for _ in 0..HANDLES {
            let (harness, scope) = (ctx.harness.clone(), fresh.clone());
            connecting.spawn(async move { harness.connect(&scope).await });
        }
        let mut stores = Vec::new();
        for connected in connecting.join_all().await {
            match connected {
                Ok(store) => stores.push(store),
                Err(error) => {
                    let came = crate::expect::told(&error);
                    let what = format!("one of {HANDLES} that connect at once, round {round}");
                    return Err(crate::Failure::new(what, "a handle", came));
                }
            }
        }
        all_work(ctx, &stores).await?;
        for store in stores {
            store.close().await?;
        }
    }
    Ok(())
}

async fn connecting_again_changes_nothing(ctx: &Context) -> Verdict {
    let run = ctx.run("kept");
    let mut driver = ctx.create(&run).await?;
    for _ in 0..3 {
        commit_whole(ctx, &mut driver).await?;
    }
    let before = ctx.image(&run).await?;
    for _ in 0..3 {
        let store = ctx.connect_anew().await?;
        before.same_as(&image(&*store, &run).await?)?;
        before.same_as(&ctx.image(&run).await?)?;
        store.close().await?;
    }
    ctx.commit(&mut driver, |commit| commit).await.map(drop)
}

async fn many_processes_connect_at_once_to_nothing(ctx: &Context) -> Verdict {
    let fresh = ctx.elsewhere();
    // The folder and the clock are made by the first process.
    let starting = (0..HANDLES).map(|_| ctx.process_in(&fresh));
    let seconds = futures_util::future::try_join_all(starting).await?;
    let stores: Vec<_> = seconds.iter().map(|second| second.store.clone()).collect();
    all_work(ctx, &stores).await
}
