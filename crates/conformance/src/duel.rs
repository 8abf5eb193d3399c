//! Duels: two writes, by two handles on two threads of the operating system, that begin at the same instant.
//!
//! The tasks of a race begin microseconds apart, and a store in memory is done by then: one that looks under one lock
//! and writes under another would get away with it. Here both threads run already when a bout begins, and wait for each
//! other awake. By turns, one of them begins a little later, by up to the time that the other write takes, so that every part of
//! the one write meets every part of the other.

use std::{
    fmt::Debug,
    hint, mem,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use futures_util::future::BoxFuture;
use milepost_core::{
    Clock, Commit, Committed, Delete, Ids, NewMessage, Open, Opened, Renew, Result, RunId, SeededIds, Sent,
    Store, SystemClock,
};
use tokio::{
    runtime::Handle,
    task::{JoinError, JoinHandle, spawn_blocking},
};

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
    /// The bout that each of them has come to, from 1.
    come: [AtomicU32; 2],
    /// Moves while a thread waits with its eyes open.
    beat: [AtomicU32; 2],
    /// How long the write of each takes when nobody is in its way, in nanoseconds; 0 while that is not known.
    least: [AtomicU64; 2],
    /// The bout that has begun.
    begun: AtomicU32,
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
    /// How often a thread looks before it lets go of its processor: for about as long as a bout in memory takes.
    const LOOKS: u32 = 2048;
    /// How long it then waits between two looks, beside a bout that takes much longer.
    const PAUSE: Duration = Duration::from_micros(20);
    /// How long it looks for both awake at once before the bout begins all the same, as on a single processor.
    const PATIENCE: Duration = Duration::from_micros(500);

    /// Waits until both threads have come to the bout of this number and are awake, as far as that can be had; false if
    /// the other one never will.
    fn meet(&self, side: usize, bout: u32) -> bool {
        self.come[side].store(bout, Ordering::Release);
        let (mut looks, mut moved, mut seen) = (0, 0, self.beat[1 - side].load(Ordering::Relaxed));
        let (clock, mut late) = (SystemClock::default(), false);
        loop {
            self.beat[side].fetch_add(1, Ordering::Relaxed);
            if self.begun.load(Ordering::Acquire) >= bout {
                return true;
            }
            let both = self.come[1 - side].load(Ordering::Acquire) >= bout;
            let beat = self.beat[1 - side].load(Ordering::Relaxed);
            moved += u32::from(beat != seen);
            seen = beat;
            // One of them decides, and the other one has its eyes on it.
            if side == 0 && both && (moved > 2 || late) {
                self.begun.store(bout, Ordering::Release);
                return true;
            }
            hint::spin_loop();
            looks += 1;
            if looks < Self::LOOKS {
                continue;
            }
            if self.over.load(Ordering::Acquire) {
                return self.begun.load(Ordering::Acquire) >= bout;
            }
            (looks, moved, late) = (0, 0, both && clock.elapsed() > Self::PATIENCE);
            match both {
                true => thread::yield_now(),
                false => thread::sleep(Self::PAUSE),
            }
        }
    }
}

/// One side of the bouts, on a thread of its own.
async fn side<T>(
    meeting: &Meeting,
    side: usize,
    blows: Vec<(Arc<dyn Store>, Blow<T>)>,
    ids: SeededIds,
) -> Vec<Result<T>> {
    let (mut answers, mut least) = (Vec::with_capacity(blows.len()), u32::MAX);
    let clock = SystemClock::default();
    for (bout, (store, blow)) in (1..).zip(blows) {
        let (write, bits) = (blow(store), ids.bits() as u64);
        if !meeting.meet(side, bout) {
            break;
        }
        let start = clock.elapsed();
        if bits.is_multiple_of(2) {
            // Up to as long as the other one's write takes.
            let late = meeting.least[1 - side].load(Ordering::Relaxed) * (bits >> 48) / (1 << 16);
            while clock.elapsed() - start < Duration::from_nanos(late) {
                hint::spin_loop();
            }
        }
        let begun = clock.elapsed();
        answers.push(write.await);
        least = least.min((clock.elapsed() - begun).as_nanos() as u32);
        meeting.least[side].store(u64::from(least), Ordering::Relaxed);
    }
    answers
}

impl Context {
    /// Fights the bouts one after the other, each with both handles, which change sides; gives the answers of both, and
    /// how long a write took at least.
    pub(crate) async fn duel<L, R>(
        &self,
        bouts: Vec<Bout<L, R>>,
    ) -> Verdict<(Vec<(Result<L>, Result<R>)>, Duration)>
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
        let (left, right) = (self.fight(&meeting, 0, left), self.fight(&meeting, 1, right));
        let (left, right) = (left.await, right.await);
        drop(over);
        let panicked = |error: JoinError| Failure::new("a duel", "no panic", error.to_string());
        let answers = left.map_err(panicked)?.into_iter().zip(right.map_err(panicked)?).collect();
        let least = meeting.least.iter().map(|least| least.load(Ordering::Relaxed)).min();
        Ok((answers, Duration::from_nanos(least.unwrap_or_default())))
    }

    /// Puts one side of the bouts on a thread of its own.
    fn fight<T: Send + 'static>(
        &self,
        meeting: &Arc<Meeting>,
        number: usize,
        blows: Vec<(Arc<dyn Store>, Blow<T>)>,
    ) -> JoinHandle<Vec<Result<T>>> {
        let (runtime, meeting) = (Handle::current(), meeting.clone());
        let ids = SeededIds::new(self.ids().bits() as u64);
        spawn_blocking(move || {
            let _over = Over(meeting.clone());
            runtime.block_on(side(&meeting, number, blows, ids))
        })
    }

    /// Tells the answers of the bout that a failure is about.
    pub(crate) fn tell_bout(&self, run: &RunId, answers: &impl Debug) {
        self.journal.note(format!("the two answers, on {run:?}: {answers:?}"));
    }
}
