//! What all servers have in common, and the list of them.

use std::fmt;
use std::net::SocketAddr;

use crate::{Left, Ministack, PgBouncer, Postgres, Radosgw, Redis, RedisCluster};

/// A running server. Dropped, it is killed and its data removed.
///
/// The calls block the thread for some milliseconds, up to a minute for a [`restart`](Server::restart) that finds the
/// machine busy.
pub trait Server: fmt::Debug + Send + Sync + 'static {
    /// How a client reaches it.
    fn url(&self) -> String;

    /// Where it listens; of several nodes, the first one.
    fn address(&self) -> SocketAddr;

    /// SIGKILL, as a crash of the server. Its port and its data stay. Nothing, if it is dead already.
    ///
    /// # Errors
    ///
    /// When the operating system does not do it.
    fn kill(&self) -> anyhow::Result<()>;

    /// Starts it again on its port and its data, after killing it if it runs, and waits until it answers.
    ///
    /// # Errors
    ///
    /// When it does not come up, with the end of its log.
    fn restart(&self) -> anyhow::Result<()>;

    /// Lets it go on when this process ends, with its data, and says how to stop it.
    fn leave(&self) -> Left;
}

/// A kind of server that tests can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// PostgreSQL.
    Postgres,
    /// PgBouncer in transaction mode, with a PostgreSQL of its own behind it.
    PgBouncer,
    /// A single Redis.
    Redis,
    /// Three Redis nodes as a cluster.
    RedisCluster,
    /// An S3 server.
    S3,
    /// Ceph's object gateway: an S3 server that checks signatures. Large, so by request only.
    Radosgw,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Postgres, Self::PgBouncer, Self::Redis, Self::RedisCluster, Self::S3, Self::Radosgw];

    /// Those that are quick to get and to start.
    pub const USUAL: [Self; 5] = [Self::Postgres, Self::PgBouncer, Self::Redis, Self::RedisCluster, Self::S3];

    /// Its name, as a person gives it on a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::PgBouncer => "pgbouncer",
            Self::Redis => "redis",
            Self::RedisCluster => "redis-cluster",
            Self::S3 => "s3",
            Self::Radosgw => "rgw",
        }
    }

    /// The environment variable that gives the URL of one that runs already.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "MILEPOST_TEST_POSTGRES_URL",
            Self::PgBouncer => "MILEPOST_TEST_PGBOUNCER_URL",
            Self::Redis => "MILEPOST_TEST_REDIS_URL",
            Self::RedisCluster => "MILEPOST_TEST_REDIS_CLUSTER_URL",
            Self::S3 => "MILEPOST_TEST_S3_URL",
            Self::Radosgw => "MILEPOST_TEST_RGW_URL",
        }
    }

    /// The URL that the environment gives; an empty one is none.
    pub fn given(self) -> Option<String> {
        std::env::var(self.variable()).ok().filter(|url| !url.is_empty())
    }

    /// Starts one with its usual settings.
    ///
    /// # Errors
    ///
    /// When it cannot be had, with the command that installs it; when it does not come up, with the end of its log.
    pub fn start(self) -> anyhow::Result<Box<dyn Server>> {
        Ok(match self {
            Self::Postgres => Box::new(Postgres::start()?),
            Self::PgBouncer => Box::new(PgBouncer::start()?),
            Self::Redis => Box::new(Redis::start()?),
            Self::RedisCluster => Box::new(RedisCluster::start()?),
            Self::S3 => Box::new(Ministack::start()?),
            Self::Radosgw => Box::new(Radosgw::start()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_variables_are_all_different() {
        for name in [Kind::name, Kind::variable] {
            let mut names = Kind::ALL.map(name).to_vec();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), Kind::ALL.len());
        }
    }
}
