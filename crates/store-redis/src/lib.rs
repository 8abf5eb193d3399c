//! Durable runs in Redis or Valkey, on one server or a cluster: a store of Milepost.
//!
//! ```no_run
//! use futures_util::TryStreamExt;
//! use milepost_core::{
//!     Commit, Ids, Kind, Manifest, NewRecord, Open, Record, Result, RunId, RunInfo, Span, Store, SystemIds,
//! };
//! use milepost_store_redis::RedisStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! RedisStore::prepare("redis://localhost:6379/0?prefix=jobs").await?;
//! let store = RedisStore::connect("redis://localhost:6379/0?prefix=jobs").await?;
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
//! A URL such as `redis://user:password@host:6379/0?prefix=jobs` ([`RedisConfig::from_url`] lists schemes and parameters), or
//! the builder methods of [`RedisConfig`]. Redis 6.2 or newer, or Valkey; no modules, no functions. Before the first use the
//! place is made ready once: [`RedisStore::prepare`], or `prepare=1` in the URL. Until then connecting is
//! [`ErrorKind::NotPrepared`].
//!
//! The store talks over one connection, or one to each node of a cluster, that all clones of a handle share and that is made
//! again when it was cut: what was not sent yet is sent by the new one, and a read that was on its way is asked again. A write
//! that was on its way is [`ErrorKind::Unavailable`] with [`Applied::Maybe`], to be settled by sending it again under its
//! id. Otherwise nothing is retried here. The nodes of a cluster say themselves who has which slots, and a write that one of
//! them has turned away is sent to the other.
//!
//! # What `Ok` promises
//!
//! The servers' settings are read when the store connects, on every master of a cluster; the weakest counts.
//!
//! | append-only file | declared | what the death of the server takes |
//! |---|---|---|
//! | `appendfsync always` | [`Durability::Fsync`] | nothing that the disk has confirmed |
//! | `appendfsync everysec` or `no`, or `CONFIG` is forbidden | [`Durability::Buffered`] | a suffix of each run: what had not reached the disk, a second or two with `everysec` |
//! | none | [`Durability::Process`] | everything since the server's last snapshot, or all |
//!
//! `waitaof=1,0` makes it `Fsync` whatever `appendfsync` says, `wait=N` beside `always` and `waitaof=1,N` make it
//! [`Durability::Replicated`]: then a write is acknowledged once so many replicas have it. Fewer in time is
//! [`ErrorKind::TimedOut`] with [`Applied::Maybe`].
//!
//! A server whose `maxmemory-policy` is not `noeviction` is refused: it might forget runs. A full one is
//! [`ErrorKind::Full`], and nothing has happened.
//!
//! A server that comes back with less than it had acknowledged, from a backup or a failover, cannot be told by what it holds.
//! A handle that has seen a newer version of a run says [`ErrorKind::SetBack`] when it finds an older one, until the run is
//! opened again through it; the random part of every fence keeps who was replaced out in any case.
//!
//! # How a commit is made
//!
//! One script call (`EVALSHA`, loaded again when the server does not know it) reads the run's row, judges, and writes;
//! nothing else runs on the server meanwhile. Scripts are not rolled back, so every verdict comes before the first write, and
//! the row, which alone says what the run has, is written last. `commit_many` sends many in one call, on a
//! cluster those of one shard, and the calls side by side.
//!
//! A handle remembers the rows of the runs that it drives. A commit of records and the lease alone is then judged and sealed
//! here, and its script only compares the stored row with the remembered one and writes row and records by one `HSET`. Where
//! somebody else has written to the run meanwhile (a message, another handle), it writes nothing, and the commit goes
//! to the script that can judge it, which is a second trip.
//!
//! A run belongs to one of 256 shards. Its keys and the indexes of its shard share a slot of a cluster, so the script that
//! changes a run changes the indexes too: they are exact. A listing walks the shards side by side and merges them: one request
//! for a page of all their indexes and one for a page of heads, on a cluster one to each node.
//!
//! # What is verified
//!
//! Every body has the client's checksum, bound to its run and life, that of a snapshot or a blob to its place too. A record's
//! instant and cursor, which the server adds, and the row's instants stand beside their inversions; the rest of the row has a
//! digest. The row counts what the run has elsewhere: a lost record, snapshot, blob, message, record id or message key is
//! [`ErrorKind::Corrupt`]. Not told are a lost entry of a shard's index, without which a listing lacks the run, the loss of
//! all of a run's keys and index entries together, and a changed place of a waiting message in their order to a reader of
//! only some of them.
//!
//! # Limits
//!
//! Records, snapshots and blobs have at most 16 MiB, a commit 32 MiB and 65,536 records, so that no script keeps the server from
//! others for long. Trimmed records are out of sight at once and removed a thousand a commit. Instants beyond the year 2255
//! are for ever. Cursors reach to 2^52.
//!
//! [`Applied::Maybe`]: milepost_core::Applied::Maybe
//! [`Durability::Fsync`]: milepost_core::Durability::Fsync
//! [`Durability::Buffered`]: milepost_core::Durability::Buffered
//! [`Durability::Process`]: milepost_core::Durability::Process
//! [`Durability::Replicated`]: milepost_core::Durability::Replicated
//! [`ErrorKind::Corrupt`]: milepost_core::ErrorKind::Corrupt
//! [`ErrorKind::Full`]: milepost_core::ErrorKind::Full
//! [`ErrorKind::NotPrepared`]: milepost_core::ErrorKind::NotPrepared
//! [`ErrorKind::SetBack`]: milepost_core::ErrorKind::SetBack
//! [`ErrorKind::TimedOut`]: milepost_core::ErrorKind::TimedOut
//! [`ErrorKind::Unavailable`]: milepost_core::ErrorKind::Unavailable

mod answer;
mod batch;
mod cluster;
mod commit;
mod config;
mod entry;
mod error;
mod follow;
mod index;
mod known;
mod layout;
mod link;
mod list;
mod node;
mod pack;
mod read;
mod row;
mod scripts;
mod server;
mod shared;
mod store;
mod stream;
#[cfg(feature = "tls")]
mod tls;
mod write;

pub use config::RedisConfig;
pub use store::RedisStore;

/// The README's code, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
