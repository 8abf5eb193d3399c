//! Durable runs in PostgreSQL: a store of Milepost.
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
mod seen;
mod server;
mod statements;
mod store;
mod stream;
mod template;
mod value;
mod write;

pub use config::{Pooler, PostgresConfig};
pub use store::PostgresStore;
