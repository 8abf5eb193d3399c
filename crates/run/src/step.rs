//! A step, before it is awaited: what it does, and how often it is tried.

use std::{fmt, time::Duration};

use futures_util::{FutureExt, TryFutureExt, future::BoxFuture};
use serde::{Serialize, de::DeserializeOwned};

use crate::{BoxError, Effect, Retry, Run, StepError, history::Entry, place::Place};

type Body<'a, T> = Box<dyn FnMut(Effect) -> BoxFuture<'a, Result<T, BoxError>> + Send + 'a>;

/// A step, made by [`Run::step`] and [`Run::effect`]: await it.
///
/// It has its place from when it is made, so steps that are made one after another may be awaited together
/// (`tokio::join!`).
#[must_use = "a step does nothing until it is awaited"]
pub struct Step<'a, T> {
    pub(crate) run: &'a Run,
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) entry: Option<Entry>,
    pub(crate) body: Body<'a, T>,
    pub(crate) retry: Retry,
    pub(crate) timeout: Option<Duration>,
    pub(crate) once: bool,
}

impl<T> fmt::Debug for Step<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, place, retry, timeout, once, .. } = self;
        f.debug_struct("Step")
            .field("name", name)
            .field("at", &place.to_string())
            .field("retry", retry)
            .field("timeout", timeout)
            .field("once", once)
            .finish_non_exhaustive()
    }
}

impl<'a, T> Step<'a, T> {
    pub(crate) fn new<E, F>(run: &'a Run, name: String, mut body: impl FnMut(Effect) -> F + Send + 'a) -> Self
    where
        E: Into<BoxError> + 'a,
        F: Future<Output = Result<T, E>> + Send + 'a,
        T: Send + 'a,
    {
        let (place, entry) = run.arrive();
        let body = Box::new(move |effect| body(effect).map_err(Into::into).boxed());
        Self { run, name, place, entry, body, retry: Retry::NEVER, timeout: None, once: false }
    }

    /// Tries again when it has failed.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Tries up to so many times more when it has failed; the pauses are those of [`Retry::times`].
    pub fn retries(self, times: u32) -> Self {
        self.retry(Retry::times(times))
    }

    /// Drops an attempt that takes longer, which is a failure of that attempt.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Never runs it again when it is unknown whether it has happened: when the process died in it, or it timed out. It is
    /// then *in doubt*: the run waits, shows it in its note and in [`Runner::in_doubt`](crate::Runner::in_doubt), and goes
    /// on with the [answer](crate::Runner::answer). An error that its body returns is no doubt: the body says that it has
    /// failed.
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }
}

impl<'a, T> IntoFuture for Step<'a, T>
where
    T: Serialize + DeserializeOwned + Send + 'a,
{
    type Output = Result<T, StepError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.execute().boxed()
    }
}
