//! Several handles on one file, and callers that go away.

use std::{task::Context, time::Duration};

use futures_util::{StreamExt, TryStreamExt};
use milepost_core::{
    At, Delete, ErrorKind, Kind, Message, MessageKey, NewMessage, Outcome, Record, Retain, Sent, Snapshot,
    Span, Store, Wake,
};

use crate::support::{Driver, World, create, operation, record, resume, run};

fn message(key: &str) -> NewMessage {
    NewMessage::new(operation(), MessageKey::new(key).unwrap(), Kind::from_static("signal"), "body")
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_prepare_at_once() {
    for _ in 0..5 {
        let world = World::new();
        let connects: Vec<_> = (0..8).map(|_| tokio::spawn(world.config().connect())).collect();
        for (n, connect) in connects.into_iter().enumerate() {
            let store = connect.await.unwrap().unwrap();
            store.open(&run(&n.to_string()), create()).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_handle_writes_the_other_sees_and_builds_upon() {
    let world = World::new();
    let (one, two) = (world.store().await, world.store().await);
    let mut driver = Driver::create(&one, "a").await;
    driver.append("first").await;
    // The other handle changes the row that the first one remembers: by a message, a commit, a takeover, a deletion.
    assert_eq!(two.send(&run("a"), message("k")).await.unwrap(), Sent::Accepted { number: 1 });
    driver.append("second").await;
    let mut twin = Driver { store: two.clone(), ..Driver::of(&two, "a", &opened_as(&driver).await) };
    twin.append("third").await;
    let error = one.commit(driver.next().record(record("stale"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    driver.version = twin.version;
    assert_eq!(driver.append("fourth").await, 4);
    let taken = two.open(&run("a"), resume().over(driver.fence)).await.unwrap();
    let error = one.commit(driver.next().record(record("late"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    let mut successor = Driver::of(&two, "a", &taken);
    assert_eq!(successor.append("fifth").await, 5);
    let messages: Vec<Message> = one.inbox(&run("a"), Span::all()).try_collect().await.unwrap();
    assert_eq!(messages.len(), 1);
    assert!(one.delete(&run("a"), Delete::Any).await.unwrap());
    let error = two.commit(successor.next()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    one.open(&run("a"), create()).await.unwrap();
    let error = two.commit(successor.next()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "another life of the run");
}

/// As if the driver's open were answered to another handle.
async fn opened_as(driver: &Driver) -> milepost_core::Opened {
    let head = driver.store.head(&driver.run).await.unwrap().unwrap();
    milepost_core::Opened { fence: driver.fence, head, created: false }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_runs_through_two_handles_are_all_exact() {
    let world = World::new();
    let stores = [world.store().await, world.store().await];
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let store = stores[n % 2].clone();
            tokio::spawn(async move {
                let mut driver = Driver::create(&store, &n.to_string()).await;
                for cursor in 1..=30u64 {
                    let commit = driver.next().record(record(format!("{n}/{cursor}")));
                    let commit = if cursor % 10 == 0 {
                        commit.snapshot(Snapshot::new(cursor, format!("{n}@{cursor}")))
                    } else {
                        commit
                    };
                    assert_eq!(driver.commit(commit).await.cursor, cursor);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for n in 0..16usize {
        let (run, store) = (run(&n.to_string()), &stores[(n + 1) % 2]);
        let records: Vec<Record> = store.stream(&run, Span::all().page(7)).try_collect().await.unwrap();
        let bodies: Vec<String> =
            records.iter().map(|record| String::from_utf8(record.body.to_vec()).unwrap()).collect();
        assert_eq!(bodies, (1..=30).map(|cursor| format!("{n}/{cursor}")).collect::<Vec<_>>());
        let older = store.snapshot(&run, At::OrBefore(29)).await.unwrap().unwrap();
        assert_eq!(older, Snapshot::new(20, format!("{n}@20")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_gives_each_commit_its_own_verdict() {
    let world = World::new();
    let store = world.store().await;
    let mut drivers = Vec::new();
    for n in 0..20 {
        drivers.push(Driver::create(&store, &n.to_string()).await);
    }
    drivers[3].version = 9;
    drivers[7].fence.epoch = 9;
    let mut commits: Vec<_> = drivers.iter().map(|driver| driver.next().record(record("x"))).collect();
    commits[12].run = run("missing");
    commits.push(commits[0].clone());
    let answers = store.commit_many(commits).await;
    for (n, answer) in answers.iter().enumerate() {
        let kind = answer.as_ref().err().map(|error| error.kind());
        let expected = match n {
            0 | 20 => Some(ErrorKind::Invalid),
            3 => Some(ErrorKind::Conflict),
            7 => Some(ErrorKind::Fenced),
            12 => Some(ErrorKind::NotFound),
            _ => None,
        };
        assert_eq!(kind, expected, "{n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_sees_another_handles_commits_until_the_end() {
    let world = World::new();
    let (writer, reader) = (world.store().await, world.store().await);
    let mut driver = Driver::create(&writer, "a").await;
    driver.append("1").await;
    let follow = reader.stream(&run("a"), Span::all().follow());
    let own = writer.stream(&run("a"), Span::after(1).follow());
    let collect = tokio::spawn(follow.try_collect::<Vec<Record>>());
    let collect_own = tokio::spawn(own.try_collect::<Vec<Record>>());
    for body in ["2", "3"] {
        tokio::time::sleep(Duration::from_millis(60)).await;
        driver.append(body).await;
    }
    writer.commit(driver.next().release(Wake::now())).await.unwrap();
    let opened = writer.open(&run("a"), resume()).await.unwrap();
    let mut driver = Driver::of(&writer, "a", &opened);
    driver.append("4").await;
    let done = Outcome::Completed { output: "".into() };
    let finish = driver.next().record(record("5")).finish(done, Retain::Keep);
    driver.commit(finish).await;
    let seen = tokio::time::timeout(Duration::from_secs(5), collect).await.unwrap().unwrap().unwrap();
    assert_eq!(seen.iter().map(|record| record.cursor).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    let seen = tokio::time::timeout(Duration::from_secs(5), collect_own).await.unwrap().unwrap().unwrap();
    assert_eq!(seen.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_of_a_recreated_run_gets_not_found() {
    let world = World::new();
    let store = world.store().await;
    let mut driver = Driver::create(&store, "a").await;
    driver.append("old").await;
    let mut follow = store.stream(&run("a"), Span::all().follow());
    assert_eq!(follow.next().await.unwrap().unwrap().cursor, 1);
    store.delete(&run("a"), Delete::Any).await.unwrap();
    Driver::create(&store, "a").await.append("new").await;
    let error =
        tokio::time::timeout(Duration::from_secs(5), follow.next()).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(follow.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_caller_goes_away_is_done_whole() {
    let world = World::new();
    let store = world.store().await;
    let driver = Driver::create(&store, "a").await;
    let commit = driver.next().record(record("x")).snapshot(Snapshot::new(1, "s"));
    {
        let mut future = store.commit(commit.clone());
        assert!(future.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())).is_pending());
    }
    let mut settled = store.commit(commit).await.unwrap();
    assert!(std::mem::take(&mut settled.replayed), "it was queued before it was dropped");
    assert_eq!((settled.version, settled.cursor), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn close_waits_for_what_is_in_flight_and_ends_every_clone() {
    let world = World::new();
    let store = world.store().await;
    let mut commits = Vec::new();
    for n in 0..50 {
        let driver = Driver::create(&store, &n.to_string()).await;
        let (store, commit) = (store.clone(), driver.next().record(record("x")));
        commits.push(tokio::spawn(async move { store.commit(commit).await }));
    }
    let mut follow = store.stream(&run("0"), Span::after(1).follow());
    tokio::time::timeout(Duration::from_millis(20), follow.next()).await.unwrap_err();
    store.clone().close().await.unwrap();
    let mut done = 0;
    for commit in commits {
        match commit.await.unwrap() {
            Ok(_) => done += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Closed),
        }
    }
    let ended = tokio::time::timeout(Duration::from_secs(5), follow.next()).await.unwrap();
    assert_eq!(ended.unwrap().unwrap_err().kind(), ErrorKind::Closed);
    let reopened = world.store().await;
    let mut stored = 0;
    for n in 0..50 {
        stored += reopened.head(&run(&n.to_string())).await.unwrap().unwrap().cursor;
    }
    assert_eq!(stored, done, "what was acknowledged is there, what was not is not");
}
