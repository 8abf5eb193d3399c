//! The one that writes: builds each commit of a run, sends it until it is settled, and knows what is durable.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use milepost_core::{
    Applied, Capabilities, Clash, Clock, Commit, Cursor, Error, ErrorKind, Fence, Finish, Head, Ids, Kind,
    LeaseChange, NewRecord, Outcome, Refusal, Result, RunId, Saved, Snapshot, Store, Version, Wake,
};

use crate::{
    chain::{Chain, checksum},
    delta::diff,
    envelope::Envelope,
    policy::{SnapshotPolicy, Track, weight},
    restore::Restore,
    settings::{Keep, Settings},
};

/// The kind of the records that hold states and patches.
pub(crate) const STATE_KIND: &str = "milepost/state";

/// What of an engine others look at while it works.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    /// The newest acknowledged record.
    cursor: AtomicU64,
    /// When the lease was last extended, in microseconds of the clock's monotonic time.
    extended: AtomicU64,
}

impl Vitals {
    pub(crate) fn cursor(&self) -> Cursor {
        self.cursor.load(Ordering::Acquire)
    }

    pub(crate) fn extended(&self) -> Duration {
        Duration::from_micros(self.extended.load(Ordering::Acquire))
    }

    /// The lease was extended by a write that began at `elapsed`.
    pub(crate) fn extend(&self, elapsed: Duration) {
        self.extended.fetch_max(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX), Ordering::AcqRel);
    }
}

/// What a program brings along: where to write, by which rules.
#[derive(Clone, Debug)]
pub(crate) struct Means {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) settings: Arc<Settings>,
    /// The codec of the states.
    pub(crate) codec: u8,
}

/// Whether a commit carries a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SnapshotWish {
    /// As the policy says.
    Policy,
    /// Unless the policy is `Never`.
    Always,
}

/// What a commit does beside saving.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// Nothing: the run goes on.
    GoOn,
    /// Lets go of the run.
    Release(Wake),
    /// Ends it.
    Finish(Finish),
}

/// What becomes true when a commit holds.
#[derive(Clone, Debug)]
struct After {
    cursor: Cursor,
    chain: Chain,
    state: Option<Bytes>,
    track: Track,
    /// How many of the pending records it carries.
    records: usize,
}

/// The writer of one driven run.
#[derive(Debug)]
pub(crate) struct Engine {
    means: Means,
    run: RunId,
    fence: Fence,
    capabilities: Capabilities,
    version: Version,
    cursor: Cursor,
    chain: Chain,
    /// The newest durable state.
    state: Option<Bytes>,
    track: Track,
    /// The program's own records that are not durable yet.
    records: Vec<NewRecord>,
    /// A commit that was sent and not answered for sure. It is settled before anything else is written.
    in_doubt: Option<(Commit, After)>,
    vitals: Arc<Vitals>,
}

impl Engine {
    pub(crate) fn new(means: Means, fence: Fence, head: &Head, restored: &Restore) -> Self {
        let vitals = Arc::new(Vitals::default());
        vitals.cursor.store(head.cursor, Ordering::Release);
        vitals.extend(means.clock.elapsed());
        Self {
            capabilities: means.store.capabilities(),
            run: head.run.clone(),
            fence,
            version: head.version,
            cursor: head.cursor,
            chain: restored.chain,
            state: restored.state.clone(),
            track: restored.track.clone(),
            records: Vec::new(),
            in_doubt: None,
            vitals,
            means,
        }
    }

    pub(crate) fn vitals(&self) -> Arc<Vitals> {
        self.vitals.clone()
    }

    /// Saves a state with whatever else is pending.
    pub(crate) async fn save(&mut self, state: Bytes, wish: SnapshotWish) -> Result<Saved> {
        self.settle_doubt().await?;
        let unchanged = self.records.is_empty() && self.state.as_ref() == Some(&state);
        if unchanged && !self.wants_snapshot(wish, &self.track, false, self.cursor, state.len()) {
            return Ok(Saved::Unchanged);
        }
        self.write(Some(state), wish, End::GoOn).await?;
        Ok(Saved::Persisted { cursor: self.cursor })
    }

