//! Durable runs in PostgreSQL, also behind PgBouncer: a store of Milepost.
//!
//! ```no_run
//! use futures_util::TryStreamExt;
//! use milepost_core::{
//!     Commit, Ids, Kind, Manifest, NewRecord, Open, Record, Result, RunId, RunInfo, Span, Store, SystemIds,
//! };
//! use milepost_store_postgres::PostgresStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! PostgresStore::prepare("postgres://localhost/jobs?schema=imports").await?;
//! let store = PostgresStore::connect("postgres://localhost/jobs?schema=imports").await?;
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
//! A URL such as `postgres://user:password@host/database?schema=jobs` ([`PostgresConfig::from_url`] lists the parameters), or
//! the builder methods of [`PostgresConfig`]. PostgreSQL 14 or newer, with PL/pgSQL, which every PostgreSQL has; no other
//! extension. Before the first use the schema is set up once: [`PostgresStore::prepare`], or `prepare=1` in the URL. Any number
//! of processes may do that at once. Until then connecting is [`ErrorKind::NotPrepared`].
//!
//! A handle and its clones share a few connections (`connections=10`), each taken for one statement. A connection that is cut
//! while a write is on its way is [`ErrorKind::Unavailable`] with [`Applied::Maybe`], to be settled by sending it again under
//! its id. Only what the server has taken back for sure, because others were in its way, is run again here.
//!
//! # Behind a pooler
//!
//! PgBouncer in transaction mode gives each transaction whatever connection is free. It is noticed when the store connects (or
//! said, `pooler=transaction`), and then nothing is prepared, nothing is kept in a session, and followers look again now and
//! then instead of listening. A commit is one round trip there, too. PgBouncer has to let `extra_float_digits` pass
//! (`ignore_startup_parameters`), which the driver sends.
//!
//! # What `Ok` promises
//!
//! | the server's settings | declared |
//! |---|---|
//! | `fsync`, `full_page_writes` and `synchronous_commit` on | [`Durability::Fsync`] |
//! | the same with `synchronous_standby_names` | [`Durability::Replicated`] |
//! | any of them off | [`Durability::Buffered`] |
//!
//! They are read when the store connects, as they hold for this role. A server that comes back with less than it had
//! acknowledged, from a backup or a failover, is [`ErrorKind::SetBack`] to a handle that has seen a newer version of a run,
//! until the run is opened again through it.
//!
//! # How a commit is made
//!
//! One statement calls one function. Commits of records alone, of one run or of hundreds, go to one that locks their rows in the
//! order of the ids, skips those that somebody else holds, judges each by its locked row, and stores what holds, in a single
//! statement; what it leaves is sent on to the other function, one run at a time, which waits for its row, judges in the
//! documented order, and says why it refuses. Leases and all instants are by the server's clock, which the function
//! `clock()` of the schema tells.
//!
//! # What is verified
//!
//! Every body has the client's checksum, bound to its run, life and place, and every other row one over all of its columns that
//! the server has put there; the row of a run counts and sums up what the run has elsewhere. A flipped bit, a swapped or a lost
//! row is [`ErrorKind::Corrupt`]. Not told is a lost entry of the two tables that only remember, record ids and message keys,
//! a lost entry of an index, without which a listing lacks the run, and the loss of all rows of a run together.
//!
//! # Limits
//!
//! Records and messages have at most 32 MiB, snapshots, blobs and commits 64 MiB. Cursors reach to 2^63.
//!
//! [`Applied::Maybe`]: milepost_core::Applied::Maybe
//! [`Durability::Buffered`]: milepost_core::Durability::Buffered
//! [`Durability::Fsync`]: milepost_core::Durability::Fsync
//! [`Durability::Replicated`]: milepost_core::Durability::Replicated
//! [`ErrorKind::Corrupt`]: milepost_core::ErrorKind::Corrupt
//! [`ErrorKind::NotPrepared`]: milepost_core::ErrorKind::NotPrepared
//! [`ErrorKind::SetBack`]: milepost_core::ErrorKind::SetBack
//! [`ErrorKind::Unavailable`]: milepost_core::ErrorKind::Unavailable

mod answer;
mod batch;
mod columns;
mod commit;
mod config;
mod error;
mod follow;
mod link;
mod list;
mod read;
mod row;
mod schema;
mod server;
mod statements;
mod store;
mod stream;
mod template;
mod value;
mod write;

pub use config::{Pooler, PostgresConfig};
pub use store::PostgresStore;

/// The README's code, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
