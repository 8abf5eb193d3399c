//! Commits as the script takes them.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use milepost_core::{Commit, Digest, LeaseChange, Outcome, RecordId, Retain};

use crate::{
    entry::{pack_blob, pack_record, pack_snapshot},
    known::Known,
    layout::Keys,
    pack::Packer,
    row::{NONE, instant, pack_fence, pack_note, pack_outcome, position, span, state},
};

/// The script of plain commits takes so many records at most.
const MOST_PLAIN: usize = 1_000;

/// A commit as the script takes it.
pub(crate) struct Packed {
    pub(crate) keys: Vec<Vec<u8>>,
    pub(crate) args: Vec<Vec<u8>>,
    /// The blobs that records name and that the commit does not carry, in their order.
    pub(crate) named: Vec<Digest>,
    /// The row that a plain commit leads to. A commit is plain if it has records and a lease that stays or is extended, nothing
    /// else, and goes upon a row that the handle knows.
    pub(crate) plain: Option<Known>,
}

impl Packed {
    /// For the script of plain commits, if it is one upon the known row; else for the one that knows every commit.
    pub(crate) fn new(keys: &Keys, commit: &Commit, min_ttl: Duration, known: Option<&Known>) -> Self {
        let (further, digest) = (Further::of(commit), commit.digest());
        let released = matches!(commit.lease, LeaseChange::Release(_));
        let plain = further.is_none() && !released && commit.records.len() <= MOST_PLAIN;
        match known.filter(|known| plain && known.takes(commit)) {
            Some(known) => Self::plain(keys, commit, digest, min_ttl, known),
            None => Self::whole(keys, commit, digest, min_ttl, further),
        }
    }

    fn plain(keys: &Keys, commit: &Commit, digest: Digest, min_ttl: Duration, known: &Known) -> Self {
        let (run, incarnation) = (&commit.run, commit.fence.incarnation);
        let next = known.after(keys, commit, digest);
        let extends = match commit.lease {
            LeaseChange::Extend(ttl) => Some(span(ttl.max(min_ttl))),
            _ => None,
        };
        let mut keys = vec![keys.run(), keys.due()];
        keys.truncate(1 + usize::from(extends.is_some()));
        let mut header = Packer::default();
        header.byte(keys.len() as u8).u32(count(commit.records.len())).i64(position(known.cursor));
        header.byte(extends.map_or(0, |_| 1 + u8::from(known.draft))).i64(extends.unwrap_or(0));
        let mut args = vec![header.0, known.rest(), known.seal(), next.stored()];
        let records = commit.records.iter().zip(known.places(commit));
        args.extend(records.map(|(record, place)| pack_record(&place, run, incarnation, record)));
        Self { keys, args, named: Vec::new(), plain: Some(next) }
    }

    fn whole(
        keys: &Keys,
        commit: &Commit,
        digest: Digest,
        min_ttl: Duration,
        further: Option<Further<'_>>,
    ) -> Self {
        let (run, incarnation) = (&commit.run, commit.fence.incarnation);
        let mut args = vec![Vec::new()];
        args.extend(further.as_ref().map(Further::header));
        args.extend(commit.records.iter().map(|record| pack_record(&[], run, incarnation, record)));
        let has_further = further.is_some();
        let (more, named) = further.map_or_else(Default::default, |further| further.parts(commit));
        args.extend(more);
        let keys = keys.all();
        args[0] = header(commit, digest, min_ttl, has_further, args.len(), keys.len());
        Self { keys, args, named, plain: None }
    }

