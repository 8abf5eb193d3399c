//! What a run's log says: the events of a handler, as records of kinds that this crate owns.
//!
//! The body of each is JSON, `{"v":1,"epoch":3,"event":{"step-done":{…}}}`: the version of the format, the epoch of the
//! fence under which it was written, and the event. Version 1 is read for ever.

use std::sync::Arc;

use milepost_core::{
    Digest, Epoch, Error, ErrorKind, Kind, NewRecord, Record, Result, Timestamp, Version as RunVersion,
};
use serde::{Deserialize, Serialize};

use crate::{
    error::FailureCause,
    place::Place,
    tree::kept::{ChildEnd, Identity},
    value::Stored,
};

/// Every kind of record of this crate begins so.
pub(crate) const PREFIX: &str = "milepost/run.";
/// The version of the format that is written.
const VERSION: u32 = 1;

/// Something that happened to a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Event {
    /// A failed run was opened again; the failures at these places no longer stand.
    Reopened { forgotten: Vec<Place> },
    /// An attempt of a step is about to be made.
    StepBegan { at: Place, step: String, attempt: u32, once: bool },
    /// An attempt has failed. The next one is due at `retry_at`; without it the step has failed for good.
    StepFailed { at: Place, attempt: u32, cause: FailureCause, message: String, retry_at: Option<Timestamp> },
    /// A step has finished.
    StepDone { at: Place, attempt: u32, value: Stored },
    /// A step in doubt is to be run again.
    StepReleased { at: Place, attempt: u32 },
    /// The time, or a random draw, was taken.
    Drawn { at: Place, what: Draw, value: Stored },
    /// A gate was passed with this version of the handler.
    Gate { name: String, version: u32 },
    /// The handler began to wait.
    WaitBegan { at: Place, on: Waited, until: Option<Timestamp>, default: Option<Stored> },
    /// The wait is over: by a message with this value, or, without one, by its instant.
    WaitDone { at: Place, value: Option<Stored> },
    /// A child is about to be made, with this slice of the budget.
    ChildBegan { at: Place, child: Identity, grant: Option<u64> },
    /// A child that had failed at this version is about to be reopened.
    ChildRestarted { at: Place, failed: RunVersion, when: Timestamp },
    /// A child has ended; of its slice it has used so much, or nobody knows how much.
    ChildSettled { at: Place, end: Arc<ChildEnd>, used: Option<u64> },
    /// Something was used of the budget; how much may be unknown.
    Spent { at: Place, what: String, units: Option<u64> },
    /// The watchdog gave the run more time, for so many times in all.
    Extended { extensions: u32 },
    /// The last record of a run with a budget: what it has used in all, and of what it does not know how much.
    Accounted { spent: u64, gaps: Vec<String> },
    /// The handler entered a phase.
    PhaseBegan { at: Place, phase: String },
    /// A phase goes on from this state, of this many bytes, with this round, whatever was recorded of the rounds before.
    PhaseSaved { at: Place, round: u32, size: u64, state: Stored },
    /// A phase has finished, whatever was recorded inside of it.
    PhaseDone { at: Place, value: Stored },
    /// A session's producer is ready; without `keeps`, the events of the attempts before count no more.
    SessionBegan { at: Place, session: String, attempt: u32, keeps: bool },
    /// A session's next event.
    SessionSaid { at: Place, session: String, id: Option<String>, value: Stored },
    /// A session's last event: it is whole, or has failed for this reason.
    SessionEnded { at: Place, session: String, failure: Option<String> },
}

/// What was drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Draw {
    Now,
    Uuid,
    Random,
    Budget,
}

/// What is waited for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Waited {
    Time,
    Signal(String),
}

#[derive(Serialize)]
struct Written<'a> {
    v: u32,
    epoch: Epoch,
    event: &'a Event,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

#[derive(Deserialize)]
struct Read {
    epoch: Epoch,
    event: Event,
}

impl Event {
    fn kind(&self) -> Kind {
        Kind::from_static(match self {
            Event::Reopened { .. } => "milepost/run.reopened",
            Event::StepBegan { .. } => "milepost/run.step-began",
            Event::StepFailed { .. } => "milepost/run.step-failed",
            Event::StepDone { .. } => "milepost/run.step-done",
            Event::StepReleased { .. } => "milepost/run.step-released",
            Event::Drawn { .. } => "milepost/run.drawn",
            Event::Gate { .. } => "milepost/run.gate",
            Event::WaitBegan { .. } => "milepost/run.wait-began",
            Event::WaitDone { .. } => "milepost/run.wait-done",
            Event::ChildBegan { .. } => "milepost/run.child-began",
            Event::ChildRestarted { .. } => "milepost/run.child-restarted",
            Event::ChildSettled { .. } => "milepost/run.child-settled",
            Event::Spent { .. } => "milepost/run.spent",
            Event::Extended { .. } => "milepost/run.extended",
            Event::Accounted { .. } => "milepost/run.accounted",
            Event::PhaseBegan { .. } => "milepost/run.phase-began",
            Event::PhaseSaved { .. } => "milepost/run.phase-saved",
            Event::PhaseDone { .. } => "milepost/run.phase-done",
            Event::SessionBegan { .. } => "milepost/run.session-began",
            Event::SessionSaid { .. } => "milepost/run.session-said",
            Event::SessionEnded { .. } => "milepost/run.session-ended",
        })
    }

