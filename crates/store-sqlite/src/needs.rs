//! The read phase: everything that the verdicts of a batch rest on, in one trip.

use std::{collections::HashMap, fmt::Write as _, hash::Hash, ops::ControlFlow, sync::LazyLock};

use milepost_core::{Checksum, Cursor, Digest, MessageKey, RecordId, Result, RunId};
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use crate::{
    error::{corrupt, from_driver},
    image::{Image, SELECT},
    sql::{Columns, Script, Value},
};

/// What the requests of a batch need to know besides the rows of their runs.
#[derive(Default)]
pub(crate) struct Needs {
    pub(crate) ids: Vec<(RunId, RecordId)>,
    pub(crate) blobs: Vec<(RunId, Digest)>,
    pub(crate) messages: Vec<(RunId, u64)>,
    /// The snapshot that a new one replaces.
    pub(crate) snapshots: Vec<(RunId, Cursor)>,
    pub(crate) trims: Vec<(RunId, Cursor)>,
    pub(crate) keys: Vec<(RunId, MessageKey)>,
    /// The key that a created run gets.
    pub(crate) next_key: bool,
}

/// What a trim removes.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Removed {
    pub(crate) record_bytes: u64,
    pub(crate) snapshots: u64,
    pub(crate) snapshot_bytes: u64,
    pub(crate) snapshot_cursors: u64,
}

/// What the read phase found for one run.
#[derive(Default, Debug)]
pub(crate) struct Parts {
    pub(crate) ids: HashMap<String, Cursor>,
    /// With their sizes.
    pub(crate) blobs: HashMap<Digest, u64>,
    /// With their sizes.
    pub(crate) messages: HashMap<u64, u64>,
    /// Its size.
    pub(crate) snapshot: Option<u64>,
    pub(crate) trim: Option<Removed>,
    /// The number of the first message of a key, and the checksum of its kind and body.
    pub(crate) key: Option<(u64, Checksum)>,
    pub(crate) next_key: i64,
}

/// What the read phase found.
#[derive(Default)]
pub(crate) struct Found {
    images: HashMap<RunId, Result<Image>>,
    parts: HashMap<RunId, Result<Parts>>,
    next_key: i64,
}

impl Found {
    /// Hands over what concerns one run. A run's own damage is its own error.
    pub(crate) fn take(&mut self, run: &RunId) -> Result<(Option<Image>, Parts)> {
        let image = self.images.remove(run).transpose()?;
        let mut parts = self.parts.remove(run).transpose()?.unwrap_or_default();
        if image.is_none() {
            // Keys are drawn in the order of the batch, each by the run that may be created with it.
            self.next_key += 1;
        }
        parts.next_key = self.next_key;
        Ok((image, parts))
    }
}

/// The checksum beside a record id.
pub(crate) fn id_checksum(key: i64, id: &str, cursor: Cursor) -> Checksum {
    Checksum::of_parts("sqlite record id", &[&key.to_le_bytes(), id.as_bytes(), &cursor.to_le_bytes()])
}

/// The checksum beside a message key.
pub(crate) fn key_checksum(key: i64, name: &str, number: u64, content: Checksum) -> Checksum {
    let parts: [&[u8]; 4] = [&key.to_le_bytes(), name.as_bytes(), &number.to_le_bytes(), &content.0];
    Checksum::of_parts("sqlite message key", &parts)
}

/// Everything of one run, or of several.
static SELECT_RUN: LazyLock<String> = LazyLock::new(|| format!("{} WHERE r.id = ?", *SELECT));
static SELECT_RUNS: LazyLock<String> =
    LazyLock::new(|| format!("{} WHERE r.id IN (SELECT value FROM json_each(?))", *SELECT));

/// Which statement of the script a row is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Runs,
    Ids,
    Blobs,
    Messages,
    Snapshots,
    Trims,
    Keys,
    NextKey,
}

/// A sum modulo 2^64 from those of the upper and the lower halves, which SQLite adds up without an overflow.
pub(crate) fn whole_sum(upper: u64, lower: u64) -> u64 {
    (upper << 32).wrapping_add(lower)
}

