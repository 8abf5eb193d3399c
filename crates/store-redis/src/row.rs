//! A run's parts as they are stored, decoded and verified: the row, what changes seldom, the info and the outcome.

use bytes::Bytes;
use milepost_core::{
    Checksum, Cursor, Digest, Error, ErrorKind, Failure, FailureKind, Fence, Head, Incarnation, Lease,
    Lineage, Manifest, Note, Origin, Outcome, Owner, Result, RunId, RunInfo, Sizes, Timestamp, Token,
    Version,
};

use crate::{
    answer::Answer,
    error::{corrupt, damaged},
    layout::{FORMAT, Keys},
    pack::{Packer, Unpacker},
};

/// The numbers that a script counts with exactly.
pub(crate) const LARGEST: i64 = (1 << 53) - 1;

/// No instant.
pub(crate) const NONE: i64 = -LARGEST;

/// An instant as scripts know it: what lies beyond the year 2255 is for ever.
pub(crate) fn instant(at: Timestamp) -> i64 {
    at.0.clamp(1 - LARGEST, LARGEST)
}

/// A span of time in microseconds.
pub(crate) fn span(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(LARGEST).min(LARGEST)
}

/// A position or a number as scripts know it; what lies beyond is never reached.
pub(crate) fn position(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(LARGEST).min(LARGEST)
}

fn stamp(stored: i64) -> Option<Timestamp> {
    match stored {
        NONE => None,
        LARGEST => Some(Timestamp(i64::MAX)),
        other => Some(Timestamp(other)),
    }
}

fn cursor(stored: i64) -> Option<Cursor> {
    u64::try_from(stored).ok()
}

/// The bytes of a fence: incarnation, epoch and token.
pub(crate) fn pack_fence(fence: Fence) -> [u8; 32] {
    let mut packed = [0; 32];
    packed[..16].copy_from_slice(&fence.incarnation.0.to_le_bytes());
    packed[16..24].copy_from_slice(&fence.epoch.to_le_bytes());
    packed[24..].copy_from_slice(&fence.token.0.to_le_bytes());
    packed
}

fn unpack_fence(unpacker: &mut Unpacker) -> Option<Fence> {
    let incarnation = Incarnation(u128::from_le_bytes(unpacker.array()?));
    Some(Fence { incarnation, epoch: unpacker.u64()?, token: Token(unpacker.u64()?) })
}

/// Cuts off and compares the digest that a script has put behind `parts` of a key.
fn unseal(key: &[u8], life: &[u8], raw: &Bytes) -> Result<Bytes> {
    let end = raw.len().checked_sub(40).ok_or_else(damaged)?;
    let mut sha = sha1_smol::Sha1::from(key);
    sha.update(life);
    sha.update(&raw[..end]);
    if sha.hexdigest().as_bytes() != &raw[end..] {
        return Err(damaged());
    }
    Ok(raw.slice(..end))
}

/// Where the row's seal and its times are, as in `common.lua`; the seal is hexadecimal.
pub(crate) const REST: usize = 148;
pub(crate) const SEAL: usize = 40;
const TIMES: usize = 48;

/// A run's row; `common.lua` says what stands in it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// As the script gave it.
    pub(crate) stored: Bytes,
    pub(crate) fence: Fence,
    pub(crate) version: Version,
    pub(crate) cursor: Cursor,
    pub(crate) first: Cursor,
    pub(crate) state: u8,
    pub(crate) newest_message: u64,
    leased: bool,
    draft: bool,
    until: i64,
    due: i64,
    lapses: u32,
    updated: i64,
    sizes: Sizes,
    snapshots: Vec<Cursor>,
    delete_after: i64,
}

