//! What all handles of one driven run share.

use std::{
    fmt,
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard},
};

use milepost_core::{Error, ErrorKind, Incarnation, Note, Result, RunId, Store};
use serde::{Serialize, de::DeserializeOwned};
use tokio_util::sync::CancellationToken;

use crate::{
    Runner, Settings,
    activity::{Activity, Busy},
    event::Draw,
    history::{Entry, History},
    inbox::Inbox,
    log::Log,
    observe::Observers,
    place::Place,
    stop::{Halt, Stop},
    store_clock::StoreClock,
    value::{Encoded, Stored, decode},
};

/// What all handles of one driven run share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) id: RunId,
    pub(crate) log: Arc<Log>,
    history: Mutex<History>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) activity: Activity,
    pub(crate) stop: Arc<Stop>,
    /// Cancelled when the runner stops.
    pub(crate) stopping: CancellationToken,
    pub(crate) clock: StoreClock,
    pub(crate) settings: Settings,
    pub(crate) observers: Observers,
    /// The steps that wait for an answer, for the note of a run that is let go of.
    doubts: Mutex<Vec<String>>,
    /// Which begins children and has them driven.
    pub(crate) runner: Runner,
    /// The run that began this one, and which life of it.
    pub(crate) parent: Option<(RunId, Incarnation)>,
    pub(crate) budget: Option<u64>,
    /// Whether it lives in this process alone, without durability.
    pub(crate) is_aside: bool,
}

/// What [`Core`] is made of.
pub(crate) struct Parts {
    pub(crate) id: RunId,
    pub(crate) runner: Runner,
    pub(crate) parent: Option<(RunId, Incarnation)>,
    pub(crate) budget: Option<u64>,
    pub(crate) is_aside: bool,
    pub(crate) log: Arc<Log>,
    pub(crate) history: History,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) stop: Arc<Stop>,
    pub(crate) stopping: CancellationToken,
    pub(crate) clock: StoreClock,
    pub(crate) settings: Settings,
    pub(crate) observers: Observers,
}

