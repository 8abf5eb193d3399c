//! Parts of a handler that are finished once and for all, and loops that go on from their newest state.
//!
//! A phase is a place with rounds inside of it, each a scope of its own; a plain one has round 0. Its records say that what
//! is recorded inside is not needed any more: `PhaseDone` of all rounds, `PhaseSaved` of those before the one that the saved
//! state begins. Replay drops them when it reads that, so a finished phase costs its result, and a loop its newest state and
//! the rounds since.

use std::{ops::ControlFlow, sync::Arc};

use milepost_core::{Error, ErrorKind};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Happened, Run, base::shorten, event::Event, history::Entry, place::Place, run::Core, stop::Halt,
    value::Stored,
};

/// A loop's state is saved when the records since the last time weigh more, in bytes, than the state did, but not before
/// they weigh as much as this. So all saves together are no larger than all records, and a resume reads little more than
/// twice the state.
const FLOOR: u64 = 16 << 10;

impl Run {
    /// A part of the handler that is finished once and for all: once `work` has returned `Ok`, its result is durable, and after
    /// a crash the phase gives that result without calling `work`; nothing of what was recorded inside is read again. A phase
    /// that was interrupted is called again from its beginning, and its finished steps answer from the log as always.
    ///
    /// Phases are told apart by where they stand, as steps are: two of one name are two phases. An error of `work` is the
    /// handler's to deal with, and is not recorded: the steps that it came from are.
    ///
    /// ```
    /// # use milepost_run::{BoxError, Run};
    /// # async fn fetch(url: &str) -> Result<String, BoxError> { Ok(url.into()) }
    /// async fn handler(run: Run, urls: Vec<String>) -> Result<usize, BoxError> {
    ///     let pages: Vec<String> = run.phase("fetch", |run| async move {
    ///         run.map(urls, 8, String::clone, |run, url| async move { run.step("page", || fetch(&url)).await }).await
    ///     }).await?;
    ///     let words: usize = run.phase("count", |_| async move {
    ///         Ok::<_, BoxError>(pages.iter().map(|page| page.split(' ').count()).sum())
    ///     }).await?;
    ///     Ok(words)
    /// }
    /// ```
    ///
    /// A result that no store can keep (without a form in JSON, too large) fails the run.
    pub fn phase<T, E, F>(
        &self,
        name: impl Into<String>,
        work: impl FnOnce(Run) -> F,
    ) -> impl Future<Output = Result<T, E>>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T, E>>,
    {
        let entering = self.entering(name.into());
        async move {
            match entering.enter().await {
                Entered::Done(value) => Ok(value),
                Entered::Going(phase, _) => Ok(phase.finish(&work(phase.this_round()).await?).await),
            }
        }
    }

    /// A loop with a state: `round` is called with it again and again, until it breaks with the loop's result. The state is
    /// saved from time to time, and after a crash the loop goes on from the saved one, with no new input; the rounds since
    /// then are called again, and their steps answer from the log. What was recorded of the rounds before is not read again,
    /// so a loop may go on for years.
    ///
    /// A loop is a [phase](Run::phase): once it has broken, its result stands.
    ///
    /// ```
    /// # use milepost_run::{BoxError, Run};
    /// use std::ops::ControlFlow::{Break, Continue};
    ///
    /// # async fn page_after(last: u64) -> Result<Vec<u64>, BoxError> { Ok(if last < 3 { vec![last + 1] } else { vec![] }) }
    /// async fn sum(run: Run, _: ()) -> Result<u64, BoxError> {
    ///     run.repeat("page", (0, 0), |run, (last, sum)| async move {
    ///         let page: Vec<u64> = run.step("fetch", || page_after(last)).retries(3).await?;
    ///         Ok(match page.last() {
    ///             Some(last) => Continue((*last, sum + page.iter().sum::<u64>())),
    ///             None => Break(sum),
    ///         })
    ///     })
    ///     .await
    /// }
    /// ```
    ///
    /// The state is saved when the records since the last time weigh as much as it did (at least 16 KiB), so all saves
    /// together are no larger than the log that they shorten. A state or a result that no store can keep (without a form in
    /// JSON, too large) fails the run.
    pub fn repeat<S, T, E, F>(
        &self,
        name: impl Into<String>,
        state: S,
        mut round: impl FnMut(Run, S) -> F,
    ) -> impl Future<Output = Result<T, E>>
    where
        S: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<ControlFlow<T, S>, E>>,
    {
        let entering = self.entering(name.into());
        async move {
            let (mut phase, saved) = match entering.enter().await {
                Entered::Done(value) => return Ok(value),
                Entered::Going(phase, saved) => (phase, saved),
            };
            let mut state = match saved {
                Some(saved) => phase.recall(&saved).await,
                None => state,
            };
            loop {
                state = match round(phase.this_round(), state).await? {
                    ControlFlow::Continue(state) => phase.next_round(state).await,
                    ControlFlow::Break(value) => return Ok(phase.finish(&value).await),
                };
            }
        }
    }

