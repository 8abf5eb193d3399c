//! Layers for any store of [Milepost](https://docs.rs/milepost): each wraps a [`Store`](milepost_core::Store) and is
//! one itself, so they stack, and nobody above or below notices.
//!
//! | layer | what it adds |
//! |---|---|
//! | [`GroupCommit`] | commits of many runs that wait at the same moment go in one trip |
//! | [`Traced`] | each operation is a span of `tracing` |
//! | [`Faults`] | calls fail as a plan says, for tests |
//! | `Deadly` (feature `deadly`) | the process is killed at one of its writes, for tests |
//!
//! # Many runs, one disk flush
//!
//! Most of what a durable commit costs is the same for one commit and for a hundred: a flush of the disk, a round trip.
//! [`GroupCommit`] lets the runs of a process share it. It needs no tuning and holds nothing back: one run
//! alone commits as it would without it.
//!
//! ```
//! use milepost_core::{Commit, Ids, Manifest, Open, RunId, RunInfo, Store, SystemIds};
//! use milepost_layers::GroupCommit;
//! use milepost_store_memory::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = GroupCommit::new(MemoryStore::new());
//! let mut workers = Vec::new();
//! for number in 0..8 {
//!     let store = store.clone();
//!     workers.push(tokio::spawn(async move {
//!         let run = RunId::new(format!("import-{number}"))?;
//!         let open = Open::create(SystemIds.operation(), RunInfo::named("import"), Manifest::of(b"orders.csv"));
//!         let opened = store.open(&run, open).await?;
//!         store.commit(Commit::new(run, opened.fence, SystemIds.operation(), opened.head.version)).await
//!     }));
//! }
//! for worker in workers {
//!     worker.await??; // each with its own verdict
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What if the acknowledgement is lost?
//!
//! A write that fails with [`Applied::Maybe`](milepost_core::Applied::Maybe) has happened or has not. Code that is right
//! in both cases is rarely right before it was tried. [`Faults`] tries it: every write meets one of [four fates](Fate),
//! scripted or drawn from a seed; the whole store may die at the k-th write, so that a loop over k kills a
//! program anywhere; a writer may stall and come back after its successor has gone on. What was done is kept
//! in a [`Trail`], to be printed when a test has failed.
//!
//! # A layer of your own
//!
//! Implement [`Layer`] and let [`forward_store!`] write what is only passed on.
//!
//! # What they need
//!
//! [`GroupCommit`] drives its batches in tasks, so its commits need a Tokio runtime around them. [`Traced`] and
//! [`Faults`] need none.

#[cfg(feature = "deadly")]
mod deadly;
mod faults;
mod forward;
mod group_commit;
mod traced;

#[cfg(feature = "deadly")]
pub use deadly::{Deadly, Death};
pub use faults::{Deed, Fate, FaultPlan, Faults, Trail};
pub use forward::Layer;
pub use group_commit::{GroupCommit, GroupCommitConfig};
pub use traced::Traced;

/// What [`forward_store!`] names, wherever it is used.
#[doc(hidden)]
pub mod contract {
    pub use async_trait::async_trait;
    pub use milepost_core::*;
}

/// Compiles and runs the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
