//! What stands in for the beginning of a run's log, so that a resume reads little of it: the body of its snapshots.
//!
//! It holds the events that still mean something. A phase that has finished leaves its result, a loop its newest state and
//! the rounds since; of what happened inside stay only the signals, children and books, which are the run's. Read back, it
//! says the same as the records that it stands for. The log itself stays whole.
//!
//! The body is JSON, `{"v":1,"input":…,"weight":…,"events":[{"cursor":7,"at":…,"event":{…}}]}`; a run whose input is too
//! large for its info begins with one that has an input alone.

use futures_util::TryStreamExt;
use milepost_core::{At, Cursor, Error, ErrorKind, Record, Result, RunId, Snapshot, Span, Store, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tracing::warn;

use crate::{event::Event, meta::given, place::Place, run::Core};

/// A snapshot is written when the records behind the newest weigh as much, in bytes, as that, but not before they weigh as
/// much as this. So all snapshots together are little larger than twice the log.
const FLOOR: u64 = 64 << 10;
/// The version of the format that is written.
const VERSION: u32 = 1;

/// The body of a snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Base {
    v: u32,
    /// The run's input, if it is too large for its info.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub(crate) input: Option<Box<RawValue>>,
    /// How many bytes the records have that it stands for.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub(crate) weight: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) events: Vec<Past>,
}

/// An event that still means something.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Past {
    pub(crate) cursor: Cursor,
    pub(crate) at: Timestamp,
    pub(crate) event: Event,
}

fn is_nothing(weight: &u64) -> bool {
    *weight == 0
}

impl Default for Base {
    fn default() -> Self {
        Self { v: VERSION, input: None, weight: 0, events: Vec::new() }
    }
}

impl Base {
    /// Of a run that has nothing but its input.
    pub(crate) fn of_input(input: Box<RawValue>) -> Self {
        Self { input: Some(input), ..Self::default() }
    }

    /// Takes in the next record.
    ///
    /// # Errors
    ///
    /// Those of [`Event::read`].
    fn read(&mut self, record: &Record) -> Result<()> {
        self.weight += record.body.len() as u64;
        let Some((_, event)) = Event::read(record)? else { return Ok(()) };
        match &event {
            Event::PhaseSaved { at, round, .. } => self.forget(at, |past| past < *round),
            Event::PhaseDone { at, .. } => self.forget(at, |_| true),
            _ => {}
        }
        self.events.push(Past { cursor: record.cursor, at: record.at, event });
        Ok(())
    }

    /// Drops what happened in these rounds of a phase, and the states that are newer now.
    fn forget(&mut self, phase: &Place, rounds: impl Fn(u32) -> bool) {
        self.events.retain(|Past { event, .. }| {
            let Some(place) = event.place() else { return true };
            let inside = phase.round_of(&place.scope).is_some_and(&rounds);
            let older = place == phase && matches!(event, Event::PhaseSaved { .. });
            !older && (!inside || event.outlives_its_phase())
        });
    }

    fn decode(body: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let undecodable = |problem: String| {
            Error::new(ErrorKind::Undecodable, format!("the run's snapshot cannot be read: {problem}"))
        };
        match serde_json::from_slice::<Version>(body) {
            Ok(Version { v }) if v > VERSION => Err(undecodable(format!(
                "it is of version {v} of the run loop's format, this program knows {VERSION}; use a newer one"
            ))),
            _ => serde_json::from_slice(body).map_err(|error| undecodable(error.to_string())),
        }
    }
}

/// The newest snapshot of a run: what it says, up to which record it stands for the log, and its size in bytes.
///
/// # Errors
///
/// `Undecodable`. Those of reading it.
pub(crate) async fn newest(store: &dyn Store, run: &RunId) -> Result<Option<(Base, Cursor, u64)>> {
    if !store.capabilities().supports_snapshots() {
        return Ok(None);
    }
    let Some(Snapshot { cursor, body }) = store.snapshot(run, At::Latest).await? else { return Ok(None) };
    Ok(Some((Base::decode(&body)?, cursor, body.len() as u64)))
}

/// Writes a snapshot with the next commit, if it is worth its while. What goes wrong with that is logged: a resume then reads
/// more, and nothing else.
pub(crate) async fn shorten(core: &Core) {
    let capabilities = core.log.capabilities();
    let offered = capabilities.supports_snapshots() && capabilities.supports_tail_stream();
    if !offered || !core.log.is_long(FLOOR) {
        return;
    }
    let most = capabilities.limits.snapshot.min(capabilities.limits.commit);
    let snapshot = match read_back(core).await {
        Ok(snapshot) if snapshot.body.len() as u64 <= most => Some(snapshot),
        Ok(_) => None,
        Err(error) => {
            warn!(run = %core.id, %error, "no snapshot could be made; a resume reads more of the log");
            None
        }
    };
    core.log.shorten(snapshot);
}

