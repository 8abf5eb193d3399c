//! A run's parts as they are stored, decoded and verified: the row, what changes seldom, the info and the outcome.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use milepost_core::{
    Checksum, Cursor, Digest, Failure, FailureKind, Fence, Head, Incarnation, Lease, Lineage, Manifest, Note,
    Origin, Outcome, Owner, Result, RunId, RunInfo, Sizes, Timestamp, Token, Version,
};

use crate::{
    columns::{Columns, Fields},
    error::{corrupt, damaged},
};

/// What a run has elsewhere, counted and summed up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tally {
    pub(crate) count: i64,
    /// By exclusive or: cursors, numbers, or the first 64 bits of names.
    pub(crate) sum: i64,
}

/// A run's row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) key: i64,
    pub(crate) fence: Fence,
    pub(crate) version: Version,
    pub(crate) cursor: Cursor,
    pub(crate) first: Cursor,
    pub(crate) newest_message: u64,
    pub(crate) newest: Option<Cursor>,
    pub(crate) snapshots: Tally,
    pub(crate) blobs: Tally,
    pub(crate) messages: Tally,
    second: Option<Cursor>,
    origin: Option<Cursor>,
    state: i64,
    draft: bool,
    until: Option<Timestamp>,
    due: Option<Timestamp>,
    lapses: u32,
    updated: Timestamp,
    sizes: Sizes,
    delete_after: Option<Timestamp>,
}

impl Row {
    /// Decodes and verifies the row of `run`.
    ///
    /// # Errors
    ///
    /// `Corrupt`.
    pub(crate) fn read(raw: &Bytes, run: &RunId) -> Result<Self> {
        let (row, id) = Self::read_any(raw)?;
        if id == *run { Ok(row) } else { Err(damaged()) }
    }

    /// The same of a run whose id is not known yet.
    pub(crate) fn read_any(raw: &Bytes) -> Result<(Self, RunId)> {
        let mut next = Fields::unseal(raw)?;
        let (key, id) = (next.int()?, name(next.text()?)?);
        let incarnation = Incarnation(u128::from_be_bytes(next.array()?));
        let origin = next.option_unsigned()?;
        let (epoch, token) = (next.unsigned()?, Token(u64::from_be_bytes(next.array()?)));
        let (first, state, draft) = (next.unsigned()?, next.int()?, next.int()? == 1);
        let (_wake, newest_message) = (next.option()?, next.unsigned()?);
        let (newest, second) = (next.option_unsigned()?, next.option_unsigned()?);
        let delete_after = next.option_int()?.map(Timestamp);
        let (snapshots, blobs, messages) = (next.unsigned()?, next.unsigned()?, next.unsigned()?);
        let counts = [next.int()?, next.int()?, next.int()?];
        let sums = [next.int()?, next.int()?, next.int()?];
        let tally = |place: usize| Tally { count: counts[place], sum: sums[place] };
        let (_followed, _hint) = (next.option()?, next.option()?);
        let (version, cursor) = (next.unsigned()?, next.unsigned()?);
        let (until, due) = (next.option_int()?.map(Timestamp), next.option_int()?.map(Timestamp));
        let lapses = u32::try_from(next.int()?).map_err(|_| damaged())?;
        let (updated, records) = (Timestamp(next.int()?), next.unsigned()?);
        let row = Self {
            key,
            fence: Fence { incarnation, epoch, token },
            version,
            cursor,
            first,
            newest_message,
            newest,
            snapshots: tally(0),
            blobs: tally(1),
            messages: tally(2),
            second,
            origin,
            state,
            draft,
            until,
            due,
            lapses,
            updated,
            sizes: Sizes { records, snapshots, blobs, messages },
            delete_after,
        };
        Ok((row, id))
    }

    /// What a handle remembers of it.
    pub(crate) fn stand(&self) -> (Incarnation, Version) {
        (self.fence.incarnation, self.version)
    }

    /// Whether nothing will be added to it.
    pub(crate) fn is_finished(&self) -> bool {
        self.state != 0
    }
}

fn name(text: String) -> Result<RunId> {
    RunId::new(text).map_err(|_| damaged())
}

/// What changes seldom.
struct Cold {
    owner: Owner,
    note: Option<Note>,
}

impl Cold {
    fn read(raw: &Bytes, key: i64) -> Result<Self> {
        let mut next = Fields::unseal(raw)?;
        if next.int()? != key {
            return Err(damaged());
        }
        let owner = Owner::new(next.text()?);
        let note = next.option()?.map(|packed| unpack_note(packed).ok_or_else(damaged)).transpose()?;
        Ok(Self { owner, note })
    }
}

