//! What programs use: a checkpointer that saves where a run has got to, and the factory that begins and resumes runs.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;

use crate::{
    Capabilities, Cursor, Failure, Fence, Head, Manifest, Mode, NewRecord, Outcome, Record, Result, RunId,
    RunInfo, Takeover, Wake,
};

/// A request to begin a run, or to go on with it.
///
/// Held by: `checkpointer/a-run-that-exists-is-not-begun-again`, `checkpointer/another-manifest-is-refused`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Begin {
    /// Which run.
    pub run: RunId,
    /// What it is.
    pub info: RunInfo,
    /// What it is asked to do.
    pub manifest: Manifest,
    /// Whether it may exist already. Resuming is opt-in: [`Begin::new`] refuses a run that exists.
    pub mode: Mode,
    /// When a run that somebody drives may be taken over.
    pub takeover: Takeover,
    /// Whether a failed run is begun again.
    pub reopen_failed: bool,
}

impl Begin {
    /// Begins a run that must not exist.
    pub fn new(run: RunId, info: RunInfo, manifest: Manifest) -> Self {
        Self { run, info, manifest, mode: Mode::Create, takeover: Takeover::IfDue, reopen_failed: false }
    }

    /// Goes on with the run if it exists with the same manifest.
    pub fn or_resume(mut self) -> Self {
        self.mode = Mode::CreateOrResume;
        self
    }

    /// Takes the run over at once if `fence` is still its fence.
    pub fn over(mut self, fence: Fence) -> Self {
        self.takeover = Takeover::Over(fence);
        self
    }

    /// Opens a failed run again.
    pub fn reopen_failed(mut self) -> Self {
        self.reopen_failed = true;
        self
    }
}

/// The answer to a [`Begin`].
///
/// Held by: `checkpointer/a-finished-run-answers-its-outcome`, `checkpointer/off-touches-no-store`.
#[derive(Debug)]
pub enum Begun {
    /// The run is this caller's to drive.
    Driving(Box<dyn Checkpointer>),
    /// It has finished already: there is nothing to do.
    Finished(Outcome),
    /// The user asked, in words, for a run without durability.
    Off,
}

/// Begins and resumes runs.
#[async_trait]
pub trait CheckpointerFactory: fmt::Debug + Send + Sync + 'static {
    /// Creates the run, or goes on with it where [`Begin::mode`] says so.
    ///
    /// # Errors
    ///
    /// Those of [`crate::Store::open`], but `Finished`, which is [`Begun::Finished`]; and those of reading the state
    /// back. What an unreachable store does is the factory's policy; a refusal is returned under any.
    ///
    /// Held by: `checkpointer/a-run-is-resumed-by-another-handle`, `checkpointer/a-driven-run-is-refused`,
    /// `checkpointer/a-failed-run-is-reopened-on-purpose`.
    async fn begin(&self, begin: Begin) -> Result<Begun>;

    /// Goes on with a run that exists, whatever it was asked to do: for whoever found it in
    /// [`CheckpointerFactory::interrupted`].
    ///
    /// # Errors
    ///
    /// As [`CheckpointerFactory::begin`].
    ///
    /// Held by: `checkpointer/what-is-interrupted-can-be-resumed`,
    /// `checkpointer/a-run-that-is-not-there-is-not-resumed`.
    async fn resume(&self, run: &RunId) -> Result<Begun>;

    /// The runs that may be resumed now.
    ///
    /// Held by: `checkpointer/released-and-expired-runs-are-interrupted`,
    /// `checkpointer/a-run-that-has-ended-is-not-interrupted`.
    fn interrupted(&self) -> BoxStream<'static, Result<Head>>;
}

/// What a save came to.
///
/// Held by: `checkpointer/an-unchanged-state-writes-nothing`, `checkpointer/elapsed-equal-to-the-throttle-saves`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Saved {
    /// It is durable (or, where the run was asked to save in the background, under way), as of this cursor.
    Persisted {
        /// The run's newest record.
        cursor: Cursor,
    },
    /// The throttle has kept it for later; an orderly exit writes it.
    Throttled,
    /// It equals what is persisted: nothing was written.
    Unchanged,
}

/// What a resumed run starts from.
///
/// Held by: `checkpointer/a-resume-gives-the-records-after-the-state`,
/// `checkpointer/snapshot-and-tail-equal-the-full-replay`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Restored {
    /// The newest persisted state, if one was ever saved.
    pub state: Option<Bytes>,
    /// The cursor as of which the state stands; `0` without one.
    pub cursor: Cursor,
    /// The records that the program itself appended after that state.
    pub records: Vec<Record>,
}

