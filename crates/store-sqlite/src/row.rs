//! The run's row: what every write reads and rewrites, with a checksum over all of it.

use bytes::Bytes;
use milepost_core::{
    Checksum, Cursor, Digest, Failure, FailureKind, Fence, Incarnation, Lease, Note, OperationId, Outcome,
    Owner, Result, RunId, Sizes, Timestamp, Token, Version,
};
use sqlx::sqlite::SqliteRow;

use crate::{
    columns::{CHANGING, ENDING},
    error::{corrupt, from_driver},
    sql::{Columns, Value},
};

/// The open that a repeated id is compared with.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct LastOpen {
    pub(crate) id: OperationId,
    pub(crate) version: Version,
    pub(crate) created: bool,
}

/// The newest commit, remembered so that sending it again is answered as it was the first time. Its incarnation is
/// the row's.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct LastCommit {
    pub(crate) id: OperationId,
    pub(crate) digest: Digest,
    pub(crate) fence: Fence,
    pub(crate) version: Version,
    pub(crate) cursor: Cursor,
}

/// What the run has elsewhere, counted and summed up: where this does not fit, a row is lost or an index is damaged.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(crate) struct Counts {
    pub(crate) snapshots: u64,
    pub(crate) blobs: u64,
    pub(crate) messages: u64,
    /// Their sum, modulo 2^64.
    pub(crate) snapshot_cursors: u64,
    /// Their exclusive or.
    pub(crate) blob_names: [u8; 32],
    /// Their sum, modulo 2^64.
    pub(crate) message_numbers: u64,
}

impl Counts {
    /// A blob comes, or goes: it is the same.
    pub(crate) fn toggle_blob(&mut self, name: &Digest) {
        self.blob_names.iter_mut().zip(name.0).for_each(|(sum, byte)| *sum ^= byte);
    }
}

/// A run's row, decoded and verified.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Row {
    pub(crate) key: i64,
    pub(crate) id: RunId,
    pub(crate) origin: Option<Cursor>,
    pub(crate) fence: Fence,
    pub(crate) version: Version,
    pub(crate) cursor: Cursor,
    pub(crate) first: Cursor,
    pub(crate) draft: bool,
    pub(crate) newest: Option<Cursor>,
    pub(crate) second: Option<Cursor>,
    pub(crate) lease: Option<Lease>,
    /// The process behind the lease, as JSON, where the operating system tells.
    pub(crate) holder: Option<String>,
    pub(crate) due: Option<Timestamp>,
    pub(crate) wake_after: Option<u64>,
    pub(crate) lapses: u32,
    pub(crate) newest_message: u64,
    pub(crate) note: Option<Note>,
    pub(crate) updated: Timestamp,
    pub(crate) sizes: Sizes,
    pub(crate) counts: Counts,
    pub(crate) last_open: LastOpen,
    pub(crate) last_commit: Option<LastCommit>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) delete_after: Option<Timestamp>,
}

impl Row {
    /// Every column but the checksum, in the order of [`crate::columns::COLUMNS`].
    fn values(&self) -> Vec<Value> {
        let (lease, note) = (self.lease.as_ref(), self.note.as_ref());
        let (outcome, output) = match &self.outcome {
            None => (Value::Null, Value::Null),
            Some(Outcome::Completed { output }) => (Value::text("completed"), Value::Blob(output.clone())),
            Some(Outcome::Failed { failure }) => {
                (Value::text(failure.kind.as_str()), Value::blob(failure.message.as_bytes()))
            }
        };
        vec![
            Value::Int(self.key),
            Value::text(self.id.as_str()),
            Value::blob(&self.fence.incarnation.0.to_le_bytes()),
            Value::option(self.origin, Value::unsigned),
            Value::unsigned(self.fence.epoch),
            Value::unsigned(self.fence.token.0),
            Value::unsigned(self.version),
            Value::unsigned(self.cursor),
            Value::unsigned(self.first),
            Value::Int(self.draft.into()),
            Value::option(self.newest, Value::unsigned),
            Value::option(self.second, Value::unsigned),
            Value::option(lease, |lease| Value::text(lease.owner.as_str())),
            Value::option(lease, |lease| Value::Int(lease.until.0)),
            Value::option(self.holder.as_deref(), Value::text),
            Value::option(self.due, |due| Value::Int(due.0)),
            Value::option(self.wake_after, Value::unsigned),
            Value::Int(self.lapses.into()),
            Value::unsigned(self.newest_message),
            Value::option(note, |note| Value::unsigned(note.done)),
            Value::option(note.and_then(|note| note.total), Value::unsigned),
            Value::option(note, |note| Value::text(note.text.as_str())),
            Value::Int(self.updated.0),
            Value::unsigned(self.sizes.records),
            Value::unsigned(self.sizes.snapshots),
            Value::unsigned(self.sizes.blobs),
            Value::unsigned(self.sizes.messages),
            Value::unsigned(self.counts.snapshots),
            Value::unsigned(self.counts.blobs),
            Value::unsigned(self.counts.messages),
            Value::unsigned(self.counts.snapshot_cursors),
            Value::blob(&self.counts.blob_names),
            Value::unsigned(self.counts.message_numbers),
            Value::blob(&self.last_open.pack()),
            Value::option(self.last_commit, |last| Value::blob(&last.pack())),
            outcome,
            Value::option(self.delete_after, |after| Value::Int(after.0)),
            output,
        ]
    }

