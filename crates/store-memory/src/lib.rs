//! The reference model of Milepost's store contract: every rule in the plainest code, as a pure function.
//!
//! [`apply`] takes one run's [`Image`], one [`Write`] and an instant, and gives the next image and the [`Answer`].
//! [`MemoryStore`] is a thin store around it. The conformance kit compares every backend with it, and a backend over a
//! key-value map with compare-and-set can be built on it: read the image, apply the write, put the image back if nobody
//! else has in between, or start over. A backend that keeps a run in another way has the verdicts alone in [`rules`].
//!
//! ```
//! use milepost_core::{Commit, Ids, Kind, Manifest, NewRecord, Open, RunId, RunInfo, Store, SystemIds};
//! use milepost_store_memory::MemoryStore;
//!
//! # futures_executor::block_on(async {
//! let store = MemoryStore::new();
//! let run = RunId::new("import")?;
//! let open = Open::create(SystemIds.operation(), RunInfo::named("import"), Manifest::of(b"orders.csv"));
//! let opened = store.open(&run, open).await?;
//! let commit = Commit::new(run.clone(), opened.fence, SystemIds.operation(), opened.head.version)
//!     .record(NewRecord::new(Kind::new("row")?, "first"));
//!
//! assert_eq!(store.commit(commit.clone()).await?.cursor, 1);
//! assert!(store.commit(commit).await?.replayed, "sent again, it is answered as the first time");
//! assert_eq!(store.head(&run).await?.unwrap().cursor, 1);
//! # Ok::<(), milepost_core::Error>(())
//! # }).unwrap();
//! ```

mod apart;
mod apply;
mod batch;
mod image;
mod listing;
mod page;
mod request;
pub mod rules;
mod store;

pub use apart::apart;
pub use apply::{Answer, Mint, Write, apply};
pub use batch::one_by_one;
pub use image::Image;
pub use listing::Listing;
pub use page::{Entry, Page, paged};
pub use request::Request;
pub use store::{MemoryStore, MemoryStoreBuilder};
