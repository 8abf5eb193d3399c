//! What is stored one by one: records, messages, snapshots and blobs, each with a checksum that binds it to its place.
//!
//! A record and a message get their instant and their position from the server, so the client's checksum is made without
//! them. They stand in front: those of a record each beside its inversion, those of a message with a digest of the script's,
//! because its sender does not know the life of the run that it is bound to.

use bytes::Bytes;
use milepost_core::{
    Blob, Cursor, Digest, Incarnation, Kind, Message, MessageKey, NewMessage, NewRecord, OperationId, Record,
    RecordId, RunId, Snapshot, Timestamp,
};

use crate::pack::{Packer, Unpacker, length};

/// The instant that a client's checksum is made with.
const UNKNOWN: Timestamp = Timestamp(0);

/// A record as the client gives it to the script, behind its place if that is known.
pub(crate) fn pack_record(
    place: &[u8],
    run: &RunId,
    incarnation: Incarnation,
    record: &NewRecord,
) -> Vec<u8> {
    let placed = record.clone().at(0, UNKNOWN);
    let mut packed = Packer::default();
    packed.0.reserve(160 + record.body.len());
    packed.raw(place).raw(&placed.checksum(run, incarnation).0).u32(length(&record.body));
    pack_name(&mut packed, record.kind.as_str());
    pack_name(&mut packed, record.id.as_ref().map_or("", RecordId::as_str));
    packed.u32(u32::try_from(record.blobs.len()).unwrap_or(u32::MAX));
    for name in &record.blobs {
        packed.raw(&name.0);
    }
    packed.raw(&record.body);
    packed.0
}

/// A name behind one byte of length: names have at most 255.
fn pack_name(packed: &mut Packer, name: &str) {
    packed.byte(name.len() as u8).raw(name.as_bytes());
}

/// What the script has put in front of a record, each number beside its inversion.
struct Place {
    at: Timestamp,
    cursor: Cursor,
}

impl Place {
    fn unpack(next: &mut Unpacker) -> Option<Self> {
        let (at, inverted_at) = (next.i64()?, next.i64()?);
        let (cursor, total) = (next.i64()?, next.i64()?);
        let sound = inverted_at == !at && next.i64()? == !cursor && next.i64()? == !total;
        sound.then_some(Self { at: Timestamp(at), cursor: u64::try_from(cursor).ok()? })
    }
}

/// The cursor of a record and the bytes of all records up to it, as the script of plain commits takes them from the client.
pub(crate) fn pack_place(cursor: i64, total: i64) -> [u8; 32] {
    let mut packed = [0; 32];
    for (at, number) in [cursor, total, !cursor, !total].into_iter().enumerate() {
        packed[8 * at..8 * at + 8].copy_from_slice(&number.to_le_bytes());
    }
    packed
}

/// What the script has put in front of a message, bound to the life of its run and to the client's checksum.
struct Stamp {
    at: Timestamp,
    number: u64,
    checksum: [u8; 16],
}

impl Stamp {
    fn unpack(next: &mut Unpacker, life: &[u8]) -> Option<Self> {
        let stamp = next.take(24)?;
        let bound: [u8; 16] = next.array()?;
        let checksum: [u8; 16] = next.array()?;
        let mut sha = sha1_smol::Sha1::from(life);
        sha.update(&stamp);
        sha.update(&checksum);
        if sha.hexdigest().as_bytes()[..16] != bound {
            return None;
        }
        let mut stamp = Unpacker::new(stamp);
        Some(Self { at: Timestamp(stamp.i64()?), number: stamp.u64()?, checksum })
    }
}

/// A stored record; `None` if it is not as it was written.
pub(crate) fn unpack_record(
    run: &RunId,
    incarnation: Incarnation,
    cursor: Cursor,
    raw: Bytes,
) -> Option<Record> {
    let mut next = Unpacker::new(raw);
    let place = Place::unpack(&mut next)?;
    let checksum: [u8; 16] = next.array()?;
    let length = next.u32()?;
    let kind = Kind::new(next.name()?).ok()?;
    let id = next.name()?;
    let id = if id.is_empty() { None } else { Some(RecordId::new(id).ok()?) };
    let count = next.u32()? as usize;
    let names = next.take(count.checked_mul(32)?)?;
    let blobs = names.as_chunks::<32>().0.iter().map(|name| Digest(*name)).collect();
    let body = next.rest();
    let record = Record { cursor: 0, kind, body, at: UNKNOWN, id, blobs };
    let sound = place.cursor == cursor
        && record.body.len() == length as usize
        && record.checksum(run, incarnation).0 == checksum;
    sound.then_some(Record { cursor, at: place.at, ..record })
}

/// A message as the client gives it to the script. Its sender may not know the life of the run, and nobody its number.
pub(crate) fn pack_message(run: &RunId, message: &NewMessage) -> Vec<u8> {
    let NewMessage { id, key, kind, body, incarnation: _ } = message.clone();
    let placed = Message { number: 0, id, key, kind, body, at: UNKNOWN };
    let mut packed = Packer::default();
    packed
        .raw(&placed.checksum(run, Incarnation(0)).0)
        .u32(length(&message.body))
        .raw(&message.id.0.to_le_bytes());
    pack_name(&mut packed, message.key.as_str());
    pack_name(&mut packed, message.kind.as_str());
    packed.raw(&message.body);
    packed.0
}

/// A stored message; `None` if it is not as it was written.
pub(crate) fn unpack_message(run: &RunId, incarnation: Incarnation, raw: Bytes) -> Option<Message> {
    let mut next = Unpacker::new(raw);
    let stamp = Stamp::unpack(&mut next, &incarnation.0.to_le_bytes())?;
    let length = next.u32()?;
    let id = OperationId(u128::from_le_bytes(next.array()?));
    let key = MessageKey::new(next.name()?).ok()?;
    let kind = Kind::new(next.name()?).ok()?;
    let body = next.rest();
    let message = Message { number: 0, id, key, kind, body, at: UNKNOWN };
    let sound =
        message.body.len() == length as usize && message.checksum(run, Incarnation(0)).0 == stamp.checksum;
    sound.then_some(Message { number: stamp.number, at: stamp.at, ..message })
}

pub(crate) fn pack_snapshot(run: &RunId, incarnation: Incarnation, snapshot: &Snapshot) -> Vec<u8> {
    [&snapshot.checksum(run, incarnation).0[..], &snapshot.body].concat()
}

pub(crate) fn unpack_snapshot(
    run: &RunId,
    incarnation: Incarnation,
    at: Cursor,
    raw: Bytes,
) -> Option<Snapshot> {
    let mut next = Unpacker::new(raw);
    let checksum: [u8; 16] = next.array()?;
    let snapshot = Snapshot { cursor: at, body: next.rest() };
    (snapshot.checksum(run, incarnation).0 == checksum).then_some(snapshot)
}

pub(crate) fn pack_blob(run: &RunId, incarnation: Incarnation, blob: &Blob) -> Vec<u8> {
    [&blob.checksum(run, incarnation).0[..], &blob.body].concat()
}

pub(crate) fn unpack_blob(run: &RunId, incarnation: Incarnation, name: Digest, raw: Bytes) -> Option<Bytes> {
    let mut next = Unpacker::new(raw);
    let checksum: [u8; 16] = next.array()?;
    let blob = Blob { name, body: next.rest() };
    (blob.checksum(run, incarnation).0 == checksum).then_some(blob.body)
}
