//! Instants, and what is derived from them.

use std::{
    task::{Context, Poll, Waker},
    time::Duration,
};

use milepost_core::{
    Bytes, Clock, Failure, FailureKind, Fence, Head, Incarnation, Lease, ManualClock, Outcome, Owner, Retain,
    Status, SystemClock, Timestamp, Token,
};

use crate::heads::{NOW, head};

fn lease(until: i64) -> Option<Lease> {
    Some(Lease { owner: Owner::new("me"), until: Timestamp(until) })
}

#[test]
fn a_status_is_derived_from_outcome_due_and_lease() {
    let completed = Some(Outcome::Completed { output: Bytes::new() });
    let failed = Some(Outcome::Failed { failure: Failure::new(FailureKind::Error, "") });
    let due = |at| Some(Timestamp(at));
    for (outcome, lease, due, expected) in [
        (None, lease(1_001), due(1_001), Status::Running),
        (None, lease(1_000), due(1_000), Status::Interrupted),
        (None, lease(5_000), due(1_000), Status::Interrupted), // its process is gone
        (None, None, due(1_001), Status::Waiting),
        (None, None, due(1_000), Status::Interrupted),
        (None, None, None, Status::Waiting),
        (None, lease(1_001), None, Status::Running), // a draft
        (None, lease(1_000), None, Status::Waiting),
        (completed, None, None, Status::Completed),
        (failed, None, None, Status::Failed),
    ] {
        let head = Head { outcome, lease, due, ..head() };
        assert_eq!(head.status(), expected, "{head:?}");
    }
}

#[test]
fn retention_counts_from_the_end() {
    let after = Duration::from_micros(5);
    assert_eq!(Retain::Keep.delete_after(NOW), None);
    assert_eq!(Retain::KeepFor(after).delete_after(NOW), Some(Timestamp(1_005)));
    assert_eq!(Retain::Delete.delete_after(NOW), Some(NOW));
}

#[test]
fn a_fence_supersedes_older_ones_of_its_own_life() {
    let second = Fence { incarnation: Incarnation(1), epoch: 2, token: Token(1) };
    let other = Token(2);
    for (newer, expected) in [
        (Fence { epoch: 3, token: other, ..second }, true),
        (Fence { token: other, ..second }, false),
        (Fence { epoch: 1, token: other, ..second }, false),
        (Fence { epoch: 3, incarnation: Incarnation(2), ..second }, false),
    ] {
        assert_eq!(newer.supersedes(second), expected, "{newer}");
    }
}

#[test]
fn the_time_between_two_instants() {
    assert_eq!(Timestamp(9).since(Timestamp(4)), Duration::from_micros(5));
    assert_eq!(Timestamp(9) - Duration::from_micros(5), Timestamp(4));
}

#[test]
fn the_machine_s_clock_tells_the_time_of_this_age() {
    const IN_2020: Timestamp = Timestamp(1_577_836_800_000_000);
    const IN_2200: Timestamp = Timestamp(7_258_118_400_000_000);
    let now = SystemClock::default().now();
    assert!(IN_2020 < now && now < IN_2200, "{now:?}");
}

#[test]
fn the_machine_s_clock_waits() {
    let clock = SystemClock::default();
    let mut sleep = clock.sleep(Duration::from_millis(5));
    let before = clock.elapsed();
    let mut polls = 0;
    while sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Pending {
        polls += 1;
        std::thread::yield_now();
    }
    assert!(polls > 0);
    assert!(clock.elapsed() - before >= Duration::from_millis(5));
}

#[test]
fn a_wall_clock_jumps_and_monotonic_time_does_not() {
    let clock = ManualClock::new(NOW);
    clock.advance(Duration::from_micros(3));
    clock.jump(Timestamp(0));
    assert_eq!((clock.now(), clock.elapsed()), (Timestamp(0), Duration::from_micros(3)));
}
