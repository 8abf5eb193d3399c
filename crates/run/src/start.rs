//! Beginning a run.

use std::{fmt, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use milepost_core::{
    Error, ErrorKind, Head, Incarnation, Mode, Open, Origin, Refusal, Result, RunId, RunInfo,
};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    Handle, Runner,
    canonical::to_json,
    handler::Handler,
    meta::{Bounds, describe, manifest},
    open::{Entered, enter},
};

/// A run that is to be begun, made by [`Runner::start`]: await it.
///
/// When it is there, the run and its input are durable, and this process drives it.
///
/// # Errors
///
/// Those of [`milepost_core::Store::open`]: `AlreadyExists` unless [`Start::or_resume`] is asked for, `ManifestMismatch` for
/// the same id with another handler or input, `LeaseHeld` while somebody drives it. `Invalid` for an input without a form in
/// JSON and for a handler that nobody registered. A dropped future leaves the run begun or not.
#[must_use = "nothing is begun until it is awaited"]
pub struct Start<'a> {
    runner: &'a Runner,
    run: RunId,
    info: RunInfo,
    input: Result<Box<RawValue>>,
    bounds: Bounds,
    mode: Mode,
    stay: bool,
}

impl fmt::Debug for Start<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start").field("run", &self.run).field("name", &self.info.name).finish_non_exhaustive()
    }
}

impl<'a> Start<'a> {
    pub(crate) fn new<I: Serialize + ?Sized>(runner: &'a Runner, run: RunId, name: &str, input: &I) -> Self {
        let (info, input) = (RunInfo::named(name), to_json(input));
        Self { runner, run, info, input, bounds: Bounds::default(), mode: Mode::Create, stay: false }
    }

    /// A child of `parent`, which may be there already.
    pub(crate) fn child(
        runner: &'a Runner,
        run: RunId,
        name: &str,
        input: Box<RawValue>,
        (parent, incarnation): (RunId, Incarnation),
    ) -> Self {
        let info = RunInfo::named(name).parent(parent);
        let bounds = Bounds { parent: Some(incarnation), ..Bounds::default() };
        Self { runner, run, info, input: Ok(input), bounds, mode: Mode::CreateOrResume, stay: false }
    }

    pub(crate) fn bounds(mut self, within: Option<Duration>, budget: Option<u64>) -> Self {
        self.bounds = Bounds { within, budget, ..self.bounds };
        self
    }

    /// Goes on with the run if it exists with the same handler and input, and answers with its outcome if it has ended.
    pub fn or_resume(mut self) -> Self {
        self.mode = Mode::CreateOrResume;
        self
    }

    /// Adds a label, for finding the run again.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.info = self.info.label(key, value);
        self
    }

    /// Fails the run as timed out when it has not ended `within` this time from its creation, waits included. No resume
    /// moves the instant.
    pub fn deadline(mut self, within: Duration) -> Self {
        self.bounds.within = Some(within);
        self
    }

    /// What the run may use up, in units of the program's own; see [`Run::budget`](crate::Run::budget).
    pub fn budget(mut self, units: u64) -> Self {
        self.bounds.budget = Some(units);
        self
    }

    /// Waits are waited for in this process, however long.
    pub(crate) fn stay(mut self) -> Self {
        self.stay = true;
        self
    }

    async fn begin(self) -> Result<Handle> {
        let (runner, run) = (self.runner, self.run.clone());
        let (entered, handler) = self.enter().await?;
        Ok(runner.take_up(run, entered, handler))
    }

    /// Opens the run, to be driven with this handler.
    pub(crate) async fn enter(self) -> Result<(Entered, Handler)> {
        let handler = self.runner.shared().handler(&self.info.name)?;
        Ok((self.open().await?, handler))
    }

    /// Sees to it that the run is there, and has it driven: here, if its handler is known here, else by whoever recovers it.
    pub(crate) async fn plant(self) -> Result<()> {
        let (runner, run) = (self.runner.clone(), self.run.clone());
        let handler = runner.shared().handler(&self.info.name).ok();
        let entered = self.open().await?;
        runner.take_up_or_release(run, entered, handler).await
    }

    async fn open(self) -> Result<Entered> {
        let Self { runner, run, info, input, bounds, mode, stay } = self;
        let shared = runner.shared();
        let input = input?;
        let manifest = manifest(&run, &info.name, &input);
        let (info, base) = describe(info, &input, bounds);
        let mut open = Open::create_or_resume(shared.means.ids.operation(), info, manifest)
            .owner(shared.owner.clone())
            .ttl(shared.settings.ttl);
        open.mode = mode;
        if base.is_some() {
            open = open.origin(Origin { cursor: 0, lineage: None });
        }
        let entered = match enter(runner, &run, open.clone(), base.clone()).await {
            Err(error) if is_nobodys(&error) => match shared.means.store.head(&run).await? {
                // A beginning that was cut short; or a wait, which who stays waits for here.
                Some(head) if (head.draft && is_free(&head)) || (stay && head.lease.is_none()) => {
                    let mut open = open.over(head.fence);
                    if head.draft {
                        open.mode = Mode::CreateOrResume;
                    }
                    open.id = shared.means.ids.operation();
                    enter(runner, &run, open, base).await?
                }
                _ => return Err(error),
            },
            other => other?,
        };
        Ok(entered)
    }
}

/// Whether a lease is over: a draft is never due, so the store does not say.
pub(crate) fn is_free(head: &Head) -> bool {
    head.lease.as_ref().is_none_or(|lease| lease.until <= head.at)
}

/// Whether a run was refused although nobody drives it.
fn is_nobodys(error: &Error) -> bool {
    matches!(error.refusal(), Some(Refusal::LeaseHeld { owner: None, .. }))
        || error.kind() == ErrorKind::AlreadyExists
}

impl<'a> IntoFuture for Start<'a> {
    type Output = Result<Handle>;
    type IntoFuture = BoxFuture<'a, Result<Handle>>;

    fn into_future(self) -> Self::IntoFuture {
        self.begin().boxed()
    }
}
