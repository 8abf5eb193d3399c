//! Where the job meets durability, and the only place where it does.
//!
//! The rest of the job sees a value that owns the state, shows it and changes it step by step. For now that value
//! keeps the state in memory. The checkpointer takes its place behind the same five methods: `begin` opens the run
//! or answers with the outcome of a finished one, `update` saves behind the throttle, `release` and `complete` end
//! what this process does.

use std::sync::Arc;

use anyhow::Result;

use crate::console;
use crate::journal::Journal;
use crate::options::Options;
use crate::report::Report;
use crate::state::State;

/// What the job finds when it begins.
#[derive(Debug)]
#[expect(dead_code, reason = "nothing is finished before it begins while nothing is stored")]
pub(crate) enum Begun {
    /// There is work to do.
    Driving(Checkpoints),
    /// The run finished some time ago; this is its outcome.
    Finished(Box<Report>),
}

/// The state of the job, and its way into the store.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    state: State,
    #[expect(dead_code, reason = "acknowledgements are journalled here, once there are some")]
    journal: Arc<Journal>,
}

impl Checkpoints {
    /// Opens the run: new, or where an earlier process left it.
    pub(crate) async fn begin(options: &Options, journal: Arc<Journal>) -> Result<Begun> {
        let Options { store: _, run: _, throttle: _, fresh: _, .. } = options;
        console::note("note: nothing is stored yet, the state of this run is kept in memory");
        Ok(Begun::Driving(Self { state: State::default(), journal }))
    }

    /// What is known.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Changes what is known, and saves it if the last save is long enough ago. When the store has acknowledged a
    /// save, the journal says so.
    pub(crate) async fn update(&mut self, change: impl FnOnce(&mut State)) -> Result<()> {
        change(&mut self.state);
        Ok(())
    }

    /// Ends the work of this process but not the run: saves what the throttle held back and lets the next one go on.
    pub(crate) async fn release(self) -> Result<()> {
        Ok(())
    }

    /// Ends the run with its report as the outcome.
    pub(crate) async fn complete(self, _report: &Report) -> Result<()> {
        Ok(())
    }
}
