//! The part of the contract that needs no store: `Invalid`, `TooLarge` and `Unsupported`, in this order, before any
//! trip. Adapters call these first, so that all refuse the same.

use std::{collections::HashSet, hash::Hash};

use crate::{
    At, Capabilities, Capability, Commit, Error, ErrorKind, LeaseChange, Mode, NewMessage, Open, Origin,
    Query, Renew, Result, RunId, RunInfo, Span, Wake,
};

/// All of a [`RunInfo`] together has at most so many bytes: 16 KiB.
pub const INFO_LIMIT: usize = 16 << 10;

/// A note's text has less than so many bytes: 1 KiB.
pub const NOTE_LIMIT: usize = 1 << 10;

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

fn within(what: &str, size: u64, limit: u64) -> Result<()> {
    if size <= limit {
        return Ok(());
    }
    Err(Error::new(ErrorKind::TooLarge, format!("{what} has {size} bytes, this store takes at most {limit}")))
}

fn distinct<T: Hash + Eq>(items: impl IntoIterator<Item = T>, message: &'static str) -> Result<()> {
    let mut seen = HashSet::new();
    if items.into_iter().all(|item| seen.insert(item)) { Ok(()) } else { Err(invalid(message)) }
}

/// Refuses a run id that is longer than the store takes.
fn check_run(run: &RunId, capabilities: &Capabilities) -> Result<()> {
    within("the run id", run.as_str().len() as u64, capabilities.limits.run_id)
}

impl RunInfo {
    fn size(&self) -> usize {
        let labels: usize = self.labels.iter().map(|(key, value)| key.len() + value.len()).sum();
        let parent = self.parent.as_ref().map_or(0, |parent| parent.as_str().len());
        self.name.len() + parent + labels + self.meta.len()
    }
}

impl Open {
    /// Refuses what no store of these capabilities may take.
    ///
    /// # Errors
    ///
    /// `Invalid`: a mode that may create without info and manifest, a zero ttl, an origin past [`Origin::LIMIT`].
    /// `TooLarge`: run id, info. `Unsupported`: an origin without [`Capability::Snapshots`].
    pub fn check(&self, run: &RunId, capabilities: &Capabilities) -> Result<()> {
        if self.mode != Mode::Resume && (self.info.is_none() || self.manifest.is_none()) {
            return Err(invalid("info and manifest are needed to create a run"));
        }
        if self.ttl.is_zero() {
            return Err(invalid("a lease must last longer than nothing"));
        }
        if self.origin.as_ref().is_some_and(|origin| origin.cursor > Origin::LIMIT) {
            return Err(invalid("an origin must lie at 2^52 or before it"));
        }
        check_run(run, capabilities)?;
        if let Some(info) = &self.info {
            within("the run's info", info.size() as u64, INFO_LIMIT as u64)?;
        }
        if self.origin.is_some() {
            capabilities.require(Capability::Snapshots)?;
        }
        Ok(())
    }
}

impl Commit {
    /// Refuses what no store of these capabilities may take.
    ///
    /// # Errors
    ///
    /// `Invalid`: a message or a blob named twice, a blob both carried and dropped, a release that nothing can wake, a
    /// finish with a lease change, a zero ttl. `TooLarge`: any body, all together, the note. `Unsupported`: any part
    /// whose capability is not offered.
    pub fn check(&self, capabilities: &Capabilities) -> Result<()> {
        self.check_sense()?;
        self.check_sizes(capabilities)?;
        self.check_capabilities(capabilities)
    }

    fn check_sense(&self) -> Result<()> {
        distinct(&self.take, "a commit takes each message once")?;
        let blobs = self.blobs.iter().map(|blob| &blob.name);
        distinct(blobs.chain(&self.drop_blobs), "a commit carries or drops each blob once, and not both")?;
        match self.lease {
            LeaseChange::Extend(ttl) if ttl.is_zero() => {
                return Err(invalid("a lease must last longer than nothing"));
            }
            LeaseChange::Release(Wake { at: None, after: None }) => {
                return Err(invalid("a released run needs something to wake it: an instant or a message"));
            }
            _ => {}
        }
        if self.finish.is_some() && self.lease != LeaseChange::Keep {
            return Err(invalid("an outcome ends the lease; it goes with no other change of it"));
        }
        Ok(())
    }

