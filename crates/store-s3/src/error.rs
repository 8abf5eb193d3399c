//! What can go wrong, in the contract's words.

use milepost_core::{Applied, Error, ErrorKind, Operation, RunId};

/// Says where an error happened.
pub(crate) fn during(
    backend: &'static str,
    operation: Operation,
    run: Option<&RunId>,
) -> impl FnOnce(Error) -> Error {
    move |error| error.during(backend, operation, run)
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store has been closed")
}

/// Stored bytes that are not what was written, or are not there.
pub(crate) fn corrupt() -> Error {
    Error::new(ErrorKind::Corrupt, "an object of the run is gone or not as it was written")
}

pub(crate) fn config(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message.into())
}

/// Nobody said whether a write has happened: whoever asked settles it by sending the same again.
pub(crate) fn in_doubt(error: Error) -> Error {
    error.with_applied(Applied::Maybe)
}

/// Every other error of a write comes before it.
pub(crate) fn settled(error: Error) -> Error {
    if error.applied().is_some() { error } else { error.with_applied(Applied::No) }
}
