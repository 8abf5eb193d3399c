//! Durable checkpoint and resume: a long run survives the death of its process.
//!
//! A program saves where it has got to. After a crash, a deploy or a lost machine another process takes the run over at
//! its last durable point: nothing acknowledged is lost, no two workers drive one run, and a worker that was thought
//! dead cannot overwrite its successor.
//!
//! ```
//! use milepost::{Begin, Checkpoints, Manifest, RunId, RunInfo, Started};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let folder = tempfile::tempdir().unwrap();
//! # let url = &format!("sqlite:{}/runs.db", folder.path().display());
//! let store = milepost::connect(url).await?; // such as "sqlite:runs.db"
//! let begin = Begin::new(RunId::new("import-7")?, RunInfo::named("import"), Manifest::of(b"orders.csv")).or_resume();
//!
//! match Checkpoints::new(store).begin_state(begin, || 0u64).await? {
//!     Started::Driving(mut run) => {
//!         while *run.state() < 100 {
//!             // … the work on row `run.state()` …
//!             run.update(|row| *row += 1).await?;
//!         }
//!         run.complete(&"100 rows").await?;
//!     }
//!     Started::Finished(outcome) => println!("done before: {outcome:?}"),
//! }
//! # Ok::<(), milepost::Error>(())
//! # }).unwrap();
//! ```
//!
//! # What is here
//!
//! | you want | look at |
//! |---|---|
//! | a store, by a URL | [`connect`] |
//! | an async function that survives its process | [`Runner`], [`Run`], the module [`run`] |
//! | an agent whose transcript is valid after every crash | [`run::chat`], the example `agent` |
//! | to save a state and get it back | [`Checkpoints`], [`Stateful`], [`Saver`] |
//! | to choose how often, how durable, with which snapshots | [`Settings`] |
//! | each operation of the store as a span of `tracing` | [`Traced`] |
//! | the contract of a backend | [`Store`] |
//! | to prove a backend of your own | the crate `milepost-conformance` |
//!
//! # Features
//!
//! | feature | gives | default |
//! |---|---|---|
//! | `run` | [`Runner`] and all of [`run`]: steps, waits, recovery | yes |
//! | `sqlite` | `sqlite:path`, durable in one file | yes |
//! | `postgres` | `postgres://…`, also behind PgBouncer | no |
//! | `postgres-tls` | the same with `sslmode=require` and above | no |
//! | `redis` | `redis://…`, one server or a cluster, as durable as it is set to | no |
//! | `redis-tls`, `redis-sentinel` | `rediss://…`, `redis+sentinel://…` | no |
//! | `folder` | `file:///folder`, durable in a folder of small files | no |
//! | `s3`, `gcs`, `azure` | `s3://…`, `gs://…`, `az://…`, durable in an object store; each gives `folder` too | no |
//! | `aws` | `s3` with the credentials of Amazon's SDK, and buckets that are made | no |
//! | `memory` | `memory:`, for tests | no |
//!
//! Features only add.

mod connect;

pub use connect::{connect, prepare};
pub use milepost_checkpoint::{
    Appender, Availability, Checkpoints, Codec, Compact, Json, Keep, SaveMode, Saver, Settings,
    SnapshotPolicy, Started, Stateful, StoreCheckpointer, state_at, verify,
};
pub use milepost_core::*;
pub use milepost_layers::{GroupCommit, GroupCommitConfig, Traced};
#[cfg(feature = "run")]
pub use milepost_run as run;
#[cfg(feature = "run")]
pub use milepost_run::{
    BoxError, CancellationToken, Effect, Ended, Retry, Run, Runner, Shutdown, StepError, shutdown_signal,
};
#[cfg(feature = "memory")]
pub use milepost_store_memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use milepost_store_postgres::{Pooler, PostgresConfig, PostgresStore};
#[cfg(feature = "redis")]
pub use milepost_store_redis::{RedisConfig, RedisStore};
#[cfg(feature = "folder")]
pub use milepost_store_s3::{S3Config, S3Store};
#[cfg(feature = "sqlite")]
pub use milepost_store_sqlite::{SqliteConfig, SqliteStore};
