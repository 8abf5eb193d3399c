//! The program's own records: in order, exactly once, each call with its own verdict.

use milepost_core::*;

use crate::support::*;

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[tokio::test]
async fn records_stay_pending_after_an_error_and_go_in_order() {
    let world = World::new();
    let mut run = drive(&world.checkpoints()).await;
    world.spy.down(true);
    assert_eq!(kind(run.append(vec![note("a"), note("b")]).await), ErrorKind::Unavailable);
    assert_eq!(kind(run.append(vec![note("c")]).await), ErrorKind::Unavailable);
    world.spy.down(false);
    assert_eq!(run.append(vec![note("d")]).await.unwrap(), 4);
    assert_eq!(world.own().await, ["a", "b", "c", "d"]);
    assert_eq!(world.spy.book().commits.len(), 1, "they go together");
}

#[tokio::test]
async fn what_is_pending_goes_with_whatever_comes_next() {
    for next in ["save", "checkpoint", "flush", "release", "complete", "fail", "append nothing"] {
        let world = World::new();
        let mut run = drive(&world.checkpoints()).await;
        run.save(json(1)).await.unwrap();
        world.spy.fail_next(Operation::Commit, unavailable());
        run.append(vec![note("a")]).await.unwrap_err();
        world.spy.forget();
        match next {
            "save" => run.save(json(1)).await.map(drop),
            "checkpoint" => run.checkpoint(json(2)).await.map(drop),
            "flush" => run.flush().await.map(drop),
            "release" => run.release(Wake::now()).await,
            "complete" => run.complete(done()).await,
            "fail" => run.fail(failure()).await,
            _ => run.append(Vec::new()).await.map(drop),
        }
        .unwrap();
        assert_eq!(world.own().await, ["a"], "{next}");
        assert_eq!(world.spy.book().commits.len(), 1, "{next}");
    }
}

#[tokio::test]
async fn appending_nothing_writes_nothing() {
    let world = World::new();
    let mut run = drive(&world.checkpoints()).await;
    assert_eq!(run.append(Vec::new()).await.unwrap(), 0);
    assert_eq!(world.spy.calls("commit"), 0);
}

#[tokio::test]
async fn refused_records_are_dropped_and_no_others() {
    let missing = || note("m").blob(Digest::of(b"nowhere"));
    for (offered, refused) in [
        (vec![note("x"), named("a")], ErrorKind::Duplicate),
        (vec![note("x"), missing()], ErrorKind::Conflict),
    ] {
        let world = World::new();
        let mut run = drive(&world.checkpoints()).await;
        run.append(vec![named("a")]).await.unwrap();
        let error = run.append(offered.clone()).await.unwrap_err();
        assert_eq!((error.kind(), error.applied()), (refused, Some(Applied::No)));
        assert!(error.refusal().is_some());
        run.append(vec![note("b")]).await.unwrap();
        assert_eq!(world.own().await, ["a", "b"]);

        // Left pending between two others, it is found out, and they are written.
        world.spy.down(true);
        run.append(vec![note("c")]).await.unwrap_err();
        run.append(offered.clone()).await.unwrap_err();
        run.append(vec![note("d")]).await.unwrap_err();
        run.save(json(1)).await.unwrap_err();
        world.spy.down(false);
        assert_eq!(kind(run.save(json(2)).await), refused);
        run.save(json(3)).await.unwrap();
        assert_eq!(world.own().await, ["a", "b", "c", "d"]);
        assert_eq!(world.raw::<u64>().await, Some(3));

        // Told to another append, it is not taken for that one's own, which waits.
        world.spy.fail_next(Operation::Commit, unavailable());
        run.append(offered).await.unwrap_err();
        let error = run.append(vec![note("e")]).await.unwrap_err();
        assert_eq!((error.kind(), error.refusal()), (refused, None));
        run.flush().await.unwrap();
        assert_eq!(world.own().await, ["a", "b", "c", "d", "e"]);
    }
}

