//! New runs that go on from where another one stood.
//!
//! A fork has the other's log up to a cursor as its own, record for record, and the values that it names; the other run is
//! only read. It is made as a draft, which is never due, so nobody finds a fork that is half there; who was cut short asks
//! for the same fork again, and goes on with the copy.

use std::collections::HashSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use milepost_core::{
    Blob, Commit, Cursor, Digest, Error, ErrorKind, Fence, Head, Lineage, NewRecord, Open, Opened, Origin,
    Record, Refusal, Result, RunId, RunInfo, Snapshot, Span, Store,
};
use serde_json::value::RawValue;

use crate::{
    Ended, Handle, Runner,
    base::Base,
    event::Event,
    log::Means,
    meta::{Bounds, Meta, describe, manifest},
    open::{ask, input_of},
    place::Place,
    start::is_free,
};

impl Runner {
    /// Begins the run `fork` with what `source` had recorded up to `cursor`, and drives it here: what had finished by then is
    /// answered from the log, everything after it is done anew, under idempotency keys of its own. Its
    /// [lineage](milepost_core::Head::origin) says where it comes from. The source is not changed, whatever it is doing.
    ///
    /// Children that had not ended by then are begun anew, as the fork's own. Signals that were waited for are waited for
    /// again. Labels, budget and the time for a deadline are the source's; a deadline counts from now.
    ///
    /// # Errors
    ///
    /// `NotFound`; `Invalid` for a cursor that the source has not come to; `Trimmed`; `AlreadyExists` for a run that is
    /// there and is not this fork, half made; `Invalid` where the source's handler is not registered. Those of reading and
    /// writing. A dropped future leaves a draft, with which the same call goes on.
    pub async fn fork(&self, source: &RunId, cursor: Cursor, fork: RunId) -> Result<Handle> {
        let store = self.store();
        let head = store.head(source).await?.ok_or(Refusal::NotFound)?;
        self.shared().handler(&head.info.name)?;
        if cursor > head.cursor {
            let message =
                format!("run {source} has {} records, and was to be forked at {cursor}", head.cursor);
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let input = input_of(store, &head).await?;
        let shared = shared_records(store, &head, cursor).await?;
        // Its maker goes on with it: let go of, it might be somebody else's before it is opened here.
        let made = self.copy(&head, cursor, &fork, shared, input).await?;
        self.open(&fork, Open::resume(self.shared().means.ids.operation()).over(made)).await
    }

    /// Makes several [forks](Runner::fork) of one source, of which at most `at_once` are made and driven at the same time;
    /// gives how this process' work on each ended.
    ///
    /// # Errors
    ///
    /// Those of [`Runner::fork`], each in the place of its fork.
    ///
    /// # Panics
    ///
    /// When `at_once` is 0.
    pub async fn forks(
        &self,
        source: &RunId,
        cursor: Cursor,
        forks: impl IntoIterator<Item = RunId>,
        at_once: usize,
    ) -> Vec<Result<Ended>> {
        assert!(at_once > 0, "nothing is ever forked with none at once");
        let forks: Vec<RunId> = forks.into_iter().collect();
        let driven = forks.into_iter().map(|fork| async move {
            let handle = self.fork(source, cursor, fork).await?;
            Ok(handle.ended().await)
        });
        stream::iter(driven).buffered(at_once).collect().await
    }

    /// Makes the fork, or goes on with making it, and holds its lease.
    async fn copy(
        &self,
        source: &Head,
        cursor: Cursor,
        fork: &RunId,
        records: Vec<Record>,
        input: Box<RawValue>,
    ) -> Result<Fence> {
        let lineage = Lineage { run: source.run.clone(), incarnation: source.fence.incarnation, cursor };
        let opened = self.draft(source, fork, &lineage, &input).await?;
        let mut copy = Copy {
            means: &self.shared().means,
            source: source.run.clone(),
            opened,
            carried: HashSet::new(),
            records: Vec::new(),
            blobs: Vec::new(),
            size: 0,
        };
        for record in records.into_iter().skip(copy.opened.head.cursor as usize) {
            copy.add(record).await?;
        }
        copy.end(input).await
    }

    async fn draft(
        &self,
        source: &Head,
        fork: &RunId,
        lineage: &Lineage,
        input: &RawValue,
    ) -> Result<Opened> {
        let shared = self.shared();
        let meta = Meta::of(source)?;
        let bounds = Bounds { within: meta.within(), budget: meta.budget, parent: None };
        let info = RunInfo { parent: None, ..source.info.clone() };
        let (info, _) = describe(info, input, bounds);
        let origin = Origin { cursor: 0, lineage: Some(lineage.clone()) };
        let open = Open::create(shared.means.ids.operation(), info, manifest(fork, &source.info.name, input))
            .owner(shared.owner.clone())
            .ttl(shared.settings.ttl)
            .origin(origin.clone());
        match ask(&shared.means, || shared.means.store.open(fork, open.clone())).await {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let head = shared.means.store.head(fork).await?;
                let half_made = |head: &Head| head.draft && is_free(head) && head.origin == Some(origin);
                let Some(head) = head.filter(half_made) else { return Err(error) };
                let open = Open::resume(shared.means.ids.operation()).over(head.fence);
                let open = open.owner(shared.owner.clone()).ttl(shared.settings.ttl);
                ask(&shared.means, || shared.means.store.open(fork, open.clone())).await
            }
            other => other,
        }
    }
}

