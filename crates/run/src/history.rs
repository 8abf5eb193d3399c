//! What a run's log says of each place of its handler, read once when the run is opened.

use std::collections::{BTreeMap, btree_map};

use milepost_core::{Cursor, Record, Result, Timestamp};

use crate::{
    base::{Base, Past},
    error::{FailureCause, StepError},
    event::{Draw, Event, Waited},
    place::Place,
    tree::{
        family::Family,
        kept::{Kept, Restart},
    },
    value::Stored,
};

/// What is recorded of the places that the handler has not come to yet.
#[derive(Debug, Default)]
pub(crate) struct History {
    entries: BTreeMap<Place, Recorded>,
    gates: BTreeMap<String, u32>,
    /// The signals that came, each with its value.
    signals: BTreeMap<String, Stored>,
    /// The last position of each scope of which something is recorded.
    ends: BTreeMap<std::sync::Arc<str>, u32>,
    /// The children, and the books. Kept over phases, for they are the run's.
    pub(crate) family: Family,
    /// How often the watchdog gave more time.
    pub(crate) extensions: u32,
    /// The newest record that was read.
    pub(crate) cursor: Cursor,
    /// How many bytes were read.
    pub(crate) weight: u64,
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
    Phase(Phase),
    Session(Session),
    /// A branch of this key begins here.
    Branch(String),
    Child(Box<Kept>),
    /// Something was used of the budget.
    Spent(String),
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

/// What is recorded of a phase.
#[derive(Clone, Debug)]
pub(crate) struct Phase {
    pub(crate) name: String,
    /// The round with which it goes on, and the state that this round begins with, if one was saved.
    pub(crate) round: u32,
    pub(crate) state: Option<Stored>,
    /// How large it is, in bytes.
    pub(crate) size: u64,
    /// How much had been recorded when that was known.
    pub(crate) weight: u64,
    /// `Some` once it has finished.
    pub(crate) done: Option<Stored>,
}

/// What is recorded of a session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) name: String,
    pub(crate) attempt: u32,
    /// The events, with the ids by which their producer knows them.
    pub(crate) events: Vec<(Option<String>, Stored)>,
    /// `Some` once it has ended: whole, or failed for a reason.
    pub(crate) ended: Option<Result<(), String>>,
    /// The newest record about it.
    newest: Cursor,
}

