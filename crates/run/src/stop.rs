//! How a driven run is stopped from outside its handler.

use std::{sync::OnceLock, time::Duration};

use milepost_core::{Error, Timestamp};
use tokio_util::sync::CancellationToken;

/// Why a handler is dropped before it has returned.
#[derive(Debug)]
pub(crate) enum Halt {
    /// Another owner drives the run, or it is gone.
    Lost(Error),
    /// The store refuses to go on for another reason.
    Broken(Error),
    /// The handler wants to be called again elsewhere: the process stops.
    Released,
    /// The handler asked for something else than what is recorded, or what is recorded cannot be read.
    Diverged(Error),
    /// Somebody asked for its end.
    Cancelled { reason: String, message: u64 },
    /// It has run into its deadline.
    TimedOut(Timestamp),
    /// It has finished no work for so long.
    Killed(Duration),
}

/// Tells everyone who works for a run that it is over, and why; the first reason stays.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    why: OnceLock<Halt>,
    token: CancellationToken,
}

impl Stop {
    pub(crate) fn halt(&self, why: Halt) {
        if self.why.set(why).is_ok() {
            self.token.cancel();
        }
    }

    pub(crate) fn is_halted(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until the run is over.
    pub(crate) async fn halted(&self) -> &Halt {
        self.token.cancelled().await;
        match self.why.get() {
            Some(why) => why,
            // The reason is set before the token is cancelled.
            None => std::future::pending().await,
        }
    }
}

/// A token that is cancelled by the first SIGTERM or SIGINT (Ctrl-C), for [`Runner::serve`](crate::Runner::serve). The
/// second one ends the process at once, as if there were no handler.
///
/// # Errors
///
/// Those of installing the handlers.
///
/// # Panics
///
/// Outside a tokio runtime with its signal driver.
pub fn shutdown_signal() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let stopped = token.clone();
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        signals.next().await;
        tracing::info!("asked to stop; finishing what is under way");
        stopped.cancel();
        signals.next().await;
        std::process::exit(130);
    });
    Ok(token)
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
