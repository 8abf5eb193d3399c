//! How a call meets its fate.

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, select};
use milepost_core::{Applied, Error, ErrorKind, Operation, Result, RunId};
use tokio::sync::watch;

use super::{Deed, Fate, FaultPlan, Faults, LAYER, Trail};

/// The plan and how far it has come.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) plan: FaultPlan,
    pub(super) writes: u64,
    pub(super) reads: u64,
    /// The write that dies is under way, and none may pass it.
    pub(super) doomed: bool,
    pub(super) trail: Trail,
    /// Counts the plans, so that a write which a former plan began changes nothing of the next one's.
    era: u64,
}

impl Book {
    pub(super) fn new(plan: FaultPlan) -> Self {
        Self { trail: Trail::new(plan.clone()), plan, writes: 0, reads: 0, doomed: false, era: 0 }
    }

    pub(super) fn start_over(&mut self, plan: FaultPlan) {
        *self = Self { era: self.era + 1, ..Self::new(plan) };
    }
}

/// Where stalled writes wait.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gate {
    pub(super) held: usize,
    pub(super) thaws: u64,
}

/// One write, and what will become of it.
pub(super) struct Turn {
    operation: Operation,
    run: Option<RunId>,
    pub(super) fate: Fate,
    dies: bool,
    /// The layer was dead already, or is about to be.
    dead: bool,
    stalls: bool,
    delay: Duration,
    /// Its name in the trail, and under which plan.
    deed: u64,
    era: u64,
}

impl Turn {
    /// What the author of the write is told, given what the store said.
    fn report<T>(&self, answer: Option<Result<T>>) -> Result<T> {
        match (self.fate, answer) {
            (Fate::Done, Some(answer)) => answer,
            (Fate::Refused, _) => {
                let refused = Error::new(ErrorKind::Unavailable, "injected: the store was not reached");
                Err(refused.with_applied(Applied::No))
            }
            _ => Err(Error::new(ErrorKind::TimedOut, "injected: no answer").with_applied(Applied::Maybe)),
        }
    }
}

impl<S> Faults<S> {
    /// The turn of the next write.
    pub(super) fn turn(&self, operation: Operation, run: Option<&RunId>) -> Turn {
        let mut turn = Turn {
            operation,
            run: run.cloned(),
            fate: Fate::Lost,
            dies: false,
            dead: true,
            stalls: false,
            delay: Duration::ZERO,
            deed: u64::MAX,
            era: u64::MAX,
        };
        self.book(|book| {
            if book.doomed {
                return;
            }
            book.writes += 1;
            turn.era = book.era;
            (turn.fate, turn.dies) = book.plan.fate(book.writes);
            (turn.dead, book.doomed) = (false, turn.dies);
            turn.stalls = book.plan.stalls(book.writes);
            turn.delay = book.plan.delay(book.writes);
            turn.deed = book.trail.add(Deed {
                number: book.writes,
                operation,
                run: turn.run.clone(),
                fate: turn.fate,
                died: turn.dies,
                stalled: turn.stalls,
                delay: turn.delay,
                answer: None,
            });
        });
        turn
    }

    /// Lets the turns come to what they are fated to; `work` is asked for the answers of those that happen.
    pub(super) async fn perform<T>(
        &self,
        turns: &[Turn],
        work: impl Future<Output = Vec<Result<T>>>,
    ) -> Vec<Result<T>> {
        let last = turns.iter().find(|turn| turn.dies).map(|turn| Last(self, turn.era));
        let answers = self.until_death(async {
            self.hold(turns).await;
            work.await
        });
        let answers = answers.await;
        let dead = last.is_some() || answers.is_none();
        let mut answers = answers.into_iter().flatten();
        let report = |turn: &Turn| {
            let answer = if turn.fate.happens() { answers.next() } else { None };
            if let Some(answer) = &answer {
                self.note(turn, answer);
            }
            if dead || turn.dead {
                Err(dead_error().with_applied(Applied::Maybe))
            } else {
                turn.report(answer)
            }
            .map_err(|error| error.during(LAYER, turn.operation, turn.run.as_ref()))
        };
        turns.iter().map(report).collect()
    }

    /// Keeps what the store said, unless another plan has begun meanwhile.
    fn note<T>(&self, turn: &Turn, answer: &Result<T>) {
        let said = answer.as_ref().map(drop).map_err(Error::kind);
        self.book(|book| {
            if book.era == turn.era {
                book.trail.answered(turn.deed, said);
            }
        });
    }

    /// Delays, and stalls.
    async fn hold(&self, turns: &[Turn]) {
        let delay = turns.iter().map(|turn| turn.delay).max().unwrap_or_default();
        if !delay.is_zero() {
            self.0.clock.sleep(delay).await;
        }
        if turns.iter().any(|turn| turn.stalls) {
            let mut held = Held::enter(&self.0.gate);
            let thaws = held.thaws;
            let _ = held.gate.wait_for(|gate| gate.thaws > thaws).await;
        }
    }

    /// Whether the next read fails, and after how many items.
    pub(super) fn read_fails(&self, operation: Operation, run: Option<&RunId>) -> Option<usize> {
        self.book(|book| {
            if book.doomed {
                return None;
            }
            book.reads += 1;
            let after = book.plan.read_fails_after(book.reads)?;
            book.trail.add(Deed {
                number: book.reads,
                operation,
                run: run.cloned(),
                fate: Fate::Refused,
                died: false,
                stalled: false,
                delay: Duration::ZERO,
                answer: None,
            });
            Some(after)
        })
    }

    /// Does the work unless the layer is dead or dies meanwhile.
    pub(super) async fn until_death<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut dead = self.0.dead.subscribe();
        let death = pin!(async {
            let _ = dead.wait_for(|dead| *dead).await;
        });
        match select(death, pin!(work)).await {
            Either::Left(_) => None,
            Either::Right((done, _)) => Some(done),
        }
    }
}

/// The write with which the layer dies: when it is answered, or when its caller is gone.
struct Last<'a, S>(&'a Faults<S>, u64);

impl<S> Drop for Last<'_, S> {
    fn drop(&mut self) {
        if self.0.book(|book| book.era == self.1) {
            self.0.kill();
        }
    }
}

/// A write at the gate, counted while it is there.
struct Held<'a> {
    count: &'a watch::Sender<Gate>,
    gate: watch::Receiver<Gate>,
    thaws: u64,
}

impl<'a> Held<'a> {
    fn enter(count: &'a watch::Sender<Gate>) -> Self {
        let mut thaws = 0;
        count.send_modify(|gate| {
            gate.held += 1;
            thaws = gate.thaws;
        });
        Self { count, gate: count.subscribe(), thaws }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.count.send_modify(|gate| gate.held -= 1);
    }
}

pub(super) fn dead_error() -> Error {
    Error::new(ErrorKind::Unavailable, "injected: dead")
}

pub(super) fn read_error() -> Error {
    Error::new(ErrorKind::Unavailable, "injected: the store was not reached")
}
