//! What the database holds of a run: every row of every table, with the bytes of its columns.

use std::{collections::BTreeSet, fmt::Write as _, sync::Arc};

use milepost_conformance::{Part, Scope};
use milepost_core::{Result, RunId};
use sqlx::Row as _;
use tokio::sync::Mutex;

use super::{Way, beside, failed};

/// A table: the column that names the run, the other one of its key if there is one, and the columns that can be changed,
/// numbers with a `#`. The tags of the info are left out: they are an index, without which a listing by label lacks the run.
/// A lost row of the last two tables goes unnoticed: they remember what was once given, to refuse it again, and to notice a
/// gap in them each commit would have to read them whole. A row of them that has changed is told when it is looked up.
struct Table {
    name: &'static str,
    run: &'static str,
    place: Option<&'static str>,
    columns: &'static str,
    guarded: bool,
}

const TABLES: [Table; 10] = [
    Table {
        name: "run",
        run: "key",
        place: None,
        columns: "id incarnation #origin #epoch token #first #state #draft #wake #newest_message #newest #second \
            #delete_after #snapshot_bytes #blob_bytes #message_bytes #snapshots #blobs #messages #snapshot_sum #blob_sum \
            #message_sum #followed #hint #version #cursor #until #due #lapses #updated #record_bytes #last_version \
            #last_cursor last checksum",
        guarded: true,
    },
    Table {
        name: "cold",
        run: "run",
        place: None,
        columns: "owner note open_id #open_version #open_created checksum",
        guarded: true,
    },
    Table {
        name: "info",
        run: "run",
        place: None,
        columns: "id #created name parent labels manifest lineage meta checksum",
        guarded: true,
    },
    Table { name: "outcome", run: "run", place: None, columns: "kind body checksum", guarded: true },
    Table {
        name: "record",
        run: "run",
        place: Some("cursor"),
        columns: "#at kind id blobs checksum body",
        guarded: true,
    },
    Table { name: "snapshot", run: "run", place: Some("cursor"), columns: "checksum body", guarded: true },
    Table { name: "blob", run: "run", place: Some("name"), columns: "checksum body", guarded: true },
    Table {
        name: "message",
        run: "run",
        place: Some("number"),
        columns: "#at id name kind checksum body",
        guarded: true,
    },
    Table { name: "record_id", run: "run", place: Some("id"), columns: "#cursor checksum", guarded: false },
    Table {
        name: "message_key",
        run: "run",
        place: Some("name"),
        columns: "#number content checksum",
        guarded: false,
    },
];

/// The keys that the scope's runs have had: what hangs on the key of a deleted run is left behind.
type Keys = Arc<Mutex<BTreeSet<(RunId, i64)>>>;

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut hex = String::from("'\\x");
    bytes.iter().for_each(|byte| {
        let _ = write!(hex, "{byte:02x}");
    });
    hex + "'::bytea"
}

/// Every row of a run.
pub(crate) async fn list(scope: Scope, run: RunId, way: Way) -> Result<Vec<Part>> {
    let schema = scope.name().to_owned();
    let known = scope.shared(Keys::default);
    let mut known = known.lock().await;
    let sql = format!("SELECT key FROM {schema}.run WHERE id = {}", hex(run.as_str().as_bytes()));
    for row in beside(&scope, way, sql).await? {
        known.insert((run.clone(), row.try_get(0).map_err(failed)?));
    }
    let mut parts = Vec::new();
    for (_, key) in known.iter().filter(|(known, _)| *known == run) {
        for table in &TABLES {
            let place = table.place.map_or("''".to_owned(), |place| format!("{place}::text"));
            let size: Vec<String> = table
                .columns
                .split_whitespace()
                .map(|column| match column.strip_prefix('#') {
                    Some(number) => format!("CASE WHEN {number} IS NULL THEN 0 ELSE 8 END"),
                    None => format!("coalesce(octet_length({column}), 0)"),
                })
                .collect();
            let sql = format!(
                "SELECT {place}, ({})::bigint FROM {schema}.{} WHERE {} = {key}",
                size.join(" + "),
                table.name,
                table.run
            );
            for row in beside(&scope, way, sql).await? {
                let (place, size): (String, i64) =
                    (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
                let part = Part::new(format!("{} {key} {place}", table.name), size.unsigned_abs());
                parts.push(if table.guarded { part } else { part.unguarded() });
            }
        }
    }
    Ok(parts)
}

/// The table of a part, and the condition that finds its row.
fn row_of(part: &Part) -> Result<(&'static Table, String)> {
    let mut words = part.name.split(' ');
    let (name, key, place) =
        (words.next(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let table = TABLES.iter().find(|table| Some(table.name) == name).ok_or_else(|| failed(&part.name))?;
    let mut condition = format!("{} = {key}", table.run);
    if let Some(column) = table.place {
        let _ = write!(condition, " AND {column}::text = '{place}'");
    }
    Ok((table, condition))
}

/// Flips a bit of a column.
pub(crate) async fn flip(scope: Scope, part: Part, byte: u64, way: Way) -> Result<()> {
    let (table, condition) = row_of(&part)?;
    let schema = scope.name().to_owned();
    let columns: Vec<&str> = table.columns.split_whitespace().collect();
    let each = columns.iter().map(|column| {
        column.strip_prefix('#').map_or((*column).to_owned(), |number| format!("int8send({number})"))
    });
    let sql = format!(
        "SELECT {} FROM {schema}.{} WHERE {condition}",
        each.collect::<Vec<_>>().join(", "),
        table.name
    );
    let rows = beside(&scope, way, sql).await?;
    let row = rows.first().ok_or_else(|| failed("the row is gone"))?;
    let mut byte = usize::try_from(byte).unwrap_or(usize::MAX);
    for (index, column) in columns.iter().enumerate() {
        let bytes: Option<Vec<u8>> = row.try_get(index).map_err(failed)?;
        let mut bytes = bytes.unwrap_or_default();
        let Some(flipped) = bytes.get_mut(byte) else {
            byte -= bytes.len();
            continue;
        };
        *flipped ^= 1;
        let (name, value) = match (column.strip_prefix('#'), <[u8; 8]>::try_from(&bytes[..])) {
            (Some(name), Ok(number)) => (name, format!("'{}'::bigint", i64::from_be_bytes(number))),
            _ => (*column, hex(&bytes)),
        };
        let sql = format!("UPDATE {schema}.{} SET {name} = {value} WHERE {condition}", table.name);
        return beside(&scope, way, sql).await.map(drop);
    }
    Err(failed(format!("{} has no such byte", part.name)))
}

/// Deletes a row.
pub(crate) async fn remove(scope: Scope, part: Part, way: Way) -> Result<()> {
    let (table, condition) = row_of(&part)?;
    let sql = format!("DELETE FROM {}.{} WHERE {condition}", scope.name(), table.name);
    beside(&scope, way, sql).await.map(drop)
}
