//! Opening a connection, with settings that are read back instead of hoped for.

use std::{ops::ControlFlow, path::Path, time::Duration};

use milepost_core::{Clock, Error, ErrorKind, Ids, Result, SystemClock, SystemIds};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    SqliteConfig,
    error::from_driver,
    schema::{self, Found},
    sql::{Columns, Script},
};

/// Versions before this one can lose committed pages when a checkpoint races the reset of the write-ahead log
/// (<https://www.sqlite.org/wal.html#walresetbug>). The bundled one is newer; a program that links another is refused.
const OLDEST: [u32; 3] = [3, 51, 3];

/// Repeats what a lock of another connection made fail, for a limited time.
///
/// SQLite's own busy handler sleeps in fixed steps, so that of many waiters the same few starve; these waits are short
/// at first, then grow, and are drawn at random. They are real time whatever the store's clock says: the lock belongs
/// to a real process.
pub(crate) struct Patience {
    clock: SystemClock,
    limit: Duration,
    step: Duration,
}

impl Patience {
    const LONGEST: Duration = Duration::from_millis(20);

    pub(crate) fn new(limit: Duration) -> Self {
        Self { clock: SystemClock::default(), limit, step: Duration::from_micros(500) }
    }

    /// Waits before another attempt, or gives `error` back when it is none of a lock or the time is over.
    pub(crate) async fn wait(&mut self, error: Error) -> Result<()> {
        let left = self.limit.saturating_sub(self.clock.elapsed());
        if error.kind() != ErrorKind::Busy || left.is_zero() {
            return Err(error);
        }
        let jittered = self.step.mul_f64((SystemIds.bits() % 1024) as f64 / 1024.0 + 0.5);
        self.clock.sleep(jittered.min(left)).await;
        self.step = (self.step * 2).min(Self::LONGEST);
        Ok(())
    }
}

/// The path as SQLite takes it: never one that it would read as a URI or as a name of its own.
fn file(config: &SqliteConfig) -> Result<String> {
    let path = config.path();
    let Some(text) = path.to_str() else {
        return Err(Error::new(ErrorKind::Config, "the path of the database is not UTF-8"));
    };
    Ok(if path.is_absolute() { text.to_owned() } else { format!("./{text}") })
}

async fn connect(config: &SqliteConfig, create: bool) -> Result<SqliteConnection> {
    use sqlx::ConnectOptions;
    let options = SqliteConnectOptions::new()
        .filename(file(config)?)
        .create_if_missing(create)
        .foreign_keys(false)
        .busy_timeout(Duration::ZERO)
        .statement_cache_capacity(256)
        .row_buffer_size(16)
        .thread_name(|number| format!("milepost-sqlite-{number}"))
        .disable_statement_logging();
    SqliteConnection::connect_with(&options).await.map_err(from_driver)
}

/// Says in words what SQLite only calls "unable to open".
fn check_place(config: &SqliteConfig) -> Result<()> {
    let path = config.path();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let wrong = |message| Err(Error::new(ErrorKind::Config, message));
    if !folder.is_dir() {
        return wrong(format!("the folder {} does not exist; create it first", folder.display()));
    }
    if path.is_dir() {
        return wrong(format!("{} is a folder; name a file in it", path.display()));
    }
    if !config.create && !path.exists() {
        return wrong(format!(
            "the file {} does not exist, and create=false says not to make it",
            path.display()
        ));
    }
    Ok(())
}

/// One integer or text that a pragma answers.
async fn pragma<T>(connection: &mut SqliteConnection, sql: &str) -> Result<T>
where
    T: for<'r> sqlx::Decode<'r, sqlx::Sqlite> + Send,
{
    let mut answer = None;
    let (_, ended) = Script::new(sql)
        .run(connection, |_, row| {
            answer = Columns::new(&row).get::<T>().ok();
            ControlFlow::Continue(())
        })
        .await;
    ended.map_err(from_driver)?;
    answer.ok_or_else(|| Error::new(ErrorKind::Other, format!("SQLite does not answer {sql}")))
}

/// The write-ahead log is copied into the database once it has so many pages, 16 MiB. A run's last pages change with each
/// of its commits, so a longer log copies them less often; SQLite's own 1,000 cost a tenth of the commits of 64 runs.
const LOG_PAGES: u32 = 4_000;

/// Opens the connection that writes: creates and prepares the file where that is needed, and puts the declared
/// durability in force.
pub(crate) async fn writer(config: &SqliteConfig) -> Result<SqliteConnection> {
    check_place(config)?;
    let mut patience = Patience::new(config.busy_timeout);
    loop {
        match try_writer(config).await {
            Ok(connection) => return Ok(connection),
            Err(error) => patience.wait(error).await?,
        }
    }
}

async fn try_writer(config: &SqliteConfig) -> Result<SqliteConnection> {
    let mut connection = connect(config, config.create).await?;
    // Whose file it is comes first: a foreign one is left as it is, its journal mode included.
    let found = schema::look(&mut connection).await?;
    let version: String = pragma(&mut connection, "SELECT sqlite_version()").await?;
    if version.split('.').map(|part| part.parse().unwrap_or(0)).lt(OLDEST) {
        return Err(Error::new(
            ErrorKind::Config,
            format!(
                "this program links SQLite {version}, whose write-ahead log can lose commits; link 3.51.3 or newer"
            ),
        ));
    }
    let mode: String = pragma(&mut connection, "PRAGMA journal_mode = WAL").await?;
    if mode != "wal" {
        return Err(Error::new(
            ErrorKind::Config,
            format!(
                "the database stays in journal mode {mode}: its file system cannot hold a write-ahead log; use a \
                 local disk"
            ),
        ));
    }
    let wanted = config.synchronous.pragma();
    let mut settings = Script::new(&format!("PRAGMA synchronous = {wanted}"))
        .with(&format!("PRAGMA wal_autocheckpoint = {LOG_PAGES}"), [])
        .with("PRAGMA fullfsync = 1", [])
        .with("PRAGMA checkpoint_fullfsync = 1", [])
        .with("PRAGMA cell_size_check = 1", [])
        .with("PRAGMA trusted_schema = 0", []);
    if let Some(bytes) = config.max_size {
        let page: i64 = pragma(&mut connection, "PRAGMA page_size").await?;
        let pages = (bytes / page.max(1) as u64).clamp(1, 0xffff_fffe);
        settings.add(&format!("PRAGMA max_page_count = {pages}"), []);
    }
    settings.execute(&mut connection).await.map_err(from_driver)?;
    let in_force: i64 = pragma(&mut connection, "PRAGMA synchronous").await?;
    if in_force != wanted {
        return Err(Error::new(
            ErrorKind::Config,
            format!(
                "SQLite keeps synchronous at {in_force} where {wanted} was asked for; the promised durability does not hold"
            ),
        ));
    }
    if found == Found::Nothing {
        schema::create(&mut connection).await?;
    }
    check_writable(&mut connection).await?;
    Ok(connection)
}

/// SQLite opens a file that it may not write for reading, without a word.
async fn check_writable(connection: &mut SqliteConnection) -> Result<()> {
    let script = Script::new("BEGIN IMMEDIATE").with("ROLLBACK", []);
    script.execute(connection).await.map_err(from_driver)
}

/// Opens a connection that only reads.
pub(crate) async fn reader(config: &SqliteConfig) -> Result<SqliteConnection> {
    let mut connection = connect(config, false).await?;
    let settings = Script::new("PRAGMA query_only = 1").with("PRAGMA cell_size_check = 1", []);
    settings.execute(&mut connection).await.map_err(from_driver)?;
    Ok(connection)
}
