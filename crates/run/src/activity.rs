//! What a handler is doing: whether anything is under way, and what it waits for.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use milepost_core::Timestamp;
use tokio::sync::Notify;

/// Counts what a handler has under way, and keeps what it waits for.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Operations that do something: a step's body, a commit.
    busy: usize,
    /// Operations that wait, each with the instant at which it goes on by itself.
    parked: BTreeMap<u64, Option<Timestamp>>,
    /// Counts what has begun.
    turns: u64,
}

/// A handler at rest: everything that it has under way waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rest {
    /// The first instant at which something goes on by itself.
    pub(crate) until: Option<Timestamp>,
    turn: u64,
}

impl Activity {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Something is under way as long as the guard lives.
    pub(crate) fn begin(&self) -> Busy<'_> {
        let mut state = self.state();
        state.busy += 1;
        state.turns += 1;
        Busy { activity: self, parked: None }
    }

    /// Whether nothing is under way; waits do not count.
    pub(crate) fn is_idle(&self) -> bool {
        self.state().busy == 0
    }

    fn rest(&self) -> Option<Rest> {
        let state = self.state();
        let at_rest = state.busy == 0 && !state.parked.is_empty();
        at_rest.then(|| Rest { until: state.parked.values().flatten().min().copied(), turn: state.turns })
    }

    /// Waits until the handler has come to rest.
    pub(crate) async fn rested(&self) -> Rest {
        loop {
            let changed = self.changed.notified();
            if let Some(rest) = self.rest() {
                return rest;
            }
            changed.await;
        }
    }

    /// Whether the handler still rests as it did: it has not moved in between.
    pub(crate) fn still(&self, rest: Rest) -> bool {
        self.rest() == Some(rest)
    }

    /// Waits until nothing is under way.
    pub(crate) async fn idle(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_idle() {
                return;
            }
            changed.await;
        }
    }
}

/// Something that is under way.
#[derive(Debug)]
pub(crate) struct Busy<'a> {
    activity: &'a Activity,
    /// Under which number it waits.
    parked: Option<u64>,
}

impl Busy<'_> {
    /// It waits from now on; at `until` it goes on by itself.
    pub(crate) fn park(&mut self, until: Option<Timestamp>) {
        self.unpark();
        let mut state = self.activity.state();
        state.busy -= 1;
        state.turns += 1;
        let number = state.turns;
        state.parked.insert(number, until);
        self.parked = Some(number);
        if state.busy == 0 {
            drop(state);
            self.activity.changed.notify_waiters();
        }
    }

    /// It is under way again.
    pub(crate) fn unpark(&mut self) {
        if let Some(number) = self.parked.take() {
            let mut state = self.activity.state();
            state.parked.remove(&number);
            state.busy += 1;
            state.turns += 1;
        }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.unpark();
        let mut state = self.activity.state();
        state.busy -= 1;
        state.turns += 1;
        // Most steps end while nothing waits, and the driver need not be woken for each.
        if state.busy == 0 {
            drop(state);
            self.activity.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_rests_when_everything_waits() {
        let activity = Activity::default();
        assert!(activity.rest().is_none() && activity.is_idle());
        let mut one = activity.begin();
        let mut other = activity.begin();
        one.park(Some(Timestamp(7)));
        assert!(activity.rest().is_none(), "the other is under way");
        other.park(None);
        let rest = activity.rest().unwrap();
        assert_eq!(rest.until, Some(Timestamp(7)));
        one.unpark();
        assert!(!activity.still(rest));
        one.park(Some(Timestamp(7)));
        assert!(!activity.still(rest), "it has moved in between");
        drop((one, other));
        assert!(activity.rest().is_none() && activity.is_idle());
    }
}