    /// Appends the program's own records. They stay pending after an error that is not about themselves.
    pub(crate) async fn append(&mut self, records: Vec<NewRecord>) -> Result<Cursor> {
        let probe = Commit::new(self.run.clone(), self.fence, self.means.ids.operation(), self.version);
        probe.records(records.iter().cloned()).check(&self.capabilities)?;
        if let Err(error) = self.flush().await {
            self.records.extend(records);
            return Err(error);
        }
        if records.is_empty() {
            return Ok(self.cursor);
        }
        self.records = records;
        let result = self.write(None, SnapshotWish::Policy, End::GoOn).await;
        if let Err(error) = &result
            && matches!(error.kind(), ErrorKind::Duplicate | ErrorKind::Conflict | ErrorKind::TooLarge)
        {
            self.records.clear();
        }
        result.map(|()| self.cursor)
    }

    /// Writes the records that are pending.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        self.settle_doubt().await?;
        if self.records.is_empty() { Ok(()) } else { self.write(None, SnapshotWish::Policy, End::GoOn).await }
    }

    /// Saves a last state, if there is one, and lets go of the run or ends it, in one commit.
    pub(crate) async fn end(&mut self, state: Option<Bytes>, end: End) -> Result<()> {
        self.settle_doubt().await?;
        self.write(state, SnapshotWish::Policy, end).await
    }

    /// Sends the commit in doubt again, if there is one.
    async fn settle_doubt(&mut self) -> Result<()> {
        if self.in_doubt.is_some() { self.settle(true).await } else { Ok(()) }
    }

    async fn write(&mut self, state: Option<Bytes>, wish: SnapshotWish, end: End) -> Result<()> {
        let prepared = self.prepare(state, wish, end);
        prepared.0.check(&self.capabilities)?;
        // Before the first await: a dropped future leaves the commit in doubt, like a lost acknowledgement.
        self.in_doubt = Some(prepared);
        self.settle(false).await
    }

    /// Sends the commit in doubt and, once it holds, takes over what it made true.
    async fn settle(&mut self, again: bool) -> Result<()> {
        let Some((commit, _)) = &self.in_doubt else { return Ok(()) };
        let began = self.means.clock.elapsed();
        let error = match self.means.store.commit(commit.clone()).await {
            Ok(committed) => {
                if let Some((_, after)) = self.in_doubt.take() {
                    debug_assert_eq!(committed.cursor, after.cursor, "cursors are known beforehand");
                    self.version = committed.version;
                    self.cursor = after.cursor;
                    self.chain = after.chain;
                    self.state = after.state;
                    self.track = after.track;
                    self.records.drain(..after.records);
                }
                self.vitals.cursor.store(self.cursor, Ordering::Release);
                self.vitals.extend(began);
                return Ok(());
            }
            Err(error) => error,
        };
        // What was sent before may have been applied, whatever is said of this attempt; only a refusal settles it.
        let settled = error.refusal().is_some() || (!again && error.applied() == Some(Applied::No));
        if settled {
            self.in_doubt = None;
        }
        let error = self.set_back(error);
        Err(if again { error.with_applied(Applied::Maybe) } else { error })
    }

    /// A store whose version is below an acknowledged one has lost data; that is no conflict.
    fn set_back(&self, error: Error) -> Error {
        match error.refusal() {
            Some(Refusal::Conflict { head, clash: Clash::Version }) if head.version < self.version => {
                let message = format!(
                    "the store has lost acknowledged data: the run is at version {}, it was at {}",
                    head.version, self.version
                );
                Error::new(ErrorKind::SetBack, message).with_source(error)
            }
            _ => error,
        }
    }

    fn prepare(&self, state: Option<Bytes>, wish: SnapshotWish, end: End) -> (Commit, After) {
        let log = self.capabilities.supports_log();
        let mut commit = Commit::new(self.run.clone(), self.fence, self.means.ids.operation(), self.version)
            .records(self.records.iter().cloned());
        let mut after = After {
            cursor: 0,
            chain: self.records.iter().fold(self.chain, link),
            state: self.state.clone(),
            track: self.track.clone(),
            records: self.records.len(),
        };
        let changed = state.is_some() && state != self.state;
        let sum = state.as_ref().map(|state| checksum(state));
        if let (Some(state), Some(sum), true) = (&state, sum, changed) {
            if log {
                let record = self.state_record(state, sum, after.chain);
                after.chain = link(after.chain, &record);
                commit = commit.record(record);
            }
            commit = commit.advances();
            after.state = Some(state.clone());
        }
        after.cursor = self.cursor + commit.records.len() as u64;
        if changed || !commit.records.is_empty() {
            after.track.checkpoint(commit.records.iter().map(|record| weight(record.body.len())).sum());
        }
        let completing =
            matches!(&end, End::Finish(finish) if matches!(finish.outcome, Outcome::Completed { .. }));
        commit = match end {
            End::GoOn => commit.extend(self.means.settings.ttl),
            End::Release(wake) => commit.release(wake),
            End::Finish(finish) => {
                Commit { finish: Some(finish), lease: LeaseChange::Keep, ..commit }.advances()
            }
        };
        // The state that stands after this commit, which is the persisted one when a completion brings no newer.
        let standing = if completing { after.state.clone() } else { state };
        if let Some(state) = standing {
            let wish = if completing && self.means.settings.snapshots == SnapshotPolicy::OnComplete {
                SnapshotWish::Always
            } else {
                wish
            };
            if self.wants_snapshot(wish, &after.track, changed, after.cursor, state.len()) {
                let sum = sum.unwrap_or_else(|| checksum(&state));
                commit = self.add_snapshot(commit, &state, sum, &mut after);
            }
        }
        (commit, after)
    }

    /// The record that turns the persisted state into `state`: a patch where that is smaller, else the whole.
    fn state_record(&self, state: &Bytes, sum: [u8; 16], chain: Chain) -> NewRecord {
        let whole = || Envelope::whole(self.means.codec, state, sum, chain);
        let body = match &self.state {
            None => whole().encode(),
            Some(old) => {
                let payload = Bytes::from(diff(old, state).encode());
                let clearly_smaller = payload.len() < state.len() / 4;
                let patch = Envelope { patch: true, payload, ..whole() }.encode();
                if clearly_smaller {
                    patch
                } else {
                    // Either may compress better.
                    let whole = whole().encode();
                    if patch.len() < whole.len() { patch } else { whole }
                }
            }
        };
        NewRecord::new(Kind::from_static(STATE_KIND), body)
    }

    fn wants_snapshot(
        &self,
        wish: SnapshotWish,
        track: &Track,
        changed: bool,
        cursor: Cursor,
        state: usize,
    ) -> bool {
        if !self.capabilities.supports_snapshots() {
            return false;
        }
        if !self.capabilities.supports_log() {
            return changed;
        }
        let policy = self.means.settings.snapshots;
        match wish {
            SnapshotWish::Policy => changed && track.is_due(policy, cursor, state as u64),
            SnapshotWish::Always => policy != SnapshotPolicy::Never && track.newest != Some(cursor),
        }
    }

    fn add_snapshot(&self, commit: Commit, state: &Bytes, sum: [u8; 16], after: &mut After) -> Commit {
        let body = Envelope::whole(self.means.codec, state, sum, after.chain).encode();
        let trims = self.means.settings.keep == Keep::Trim && self.capabilities.supports_tail_stream();
        after.track.snapshot(after.cursor, body.len());
        let commit = commit.snapshot(Snapshot::new(after.cursor, body));
        match after.track.second.filter(|_| trims) {
            Some(through) => commit.trim(through),
            None => commit,
        }
    }
}

fn link(chain: Chain, record: &NewRecord) -> Chain {
    chain.link(&record.kind, record.id.as_ref(), &record.body)
}