/// A note as it is stored: done, whether there is a total, the total, the text.
pub(crate) fn pack_note(note: &Note) -> Bytes {
    let mut packed = BytesMut::with_capacity(17 + note.text.len());
    packed.put_u64(note.done);
    packed.put_u8(note.total.is_some().into());
    packed.put_u64(note.total.unwrap_or(0));
    packed.put_slice(note.text.as_bytes());
    packed.freeze()
}

fn unpack_note(mut packed: Bytes) -> Option<Note> {
    let done = packed.try_get_u64().ok()?;
    let (has_total, total) = (packed.try_get_u8().ok()? == 1, packed.try_get_u64().ok()?);
    let text = String::from_utf8(packed.to_vec()).ok()?;
    Some(Note { done, total: has_total.then_some(total), text })
}

/// Labels as they are stored: each as the lengths of its key and its value, the key and the value.
pub(crate) fn pack_labels(labels: &BTreeMap<String, String>) -> Bytes {
    let mut packed = BytesMut::new();
    for (key, value) in labels {
        packed.put_u32(key.len() as u32);
        packed.put_u32(value.len() as u32);
        packed.put_slice(key.as_bytes());
        packed.put_slice(value.as_bytes());
    }
    packed.freeze()
}

fn unpack_labels(mut packed: Bytes) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    while !packed.is_empty() {
        let lengths = [packed.try_get_u32().ok()? as usize, packed.try_get_u32().ok()? as usize];
        let mut text = |length: usize| {
            (length <= packed.len()).then(|| String::from_utf8(packed.split_to(length).to_vec()).ok())?
        };
        labels.insert(text(lengths[0])?, text(lengths[1])?);
    }
    Some(labels)
}

/// What stands for a label in the index.
pub(crate) fn tag(key: &str, value: &str) -> Bytes {
    let sum = Checksum::of_parts("postgres label", &[key.as_bytes(), value.as_bytes()]);
    Bytes::copy_from_slice(&sum.0)
}

/// A lineage as it is stored: incarnation, cursor, run.
pub(crate) fn pack_lineage(lineage: &Lineage) -> Bytes {
    let mut packed = BytesMut::new();
    packed.put_u128(lineage.incarnation.0);
    packed.put_u64(lineage.cursor);
    packed.put_slice(lineage.run.as_str().as_bytes());
    packed.freeze()
}

fn unpack_lineage(mut packed: Bytes) -> Option<Lineage> {
    let (incarnation, cursor) = (packed.try_get_u128().ok()?, packed.try_get_u64().ok()?);
    let run = RunId::new(std::str::from_utf8(&packed).ok()?).ok()?;
    Some(Lineage { run, incarnation: Incarnation(incarnation), cursor })
}

/// What a run is, as it was told when it was created.
pub(crate) struct Told {
    pub(crate) created: Timestamp,
    pub(crate) info: RunInfo,
    pub(crate) manifest: Manifest,
    lineage: Option<Lineage>,
}

impl Told {
    fn read(raw: &Bytes, key: i64, run: &RunId) -> Result<Self> {
        let mut next = Fields::unseal(raw)?;
        if next.int()? != key || next.text()? != run.as_str() {
            return Err(damaged());
        }
        let created = Timestamp(next.int()?);
        let name_ = next.text()?;
        let parent = next.option()?.map(|parent| String::from_utf8(parent.to_vec()).map_err(|_| damaged()));
        let parent = parent.transpose()?.map(name).transpose()?;
        let labels = unpack_labels(next.bytes()?).ok_or_else(damaged)?;
        let _tags = next.option()?;
        let manifest = Manifest(Digest(next.array()?));
        let lineage = next.option()?.map(|packed| unpack_lineage(packed).ok_or_else(damaged)).transpose()?;
        let info = RunInfo { name: name_, parent, labels, meta: next.bytes()? };
        Ok(Self { created, info, manifest, lineage })
    }
}

/// The stored number of an outcome's kind: 1 for a completed run, above it the failures in their stable order.
pub(crate) fn state(outcome: &Outcome) -> i64 {
    match outcome {
        Outcome::Completed { .. } => 1,
        Outcome::Failed { failure } => failure_state(failure.kind),
    }
}

/// The number of a kind of failure.
pub(crate) fn failure_state(kind: FailureKind) -> i64 {
    match kind {
        FailureKind::Error => 2,
        FailureKind::Panicked => 3,
        FailureKind::Cancelled => 4,
        FailureKind::TimedOut => 5,
        FailureKind::Poison => 6,
        FailureKind::Operator => 7,
        _ => 8,
    }
}

