//! What a run's log says of each place of its handler, read once when the run is opened.

use std::collections::{BTreeMap, HashMap, btree_map};

use milepost_core::{Cursor, Error, ErrorKind, Record, Result, RunId, Timestamp};

use crate::{
    error::{FailureCause, StepError},
    event::{Draw, Event, Waited},
    place::Place,
    tree::kept::{ChildEnd, Kept, Restart, Settled},
    value::Stored,
};

/// What is recorded of the places that the handler has not come to yet.
#[derive(Debug, Default)]
pub(crate) struct History {
    entries: BTreeMap<Place, Recorded>,
    gates: HashMap<String, u32>,
    /// The signals that came, each with its value.
    signals: HashMap<String, Stored>,
    /// The last position of each scope of which something is recorded.
    ends: HashMap<std::sync::Arc<str>, u32>,
    /// The newest record that was read.
    pub(crate) cursor: Cursor,
}

#[derive(Clone, Debug)]
struct Recorded {
    /// The first record about it.
    first: Cursor,
    entry: Entry,
}

/// What is recorded of one place.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Step(Step),
    Drawn(Draw, Stored),
    Wait(Wait),
    /// A branch of this key begins here.
    Branch(String),
    Child(Box<Kept>),
    /// So much was used of the budget, if that is known.
    Spent(String, Option<u64>),
}

/// What is recorded of a step.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) once: bool,
    /// The newest attempt, counted from 0.
    pub(crate) attempt: u32,
    pub(crate) state: StepState,
    /// The newest record about it.
    newest: Cursor,
}

#[derive(Clone, Debug)]
pub(crate) enum StepState {
    /// Its newest attempt has begun, and nothing is known of its end.
    Began,
    /// Its newest attempt was in doubt, and the answer was to run it again.
    Released,
    /// Its newest attempt has failed, and the next is due at this instant.
    Retrying(Timestamp),
    /// It has failed for good.
    Failed(FailureCause, String),
    /// It has finished.
    Done(Stored),
}

/// What is recorded of a wait.
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    pub(crate) on: Waited,
    pub(crate) until: Option<Timestamp>,
    pub(crate) default: Option<Stored>,
    /// `Some` once it is over: with the value of the message, or without one.
    pub(crate) done: Option<Option<Stored>>,
}

impl Entry {
    /// For the message of a divergence.
    pub(crate) fn describe(&self) -> String {
        match self {
            Entry::Step(step) => format!("step {:?}", step.name),
            Entry::Drawn(draw, _) => draw.as_str().into(),
            Entry::Wait(Wait { on: Waited::Time, .. }) => "a wait for an instant".into(),
            Entry::Wait(Wait { on: Waited::Signal(name), .. }) => format!("a wait for signal {name:?}"),
            Entry::Branch(key) => format!("branch {key:?}"),
            Entry::Child(kept) => {
                format!("child {:?} of handler {:?}", kept.identity.key, kept.identity.name)
            }
            Entry::Spent(what, _) => format!("a use of the budget for {what:?}"),
        }
    }
}

impl Step {
    /// The error that the handler gets.
    pub(crate) fn error(&self, cause: FailureCause, message: String) -> StepError {
        StepError { step: self.name.clone(), cause, message, attempts: self.attempt + 1 }
    }
}

impl History {
    /// Takes in the next record.
    ///
    /// # Errors
    ///
    /// Those of [`Event::read`]. [`ErrorKind::Corrupt`]: a child ended that was never begun, or ended twice.
    pub(crate) fn read(&mut self, record: &Record) -> Result<()> {
        self.cursor = record.cursor;
        match Event::read(record)? {
            Some((_, Event::ChildBegan { at, child: identity, grant })) => {
                let (restarts, reopen, settled) = Default::default();
                let began = record.at;
                let kept = Kept { identity, grant, began, restarts, reopen, settled };
                self.enter(at, Entry::Child(Box::new(kept)));
            }
            Some((_, Event::ChildSettled { at, end, used })) => {
                let cursor = self.cursor;
                let kept = self.child(&at).filter(|kept| kept.settled.is_none());
                let kept = kept.ok_or_else(|| {
                    let message = format!("record {cursor} ends a child at {at} that is not under way");
                    Error::new(ErrorKind::Corrupt, message)
                })?;
                kept.settled = Some(Settled { cursor, end, used });
            }
            Some((_, event)) => self.apply(event),
            None => {}
        }
        Ok(())
    }

