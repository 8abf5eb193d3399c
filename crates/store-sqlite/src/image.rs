//! A run as one read finds it: its row, what was told when it was created, and the head that both make.

use std::sync::LazyLock;

use milepost_core::{
    Checksum, Error, Head, Incarnation, Lineage, Manifest, Origin, Process, Result, RunId, RunInfo, Timestamp,
};
use sqlx::sqlite::SqliteRow;

use crate::{
    columns::{COLUMNS, WIDTH},
    error::{corrupt, from_driver},
    row::Row,
    sql::{Columns, Value},
};

/// Everything of runs: the columns of the run's row, then those of [`Info`].
pub(crate) static SELECT: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT {COLUMNS}, {INFO_COLUMNS} FROM run AS r LEFT JOIN info AS i ON i.run = r.key")
});

/// As [`SELECT`], found by what they were created with: its order and its indexes lead.
pub(crate) static RUNS_OF_INFO: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT {COLUMNS}, {INFO_COLUMNS} FROM info AS i LEFT JOIN run AS r ON r.key = i.run")
});

const INFO_COLUMNS: &str = "i.run, i.id, i.created, i.name, i.parent, i.labels, i.manifest, \
    i.lineage_run, i.lineage_incarnation, i.lineage_cursor, i.meta, i.checksum";

/// Takes rows of the values of [`Info::stored`].
pub(crate) const INSERT_INFO: &str = "INSERT INTO info (run, id, created, name, parent, labels, manifest, \
    lineage_run, lineage_incarnation, lineage_cursor, meta, checksum) VALUES ";

/// What is told once, when the run is created.
#[derive(Clone, Debug)]
pub(crate) struct Info {
    pub(crate) run: RunId,
    pub(crate) created: Timestamp,
    pub(crate) info: RunInfo,
    pub(crate) manifest: Manifest,
    pub(crate) lineage: Option<Lineage>,
}

impl Info {
    /// A row of values of [`INSERT_INFO`].
    pub(crate) fn stored(&self, key: i64) -> Result<Vec<Value>> {
        let labels = serde_json::to_string(&self.info.labels)
            .map_err(|error| Error::new(milepost_core::ErrorKind::Invalid, error.to_string()))?;
        let mut values = self.values(key, labels);
        let checksum = checksum(&values);
        values.push(Value::blob(&checksum.0));
        Ok(values)
    }

    fn values(&self, key: i64, labels: String) -> Vec<Value> {
        let lineage = self.lineage.as_ref();
        vec![
            Value::Int(key),
            Value::text(self.run.as_str()),
            Value::Int(self.created.0),
            Value::text(self.info.name.as_str()),
            Value::option(self.info.parent.as_ref(), |parent| Value::text(parent.as_str())),
            Value::Text(labels),
            Value::blob(&self.manifest.0.0),
            Value::option(lineage, |lineage| Value::text(lineage.run.as_str())),
            Value::option(lineage, |lineage| Value::blob(&lineage.incarnation.0.to_le_bytes())),
            Value::option(lineage, |lineage| Value::unsigned(lineage.cursor)),
            Value::Blob(self.info.meta.clone()),
        ]
    }

    /// Decodes the columns behind those of the run's row, and compares checksum and place.
    fn read(row: &SqliteRow, key: i64, run: &RunId) -> Result<Self> {
        let damaged = || corrupt("what a run was created with is not as it was written");
        let mut columns = Columns::from(row, WIDTH);
        if columns.get::<Option<i64>>().map_err(from_driver)? != Some(key) {
            return Err(corrupt("what a run was created with is gone"));
        }
        let (this, labels) = decode(&mut columns).map_err(from_driver)?.ok_or_else(damaged)?;
        let stored: [u8; 16] = columns.array().map_err(from_driver)?;
        if checksum(&this.values(key, labels)).0 != stored || this.run != *run {
            return Err(damaged());
        }
        Ok(this)
    }
}

fn checksum(values: &[Value]) -> Checksum {
    let mut bytes = Vec::with_capacity(512);
    values.iter().for_each(|value| value.feed(&mut bytes));
    Checksum::of_parts("sqlite info", &[&bytes])
}