    /// Whether work was finished with it, which forgives the run its lapses.
    pub(crate) fn advances(&self) -> bool {
        match self {
            Event::StepDone { .. }
            | Event::WaitDone { .. }
            | Event::ChildSettled { .. }
            | Event::PhaseSaved { .. }
            | Event::PhaseDone { .. }
            | Event::SessionEnded { .. } => true,
            Event::StepFailed { retry_at, .. } => retry_at.is_none(),
            _ => false,
        }
    }

    /// Where in the handler it happened.
    pub(crate) fn place(&self) -> Option<&Place> {
        match self {
            Event::StepBegan { at, .. }
            | Event::StepFailed { at, .. }
            | Event::StepDone { at, .. }
            | Event::StepReleased { at, .. }
            | Event::Drawn { at, .. }
            | Event::WaitBegan { at, .. }
            | Event::WaitDone { at, .. }
            | Event::PhaseBegan { at, .. }
            | Event::PhaseSaved { at, .. }
            | Event::PhaseDone { at, .. }
            | Event::SessionBegan { at, .. }
            | Event::SessionSaid { at, .. }
            | Event::SessionEnded { at, .. }
            | Event::ChildBegan { at, .. }
            | Event::ChildRestarted { at, .. }
            | Event::ChildSettled { at, .. }
            | Event::Spent { at, .. } => Some(at),
            Event::Reopened { .. }
            | Event::Gate { .. }
            | Event::Extended { .. }
            | Event::Accounted { .. } => None,
        }
    }

    /// Whether it still means something when the phase around it has finished: signals, children and books are the run's.
    pub(crate) fn outlives_its_phase(&self) -> bool {
        match self {
            Event::WaitBegan { on, .. } => matches!(on, Waited::Signal(_)),
            Event::WaitDone { value, .. } => value.is_some(),
            Event::ChildBegan { .. }
            | Event::ChildRestarted { .. }
            | Event::ChildSettled { .. }
            | Event::Spent { .. } => true,
            _ => self.place().is_none(),
        }
    }

    fn blobs(&self) -> impl Iterator<Item = Digest> {
        let value = match self {
            Event::StepDone { value, .. }
            | Event::Drawn { value, .. }
            | Event::PhaseSaved { state: value, .. }
            | Event::PhaseDone { value, .. }
            | Event::SessionSaid { value, .. } => Some(value),
            Event::WaitDone { value, .. } | Event::WaitBegan { default: value, .. } => value.as_ref(),
            Event::ChildSettled { end, .. } => end.value(),
            _ => None,
        };
        value.into_iter().filter_map(|value| match value {
            Stored::Blob(name) => Some(*name),
            Stored::Json(_) => None,
        })
    }

    /// The record that says it.
    pub(crate) fn record(&self, epoch: Epoch) -> NewRecord {
        let body = serde_json::to_vec(&Written { v: VERSION, epoch, event: self });
        // Every part has a form in JSON: names, numbers, and values that were made JSON before.
        let record = NewRecord::new(self.kind(), body.expect("an event has a form in JSON"));
        self.blobs().fold(record, NewRecord::blob)
    }

    /// What a record says, and under which epoch it was written; `None` for one that is not of this crate.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Undecodable`]: of a newer version, or no event at all.
    pub(crate) fn read(record: &Record) -> Result<Option<(Epoch, Event)>> {
        if !record.kind.as_str().starts_with(PREFIX) {
            return Ok(None);
        }
        let undecodable = |problem: String| {
            let cursor = record.cursor;
            Err(Error::new(ErrorKind::Undecodable, format!("record {cursor} cannot be read: {problem}")))
        };
        match serde_json::from_slice::<Version>(&record.body) {
            Ok(Version { v }) if v > VERSION => undecodable(format!(
                "it is of version {v} of the run loop's format, this program knows {VERSION}; use a newer one"
            )),
            Ok(_) => match serde_json::from_slice::<Read>(&record.body) {
                Ok(Read { epoch, event }) => Ok(Some((epoch, event))),
                Err(error) => undecodable(error.to_string()),
            },
            Err(error) => undecodable(error.to_string()),
        }
    }
}
