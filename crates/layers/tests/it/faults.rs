use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use milepost_core::{
    Applied, Clock, Delete, ErrorKind, Ids, ManualClock, Open, Operation, Renew, Result, Span, Store,
    SystemIds, Timestamp,
};
use milepost_layers::{Fate, FaultPlan, Faults};
use milepost_store_memory::MemoryStore;

use crate::world::{Writer, creation, kinds, poll_once};

fn error_of<T>(result: Result<T>) -> Option<(ErrorKind, Option<Applied>)> {
    result.err().map(|error| (error.kind(), error.applied()))
}

#[tokio::test]
async fn a_write_happens_or_not_and_is_told_or_not() {
    let unsure = Some((ErrorKind::TimedOut, Some(Applied::Maybe)));
    let table = [
        (Fate::Done, true, None),
        (Fate::AckLost, true, unsure),
        (Fate::Refused, false, Some((ErrorKind::Unavailable, Some(Applied::No)))),
        (Fate::Lost, false, unsure),
    ];
    for (fate, happens, told) in table {
        let memory = MemoryStore::new();
        let faults = Faults::new(memory.clone(), FaultPlan::none().at(2, fate));
        let mut writer = Writer::open(&faults, "a").await;
        let commit = writer.next("x");
        assert_eq!(error_of(faults.commit(commit.clone()).await), told);
        assert_eq!(memory.head(&writer.run).await.unwrap().unwrap().cursor, u64::from(happens), "{fate}");
        let settled = faults.commit(commit).await.unwrap();
        assert_eq!((settled.cursor, settled.replayed), (1, happens), "sent again, it is settled");
    }
}

#[tokio::test]
async fn every_write_is_counted_and_met() {
    let faults = Faults::new(MemoryStore::new(), FaultPlan::none());
    let mut writer = Writer::open(&faults, "a").await;
    faults.arm((1..=4).fold(FaultPlan::none(), |plan, write| plan.at(write, Fate::Refused)));
    let run = writer.run.clone();
    assert!(faults.open(&run, creation()).await.is_err());
    assert!(faults.commit(writer.next("x")).await.is_err());
    assert!(faults.renew(&run, Renew::new(writer.fence, Duration::from_secs(1))).await.is_err());
    assert!(faults.delete(&run, Delete::Any).await.is_err());
    assert!(faults.head(&run).await.unwrap().is_some(), "the run is as it was");
    assert_eq!((faults.writes(), faults.reads()), (4, 1));
    let operations: Vec<_> = faults.trail().deeds().map(|deed| deed.operation).collect();
    assert_eq!(operations, [Operation::Open, Operation::Commit, Operation::Renew, Operation::Delete]);
}

#[tokio::test]
async fn in_a_batch_each_commit_has_its_own_fate() {
    let memory = MemoryStore::new();
    let mut writers = Writer::open_many(&memory, 4).await;
    let plan = FaultPlan::none().at(2, Fate::AckLost).at(3, Fate::Lost);
    let faults = Faults::new(memory.clone(), plan);
    let answers = faults.commit_many(writers.iter_mut().map(|writer| writer.next("x")).collect()).await;
    assert_eq!(kinds(&answers), [None, Some(ErrorKind::TimedOut), Some(ErrorKind::TimedOut), None]);
    let mut happened = Vec::new();
    for writer in &writers {
        happened.push(memory.head(&writer.run).await.unwrap().unwrap().cursor);
    }
    assert_eq!(happened, [1, 1, 0, 1]);
}

/// Forty commits, each sent until it is settled; and how that went.
async fn program(plan: FaultPlan) -> Faults<MemoryStore> {
    let faults = Faults::new(MemoryStore::new(), plan.at(1, Fate::Done));
    let mut writer = Writer::open(&faults, "a").await;
    for _ in 0..40 {
        let commit = writer.next("x");
        while faults.commit(commit.clone()).await.is_err() {}
        let _ = faults.head(&writer.run).await;
    }
    faults
}

#[tokio::test]
async fn a_seed_replays_to_the_same_trail() {
    let plan = |seed| FaultPlan::seeded(seed).ack_lost(0.2).refused(0.1).lost(0.2).reads(0.2);
    let trail = program(plan(7)).await.trail();
    assert_eq!(trail, program(plan(7)).await.trail());
    assert!(trail.deeds().ne(program(plan(8)).await.trail().deeds()));
    assert!(trail.deeds().len() > 41);
}