    fn child(&mut self, at: &Place) -> Option<&mut Kept> {
        match self.entries.get_mut(at) {
            Some(Recorded { entry: Entry::Child(kept), .. }) => Some(kept),
            _ => None,
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Reopened { forgotten } => {
                for place in &forgotten {
                    match self.entries.get_mut(place).map(|recorded| &mut recorded.entry) {
                        Some(Entry::Step(step)) => step.state = StepState::Released,
                        Some(Entry::Child(kept)) => (kept.settled, kept.reopen) = (None, true),
                        _ => {}
                    }
                }
            }
            Event::StepBegan { at, step, attempt, once } => {
                let (name, newest) = (step, self.cursor);
                self.enter(at, Entry::Step(Step { name, once, attempt, state: StepState::Began, newest }));
            }
            Event::StepFailed { at, attempt, cause, message, retry_at } => {
                let failed = StepState::Failed(cause, message);
                self.step(&at, attempt, retry_at.map_or(failed, StepState::Retrying));
            }
            Event::StepDone { at, attempt, value } => self.step(&at, attempt, StepState::Done(value)),
            Event::StepReleased { at, attempt } => self.step(&at, attempt, StepState::Released),
            Event::Drawn { at, what, value } => self.enter(at, Entry::Drawn(what, value)),
            Event::Gate { name, version } => {
                self.gates.insert(name, version);
            }
            Event::WaitBegan { at, on, until, default } => {
                self.enter(at, Entry::Wait(Wait { on, until, default, done: None }));
            }
            Event::WaitDone { at, value } => {
                if let Some(Recorded { entry: Entry::Wait(wait), .. }) = self.entries.get_mut(&at) {
                    if let (Waited::Signal(name), Some(value)) = (&wait.on, &value) {
                        self.signals.insert(name.clone(), value.clone());
                    }
                    wait.done = Some(value);
                }
            }
            Event::ChildRestarted { at, failed, when } => {
                if let Some(kept) = self.child(&at) {
                    kept.restarts.push(Restart { failed, at: when });
                }
            }
            Event::Spent { at, what, units } => self.enter(at, Entry::Spent(what, units)),
            // Read with their cursors, and for others.
            Event::ChildBegan { .. } | Event::ChildSettled { .. } | Event::Accounted { .. } => {}
        }
    }

    fn step(&mut self, at: &Place, attempt: u32, state: StepState) {
        if let Some(Recorded { entry: Entry::Step(step), .. }) = self.entries.get_mut(at) {
            step.attempt = attempt;
            step.state = state;
            step.newest = self.cursor;
        }
    }

    fn enter(&mut self, at: Place, entry: Entry) {
        for (began, key) in at.branches() {
            self.put(began, Entry::Branch(key), false);
        }
        self.put(at, entry, true);
    }

    fn put(&mut self, at: Place, entry: Entry, newer: bool) {
        self.ends_at(&at);
        match self.entries.entry(at) {
            btree_map::Entry::Vacant(vacant) => {
                vacant.insert(Recorded { first: self.cursor, entry });
            }
            btree_map::Entry::Occupied(mut occupied) if newer => occupied.get_mut().entry = entry,
            btree_map::Entry::Occupied(_) => {}
        }
    }

    fn ends_at(&mut self, place: &Place) {
        let end = self.ends.entry(place.scope.clone()).or_default();
        *end = place.position.max(*end);
    }

