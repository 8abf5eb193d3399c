//! Async functions that survive their process.
//!
//! Between two steps a handler may only compute, from its input and from what its [`Run`] gave it: no clock, no
//! randomness, no request, no file, no shared state, and it awaits nothing but the futures of its run. Everything else
//! belongs into a [step](Run::step) or comes from [`Run::now`], [`Run::uuid`] and [`Run::random`]. That is because after a
//! crash the handler is *called again from its beginning*, in whichever process comes first, and every step that had
//! finished answers from the run's log instead of running again. A wait ([`Run::sleep_until`], [`Run::signal`]) *ends* the
//! handler: the process lets go of the run, and when it is due the handler is called again and finds what it waited for.
//! After a deploy the changed handler is called over the old log: as long as it asks for the same steps in the same order
//! up to where the run stands, it goes on; where it asks for another one, the run fails with a divergence that names both,
//! and may be reopened by mended code. [`Run::version`] is the gate for changes on purpose.
//!
//! ```
//! use milepost_run::{BoxError, Run, Runner};
//! use milepost_core::RunId;
//! # use milepost_store_memory::MemoryStore;
//! # async fn book(flight: &str, key: &str) -> Result<String, BoxError> { Ok(format!("{flight} {}", key.len())) }
//! # async fn mail(text: &str) -> Result<(), BoxError> { Ok(()) }
//!
//! async fn trip(run: Run, flight: String) -> Result<String, BoxError> {
//!     // Durable before it is tried, durable before it returns, never booked again once it has returned.
//!     let seat = run.effect("book", |effect| {
//!         let flight = flight.clone();
//!         async move { book(&flight, effect.key()).await }
//!     });
//!     let seat = seat.retries(3).await?;
//!     run.step("mail", || mail(&seat)).await?;
//!     Ok(seat)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! # let store = MemoryStore::new();
//! let runner = Runner::new(store).handler("trip", trip);
//! // Begins the run, or goes on with it, or answers at once if it has finished.
//! let seat: String = runner.run(RunId::new("trip-4711")?, "trip", &"MP 7").await?;
//! # assert!(seat.starts_with("MP 7 "));
//! # Ok(())
//! # }
//! ```
//!
//! # What a step promises
//!
//! - Its *intent* is durable before its body runs, its *result* before the handler gets it. A step that has finished is
//!   never run again.
//! - A step that was begun and not finished (its process died in it) runs again, with the next attempt number and the same
//!   [idempotency key](Effect::key). One that must not is declared [`once`](Step::once): it then stays [in
//!   doubt](Runner::in_doubt), visible, until somebody [answers](Runner::answer): retry, adopt a result, give up.
//! - What a step returned is what the handler gets after every later crash, errors included. Errors are kept by what they
//!   say, so a live [`StepError`] and a replayed one are alike.
//! - No exactly-once effects: an [`Effect`] hands out the key and the [fence](milepost_core::Fence), as HTTP headers and
//!   for a guarded SQL write, with which whoever receives the effect can refuse the second one and the older owner.
//!
//! # Long handlers
//!
//! A [phase](Run::phase) is a part of a handler that is finished once and for all: after a crash it gives its result, and
//! nothing of what was recorded inside is read again. A [loop](Run::repeat) goes on from its newest saved state. Both leave
//! snapshots, so that a resume reads little of a long log. An agent is a loop over its [transcript](chat). What a handler
//! streams to others while it works is a [session](Run::session).
//!
//! # How a handler ends
//!
//! | it | the run |
//! |---|---|
//! | returns `Ok` | completes with the output |
//! | returns an error | fails, until it is [reopened](Runner::reopen) on purpose |
//! | returns an error with [`Shutdown`] anywhere in its chain, or any error while the runner stops | is released: due at once |
//! | panics | fails as panicked |
//! | waits, and nothing else is under way | is released, due when what it waits for comes |
//! | is dropped with the future that drove it | is released: due at once |
//! | lost its lease | is no longer this process's: the handler is dropped at once, nothing is written |
//! | asked for another step than the recorded one | fails; the message names both |
//! | was [cancelled](Runner::cancel), or its [deadline](Start::deadline) passed | fails as cancelled or timed out |
//! | took its process down [`Settings::poison_after`] times without finishing any work | fails as poison, handler uncalled |
//!
//! Errors of writing these are logged and never hide the handler's own.
//!
//! # Recovery
//!
//! [`Runner::serve`] recovers what is due at boot and then every [`Settings::poll`], a bounded number at once; several
//! hosts share the work, and the store's lease sees to it that none drives a run that another one drives. A process that
//! was killed leaves its runs to the others. [`shutdown_signal`] is a token that SIGTERM and SIGINT cancel.
//!
//! A run is durable or it fails to begin. One that may die with its process is [asked for in words](Start::without_durability),
//! for good or for [when the store cannot be reached](Start::or_without_durability).
//!
//! # Trees
//!
//! A handler may begin other runs, its [children](Run::child), under keys. A child is an ordinary run, driven by whoever
//! recovers it; its parent waits for it like for a signal, and lets go of its process meanwhile. What it gave is recorded
//! with its parent. A run that ends takes its children down with it; how that goes never hides why it ended. A
//! [budget](Run::budget) is granted in slices, a failed child is [reopened](Child::restarts) a bounded number of times, and
//! [`Runner::tree`] draws it all.
//!
//! # What is written
//!
//! A step is two commits; records of steps that are in flight together share one. Heartbeats ride on commits, and a lease
//! is only renewed by itself when its run is quiet. A resume reads the log once, from the newest snapshot on. Everything
//! that is written is a record of a kind beginning with `milepost/run.`, or a snapshot, whose body is JSON with a version of
//! its format in it.
//! Needs a tokio runtime.

mod activity;
mod aside;
mod base;
mod canonical;
pub mod chat;
mod client;
mod doubt;
mod drive;
mod effect;
mod ended;
mod error;
mod event;
mod finalize;
mod fork;
mod handle;
mod handler;
mod heartbeat;
mod history;
mod inbox;
mod log;
mod meta;
mod observe;
mod open;
mod phase;
mod place;
mod recover;
mod retry;
mod run;
mod runner;
mod schedule;
mod session;
mod settings;
mod signal;
mod start;
mod step;
mod step_run;
mod stop;
mod store_clock;
mod subscribe;
mod timer;
mod token;
mod tree;
mod value;
mod watchdog;

pub use doubt::{Answer, InDoubt};
pub use effect::{Effect, SqlGuard};
pub use ended::Ended;
pub use error::{BoxError, FailureCause, SessionError, Shutdown, StepError, WaitError};
pub use handle::Handle;
pub use observe::Happened;
pub use recover::Recovered;
pub use retry::Retry;
pub use run::Run;
pub use runner::Runner;
pub use schedule::Schedule;
pub use session::Session;
pub use settings::Settings;
pub use signal::Signal;
pub use start::Start;
pub use step::Step;
pub use stop::shutdown_signal;
pub use subscribe::{Streamed, StreamedEvent};
pub use token::SignalToken;
pub use tokio_util::sync::CancellationToken;
pub use tree::{
    budget::Budget,
    child::{Child, ChildError},
    kept::ChildCause,
    spawned::{Children, Spawned},
    view::Tree,
};
pub use uuid::Uuid;
pub use watchdog::{Quiet, Verdict, Watchdog};

/// Compiles and runs the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