    fn check_sizes(&self, capabilities: &Capabilities) -> Result<()> {
        let limits = &capabilities.limits;
        check_run(&self.run, capabilities)?;
        let mut total = 0;
        for record in &self.records {
            total += record.body.len() as u64;
            within("a record", record.body.len() as u64, limits.record)?;
        }
        for blob in &self.blobs {
            total += blob.body.len() as u64;
            within("a blob", blob.body.len() as u64, limits.blob)?;
        }
        if let Some(snapshot) = &self.snapshot {
            total += snapshot.body.len() as u64;
            within("the snapshot", snapshot.body.len() as u64, limits.snapshot)?;
        }
        if let Some(finish) = &self.finish {
            let size = finish.outcome.size() as u64;
            total += size;
            within("the outcome", size, limits.record)?;
        }
        within("the commit", total, limits.commit)?;
        self.note.as_ref().map_or(Ok(()), |note| note.check())
    }

    fn check_capabilities(&self, capabilities: &Capabilities) -> Result<()> {
        let wakes_by_message = matches!(self.lease, LeaseChange::Release(Wake { after: Some(_), .. }));
        for (needed, capability) in [
            (!self.records.is_empty(), Capability::Log),
            (self.records.iter().any(|record| record.id.is_some()), Capability::RecordIds),
            (self.snapshot.is_some() || self.trim.is_some(), Capability::Snapshots),
            (!self.take.is_empty() || wakes_by_message, Capability::Inbox),
            (
                !self.blobs.is_empty()
                    || !self.drop_blobs.is_empty()
                    || self.records.iter().any(|record| !record.blobs.is_empty()),
                Capability::Blobs,
            ),
        ] {
            if needed {
                capabilities.require(capability)?;
            }
        }
        Ok(())
    }
}

impl Renew {
    /// Refuses what no store may take.
    ///
    /// # Errors
    ///
    /// `Invalid`: a zero ttl. `TooLarge`: the note.
    pub fn check(&self) -> Result<()> {
        if self.ttl.is_zero() {
            return Err(invalid("a lease must last longer than nothing"));
        }
        self.note.as_ref().map_or(Ok(()), |note| note.check())
    }
}

impl NewMessage {
    /// Refuses what no store of these capabilities may take.
    ///
    /// # Errors
    ///
    /// `TooLarge`: the body. `Unsupported`: no [`Capability::Inbox`].
    pub fn check(&self, run: &RunId, capabilities: &Capabilities) -> Result<()> {
        check_run(run, capabilities)?;
        within("the message", self.body.len() as u64, capabilities.limits.record)?;
        capabilities.require(Capability::Inbox)
    }
}

impl Span {
    fn check(&self, capabilities: &Capabilities) -> Result<()> {
        if self.reverse && self.follow {
            return Err(invalid("a stream that follows goes forward"));
        }
        if self.follow {
            capabilities.require(Capability::Follow)?;
        }
        Ok(())
    }

    /// Refuses a span of a log that this store cannot stream.
    ///
    /// # Errors
    ///
    /// `Invalid`: following in reverse. `Unsupported`: [`Capability::Log`], [`Capability::TailStream`] for an `after`
    /// above 0, [`Capability::Follow`].
    pub fn check_log(&self, capabilities: &Capabilities) -> Result<()> {
        capabilities.require(Capability::Log)?;
        if self.after > 0 {
            capabilities.require(Capability::TailStream)?;
        }
        self.check(capabilities)
    }

    /// Refuses a span of an inbox that this store cannot stream.
    ///
    /// # Errors
    ///
    /// `Invalid`: following in reverse. `Unsupported`: [`Capability::Inbox`], [`Capability::Follow`].
    pub fn check_inbox(&self, capabilities: &Capabilities) -> Result<()> {
        capabilities.require(Capability::Inbox)?;
        self.check(capabilities)
    }
}

impl At {
    /// Refuses a snapshot that this store cannot look up.
    ///
    /// # Errors
    ///
    /// `Unsupported`: [`Capability::Snapshots`], [`Capability::History`] for `OrBefore`.
    pub fn check(&self, capabilities: &Capabilities) -> Result<()> {
        capabilities.require(Capability::Snapshots)?;
        match self {
            At::Latest => Ok(()),
            At::OrBefore(_) => capabilities.require(Capability::History),
        }
    }
}