/// The records of a fork: those of its source up to the cursor, without the children that had not ended.
async fn shared_records(store: &dyn Store, head: &Head, cursor: Cursor) -> Result<Vec<Record>> {
    let span = Span::all().until(cursor).incarnation(head.fence.incarnation);
    let records: Vec<Record> =
        if cursor == 0 { Vec::new() } else { store.stream(&head.run, span).try_collect().await? };
    let mut live = HashSet::<Place>::new();
    let about = |record: &Record| {
        Ok::<_, Error>(match Event::read(record)? {
            Some((_, Event::ChildBegan { at, .. } | Event::ChildRestarted { at, .. })) => Some((at, true)),
            Some((_, Event::ChildSettled { at, .. })) => Some((at, false)),
            _ => None,
        })
    };
    for record in &records {
        match about(record)? {
            Some((at, true)) => drop(live.insert(at)),
            Some((at, false)) => drop(live.remove(&at)),
            None => {}
        }
    }
    let mut shared = Vec::with_capacity(records.len());
    for record in records {
        if about(&record)?.is_none_or(|(at, _)| !live.contains(&at)) {
            shared.push(record);
        }
    }
    Ok(shared)
}

/// A fork that is being made: as many records a commit as one takes.
struct Copy<'a> {
    means: &'a Means,
    source: RunId,
    opened: Opened,
    /// The blobs that the fork has.
    carried: HashSet<Digest>,
    /// What goes with the next commit, and how large that is.
    records: Vec<NewRecord>,
    blobs: Vec<Blob>,
    size: u64,
}

impl Copy<'_> {
    async fn add(&mut self, record: Record) -> Result<()> {
        /// Records of one commit.
        const MOST: usize = 256;
        let mut blobs = Vec::new();
        for name in record.blobs.iter().filter(|name| !self.carried.contains(name)) {
            let body = self.means.store.blob(&self.source, name).await?.ok_or_else(|| {
                let message = format!("the log of run {} names blob {name}, which is not there", self.source);
                Error::new(ErrorKind::Corrupt, message)
            })?;
            blobs.push(Blob { name: *name, body });
        }
        let size = record.body.len() + blobs.iter().map(|blob| blob.body.len()).sum::<usize>();
        let limit = self.means.store.capabilities().limits.commit;
        if self.records.len() == MOST || (self.size > 0 && self.size + size as u64 > limit) {
            let commit = self.commit();
            self.send(commit).await?;
        }
        self.carried.extend(record.blobs.iter().copied());
        let copied = NewRecord::new(record.kind, record.body);
        self.records.push(record.blobs.into_iter().fold(copied, NewRecord::blob));
        self.blobs.extend(blobs);
        self.size += size as u64;
        Ok(())
    }

    /// The snapshot at its origin makes it a run.
    async fn end(mut self, input: Box<RawValue>) -> Result<Fence> {
        let commit = self.commit();
        self.send(commit).await?;
        let body = serde_json::to_vec(&Base::of_input(input)).unwrap_or_default();
        let commit = self.commit().snapshot(Snapshot::new(0, body));
        self.send(commit).await?;
        Ok(self.opened.fence)
    }

    /// A commit of what was gathered.
    fn commit(&mut self) -> Commit {
        self.size = 0;
        let Opened { fence, head, .. } = &self.opened;
        let mut commit = Commit::new(head.run.clone(), *fence, self.means.ids.operation(), head.version);
        commit.blobs = std::mem::take(&mut self.blobs);
        commit.records(std::mem::take(&mut self.records))
    }

    async fn send(&mut self, commit: Commit) -> Result<()> {
        let committed = ask(self.means, || self.means.store.commit(commit.clone())).await?;
        self.opened.head.version = committed.version;
        Ok(())
    }
}
