//! Real servers for Milepost's tests, and a proxy that stands in front of them and fails on purpose.
//!
//! Each server is found on the machine (or installed, when root on a Debian), started as a direct child on a free port
//! in a temporary folder (of [`scratch`]), and answers before its constructor returns:
//!
//! ```no_run
//! use milepost_servers::{Postgres, Server};
//!
//! let postgres = Postgres::start()?;
//! println!("{}", postgres.url());
//! postgres.kill()?; // SIGKILL, backends included
//! postgres.restart()?; // the same port and data
//! # Ok::<(), anyhow::Error>(())
//! ```
//!
//! | server | start | what it is |
//! |---|---|---|
//! | PostgreSQL | [`Postgres::start`], [`Postgres::options`] | a cluster of its own, fsync on, 200 connections |
//! | PgBouncer | [`PgBouncer::start`], [`PgBouncer::before`] | in transaction mode, in front of a PostgreSQL |
//! | Redis | [`Redis::start`], [`Redis::options`] | append-only file, fsync before each answer |
//! | Redis Cluster | [`RedisCluster::start`] | three masters on loopback |
//! | Redis Sentinel | [`RedisSentinel::watching`] | one, which has a replica of a [`Redis`] take over |
//! | S3 | [`Ministack::start`] | the object store of the Python package `ministack`, persistent, any key |
//! | S3 | [`Radosgw::start`] | Ceph's object gateway, which checks signatures; large, so by request only |
//!
//! # What the environment gives
//!
//! A test that can share a server asks [`postgres`], [`pgbouncer`], [`redis`], [`redis_cluster`] or [`s3`]: the URL in
//! `MILEPOST_TEST_POSTGRES_URL` (and so on, see [`Kind::variable`]) if there is one, else a server started for this
//! process. `cargo xtask test-all` sets the variables, so that a thousand test processes share one server.
//!
//! PostgreSQL and Redis speak TLS with the [`Certificates`] that they are given, and a test that needs a newer Redis than this
//! machine's asks for Valkey ([`RedisOptions::valkey`]).
//!
//! # Failing on purpose
//!
//! [`Proxy`] stands between a client and any of them (but a cluster, whose nodes name each other's addresses). It counts
//! requests and round trips, and loses replies, delays, falls silent, refuses or cuts when it is told to.
//!
//! [`Receiver`] is the world outside: it honours idempotency keys, and remembers who asked for what.
//!
//! # Nothing is left behind
//!
//! Dropping a server kills it and removes its folder. When the process ends without that, however it ends, a watchdog
//! does the same: a small shell that waits for the end of a pipe whose other end only this process holds. A server that
//! cannot be had is an error with the command that installs it, never a skip.

mod account;
mod address;
mod answer;
mod cache;
mod certificates;
mod daemon;
mod given;
mod home;
mod kind;
mod ministack;
mod own;
mod pgbouncer;
mod port;
mod postgres;
#[cfg(feature = "proxy")]
mod proxy;
mod python;
mod radosgw;
mod receiver;
mod redis;
mod redis_cluster;
mod redis_sentinel;
mod run;
mod scratch;
mod tools;
mod valkey;
mod wait;

pub use address::address_of;
pub use certificates::Certificates;
pub use given::{Given, for_all_processes, pgbouncer, postgres, redis, redis_cluster, s3};
pub use home::Left;
pub use kind::{Kind, Server};
pub use ministack::Ministack;
pub use own::Own;
pub use pgbouncer::PgBouncer;
pub use postgres::{Postgres, PostgresOptions};
#[cfg(feature = "proxy")]
pub use proxy::{Counts, Loss, Protocol, Proxy};
pub use radosgw::Radosgw;
pub use receiver::Receiver;
pub use redis::{Redis, RedisOptions};
pub use redis_cluster::RedisCluster;
pub use redis_sentinel::RedisSentinel;
pub use scratch::{scratch, scratch_folder};