#[tokio::test]
async fn a_trail_says_what_was_done_and_what_the_store_said() {
    let plan = FaultPlan::none()
        .at(2, Fate::AckLost)
        .at(3, Fate::Lost)
        .at(4, Fate::AckLost)
        .die_before(6)
        .fail_read(1);
    let faults = Faults::new(MemoryStore::new(), plan);
    let mut writer = Writer::open(&faults, "a").await;
    let _ = faults.commit(writer.next("x")).await;
    let _ = faults.commit(writer.next("x")).await;
    let _ = faults.commit(writer.next("x")).await;
    let _ = faults.head(&writer.run).await;
    let _ = faults.open(&writer.run, creation()).await;
    let _ = faults.open(&writer.run, creation()).await;
    let printed = faults.trail().to_string();
    let (plan, deeds) = printed.split_once('\n').unwrap();
    assert!(plan.starts_with("FaultPlan {"), "{plan}");
    assert_eq!(
        deeds.lines().map(str::trim_start).collect::<Vec<_>>(),
        [
            "1 open of run \"a\": done",
            "2 commit of run \"a\": acknowledgement lost, the store said ok",
            "3 commit of run \"a\": lost",
            "4 commit of run \"a\": acknowledgement lost, the store said Conflict",
            "1 head of run \"a\": refused",
            "5 open of run \"a\": done, the store said AlreadyExists",
            "6 open of run \"a\": lost, and died",
        ]
    );
}

#[tokio::test]
async fn a_program_can_be_killed_at_every_write() {
    let mut kills = 0;
    for write in 1.. {
        for plan in [FaultPlan::none().die_before(write), FaultPlan::none().die_after(write)] {
            let memory = MemoryStore::new();
            let faults = Faults::new(memory.clone(), plan.clone());
            let mut acknowledged = 0;
            let ended: Result<()> = async {
                let opened = faults.open(&milepost_core::RunId::new("a")?, creation()).await?;
                let run = opened.head.run.clone();
                let mut writer = Writer { run, fence: opened.fence, version: opened.head.version };
                for _ in 0..5 {
                    acknowledged = faults.commit(writer.next("x")).await?.cursor;
                }
                Ok(())
            }
            .await;
            let head = memory.head(&milepost_core::RunId::new("a").unwrap()).await.unwrap();
            let written = head.map_or(0, |head| head.cursor);
            if faults.is_dead() {
                kills += 1;
                assert_eq!(error_of(ended), Some((ErrorKind::Unavailable, Some(Applied::Maybe))));
                assert!(written == acknowledged || written == acknowledged + 1, "{}", faults.trail());
            } else {
                assert_eq!((ended.is_ok(), written, faults.writes()), (true, 5, 6));
            }
        }
        if write > 6 {
            break;
        }
    }
    assert_eq!(kills, 12, "before and after each of six writes");
}

#[tokio::test]
async fn the_dead_answer_nothing_until_they_are_revived() {
    let faults = Faults::new(MemoryStore::new(), FaultPlan::none().die_after(2));
    let mut writer = Writer::open(&faults, "a").await;
    let run = writer.run.clone();
    let mut follow = faults.stream(&run, Span::all().follow());
    assert!(poll_once(follow.next()).await.is_none(), "there is nothing yet");

    let commit = writer.next("x");
    assert!(faults.commit(commit.clone()).await.is_err());
    let ended = follow.next().await.unwrap();
    assert_eq!(error_of(ended), Some((ErrorKind::Unavailable, None)), "also what was under way");
    assert!(follow.next().await.is_none());
    assert_eq!(error_of(faults.head(&run).await), Some((ErrorKind::Unavailable, None)));
    assert_eq!(error_of(faults.close().await), Some((ErrorKind::Unavailable, None)));
    let answers = faults.commit_many(vec![commit.clone()]).await;
    assert_eq!(answers[0].as_ref().unwrap_err().applied(), Some(Applied::Maybe));
    assert_eq!(faults.writes(), 2);

    faults.revive();
    assert!(faults.commit(commit).await.unwrap().replayed, "the last write had arrived");
}