impl Row {
    /// Decodes and verifies a row.
    ///
    /// # Errors
    ///
    /// `Corrupt` · `Newer`.
    pub(crate) fn read(keys: &Keys, raw: &Bytes) -> Result<Self> {
        if raw.len() < REST + SEAL + TIMES {
            return Err(damaged());
        }
        let packed = [&raw[..REST], &raw[REST + SEAL..raw.len() - TIMES]].concat();
        if seal(&keys.run(), &packed) != raw[REST..REST + SEAL] {
            return Err(damaged());
        }
        if packed.first().copied().map(u64::from) != Some(FORMAT) {
            return Err(Error::new(
                ErrorKind::Newer,
                "the run was written by a newer version of this library",
            ));
        }
        let times = Unpacker::new(raw.slice(raw.len() - TIMES..));
        let times = unpack_times(times).ok_or_else(damaged)?;
        unpack(raw.clone(), packed.into(), times).ok_or_else(damaged)
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

/// The digest that binds a row to its key.
pub(crate) fn seal(key: &[u8], packed: &[u8]) -> [u8; SEAL] {
    let mut sha = sha1_smol::Sha1::from(key);
    sha.update(packed);
    let mut seal = [0; SEAL];
    seal.copy_from_slice(sha.hexdigest().as_bytes());
    seal
}

/// When it was updated, the lease's end, and due: each stands twice, once inverted.
fn unpack_times(mut next: Unpacker) -> Option<[i64; 3]> {
    let times = [next.i64()?, next.i64()?, next.i64()?];
    let inverted = [next.i64()?, next.i64()?, next.i64()?];
    times.iter().zip(inverted).all(|(time, inverted)| *time == !inverted).then_some(times)
}

fn unpack(stored: Bytes, packed: Bytes, [updated, until, due]: [i64; 3]) -> Option<Row> {
    let mut next = Unpacker::new(packed.slice(1..));
    let fence = unpack_fence(&mut next)?;
    let (first, _swept) = (next.u64()?, next.u64()?);
    let (state, leased, draft) = (next.byte()?, next.byte()? == 1, next.byte()? == 1);
    let (_wake, newest_message) = (next.i64()?, next.u64()?);
    let (snapshots, blobs, messages) = (next.u64()?, next.u64()?, next.u64()?);
    // How many parts there are: only scripts ask for that.
    next.take(4 * 8)?;
    let newest = [next.i64()?, next.i64()?];
    let delete_after = next.i64()?;
    let (version, cursor_, lapses, records) = (next.u64()?, next.u64()?, next.u32()?, next.u64()?);
    let sizes = Sizes { records, snapshots, blobs, messages };
    Some(Row {
        stored,
        fence,
        version,
        cursor: cursor_,
        first,
        state,
        newest_message,
        leased,
        draft,
        until,
        due,
        lapses,
        updated,
        sizes,
        snapshots: newest.into_iter().filter_map(cursor).collect(),
        delete_after,
    })
}

/// What changes seldom.
struct Cold {
    created: Timestamp,
    origin: Option<Cursor>,
    opened_by_creation: bool,
    owner: String,
    note: Option<Note>,
}

impl Cold {
    fn read(keys: &Keys, life: &[u8], raw: &Bytes) -> Result<Self> {
        Self::unpack(unseal(&keys.cold(), life, raw)?).ok_or_else(damaged)
    }

    fn unpack(packed: Bytes) -> Option<Self> {
        let mut next = Unpacker::new(packed);
        let (created, origin) = (Timestamp(next.i64()?), cursor(next.i64()?));
        next.take(16 + 8)?;
        let opened_by_creation = next.byte()? == 1;
        let (owner, note) = (next.text()?, next.bytes()?);
        let note = if note.is_empty() { None } else { Some(unpack_note(note)?) };
        Some(Self { created, origin, opened_by_creation, owner, note })
    }
}

/// A note as scripts keep it: bytes that they never look into.
pub(crate) fn pack_note(note: &Note) -> Vec<u8> {
    let mut packed = Packer::default();
    packed.u64(note.done).byte(note.total.is_some().into()).u64(note.total.unwrap_or(0));
    packed.raw(note.text.as_bytes());
    packed.0
}

fn unpack_note(packed: Bytes) -> Option<Note> {
    let mut next = Unpacker::new(packed);
    let (done, has_total, total) = (next.u64()?, next.byte()? == 1, next.u64()?);
    let text = String::from_utf8(next.rest().to_vec()).ok()?;
    Some(Note { done, total: has_total.then_some(total), text })
}

/// The info and the manifest as they are stored, the manifest first, where a script finds it.
pub(crate) fn pack_info(manifest: &Manifest, info: &RunInfo, origin: Option<&Origin>) -> Vec<u8> {
    let mut packed = Packer::default();
    packed.raw(&manifest.0.0).bytes(info.name.as_bytes());
    packed.bytes(info.parent.as_ref().map_or("", RunId::as_str).as_bytes());
    packed.u32(u32::try_from(info.labels.len()).unwrap_or(u32::MAX));
    for (key, value) in &info.labels {
        packed.bytes(key.as_bytes()).bytes(value.as_bytes());
    }
    packed.bytes(&info.meta);
    if let Some(lineage) = origin.and_then(|origin| origin.lineage.as_ref()) {
        packed
            .bytes(lineage.run.as_str().as_bytes())
            .raw(&lineage.incarnation.0.to_le_bytes())
            .u64(lineage.cursor);
    }
    packed.0
}

/// What a run is, as it was told when it was created.
pub(crate) struct Told {
    manifest: Manifest,
    pub(crate) info: RunInfo,
    lineage: Option<Lineage>,
}

impl Told {
    pub(crate) fn read(keys: &Keys, incarnation: Incarnation, raw: &Bytes) -> Result<Self> {
        let packed = unseal(&keys.info(), &incarnation.0.to_le_bytes(), raw)?;
        Self::unpack(packed).ok_or_else(damaged)
    }

    fn unpack(packed: Bytes) -> Option<Self> {
        let mut next = Unpacker::new(packed);
        let manifest = Manifest(Digest(next.array()?));
        let (name, parent) = (next.text()?, next.text()?);
        let parent = if parent.is_empty() { None } else { Some(RunId::new(parent).ok()?) };
        let count = next.u32()?;
        let mut labels = std::collections::BTreeMap::new();
        for _ in 0..count {
            labels.insert(next.text()?, next.text()?);
        }
        let meta = next.bytes()?;
        let lineage = if next.is_empty() {
            None
        } else {
            let run = RunId::new(next.text()?).ok()?;
            let incarnation = Incarnation(u128::from_le_bytes(next.array()?));
            Some(Lineage { run, incarnation, cursor: next.u64()? })
        };
        Some(Self { manifest, info: RunInfo { name, parent, labels, meta }, lineage })
    }
}

/// The stored number of an outcome's kind: 1 for a completed run, above it the failures in their stable order.
pub(crate) fn state(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Completed { .. } => 1,
        Outcome::Failed { failure } => match failure.kind {
            FailureKind::Error => 2,
            FailureKind::Panicked => 3,
            FailureKind::Cancelled => 4,
            FailureKind::TimedOut => 5,
            FailureKind::Poison => 6,
            FailureKind::Operator => 7,
            _ => 8,
        },
    }
}

fn outcome_checksum(run: &RunId, incarnation: Incarnation, kind: &str, body: &[u8]) -> Checksum {
    let parts = [run.as_str().as_bytes(), &incarnation.0.to_le_bytes(), kind.as_bytes(), body];
    Checksum::of_parts("redis outcome", &parts)
}

/// An outcome as it is stored: checksum, the name of its kind, body.
pub(crate) fn pack_outcome(run: &RunId, incarnation: Incarnation, outcome: &Outcome) -> Vec<u8> {
    let (kind, body) = match outcome {
        Outcome::Completed { output } => ("completed", &output[..]),
        Outcome::Failed { failure } => (failure.kind.as_str(), failure.message.as_bytes()),
    };
    let mut packed = Packer::default();
    packed.raw(&outcome_checksum(run, incarnation, kind, body).0);
    packed.byte(kind.len() as u8).raw(kind.as_bytes()).raw(body);
    packed.0
}

fn unpack_outcome(run: &RunId, row: &Row, raw: Bytes) -> Option<Outcome> {
    let mut next = Unpacker::new(raw);
    let (checksum, kind) = (next.array()?, next.name()?);
    let body = next.rest();
    if outcome_checksum(run, row.fence.incarnation, &kind, &body).0 != checksum {
        return None;
    }
    let outcome = if kind == "completed" {
        Outcome::Completed { output: body }
    } else {
        let message = String::from_utf8(body.to_vec()).ok()?;
        Outcome::Failed { failure: Failure { kind: FailureKind::from_name(&kind)?, message } }
    };
    (state(&outcome) == row.state).then_some(outcome)
}

/// A run as one script has found it.
pub(crate) struct Found {
    pub(crate) row: Row,
    pub(crate) head: Head,
    /// Whether its newest open created it.
    pub(crate) created: bool,
}

impl Found {
    /// Reads the row, what changes seldom, the info, the outcome and the instant from an answer.
    pub(crate) fn read(keys: &Keys, run: &RunId, answer: &mut Answer) -> Result<Self> {
        let row = Row::read(keys, &answer.bytes()?)?;
        let life = row.fence.incarnation.0.to_le_bytes();
        let cold = Cold::read(keys, &life, &answer.bytes()?)?;
        let told = Told::read(keys, row.fence.incarnation, &answer.bytes()?)?;
        let outcome = match answer.option()? {
            Some(raw) if row.is_finished() => Some(
                unpack_outcome(run, &row, raw)
                    .ok_or_else(|| corrupt("the outcome is not as it was written"))?,
            ),
            None if row.is_finished() => return Err(corrupt("the outcome is gone")),
            _ => None,
        };
        let at = Timestamp(answer.number()?);
        let created = cold.opened_by_creation;
        let head = head(run, &row, cold, told, outcome, at);
        Ok(Self { row, head, created })
    }
}

fn head(run: &RunId, row: &Row, cold: Cold, told: Told, outcome: Option<Outcome>, at: Timestamp) -> Head {
    let until = stamp(row.until).unwrap_or_default();
    let lineage = told.lineage;
    Head {
        run: run.clone(),
        info: told.info,
        manifest: told.manifest,
        version: row.version,
        cursor: row.cursor,
        first: row.first,
        snapshots: row.snapshots.clone(),
        fence: row.fence,
        lease: row.leased.then(|| Lease { owner: Owner::new(cold.owner), until }),
        due: stamp(row.due),
        lapses: row.lapses,
        newest_message: row.newest_message,
        note: cold.note,
        created_at: cold.created,
        updated_at: Timestamp(row.updated),
        sizes: row.sizes,
        origin: cold.origin.map(|cursor| Origin { cursor, lineage }),
        draft: row.draft,
        outcome,
        delete_after: stamp(row.delete_after),
        at,
    }
}