    /// A row of values of [`crate::columns::INSERT`].
    pub(crate) fn stored(&self) -> (Vec<Value>, Checksum) {
        let mut values = self.values();
        let checksum = checksum(&values);
        values.push(Value::blob(&checksum.0));
        (values, checksum)
    }

    /// A row of values of [`crate::columns::UPDATE`].
    pub(crate) fn changed(&self) -> (Vec<Value>, Checksum) {
        let mut values = self.values();
        let checksum = checksum(&values);
        values.truncate(ENDING);
        (self.located(values, checksum), checksum)
    }

    /// The values of [`crate::columns::UPDATE_OUTCOME`].
    pub(crate) fn ended(&self) -> (Vec<Value>, Checksum) {
        let values = self.values();
        let checksum = checksum(&values);
        (self.located(values, checksum), checksum)
    }

    fn located(&self, mut values: Vec<Value>, checksum: Checksum) -> Vec<Value> {
        values.drain(..CHANGING);
        values.push(Value::blob(&checksum.0));
        values.push(Value::Int(self.key));
        values
    }

    /// Decodes the row's own columns and compares the checksum.
    ///
    /// # Errors
    ///
    /// `Corrupt`.
    pub(crate) fn read(row: &SqliteRow) -> Result<Self> {
        let mut columns = Columns::new(row);
        let decoded = decode(&mut columns).map_err(from_driver)?;
        let decoded = decoded.ok_or_else(|| corrupt("the row of a run does not make sense"))?;
        let stored: [u8; 16] = columns.array().map_err(from_driver)?;
        if checksum(&decoded.values()).0 != stored {
            return Err(corrupt("the row of a run is not as it was written"));
        }
        Ok(decoded)
    }

    /// The newest two kept snapshots, newest first.
    pub(crate) fn snapshots(&self) -> Vec<Cursor> {
        self.newest.into_iter().chain(self.second).collect()
    }
}

fn checksum(values: &[Value]) -> Checksum {
    let mut bytes = Vec::with_capacity(1024);
    values.iter().for_each(|value| value.feed(&mut bytes));
    Checksum::of_parts("sqlite run", &[&bytes])
}

