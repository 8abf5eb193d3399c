//! What can go wrong, in the contract's words.

use std::io;

use milepost_core::{Error, ErrorKind, Operation, RunId};

/// The backend's name in every error.
pub(crate) const BACKEND: &str = "template";

/// Says where an error happened.
pub(crate) fn during(operation: Operation, run: Option<&RunId>) -> impl FnOnce(Error) -> Error {
    move |error| error.during(BACKEND, operation, run)
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store has been closed")
}

pub(crate) fn corrupt() -> Error {
    Error::new(ErrorKind::Corrupt, "the stored run is not what was written")
}

/// The operating system's errors by their kind, never by their text: what would a caller do differently?
pub(crate) fn io(error: io::Error) -> Error {
    let (kind, message) = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            (ErrorKind::Denied, "the folder may not be used; check its rights")
        }
        io::ErrorKind::ReadOnlyFilesystem => (ErrorKind::ReadOnly, "the folder takes no writes"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (ErrorKind::Full, "the disk is full"),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            (ErrorKind::Unavailable, "the folder is not there")
        }
        _ => (ErrorKind::Other, "the folder cannot be used"),
    };
    Error::new(kind, message).with_source(error)
}