#[tokio::test]
async fn a_duplicate_that_shows_at_the_retry_is_dropped_too() {
    let world = World::new();
    let mut run = drive(&world.checkpoints()).await;
    run.append(vec![named("a")]).await.unwrap();
    let lost = Error::new(ErrorKind::TimedOut, "no answer").with_applied(Applied::Maybe);
    world.spy.fail_next(Operation::Commit, lost);
    assert_eq!(run.append(vec![named("a")]).await.unwrap_err().applied(), Some(Applied::Maybe));
    let error = run.flush().await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Duplicate, Some(Applied::Maybe)));
    run.append(vec![note("b")]).await.unwrap();
    assert_eq!(world.own().await, ["a", "b"]);
}

#[tokio::test]
async fn what_no_store_may_take_is_refused_before_it_can_spoil_anything() {
    let limits = Limits { record: 10, commit: 15, ..Limits::DEFAULT };
    let world = World::of(ALL.limits(limits).without(Capability::Blobs));
    let mut run = drive(&world.checkpoints()).await;
    for (records, refused) in [
        (vec![NewRecord::new(Kind::from_static("milepost/state"), "x")], ErrorKind::Invalid),
        (vec![note("a"), NewRecord::new(Kind::from_static("milepost/x"), "x")], ErrorKind::Invalid),
        (vec![note("eleven byte")], ErrorKind::TooLarge),
        (vec![note("ten bytes."), note("6 more")], ErrorKind::TooLarge),
        (vec![note("a").blob(Digest::of(b""))], ErrorKind::Unsupported),
    ] {
        assert_eq!(kind(run.append(records).await), refused);
        assert_eq!(run.flush().await.unwrap(), Saved::Unchanged, "nothing is left of it");
    }
    assert_eq!(run.append(vec![NewRecord::new(Kind::from_static("milepost"), "own")]).await.unwrap(), 1);
}

#[tokio::test]
async fn more_than_a_commit_takes_goes_in_several() {
    let limits = Limits { record: 100, commit: 150, ..Limits::DEFAULT };
    let world = World::of(ALL.limits(limits));
    let mut run = drive(&world.checkpoints()).await;
    world.spy.down(true);
    for body in ["a", "b", "c", "d"] {
        run.append(vec![note(body.repeat(60))]).await.unwrap_err();
    }
    world.spy.down(false);
    run.save(json(1)).await.unwrap();
    assert_eq!(world.own().await, ["a", "b", "c", "d"].map(|body| body.repeat(60)));
    assert_eq!(world.spy.book().commits.len(), 3);
}

#[tokio::test]
async fn records_that_leave_no_room_for_an_outcome_go_ahead_of_it() {
    let limits = Limits { record: 100, commit: 150, ..Limits::DEFAULT };
    let world = World::of(ALL.limits(limits));
    let mut run = drive(&world.checkpoints()).await;
    world.spy.down(true);
    run.append(vec![note("a".repeat(100))]).await.unwrap_err();
    world.spy.down(false);
    let output = Bytes::from(vec![b'o'; 100]);
    run.complete(output.clone()).await.unwrap();
    assert_eq!(world.own().await, ["a".repeat(100)]);
    assert_eq!(world.head().await.outcome, Some(Outcome::Completed { output }));
    assert_eq!(world.spy.book().commits.len(), 2);
}

#[tokio::test]
async fn tasks_that_append_at_once_share_commits() {
    let world = World::new();
    let run = drive_state(&world.checkpoints(), 0u64).await;
    world.spy.yields(5);
    let tasks: Vec<_> = (0..32)
        .map(|task| {
            let appender = run.appender().unwrap();
            tokio::spawn(async move {
                let records = vec![note(format!("{task} first")), note(format!("{task} second"))];
                appender.append(records).await.unwrap()
            })
        })
        .collect();
    let mut cursors = Vec::new();
    for task in tasks {
        cursors.push(task.await.unwrap());
    }
    let own = world.own().await;
    assert_eq!(own.len(), 64);
    for (task, cursor) in cursors.iter().enumerate() {
        let at = own.iter().position(|body| *body == format!("{task} first")).unwrap();
        assert_eq!(own[at + 1], format!("{task} second"), "the records of one call stay together");
        assert!(*cursor >= at as u64 + 2);
    }
    assert_eq!(world.spy.book().commits.len(), 2, "the first, and all that gathered meanwhile");
}

