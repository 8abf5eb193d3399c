//! Durable runs in Redis or Valkey.

mod answer;
mod batch;
mod commit;
mod config;
mod entry;
mod error;
mod follow;
mod index;
mod layout;
mod link;
mod list;
mod pack;
mod read;
mod row;
mod scripts;
mod seen;
mod server;
mod store;
mod stream;
mod write;

pub use config::RedisConfig;
pub use store::RedisStore;