impl Entry {
    /// For the message of a divergence.
    pub(crate) fn describe(&self) -> String {
        match self {
            Entry::Step(step) => format!("step {:?}", step.name),
            Entry::Drawn(draw, _) => draw.as_str().into(),
            Entry::Wait(Wait { on: Waited::Time, .. }) => "a wait for an instant".into(),
            Entry::Wait(Wait { on: Waited::Signal(name), .. }) => format!("a wait for signal {name:?}"),
            Entry::Phase(phase) => format!("phase {:?}", phase.name),
            Entry::Session(session) => format!("session {:?}", session.name),
            Entry::Branch(key) => format!("branch {key:?}"),
            Entry::Child(kept) => {
                format!("child {:?} of handler {:?}", kept.identity.key, kept.identity.name)
            }
            Entry::Spent(what) => format!("a use of the budget for {what:?}"),
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
        self.weight += record.body.len() as u64;
        let event = Event::read(record)?.map(|(_, event)| event);
        self.take_in(record.cursor, record.at, event)
    }

    /// Begins with what stands in for the records up to `through`.
    ///
    /// # Errors
    ///
    /// As [`History::read`].
    pub(crate) fn begin(&mut self, base: Base, through: Cursor) -> Result<()> {
        self.weight = base.weight;
        for Past { cursor, at, event } in base.events {
            self.take_in(cursor, at, Some(event))?;
        }
        self.cursor = through;
        Ok(())
    }

    fn take_in(&mut self, cursor: Cursor, at: Timestamp, event: Option<Event>) -> Result<()> {
        self.cursor = cursor;
        if let Some(event) = event {
            self.family.read(&event, cursor)?;
            self.apply(event, at);
        }
        Ok(())
    }

    /// Takes in an event that was recorded at `now`.
    fn apply(&mut self, event: Event, now: Timestamp) {
        match event {
            Event::Reopened { forgotten } => {
                for place in &forgotten {
                    self.family.reopen(place);
                    match self.entries.get_mut(place).map(|recorded| &mut recorded.entry) {
                        Some(Entry::Step(step)) => step.state = StepState::Released,
                        Some(Entry::Session(session)) => session.ended = None,
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
            Event::ChildBegan { at, child: identity, grant } => {
                let (restarts, reopen, settled) = Default::default();
                let kept = Kept { identity, grant, began: now, restarts, reopen, settled };
                self.enter(at, Entry::Child(Box::new(kept)));
            }
            Event::ChildRestarted { at, failed, when } => {
                self.child(&at, |kept| kept.restarts.push(Restart { failed, at: when }));
            }
            Event::ChildSettled { at, end, .. } => {
                let cursor = self.cursor;
                self.child(&at, |kept| kept.settled = Some((cursor, end)));
            }
            Event::Spent { at, what, .. } => self.enter(at, Entry::Spent(what)),
            Event::Extended { extensions } => self.extensions = extensions,
            // For the run's parent.
            Event::Accounted { .. } => {}
            Event::PhaseBegan { at, phase } => {
                let (name, weight) = (phase, self.weight);
                self.enter(
                    at,
                    Entry::Phase(Phase { name, round: 0, state: None, size: 0, weight, done: None }),
                );
            }
            Event::PhaseSaved { at, round, size, state } => {
                self.skip(&at, |past| past < round);
                let weight = self.weight;
                self.phase(&at, |phase| {
                    *phase = Phase { round, state: Some(state), size, weight, ..phase.clone() };
                });
            }
            Event::PhaseDone { at, value } => {
                self.skip(&at, |_| true);
                self.phase(&at, |phase| {
                    *phase = Phase { round: 0, state: None, size: 0, done: Some(value), ..phase.clone() };
                });
            }
            Event::SessionBegan { at, session, attempt, keeps } => self.session(at, session, |session| {
                session.attempt = attempt;
                if !keeps {
                    session.events.clear();
                }
            }),
            Event::SessionSaid { at, session, id, value } => {
                self.session(at, session, |session| session.events.push((id, value)));
            }
            Event::SessionEnded { at, session, failure } => {
                self.session(at, session, |session| session.ended = Some(failure.map_or(Ok(()), Err)));
            }
        }
    }

    fn step(&mut self, at: &Place, attempt: u32, state: StepState) {
        if let Some(Recorded { entry: Entry::Step(step), .. }) = self.entries.get_mut(at) {
            step.attempt = attempt;
            step.state = state;
            step.newest = self.cursor;
        }
    }

    fn child(&mut self, at: &Place, change: impl FnOnce(&mut Kept)) {
        // One whose phase has finished is the family's alone.
        if let Some(Recorded { entry: Entry::Child(kept), .. }) = self.entries.get_mut(at) {
            change(kept);
        }
    }

    fn phase(&mut self, at: &Place, change: impl FnOnce(&mut Phase)) {
        if let Some(Recorded { entry: Entry::Phase(phase), .. }) = self.entries.get_mut(at) {
            change(phase);
        }
    }

    /// Says something more of a session.
    fn session(&mut self, at: Place, name: String, change: impl FnOnce(&mut Session)) {
        if !self.entries.contains_key(&at) {
            let (attempt, events, ended, newest) = Default::default();
            self.enter(at.clone(), Entry::Session(Session { name, attempt, events, ended, newest }));
        }
        if let Some(Recorded { entry: Entry::Session(session), .. }) = self.entries.get_mut(&at) {
            change(session);
            session.newest = self.cursor;
        }
    }

    /// Forgets what is recorded of these rounds of a phase: nobody will ask for it.
    fn skip(&mut self, at: &Place, rounds: impl Fn(u32) -> bool) {
        let skipped = |place: &Place| at.round_of(&place.scope).is_some_and(&rounds);
        let places: Vec<_> = self.inside(at).filter(|place| skipped(place)).cloned().collect();
        for place in places {
            self.ends.remove(&place.scope);
            self.entries.remove(&place);
        }
    }

    /// The places inside of what began at `at` of which something is recorded.
    fn inside(&self, at: &Place) -> impl Iterator<Item = &Place> {
        let inside = at.inside();
        let first = Place::new(inside.as_str().into(), 0);
        self.entries
            .range(first..)
            .map(|(place, _)| place)
            .take_while(move |place| place.scope.starts_with(&inside))
    }

    /// Whether anything is recorded of this round of a phase, or of a later one, that the handler has not come to yet.
    pub(crate) fn reaches_round(&self, at: &Place, round: u32) -> bool {
        self.inside(at).any(|place| at.round_of(&place.scope).is_some_and(|recorded| recorded >= round))
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
            Entry::Step(Step { state: StepState::Failed(..), newest, .. })
            | Entry::Session(Session { ended: Some(Err(_)), newest, .. }) => !self.goes_on(place, *newest),
            Entry::Child(kept) => match &kept.settled {
                Some((cursor, end)) if end.is_failure() => !self.goes_on(place, *cursor),
                _ => false,
            },
            _ => false,
        });
        failed.map(|(place, _)| place.clone()).collect()
    }

    /// Whether something that comes after this place, in its scope, in one around it or in a later round of a phase around
    /// it, began after `cursor`.
    fn goes_on(&self, place: &Place, cursor: Cursor) -> bool {
        let around: Vec<Place> = std::iter::once(place.clone())
            .chain(place.branches().into_iter().map(|(began, _)| began))
            .collect();
        let is_phase =
            |at: &&Place| matches!(self.entries.get(at), Some(Recorded { entry: Entry::Phase(_), .. }));
        let phases: Vec<&Place> = around.iter().filter(is_phase).collect();
        self.entries.iter().any(|(other, recorded)| {
            let later = |place: &Place| place.scope == other.scope && place.position < other.position;
            let later_round = |phase: &&Place| phase.round_of(&other.scope) > phase.round_of(&place.scope);
            recorded.first > cursor && (around.iter().any(later) || phases.iter().any(later_round))
        })
    }

    /// Makes these steps run again.
    pub(crate) fn forget(&mut self, places: Vec<Place>) {
        self.apply(Event::Reopened { forgotten: places }, Timestamp::default());
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

    /// Whether the handler has come to all that is recorded.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.entries.values().all(|recorded| matches!(recorded.entry, Entry::Branch(_)))
    }

    /// The value with which a signal came.
    pub(crate) fn signal(&self, name: &str) -> Option<&Stored> {
        self.signals.get(name)
    }

    pub(crate) fn receive(&mut self, name: &str, value: Stored) {
        self.signals.insert(name.into(), value);
    }

    /// Everything but its weight, for the test that a snapshot says the same as its records.
    #[cfg(test)]
    pub(crate) fn shown(mut self) -> String {
        self.weight = 0;
        self.entries.values_mut().for_each(|recorded| {
            if let Entry::Phase(phase) = &mut recorded.entry {
                phase.weight = 0;
            }
        });
        format!("{self:?}")
    }
}