impl Query {
    /// Refuses a listing from a store that offers none.
    ///
    /// # Errors
    ///
    /// `Unsupported`: [`Capability::List`].
    pub fn check(&self, capabilities: &Capabilities) -> Result<()> {
        capabilities.require(Capability::List)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        Blob, Digest, Durability, Fence, Incarnation, Kind, Limits, Manifest, NewRecord, Note, OperationId,
        Outcome, Retain, Snapshot, Timestamp, Token,
    };

    const OFFERED: Capabilities =
        Capabilities::all(Durability::Process).limits(Limits { record: 4, ..Limits::DEFAULT });

    fn run() -> RunId {
        RunId::from_static("r")
    }

    fn commit() -> Commit {
        let fence = Fence { incarnation: Incarnation(1), epoch: 1, token: Token(1) };
        Commit::new(run(), fence, OperationId(1), 1)
    }

    fn record(body: &'static str) -> NewRecord {
        NewRecord::new(Kind::from_static("k"), body)
    }

    #[test]
    fn senseless_and_oversized_commits_are_refused() {
        let done = Outcome::Completed { output: "".into() };
        let blob = Blob::of("x");
        let long = Note { text: "x".repeat(NOTE_LIMIT), ..Note::default() };
        for (commit, expected) in [
            (commit().record(record("4 by")), None),
            (commit().record(record("5 byt")), Some(ErrorKind::TooLarge)),
            (commit().take(1).take(2), None),
            (commit().take(1).take(1), Some(ErrorKind::Invalid)),
            (commit().blob(blob.clone()).blob(blob.clone()), Some(ErrorKind::Invalid)),
            (commit().blob(blob.clone()).drop_blob(blob.name), Some(ErrorKind::Invalid)),
            (commit().release(Wake { at: None, after: None }), Some(ErrorKind::Invalid)),
            (commit().release(Wake::now()), None),
            (commit().release(Wake::now()).finish(done.clone(), Retain::Keep), Some(ErrorKind::Invalid)),
            (commit().finish(done, Retain::Keep), None),
            (commit().extend(Duration::ZERO), Some(ErrorKind::Invalid)),
            (commit().note(long), Some(ErrorKind::TooLarge)),
        ] {
            assert_eq!(commit.check(&OFFERED).err().map(|error| error.kind()), expected, "{commit:?}");
        }
    }

    #[test]
    fn each_part_of_a_commit_asks_for_its_capability() {
        let digest = Digest::of(b"x");
        for (commit, capability) in [
            (commit().record(record("")), Capability::Log),
            (commit().record(record("").id(crate::RecordId::from_static("i"))), Capability::RecordIds),
            (commit().record(record("").blob(digest)), Capability::Blobs),
            (commit().snapshot(Snapshot::new(0, "")), Capability::Snapshots),
            (commit().trim(1), Capability::Snapshots),
            (commit().take(1), Capability::Inbox),
            (commit().release(Wake::message(0).or_at(Timestamp(1))), Capability::Inbox),
            (commit().blob(Blob::of("x")), Capability::Blobs),
            (commit().drop_blob(digest), Capability::Blobs),
        ] {
            assert!(commit.check(&OFFERED).is_ok());
            let refused = commit.check(&OFFERED.without(capability)).unwrap_err();
            assert_eq!(refused.refusal(), Some(&crate::Refusal::Unsupported { capability }));
        }
    }

    #[test]
    fn a_run_is_created_with_info_and_manifest() {
        let open = Open::create(OperationId(1), RunInfo::named("n"), Manifest::of(b""));
        assert!(open.check(&run(), &OFFERED).is_ok());
        let kind = |open: Open| open.check(&run(), &OFFERED).unwrap_err().kind();
        assert_eq!(kind(Open { info: None, ..open.clone() }), ErrorKind::Invalid);
        assert_eq!(kind(open.clone().ttl(Duration::ZERO)), ErrorKind::Invalid);
        let info = RunInfo::named("n").meta(vec![0; INFO_LIMIT]);
        assert_eq!(kind(Open { info: Some(info), ..open }), ErrorKind::TooLarge);
        assert!(Open::resume(OperationId(1)).check(&run(), &OFFERED).is_ok());
    }
}
