//! What Redis and its driver say, as the contract's kinds: by code, never by text.

use std::{error::Error as StdError, io, sync::Arc};

use milepost_core::{Applied, Error, ErrorKind, Operation, RunId};
use redis::{ErrorKind as Driver, RedisError, ServerErrorKind as Server};

/// The name that errors of this store carry.
pub(crate) const BACKEND: &str = "redis";

/// The code of what is said here of a server that knows nothing of slots.
const NO_CLUSTER: &str = "NOCLUSTER";

pub(crate) fn no_cluster() -> RedisError {
    redis::make_extension_error(NO_CLUSTER.to_owned(), None)
}

/// The kind of an error code of the server, and a line that says what to do about it.
fn meaning(code: &str) -> (ErrorKind, &'static str) {
    match code {
        "NOAUTH" | "WRONGPASS" => {
            (ErrorKind::Denied, "the server refuses the user or the password: check those of the URL")
        }
        "NOPERM" => (ErrorKind::Denied, "the user lacks the rights for a command or a key of this store"),
        "OOM" => (ErrorKind::Full, "the server has reached its maxmemory and evicts nothing"),
        "MISCONF" => (ErrorKind::Full, "the server takes no writes because it cannot write to its disk"),
        "READONLY" => (ErrorKind::ReadOnly, "the server is a replica and takes no writes"),
        "NOREPLICAS" => (ErrorKind::Unavailable, "the server takes no writes because it lacks replicas"),
        "LOADING" => (ErrorKind::Unavailable, "the server is loading its data"),
        "MASTERDOWN" => (ErrorKind::Unavailable, "the server has lost its master"),
        "CLUSTERDOWN" => (ErrorKind::Unavailable, "the cluster is down, or a part of it has no node"),
        "TRYAGAIN" => (ErrorKind::Busy, "a part of the cluster is being moved"),
        "BUSY" => (ErrorKind::Busy, "the server is busy with a script"),
        "CROSSSLOT" | "MOVED" | "ASK" => {
            (ErrorKind::Config, "the server is part of a cluster: add cluster=1 to the URL")
        }
        NO_CLUSTER => {
            (ErrorKind::Config, "the server is part of no cluster: take cluster=1 or +cluster out of the URL")
        }
        "WRONGTYPE" => (ErrorKind::Corrupt, "a key of this store holds a value of another type"),
        _ => (ErrorKind::Other, "the server reports an error"),
    }
}

/// The kind of what the driver says, and a line that says what to do about it.
fn kind(error: &RedisError) -> (ErrorKind, &'static str) {
    match error.kind() {
        Driver::AuthenticationFailed => meaning("WRONGPASS"),
        Driver::InvalidClientConfig => {
            (ErrorKind::Config, "the driver does not take these settings: check the URL")
        }
        Driver::Io if is_distrusted(error) => (
            ErrorKind::Config,
            "no encrypted connection: the server's certificate is not trusted; check sslrootcert and the host's name",
        ),
        Driver::Io if error.is_timeout() => (ErrorKind::TimedOut, "the server did not answer in time"),
        Driver::Io | Driver::ClusterConnectionNotFound => (
            ErrorKind::Unavailable,
            "the server cannot be reached: check that it is there, and host and port of the URL",
        ),
        Driver::MasterNameNotFoundBySentinel | Driver::NoValidReplicasFoundBySentinel => {
            (ErrorKind::Unavailable, "the sentinels know no master of this name")
        }
        _ => error.code().map_or((ErrorKind::Other, "the driver reports an error"), meaning),
    }
}

/// Whether TLS has failed: it tells that as data that is none.
fn is_distrusted(error: &RedisError) -> bool {
    let shared = error.source().and_then(|cause| cause.downcast_ref::<Arc<dyn StdError + Send + Sync>>());
    let cause = shared.and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::InvalidData)
}

/// What the driver says, without its type.
pub(crate) fn from_driver(error: &RedisError) -> Error {
    let (kind, message) = kind(error);
    Error::new(kind, message).with_source(error.to_string())
}

/// Whether a write has happened that the server or the way to it has refused. The server refuses before a script's
/// first write, and then none of it has happened; everything else is open.
pub(crate) fn applied(error: &RedisError) -> Applied {
    let refused = match error.kind() {
        Driver::Server(Server::ResponseError | Server::ExecAbort) => false,
        Driver::Server(_) | Driver::AuthenticationFailed | Driver::InvalidClientConfig => true,
        Driver::Extension => error
            .code()
            .is_some_and(|code| matches!(code, "OOM" | "MISCONF" | "NOREPLICAS" | "NOAUTH" | "BUSY")),
        _ => error.is_connection_refusal(),
    };
    if refused { Applied::No } else { Applied::Maybe }
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
    fn codes_decide() {
        for (code, kind) in [
            ("NOAUTH", ErrorKind::Denied),
            ("OOM", ErrorKind::Full),
            ("READONLY", ErrorKind::ReadOnly),
            ("LOADING", ErrorKind::Unavailable),
            ("BUSY", ErrorKind::Busy),
            ("WRONGTYPE", ErrorKind::Corrupt),
            ("MOVED", ErrorKind::Config),
            ("ERR", ErrorKind::Other),
        ] {
            assert_eq!(meaning(code).0, kind, "{code}");
        }
    }

    #[test]
    fn a_certificate_that_is_refused_is_a_setting_and_a_cut_connection_is_none() {
        let of = |kind| from_driver(&RedisError::from(io::Error::from(kind))).kind();
        assert_eq!(of(io::ErrorKind::InvalidData), ErrorKind::Config);
        assert_eq!(of(io::ErrorKind::ConnectionReset), ErrorKind::Unavailable);
    }

    #[test]
    fn a_cut_connection_leaves_a_write_open_and_a_refused_one_does_not() {
        let io = |kind| RedisError::from(std::io::Error::from(kind));
        assert_eq!(applied(&io(std::io::ErrorKind::ConnectionReset)), Applied::Maybe);
        assert_eq!(applied(&io(std::io::ErrorKind::TimedOut)), Applied::Maybe);
        assert_eq!(applied(&io(std::io::ErrorKind::ConnectionRefused)), Applied::No);
    }
}