/// With the labels as they are stored; `None` for a value that no version of this program writes.
fn decode(columns: &mut Columns<'_>) -> Result<Option<(Info, String)>, sqlx::Error> {
    let (run, created, name) = (RunId::new(columns.get::<&str>()?), columns.get()?, columns.get()?);
    let parent = columns.get::<Option<&str>>()?.map(RunId::new).transpose();
    let labels: String = columns.get()?;
    let manifest = Manifest(milepost_core::Digest(columns.array()?));
    let lineage_run = columns.get::<Option<&str>>()?.map(RunId::new).transpose();
    let incarnation = columns.get::<Option<&[u8]>>()?.map(<[u8; 16]>::try_from).transpose();
    let cursor = columns.unsigned_option()?;
    let meta = columns.bytes()?;
    let (Ok(run), Ok(parent), Ok(lineage_run), Ok(incarnation)) = (run, parent, lineage_run, incarnation)
    else {
        return Ok(None);
    };
    let Ok(decoded) = serde_json::from_str(&labels) else { return Ok(None) };
    let lineage = lineage_run.zip(incarnation).zip(cursor).map(|((run, incarnation), cursor)| Lineage {
        run,
        incarnation: Incarnation(u128::from_le_bytes(incarnation)),
        cursor,
    });
    let info = RunInfo { name, parent, labels: decoded, meta };
    Ok(Some((Info { run, created: Timestamp(created), info, manifest, lineage }, labels)))
}

/// A run as one read finds it. What it was created with is decoded only when it is asked for: most commits do not.
pub(crate) struct Image {
    pub(crate) row: Row,
    /// Nothing for a row that is remembered from the transaction that left it.
    read: Option<SqliteRow>,
}

impl Image {
    /// From a row of [`SELECT`].
    ///
    /// # Errors
    ///
    /// `Corrupt`.
    pub(crate) fn read(read: SqliteRow) -> Result<Self> {
        Ok(Self { row: Row::read(&read)?, read: Some(read) })
    }

    /// From a row that is remembered.
    pub(crate) fn remembered(row: Row) -> Self {
        Self { row, read: None }
    }

    /// About how many bytes a row of [`SELECT`] has.
    pub(crate) fn weight(read: &SqliteRow) -> usize {
        let output = Columns::from(read, WIDTH - 2).get::<Option<&[u8]>>().ok().flatten();
        1024 + output.map_or(0, <[u8]>::len)
    }

    /// What the run was created with.
    pub(crate) fn info(&self) -> Result<Info> {
        let read = self.read.as_ref().ok_or_else(|| corrupt("what a run was created with was not read"))?;
        Info::read(read, self.row.key, &self.row.id)
    }

    /// The run's summary, judged at `now` by the process `here`.
    pub(crate) fn head(&self, now: Timestamp, here: &Here) -> Result<Head> {
        Ok(head(self.row.clone(), self.info()?, now, here))
    }
}

/// The summary of a run.
pub(crate) fn head(row: Row, info: Info, now: Timestamp, here: &Here) -> Head {
    let snapshots = row.snapshots();
    let due = here.due(&row, now);
    Head {
        run: row.id,
        info: info.info,
        manifest: info.manifest,
        version: row.version,
        cursor: row.cursor,
        first: row.first,
        snapshots,
        fence: row.fence,
        lease: row.lease,
        due,
        lapses: row.lapses,
        newest_message: row.newest_message,
        note: row.note,
        created_at: info.created,
        updated_at: row.updated,
        sizes: row.sizes,
        origin: row.origin.map(|cursor| Origin { cursor, lineage: info.lineage }),
        draft: row.draft,
        outcome: row.outcome,
        delete_after: row.delete_after,
        at: now,
    }
}

/// The process that this handle lives in, which can tell of another one of the same host that it is gone.
#[derive(Clone, Debug)]
pub(crate) struct Here {
    process: Option<Process>,
    /// As it is stored beside a lease.
    pub(crate) text: Option<String>,
}

impl Here {
    pub(crate) fn look() -> Self {
        let process = Process::current();
        let text = process.as_ref().and_then(|process| serde_json::to_string(process).ok());
        Self { process, text }
    }

    /// Whether the process of a stored text is certainly gone.
    pub(crate) fn is_gone(&self, holder: &str) -> bool {
        let process = serde_json::from_str::<Process>(holder);
        self.process.as_ref().is_some_and(|here| process.is_ok_and(|process| process.is_gone(here)))
    }

    /// Whether a lease is in the row whose holder is certainly gone.
    fn is_orphaned(&self, row: &Row) -> bool {
        row.lease.is_some() && row.holder.as_deref().is_some_and(|holder| self.is_gone(holder))
    }

    /// From when on anyone may take the run over: at once when the holder of its lease is gone.
    pub(crate) fn due(&self, row: &Row, now: Timestamp) -> Option<Timestamp> {
        row.due.map(|due| if due > now && self.is_orphaned(row) { now } else { due })
    }

    /// Whether somebody who may still live holds a lease that has not run out.
    pub(crate) fn is_driven(&self, row: &Row, now: Timestamp) -> bool {
        row.lease.as_ref().is_some_and(|lease| lease.until > now) && !self.is_orphaned(row)
    }
}
