//! Commits as the functions take them.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use bytes::Bytes;
use milepost_core::{Commit, Digest, Incarnation, LeaseChange, Retain, RunId, Timestamp};

use crate::{
    row::{pack_note, pack_outcome, state},
    value::{Value, position},
};

/// A span of time in microseconds.
pub(crate) fn span(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

pub(crate) fn incarnation(incarnation: Incarnation) -> Bytes {
    Bytes::copy_from_slice(&incarnation.0.to_be_bytes())
}

pub(crate) fn token(token: milepost_core::Token) -> Bytes {
    Bytes::copy_from_slice(&token.0.to_be_bytes())
}

/// A commit's id and the first half of its digest: 128 bits that no other commit of this id will share by accident.
pub(crate) fn op(commit: &Commit) -> Bytes {
    let mut op = [0; 32];
    op[..16].copy_from_slice(&commit.id.0.to_be_bytes());
    op[16..].copy_from_slice(&commit.digest().0[..16]);
    Bytes::copy_from_slice(&op)
}

/// How long a lease is extended for; 0 if it stays.
pub(crate) fn extension(commit: &Commit, min_ttl: Duration) -> i64 {
    match commit.lease {
        LeaseChange::Extend(ttl) => span(ttl.max(min_ttl)),
        _ => 0,
    }
}

/// Records and a lease that stays or is extended, and nothing else.
pub(crate) fn is_plain(commit: &Commit) -> bool {
    commit.records.iter().all(|record| record.id.is_none() && record.blobs.is_empty())
        && !matches!(commit.lease, LeaseChange::Release(_))
        && commit.blobs.is_empty()
        && commit.drop_blobs.is_empty()
        && commit.take.is_empty()
        && commit.snapshot.is_none()
        && commit.trim.is_none()
        && commit.note.is_none()
        && commit.finish.is_none()
}

/// About how many bytes the records of a commit have.
pub(crate) fn weight(commit: &Commit) -> usize {
    commit.records.iter().map(|record| record.body.len() + 128).sum()
}

/// The columns of a commit's records: kinds, checksums of what the client knows of them, bodies.
#[derive(Default)]
pub(crate) struct Records {
    pub(crate) kinds: Vec<Option<Bytes>>,
    pub(crate) sums: Vec<Option<Bytes>>,
    pub(crate) bodies: Vec<Option<Bytes>>,
    pub(crate) bytes: i64,
}

impl Records {
    /// Adds those of a commit.
    pub(crate) fn add(&mut self, commit: &Commit) {
        for record in &commit.records {
            self.kinds.push(Some(Bytes::copy_from_slice(record.kind.as_str().as_bytes())));
            // Place and instant are the server's to give, and to bind to this.
            let sum = record.clone().at(0, Timestamp(0)).checksum(&commit.run, commit.fence.incarnation);
            self.sums.push(Some(Bytes::copy_from_slice(&sum.0)));
            self.bodies.push(Some(record.body.clone()));
            self.bytes += record.body.len() as i64;
        }
    }
}

fn names<'a>(names: impl IntoIterator<Item = &'a Digest>) -> Vec<Option<Bytes>> {
    names.into_iter().map(|name| Some(Bytes::copy_from_slice(&name.0))).collect()
}

/// The blobs that records name and that the commit does not carry, in their order.
pub(crate) fn named(commit: &Commit) -> Vec<Digest> {
    let carried: HashSet<&Digest> = commit.blobs.iter().map(|blob| &blob.name).collect();
    let names = commit.records.iter().flat_map(|record| &record.blobs);
    names.filter(|name| !carried.contains(name)).copied().collect()
}

/// A place counted from 1.
fn place(index: usize) -> i64 {
    index as i64 + 1
}