/// The name and the body of an outcome, and the checksum that binds them to the run.
pub(crate) fn pack_outcome(
    run: &RunId,
    incarnation: Incarnation,
    outcome: &Outcome,
) -> (Bytes, Bytes, Checksum) {
    let (kind, body) = match outcome {
        Outcome::Completed { output } => ("completed", output.clone()),
        Outcome::Failed { failure } => {
            (failure.kind.as_str(), Bytes::copy_from_slice(failure.message.as_bytes()))
        }
    };
    let checksum = outcome_checksum(run, incarnation, kind, &body);
    (Bytes::from_static(kind.as_bytes()), body, checksum)
}

fn outcome_checksum(run: &RunId, incarnation: Incarnation, kind: &str, body: &[u8]) -> Checksum {
    let parts = [run.as_str().as_bytes(), &incarnation.0.to_be_bytes(), kind.as_bytes(), body];
    Checksum::of_parts("postgres outcome", &parts)
}

fn unpack_outcome(run: &RunId, row: &Row, raw: &Bytes) -> Result<Outcome> {
    let mut next = Fields::open(raw)?;
    let (key, kind, body) = (next.int()?, next.text()?, next.bytes()?);
    let checksum = outcome_checksum(run, row.fence.incarnation, &kind, &body);
    if key != row.key || checksum.0 != next.array()? {
        return Err(corrupt("the outcome is not as it was written"));
    }
    let outcome = if kind == "completed" {
        Outcome::Completed { output: body }
    } else {
        let message = String::from_utf8(body.to_vec()).map_err(|_| damaged())?;
        Outcome::Failed {
            failure: Failure { kind: FailureKind::from_name(&kind).ok_or_else(damaged)?, message },
        }
    };
    if state(&outcome) == row.state { Ok(outcome) } else { Err(damaged()) }
}

/// The parts of a run as one statement has found them, and when that was.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) run: Option<Bytes>,
    pub(crate) cold: Option<Bytes>,
    pub(crate) info: Option<Bytes>,
    pub(crate) outcome: Option<Bytes>,
    pub(crate) at: Timestamp,
}

impl Parts {
    /// What the columns of a `SELECT` give: the four parts and the instant.
    pub(crate) fn read(columns: &mut Columns<'_>) -> Result<Self> {
        let mut next = || columns.option_bytes();
        let (run, cold, info, outcome) = (next()?, next()?, next()?, next()?);
        Ok(Self { run, cold, info, outcome, at: Timestamp(columns.int()?) })
    }
}

/// A run as one statement has found it.
pub(crate) struct Found {
    pub(crate) row: Row,
    pub(crate) head: Head,
}

impl Found {
    /// Decodes and verifies all parts of `run`.
    ///
    /// # Errors
    ///
    /// `Corrupt`, also for a part that is gone.
    pub(crate) fn read(run: &RunId, parts: Parts) -> Result<Self> {
        let row = Row::read(parts.run.as_ref().ok_or_else(damaged)?, run)?;
        Self::of(run, row, parts)
    }

    /// The same of a run whose id stands in its row.
    pub(crate) fn read_any(parts: Parts) -> Result<Self> {
        let (row, run) = Row::read_any(parts.run.as_ref().ok_or_else(damaged)?)?;
        Self::of(&run, row, parts)
    }

    fn of(run: &RunId, row: Row, parts: Parts) -> Result<Self> {
        let cold = Cold::read(parts.cold.as_ref().ok_or_else(damaged)?, row.key)?;
        let told = Told::read(parts.info.as_ref().ok_or_else(damaged)?, row.key, run)?;
        let outcome = match &parts.outcome {
            Some(raw) if row.is_finished() => Some(unpack_outcome(run, &row, raw)?),
            None if row.is_finished() => return Err(corrupt("the outcome is gone")),
            _ => None,
        };
        let head = head(run, &row, cold, told, outcome, parts.at);
        Ok(Self { row, head })
    }
}

fn head(run: &RunId, row: &Row, cold: Cold, told: Told, outcome: Option<Outcome>, at: Timestamp) -> Head {
    let lineage = told.lineage;
    Head {
        run: run.clone(),
        info: told.info,
        manifest: told.manifest,
        version: row.version,
        cursor: row.cursor,
        first: row.first,
        snapshots: row.newest.into_iter().chain(row.second).collect(),
        fence: row.fence,
        lease: row.until.map(|until| Lease { owner: cold.owner, until }),
        due: row.due,
        lapses: row.lapses,
        newest_message: row.newest_message,
        note: cold.note,
        created_at: told.created,
        updated_at: row.updated,
        sizes: row.sizes,
        origin: row.origin.map(|cursor| Origin { cursor, lineage }),
        draft: row.draft,
        outcome,
        delete_after: row.delete_after,
        at,
    }
}
