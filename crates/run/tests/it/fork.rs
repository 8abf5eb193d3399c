//! Forks: new runs that go on from where another one stood.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use milepost_layers::{FaultPlan, Faults};

use crate::{
    support::{Run, World, *},
    tree::Served,
};

on_every_store! {
    before_the_cursor_is_shared_and_after_it_is_done_anew,
    a_fork_at_every_cursor_comes_to_its_end,
    a_half_made_fork_is_never_due_and_is_gone_on_with,
    forks_are_refused_by_name,
    forks_are_bounded,
}

/// Three steps, a large value, a child, and a fourth step whose result differs each time it is done.
fn scripted(runner: Runner, tally: &Tally) -> Runner {
    let seen = tally.clone();
    let runner = runner.settings(brisk().inline(50).linger(Duration::from_secs(2)));
    let runner = runner.handler("child", |run: Run, n: u32| async move {
        run.step("child", || async { Work::Ok(n + 1) }).await
    });
    runner.handler("work", move |run: Run, (): ()| {
        let tally = seen.clone();
        async move {
            for n in 0..3 {
                run.step("step", || async { done(&tally, format!("step {n}")) }).await?;
            }
            let large = run.step("large", || async { Work::Ok("x".repeat(500)) }).await?;
            let child = run.child::<u32>("c", "child", &41).await?;
            let drawn = run.random();
            run.step("last", || async { done(&tally, "last".into()) }).await?;
            Work::Ok((large.len(), child, drawn))
        }
    })
}

fn done(tally: &Tally, what: String) -> Work<()> {
    tally.add(what);
    Ok(())
}

type Output = (usize, u32, u64);

async fn before_the_cursor_is_shared_and_after_it_is_done_anew(world: &World) {
    let tally = Tally::default();
    let runner = scripted(world.runner(), &tally);
    let _served = Served::new(&runner);
    let source: Output = runner.start(id("s"), "work", &()).await.unwrap().output().await.unwrap();
    let before = (world.head(&id("s")).await.version, world.kinds(&id("s")).await);
    // Everything up to and with the child is shared.
    let cursor = before.1.split(' ').position(|kind| kind == "child-settled").unwrap() as u64 + 1;
    let fork: Output = runner.fork(&id("s"), cursor, id("f")).await.unwrap().output().await.unwrap();
    assert_eq!((fork.0, fork.1), (source.0, source.1));
    assert_ne!(fork.2, source.2, "what comes after is drawn anew");
    assert_eq!((tally.of("step 0"), tally.of("step 2"), tally.of("last")), (1, 1, 2));
    let lineage = world.head(&id("f")).await.origin.unwrap().lineage.unwrap();
    let incarnation = world.head(&id("s")).await.fence.incarnation;
    assert_eq!((lineage.run, lineage.incarnation, lineage.cursor), (id("s"), incarnation, cursor));
    let after = (world.head(&id("s")).await.version, world.kinds(&id("s")).await);
    assert_eq!(before, after, "the source is as it was");
    // It does not need its source any more, large values included.
    world.store.delete(&id("s"), milepost_core::Delete::Any).await.unwrap();
    let again: Output = runner.resume(&id("f")).await.unwrap().output().await.unwrap();
    assert_eq!(again, fork);
}

async fn a_fork_at_every_cursor_comes_to_its_end(world: &World) {
    let tally = Tally::default();
    let runner = scripted(world.runner(), &tally);
    let _served = Served::new(&runner);
    let source: Output = runner.start(id("s"), "work", &()).await.unwrap().output().await.unwrap();
    for cursor in 0..=world.head(&id("s")).await.cursor {
        let fork = runner.fork(&id("s"), cursor, id(&format!("f{cursor}"))).await.unwrap();
        let output: Output = fork.output().await.unwrap();
        assert_eq!((output.0, output.1), (500, 42), "forked at {cursor}");
        let drawn =
            world.log(&id("s")).await.iter().position(|logged| logged.kind == "drawn").unwrap() as u64;
        assert_eq!(output.2 == source.2, cursor > drawn, "forked at {cursor}");
    }
}

async fn a_half_made_fork_is_never_due_and_is_gone_on_with(world: &World) {
    let tally = Tally::default();
    let runner = scripted(world.runner(), &tally);
    let _served = Served::new(&runner);
    let gave: Output = runner.start(id("s"), "work", &()).await.unwrap().output().await.unwrap();
    let cursor = world.head(&id("s")).await.cursor;
    for write in 1..=3 {
        let fork = id(&format!("f{write}"));
        let faults = Faults::new(world.store.clone(), FaultPlan::none().die_after(write));
        let settings = brisk().ttl(Duration::from_millis(50)).inline(50);
        let dying = scripted(Runner::new(faults), &tally).settings(settings);
        let source = id("s");
        let work = dying.fork(&source, cursor, fork.clone());
        assert!(tokio::time::timeout(Duration::from_millis(200), work).await.is_err());
        let head = world.head(&fork).await;
        // The third write ends the draft; until then nobody can find it.
        assert_eq!(head.draft, write < 3, "{head:?}");
        assert!(!head.draft || head.due.is_none(), "{head:?}");
        if head.draft {
            let output: Output = runner.fork(&id("s"), cursor, fork).await.unwrap().output().await.unwrap();
            assert_eq!(output, gave);
        }
    }
}

async fn forks_are_refused_by_name(world: &World) {
    let tally = Tally::default();
    let runner = scripted(world.runner(), &tally);
    let _served = Served::new(&runner);
    runner.start(id("s"), "work", &()).await.unwrap().output::<Output>().await.unwrap();
    let beyond = runner.fork(&id("s"), 1000, id("f")).await.unwrap_err();
    assert_eq!(beyond.kind(), ErrorKind::Invalid);
    assert!(beyond.to_string().contains("was to be forked at 1000"), "{beyond}");
    assert_eq!(runner.fork(&id("none"), 1, id("f")).await.unwrap_err().kind(), ErrorKind::NotFound);
    let taken = runner.fork(&id("s"), 1, id("s")).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
    assert!(world.store.head(&id("f")).await.unwrap().is_none(), "and nothing is left behind");
}

async fn forks_are_bounded(world: &World) {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (inside, peak) = (now.clone(), most.clone());
    let runner = world.runner().handler("work", move |run: Run, (): ()| {
        let (now, most) = (inside.clone(), peak.clone());
        async move {
            run.step("first", || async { Work::Ok(()) }).await?;
            run.step("second", || async {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                Work::Ok(())
            })
            .await?;
            Work::Ok(())
        }
    });
    runner.start(id("s"), "work", &()).await.unwrap().output::<()>().await.unwrap();
    let ids = (0..12).map(|n| id(&format!("f{n}")));
    let ended = runner.forks(&id("s"), 2, ids, 3).await;
    assert!(ended.iter().all(|ended| *ended.as_ref().unwrap() == Ended::Completed), "{ended:?}");
    let most = most.load(Ordering::SeqCst);
    assert!((2..=3).contains(&most), "{most} at once");
}