impl Core {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { id, runner, parent, budget, is_aside, log, mut history, inbox, stop, stopping, .. } =
            parts;
        history.family.ledger.grant(budget);
        Self {
            history: Mutex::new(history),
            activity: Activity::default(),
            doubts: Mutex::default(),
            clock: parts.clock,
            settings: parts.settings,
            observers: parts.observers,
            id,
            runner,
            parent,
            budget,
            is_aside,
            log,
            inbox,
            stop,
            stopping,
        }
    }

    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn bits(&self) -> u128 {
        self.log.means().ids.bits()
    }

    /// Lets through who wants to do something new; for ever waits who comes when the run is over or the runner stops.
    pub(crate) async fn admit(&self, busy: &mut Busy<'_>) {
        if self.stop.is_halted() || self.stopping.is_cancelled() {
            busy.park(None);
            std::future::pending::<()>().await;
        }
    }

    /// The handler took another turn than the recorded one: the run is over.
    pub(crate) fn diverge(&self, at: &Place, asked: &str, recorded: &Entry) {
        let recorded = recorded.describe();
        self.stop.halt(Halt::Diverged(divergence(format!(
            "at {at} the handler asked for {asked}, and its log has {recorded} there; \
             mend the handler, or gate the change with Run::version, and reopen the run"
        ))));
    }

    /// What is recorded cannot be read as what the handler asked for: the run is over.
    pub(crate) fn undecodable(&self, at: &Place, asked: &str, error: Error) {
        self.stop.halt(Halt::Diverged(
            divergence(format!(
                "at {at} the handler asked for {asked}, whose recorded value does not fit its type any more: {error}"
            ))
            .with_source(error),
        ));
    }

    pub(crate) fn unsupported(&self, gate: &str, version: u32, versions: &RangeInclusive<u32>) {
        self.stop.halt(Halt::Diverged(divergence(format!(
            "the run passed the gate {gate:?} with version {version}, and the handler knows {versions:?}"
        ))));
    }

    /// For ever waits whose run is over.
    pub(crate) async fn over<T>(&self, busy: &mut Busy<'_>) -> T {
        busy.park(None);
        std::future::pending().await
    }

    /// Reads a recorded value.
    pub(crate) async fn load<T: DeserializeOwned>(&self, value: &Stored) -> Result<T> {
        load(&*self.log.means().store, &self.id, value).await
    }

    /// Reads a recorded value that the handler asked for; for ever waits, the run being over, if that cannot be.
    pub(crate) async fn recall<T: DeserializeOwned>(
        &self,
        busy: &mut Busy<'_>,
        at: &Place,
        asked: &str,
        value: &Stored,
    ) -> T {
        let mut pauses = crate::log::pauses();
        loop {
            match self.load(value).await {
                Ok(value) => return value,
                Err(error) if error.kind() == ErrorKind::Undecodable => self.undecodable(at, asked, error),
                Err(error) if error.kind().is_transient() => {
                    self.clock.sleep(pauses()).await;
                    continue;
                }
                Err(error) => self.stop.halt(Halt::Broken(error)),
            }
            self.over::<()>(busy).await;
        }
    }

    /// Up to which length a value stays in the log; everything does where the store has no blobs.
    pub(crate) fn inline(&self) -> usize {
        let blobs = self.log.capabilities().supports_blobs();
        if blobs { self.settings.inline } else { usize::MAX }
    }

    /// A value as the log will have it, so that the handler gets the same now as after a crash.
    ///
    /// # Errors
    ///
    /// `Invalid`, `Undecodable`: it has no form in JSON, or none that is read back. `TooLarge`: no commit can carry it.
    pub(crate) fn encode<T>(&self, value: &T) -> Result<(T, Encoded)>
    where
        T: Serialize + DeserializeOwned,
    {
        let encoded = Encoded::of(value, self.inline())?;
        let read = decode(encoded.json())?;
        self.check_size(&encoded)?;
        Ok((read, encoded))
    }

    /// Refuses a value that no commit can carry.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooLarge`].
    pub(crate) fn check_size(&self, encoded: &Encoded) -> Result<()> {
        // What an event says beside the value: places and names of at most a few hundred bytes.
        const AROUND: u64 = 4 << 10;
        let limits = self.log.capabilities().limits;
        let limit = if encoded.blob.is_some() { limits.blob } else { limits.record };
        let (size, most) = (encoded.json().len() as u64, limit.min(limits.commit).saturating_sub(AROUND));
        if size <= most {
            return Ok(());
        }
        let message = format!("a value has at most {most} bytes of JSON on this store, this one has {size}");
        Err(Error::new(ErrorKind::TooLarge, message))
    }

    /// Notes that a step waits for an answer, until the guard is dropped.
    pub(crate) fn doubt(&self, step: &str) -> Doubt<'_> {
        self.doubts().push(step.into());
        Doubt { core: self, step: step.into() }
    }

    fn doubts(&self) -> MutexGuard<'_, Vec<String>> {
        self.doubts.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Shows in listings which steps wait for an answer.
    pub(crate) fn note_doubts(&self) {
        let doubts = self.doubts();
        if !doubts.is_empty() {
            let mut text = format!("in doubt: {}", doubts.join(", "));
            text.truncate(text.floor_char_boundary(1000));
            self.log.note(Note { done: 0, total: None, text });
        }
    }
}

/// A step waits for an answer as long as this lives.
pub(crate) struct Doubt<'a> {
    core: &'a Core,
    step: String,
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        let mut doubts = self.core.doubts();
        if let Some(index) = doubts.iter().position(|step| *step == self.step) {
            doubts.remove(index);
        }
    }
}

impl fmt::Debug for Doubt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Doubt({:?})", self.step)
    }
}

impl Draw {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Draw::Now => "the time",
            Draw::Uuid => "a UUID",
            Draw::Random => "a random number",
            Draw::Budget => "its budget",
        }
    }
}

/// Reads a recorded value of a run.
pub(crate) async fn load<T: DeserializeOwned>(store: &dyn Store, run: &RunId, value: &Stored) -> Result<T> {
    match value {
        Stored::Json(json) => decode(json.get().as_bytes()),
        Stored::Blob(name) => match store.blob(run, name).await? {
            Some(body) if milepost_core::Digest::of(&body) == *name => decode(&body),
            Some(_) => Err(corrupt(format!("blob {name} is not what its name says"))),
            None => Err(corrupt(format!("the log names blob {name}, which is not there"))),
        },
    }
}

fn divergence(message: String) -> Error {
    Error::new(ErrorKind::Divergence, message)
}

fn corrupt(message: String) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}
