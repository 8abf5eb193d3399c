//! What is to go wrong, and what has been counted: one lock for both, so that a plan and its request cannot miss each
//! other.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::counts::Counts;

/// A message that gets lost, together with its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    fate: Fate,
    nth: u64,
    name: Option<String>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Passes,
    /// It never reaches the server.
    IsLost,
    /// The server does what it asks, and its reply is lost.
    LosesReply,
}

impl Loss {
    /// The `nth` request from now on, 1 being the next one, is done, and its reply is lost: when the reply has come from
    /// the server, whole, the connection is reset instead of passing it on.
    pub fn reply(nth: u64) -> Self {
        Self { fate: Fate::LosesReply, nth, name: None }
    }

    /// The `nth` request from now on never reaches the server: the connection is reset instead of passing it on.
    pub fn request(nth: u64) -> Self {
        Self { fate: Fate::IsLost, nth, name: None }
    }

    /// Counts only requests of this name; see [`Counts::of`].
    pub fn to(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }
}

/// The state that a proxy's handle and its connections share.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    planned: Vec<Loss>,
    lost: u64,
    toward: Duration,
    back: Duration,
    silent: bool,
}

impl Faults {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counts(&self) -> Counts {
        self.state().counts.clone()
    }

    pub(super) fn count(&self, add: impl FnOnce(&mut Counts)) {
        add(&mut self.state().counts);
    }

    pub(super) fn plan(&self, loss: Loss) {
        self.state().planned.push(loss);
    }

    pub(super) fn unplan(&self) {
        self.state().planned.clear();
    }

    pub(super) fn lost(&self) -> u64 {
        self.state().lost
    }

    pub(super) fn delay(&self, toward: Duration, back: Duration) {
        let mut state = self.state();
        (state.toward, state.back) = (toward, back);
    }

    pub(super) fn delays(&self) -> (Duration, Duration) {
        let state = self.state();
        (state.toward, state.back)
    }

    pub(super) fn silence(&self, silent: bool) {
        self.state().silent = silent;
    }

    pub(super) fn is_silent(&self) -> bool {
        self.state().silent
    }

    /// Counts a request, and says what becomes of it. A loss counts as happened once it is decided, though for a reply
    /// the server still has to answer.
    pub(super) fn request(&self, name: &str, alone: bool) -> Fate {
        let mut state = self.state();
        state.counts.requests += 1;
        state.counts.trips += u64::from(alone);
        *state.counts.messages.entry(name.to_owned()).or_default() += 1;
        let mut fate = Fate::Passes;
        state.planned.retain_mut(|loss| {
            if loss.name.as_deref().is_some_and(|only| only != name) {
                return true;
            }
            loss.nth = loss.nth.saturating_sub(1);
            if loss.nth == 0 && fate == Fate::Passes {
                fate = loss.fate;
            }
            loss.nth > 0
        });
        state.lost += u64::from(fate != Fate::Passes);
        fate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_request_of_a_name_is_lost_and_only_that() {
        let faults = Faults::default();
        faults.plan(Loss::reply(2).to("SET"));
        faults.plan(Loss::request(5));
        let fates: Vec<_> =
            ["SET", "GET", "SET", "SET", "GET", "SET"].map(|name| faults.request(name, true)).into();
        use Fate::{IsLost, LosesReply, Passes};
        assert_eq!(fates, [Passes, Passes, LosesReply, Passes, IsLost, Passes]);
        assert_eq!(faults.lost(), 2);
        assert_eq!(faults.counts().of("SET"), 4);
        faults.plan(Loss::request(1));
        faults.unplan();
        assert_eq!(faults.request("SET", true), Passes);
    }
}
