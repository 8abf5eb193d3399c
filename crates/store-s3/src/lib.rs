//! Durable runs in an object store or a local folder: a store of Milepost.

mod config;
mod create;
mod entry;
mod error;
mod frame;
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