#[tokio::test]
async fn one_task_s_duplicate_spoils_no_other() {
    let world = World::new();
    let mut run = drive_state(&world.checkpoints(), 0u64).await;
    run.append(vec![named("taken")]).await.unwrap();
    world.spy.yields(3);
    let appender = run.appender().unwrap();
    let results = futures_util::future::join_all((0..8).map(|task| {
        let appender = appender.clone();
        let record = if task % 3 == 1 { named("taken") } else { note(format!("{task}")) };
        async move { appender.append(vec![record]).await.map_err(|error| error.kind()) }
    }))
    .await;
    for (task, result) in results.iter().enumerate() {
        let expected = (task % 3 == 1).then_some(ErrorKind::Duplicate);
        assert_eq!(result.err(), expected, "task {task}");
    }
    assert_eq!(world.own().await, ["taken", "0", "2", "3", "5", "6"]);
}

#[tokio::test]
async fn an_outage_is_told_to_all_who_wait_and_loses_nothing() {
    let world = World::new();
    let mut run = drive_state(&world.checkpoints(), 0u64).await;
    world.spy.yields(3);
    world.spy.down(true);
    let appender = run.appender().unwrap();
    let results =
        futures_util::future::join_all((0..8).map(|task| appender.append(vec![note(format!("{task}"))])))
            .await;
    assert!(results.into_iter().all(|result| kind(result) == ErrorKind::Unavailable));
    assert!(world.spy.calls("commit") <= 2, "one who waits does not wait for an outage of its own");
    world.spy.down(false);
    run.flush().await.unwrap();
    assert_eq!(world.own().await, ["0", "1", "2", "3", "4", "5", "6", "7"]);
}

#[tokio::test]
async fn a_takeover_is_told_to_all_who_wait_at_once() {
    let world = World::new();
    let run = drive_state(&world.checkpoints(), 0u64).await;
    let open = Open::resume(SystemIds.operation()).over(run.fence().unwrap());
    world.memory.open(&run_id(), open).await.unwrap();
    world.spy.yields(3);
    let appender = run.appender().unwrap();
    let results =
        futures_util::future::join_all((0..8).map(|task| appender.append(vec![note(format!("{task}"))])))
            .await;
    assert!(results.into_iter().all(|result| kind(result) == ErrorKind::Fenced));
    assert!(world.spy.calls("commit") <= 2, "the same is not asked for each of them");
}

#[tokio::test]
async fn a_dropped_leader_or_follower_loses_nothing() {
    for polls in 1..=6 {
        for next in ["append", "complete", "release", "save"] {
            let world = World::new();
            let mut run = drive_state(&world.checkpoints(), 0u64).await;
            world.spy.yields(2);
            let (one, two) = (run.appender().unwrap(), run.appender().unwrap());
            {
                let mut leader = std::pin::pin!(one.append(vec![note("leader")]));
                let mut follower = std::pin::pin!(two.append(vec![note("follower")]));
                for _ in 0..polls {
                    // Neither is polled again once it is done.
                    if futures_util::poll!(leader.as_mut()).is_ready()
                        || futures_util::poll!(follower.as_mut()).is_ready()
                    {
                        break;
                    }
                }
            }
            match next {
                "append" => run.append(vec![note("next")]).await.map(drop),
                "complete" => run.complete(&"done").await,
                "release" => run.release(Wake::now()).await,
                _ => run.update(|state| *state += 1).await.map(drop),
            }
            .unwrap();
            let mut expected = vec!["leader", "follower"];
            expected.extend((next == "append").then_some("next"));
            assert_eq!(world.own().await, expected, "{polls} polls, then {next}");
        }
    }
}

#[tokio::test]
async fn an_appender_is_closed_with_its_run() {
    for end in ["release", "complete", "fail"] {
        let world = World::new();
        let mut run = drive_state(&world.checkpoints(), 0u64).await;
        let appender = run.appender().unwrap();
        match end {
            "release" => run.release(Wake::now()).await.unwrap(),
            "complete" => run.complete(&()).await.unwrap(),
            _ => run.fail(failure()).await.unwrap(),
        }
        let commits = world.spy.calls("commit");
        assert_eq!(kind(appender.append(vec![note("late")]).await), ErrorKind::Closed, "{end}");
        drop(run);
        assert_eq!(kind(appender.append(vec![note("later")]).await), ErrorKind::Closed, "{end}");
        assert_eq!(world.spy.calls("commit"), commits);
    }
}
