//! The one that writes: builds each commit of a run, sends it until it is settled, and knows what is durable.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use milepost_core::{
    Applied, Capabilities, Clash, Clock, Commit, Cursor, Error, ErrorKind, Fence, Finish, Head, Ids, Kind,
    NewRecord, Outcome, Refusal, Result, RunId, Saved, Snapshot, Store, Version, Wake,
};
use tracing::warn;

use crate::{
    appender::{Batch, Offers},
    chain::{Chain, checksum},
    delta::diff,
    envelope::Envelope,
    policy::{SnapshotPolicy, Track, weight},
    restore::Restore,
    settings::{Keep, Settings},
    vitals::Vitals,
};

/// The kind of the records that hold states and patches.
pub(crate) const STATE_KIND: &str = "milepost/state";

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
    state_cursor: Cursor,
    track: Track,
    /// How many of the pending batches it carries.
    batches: usize,
    end: End,
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
    /// Its record, or the snapshot that it was read from.
    state_cursor: Cursor,
    track: Track,
    /// What was offered to be appended and nobody has taken in yet.
    offers: Offers,
    /// The program's own records that are not durable yet.
    pending: VecDeque<Batch>,
    /// How many of them go in a commit of their own each, because one among them has made the store refuse all.
    alone: usize,
    /// A commit that was sent and not answered for sure. It is settled before anything else is written.
    in_doubt: Option<(Commit, After)>,
    /// Whether a commit in doubt was refused when it was sent again: it may have held before, so no later refusal says
    /// that nothing was applied.
    doubtful: bool,
    /// How the run was ended or let go of.
    ended: Option<End>,
    vitals: Arc<Vitals>,
}

impl Engine {
    pub(crate) fn new(means: Means, fence: Fence, head: &Head, restored: &Restore, offers: Offers) -> Self {
        let vitals = Arc::new(Vitals::default());
        vitals.acknowledge(head.cursor);
        vitals.extend(means.clock.elapsed());
        Self {
            capabilities: means.store.capabilities(),
            run: head.run.clone(),
            fence,
            version: head.version,
            cursor: head.cursor,
            chain: restored.chain,
            state: restored.state.clone(),
            state_cursor: restored.state_cursor,
            track: restored.track.clone(),
            offers,
            pending: VecDeque::new(),
            alone: 0,
            in_doubt: None,
            doubtful: false,
            ended: None,
            vitals,
            means,
        }
    }

    pub(crate) fn cursor(&self) -> Cursor {
        self.cursor
    }

    pub(crate) fn vitals(&self) -> Arc<Vitals> {
        self.vitals.clone()
    }

    /// Saves a state with whatever else is pending.
    pub(crate) async fn save(&mut self, state: Bytes, wish: SnapshotWish) -> Result<Saved> {
        self.catch_up().await?;
        let unchanged = self.pending.is_empty() && self.state.as_ref() == Some(&state);
        if unchanged && !self.wants_snapshot(wish, &self.track, false, self.cursor, state.len()) {
            return Ok(Saved::Unchanged);
        }
        self.write(Some(state), wish, End::GoOn).await?;
        Ok(Saved::Persisted { cursor: self.cursor })
    }

    /// Writes the records that are pending, and tells the newest one's cursor.
    pub(crate) async fn flush(&mut self) -> Result<Cursor> {
        self.catch_up().await?;
        if !self.pending.is_empty() {
            self.write(None, SnapshotWish::Policy, End::GoOn).await?;
        }
        Ok(self.cursor)
    }

    /// Saves a last state, if there is one, and lets go of the run or ends it, in one commit. The same end again, after
    /// an error that left it in doubt, is answered by what became of it.
    pub(crate) async fn end(&mut self, state: Option<Bytes>, end: End) -> Result<()> {
        self.settle_doubt().await?;
        if self.ended.as_ref() == Some(&end) {
            return Ok(());
        }
        self.catch_up().await?;
        self.write(state, SnapshotWish::Policy, end).await
    }

    /// Settles the commit in doubt and takes in what was offered, unless the run has ended.
    async fn catch_up(&mut self) -> Result<()> {
        self.settle_doubt().await?;
        if self.ended.is_some() {
            return Err(closed());
        }
        self.offers.drain_into(&mut self.pending);
        Ok(())
    }

    /// Sends the commit in doubt again, if there is one.
    async fn settle_doubt(&mut self) -> Result<()> {
        if self.in_doubt.is_some() { self.settle(true).await.map(drop) } else { Ok(()) }
    }