/// The statement of a part. Pairs of a run's id and a name come as one JSON array, so that the text of a statement
/// does not depend on how many there are; `CROSS JOIN` keeps SQLite from scanning a table instead of asking for each.
fn sql(part: Part) -> &'static str {
    match part {
        Part::Runs => &SELECT_RUNS,
        Part::NextKey => "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'run'), 0)",
        Part::Ids => {
            "SELECT r.id, r.key, i.id, i.cursor, i.checksum FROM json_each(?) AS j \
             CROSS JOIN run AS r ON r.id = j.value ->> 0 \
             CROSS JOIN record_id AS i ON i.run = r.key AND i.id = j.value ->> 1"
        }
        Part::Blobs => {
            "SELECT r.id, b.name, length(b.body) FROM json_each(?) AS j \
             CROSS JOIN run AS r ON r.id = j.value ->> 0 \
             CROSS JOIN blob AS b ON b.run = r.key AND b.name = unhex(j.value ->> 1)"
        }
        Part::Messages => {
            "SELECT r.id, m.number, length(m.body) FROM json_each(?) AS j \
             CROSS JOIN run AS r ON r.id = j.value ->> 0 \
             CROSS JOIN message AS m ON m.run = r.key AND m.number = j.value ->> 1"
        }
        Part::Snapshots => {
            "SELECT r.id, length(s.body) FROM json_each(?) AS j \
             CROSS JOIN run AS r ON r.id = j.value ->> 0 \
             CROSS JOIN snapshot AS s ON s.run = r.key AND s.cursor = j.value ->> 1"
        }
        Part::Trims => {
            "SELECT r.id, \
             (SELECT coalesce(sum(length(body)), 0) FROM record WHERE run = r.key AND cursor <= j.value ->> 1), \
             (SELECT count(*) FROM snapshot WHERE run = r.key AND cursor < j.value ->> 1), \
             (SELECT coalesce(sum(length(body)), 0) FROM snapshot WHERE run = r.key AND cursor < j.value ->> 1), \
             (SELECT coalesce(sum(cursor >> 32), 0) FROM snapshot WHERE run = r.key AND cursor < j.value ->> 1), \
             (SELECT coalesce(sum(cursor & 4294967295), 0) FROM snapshot WHERE run = r.key AND cursor < j.value ->> 1) \
             FROM json_each(?) AS j CROSS JOIN run AS r ON r.id = j.value ->> 0"
        }
        Part::Keys => {
            "SELECT r.id, r.key, k.name, k.number, k.content, k.checksum FROM json_each(?) AS j \
             CROSS JOIN run AS r ON r.id = j.value ->> 0 \
             CROSS JOIN message_key AS k ON k.run = r.key AND k.name = j.value ->> 1"
        }
    }
}

fn pairs<T>(pairs: &[(RunId, T)], name: impl Fn(&T) -> serde_json::Value) -> Option<Value> {
    let pair = |(run, part): &(RunId, T)| serde_json::json!([run.as_str(), name(part)]);
    let array: Vec<serde_json::Value> = pairs.iter().map(pair).collect();
    (!pairs.is_empty()).then(|| Value::Text(serde_json::Value::Array(array).to_string()))
}

impl Needs {
    /// The script, and which part each of its statements is.
    fn script(&self, runs: &[&RunId]) -> (Script, Vec<Part>) {
        let mut script = Script::new("BEGIN IMMEDIATE");
        // One run is by far the most frequent batch.
        if let [run] = runs {
            script.add(&SELECT_RUN, [Value::text(run.as_str())]);
        } else {
            let ids: Vec<&str> = runs.iter().map(|run| run.as_str()).collect();
            script.add(sql(Part::Runs), [Value::Text(serde_json::json!(ids).to_string())]);
        }
        let mut parts = vec![Part::Runs];
        let hex = |name: &Digest| {
            let mut hex = String::with_capacity(64);
            let _ = write!(hex, "{name}");
            hex.into()
        };
        for (part, value) in [
            (Part::Ids, pairs(&self.ids, |id| id.as_str().into())),
            (Part::Blobs, pairs(&self.blobs, hex)),
            (Part::Messages, pairs(&self.messages, |number| (*number).into())),
            (Part::Snapshots, pairs(&self.snapshots, |cursor| (*cursor).into())),
            (Part::Trims, pairs(&self.trims, |cursor| (*cursor).into())),
            (Part::Keys, pairs(&self.keys, |key| key.as_str().into())),
        ] {
            if let Some(value) = value {
                script.add(sql(part), [value]);
                parts.push(part);
            }
        }
        if self.next_key {
            script.add(sql(Part::NextKey), []);
            parts.push(Part::NextKey);
        }
        (script, parts)
    }

