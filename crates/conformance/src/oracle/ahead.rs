//! Looking ahead: what steps would show if they came next, by the model alone. The store is asked only what is worth
//! asking.

use std::time::Duration;

use milepost_core::{Head, RunId, Timestamp};

use super::{
    ask::{Ask, Told},
    label::labels,
    model::Model,
    resolve::{Known, Standing},
    step::Step,
};

/// A history that goes on in thought.
#[derive(Clone, Debug)]
pub(crate) struct Ahead<'a> {
    model: Model,
    known: Vec<Known>,
    runs: &'a [RunId],
    prefix: &'a str,
    now: Timestamp,
    exact: bool,
    long: Duration,
}

/// How many of the writes of a run a step can be about.
const SENT: usize = 8;

impl<'a> Ahead<'a> {
    /// From where a history stands.
    pub(crate) fn of(standing: &Standing<'a>) -> Self {
        let Standing { model, runs, prefix, known, now, exact, long } = *standing;
        let newest = |known: &Known| Known {
            fences: known.fences.clone(),
            sent: known.sent[known.sent.len().saturating_sub(SENT)..].to_vec(),
        };
        Self {
            model: model.clone(),
            known: known.iter().map(newest).collect(),
            runs,
            prefix,
            now,
            exact,
            long,
        }
    }

    fn standing(&self) -> Standing<'_> {
        Standing {
            model: &self.model,
            runs: self.runs,
            prefix: self.prefix,
            known: &self.known,
            now: self.now,
            exact: self.exact,
            long: self.long,
        }
    }

    /// The heads as they would be.
    pub(crate) fn heads(&self) -> Vec<Option<Head>> {
        self.runs.iter().map(|run| self.model.head(run, self.now)).collect()
    }

    /// What would be seen if `step` came next.
    pub(crate) fn foresee(&self, step: &Step) -> Vec<&'static str> {
        let Some(ask) = self.standing().ask(step) else { return Vec::new() };
        let (told, after) = self.model.would(&ask, self.now);
        self.labels(&ask, &told, &after)
    }

    /// Goes on with `step`; tells what would be seen.
    pub(crate) fn step(&mut self, step: &Step) -> Vec<&'static str> {
        let Some(ask) = self.standing().ask(step) else { return Vec::new() };
        let (told, after) = self.model.would(&ask, self.now);
        let seen = self.labels(&ask, &told, &after);
        self.model.answer(&ask, self.now);
        let known = &mut self.known[step.run];
        if let Some(head) = self.model.head(&self.runs[step.run], self.now)
            && known.fences.last() != Some(&head.fence)
        {
            known.fences.push(head.fence);
        }
        known.sent.extend(matches!(ask, Ask::Write(..)).then_some(ask));
        seen
    }

    fn labels(&self, ask: &Ask, told: &Told, after: &Model) -> Vec<&'static str> {
        let before = ask.run().and_then(|run| self.model.head(run, self.now));
        let after = ask.run().and_then(|run| after.head(run, self.now));
        let waits = self.model.waiting(ask, told).is_some();
        labels(ask, told, before.as_ref(), after.as_ref(), waits)
    }
}
