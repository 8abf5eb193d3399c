//! A Milepost store over any key-value map with compare-and-set: the smallest whole backend, to be copied.
//!
//! Every rule of the contract is in `milepost-store-memory`, as pure functions over the [`Image`] of one run. What is
//! left for a backend is to keep that image: read it, apply a request to it, put it back if nobody else has in between,
//! or start over. So [`store.rs`](TemplateStore) is short, and correct as far as [`Kv::put_if`] is.
//!
//! ```
//! use std::sync::Arc;
//!
//! use milepost_core::{Ids, Manifest, Open, RunId, RunInfo, Store, SystemIds};
//! use milepost_store_template::{MapKv, TemplateConfig};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> milepost_core::Result<()> {
//! let store = TemplateConfig::new(Arc::new(MapKv::default())).connect().await?;
//! let run = RunId::new("import")?;
//! let open = Open::create(SystemIds.operation(), RunInfo::named("import"), Manifest::of(b"orders.csv"));
//! assert!(store.open(&run, open).await?.created);
//! # Ok(())
//! # }
//! ```
//!
//! # What it costs
//!
//! A run is one value, so a commit reads and writes all of the run: good for runs of up to some megabytes, which is what
//! the declared limits say. A backend for longer runs keeps records, snapshots and blobs under keys of their own, as
//! `milepost-store-sqlite` does with rows.
//!
//! The guide is `docs/write-your-own-backend.md`.
//!
//! [`Image`]: milepost_store_memory::Image

mod config;
mod error;
mod folder;
mod kv;
mod store;

pub use config::TemplateConfig;
pub use folder::FolderKv;
pub use kv::{Kv, MapKv, Revision};
pub use store::TemplateStore;

/// The guide's own blocks, compiled and run; those of this crate are compared with it by a test.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/write-your-own-backend.md")]
struct Guide;
