//! The tables, their version, and whether a file is ours.

use milepost_core::{Error, ErrorKind, Result};
use sqlx::SqliteConnection;

use crate::{
    error::from_driver,
    sql::{Columns, Script},
};

/// Marks a database of this store in the file's header: "MlPo".
pub(crate) const APPLICATION: i64 = 0x4d6c_506f;

/// The version of the tables below, in the header's `user_version`.
pub(crate) const VERSION: i64 = 1;

/// Version 1.
///
/// - Everything of a run hangs on `run.key`, which `AUTOINCREMENT` never gives twice: what a deletion should have
///   missed can never turn up in a later run.
/// - `run` is what every write reads and rewrites, so it is narrow; what is told once stands in `info`. Its indexes
///   hold only what a commit does not change, so that a commit rewrites one page of it.
/// - Bodies of about a page stand in rowid tables with an index for their place: without a rowid each would take an
///   overflow page.
/// - Each row carries a checksum over all of its columns and its place.
/// - What a run has elsewhere is counted and summed up in its row, so that a lost row and a damaged index are told:
///   `snapshot_cursors` and `message_numbers` are sums modulo 2^64, `blob_names` is an exclusive or.
const TABLES: &str = "
CREATE TABLE run (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    incarnation BLOB NOT NULL,
    origin INTEGER,
    epoch INTEGER NOT NULL,
    token INTEGER NOT NULL,
    version INTEGER NOT NULL,
    cursor INTEGER NOT NULL,
    first INTEGER NOT NULL,
    draft INTEGER NOT NULL,
    newest_snapshot INTEGER,
    second_snapshot INTEGER,
    owner TEXT,
    until INTEGER,
    holder TEXT,
    due INTEGER,
    wake_after INTEGER,
    lapses INTEGER NOT NULL,
    newest_message INTEGER NOT NULL,
    note_done INTEGER,
    note_total INTEGER,
    note_text TEXT,
    updated INTEGER NOT NULL,
    record_bytes INTEGER NOT NULL,
    snapshot_bytes INTEGER NOT NULL,
    blob_bytes INTEGER NOT NULL,
    message_bytes INTEGER NOT NULL,
    snapshots INTEGER NOT NULL,
    blobs INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    snapshot_cursors INTEGER NOT NULL,
    blob_names BLOB NOT NULL,
    message_numbers INTEGER NOT NULL,
    last_open BLOB NOT NULL,
    last_commit BLOB,
    outcome TEXT,
    delete_after INTEGER,
    output BLOB,
    checksum BLOB NOT NULL
) STRICT;
CREATE INDEX run_unfinished ON run (id) WHERE outcome IS NULL;
CREATE INDEX run_expiring ON run (id) WHERE delete_after IS NOT NULL;

CREATE TABLE info (
    run INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    created INTEGER NOT NULL,
    name TEXT NOT NULL,
    parent TEXT,
    labels TEXT NOT NULL,
    manifest BLOB NOT NULL,
    lineage_run TEXT,
    lineage_incarnation BLOB,
    lineage_cursor INTEGER,
    meta BLOB NOT NULL,
    checksum BLOB NOT NULL
) STRICT;
CREATE INDEX info_created ON info (created DESC, id);
CREATE INDEX info_name ON info (name, id);
CREATE INDEX info_parent ON info (parent, id) WHERE parent IS NOT NULL;

CREATE TABLE record (
    key INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    cursor INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    id TEXT,
    blobs BLOB,
    checksum BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX record_place ON record (run, cursor);

CREATE TABLE record_id (
    run INTEGER NOT NULL,
    id TEXT NOT NULL,
    cursor INTEGER NOT NULL,
    checksum BLOB NOT NULL,
    PRIMARY KEY (run, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE snapshot (
    key INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    cursor INTEGER NOT NULL,
    checksum BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX snapshot_place ON snapshot (run, cursor);

CREATE TABLE blob (
    key INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    name BLOB NOT NULL,
    checksum BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX blob_place ON blob (run, name);

CREATE TABLE message (
    key INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    number INTEGER NOT NULL,
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    checksum BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX message_place ON message (run, number);

CREATE TABLE message_key (
    run INTEGER NOT NULL,
    name TEXT NOT NULL,
    number INTEGER NOT NULL,
    content BLOB NOT NULL,
    checksum BLOB NOT NULL,
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID
";

/// What a file holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// Nothing yet.
    Nothing,
    /// Our tables, of this version.
    Ours,
}

/// Looks whose database this is, in one reading statement.
///
/// # Errors
///
/// `Newer` for our tables of a later version, `Config` for those of another program.
pub(crate) async fn look(connection: &mut SqliteConnection) -> Result<Found> {
    let script = Script::new(
        "SELECT (SELECT application_id FROM pragma_application_id), \
         (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)",
    );
    let rows = script.rows(connection).await.map_err(from_driver)?;
    let row = rows.first().ok_or_else(|| Error::new(ErrorKind::Other, "SQLite answered nothing"))?;
    let mut columns = Columns::new(row);
    let mut next = || columns.get::<i64>().map_err(from_driver);
    let (application, version, tables) = (next()?, next()?, next()?);
    match (application, version) {
        (APPLICATION, VERSION) => Ok(Found::Ours),
        (APPLICATION, _) => Err(Error::new(
            ErrorKind::Newer,
            format!(
                "the database has schema version {version}, this program knows up to {VERSION}; use a newer milepost"
            ),
        )),
        (0, 0) if tables == 0 => Ok(Found::Nothing),
        _ => Err(Error::new(
            ErrorKind::Config,
            format!(
                "the file is a SQLite database of another program (application id {application:#x}, {tables} \
                 tables and indexes); it was not touched, choose another file"
            ),
        )),
    }
}

/// Creates the tables, or finds them. Safe from any number of processes at once: the transaction takes the write lock
/// first and looks again under it, and the header's marks are part of it.
///
/// # Errors
///
/// Those of [`look`], and whatever SQLite says; a database that is locked is `Busy`, and the caller tries again.
pub(crate) async fn create(connection: &mut SqliteConnection) -> Result<()> {
    Script::new("BEGIN IMMEDIATE").execute(connection).await.map_err(from_driver)?;
    let created = create_under_lock(connection).await;
    if created.is_err() {
        // The first error tells; a transaction that is over already makes this one fail.
        let _ = Script::new("ROLLBACK").execute(connection).await;
    }
    created
}

async fn create_under_lock(connection: &mut SqliteConnection) -> Result<()> {
    if look(connection).await? == Found::Ours {
        return Script::new("COMMIT").execute(connection).await.map_err(from_driver);
    }
    let script = Script::new(TABLES)
        .with(&format!("PRAGMA application_id = {APPLICATION}"), [])
        .with(&format!("PRAGMA user_version = {VERSION}"), [])
        .with("COMMIT", []);
    script.execute(connection).await.map_err(from_driver)
}
