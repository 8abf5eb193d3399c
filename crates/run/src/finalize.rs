//! The last commit of a process' work on a run, on every way out of its handler.

use std::{sync::Arc, time::Duration};

use milepost_core::{Bytes, ErrorKind, Failure, FailureKind, Finish, Outcome, Retain, Wake};
use tracing::{error, info, warn};

use crate::{
    Ended,
    drive::Exit,
    error::{describe, is_shutdown},
    event::Event,
    handler::Returned,
    log::End,
    run::Core,
    stop::Halt,
    tree::cascade::{self, Down},
};

/// How long a store that does not answer is asked to take the last commit.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of an error is kept, in bytes.
const LONGEST: usize = 32 << 10;

/// What is to be written at the end.
#[derive(Debug)]
enum Last {
    Complete(Bytes),
    Fail(FailureKind, String),
    Release(Wake, Ended),
    Nothing(Ended),
}

/// Writes the end, once. What goes wrong with that is logged, and told beside the end that was meant.
/// `alive` is what keeps the lease while children are taken down.
pub(crate) async fn finalize(core: &Arc<Core>, exit: Exit, alive: impl Sized) -> Ended {
    let (mut last, mut take) = last_of(core, exit).await;
    if matches!(last, Last::Complete(_) | Last::Fail(..)) {
        match cascade::take_down(core).await {
            Down::Yes => account(core),
            // It has no other process to be taken up in.
            Down::Stopping if core.is_aside => {}
            Down::Stopping => (last, take) = (Last::Release(Wake::now(), Ended::Released), None),
        }
    }
    drop(alive);
    write(core, last, take).await
}

/// What is to be written after this exit, and which message is taken with it.
async fn last_of(core: &Core, exit: Exit) -> (Last, Option<u64>) {
    let mut take = None;
    let last = match exit {
        Exit::Returned(returned) => returned_last(core, returned),
        Exit::Early(error) => {
            Last::Fail(FailureKind::Error, format!("the handler cannot take the input: {error}"))
        }
        Exit::Panicked(message) => Last::Fail(FailureKind::Panicked, message),
        Exit::Waiting(wake) => Last::Release(wake, Ended::Waiting(wake)),
        Exit::Stopped => Last::Release(Wake::now(), Ended::Released),
        Exit::Halted => match core.stop.halted().await {
            Halt::Cancelled { reason, message } => {
                take = Some(*message);
                Last::Fail(FailureKind::Cancelled, reason.clone())
            }
            halt => halted_last(core, halt),
        },
    };
    match last {
        Last::Release(..) if core.is_aside => {
            let message =
                "its process let go of it, and it was begun without durability: nobody can go on with it";
            (Last::Fail(FailureKind::Cancelled, message.into()), take)
        }
        last => (last, take),
    }
}

/// Closes the books of a run that has any.
fn account(core: &Core) {
    if core.budget.is_some() {
        let history = core.history();
        let mut books = history.family.ledger.read();
        // What a step returned may be recorded, and what it cost not yet.
        if !history.is_exhausted() {
            books.gaps.push("what was used before the handler was stopped".into());
        }
        let spent = books.spent.saturating_add(books.reserved);
        core.log.push_last(core.log.entry(&[Event::Accounted { spent, gaps: books.gaps }]));
    }
}