    /// Writes the state, what is pending and the end in one commit; in several where a store takes no such commit, or
    /// has refused one for a batch in it.
    async fn write(&mut self, state: Option<Bytes>, wish: SnapshotWish, end: End) -> Result<()> {
        let bare = state.is_none() && end == End::GoOn;
        loop {
            if self.alone > 0 {
                self.send_ahead(1).await?;
            } else {
                let prepared = self.prepare(self.pending.len(), state.clone(), wish, end.clone());
                match prepared.0.check(&self.capabilities) {
                    Ok(()) => {
                        if self.send(prepared).await? {
                            return Ok(());
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::TooLarge && !self.pending.is_empty() => {
                        self.send_ahead(self.fitting()).await?;
                    }
                    Err(error) => return Err(error),
                }
            }
            if bare && self.pending.is_empty() {
                return Ok(());
            }
        }
    }

    /// Writes some of the pending batches in a commit of their own.
    async fn send_ahead(&mut self, batches: usize) -> Result<()> {
        let prepared = self.prepare(batches, None, SnapshotWish::Policy, End::GoOn);
        prepared.0.check(&self.capabilities)?;
        self.send(prepared).await.map(drop)
    }

    /// How many of the pending batches one commit takes: at least one, for each was checked when it was offered.
    fn fitting(&self) -> usize {
        let mut total = 0;
        let fits = |batch: &&Batch| {
            total += batch.records.iter().map(|record| record.body.len() as u64).sum::<u64>();
            total <= self.capabilities.limits.commit
        };
        self.pending.iter().take_while(fits).count().max(1)
    }

    /// Sends a new commit; see [`Engine::settle`].
    async fn send(&mut self, prepared: (Commit, After)) -> Result<bool> {
        self.vitals.set_unsettled(true);
        self.vitals.set_ending(prepared.1.end != End::GoOn);
        // Before the first await: a dropped future leaves the commit in doubt, like a lost acknowledgement.
        self.in_doubt = Some(prepared);
        self.settle(false).await
    }

    /// Sends the commit in doubt and, once it holds, takes over what it made true.
    ///
    /// `false` when it was refused for a batch of records and may be tried without that one: its author was told, or,
    /// where it is not known which, they go one by one from now on.
    async fn settle(&mut self, again: bool) -> Result<bool> {
        let Some((commit, after)) = &self.in_doubt else { return Ok(true) };
        let batches = after.batches;
        let began = self.means.clock.elapsed();
        let error = match self.means.store.commit(commit.clone()).await {
            Ok(committed) => {
                debug_assert_eq!(committed.cursor, after.cursor, "cursors are known beforehand");
                self.version = committed.version;
                self.hold(began);
                return Ok(true);
            }
            Err(error) => error,
        };
        // What was sent before may have been applied, whatever is said of this attempt; only a refusal settles it.
        let refused = error.refusal().is_some();
        let maybe = again || self.doubtful;
        if refused || (!again && error.applied() == Some(Applied::No)) {
            self.in_doubt = None;
            self.doubtful = maybe;
            self.vitals.set_unsettled(maybe);
            self.vitals.set_ending(false);
        }
        let error = self.set_back(error);
        let error = if maybe { error.with_applied(Applied::Maybe) } else { error };
        if refused && is_about_records(&error) && batches > 0 {
            self.refuse(batches, error).map(|()| false)
        } else {
            for batch in &mut self.pending {
                batch.answer(&Err(error.repeat()));
            }
            Err(error)
        }
    }

    /// The commit in doubt holds.
    fn hold(&mut self, began: Duration) {
        let Some((_, after)) = self.in_doubt.take() else { return };
        self.cursor = after.cursor;
        self.chain = after.chain;
        self.state = after.state;
        self.state_cursor = after.state_cursor;
        self.track = after.track;
        self.doubtful = false;
        self.ended = (after.end != End::GoOn).then_some(after.end);
        self.alone = self.alone.saturating_sub(after.batches);
        for mut batch in self.pending.drain(..after.batches) {
            batch.answer(&Ok(after.cursor));
        }
        self.vitals.acknowledge(self.cursor);
        self.vitals.set_unsettled(false);
        self.vitals.extend(began);
    }

    /// Drops a batch that the store refuses; of several it is found out which.
    fn refuse(&mut self, batches: usize, error: Error) -> Result<()> {
        if batches > 1 {
            self.alone = batches;
            return Ok(());
        }
        self.alone = self.alone.saturating_sub(1);
        let told = self.pending.pop_front().is_some_and(|mut batch| batch.answer(&Err(error.repeat())));
        if told { Ok(()) } else { Err(error) }
    }

    /// A store whose version is below an acknowledged one, or whose fence is one that this one came after, has lost
    /// data; that is neither a conflict nor a takeover.
    fn set_back(&self, error: Error) -> Error {
        let found = match error.refusal() {
            Some(Refusal::Conflict { head, clash: Clash::Version }) if head.version < self.version => {
                format!("the run is at version {}, it was at {}", head.version, self.version)
            }
            Some(Refusal::Fenced { current }) if self.fence.supersedes(*current) => {
                format!("the run is at epoch {}, it was at {}", current.epoch, self.fence.epoch)
            }
            _ => return error,
        };
        let applied = error.applied().unwrap_or(Applied::Maybe);
        Error::new(ErrorKind::SetBack, format!("the store has lost acknowledged data: {found}"))
            .with_source(error)
            .with_applied(applied)
    }

    /// The commit of the first `batches` that are pending, a state and an end.
    fn prepare(&self, batches: usize, state: Option<Bytes>, wish: SnapshotWish, end: End) -> (Commit, After) {
        let records = || self.pending.iter().take(batches).flat_map(|batch| &batch.records);
        let mut commit = Commit::new(self.run.clone(), self.fence, self.means.ids.operation(), self.version)
            .records(records().cloned());
        let mut after = After {
            cursor: 0,
            chain: records().fold(self.chain, link),
            state: self.state.clone(),
            state_cursor: self.state_cursor,
            track: self.track.clone(),
            batches,
            end: end.clone(),
        };
        let changed = match &state {
            Some(state) => self.state.as_ref() != Some(state) || self.restates(wish, commit.records.len()),
            None => false,
        };
        let sum = state.as_ref().map(|state| checksum(state));
        if let (Some(state), Some(sum), true) = (&state, sum, changed) {
            if self.capabilities.supports_log() {
                let record = self.state_record(state, sum, after.chain);
                after.chain = link(after.chain, &record);
                commit = commit.record(record);
            }
            commit = commit.advances();
            after.state = Some(state.clone());
        }
        after.cursor = self.cursor + commit.records.len() as u64;
        if changed {
            after.state_cursor = after.cursor;
        }
        if changed || !commit.records.is_empty() {
            after.track.checkpoint(commit.records.iter().map(|record| weight(record.body.len())).sum());
        }
        let completing =
            matches!(&end, End::Finish(finish) if matches!(finish.outcome, Outcome::Completed { .. }));
        commit = match end {
            End::GoOn => commit.extend(self.means.settings.ttl),
            End::Release(wake) => commit.release(wake),
            End::Finish(finish) => Commit { finish: Some(finish), ..commit }.advances(),
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

    /// Whether an unchanged state is recorded again because a snapshot is to say that it covers the program's own
    /// records after it: a replay of the log must find the same.
    fn restates(&self, wish: SnapshotWish, records: usize) -> bool {
        wish == SnapshotWish::Always
            && self.capabilities.supports_log()
            && self.capabilities.supports_snapshots()
            && self.means.settings.snapshots != SnapshotPolicy::Never
            && self.state_cursor < self.cursor + records as u64
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

    /// Adds the snapshot, unless the store has a log and takes no commit as large: a snapshot only shortens a resume.
    fn add_snapshot(&self, commit: Commit, state: &Bytes, sum: [u8; 16], after: &mut After) -> Commit {
        let body = Envelope::whole(self.means.codec, state, sum, after.chain).encode();
        let size = body.len();
        let with = commit.clone().snapshot(Snapshot::new(after.cursor, body));
        if self.capabilities.supports_log()
            && commit.check(&self.capabilities).is_ok()
            && let Err(error) = with.check(&self.capabilities)
        {
            warn!(run = %self.run, %error, "no snapshot is written; a resume reads the log instead");
            return commit;
        }
        let trims = self.means.settings.keep == Keep::Trim && self.capabilities.supports_tail_stream();
        after.track.snapshot(after.cursor, size);
        match after.track.second.filter(|_| trims) {
            Some(through) => with.trim(through),
            None => with,
        }
    }
}

/// The answer to who goes on with a run that has ended.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the run has been released, completed or failed").with_applied(Applied::No)
}

/// Whether a commit was refused for what the program's own records are.
fn is_about_records(error: &Error) -> bool {
    matches!(
        error.refusal(),
        Some(Refusal::Duplicate { .. } | Refusal::Conflict { clash: Clash::MissingBlob(_), .. })
    )
}

fn link(chain: Chain, record: &NewRecord) -> Chain {
    chain.link(&record.kind, record.id.as_ref(), &record.body)
}