    pub(crate) fn size(&self) -> usize {
        self.args.iter().map(Vec::len).sum()
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// `HEADER` of `commit.lua`.
fn header(
    commit: &Commit,
    digest: Digest,
    min_ttl: Duration,
    has_further: bool,
    args: usize,
    keys: usize,
) -> Vec<u8> {
    let (lease, a, b) = match commit.lease {
        LeaseChange::Keep => (0, 0, -1),
        LeaseChange::Extend(ttl) => (1, span(ttl.max(min_ttl)), -1),
        LeaseChange::Release(wake) => (2, wake.at.map_or(NONE, instant), wake.after.map_or(-1, position)),
    };
    let mut packed = Packer::default();
    packed.u32(count(args)).u32(count(keys));
    packed.raw(&commit.id.0.to_le_bytes()).raw(&digest.0).raw(&pack_fence(commit.fence));
    packed.i64(position(commit.expect)).u32(count(commit.records.len()));
    packed.byte(lease).i64(a).i64(b).byte(commit.advances.into()).byte(has_further.into());
    packed.0
}

/// What a commit has beside records and the lease.
struct Further<'a> {
    commit: &'a Commit,
    /// With their places among the records, from 1.
    ids: Vec<(u32, &'a RecordId)>,
    /// The place of the first record whose id stands in the commit already, as the first time; 0: there is none.
    twice: u32,
    /// Each with whether the commit drops it.
    named: Vec<(Digest, bool)>,
}

impl<'a> Further<'a> {
    fn of(commit: &'a Commit) -> Option<Self> {
        let ids: Vec<(u32, &RecordId)> =
            (1..).zip(&commit.records).filter_map(|(at, record)| Some((at, record.id.as_ref()?))).collect();
        let mut first = BTreeMap::new();
        let twice = ids.iter().find_map(|(at, id)| first.insert(*id, *at)).unwrap_or(0);
        let carried: HashSet<&Digest> = commit.blobs.iter().map(|blob| &blob.name).collect();
        let dropped: HashSet<&Digest> = commit.drop_blobs.iter().collect();
        let names = commit.records.iter().flat_map(|record| &record.blobs);
        let named: Vec<(Digest, bool)> = names
            .filter(|name| !carried.contains(name))
            .map(|name| (*name, dropped.contains(name)))
            .collect();
        let none = ids.is_empty()
            && named.is_empty()
            && commit.blobs.is_empty()
            && commit.drop_blobs.is_empty()
            && commit.take.is_empty()
            && commit.snapshot.is_none()
            && commit.trim.is_none()
            && commit.note.is_none()
            && commit.finish.is_none();
        (!none).then_some(Self { commit, ids, twice, named })
    }

    /// `FURTHER` of `commit.lua`.
    fn header(&self) -> Vec<u8> {
        let Self { commit, ids, twice, named } = self;
        let keep = commit.finish.as_ref().map_or(-1, |finish| match finish.retain {
            Retain::Keep => -1,
            Retain::KeepFor(duration) => span(duration),
            Retain::Delete => 0,
        });
        let mut packed = Packer::default();
        packed.u32(count(ids.len())).u32(*twice).u32(count(named.len())).u32(count(commit.blobs.len()));
        packed.u32(count(commit.drop_blobs.len())).u32(count(commit.take.len()));
        packed.byte(commit.snapshot.is_some().into());
        packed.i64(commit.snapshot.as_ref().map_or(-1, |snapshot| position(snapshot.cursor)));
        packed.i64(commit.trim.map_or(-1, position)).byte(commit.note.is_some().into());
        packed.byte(commit.finish.as_ref().map_or(0, |finish| state(&finish.outcome))).i64(keep);
        packed.0
    }

    fn parts(self, commit: &Commit) -> (Vec<Vec<u8>>, Vec<Digest>) {
        let (run, incarnation) = (&commit.run, commit.fence.incarnation);
        let mut args = Vec::new();
        for (at, id) in self.ids {
            args.extend([id.as_str().into(), at.to_string().into_bytes()]);
        }
        for (name, dropped) in &self.named {
            let mark: &[u8] = if *dropped { b"-" } else { b"" };
            args.push([&name.0[..], mark].concat());
        }
        for blob in &commit.blobs {
            args.extend([blob.name.0.to_vec(), pack_blob(run, incarnation, blob)]);
        }
        args.extend(commit.drop_blobs.iter().map(|name| name.0.to_vec()));
        args.extend(commit.take.iter().map(|number| number.to_string().into_bytes()));
        args.extend(commit.snapshot.iter().map(|snapshot| pack_snapshot(run, incarnation, snapshot)));
        args.extend(commit.note.iter().map(pack_note));
        let outcome: Option<&Outcome> = commit.finish.as_ref().map(|finish| &finish.outcome);
        args.extend(outcome.map(|outcome| pack_outcome(run, incarnation, outcome)));
        (args, self.named.into_iter().map(|(name, _)| name).collect())
    }
}
