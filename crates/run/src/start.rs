//! Beginning a run.

use std::{fmt, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use milepost_core::{
    Applied, Error, ErrorKind, Head, Incarnation, Mode, Open, Operation, Origin, Refusal, Result, RunId,
    RunInfo,
};
use serde::Serialize;
use serde_json::value::RawValue;
use tracing::warn;

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
    keeping: Keeping,
    stay: bool,
}

/// What a run is to be: durable, or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Keeping {
    Durable,
    IfReachable,
    Not,
}

impl fmt::Debug for Start<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start").field("run", &self.run).field("name", &self.info.name).finish_non_exhaustive()
    }
}

impl<'a> Start<'a> {
    pub(crate) fn new<I: Serialize + ?Sized>(runner: &'a Runner, run: RunId, name: &str, input: &I) -> Self {
        let (info, input) = (RunInfo::named(name), to_json(input));
        Self {
            runner,
            run,
            info,
            input,
            bounds: Bounds::default(),
            mode: Mode::Create,
            keeping: Keeping::Durable,
            stay: false,
        }
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
        Self {
            runner,
            run,
            info,
            input: Ok(input),
            bounds,
            mode: Mode::CreateOrResume,
            keeping: Keeping::Durable,
            stay: false,
        }
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

    /// Begins the run without durability: it lives in this process and dies with it, and the store is asked nothing, not
    /// even whether it has a run of this id. Everything else is as ever, for the handler and for whoever
    /// [signals](Runner::signal), [cancels](Runner::cancel), reads or [draws](Runner::tree) it through this runner: steps
    /// and their retries, waits, children (which live here, too), sessions, the watchdog.
    ///
    /// Such a run is never recovered, and what it waits for is waited for here. One that this process lets go of, because
    /// the runner stops or the handler returns [`Shutdown`](crate::Shutdown), fails as cancelled. What it has recorded takes
    /// memory until it has ended and its [`Handle`] is dropped; then nothing is left of it. A warning is logged, and
    /// [`Handle::is_durable`] and [`Run::is_durable`](crate::Run::is_durable) say so.
    ///
    /// # Errors
    ///
    /// `Invalid` together with [`Start::or_resume`]: a run that may be there already has steps behind it that must not be
    /// done again. `AlreadyExists` if one without durability of this id is there.
    pub fn without_durability(mut self) -> Self {
        self.keeping = Keeping::Not;
        self
    }

    /// Begins the run [without durability](Start::without_durability) if the store cannot be reached, after having tried for
    /// two seconds; a warning says why. A run that has begun durably stays so: when the store is lost later, the run waits
    /// for it.
    ///
    /// # Errors
    ///
    /// A refusal is returned all the same; and so is an error after which the run may be there, for somebody would
    /// recover it. `Invalid` together with [`Start::or_resume`].
    pub fn or_without_durability(mut self) -> Self {
        self.keeping = Keeping::IfReachable;
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
        let handler = runner.shared().handler(&self.info.name);
        // Of one that lives in this process nobody else knows.
        let lives_here = self.info.parent.as_ref().is_some_and(|parent| runner.shared().aside.holds(parent));
        let handler = if lives_here { Some(handler?) } else { handler.ok() };
        let entered = self.open().await?;
        runner.take_up_or_release(run, entered, handler).await
    }

    async fn open(self) -> Result<Entered> {
        let Self { runner, run, info, input, bounds, mode, keeping, stay } = self;
        let shared = runner.shared();
        let input = input?;
        if keeping != Keeping::Durable && mode != Mode::Create {
            let message = "a run that may be there already cannot do without durability; leave out or_resume";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let manifest = manifest(&run, &info.name, &input);
        let (info, base) = describe(info, &input, bounds);
        let mut open = Open::create_or_resume(shared.means.ids.operation(), info, manifest)
            .owner(shared.owner.clone())
            .ttl(shared.settings.ttl);
        open.mode = mode;
        if base.is_some() {
            open = open.origin(Origin { cursor: 0, lineage: None });
        }
        if keeping == Keeping::Not {
            warn!(%run, "the run is begun without durability, as was asked: it dies with this process");
            return enter_aside(runner, &run, open, base).await;
        }
        let entered = match enter(runner, &run, open.clone(), base.clone()).await {
            Err(error) if keeping == Keeping::IfReachable && is_out_of_reach(&error) => {
                warn!(%run, %error, "the store cannot be reached: the run is begun without durability, as was asked");
                return enter_aside(runner, &run, open, base).await;
            }
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

/// Opens a run in the memory of this process.
async fn enter_aside(
    runner: &Runner,
    run: &RunId,
    open: Open,
    base: Option<Box<RawValue>>,
) -> Result<Entered> {
    let guest = runner.shared().aside.admit(run, &runner.shared().means)?;
    let mut entered = enter(runner, run, open, base).await?;
    if let Entered::Ready(ready) = &mut entered {
        ready.guest = Some(guest);
    }
    Ok(entered)
}

/// Whether the store was not there to be asked, so that there is no run of which it knows.
fn is_out_of_reach(error: &Error) -> bool {
    use ErrorKind::{Busy, Denied, Full, Other, ReadOnly, TimedOut, Unavailable};
    let kinds = [Unavailable, Busy, TimedOut, Denied, Full, ReadOnly, Other];
    let never_opened = error.operation() == Some(Operation::Open) && error.applied() == Some(Applied::No);
    never_opened && error.refusal().is_none() && kinds.contains(&error.kind())
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