/// Saves where one run has got to. Owned by whoever drives the run; dropped without an end, it leaves the run
/// interrupted.
///
/// Held by: `checkpointer/*`.
#[async_trait]
pub trait Checkpointer: fmt::Debug + Send + 'static {
    /// The run; `None` when nothing is kept.
    fn run(&self) -> Option<&RunId>;

    /// The fence, for effects that can check it; `None` when nothing is kept.
    fn fence(&self) -> Option<Fence>;

    /// The run's newest acknowledged record.
    fn cursor(&self) -> Cursor;

    /// What the store behind it offers.
    fn capabilities(&self) -> Capabilities;

    /// What the run starts from: given once, `None` from then on and for a run that was just created.
    fn restored(&mut self) -> Option<Restored>;

    /// Saves the state, unless the throttle keeps it for later.
    ///
    /// # Errors
    ///
    /// Those of [`crate::Store::commit`]. Whatever was to be saved stays pending and goes with the next call.
    ///
    /// Held by: `checkpointer/the-first-save-is-never-throttled`,
    /// `checkpointer/a-failed-save-throttles-nothing-and-stays-pending`,
    /// `checkpointer/a-sync-save-is-there-when-it-returns`.
    async fn save(&mut self, state: Bytes) -> Result<Saved>;

    /// Appends the program's own records, never throttled.
    ///
    /// # Errors
    ///
    /// Those of [`crate::Store::commit`]. After an error that may have applied, the same records are sent again with
    /// the next call before anything else, so that they are in the log exactly once.
    ///
    /// Held by: `checkpointer/an-append-is-never-throttled`, `checkpointer/many-tasks-append-exactly-once`.
    async fn append(&mut self, records: Vec<NewRecord>) -> Result<Cursor>;

    /// Saves the state now: no throttle, and a snapshot where the store has them.
    ///
    /// # Errors
    ///
    /// As [`Checkpointer::save`].
    ///
    /// Held by: `checkpointer/a-checkpoint-is-never-throttled`,
    /// `checkpointer/a-checkpoint-covers-the-records-before-it`.
    async fn checkpoint(&mut self, state: Bytes) -> Result<Cursor>;

    /// Writes what is pending.
    ///
    /// # Errors
    ///
    /// As [`Checkpointer::save`].
    ///
    /// Held by: `checkpointer/a-throttled-state-is-written-by-flush`.
    async fn flush(&mut self) -> Result<Saved>;

    /// Extends the lease.
    ///
    /// # Errors
    ///
    /// Those of [`crate::Store::renew`].
    ///
    /// Held by: `checkpointer/a-renewal-by-hand-extends-the-lease`,
    /// `checkpointer/a-renewal-finds-out-that-the-run-is-lost`.
    async fn renew(&mut self) -> Result<()>;

    /// Writes what is pending and lets go of the run: a shutdown, or a wait. Any later call is
    /// [`crate::ErrorKind::Closed`].
    ///
    /// # Errors
    ///
    /// As [`Checkpointer::save`]; the run is then still this one's, and the call may be repeated.
    ///
    /// Held by: `checkpointer/a-run-is-released-exactly-once`,
    /// `checkpointer/a-throttled-state-is-written-by-release`.
    async fn release(&mut self, wake: Wake) -> Result<()>;

    /// Writes what is pending and completes the run. Any later call is [`crate::ErrorKind::Closed`].
    ///
    /// # Errors
    ///
    /// As [`Checkpointer::save`]; the run is then still this one's, and the call may be repeated.
    ///
    /// Held by: `checkpointer/a-run-is-completed-exactly-once`,
    /// `checkpointer/a-throttled-state-is-written-by-complete`.
    async fn complete(&mut self, output: Bytes) -> Result<()>;

    /// Writes what is pending and fails the run. Any later call is [`crate::ErrorKind::Closed`].
    ///
    /// # Errors
    ///
    /// As [`Checkpointer::save`]; the run is then still this one's, and the call may be repeated.
    ///
    /// Held by: `checkpointer/a-run-is-failed-exactly-once`, `checkpointer/a-throttled-state-is-written-by-fail`.
    async fn fail(&mut self, failure: Failure) -> Result<()>;
}
