//! Durable runs in one SQLite file: the embedded default store of Milepost.
//!
//! ```
//! use futures_util::TryStreamExt;
//! use milepost_core::{
//!     Commit, Ids, Kind, Manifest, NewRecord, Open, Record, Result, RunId, RunInfo, Span, Store, SystemIds,
//! };
//! use milepost_store_sqlite::SqliteConfig;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! let store = SqliteConfig::new(folder.path().join("runs.db")).connect().await?;
//! let run = RunId::new("import")?;
//! let open = Open::create_or_resume(SystemIds.operation(), RunInfo::named("import"), Manifest::of(b"orders.csv"));
//! let opened = store.open(&run, open).await?;
//!
//! let commit = Commit::new(run.clone(), opened.fence, SystemIds.operation(), opened.head.version)
//!     .record(NewRecord::new(Kind::new("rows")?, "1000 rows"));
//! store.commit(commit).await?;
//!
//! let records: Vec<Record> = store.stream(&run, Span::all()).try_collect().await?;
//! assert_eq!(records[0].body, "1000 rows");
//! store.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where and how
//!
//! A URL such as `sqlite:runs.db?synchronous=normal` ([`SqliteConfig::from_url`] lists the parameters), or the builder
//! methods of [`SqliteConfig`], which also take another clock and another source of ids. The file is created and prepared
//! when it is missing; its folder must be there. Use a local disk: a write-ahead log needs memory that its processes
//! share.
//!
//! # What `Ok` promises
//!
//! | `synchronous` | declared | when the process dies | when the machine dies |
//! |---|---|---|---|
//! | `full` (default), `extra` | [`Durability::Fsync`] | nothing is lost | nothing is lost that the disk has confirmed |
//! | `normal` | [`Durability::Buffered`] | nothing is lost | the last commits may be: a suffix |
//!
//! The settings are read back when the store connects, and it refuses to start on ones that do not hold. On macOS the disk
//! is told to write its cache (`fullfsync`).
//!
//! # Several handles, several processes
//!
//! One file may be used by any number of both. Clones of a handle share one connection that writes, a task that lives until
//! [`close`](milepost_core::Store::close) or until the last clone is gone, and a few that read, each held for one page.
//! A write that is on its way is finished whole whatever becomes of its caller's future. Who finds the database locked
//! by another process tries again, at random intervals, for `busy_timeout`; then it is [`ErrorKind::Busy`], and nothing
//! has happened.
//!
//! Beside each lease stands the process that holds it. When that process is certainly gone, of this boot of this host, its
//! runs are due at once: a program killed with -9 goes on when it is started again.
//!
//! # How a commit becomes durable
//!
//! Whatever waits for the writer goes into one transaction. It takes the write lock first, reads what the verdicts rest on,
//! judges, writes what holds, and commits; only then the answers leave. A statement that fails, on a full disk for
//! instance, takes the whole transaction back, and every request of it is told so with [`Applied::No`]. An error of the
//! COMMIT itself is [`Applied::Maybe`], to be settled by sending the same request again.
//!
//! A run's next commit does not read its row again: the handle remembers what its last transaction left, and the
//! transaction that builds on it compares the checksum of the stored row under the lock before anything is written.
//!
//! # What is verified
//!
//! Every row has a checksum over all of its columns and its place, every body is verified when it is read, records are
//! gapless, and a run's row counts and sums up its snapshots, blobs and messages. A flipped bit, a swapped or a lost row is
//! [`ErrorKind::Corrupt`]. Not told is a lost entry of the two tables that only remember, record ids and message keys:
//! without it, that id or key is new again.
//!
//! A file of another program is refused and left as it is, one of a newer version is [`ErrorKind::Newer`], one that is cut
//! short or no database is [`ErrorKind::Corrupt`].
//!
//! [`Applied::No`]: milepost_core::Applied::No
//! [`Applied::Maybe`]: milepost_core::Applied::Maybe
//! [`Durability::Fsync`]: milepost_core::Durability::Fsync
//! [`Durability::Buffered`]: milepost_core::Durability::Buffered
//! [`ErrorKind::Busy`]: milepost_core::ErrorKind::Busy
//! [`ErrorKind::Corrupt`]: milepost_core::ErrorKind::Corrupt
//! [`ErrorKind::Newer`]: milepost_core::ErrorKind::Newer

mod batch;
mod columns;
mod commit;
mod config;
mod connection;
mod delete;
mod error;
mod follow;
mod image;
mod job;
mod list;
mod needs;
mod open;
mod plan;
mod pool;
mod read;
mod recent;
mod renew;
mod row;
mod schema;
mod send;
mod sql;
mod store;
mod stream;
mod writer;

pub use config::{SqliteConfig, Synchronous};
pub use store::SqliteStore;

/// The README's code, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