    /// Takes the write lock and reads. Answers also whether the lock is held, which is so after most errors.
    pub(crate) async fn read(
        &self,
        runs: &[&RunId],
        connection: &mut SqliteConnection,
    ) -> (bool, Result<Found>) {
        let (script, parts) = self.script(runs);
        let mut found = Found::default();
        let (ended, result) = script
            .run(connection, |statement, row| {
                // The statement before them was BEGIN.
                found.add(parts[statement - 1], row);
                ControlFlow::Continue(())
            })
            .await;
        (ended > 0, result.map(|()| found).map_err(from_driver))
    }
}

impl Found {
    fn add(&mut self, part: Part, row: SqliteRow) {
        if part == Part::NextKey {
            self.next_key = Columns::new(&row).get().unwrap_or(0);
            return;
        }
        let column = if part == Part::Runs { 1 } else { 0 };
        let Ok(Ok(run)) = Columns::from(&row, column).get::<&str>().map(RunId::new) else {
            // A run whose id cannot be read was not asked for.
            return;
        };
        if part == Part::Runs {
            self.images.insert(run, Image::read(row));
            return;
        }
        let slot = self.parts.entry(run).or_insert_with(|| Ok(Parts::default()));
        if let Ok(parts) = slot
            && let Err(error) = parts.add(part, &row)
        {
            *slot = Err(error);
        }
    }
}

impl Parts {
    fn add(&mut self, part: Part, row: &SqliteRow) -> Result<()> {
        let mut columns = Columns::from(row, 1);
        match part {
            Part::Runs | Part::NextKey => Ok(()),
            Part::Ids => self.add_id(&mut columns),
            Part::Keys => self.add_key(&mut columns),
            Part::Blobs => {
                let name = columns.array().map(Digest);
                insert(&mut self.blobs, name, columns.unsigned())
            }
            Part::Messages => {
                let number = columns.unsigned();
                insert(&mut self.messages, number, columns.unsigned())
            }
            Part::Snapshots => {
                self.snapshot = Some(columns.unsigned().map_err(from_driver)?);
                Ok(())
            }
            Part::Trims => {
                let mut next = || columns.unsigned().map_err(from_driver);
                self.trim = Some(Removed {
                    record_bytes: next()?,
                    snapshots: next()?,
                    snapshot_bytes: next()?,
                    snapshot_cursors: whole_sum(next()?, next()?),
                });
                Ok(())
            }
        }
    }

    fn add_id(&mut self, columns: &mut Columns<'_>) -> Result<()> {
        let key: i64 = columns.get().map_err(from_driver)?;
        let id: String = columns.get().map_err(from_driver)?;
        let cursor = columns.unsigned().map_err(from_driver)?;
        if columns.array().map_err(from_driver)? != id_checksum(key, &id, cursor).0 {
            return Err(corrupt("a record id is not as it was written"));
        }
        self.ids.insert(id, cursor);
        Ok(())
    }

    fn add_key(&mut self, columns: &mut Columns<'_>) -> Result<()> {
        let key: i64 = columns.get().map_err(from_driver)?;
        let name: String = columns.get().map_err(from_driver)?;
        let number = columns.unsigned().map_err(from_driver)?;
        let content = Checksum(columns.array().map_err(from_driver)?);
        if columns.array().map_err(from_driver)? != key_checksum(key, &name, number, content).0 {
            return Err(corrupt("a message key is not as it was written"));
        }
        self.key = Some((number, content));
        Ok(())
    }
}

fn insert<K: Eq + Hash>(
    map: &mut HashMap<K, u64>,
    name: Result<K, sqlx::Error>,
    size: Result<u64, sqlx::Error>,
) -> Result<()> {
    map.insert(name.map_err(from_driver)?, size.map_err(from_driver)?);
    Ok(())
}
