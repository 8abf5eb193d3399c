//! What stands at the other end: whether there is a pooler between, and what the server's settings promise.

use milepost_core::{Durability, Error, ErrorKind, Result};
use sqlx::{ConnectOptions as _, Executor as _, PgConnection, Row as _, postgres::PgRow};
use tokio::time::timeout;

use crate::{
    PostgresConfig,
    config::Pooler,
    error::{from_driver, state},
    link::{self, Link},
};

/// A server that has been reached.
pub(crate) struct Reached {
    pub(crate) link: Link,
    pub(crate) durability: Durability,
}

/// A setting of our own that is asked for when a session starts. PgBouncer refuses or drops it; a session that has it is
/// ours alone.
const MARK: (&str, &str) = ("milepost.direct", "1");

/// What a pooler says to a parameter of a session that it cannot keep.
const PROTOCOL_VIOLATION: &str = "08P01";

/// The oldest server that has what the schema needs, as it numbers itself.
const OLDEST: i64 = 140_000;

const SETTINGS: &str = "SELECT current_setting('server_version_num')::bigint, current_setting('fsync'), \
    current_setting('full_page_writes'), current_setting('synchronous_commit'), \
    current_setting('synchronous_standby_names'), current_setting('bytea_output'), \
    coalesce(current_setting('milepost.direct', true), '')";

/// Connects and looks.
///
/// # Errors
///
/// Those of connecting · `Config` (too old a server).
pub(crate) async fn reach(config: &PostgresConfig) -> Result<Reached> {
    let marked = config.options.clone().options([MARK]);
    let mut direct = config.pooler != Pooler::Transaction;
    let mut connection = if config.pooler == Pooler::Detect {
        match timeout(config.timeout, marked.connect()).await {
            Ok(Err(refused)) if state(&refused) == Some(PROTOCOL_VIOLATION) => {
                direct = false;
                link::connect(&config.options, config.timeout).await?
            }
            Ok(connected) => connected.map_err(|failed| from_driver(&failed))?,
            Err(_) => {
                return Err(Error::new(ErrorKind::TimedOut, "the server took no connection in time"));
            }
        }
    } else {
        link::connect(&config.options, config.timeout).await?
    };
    let settings = settings(&mut connection).await.map_err(|failed| from_driver(&failed))?;
    let get = |column: usize| settings.try_get::<String, _>(column).map_err(|failed| from_driver(&failed));
    let version: i64 = settings.try_get(0).map_err(|failed| from_driver(&failed))?;
    if version < OLDEST {
        return Err(Error::new(
            ErrorKind::Config,
            format!("the server is PostgreSQL {}, this store needs 14 or newer", version / 10_000),
        ));
    }
    if config.pooler == Pooler::Detect && get(6)? != MARK.1 {
        direct = false;
    }
    if get(5)? != "hex" {
        return Err(Error::new(
            ErrorKind::Config,
            "the server's bytea_output is not hex: set it back for this role or database",
        ));
    }
    let durability = durability(&get(1)?, &get(2)?, &get(3)?, &get(4)?);
    let link = Link::new(config.options.clone(), direct, config.connections, config.timeout);
    link.add(connection);
    Ok(Reached { link, durability })
}

async fn settings(connection: &mut PgConnection) -> Result<PgRow, sqlx::Error> {
    connection.fetch_one(sqlx::raw_sql(SETTINGS)).await
}

/// What a commit has reached when it is acknowledged, by the server's settings.
fn durability(fsync: &str, full_pages: &str, commit: &str, standbys: &str) -> Durability {
    match (fsync, full_pages, commit) {
        ("on", "on", "on" | "remote_apply") if !standbys.trim().is_empty() => Durability::Replicated,
        ("on", "on", commit) if commit != "off" => Durability::Fsync,
        _ => Durability::Buffered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weakest_setting_counts() {
        use Durability::{Buffered, Fsync, Replicated};
        for (fsync, full_pages, commit, standbys, declared) in [
            ("on", "on", "on", "", Fsync),
            ("on", "on", "local", "a", Fsync),
            ("on", "on", "remote_write", "a", Fsync),
            ("on", "on", "on", "ANY 1 (a, b)", Replicated),
            ("on", "on", "remote_apply", "a", Replicated),
            ("on", "on", "off", "a", Buffered),
            ("off", "on", "on", "a", Buffered),
            ("on", "off", "on", "", Buffered),
        ] {
            assert_eq!(
                durability(fsync, full_pages, commit, standbys),
                declared,
                "{fsync} {full_pages} {commit}"
            );
        }
    }
}