async fn write(core: &Core, last: Last, take: Option<u64>) -> Ended {
    let (end, ended) = match last {
        Last::Nothing(ended) => return ended,
        Last::Release(wake, ended) => (End::Release(wake), ended),
        Last::Complete(output) => {
            let outcome = Outcome::Completed { output };
            (End::Finish(Finish { outcome, retain: core.settings.retain }), Ended::Completed)
        }
        Last::Fail(kind, mut message) => {
            message.truncate(message.floor_char_boundary(LONGEST));
            let failure = Failure::new(kind, message);
            warn!(run = %core.id, %failure, "the run fails");
            let outcome = Outcome::Failed { failure: failure.clone() };
            (End::Finish(Finish { outcome, retain: Retain::Keep }), Ended::Failed(failure))
        }
    };
    match core.log.end(end, take, PATIENCE).await {
        Ok(()) => {
            if let (Ended::Completed | Ended::Failed(_), Some(parent)) = (&ended, &core.parent) {
                let epoch = core.log.fence().epoch;
                cascade::tell_parent(core.log.means(), parent, core.id.clone(), epoch).await;
            }
            ended
        }
        Err(second) if matches!(second.kind(), ErrorKind::Fenced | ErrorKind::NotFound) => {
            warn!(run = %core.id, meant = %ended, "the run was taken over before its end was written");
            Ended::Lost
        }
        Err(second) => {
            error!(run = %core.id, meant = %ended, error = %second, "the end could not be written");
            Ended::Unwritten { meant: Box::new(ended), error: second.to_string() }
        }
    }
}

fn returned_last(core: &Core, returned: Returned) -> Last {
    match returned {
        Ok(output) => {
            if let Some((place, entry)) = core.history().left() {
                let recorded = entry.describe();
                return Last::Fail(
                    FailureKind::Error,
                    format!(
                        "the handler returned without asking for {recorded}, which its log has at {place}; \
                         mend the handler, or gate the change with Run::version, and reopen the run"
                    ),
                );
            }
            let output = Bytes::from(String::from(Box::<str>::from(output)));
            let most = core.log.capabilities().limits.commit;
            if output.len() as u64 > most {
                let size = output.len();
                let message = format!("the output has {size} bytes of JSON, and this store takes {most}");
                return Last::Fail(FailureKind::Error, message);
            }
            Last::Complete(output)
        }
        Err(error) if is_shutdown(&*error) => Last::Release(Wake::now(), Ended::Released),
        Err(error) if core.stopping.is_cancelled() => {
            info!(run = %core.id, error = %describe(&*error), "an error while the runner stops; the run is resumed");
            Last::Release(Wake::now(), Ended::Released)
        }
        Err(error) => Last::Fail(FailureKind::Error, describe(&*error)),
    }
}

fn halted_last(core: &Core, halt: &Halt) -> Last {
    match halt {
        Halt::Lost(error) => {
            warn!(run = %core.id, %error, "the run is another owner's; its handler was stopped");
            Last::Nothing(Ended::Lost)
        }
        Halt::Released => Last::Release(Wake::now(), Ended::Released),
        Halt::Diverged(error) => Last::Fail(FailureKind::Error, error.to_string()),
        Halt::Cancelled { reason, .. } => Last::Fail(FailureKind::Cancelled, reason.clone()),
        Halt::TimedOut(deadline) => {
            Last::Fail(FailureKind::TimedOut, format!("its deadline has passed ({} µs)", deadline.0))
        }
        Halt::Killed(quiet) => {
            Last::Fail(FailureKind::TimedOut, format!("it has finished no work for {quiet:?}"))
        }
        Halt::Broken(error) => match error.kind() {
            // The same again would fail the same way.
            ErrorKind::Unsupported | ErrorKind::TooLarge | ErrorKind::Invalid | ErrorKind::Corrupt => {
                Last::Fail(FailureKind::Error, error.to_string())
            }
            _ => {
                error!(run = %core.id, %error, "the store refuses to go on; the run is tried again later");
                let meant = Ended::Unwritten { meant: Box::new(Ended::Released), error: error.to_string() };
                Last::Release(Wake::at(core.clock.now() + core.settings.ttl), meant)
            }
        },
    }
}

/// Lets go of a run whose driving future was dropped, if there is a runtime left to do it.
pub(crate) fn release_dropped(core: Arc<Core>) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(async move {
            if let Err(error) = core.log.end(End::Release(Wake::now()), None, PATIENCE).await {
                warn!(run = %core.id, %error, "a run that was dropped could not be let go of");
            }
        });
    }
}
