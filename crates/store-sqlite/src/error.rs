//! What SQLite says, as the contract's kinds: by result code, never by text.

use milepost_core::{Error, ErrorKind};

/// The name that errors of this store carry.
pub(crate) const BACKEND: &str = "sqlite";

/// Primary result codes (<https://www.sqlite.org/rescode.html>): the low byte of every extended one.
mod code {
    pub(super) const ERROR: i32 = 1;
    pub(super) const PERM: i32 = 3;
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const NOMEM: i32 = 7;
    pub(super) const READONLY: i32 = 8;
    pub(super) const IOERR: i32 = 10;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const PROTOCOL: i32 = 15;
    pub(super) const TOOBIG: i32 = 18;
    pub(super) const CONSTRAINT: i32 = 19;
    pub(super) const AUTH: i32 = 23;
    pub(super) const NOTADB: i32 = 26;
    /// Extended: the file ends before the page does.
    pub(super) const IOERR_SHORT_READ: i32 = IOERR | 2 << 8;
    /// Extended: the file system found damage.
    pub(super) const IOERR_CORRUPTFS: i32 = IOERR | 33 << 8;
}

/// The kind of an extended result code, and a line that says what to do about it.
fn meaning(extended: i32) -> (ErrorKind, &'static str) {
    match extended {
        code::IOERR_SHORT_READ => return (ErrorKind::Corrupt, "the database file is cut short"),
        code::IOERR_CORRUPTFS => return (ErrorKind::Corrupt, "the file system reports damage"),
        _ => {}
    }
    match extended & 0xff {
        code::BUSY | code::LOCKED | code::PROTOCOL => {
            (ErrorKind::Busy, "the database is locked by another connection")
        }
        code::READONLY => (
            ErrorKind::ReadOnly,
            "the database cannot be written: check the rights of the file and its folder",
        ),
        code::PERM | code::AUTH => (ErrorKind::Denied, "the operating system refuses access to the database"),
        code::CORRUPT => (ErrorKind::Corrupt, "the database file is damaged"),
        code::NOTADB => {
            (ErrorKind::Corrupt, "the file is not a SQLite database, or its beginning is damaged")
        }
        // Our statements are fixed, so one that SQLite cannot run at all does not find what was created.
        code::ERROR => (ErrorKind::Corrupt, "the database is not as this program creates it"),
        // Every verdict is given before the first write, so a constraint can only fail when an index and its table
        // disagree.
        code::CONSTRAINT => (ErrorKind::Corrupt, "an index of the database disagrees with its table"),
        code::FULL => (ErrorKind::Full, "the disk is full, or the database has reached its largest size"),
        code::CANTOPEN => (
            ErrorKind::Config,
            "the database file cannot be opened: check that its folder exists and may be written",
        ),
        code::TOOBIG => (ErrorKind::TooLarge, "a value is larger than SQLite takes"),
        code::NOMEM => (ErrorKind::Other, "SQLite ran out of memory"),
        code::IOERR => (ErrorKind::Other, "the disk reports an error"),
        _ => (ErrorKind::Other, "SQLite reports an error"),
    }
}

/// What the driver says, without its type.
pub(crate) fn from_driver(error: sqlx::Error) -> Error {
    let (kind, message) = match &error {
        sqlx::Error::Database(database) => database
            .code()
            .and_then(|code| code.parse().ok())
            .map_or((ErrorKind::Other, "SQLite reports an error"), meaning),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            (ErrorKind::Corrupt, "a stored value is not of its column's type")
        }
        sqlx::Error::Io(_) => (ErrorKind::Config, "the database file cannot be opened"),
        sqlx::Error::WorkerCrashed => (ErrorKind::Unavailable, "the connection to the database has ended"),
        _ => (ErrorKind::Other, "the SQLite driver reports an error"),
    };
    Error::new(kind, message).with_source(error.to_string())
}

/// Stored bytes that are not what was written.
pub(crate) fn corrupt(what: &'static str) -> Error {
    Error::new(ErrorKind::Corrupt, what)
}

/// After `close`.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store has been closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_decide_and_extended_ones_fall_back_to_their_primary() {
        for (code, kind) in [
            (5, ErrorKind::Busy),
            (517, ErrorKind::Busy),
            (261, ErrorKind::Busy),
            (8, ErrorKind::ReadOnly),
            (776, ErrorKind::ReadOnly),
            (11, ErrorKind::Corrupt),
            (26, ErrorKind::Corrupt),
            (522, ErrorKind::Corrupt),
            (8458, ErrorKind::Corrupt),
            (266, ErrorKind::Other),
            (13, ErrorKind::Full),
            (14, ErrorKind::Config),
            (18, ErrorKind::TooLarge),
            (2067, ErrorKind::Corrupt),
            (1, ErrorKind::Corrupt),
            (21, ErrorKind::Other),
        ] {
            assert_eq!(meaning(code).0, kind, "{code}");
        }
    }
}