    /// What is recorded of a place: given once, when the handler comes to it.
    pub(crate) fn take(&mut self, place: &Place) -> Option<Entry> {
        self.entries.remove(place).map(|recorded| recorded.entry)
    }

    /// Whether anything is recorded of this place of its scope or of a later one.
    pub(crate) fn reaches(&self, place: &Place) -> bool {
        self.ends.get(&place.scope).is_some_and(|end| *end >= place.position)
    }

    /// The version with which a gate was passed.
    pub(crate) fn gate(&self, name: &str) -> Option<u32> {
        self.gates.get(name).copied()
    }

    pub(crate) fn pass(&mut self, name: &str, version: u32) {
        self.gates.insert(name.into(), version);
    }

    /// The first place of the outermost scope that the handler never came to. Branches may be given up by their handler
    /// in an order that only time decides; what follows one another may not.
    pub(crate) fn left(&self) -> Option<(&Place, &Entry)> {
        let entries = self.entries.iter().map(|(place, recorded)| (place, &recorded.entry));
        entries
            .into_iter()
            .find(|(place, entry)| place.scope.is_empty() && !matches!(entry, Entry::Branch(_)))
    }

    /// The failures upon which the handler has not acted: those that a reopened run tries again.
    pub(crate) fn newest_failures(&self) -> Vec<Place> {
        let failed = self.entries.iter().filter(|(place, recorded)| match &recorded.entry {
            Entry::Step(Step { state: StepState::Failed(..), newest, .. }) => !self.goes_on(place, *newest),
            Entry::Child(kept) => match &kept.settled {
                Some(Settled { end: ChildEnd::Failed { .. }, cursor, .. }) => !self.goes_on(place, *cursor),
                _ => false,
            },
            _ => false,
        });
        failed.map(|(place, _)| place.clone()).collect()
    }

    /// Whether something that comes after this place, in its scope or in one around it, began after `cursor`.
    fn goes_on(&self, place: &Place, cursor: Cursor) -> bool {
        let around: Vec<Place> = std::iter::once(place.clone())
            .chain(place.branches().into_iter().map(|(began, _)| began))
            .collect();
        self.entries.iter().any(|(other, recorded)| {
            let later = |place: &Place| place.scope == other.scope && place.position < other.position;
            recorded.first > cursor && around.iter().any(later)
        })
    }

    /// Makes these steps run again.
    pub(crate) fn forget(&mut self, places: Vec<Place>) {
        self.apply(Event::Reopened { forgotten: places });
    }

    /// The steps that may have happened and must not be run again before somebody has answered.
    pub(crate) fn in_doubt(&self) -> Vec<(Place, Step)> {
        let doubted = self.entries.iter().filter_map(|(place, recorded)| match &recorded.entry {
            Entry::Step(step) if step.once && matches!(step.state, StepState::Began) => {
                Some((place.clone(), step.clone()))
            }
            _ => None,
        });
        doubted.collect()
    }

    /// What is recorded of the child at a place.
    pub(crate) fn kept(&self, at: &Place) -> Option<&Kept> {
        match &self.entries.get(at)?.entry {
            Entry::Child(kept) => Some(kept),
            _ => None,
        }
    }

    /// Whether the handler has come to all that is recorded.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.entries.values().all(|recorded| matches!(recorded.entry, Entry::Branch(_)))
    }

    /// The children that have not ended.
    pub(crate) fn live_children(&self) -> Vec<(Place, RunId)> {
        let live = self.entries.iter().filter_map(|(place, recorded)| match &recorded.entry {
            Entry::Child(kept) if kept.settled.is_none() => Some((place.clone(), kept.identity.run.clone())),
            _ => None,
        });
        live.collect()
    }

    /// The value with which a signal came.
    pub(crate) fn signal(&self, name: &str) -> Option<&Stored> {
        self.signals.get(name)
    }

    pub(crate) fn receive(&mut self, name: &str, value: Stored) {
        self.signals.insert(name.into(), value);
    }
}
