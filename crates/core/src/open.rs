//! Opening a run: create, resume or take over.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Cursor, Fence, Head, Incarnation, Manifest, OperationId, Owner, RunId};

/// What a run is, told when it is created and kept as it was told.
///
/// Held by: `open/info-*`, `ids/odd-infos-come-back`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RunInfo {
    /// The name of the handler that drives it; a recovering process dispatches by it.
    pub name: String,
    /// The run that spawned it.
    pub parent: Option<RunId>,
    /// For finding it again.
    pub labels: BTreeMap<String, String>,
    /// Whatever else is needed to dispatch it again; opaque to the store.
    pub meta: Bytes,
}

impl RunInfo {
    /// A run for the handler `name`, without parent, labels and meta.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Adds a label.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Sets the parent.
    pub fn parent(mut self, parent: RunId) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Sets the opaque rest.
    pub fn meta(mut self, meta: impl Into<Bytes>) -> Self {
        self.meta = meta.into();
        self
    }
}

/// Whether a run must, must not or may exist already.
///
/// Held by: `open/create-refuses-a-run-that-exists`, `open/resume-of-an-unknown-run-creates-nothing`,
/// `open/of-16-racing-creators-one-wins`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Mode {
    /// It must not: [`crate::Refusal::AlreadyExists`].
    Create,
    /// It must: [`crate::Refusal::NotFound`].
    Resume,
    /// Either.
    CreateOrResume,
}

/// When an existing run may be taken from whoever drives it.
///
/// Held by: `open/over-*`, `open/of-16-racing-overs-one-wins`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Takeover {
    /// Once it is due: [`crate::Refusal::LeaseHeld`] before.
    #[default]
    IfDue,
    /// Now, as long as this is still its fence, also of a run that waits and of a draft; for supervisors that know the
    /// owner to be dead. A run that is no longer under this fence is treated as with `IfDue`.
    Over(Fence),
}

/// Where the run whose log this one continues stood.
///
/// Held by: `open/a-draft-continues-the-log-of-its-origin`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Lineage {
    /// The run that was forked.
    pub run: RunId,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// The last of its records that this run shares.
    pub cursor: Cursor,
}

/// Makes the created run a *draft* whose log begins at `cursor`: its first record is `cursor + 1`, reading below is
/// [`crate::Refusal::Trimmed`], and the commit whose snapshot stands at `cursor` ends the draft. A draft is never due,
/// also when its lease has run out; once it has ended, it is due at its lease's end like any run.
///
/// Held by: `open/a-draft-*`, `open/below-its-origin-a-draft-is-trimmed`,
/// `open/the-snapshot-at-its-origin-ends-a-draft`, `open/another-snapshot-ends-no-draft`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Origin {
    /// Where the log begins.
    pub cursor: Cursor,
    /// From which run, if it is a fork.
    pub lineage: Option<Lineage>,
}

impl Origin {
    /// The last cursor at which a log may begin: 2^52. Every cursor behind it is exact in every backend, also in one that
    /// counts in floating point.
    ///
    /// Held by: `open/an-origin-past-the-limit-is-invalid`.
    pub const LIMIT: Cursor = 1 << 52;
}

/// A request to drive a run.
///
/// The `id` names this request over all its retries: the same id again, with nothing opened or committed since,
/// answers the same fence.
///
/// Held by: `open/*`, `lost-ack/an-open-dropped-is-settled`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Open {
    /// Names this request.
    pub id: OperationId,
    /// Whether the run must exist.
    pub mode: Mode,
    /// What it is; needed to create it, ignored when it exists.
    pub info: Option<RunInfo>,
    /// What it is asked to do; needed to create it. When it exists, another one is refused; `None` asks nothing
    /// (operators do not know it).
    pub manifest: Option<Manifest>,
    /// Makes the created run a draft; ignored when it exists.
    pub origin: Option<Origin>,
    /// A label for people.
    pub owner: Owner,
    /// How long the lease lasts from now, by the store's clock. One below the store's `min_ttl` is raised to it.
    pub ttl: Duration,
    /// When a run that somebody drives may be taken over.
    pub takeover: Takeover,
    /// Whether a failed run is opened again; its outcome is gone then. A completed one never is.
    pub reopen_failed: bool,
}

impl Open {
    /// The lease of an owner that asked for none: 30 s.
    pub const DEFAULT_TTL: Duration = Duration::from_secs(30);

    fn new(id: OperationId, mode: Mode, info: Option<RunInfo>, manifest: Option<Manifest>) -> Self {
        Self {
            id,
            mode,
            info,
            manifest,
            origin: None,
            owner: Owner::default(),
            ttl: Self::DEFAULT_TTL,
            takeover: Takeover::IfDue,
            reopen_failed: false,
        }
    }

    /// Creates the run; refused when it exists.
    pub fn create(id: OperationId, info: RunInfo, manifest: Manifest) -> Self {
        Self::new(id, Mode::Create, Some(info), Some(manifest))
    }

    /// Creates the run, or resumes it when it exists with the same manifest.
    pub fn create_or_resume(id: OperationId, info: RunInfo, manifest: Manifest) -> Self {
        Self::new(id, Mode::CreateOrResume, Some(info), Some(manifest))
    }

    /// Resumes the run, whatever it was asked to do; refused when there is none.
    pub fn resume(id: OperationId) -> Self {
        Self::new(id, Mode::Resume, None, None)
    }

    /// Refuses a run with another manifest.
    pub fn manifest(mut self, manifest: Manifest) -> Self {
        self.manifest = Some(manifest);
        self
    }

    /// Makes the created run a draft that begins at `origin`.
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Labels the owner; by default [`Owner::current`].
    pub fn owner(mut self, owner: Owner) -> Self {
        self.owner = owner;
        self
    }

    /// How long the lease lasts unless it is renewed; by default [`Open::DEFAULT_TTL`].
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Takes the run over at once if `fence` is still its fence.
    pub fn over(mut self, fence: Fence) -> Self {
        self.takeover = Takeover::Over(fence);
        self
    }

    /// Opens a failed run again.
    pub fn reopen_failed(mut self) -> Self {
        self.reopen_failed = true;
        self
    }
}

/// The answer to an [`Open`]: the run is this caller's to drive.
///
/// Held by: `open/creates-with-cursor-0-version-1-epoch-1`, `open/the-same-open-id-*`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Opened {
    /// What every write of this owner carries.
    pub fence: Fence,
    /// The run as of this open.
    pub head: Head,
    /// Whether this open created it.
    pub created: bool,
}
