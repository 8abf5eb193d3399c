//! Setting the schema up, and looking whether it is.

use milepost_core::{Error, ErrorKind, Result};
use sqlx::Row as _;

use crate::{error::from_driver, link::Link, template::Place};

/// The version of the tables and functions.
const VERSION: i64 = 1;

/// The SQL of version 1, in an order in which each part finds what it needs.
const SOURCES: [&str; 6] = [
    include_str!("sql/tables.sql"),
    include_str!("sql/common.sql"),
    include_str!("sql/writes.sql"),
    include_str!("sql/open.sql"),
    include_str!("sql/commit.sql"),
    include_str!("sql/append.sql"),
];

/// Whether the table of the version is there, which is created last.
const LOOK: &str = "SELECT to_regclass('{s}.milepost') IS NOT NULL";
const READ: &str = "SELECT max(version) FROM {s}.milepost";

/// Statements that are sent as one text are one transaction, and each of them sees what was committed before it began: if it
/// reads the catalog's tables. `to_regclass` may answer from what its session has looked up before it waited for the lock.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('prepare {channel}', 0));\n";
const GUARD: &str = "DO $guard$ BEGIN
IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = 'milepost' AND '\"' || n.nspname || '\"' = '{s}') THEN
IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE '\"' || n.nspname || '\"' = '{s}') THEN
CREATE SCHEMA {s}; END IF;
EXECUTE $tables$\n";
const MARK: &str =
    "CREATE TABLE {s}.milepost (version bigint NOT NULL); INSERT INTO {s}.milepost VALUES ($1);
$tables$; END IF; END $guard$";

/// The version that the schema has; `None` if nothing is set up in it.
async fn version(link: &Link, place: &Place) -> Result<Option<i64>> {
    let look = link.script(&[&place.expand(LOOK)]).await?;
    let is_there = look.first().map(|row| row.try_get::<bool, _>(0)).transpose();
    if !is_there.map_err(|failed| from_driver(&failed))?.unwrap_or(false) {
        return Ok(None);
    }
    let read = link.script(&[&place.expand(READ)]).await?;
    let version = read.first().map(|row| row.try_get::<Option<i64>, _>(0)).transpose();
    Ok(version.map_err(|failed| from_driver(&failed))?.flatten())
}

/// Refuses a schema that is not set up, or that a newer version has set up.
///
/// # Errors
///
/// `NotPrepared` · `Newer`.
pub(crate) async fn check(link: &Link, place: &Place) -> Result<()> {
    match version(link, place).await? {
        Some(version) => check_version(version),
        None => Err(Error::new(
            ErrorKind::NotPrepared,
            format!(
                "nothing is set up in the schema {:?}: call milepost::prepare once, or add prepare=1 to the URL",
                place.schema
            ),
        )),
    }
}

fn check_version(version: i64) -> Result<()> {
    if version <= VERSION {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Newer,
        format!("the schema has version {version}, this program knows up to {VERSION}; use a newer milepost"),
    ))
}

/// Sets the schema up unless it is: idempotent, and safe from any number of processes at once. One transaction under a lock
/// that ends with it; who waited for the lock finds the tables and leaves them alone.
///
/// # Errors
///
/// `Denied` (no right to create) · `Newer`, and whatever the server says.
pub(crate) async fn prepare(link: &Link, place: &Place) -> Result<()> {
    if let Some(version) = version(link, place).await? {
        return check_version(version);
    }
    let tables = SOURCES.map(|source| place.expand(source)).join("\n");
    let statement = place.expand(LOCK)
        + &place.expand(GUARD)
        + &tables
        + &place.expand(MARK).replace("$1", &VERSION.to_string());
    link.script(&[&statement]).await?;
    check(link, place).await
}
