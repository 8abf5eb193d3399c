//! What the file holds of a run: every row of every table, with the bytes of its columns.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use milepost_conformance::{Part, Scope};
use milepost_core::{Error, ErrorKind, Result, RunId};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Row, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteSynchronous},
};
use tokio::sync::Mutex;

/// The tables with the column that names the run. A lost row of the last two goes unnoticed: they remember what was once
/// given, to refuse it again, and to notice a gap in them each commit would have to read them whole. A row of them that
/// has changed is told when it is looked up.
const TABLES: [(&str, &str, bool); 8] = [
    ("run", "key", true),
    ("info", "run", true),
    ("record", "run", true),
    ("snapshot", "run", true),
    ("blob", "run", true),
    ("message", "run", true),
    ("record_id", "run", false),
    ("message_key", "run", false),
];

/// A connection of the scope that the store knows nothing of, and the keys that its runs have had: what hangs on the key
/// of a deleted run is left behind.
#[derive(Default)]
struct Beside {
    connection: Option<SqliteConnection>,
    keys: BTreeSet<(RunId, i64)>,
}

/// Where the scope's file is.
pub(crate) fn path(scope: &Scope) -> Result<PathBuf> {
    Ok(scope.dir()?.join("runs.db"))
}

fn failed(error: sqlx::Error) -> Error {
    Error::new(ErrorKind::Other, error.to_string())
}

/// Does `work` with the scope's connection.
macro_rules! beside {
    ($scope:expr, |$connection:ident, $keys:ident| $work:expr) => {{
        let beside = $scope.shared(Arc::<Mutex<Beside>>::default);
        let Beside { connection, keys: $keys } = &mut *beside.lock().await;
        if connection.is_none() {
            let options =
                SqliteConnectOptions::new().filename(path(&$scope)?).synchronous(SqliteSynchronous::Off);
            *connection = Some(options.connect().await.map_err(failed)?);
        }
        let Some($connection) = connection else { unreachable!("it was connected above") };
        $work
    }};
}

/// Every row of a run. One whose key is an integer of its own is found by it again.
pub(crate) async fn list(scope: Scope, run: RunId) -> Result<Vec<Part>> {
    beside!(scope, |connection, keys| {
        let query = sqlx::query_scalar("SELECT key FROM run WHERE id = ?").bind(run.as_str());
        let key: Option<i64> = query.fetch_optional(&mut *connection).await.map_err(failed)?;
        keys.extend(key.map(|key| (run.clone(), key)));
        let mut parts = Vec::new();
        for (_, key) in keys.iter().filter(|(known, _)| *known == run) {
            for (table, column, guarded) in TABLES {
                if !guarded {
                    let sql = format!("SELECT count(*) FROM {table} WHERE {column} = {key}");
                    let rows: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
                        .fetch_one(&mut *connection)
                        .await
                        .map_err(failed)?;
                    parts.extend((0..rows).map(|row| Part::new(format!("{table} {row}"), 1).unguarded()));
                    continue;
                }
                let sql = format!("SELECT rowid FROM {table} WHERE {column} = {key}");
                let rows = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut *connection);
                let rows: Vec<i64> = rows.await.map_err(failed)?;
                for row in rows {
                    let columns = columns(connection, table, row).await?;
                    let size: usize = columns.iter().map(|column| column.bytes.len()).sum();
                    parts.push(Part::new(format!("{table} {row}"), size as u64));
                }
            }
        }
        Ok(parts)
    })
}

/// A column of a row, as the bytes that can be changed in it.
struct Column {
    name: String,
    kind: String,
    bytes: Vec<u8>,
}

/// The columns of a row, but the one that it is found by.
async fn columns(connection: &mut SqliteConnection, table: &str, row: i64) -> Result<Vec<Column>> {
    let sql = format!("SELECT name FROM pragma_table_info('{table}') WHERE pk = 0");
    let names = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut *connection);
    let names: Vec<String> = names.await.map_err(failed)?;
    let each = |name: &String| {
        let bytes = format!("CASE typeof({name}) WHEN 'integer' THEN NULL ELSE CAST({name} AS BLOB) END");
        format!("typeof({name}), {bytes}, CASE typeof({name}) WHEN 'integer' THEN {name} END")
    };
    let list: Vec<String> = names.iter().map(each).collect();
    let sql = format!("SELECT {} FROM {table} WHERE rowid = {row}", list.join(", "));
    let found = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut *connection).await.map_err(failed)?;
    let mut columns = Vec::new();
    for (index, name) in names.into_iter().enumerate() {
        let number: Option<i64> = found.try_get(3 * index + 2).map_err(failed)?;
        let bytes: Option<Vec<u8>> = found.try_get(3 * index + 1).map_err(failed)?;
        let bytes = number.map(|number| number.to_le_bytes().to_vec()).or(bytes).unwrap_or_default();
        columns.push(Column { name, kind: found.try_get(3 * index).map_err(failed)?, bytes });
    }
    Ok(columns)
}

fn place(part: &Part) -> Result<(String, i64)> {
    let parsed =
        part.name.split_once(' ').and_then(|(table, row)| Some((table.to_owned(), row.parse().ok()?)));
    parsed.ok_or_else(|| Error::new(ErrorKind::Other, format!("{} is no row", part.name)))
}

/// Flips a bit of a column.
pub(crate) async fn flip(scope: Scope, part: Part, byte: u64) -> Result<()> {
    let (table, row) = place(&part)?;
    beside!(scope, |connection, _keys| {
        let mut byte = usize::try_from(byte).unwrap_or(usize::MAX);
        for Column { name, kind, mut bytes } in columns(connection, &table, row).await? {
            let Some(flipped) = bytes.get_mut(byte) else {
                byte -= bytes.len();
                continue;
            };
            *flipped ^= 1;
            let sql = |value: &str| format!("UPDATE {table} SET {name} = {value} WHERE rowid = {row}");
            let updated = match (kind.as_str(), <[u8; 8]>::try_from(bytes.as_slice())) {
                ("integer", Ok(number)) => {
                    sqlx::query(AssertSqlSafe(sql("?")))
                        .bind(i64::from_le_bytes(number))
                        .execute(&mut *connection)
                        .await
                }
                ("text", _) => {
                    sqlx::query(AssertSqlSafe(sql("CAST(? AS TEXT)")))
                        .bind(bytes)
                        .execute(&mut *connection)
                        .await
                }
                _ => sqlx::query(AssertSqlSafe(sql("?"))).bind(bytes).execute(&mut *connection).await,
            };
            return updated.map(drop).map_err(failed);
        }
        Err(Error::new(ErrorKind::Other, format!("{} has no such byte", part.name)))
    })
}

/// Deletes a row.
pub(crate) async fn remove(scope: Scope, part: Part) -> Result<()> {
    let (table, row) = place(&part)?;
    beside!(scope, |connection, _keys| {
        let sql = format!("DELETE FROM {table} WHERE rowid = {row}");
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *connection).await.map(drop).map_err(failed)
    })
}