/// `None`: a value that no version of this program writes.
fn decode(columns: &mut Columns<'_>) -> Result<Option<Row>, sqlx::Error> {
    let (key, id) = (columns.get()?, RunId::new(columns.get::<&str>()?));
    let incarnation = Incarnation(u128::from_le_bytes(columns.array()?));
    let origin = columns.unsigned_option()?;
    let fence = Fence { incarnation, epoch: columns.unsigned()?, token: Token(columns.unsigned()?) };
    let (version, cursor, first) = (columns.unsigned()?, columns.unsigned()?, columns.unsigned()?);
    let draft = columns.get::<i64>()? != 0;
    let (newest, second) = (columns.unsigned_option()?, columns.unsigned_option()?);
    let (owner, until) = (columns.get::<Option<String>>()?, columns.get::<Option<i64>>()?.map(Timestamp));
    let lease = owner.zip(until).map(|(owner, until)| Lease { owner: Owner::new(owner), until });
    let holder = columns.get()?;
    let due = columns.get::<Option<i64>>()?.map(Timestamp);
    let wake_after = columns.unsigned_option()?;
    let lapses = u32::try_from(columns.get::<i64>()?);
    let newest_message = columns.unsigned()?;
    let (done, total) = (columns.unsigned_option()?, columns.unsigned_option()?);
    let text = columns.get::<Option<String>>()?;
    let note = done.zip(text).map(|(done, text)| Note { done, total, text });
    let updated = Timestamp(columns.get()?);
    let sizes = Sizes {
        records: columns.unsigned()?,
        snapshots: columns.unsigned()?,
        blobs: columns.unsigned()?,
        messages: columns.unsigned()?,
    };
    let counts = Counts {
        snapshots: columns.unsigned()?,
        blobs: columns.unsigned()?,
        messages: columns.unsigned()?,
        snapshot_cursors: columns.unsigned()?,
        blob_names: columns.array()?,
        message_numbers: columns.unsigned()?,
    };
    let last_open = LastOpen::unpack(&columns.array()?);
    let last_commit = match columns.get::<Option<&[u8]>>()?.map(<&[u8; 80]>::try_from) {
        None => None,
        Some(Ok(packed)) => Some(LastCommit::unpack(packed, incarnation)),
        Some(Err(_)) => return Ok(None),
    };
    let kind = columns.get::<Option<&str>>()?;
    let delete_after = columns.get::<Option<i64>>()?.map(Timestamp);
    let Some(outcome) = outcome(kind, columns.get()?) else { return Ok(None) };
    let (Ok(id), Ok(lapses)) = (id, lapses) else { return Ok(None) };
    Ok(Some(Row {
        key,
        id,
        origin,
        fence,
        version,
        cursor,
        first,
        draft,
        newest,
        second,
        lease,
        holder,
        due,
        wake_after,
        lapses,
        newest_message,
        note,
        updated,
        sizes,
        counts,
        last_open,
        last_commit,
        outcome,
        delete_after,
    }))
}

fn outcome(kind: Option<&str>, output: Option<Vec<u8>>) -> Option<Option<Outcome>> {
    match (kind, output) {
        (None, None) => Some(None),
        (Some("completed"), Some(output)) => Some(Some(Outcome::Completed { output: Bytes::from(output) })),
        (Some(kind), Some(message)) => {
            let failure = Failure::new(FailureKind::from_name(kind)?, String::from_utf8(message).ok()?);
            Some(Some(Outcome::Failed { failure }))
        }
        _ => None,
    }
}

/// Cuts a packed value into its parts.
fn part<const N: usize>(packed: &mut &[u8]) -> [u8; N] {
    let (head, tail) = packed.split_first_chunk().expect("the parts add up to the packed length");
    *packed = tail;
    *head
}

impl LastOpen {
    fn pack(&self) -> [u8; 25] {
        let mut packed = [0; 25];
        packed[..16].copy_from_slice(&self.id.0.to_le_bytes());
        packed[16..24].copy_from_slice(&self.version.to_le_bytes());
        packed[24] = self.created.into();
        packed
    }

    fn unpack(packed: &[u8; 25]) -> Self {
        let rest = &mut &packed[..];
        let id = OperationId(u128::from_le_bytes(part(rest)));
        let version = u64::from_le_bytes(part(rest));
        Self { id, version, created: packed[24] != 0 }
    }
}

impl LastCommit {
    fn pack(&self) -> [u8; 80] {
        let mut packed = [0; 80];
        packed[..16].copy_from_slice(&self.id.0.to_le_bytes());
        packed[16..48].copy_from_slice(&self.digest.0);
        packed[48..56].copy_from_slice(&self.fence.epoch.to_le_bytes());
        packed[56..64].copy_from_slice(&self.fence.token.0.to_le_bytes());
        packed[64..72].copy_from_slice(&self.version.to_le_bytes());
        packed[72..].copy_from_slice(&self.cursor.to_le_bytes());
        packed
    }

    fn unpack(packed: &[u8; 80], incarnation: Incarnation) -> Self {
        let rest = &mut &packed[..];
        Self {
            id: OperationId(u128::from_le_bytes(part(rest))),
            digest: Digest(part(rest)),
            fence: Fence {
                incarnation,
                epoch: u64::from_le_bytes(part(rest)),
                token: Token(u64::from_le_bytes(part(rest))),
            },
            version: u64::from_le_bytes(part(rest)),
            cursor: u64::from_le_bytes(part(rest)),
        }
    }
}
