//! One error for the whole contract: opaque, small, and telling what a caller would act on.

use std::{borrow::Cow, error::Error as StdError, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Capability, Cursor, Digest, Fence, Head, Manifest, Outcome, Owner, RunId};

/// The result of an operation of this contract.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure this is: what a caller would do differently.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request contradicts itself or breaks a rule that needs no store to see. Mend the program.
    Invalid,
    /// Something is larger than the store's declared limit.
    TooLarge,
    /// The store does not declare the capability that this needs.
    Unsupported,
    /// There is no such run, or it is another life of it.
    NotFound,
    /// The run exists, and the request was to create it.
    AlreadyExists,
    /// Somebody drives the run, or it is not due yet.
    LeaseHeld,
    /// The run was asked to do something else.
    ManifestMismatch,
    /// The run has its outcome.
    Finished,
    /// The operation id names another commit.
    IdReused,
    /// A newer fence exists: this owner has been replaced or has let go. Stop at once.
    Fenced,
    /// The run is not as the request assumed.
    Conflict,
    /// The run holds a record with this id already.
    Duplicate,
    /// What was asked for has been trimmed.
    Trimmed,
    /// Stored data is not what was written. Never retried, never papered over.
    Corrupt,
    /// The backend has lost data that it had acknowledged.
    SetBack,
    /// Stored bytes that this program cannot decode: foreign, or of a newer version.
    Undecodable,
    /// The program took another turn than the one that is recorded.
    Divergence,
    /// The store's handle has been closed.
    Closed,
    /// The backend cannot be reached. Transient.
    Unavailable,
    /// The backend is there but others keep it busy. Transient.
    Busy,
    /// The backend did not answer in time. Transient.
    TimedOut,
    /// Credentials or rights are missing.
    Denied,
    /// The backend has no room left.
    Full,
    /// The backend takes no writes.
    ReadOnly,
    /// The backend has not been set up.
    NotPrepared,
    /// The backend was set up by a newer version of this library.
    Newer,
    /// A URL or a setting is wrong.
    Config,
    /// None of these.
    Other,
}

impl ErrorKind {
    /// Whether the same request may succeed a little later.
    pub const fn is_transient(self) -> bool {
        matches!(self, ErrorKind::Unavailable | ErrorKind::Busy | ErrorKind::TimedOut)
    }
}

/// Whether a write that failed has happened.
///
/// Held by: `lost-ack/*`, `checkpointer/whichever-write-fails-the-log-is-exact`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Applied {
    /// It has not, and will not.
    No,
    /// It may have, or may yet. Send the same operation again, under the same id, to settle it.
    Maybe,
}

/// The operation during which an error occurred.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Operation {
    /// Connecting to the backend.
    Connect,
    /// Setting the backend up.
    Prepare,
    /// [`crate::Store::open`].
    Open,
    /// [`crate::Store::commit`] and [`crate::Store::commit_many`].
    Commit,
    /// [`crate::Store::renew`].
    Renew,
    /// [`crate::Store::send`].
    Send,
    /// [`crate::Store::delete`].
    Delete,
    /// [`crate::Store::head`].
    Head,
    /// [`crate::Store::snapshot`].
    Snapshot,
    /// [`crate::Store::stream`].
    Stream,
    /// [`crate::Store::inbox`].
    Inbox,
    /// [`crate::Store::blob`].
    Blob,
    /// [`crate::Store::blobs`].
    Blobs,
    /// [`crate::Store::list`].
    List,
    /// [`crate::Store::close`].
    Close,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Connect => "connect",
            Operation::Prepare => "prepare",
            Operation::Open => "open",
            Operation::Commit => "commit",
            Operation::Renew => "renew",
            Operation::Send => "send",
            Operation::Delete => "delete",
            Operation::Head => "head",
            Operation::Snapshot => "snapshot",
            Operation::Stream => "stream",
            Operation::Inbox => "inbox",
            Operation::Blob => "blob",
            Operation::Blobs => "blobs",
            Operation::List => "list",
            Operation::Close => "close",
        })
    }
}

/// In what a run is not as a commit or a deletion assumed ([`Refusal::Conflict`]).
///
/// Held by: `commit/the-version-comes-before-every-other-conflict`, `commit/not-waiting-comes-before-*`,
/// `commit/a-missing-blob-comes-before-*`, `commit/the-snapshots-cursor-comes-before-*`,
/// `deletion/a-guards-conflict-carries-the-head`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Clash {
    /// Its version is not the expected one.
    Version,
    /// This message is not waiting in its inbox.
    NotWaiting(u64),
    /// This blob, named by a record, is neither carried nor stored.
    MissingBlob(Digest),
    /// The snapshot's cursor lies past the last record of the commit.
    SnapshotCursor(Cursor),
    /// The trim would remove what the second-newest snapshot needs, which stands at this cursor (0: there is none).
    Trim(Cursor),
    /// It has not finished, and the deletion was for a finished run.
    NotFinished,
    /// Somebody drives it, and the deletion was for a run that nobody drives.
    Driven,
}

