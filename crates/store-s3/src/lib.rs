//! Durable runs in an object store (S3, Google Cloud Storage, Azure) or a local folder: a store of Milepost.
//!
//! ```
//! use futures_util::TryStreamExt;
//! use milepost_core::{
//!     Commit, Ids, Kind, Manifest, NewRecord, Open, Record, Result, RunId, RunInfo, Span, Store, SystemIds,
//! };
//! use milepost_store_s3::S3Config;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let home = tempfile::tempdir().unwrap();
//! # let folder = home.path().join("runs");
//! let store = S3Config::folder(folder).connect().await?; // or S3Store::connect("s3://bucket/jobs")
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
//! A URL ([`S3Config::from_url`] lists schemes and parameters) or the builder methods of [`S3Config`]. The features `s3`, `gcs` and
//! `azure` give the services; a local folder is always there. A place is made ready once, by [`S3Store::prepare`] or
//! `prepare=1` in the URL; until then connecting is [`ErrorKind::NotPrepared`]. The bucket has to be there, or is made with
//! `create_bucket=1`. A folder makes itself ready. With the feature `aws` Amazon's SDK says region and credentials of S3 where the
//! URL does not: profiles, logins, processes and roles; without it they come from the environment and the machine's role.
//!
//! # How a run is stored
//!
//! The only primitive is the create-only put of a new name. A run's log of numbered entries is the only truth: opens,
//! commits, renewals, messages, the outcome and the deletion are entries, one order for all of them, and whoever creates
//! the next number has won. A handle keeps what the entries come to, without the bodies, so a commit is judged in memory
//! and is one put. Whoever finds the number taken reads what stands there and judges anew.
//!
//! - Names count down, so the first page of a listing shows the newest. Every 64 entries all that they come to is written
//!   as one more object, a *base*; opening a run is one listing, then the newest base and what follows it, read side by
//!   side.
//! - A body above 256 KiB is put first, in pieces if it is large, under a name with the epoch, and named by the entry.
//! - "It exists" is no verdict: each object has a token of its own, and what is read back decides.
//! - A name is freed only when what superseded it has been there for 60 s, and a writer whose last look at the tail is older
//!   than 30 s by the boot-time clock looks once more before it acknowledges. So a stalled writer neither loses what it
//!   acknowledged nor brings a freed name back to life.
//! - Before an entry makes a run due earlier than before, an empty object is put under the minute: recovery lists those up
//!   to now and asks the runs. Renewals file none.
//!
//! # What `Ok` promises
//!
//! | place | declared | why |
//! |---|---|---|
//! | a folder | [`Durability::Fsync`] | the file and its folder are synchronized before it returns |
//! | a service at an endpoint of one's own | [`Durability::Fsync`] | the service has said that it stored it |
//! | the providers' own services | [`Durability::Replicated`] | they keep several copies before they answer |
//!
//! # Time
//!
//! A folder's clock is this machine's, and a lease whose holder is a process of this machine that is gone has ended. A service
//! tells its time, to the second, with every answer: this machine's clock stands until one contradicts it by more than a second,
//! and is corrected by what they say from then on. Leases have a floor of 60 s there, and are judged 2 s late. Whoever reads a
//! run takes what stands in its log for past, also where its writer's clock is a little ahead.
//!
//! # What is verified
//!
//! Every object has a checksum over its name and its bytes. A changed byte, an object at another one's place and a missing one
//! are [`ErrorKind::Corrupt`], with two exceptions: a log that has lost its newest entry is the log that it was before, and a
//! lost hint hides the run from recovery, not from any other listing.
//!
//! # What it costs
//!
//! | | requests |
//! |---|---|
//! | commit, renewal | 1 PUT; a listing more after 30 s of quiet; a base each 64 entries |
//! | open | 1 LIST, reads side by side, 1 PUT; a new run has a hint, 1 PUT more |
//! | release, a message that wakes | 2 PUTs |
//! | any read of a run | 1 GET that finds nothing, and the objects that it asks for |
//! | listing what is due | 1 LIST, and a look at each of those runs |
//! | any other listing | a look at every run |
//!
//! A handle remembers what it knows of some 4,096 runs: per run the positions of its records and the ids and keys of
//! its window (65,536 of each), not the bodies.
//!
//! [`Durability::Fsync`]: milepost_core::Durability::Fsync
//! [`Durability::Replicated`]: milepost_core::Durability::Replicated
//! [`ErrorKind::Corrupt`]: milepost_core::ErrorKind::Corrupt
//! [`ErrorKind::NotPrepared`]: milepost_core::ErrorKind::NotPrepared

#[cfg(feature = "aws")]
mod aws;
mod config;
mod create;
mod entry;
mod error;
mod frame;
#[cfg(test)]
mod golden;
mod judge;
mod layout;
mod list;
mod objects;
mod probe;
mod read;
#[cfg(feature = "remote")]
mod remote;
mod run;
mod state;
mod store;
mod sweep;
mod time;
mod url;
mod write;

pub use config::S3Config;
pub use store::S3Store;

/// The README's code, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
