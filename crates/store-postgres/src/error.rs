//! What PostgreSQL and its driver say, as the contract's kinds: by code, never by text.

use std::io;

use milepost_core::{Applied, Error, ErrorKind, Operation, RunId};
use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// The name that errors of this store carry.
pub(crate) const BACKEND: &str = "postgres";

/// The kind of an SQLSTATE, and a line that says what to do about it.
fn meaning(state: &str) -> (ErrorKind, &'static str) {
    use ErrorKind::{
        Busy, Config, Corrupt, Denied, Full, NotPrepared, Other, ReadOnly, TooLarge, Unavailable,
    };
    match state {
        "28000" | "28P01" => (Denied, "the server refuses the user or the password: check those of the URL"),
        "42501" => {
            (Denied, "the user lacks rights on this store's schema: grant them, or prepare as its owner")
        }
        "3D000" => (Config, "there is no such database: create it, or name another one in the URL"),
        "3F000" | "42P01" | "42883" | "42704" => (
            NotPrepared,
            "the schema lacks this store's tables: call milepost::prepare once, or add prepare=1 to the URL",
        ),
        "25006" => (ReadOnly, "the server takes no writes here: it is a standby, or the role is read-only"),
        "40001" | "40P01" | "0A000" => (Busy, "others kept changing the same rows"),
        "55P03" | "57014" => {
            (Busy, "the server gave the statement up: a limit on locks or on statements was reached")
        }
        "53300" => (
            Busy,
            "the server has no free connection: raise max_connections, or lower connections in the URL",
        ),
        "53100" => (Full, "the server's disk is full"),
        "53000" | "53200" => (Unavailable, "the server has run out of memory"),
        "54000" => (TooLarge, "the server does not take a value of this size"),
        "XX001" | "XX002" => (Corrupt, "the server reports damaged data"),
        "57P01" | "57P02" | "57P03" | "57P04" | "57P05" => {
            (Unavailable, "the server is starting, stopping or has ended the connection")
        }
        // How poolers tell that there is no server behind them.
        "58000" | "08P01" => {
            (Unavailable, "the connection was refused or ended by the server or a pooler before it")
        }
        state if state.starts_with("08") => (Unavailable, "the connection to the server failed"),
        _ => (Other, "the server reports an error"),
    }
}

/// Whether a statement that ended with this SQLSTATE was taken back for sure. One that was cut off in its last moments, when
/// its connection or its server ended, may have been committed.
fn is_taken_back(state: &str) -> bool {
    matches!(
        state.get(..2),
        Some("0A" | "22" | "23" | "25" | "28" | "3D" | "3F" | "42" | "53" | "54" | "55" | "P0")
    ) || matches!(state, "40001" | "40P01" | "57014" | "57P03" | "XX001" | "XX002")
}

/// Whether the same statement, run again at once, may well succeed: it was in somebody's way, or its plan was of before a
/// migration.
pub(crate) fn is_to_be_run_again(error: &sqlx::Error) -> bool {
    matches!(state(error), Some("40001" | "40P01" | "0A000"))
}

/// Whether the connection is of no further use.
pub(crate) fn ends_connection(error: &sqlx::Error) -> bool {
    match database(error) {
        Some(error) => matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic),
        None => !matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)),
    }
}

fn database(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}

/// The SQLSTATE, if it is the server that speaks.
pub(crate) fn state(error: &sqlx::Error) -> Option<&str> {
    database(error).map(PgDatabaseError::code)
}

/// What the driver says, without its type. Texts that may repeat the URL are left out.
pub(crate) fn from_driver(error: &sqlx::Error) -> Error {
    let (kind, message) = match error {
        sqlx::Error::Database(_) => meaning(state(error).unwrap_or_default()),
        // What TLS finds wrong is data that is none.
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => (
            ErrorKind::Config,
            "no encrypted connection: the server's certificate is not trusted; check sslmode, sslrootcert and the host's name",
        ),
        sqlx::Error::Io(_) => (
            ErrorKind::Unavailable,
            "the server cannot be reached: check that it is there, and host and port of the URL",
        ),
        sqlx::Error::Tls(_) => (
            ErrorKind::Config,
            "no encrypted connection: the server offers none, or the certificates of the URL are none; check sslmode",
        ),
        sqlx::Error::Protocol(_) => (ErrorKind::Unavailable, "the connection to the server is out of step"),
        sqlx::Error::Configuration(_) => {
            return Error::new(ErrorKind::Config, "the driver does not take the settings of the URL");
        }
        sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => {
            (ErrorKind::Corrupt, "a stored value is of another type than was written")
        }
        _ => (ErrorKind::Other, "the driver reports an error"),
    };
    Error::new(kind, message).with_source(error.to_string())
}

/// Whether a write that failed so has happened.
pub(crate) fn applied(error: &sqlx::Error) -> Applied {
    match state(error) {
        Some(state) if is_taken_back(state) => Applied::No,
        _ => Applied::Maybe,
    }
}

/// Stored bytes that are not what was written.
pub(crate) fn corrupt(what: &'static str) -> Error {
    Error::new(ErrorKind::Corrupt, what)
}

/// What a part of a run is, told when it is gone or damaged.
pub(crate) fn damaged() -> Error {
    corrupt("a part of the run is gone or not as it was written")
}

/// After `close`.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store has been closed")
}

/// Says where an error occurred.
pub(crate) fn during(operation: Operation, run: &RunId) -> impl Fn(Error) -> Error {
    move |error| error.during(BACKEND, operation, Some(run))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_decide() {
        for (state, kind) in [
            ("28P01", ErrorKind::Denied),
            ("3D000", ErrorKind::Config),
            ("42P01", ErrorKind::NotPrepared),
            ("25006", ErrorKind::ReadOnly),
            ("40P01", ErrorKind::Busy),
            ("53300", ErrorKind::Busy),
            ("53100", ErrorKind::Full),
            ("57P01", ErrorKind::Unavailable),
            ("08006", ErrorKind::Unavailable),
            ("XX001", ErrorKind::Corrupt),
            ("22012", ErrorKind::Other),
        ] {
            assert_eq!(meaning(state).0, kind, "{state}");
        }
    }

    #[test]
    fn a_statement_that_failed_was_taken_back_and_one_that_was_cut_off_may_hold() {
        for state in ["40001", "23505", "0A000", "25006", "53100", "42501", "P0001", "57014"] {
            assert!(is_taken_back(state), "{state}");
        }
        for state in ["57P01", "57P02", "08006", "08P01", "40003", "XX000", "58030"] {
            assert!(!is_taken_back(state), "{state}");
        }
        let reset = sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert_eq!(applied(&reset), Applied::Maybe);
    }
}