    fn entering(&self, name: String) -> Entering<'_> {
        let (at, entry) = self.arrive();
        Entering { phase: Phase { core: self.core(), name, at, round: 0, weight: 0, size: 0 }, entry }
    }
}

/// A phase that the handler has come to, with what is recorded of it.
struct Entering<'a> {
    phase: Phase<'a>,
    entry: Option<Entry>,
}

enum Entered<'a, T> {
    Done(T),
    /// With the state that was saved.
    Going(Phase<'a>, Option<Stored>),
}

impl<'a> Entering<'a> {
    async fn enter<T: DeserializeOwned>(self) -> Entered<'a, T> {
        let Self { mut phase, entry } = self;
        let core = phase.core;
        let saved = match entry {
            None => {
                let began = Event::PhaseBegan { at: phase.at.clone(), phase: phase.name.clone() };
                // It rides on the first commit of what is inside.
                core.log.push(core.log.entry(&[began]));
                phase.weight = core.log.weight();
                None
            }
            Some(Entry::Phase(recorded)) if recorded.name == phase.name => {
                if let Some(value) = recorded.done {
                    core.observers.tell(&core.id, || Happened::PhaseSkipped { phase: phase.name.clone() });
                    return Entered::Done(phase.recall(&value).await);
                }
                (phase.round, phase.weight, phase.size) = (recorded.round, recorded.weight, recorded.size);
                recorded.state
            }
            Some(other) => {
                core.diverge(&phase.at, &phase.asked(), &other);
                core.over(&mut core.activity.begin()).await
            }
        };
        let round = phase.round;
        core.observers.tell(&core.id, || Happened::PhaseBegan { phase: phase.name.clone(), round });
        Entered::Going(phase, saved)
    }
}

/// A phase that is going on.
struct Phase<'a> {
    core: &'a Arc<Core>,
    name: String,
    at: Place,
    round: u32,
    /// How much was recorded when its state was last saved, and how large that was.
    weight: u64,
    size: u64,
}

impl Phase<'_> {
    fn asked(&self) -> String {
        format!("phase {:?}", self.name)
    }

    /// The run, as this round's work sees it.
    fn this_round(&self) -> Run {
        Run::in_scope(self.core.clone(), self.at.branch(&self.round.to_string()))
    }

    async fn recall<T: DeserializeOwned>(&self, value: &Stored) -> T {
        let mut busy = self.core.activity.begin();
        self.core.recall(&mut busy, &self.at, &self.asked(), value).await
    }

    /// Counts the round, and saves the state if it is time. The state that goes on is what a resume would read.
    async fn next_round<S: Serialize + DeserializeOwned>(&mut self, state: S) -> S {
        self.round += 1;
        let core = self.core;
        let grown = core.log.weight().saturating_sub(self.weight);
        // While the next rounds answer from the log, it is no use to save.
        if grown < self.size.max(FLOOR) || core.history().reaches_round(&self.at, self.round) {
            return state;
        }
        let (at, round) = (self.at.clone(), self.round);
        let (state, size) =
            self.record(&state, |state, size| Event::PhaseSaved { at, round, size, state }).await;
        (self.size, self.weight) = (size, core.log.weight());
        core.observers.tell(&core.id, || Happened::PhaseSaved { phase: self.name.clone(), round });
        state
    }

    /// Records the result; gives it as the log has it.
    async fn finish<T: Serialize + DeserializeOwned>(&self, value: &T) -> T {
        let at = self.at.clone();
        let (value, _) = self.record(value, |value, _| Event::PhaseDone { at, value }).await;
        self.core.observers.tell(&self.core.id, || Happened::PhaseDone { phase: self.name.clone() });
        value
    }

    /// Makes a value durable; gives it as the log has it, and its size.
    async fn record<T>(&self, value: &T, event: impl FnOnce(Stored, u64) -> Event) -> (T, u64)
    where
        T: Serialize + DeserializeOwned,
    {
        let core = self.core;
        let mut busy = core.activity.begin();
        core.admit(&mut busy).await;
        let (read, encoded) = match core.encode(value) {
            Ok(both) => both,
            Err(error) => {
                let message = format!("what {} returned cannot be recorded: {error}", self.asked());
                core.stop.halt(Halt::Broken(Error::new(ErrorKind::Invalid, message).with_source(error)));
                return core.over(&mut busy).await;
            }
        };
        let size = encoded.json().len() as u64;
        let (value, blobs) = encoded.split();
        core.log.write_entry(core.log.entry(&[event(value, size)]).blobs(blobs)).await;
        shorten(core).await;
        (read, size)
    }
}