/// The ids of the records, and the place of the first one whose id stands in the commit again (0: there is none); `None`
/// for both if no record has an id.
fn ids(commit: &Commit) -> (Vec<Option<Bytes>>, Option<i64>) {
    let ids = || commit.records.iter().enumerate().filter_map(|(at, record)| Some((at, record.id.as_ref()?)));
    let mut first = BTreeMap::new();
    let twice = ids().find_map(|(at, id)| first.insert(id, at)).map_or(0, place);
    let packed = commit
        .records
        .iter()
        .map(|record| record.id.as_ref().map(|id| Bytes::copy_from_slice(id.as_str().as_bytes())));
    (packed.collect(), ids().next().map(|_| twice))
}

/// The arguments of `commit()`.
pub(crate) fn whole(commit: &Commit, min_ttl: Duration) -> Vec<Value> {
    let (run, life) = (&commit.run, commit.fence.incarnation);
    let mut records = Records::default();
    records.add(commit);
    let (ids, twice) = ids(commit);
    let blobs = commit.records.iter().map(|record| {
        (!record.blobs.is_empty()).then(|| record.blobs.iter().flat_map(|name| name.0).collect())
    });
    let named = named(commit);
    let dropped: HashSet<&Digest> = commit.drop_blobs.iter().collect();
    let mut values = vec![
        Value::text(run.as_str()),
        Value::Bytes(Some(incarnation(life))),
        Value::position(commit.fence.epoch),
        Value::Bytes(Some(token(commit.fence.token))),
        Value::Bytes(Some(op(commit))),
        Value::position(commit.expect),
        Value::Many(records.kinds),
        Value::Many(ids),
        Value::Many(blobs.collect()),
        Value::Many(records.sums),
        Value::Many(records.bodies),
        Value::int(records.bytes),
        Value::Int(twice),
        Value::Many(names(&named)),
        Value::int(named.iter().position(|name| dropped.contains(name)).map_or(0, place)),
    ];
    let sum = |sum: milepost_core::Checksum| Some(Bytes::copy_from_slice(&sum.0));
    values.extend([
        Value::Many(names(commit.blobs.iter().map(|blob| &blob.name))),
        Value::Many(commit.blobs.iter().map(|blob| sum(blob.checksum(run, life))).collect()),
        Value::Many(commit.blobs.iter().map(|blob| Some(blob.body.clone())).collect()),
        Value::Many(names(&commit.drop_blobs)),
        Value::Ints(commit.take.iter().map(|number| position(*number)).collect()),
        Value::Int(commit.snapshot.as_ref().map(|snapshot| position(snapshot.cursor))),
        Value::Bytes(commit.snapshot.as_ref().and_then(|snapshot| sum(snapshot.checksum(run, life)))),
        Value::Bytes(commit.snapshot.as_ref().map(|snapshot| snapshot.body.clone())),
        Value::Int(commit.trim.map(position)),
        Value::Bytes(commit.note.as_ref().map(pack_note)),
        Value::flag(commit.advances),
    ]);
    values.extend(lease(commit, min_ttl));
    values.extend(finish(commit, run, life));
    values
}

fn lease(commit: &Commit, min_ttl: Duration) -> [Value; 4] {
    let (kind, at, after) = match commit.lease {
        LeaseChange::Keep => (0, None, None),
        LeaseChange::Extend(_) => (1, None, None),
        LeaseChange::Release(wake) => (2, wake.at.map(|at| at.0), wake.after.map(position)),
    };
    [Value::int(kind), Value::int(extension(commit, min_ttl)), Value::Int(at), Value::Int(after)]
}

fn finish(commit: &Commit, run: &RunId, life: Incarnation) -> [Value; 5] {
    let Some(finish) = &commit.finish else {
        return [Value::int(0), Value::int(-1), Value::Bytes(None), Value::Bytes(None), Value::Bytes(None)];
    };
    let keep = match finish.retain {
        Retain::Keep => -1,
        Retain::KeepFor(duration) => span(duration),
        Retain::Delete => 0,
    };
    let (kind, body, checksum) = pack_outcome(run, life, &finish.outcome);
    [
        Value::int(state(&finish.outcome)),
        Value::int(keep),
        Value::Bytes(Some(kind)),
        Value::bytes(&checksum.0),
        Value::Bytes(Some(body)),
    ]
}
