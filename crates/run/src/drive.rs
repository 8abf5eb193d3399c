//! One process' work on one run: from the first call of its handler to the commit that says how it ended.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use milepost_core::{Error, Timestamp, Wake};
use tokio::task::JoinHandle;

use crate::{
    Ended, Happened, Run,
    finalize::{finalize, release_dropped},
    handler::{Handler, Returned},
    heartbeat,
    open::Ready,
    run::Core,
    stop::Halt,
};

/// How a handler came to its end.
#[derive(Debug)]
pub(crate) enum Exit {
    Returned(Returned),
    /// It was never called: the input is not what it takes.
    Early(Error),
    Panicked(String),
    /// All that it has under way waits.
    Waiting(Wake),
    /// The runner stops, and it has come to the end of what was under way or had its time for that.
    Stopped,
    /// It was stopped from outside: [`crate::stop::Stop`] says why.
    Halted,
}

/// Drives a run. With `stay`, waits are waited for here, however long.
///
/// Dropped, it drops the handler and lets go of the run.
pub(crate) async fn drive(ready: Ready, handler: Handler, stay: bool) -> Ended {
    let core = ready.core.clone();
    let guard = Guard(Some(core.clone()));
    let beat = heartbeat::beat(core.id.clone(), core.log.clone(), core.stop.clone());
    let beat = Background(tokio::spawn(beat));
    let follow = core.inbox.exists().then(|| Background(tokio::spawn(core.inbox.clone().follow())));
    let exit = exit(&ready, handler, stay).await;
    let ended = finalize(&core, exit, Alive { _beat: beat, _follow: follow }).await;
    guard.disarm();
    core.observers.tell(&core.id, || Happened::Ended(ended.clone()));
    ended
}

async fn exit(ready: &Ready, handler: Handler, stay: bool) -> Exit {
    let core = &ready.core;
    let work = async {
        match handler.call(Run::new(core.clone()), &ready.input) {
            Ok(work) => Exit::Returned(work.await),
            Err(error) => Exit::Early(error),
        }
    };
    let work = AssertUnwindSafe(work).catch_unwind();
    tokio::select! {
        biased;
        _ = core.stop.halted() => Exit::Halted,
        () = stopped(core) => Exit::Stopped,
        () = overdue(core, ready.deadline) => Exit::Halted,
        () = watched(core) => Exit::Halted,
        wake = at_rest(core, ready.deadline), if !stay => Exit::Waiting(wake),
        returned = work => match returned {
            // It took a wrong turn before it returned.
            Ok(_) if core.stop.is_halted() => Exit::Halted,
            Ok(exit) => exit,
            Err(panic) => Exit::Panicked(message_of(&*panic)),
        },
    }
}

/// Waits until the runner stops and the steps that are under way have ended, or had their time for it.
async fn stopped(core: &Core) {
    core.stopping.cancelled().await;
    tokio::select! {
        () = core.activity.idle() => {}
        () = core.clock.sleep(core.settings.grace) => {}
    }
}

async fn overdue(core: &Core, deadline: Option<Timestamp>) {
    match deadline {
        Some(deadline) => {
            core.clock.sleep_until(deadline).await;
            core.stop.halt(Halt::TimedOut(deadline));
        }
        None => std::future::pending().await,
    }
}

async fn watched(core: &Core) {
    match &core.runner.shared().watchdog {
        Some(watchdog) => watchdog.watch(core).await,
        None => std::future::pending().await,
    }
}

/// Waits until the handler has rested for a while, and says what is to wake it.
async fn at_rest(core: &Core, deadline: Option<Timestamp>) -> Wake {
    loop {
        let rest = core.activity.rested().await;
        let linger = core.settings.linger;
        match rest.until {
            // It goes on before it would be let go of.
            Some(until) if until <= core.clock.now() + linger => core.clock.sleep_until(until).await,
            _ => core.clock.sleep(linger).await,
        }
        // The handler has the same clock and the same inbox: it is looked at before it is judged. What comes from here on
        // is above this number, and wakes the run.
        let seen = core.inbox.seen();
        tokio::task::yield_now().await;
        let soon = rest.until.is_some_and(|until| until <= core.clock.now() + linger);
        if soon || !core.activity.still(rest) {
            continue;
        }
        core.note_doubts();
        let at = rest.until.into_iter().chain(deadline).min();
        let after = core.inbox.exists().then_some(seen);
        return match (at, after) {
            // Nothing that this store offers can wake it; somebody may look again.
            (None, None) => Wake::at(core.clock.now() + core.settings.ttl),
            (at, after) => Wake { at, after },
        };
    }
}

pub(crate) fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().map(String::from);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".into())
}

/// A task that ends with whoever started it.
struct Background(JoinHandle<()>);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What keeps the lease and reads the inbox.
struct Alive {
    _beat: Background,
    _follow: Option<Background>,
}

/// Lets go of a run whose driving future is dropped.
struct Guard(Option<Arc<Core>>);

impl Guard {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(core) = self.0.take() {
            release_dropped(core);
        }
    }
}
