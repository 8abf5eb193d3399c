//! Running one case: a fresh scope, its own timeout, and every way to fail turned into a text.

use std::{
    any::Any,
    future::Future,
    sync::{Arc, OnceLock},
};

use milepost_core::{Capabilities, Clock, ErrorKind, RunId, SystemClock};
use tokio::runtime::{Builder, Runtime};

use crate::{
    Context, Harness, Scope, Verdict,
    areas::concurrency::lasting,
    report::{CaseReport, Outcome},
    trace::Journal,
    trial::{Mode, Trial},
};

/// What is known of a backend before its first case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offered {
    /// What it declares.
    pub(crate) capabilities: Capabilities,
    /// Whether closing a handle leaves the others of its scope open; it does not where all are clones of one.
    pub(crate) closes_alone: bool,
}

/// The kit's own runtime. It lives as long as the process, so that a store's background tasks outlast a case that
/// panicked.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let threads = std::thread::available_parallelism().map_or(4, |count| count.get().max(4));
        let built = Builder::new_multi_thread().worker_threads(threads).enable_all().build();
        built.expect("the operating system gives threads")
    })
}

/// What the backend offers, asked of two handles.
///
/// # Errors
///
/// Why it cannot be reached, in one text.
pub(crate) fn probe(harness: &Harness) -> Result<Offered, String> {
    let (owned, scope) = (harness.clone(), Scope::fresh());
    let place = scope.clone();
    let asked = caught(harness, async move {
        let (store, other) = (owned.connect(&scope).await?, owned.connect(&scope).await?);
        let capabilities = store.capabilities();
        store.close().await?;
        let nobody = RunId::new("nobody").expect("a short name is a run's id");
        let answer = other.head(&nobody).await;
        let closes_alone = !answer.is_err_and(|error| error.kind() == ErrorKind::Closed);
        other.close().await?;
        Ok(Offered { capabilities, closes_alone })
    });
    let asked = asked.and_then(|offered| tear_down(harness, place).map(|()| offered));
    asked.map_err(|why| format!("{} cannot be tried at all\n{why}", harness.name()))
}

/// Runs `trial` to its end, from a thread that belongs to no runtime.
pub(crate) fn run(harness: &Harness, trial: Trial, offered: &Result<Offered, String>) -> CaseReport {
    let reported = |outcome, reason, millis| CaseReport::of(&trial, outcome, reason, millis);
    let offered = match offered {
        Ok(offered) => offered,
        Err(why) => return reported(Outcome::Failed, Some(why.clone()), 0),
    };
    if let Some(reason) = trial.not_applicable(harness, &offered.capabilities) {
        return reported(Outcome::NotApplicable, Some(reason), 0);
    }
    let clock = SystemClock::default();
    let failed = attempt(harness, trial, *offered).err();
    let outcome = if failed.is_some() { Outcome::Failed } else { Outcome::Passed };
    reported(outcome, failed, u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX))
}

fn attempt(harness: &Harness, trial: Trial, offered: Offered) -> Result<(), String> {
    let journal = Arc::new(Journal::default());
    let Trial { case, mode } = trial;
    let seed = seed_of(case.id());
    let (owned, steps) = (harness.clone(), journal.clone());
    let scope = if case.wants_own_server() { Scope::with_own_server() } else { Scope::fresh() };
    let place = scope.clone();
    let tried = caught(harness, async move {
        let context = Context::connect(&owned, scope, mode, offered, seed, steps).await?;
        let verdict = (case.run)(&context).await;
        let closed = context.close().await;
        verdict.and(closed)
    });
    let removed = tear_down(harness, place);
    tried.and(removed).map_err(|why| {
        let contract = case.doc();
        let way = match mode {
            Mode::Plain => "",
            Mode::Reopened => "tried:      with a re-open between any two operations of a handle\n",
        };
        let replay = harness.entry.replay(&trial.id());
        format!(
            "contract:   {contract}\n{way}{why}\nreplay:     {replay}\nwhat was done (seed {seed:#018x}):\n{journal}"
        )
    })
}

/// Removes what a scope has left, whatever became of its case.
fn tear_down(harness: &Harness, scope: Scope) -> Result<(), String> {
    let owned = harness.clone();
    caught(harness, async move { Ok(owned.tear_down(&scope).await?) })
        .map_err(|why| format!("what the case has stored cannot be removed\n{why}"))
}

/// Runs `work` on the kit's runtime, for as long as a case may take, and turns every failure into a text.
fn caught<T: Send + 'static>(
    harness: &Harness,
    work: impl Future<Output = Verdict<T>> + Send + 'static,
) -> Result<T, String> {
    let limit = harness.tuning().timeout + lasting::asked();
    let task = runtime().spawn(work);
    let abort = task.abort_handle();
    match runtime().block_on(async { tokio::time::timeout(limit, task).await }) {
        Ok(Ok(Ok(value))) => Ok(value),
        Ok(Ok(Err(failure))) => Err(failure.to_string()),
        Ok(Err(joined)) => Err(match joined.try_into_panic() {
            Ok(payload) => format!("panicked:   {}", said(&*payload)),
            Err(joined) => format!("ended:      {joined}"),
        }),
        Err(_) => {
            abort.abort();
            Err(format!(
                "timed out:  it took longer than {limit:?}\nwhat to do:  a call below that is without an answer hangs; a \
                 backend that is only slow gets another Tuning"
            ))
        }
    }
}

fn said(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("(no text)")
}

/// The same ids for the same case, always (FNV-1a).
fn seed_of(id: &str) -> u64 {
    id.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