#[tokio::test]
async fn a_death_within_a_batch_takes_the_answers_of_all_and_the_rest_of_the_commits() {
    let memory = MemoryStore::new();
    let mut writers = Writer::open_many(&memory, 4).await;
    let faults = Faults::new(memory.clone(), FaultPlan::none().die_after(2));
    let answers = faults.commit_many(writers.iter_mut().map(|writer| writer.next("x")).collect()).await;
    assert_eq!(kinds(&answers), [Some(ErrorKind::Unavailable); 4]);
    let mut happened = Vec::new();
    for writer in &writers {
        happened.push(memory.head(&writer.run).await.unwrap().unwrap().cursor);
    }
    assert_eq!(happened, [1, 1, 0, 0]);
    assert!(faults.is_dead());
}

#[tokio::test]
async fn a_death_is_certain_also_when_nobody_waits_for_the_last_write() {
    let memory = MemoryStore::new();
    let faults = Faults::new(memory.clone(), FaultPlan::none().stall_at(2).die_after(2));
    let mut writer = Writer::open(&faults, "a").await;
    let mut last = faults.commit(writer.next("x"));
    assert!(poll_once(&mut last).await.is_none());
    drop(last);
    assert!(faults.is_dead());
}

#[tokio::test]
async fn a_writer_that_stalls_thaws_after_its_takeover_and_is_refused() {
    let clock = Arc::new(ManualClock::new(Timestamp(0)));
    let memory = MemoryStore::builder().clock(clock.clone()).build();
    let faults = Faults::new(memory.clone(), FaultPlan::none().stall_at(2));
    let mut writer = Writer::open(&faults, "a").await;
    let run = writer.run.clone();
    let stalled = tokio::spawn({
        let (faults, commit) = (faults.clone(), writer.next("late"));
        async move { faults.commit(commit).await }
    });
    faults.stalled().await;
    clock.advance(Open::DEFAULT_TTL);
    memory.open(&run, Open::resume(SystemIds.operation())).await.unwrap();
    faults.thaw();
    assert_eq!(error_of(stalled.await.unwrap()), Some((ErrorKind::Fenced, Some(Applied::No))));
    assert_eq!(memory.head(&run).await.unwrap().unwrap().cursor, 0);
}

#[tokio::test]
async fn a_write_of_a_former_plan_leaves_the_next_one_alone() {
    let faults = Faults::new(MemoryStore::new(), FaultPlan::none().stall_at(2).die_after(2));
    let mut writer = Writer::open(&faults, "a").await;
    let mut former = faults.commit(writer.next("x"));
    assert!(poll_once(&mut former).await.is_none());
    faults.arm(FaultPlan::none().at(1, Fate::Lost));
    let _ = faults.open(&writer.run, creation()).await;
    let trail = faults.trail();
    faults.thaw();
    assert!(former.await.is_err());
    assert_eq!((faults.trail(), faults.is_dead()), (trail, false));
}

#[tokio::test]
async fn delays_wait_by_the_injected_clock() {
    let clock = Arc::new(ManualClock::new(Timestamp(0)));
    let memory = MemoryStore::new();
    let mut writer = Writer::open(&memory, "a").await;
    let plan = FaultPlan::seeded(1).delays(1.0, Duration::from_secs(3600));
    let faults = Faults::with_clock(memory, plan, clock.clone());
    let mut commit = faults.commit(writer.next("x"));
    assert!(poll_once(&mut commit).await.is_none());
    clock.advance(Duration::from_secs(3600));
    assert!(poll_once(&mut commit).await.is_some());
    assert!(clock.elapsed() > faults.trail().deeds().next().unwrap().delay);
}

#[tokio::test]
async fn reads_fail_and_streams_also_in_their_middle() {
    let memory = MemoryStore::new();
    let mut writer = Writer::open(&memory, "a").await;
    for _ in 0..10 {
        memory.commit(writer.next("x")).await.unwrap();
    }
    let faults = Faults::new(memory, FaultPlan::none().fail_read(2));
    assert!(faults.head(&writer.run).await.is_ok());
    assert_eq!(error_of(faults.head(&writer.run).await), Some((ErrorKind::Unavailable, None)));

    faults.arm(FaultPlan::seeded(5).reads(1.0));
    let mut lengths = Vec::new();
    for _ in 0..32 {
        let mut items: Vec<_> = faults.stream(&writer.run, Span::all()).collect().await;
        assert_eq!(error_of(items.pop().unwrap()), Some((ErrorKind::Unavailable, None)), "as the last item");
        assert!(items.iter().all(Result::is_ok));
        lengths.push(items.len());
    }
    assert!((0..=3).all(|length| lengths.contains(&length)), "{lengths:?}");
}
