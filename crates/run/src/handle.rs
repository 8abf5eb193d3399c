//! A run that was begun or resumed here, as its starter sees it.

use std::{fmt, sync::Arc};

use milepost_core::{Durability, Error, ErrorKind, Result, RunId, Store};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::{Ended, Runner, aside::Guest};

/// A run that was begun or resumed here. Dropping it changes nothing: the work goes on.
#[derive(Clone)]
pub struct Handle {
    run: RunId,
    runner: Runner,
    ended: watch::Receiver<Option<Ended>>,
    /// Of a run without durability, as long as somebody may ask for what it gave.
    guest: Option<Arc<Guest>>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("run", &self.run).field("ended", &*self.ended.borrow()).finish()
    }
}

impl Handle {
    pub(crate) fn new(
        run: RunId,
        runner: Runner,
        ended: watch::Receiver<Option<Ended>>,
        guest: Option<Arc<Guest>>,
    ) -> Self {
        Self { run, runner, ended, guest }
    }

    /// Which run.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// Whether the run outlives this process: not if it was begun [without
    /// durability](crate::Start::without_durability), nor in a store that lives in this process itself.
    pub fn is_durable(&self) -> bool {
        self.guest.is_none() && self.runner.store().capabilities().durability != Durability::Process
    }

    /// Waits until this process has ended its work on the run, and says how.
    pub async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        let ended = ended.wait_for(Option::is_some).await.map(|ended| ended.clone());
        // A sender that is gone without a word was dropped with its runtime.
        ended.ok().flatten().unwrap_or(Ended::Released)
    }

    /// Waits for the run's output, wherever it is driven to its end: a run that waits ends in some process that
    /// [serves](Runner::serve).
    ///
    /// # Errors
    ///
    /// `Finished`: it has failed. `Closed`: this runner was stopped before. `Undecodable`: the output is no `T`. Those of
    /// reading the run.
    pub async fn output<T: DeserializeOwned>(&self) -> Result<T> {
        match self.ended().await {
            Ended::Released if self.runner.is_stopping() => Err(Error::new(
                ErrorKind::Closed,
                "the runner was stopped before the run had ended; it goes on where it is recovered",
            )),
            Ended::Unwritten { meant, error } => Err(Error::new(
                ErrorKind::Other,
                format!("the run came to its end ({meant}), unwritten: {error}"),
            )),
            _ => self.runner.output(&self.run).await,
        }
    }
}
