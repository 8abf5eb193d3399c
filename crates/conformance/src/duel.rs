//! Duels: two writes, by two handles on two threads of the operating system, that begin at the same instant.
//!
//! The tasks of a race begin microseconds apart, and a store in memory is done by then: one that looks under one lock
//! and writes under another would get away with it. Here both threads run already when a bout begins, and wait for each
//! other awake. From bout to bout one of them begins a little later, by up to the time that a bout takes, so that every
//! part of the one write meets every part of the other.

use std::{
    fmt::Debug,
    hint, mem,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use futures_util::future::BoxFuture;
use milepost_core::{
    Clock, Commit, Committed, Delete, NewMessage, Open, Opened, Renew, Result, RunId, Sent, Store,
    SystemClock,
};
use tokio::{runtime::Handle, task::spawn_blocking};

use crate::{Context, Failure, Verdict};

/// A write of a bout, which is not begun before it is asked of a handle.
pub(crate) type Blow<T> = Box<dyn FnOnce(Arc<dyn Store>) -> BoxFuture<'static, Result<T>> + Send>;

/// One write against another.
pub(crate) type Bout<L, R> = (Blow<L>, Blow<R>);

/// An open.
pub(crate) fn opens(run: &RunId, open: Open) -> Blow<Opened> {
    let run = run.clone();
    Box::new(|store| Box::pin(async move { store.open(&run, open).await }))
}

/// A commit.
pub(crate) fn commits(commit: Commit) -> Blow<Committed> {
    Box::new(|store| Box::pin(async move { store.commit(commit).await }))
}

/// A renewal.
pub(crate) fn renews(run: &RunId, renew: Renew) -> Blow<()> {
    let run = run.clone();
    Box::new(|store| Box::pin(async move { store.renew(&run, renew).await }))
}

/// A message.
pub(crate) fn sends(run: &RunId, message: NewMessage) -> Blow<Sent> {
    let run = run.clone();
    Box::new(|store| Box::pin(async move { store.send(&run, message).await }))
}

/// A deletion.
pub(crate) fn deletes(run: &RunId, guard: Delete) -> Blow<bool> {
    let run = run.clone();
    Box::new(move |store| Box::pin(async move { store.delete(&run, guard).await }))
}

/// Where the two threads meet.
#[derive(Debug, Default)]
struct Meeting {
    arrived: AtomicU32,
    /// Nobody waits any more.
    over: AtomicBool,
}

/// Lets nobody wait for one who never comes: it hangs, has panicked, or its case is out of time.
struct Over(Arc<Meeting>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Release);
    }
}

impl Meeting {
    /// How often a thread looks before it leaves the processor to others: longer than a bout in memory takes.
    const LOOKS: u32 = 4096;
    /// How long it then waits between two looks, beside a bout that takes much longer.
    const PAUSE: Duration = Duration::from_micros(20);

    /// Waits until both have come to the bout of this number; false if the other one never will.
    fn meet(&self, bout: u32) -> bool {
        self.arrived.fetch_add(1, Ordering::AcqRel);
        let mut looks = 0;
        while self.arrived.load(Ordering::Acquire) < 2 * (bout + 1) {
            looks += 1;
            match looks {
                ..Self::LOOKS => hint::spin_loop(),
                _ if self.over.load(Ordering::Acquire) => {
                    return self.arrived.load(Ordering::Acquire) >= 2 * (bout + 1);
                }
                _ if looks < 2 * Self::LOOKS => thread::yield_now(),
                _ => thread::sleep(Self::PAUSE),
            }
        }
        true
    }
}

/// How much later a thread begins: this many sixteenths of the time that the last bout took.
const STEPS: u32 = 16;

/// One side of the bouts, on a thread of its own.
async fn side<T>(
    meeting: &Meeting,
    blows: Vec<(Arc<dyn Store>, Blow<T>)>,
    late: impl Fn(u32) -> u32,
) -> Vec<Result<T>> {
    let (mut answers, mut took) = (Vec::with_capacity(blows.len()), Duration::ZERO);
    for (bout, (store, blow)) in (0..).zip(blows) {
        let write = blow(store);
        if !meeting.meet(bout) {
            break;
        }
        let clock = SystemClock::default();
        let late = took * late(bout) / STEPS;
        while clock.elapsed() < late {
            hint::spin_loop();
        }
        let begun = clock.elapsed();
        answers.push(write.await);
        took = clock.elapsed() - begun;
    }
    answers
}

impl Context {
    /// Fights the bouts one after the other, each with both handles, which change sides; gives the answers of both.
    pub(crate) async fn duel<L, R>(&self, bouts: Vec<Bout<L, R>>) -> Verdict<Vec<(Result<L>, Result<R>)>>
    where
        L: Send + 'static,
        R: Send + 'static,
    {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        let [mut one, mut other] = self.untraced.clone();
        for (ours, theirs) in bouts {
            left.push((one.clone(), ours));
            right.push((other.clone(), theirs));
            mem::swap(&mut one, &mut other);
        }
        let meeting = Arc::new(Meeting::default());
        let over = Over(meeting.clone());
        let (runtime, theirs) = (Handle::current(), (Handle::current(), meeting.clone()));
        let left = spawn_blocking(move || {
            let _over = Over(meeting.clone());
            runtime.block_on(side(&meeting, left, |bout| (bout % (2 * STEPS)).saturating_sub(STEPS)))
        });
        let right = spawn_blocking(move || {
            let (runtime, meeting) = theirs;
            let _over = Over(meeting.clone());
            runtime.block_on(side(&meeting, right, |bout| STEPS.saturating_sub(bout % (2 * STEPS))))
        });
        let (left, right) = (left.await, right.await);
        drop(over);
        let panicked = |error: tokio::task::JoinError| Failure::new("a duel", "no panic", error.to_string());
        Ok(left.map_err(panicked)?.into_iter().zip(right.map_err(panicked)?).collect())
    }

    /// Tells the answers of the bout that a failure is about.
    pub(crate) fn tell_bout(&self, run: &RunId, answers: &impl Debug) {
        self.journal.note(format!("the two answers, on {run:?}: {answers:?}"));
    }
}
