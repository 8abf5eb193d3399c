//! Where the job meets durability, and the only place where it does.
//!
//! The rest of the job sees a value that owns the state, shows it and changes it step by step: `begin` opens the run
//! or answers with the outcome of a finished one, `update` saves behind the throttle, `release` and `complete` end
//! what this process does.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use indicatif::{HumanCount, HumanDuration};
use milepost::{
    Begin, Checkpoints as Factory, Codec, Compact, Delete, ErrorKind, Manifest, Outcome, Refusal, RunId,
    RunInfo, Saved, Started, Stateful, Store, Wake,
};

use crate::console;
use crate::journal::Journal;
use crate::options::Options;
use crate::progress::Progress;
use crate::report::Report;
use crate::state::{Next, State};
use crate::stop::{Signal, Stop};

/// The form of the state and of the report, as part of what a run was asked to do: a program that would read them in
/// another way does not go on with an older one's run.
const FORM: &str = "index 1";

/// What the job finds when it begins.
#[derive(Debug)]
pub(crate) enum Begun {
    /// There is work to do.
    Driving(Box<Checkpoints>),
    /// The run finished some time ago; this is its outcome.
    Finished(Box<Report>),
    /// The job was asked to stop before it had the run.
    Stopped(Signal),
}

/// The state of the job, and its way into the store.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    store: Arc<dyn Store>,
    run: Stateful<State>,
    journal: Arc<Journal>,
}

impl Checkpoints {
    /// Opens the run: new, or where an earlier process left it. If that one has died without a word, its lease has to run out
    /// before; one that lives renews it, and then the run is refused.
    pub(crate) async fn begin(
        options: &Options,
        folder: &Path,
        journal: Arc<Journal>,
        stop: &mut Stop,
    ) -> Result<Begun> {
        let store = milepost::connect(&options.store).await?;
        let run = RunId::new(&options.run)?;
        if options.fresh && store.delete(&run, Delete::Any).await? {
            console::note(&format!("deleted the run {run}"));
        }
        let manifest = Manifest::of(format!("{FORM}\n{}", folder.display()).as_bytes());
        let factory = Factory::new(store.clone()).throttle(options.throttle);
        let begin = || {
            let begin =
                Begin::new(run.clone(), RunInfo::named("index"), manifest).or_resume().reopen_failed();
            factory.begin_state(begin, State::default)
        };
        let mut begun = begin().await;
        if let Some(left) = begun.as_ref().err().and_then(lease_left) {
            if let Some(signal) = outlast(&run, left, stop).await {
                return Ok(Begun::Stopped(signal));
            }
            begun = begin().await;
        }
        match begun {
            Ok(Started::Driving(run)) => {
                say_where(&run);
                Ok(Begun::Driving(Box::new(Self { store, run, journal })))
            }
            Ok(Started::Finished(Outcome::Completed { output })) => {
                console::note(&format!(
                    "the run {run} has finished; this is its stored report (--fresh starts over)"
                ));
                Ok(Begun::Finished(Box::new(
                    Compact.decode(&output).context("the stored report cannot be read")?,
                )))
            }
            Ok(Started::Finished(Outcome::Failed { failure })) => {
                bail!("the run {run} has failed: {failure}")
            }
            Err(error) => Err(explain(error, &run)),
        }
    }

    /// What is known.
    pub(crate) fn state(&self) -> &State {
        self.run.state()
    }

    /// Changes what is known, and saves it if the last save is long enough ago. When the store has acknowledged a
    /// save, the journal says so.
    pub(crate) async fn update(&mut self, change: impl FnOnce(&mut State)) -> Result<()> {
        if let Saved::Persisted { cursor } = self.run.update(change).await? {
            self.journal.acknowledged(cursor, self.run.state().done()).context("cannot write the journal")?;
        }
        Ok(())
    }

    /// Ends the work of this process but not the run: saves what the throttle held back and lets the next one go on.
    pub(crate) async fn release(mut self) -> Result<()> {
        self.run.release(Wake::now()).await?;
        self.close().await
    }

    /// Ends the run with its report as the outcome.
    pub(crate) async fn complete(mut self, report: &Report) -> Result<()> {
        self.run.complete(report).await?;
        self.close().await
    }

    /// Journals the last acknowledgement and closes the store, which tidies its files up.
    async fn close(self) -> Result<()> {
        let (cursor, done) = (self.run.cursor(), self.run.state().done());
        self.journal.acknowledged(cursor, done).context("cannot write the journal")?;
        Ok(self.store.close().await?)
    }
}

/// Says where the work goes on.
fn say_where(run: &Stateful<State>) {
    let Some(cursor) = run.resumed_at() else { return };
    let state = run.state();
    let place = match state.next() {
        Next::Scan => "before the scan was done".to_owned(),
        Next::Digest { first } => format!(
            "{} of {} files are done",
            HumanCount(first as u64),
            HumanCount(state.found().files.len() as u64)
        ),
        Next::Report => "all files are done".to_owned(),
    };
    console::note(&format!("resumed at checkpoint {cursor}: {place}"));
}

/// How long the lease of whoever drives the run still lasts, if nothing but that is in the way.
fn lease_left(error: &milepost::Error) -> Option<Duration> {
    match error.refusal()? {
        Refusal::LeaseHeld { owner: Some(_), expires_in } => *expires_in,
        _ => None,
    }
}

/// Waits until a lease has run out, and a moment for what two clocks differ by, unless the job is asked to stop.
async fn outlast(run: &RunId, left: Duration, stop: &mut Stop) -> Option<Signal> {
    let until = left + left / 20 + Duration::from_millis(100);
    console::note(&format!(
        "the run {run} is leased by a process that may have died: waiting {} until its lease has run out",
        HumanDuration(until)
    ));
    let progress = Progress::lease(run);
    let signal = tokio::select! {
        () = tokio::time::sleep(until) => None,
        signal = stop.wait() => Some(signal),
    };
    progress.finish();
    signal
}

/// Says what to do about a run that cannot be begun.
fn explain(error: milepost::Error, run: &RunId) -> anyhow::Error {
    let advice = match (error.kind(), error.refusal()) {
        (ErrorKind::ManifestMismatch, _) => {
            "it indexes another folder: name another run with --run, or start over with --fresh"
        }
        (ErrorKind::Undecodable, _) => {
            "another version of this program has saved it: start over with --fresh"
        }
        (_, Some(Refusal::LeaseHeld { .. })) => {
            "another process is at work on it: wait for it, or name another run"
        }
        _ => return anyhow!(error),
    };
    anyhow!(error).context(format!("the run {run} cannot be resumed: {advice}"))
}
