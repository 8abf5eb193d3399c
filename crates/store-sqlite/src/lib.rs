//! Durable runs in one SQLite file: the embedded default store of Milepost.

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
