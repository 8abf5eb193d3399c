//! What a case does with the hooks that it needs.

use std::sync::Arc;

use milepost_core::{RunId, Store};

use crate::{
    Context, Hook, Part, Scope, Verdict,
    expect::Failure,
    trace::Traced,
    worker::{Process, Remote},
};

/// A process that takes part in a case, and its handle.
#[derive(Clone, Debug)]
pub(crate) struct Second {
    /// To be stopped and killed.
    pub(crate) process: Arc<Process>,
    /// What it does.
    pub(crate) store: Arc<dyn Store>,
}

/// A case that does not name what it needs.
#[track_caller]
fn missing(hook: Hook) -> Failure {
    Failure::new("what the case says that it needs", format!("the hook {hook}"), "nothing")
}

impl Context {
    /// Starts a process that takes part in this case; it lives until it is killed or dropped.
    pub(crate) async fn process(&self) -> Verdict<Second> {
        self.process_in(&self.scope).await
    }

    /// The same in another scope.
    pub(crate) async fn process_in(&self, scope: &Scope) -> Verdict<Second> {
        let process = Arc::new(Process::start(&self.harness, scope).await?);
        self.journal.note("a second process is started".to_owned());
        let store = Traced::over(Arc::new(Remote::of(&process)), "process", &self.journal);
        Ok(Second { process, store })
    }

    /// What the backend stores of a run, by name.
    pub(crate) async fn parts(&self, run: &RunId) -> Verdict<Vec<Part>> {
        let list = self.harness.hooks().parts.as_ref().ok_or_else(|| missing(Hook::Parts))?;
        let mut parts = list.ask((self.scope.clone(), run.clone())).await?;
        parts.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(parts)
    }

    /// Flips the lowest bit of a stored byte; `false` where the backend cannot hold such a byte.
    pub(crate) async fn flip(&self, part: &Part, byte: u64) -> Verdict<bool> {
        let flip = self.harness.hooks().flip.as_ref().ok_or_else(|| missing(Hook::Flip))?;
        let flipped = flip.ask((self.scope.clone(), part.clone(), byte)).await.is_ok();
        self.journal.note(format!("byte {byte} of {} is flipped: {flipped}", part.name));
        Ok(flipped)
    }

    /// Removes a stored part.
    pub(crate) async fn remove(&self, part: &Part) -> Verdict {
        let remove = self.harness.hooks().removal.as_ref().ok_or_else(|| missing(Hook::Removal))?;
        self.journal.note(format!("{} is removed", part.name));
        Ok(remove.ask((self.scope.clone(), part.clone())).await?)
    }

    /// Kills the scope's server.
    pub(crate) async fn kill_server(&self) -> Verdict {
        let (kill, _) = self.harness.hooks().server.as_ref().ok_or_else(|| missing(Hook::Server))?;
        self.journal.note("the server is killed".to_owned());
        Ok(kill.ask(self.scope.clone()).await?)
    }

    /// Starts it again.
    pub(crate) async fn restart_server(&self) -> Verdict {
        let (_, restart) = self.harness.hooks().server.as_ref().ok_or_else(|| missing(Hook::Server))?;
        self.journal.note("the server is started again".to_owned());
        Ok(restart.ask(self.scope.clone()).await?)
    }

    /// A handle that nobody else knows, not re-opened and not closed with the others.
    pub(crate) async fn connect_anew(&self) -> milepost_core::Result<Arc<dyn Store>> {
        let store = self.harness.connect(&self.scope).await?;
        Ok(Traced::over(store, "anew", &self.journal))
    }

    /// A fresh scope that nobody has connected to.
    pub(crate) fn elsewhere(&self) -> Scope {
        self.scope.another()
    }

    /// Words that nobody must be shown.
    pub(crate) fn secrets(&self) -> &[String] {
        &self.harness.hooks().secrets
    }
}