/// A refusal with what it is about. Refusals are answers, not accidents: nothing has changed.
///
/// Held by: `commit/to-*`, `commit/*-comes-before-conflict`, `commit/*-comes-before-duplicate`,
/// `open/refusals-of-a-finished-run-come-in-order`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no such run, or it is another life of it.
    NotFound,
    /// The run exists.
    AlreadyExists,
    /// Somebody drives the run, or it is not due yet.
    LeaseHeld {
        /// Who drives it; `None` while nobody does: it waits, or is a draft that was left.
        owner: Option<Owner>,
        /// Until it is due; `None` when no instant will make it so (it waits for a message, or is a draft).
        expires_in: Option<Duration>,
    },
    /// The run was asked to do something else.
    ManifestMismatch {
        /// What it was asked to do.
        stored: Manifest,
        /// What the request says.
        given: Manifest,
    },
    /// The run has its outcome.
    Finished {
        /// It.
        outcome: Outcome,
    },
    /// The operation id names another commit.
    IdReused,
    /// A newer fence exists, or this one was released.
    Fenced {
        /// The newest fence.
        current: Fence,
    },
    /// The run is not as the request assumed.
    Conflict {
        /// As it is.
        head: Box<Head>,
        /// In what they differ.
        clash: Clash,
    },
    /// The run holds a record with this id, or the commit holds it twice.
    Duplicate {
        /// Where the first one stands.
        cursor: Cursor,
    },
    /// What was asked for has been trimmed.
    Trimmed {
        /// The oldest retained record.
        first: Cursor,
    },
    /// The store does not declare this capability.
    Unsupported {
        /// The missing one.
        capability: Capability,
    },
}

impl Refusal {
    /// The kind of error that this refusal is.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Refusal::NotFound => ErrorKind::NotFound,
            Refusal::AlreadyExists => ErrorKind::AlreadyExists,
            Refusal::LeaseHeld { .. } => ErrorKind::LeaseHeld,
            Refusal::ManifestMismatch { .. } => ErrorKind::ManifestMismatch,
            Refusal::Finished { .. } => ErrorKind::Finished,
            Refusal::IdReused => ErrorKind::IdReused,
            Refusal::Fenced { .. } => ErrorKind::Fenced,
            Refusal::Conflict { .. } => ErrorKind::Conflict,
            Refusal::Duplicate { .. } => ErrorKind::Duplicate,
            Refusal::Trimmed { .. } => ErrorKind::Trimmed,
            Refusal::Unsupported { .. } => ErrorKind::Unsupported,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotFound => f.write_str("no such run, or another life of it"),
            Refusal::AlreadyExists => f.write_str("the run exists already; resume it, or delete it first"),
            Refusal::LeaseHeld { owner: Some(owner), expires_in } => {
                write!(f, "the run is driven by {owner:?}")?;
                expires_in.map_or(Ok(()), |left| write!(f, " for another {left:?}"))
            }
            Refusal::LeaseHeld { owner: None, expires_in: Some(left) } => {
                write!(f, "the run is due in {left:?}")
            }
            Refusal::LeaseHeld { owner: None, expires_in: None } => {
                f.write_str("the run waits for a message")
            }
            Refusal::ManifestMismatch { stored, given } => {
                write!(f, "the run was asked to do something else: its manifest is {stored}, not {given}")
            }
            Refusal::Finished { outcome: Outcome::Completed { .. } } => f.write_str("the run has completed"),
            Refusal::Finished { outcome: Outcome::Failed { failure } } => {
                write!(f, "the run has failed: {failure}")
            }
            Refusal::IdReused => {
                f.write_str("the operation id names another commit; make a new one for each commit")
            }
            Refusal::Fenced { current } => write!(f, "the fence is dead: epoch {} stands now", current.epoch),
            Refusal::Conflict { head, clash } => match clash {
                Clash::Version => write!(f, "the run is at version {}", head.version),
                Clash::NotWaiting(number) => write!(f, "message {number} is not waiting in the inbox"),
                Clash::MissingBlob(name) => {
                    write!(f, "a record names blob {name}, which is neither carried nor stored")
                }
                Clash::SnapshotCursor(cursor) => {
                    write!(f, "cursor {cursor} is no place for a snapshot of this run")
                }
                Clash::Trim(0) => f.write_str("nothing can be trimmed before two snapshots are kept"),
                Clash::Trim(limit) => write!(f, "at most the records up to cursor {limit} can be trimmed"),
                Clash::NotFinished => f.write_str("the run has not finished"),
                Clash::Driven => f.write_str("somebody drives the run"),
            },
            Refusal::Duplicate { cursor } => write!(f, "the record id stands at cursor {cursor} already"),
            Refusal::Trimmed { first } => write!(f, "trimmed: the oldest retained record is {first}"),
            Refusal::Unsupported { capability } => write!(f, "this store does not offer {capability}"),
        }
    }
}

