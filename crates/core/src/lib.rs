//! The contract of Milepost: what a durable run is, and what every backend promises about it.
//!
//! A *run* is one durable execution. Its owner appends *records* to the run's log, now and then adds a *snapshot*
//! that shortens a resume, and ends it with an *outcome*. When the owner dies, another process opens the run and goes
//! on from the log. This crate defines the words, the [`Store`] trait that a backend implements, the
//! [`Checkpointer`] and [`CheckpointerFactory`] traits that programs use, and nothing else: no driver, no runtime, no
//! serialization format.
//!
//! # The life of a run
//!
//! ```text
//!   open(Create) ─► driven ── commit, commit, … ──► commit(outcome) ─► completed | failed
//!                    │  ▲                                                         │
//!        Release(Wake)  │ open(Resume): a new epoch            open(reopen_failed)│
//!                    ▼  │                                                         │
//!                  waiting ── due ──► interrupted ◄── the lease ran out           │
//!                                          ▲                                      │
//!                                          └──────────────────────────────────────┘
//! ```
//!
//! *Interrupted* and *waiting* are never stored: both mean "not finished and nobody drives it", and the run's `due`
//! decides which.
//!
//! # Three numbers that keep a run exact
//!
//! - The **fence** ([`Fence`]) says *who* may write. Every open mints a new one, and a store refuses any write that
//!   carries an older one, whatever any clock says. The lease is only a courtesy that avoids needless takeovers.
//! - The **version** says *upon what* a write builds. A commit names the version that its owner saw last; another
//!   one means that the owner has missed something, and the commit is refused.
//! - The **operation id** says *which* write this is. A commit whose acknowledgement was lost is settled by sending it
//!   again: the store remembers the newest one and answers as it did the first time, marked as `replayed`.
//!
//! # A commit, from the outside
//!
//! ```
//! use milepost_core::{Commit, Ids, Kind, Manifest, NewRecord, Open, Result, RunId, RunInfo, Store};
//! use std::time::Duration;
//!
//! async fn first_step(store: &dyn Store, ids: &dyn Ids) -> Result<()> {
//!     let run = RunId::new("import-2026-11-20")?;
//!     let open = Open::create_or_resume(ids.operation(), RunInfo::named("import"), Manifest::of(b"orders.csv"))
//!         .ttl(Duration::from_secs(30));
//!     let opened = store.open(&run, open).await?;
//!
//!     let commit = Commit::new(run, opened.fence, ids.operation(), opened.head.version)
//!         .record(NewRecord::new(Kind::new("rows")?, "1000 rows"))
//!         .advances();
//!     let committed = store.commit(commit).await?;
//!     assert_eq!(committed.cursor, opened.head.cursor + 1);
//!     Ok(())
//! }
//! ```
//!
//! # For authors of a backend
//!
//! Implement [`Store`]; its methods say what each must do, in which order refusals come, and what a dropped future may
//! leave behind. The pure parts of the contract are here, ready to call: [`Commit::check`] and its kin refuse what no
//! store may take, [`Commit::digest`] tells a replay from another commit, `checksum` methods bind stored bytes to
//! their place. Then let `milepost-conformance` prove it.
//!
//! # Stability
//!
//! Contract methods have no default bodies, so a wrapper cannot forget one and a new method is a major version. Enums
//! that callers match on are `non_exhaustive` where a new case asks nothing of a backend.

mod capability;
mod check;
mod checkpointer;
mod checksum;
mod clock;
mod commit;
mod digest;
mod error;
mod fence;
mod head;
mod ids;
mod message;
mod name;
mod open;
mod outcome;
mod owner;
mod query;
mod record;
mod seen;
mod store;
mod walk;

pub use bytes::Bytes;
pub use capability::{Capabilities, Capability, CapabilitySet, Durability, Limits};
pub use check::{INFO_LIMIT, NOTE_LIMIT};
pub use checkpointer::{Begin, Begun, Checkpointer, CheckpointerFactory, Restored, Saved};
pub use checksum::Checksum;
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use commit::{Commit, Committed, LeaseChange, Renew, Wake};
pub use digest::{Digest, Manifest};
pub use error::{Applied, Clash, Error, ErrorKind, Operation, Refusal, Result};
pub use fence::{Fence, Incarnation, Token};
pub use futures_core::stream::BoxStream;
pub use head::{Head, Lease, Note, Sizes, Status};
pub use ids::{Ids, OperationId, SeededIds, SystemIds};
pub use message::{Message, NewMessage, Sent};
pub use name::{Kind, MessageKey, RecordId, RunId};
pub use open::{Lineage, Mode, Open, Opened, Origin, RunInfo, Takeover};
pub use outcome::{Failure, FailureKind, Finish, Outcome, Retain};
pub use owner::{Owner, Process};
pub use query::{At, Delete, Order, Query, Span};
pub use record::{Blob, BlobInfo, NewRecord, Record, Snapshot};
pub use seen::{Floor, Seen};
pub use store::Store;

/// A record's position in its run's log: 1-based and gapless. `0` is the origin, so a bound `after: 0` means
/// everything.
pub type Cursor = u64;

/// Counts the opens and commits of a run. The open that creates a run makes it 1.
pub type Version = u64;

/// Counts the takeovers within an incarnation; strictly increasing, 1 for the open that creates the run.
pub type Epoch = u64;