/// The newest snapshot and the records behind it, as one.
async fn read_back(core: &Core) -> Result<Snapshot> {
    let store = &*core.log.means().store;
    let through = core.log.cursor().await;
    let (mut base, after, _) = newest(store, &core.id).await?.unwrap_or_default();
    let span = Span::after(after).until(through).incarnation(core.log.fence().incarnation);
    let mut records = store.stream(&core.id, span);
    while let Some(record) = records.try_next().await? {
        base.read(&record)?;
    }
    let body = serde_json::to_vec(&base).map_err(|error| Error::new(ErrorKind::Other, error.to_string()))?;
    Ok(Snapshot::new(through, body))
}

#[cfg(test)]
mod tests {
    use milepost_core::{Ids, Kind, SeededIds};

    use super::*;
    use crate::{event::Waited, history::History, value::Stored};

    fn json(text: &str) -> Stored {
        Stored::Json(RawValue::from_string(text.into()).unwrap())
    }

    /// The log of some loops, one in the other, with steps and signals in them.
    fn log(seed: u64) -> Vec<Record> {
        let random = SeededIds::new(seed);
        let roll = |sides: u128| random.bits() % sides;
        // Each phase that is going on: where, and its round.
        let mut phases: Vec<(Place, u32)> = Vec::new();
        let mut events = Vec::new();
        let mut positions = std::collections::HashMap::<String, u32>::new();
        for n in 0..120 {
            let scope = phases.last().map_or("".into(), |(at, round)| at.branch(&round.to_string()));
            let mut here = || {
                let position = positions.entry(scope.to_string()).or_default();
                *position += 1;
                Place::new(scope.clone(), *position)
            };
            match (roll(8), phases.last().cloned()) {
                (0, _) if phases.len() < 3 => {
                    let at = here();
                    events.push(Event::PhaseBegan { at: at.clone(), phase: "p".into() });
                    phases.push((at, 0));
                }
                (1 | 2, Some((at, round))) => {
                    // A round that is not saved is a round all the same.
                    phases.last_mut().unwrap().1 += 1;
                    if roll(2) == 0 {
                        let state = json(&n.to_string());
                        events.push(Event::PhaseSaved { at, round: round + 1, size: 2, state });
                    }
                }
                (3, Some((at, _))) => {
                    events.push(Event::PhaseDone { at, value: json("\"done\"") });
                    phases.pop();
                }
                (4, _) => {
                    let (at, on) = (here(), Waited::Signal(format!("s{n}")));
                    events.push(Event::WaitBegan { at: at.clone(), on, until: None, default: None });
                    events.push(Event::WaitDone { at, value: Some(json("1")) });
                }
                (5, _) => events.push(Event::Gate { name: format!("g{n}"), version: 1 }),
                _ => {
                    let (at, step) = (here(), format!("step {n}"));
                    events.push(Event::StepBegan { at: at.clone(), step, attempt: 0, once: false });
                    events.push(Event::StepDone { at, attempt: 0, value: json("2") });
                }
            }
        }
        let records = events.iter().zip(1..).map(|(event, cursor)| {
            let record = event.record(1);
            let (kind, body, at) = (Kind::new(record.kind.as_str()).unwrap(), record.body, Timestamp(0));
            Record { cursor, kind, body, at, id: None, blobs: Vec::new() }
        });
        records.collect()
    }

    /// What a resume finds, as text; how much it weighs is not part of it.
    fn found(base: Base, through: Cursor, tail: &[Record]) -> String {
        let mut history = History::default();
        history.begin(base, through).unwrap();
        tail.iter().for_each(|record| history.read(record).unwrap());
        history.shown()
    }

    #[test]
    fn a_snapshot_at_any_cut_says_what_the_records_say() {
        for seed in 0..5 {
            let log = log(seed);
            let whole = found(Base::default(), 0, &log);
            let mut base = Base::default();
            for (cut, record) in log.iter().enumerate() {
                let stored = serde_json::to_vec(&base).unwrap();
                let read = Base::decode(&stored).unwrap();
                assert!(found(read, cut as u64, &log[cut..]) == whole, "seed {seed}, cut at {cut}");
                base.read(record).unwrap();
            }
            assert!(base.events.len() < log.len(), "seed {seed}: something was left out");
        }
    }

    #[test]
    fn a_newer_snapshot_is_refused_by_name() {
        let error = Base::decode(br#"{"v":2,"else":1}"#).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Undecodable);
        assert!(error.to_string().contains("it is of version 2"), "{error}");
    }
}