/// What went wrong. One pointer wide; `Display` is one line without its source.
///
/// ```
/// use milepost_core::{Error, ErrorKind, Refusal, Result};
///
/// fn stop_or_retry(result: Result<()>) -> bool {
///     match result {
///         Err(error) if error.kind() == ErrorKind::Fenced => false,
///         Err(error) => error.kind().is_transient(),
///         Ok(()) => false,
///     }
/// }
/// assert!(stop_or_retry(Err(Error::new(ErrorKind::Busy, "locked by another process"))));
/// assert!(!stop_or_retry(Err(Refusal::NotFound.into())));
/// ```
///
/// Held by: `errors/*`.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    refusal: Option<Refusal>,
    applied: Option<Applied>,
    backend: Option<&'static str>,
    operation: Option<Operation>,
    run: Option<RunId>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error that no refusal describes. The message is one line that says what to do where that is known, and holds
    /// no secret.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            refusal: None,
            applied: None,
            backend: None,
            operation: None,
            run: None,
            source: None,
        }))
    }

    /// Keeps what caused it. Its text must hold no secret.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Says whether the write has happened.
    pub fn with_applied(mut self, applied: Applied) -> Self {
        self.0.applied = Some(applied);
        self
    }

    /// Says where it happened, keeping what is said already.
    pub fn during(mut self, backend: &'static str, operation: Operation, run: Option<&RunId>) -> Self {
        self.0.backend.get_or_insert(backend);
        self.0.operation.get_or_insert(operation);
        if self.0.run.is_none() {
            self.0.run = run.cloned();
        }
        self
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What a refusal is about; `None` for an error that is none.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.0.refusal.as_ref()
    }

    /// Whether the write that failed has happened; `None` for reads and where nobody said.
    pub fn applied(&self) -> Option<Applied> {
        self.0.applied
    }

    /// The backend, such as `sqlite`.
    pub fn backend(&self) -> Option<&'static str> {
        self.0.backend
    }

    /// The operation during which it occurred.
    pub fn operation(&self) -> Option<Operation> {
        self.0.operation
    }

    /// The run that it is about.
    pub fn run(&self) -> Option<&RunId> {
        self.0.run.as_ref()
    }

    /// Another error of the same content, for every caller of a batch that failed as one. The source is kept as text.
    pub fn repeat(&self) -> Self {
        let source = self.0.source.as_ref().map(|source| source.to_string().into());
        Self(Box::new(Inner {
            kind: self.0.kind,
            message: self.0.message.clone(),
            refusal: self.0.refusal.clone(),
            applied: self.0.applied,
            backend: self.0.backend,
            operation: self.0.operation,
            run: self.0.run.clone(),
            source,
        }))
    }
}

impl From<Refusal> for Error {
    /// A refusal has changed nothing, so the write has not happened.
    fn from(refusal: Refusal) -> Self {
        let mut error = Self::new(refusal.kind(), refusal.to_string()).with_applied(Applied::No);
        error.0.refusal = Some(refusal);
        error
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(backend) = self.0.backend {
            write!(f, "{backend} ")?;
        }
        if let Some(operation) = self.0.operation {
            write!(f, "{operation}")?;
        }
        if let Some(run) = &self.0.run {
            write!(f, " of run {run:?}")?;
        }
        // Where it happened is said by `during` alone, which names a backend always.
        if self.0.backend.is_some() {
            f.write_str(": ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.to_string())
            .field("refusal", &self.0.refusal)
            .field("applied", &self.0.applied)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_pointer_wide_and_reads_as_one_line() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        let run = RunId::from_static("a\nb");
        let error =
            Error::from(Refusal::Duplicate { cursor: 7 }).during("sqlite", Operation::Commit, Some(&run));
        assert_eq!(
            error.to_string(),
            "sqlite commit of run \"a\\nb\": the record id stands at cursor 7 already"
        );
        assert_eq!(error.applied(), Some(Applied::No));
        assert_eq!(error.repeat().to_string(), error.to_string());
    }

    #[test]
    fn the_first_context_stays() {
        let error = Error::new(ErrorKind::Busy, "locked").during("sqlite", Operation::Commit, None).during(
            "group",
            Operation::Close,
            None,
        );
        assert_eq!((error.backend(), error.operation()), (Some("sqlite"), Some(Operation::Commit)));
    }
}
