//! The one that writes a driven run's log.
//!
//! Whoever wants something durable puts it into the queue and then waits for the writer's lock. Who gets the lock and finds
//! its part not durable yet sends everything that is queued, in one commit; the others find theirs done. So a lone step
//! pays one trip and no switch to another task, and steps in flight together share their trips.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use milepost_core::{
    Applied, Blob, Capabilities, Clash, Clock, Commit, Cursor, Error, ErrorKind, Fence, Finish, Head, Ids,
    LeaseChange, NewRecord, Note, Refusal, Result, RunId, Snapshot, Store, Version, Wake,
};
use tokio::sync::Mutex as AsyncMutex;
use tracing::warn;

use crate::{
    event::Event,
    stop::{Halt, Stop},
};

/// What a program brings along.
#[derive(Clone, Debug)]
pub(crate) struct Means {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
}

/// Writes the log of one driven run.
#[derive(Debug)]
pub(crate) struct Log {
    means: Means,
    run: RunId,
    fence: Fence,
    capabilities: Capabilities,
    ttl: Duration,
    stop: Arc<Stop>,
    queue: Mutex<Queue>,
    /// How many entries, of all that were ever queued, are durable.
    durable: AtomicU64,
    writer: AsyncMutex<Writer>,
    /// When the lease was last extended, in microseconds of the clock's monotonic time.
    extended: AtomicU64,
    /// When work was last finished, in microseconds of the clock's monotonic time.
    advanced: AtomicU64,
    /// The run's newest record when it was opened.
    opened_at: Cursor,
}

#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Entry>,
    /// How many were ever queued.
    queued: u64,
    /// How many bytes were ever recorded for the run, as far as this process knows.
    weight: u64,
    /// How many that were at the newest snapshot, and how large that is.
    snapshot: (u64, u64),
    note: Option<Note>,
}

/// What becomes durable together or not at all.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    records: Vec<NewRecord>,
    blobs: Vec<Blob>,
    snapshot: Option<Snapshot>,
    take: Option<u64>,
    advances: bool,
}

#[derive(Debug)]
struct Writer {
    version: Version,
    cursor: Cursor,
    /// A commit that was sent and not answered for sure, and how many entries it carries. A dropped future leaves it here
    /// as a lost acknowledgement does; whoever writes next sends it again first.
    in_doubt: Option<(Commit, usize)>,
}

/// What a last commit does.
#[derive(Clone, Debug)]
pub(crate) enum End {
    Release(Wake),
    Finish(Finish),
}

impl Log {
    pub(crate) fn new(means: Means, fence: Fence, head: &Head, ttl: Duration, stop: Arc<Stop>) -> Self {
        let capabilities = means.store.capabilities();
        let now = micros(means.clock.elapsed());
        let (extended, advanced) = (now.into(), now.into());
        let writer = Writer { version: head.version, cursor: head.cursor, in_doubt: None };
        Self {
            means,
            run: head.run.clone(),
            fence,
            capabilities,
            ttl,
            stop,
            queue: Mutex::default(),
            durable: AtomicU64::new(0),
            writer: AsyncMutex::new(writer),
            extended,
            advanced,
            opened_at: head.cursor,
        }
    }

    pub(crate) fn fence(&self) -> Fence {
        self.fence
    }

    pub(crate) fn means(&self) -> &Means {
        &self.means
    }

    pub(crate) fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    pub(crate) fn ttl(&self) -> Duration {
        self.ttl
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// An entry that says `events`.
    pub(crate) fn entry(&self, events: &[Event]) -> Entry {
        Entry {
            records: events.iter().map(|event| event.record(self.fence.epoch)).collect(),
            advances: events.iter().any(Event::advances),
            ..Entry::default()
        }
    }

    /// Queues an entry, to be durable with the next commit. Nothing is queued any more once the run is over.
    pub(crate) fn push(&self, entry: Entry) -> u64 {
        let mut queue = self.queue();
        if !self.stop.is_halted() {
            queue.weight += entry.size();
            queue.entries.push_back(entry);
            queue.queued += 1;
        }
        queue.queued
    }

    /// How many bytes were ever recorded for the run, as far as this process knows.
    pub(crate) fn weight(&self) -> u64 {
        self.queue().weight
    }

    /// What was read of the run counts, too: so many bytes of records, of which a snapshot stands for some.
    pub(crate) fn has_read(&self, weight: u64, snapshot: (u64, u64)) {
        let mut queue = self.queue();
        (queue.weight, queue.snapshot) = (weight, snapshot);
    }

    /// Whether a snapshot is worth its while: the records behind the newest weigh as much as it does, and at least `floor`.
    pub(crate) fn is_long(&self, floor: u64) -> bool {
        let queue = self.queue();
        let (weight, size) = queue.snapshot;
        queue.weight.saturating_sub(weight) >= size.max(floor)
    }

    /// Queues a snapshot for the next commit, or, without one, waits for as much again before it is tried anew.
    pub(crate) fn shorten(&self, snapshot: Option<Snapshot>) {
        let size = snapshot.as_ref().map_or(0, |snapshot| snapshot.body.len() as u64);
        if snapshot.is_some() {
            self.push(Entry { snapshot, ..Entry::default() });
        }
        let mut queue = self.queue();
        queue.snapshot = (queue.weight, size.max(queue.snapshot.1));
    }

    /// The newest record that is durable.
    pub(crate) async fn cursor(&self) -> Cursor {
        self.writer.lock().await.cursor
    }

    /// What a listing shows of the run from the next write on.
    pub(crate) fn note(&self, note: Note) {
        self.queue().note = Some(note);
    }

    /// The note that no commit has carried yet.
    pub(crate) fn take_note(&self) -> Option<Note> {
        self.queue().note.take()
    }

    /// Waits until an entry is durable; for ever, once the run is over.
    pub(crate) async fn settle(&self, ticket: u64) {
        while self.durable.load(Ordering::Acquire) < ticket {
            if self.stop.is_halted() {
                std::future::pending::<()>().await;
            }
            let mut writer = self.writer.lock().await;
            if self.durable.load(Ordering::Acquire) >= ticket || self.stop.is_halted() {
                continue;
            }
            if let Err(error) = self.write(&mut writer).await {
                self.stop.halt(verdict(error));
            }
        }
    }

    /// Makes an entry durable. Gives a number that is above the cursors of all records before it, and below those of the
    /// entries after it as they are numbered here.
    pub(crate) async fn write_entry(&self, entry: Entry) -> u64 {
        let ticket = self.push(entry);
        self.settle(ticket).await;
        self.opened_at + ticket
    }

    /// Queues an entry for the last commit, also of a run that is over.
    pub(crate) fn push_last(&self, entry: Entry) {
        let mut queue = self.queue();
        queue.entries.push_back(entry);
        queue.queued += 1;
    }

    /// Sends the commit in doubt, or one of what is queued, until it is answered for sure.
    async fn write(&self, writer: &mut Writer) -> Result<()> {
        if writer.in_doubt.is_none() {
            writer.in_doubt = Some(self.prepare(writer, None));
        }
        self.send(writer, None).await
    }

    /// Writes everything that is queued and lets go of the run or ends it, in one commit where one takes as much. Gives up
    /// on a store that does not answer after `patience`.
    pub(crate) async fn end(&self, end: End, take: Option<u64>, patience: Duration) -> Result<()> {
        let give_up = self.means.clock.elapsed() + patience;
        if let Some(take) = take {
            self.push_last(Entry { take: Some(take), ..Entry::default() });
        }
        let mut writer = self.writer.lock().await;
        if writer.in_doubt.is_some() {
            self.send(&mut writer, Some(give_up)).await?;
        }
        loop {
            let last = self.prepare(&writer, Some(&end));
            let whole = last.1 == self.queue().entries.len();
            writer.in_doubt = Some(if whole { last } else { self.prepare(&writer, None) });
            self.send(&mut writer, Some(give_up)).await?;
            if whole {
                return Ok(());
            }
        }
    }

    /// The next commit: as much of the queue as one takes, and how many entries that is.
    fn prepare(&self, writer: &Writer, end: Option<&End>) -> (Commit, usize) {
        let mut queue = self.queue();
        let mut size = match end {
            Some(End::Finish(finish)) => finish_size(finish),
            _ => 0,
        };
        let fits = |entry: &&Entry| {
            let first = size == 0;
            size += entry.size();
            first || size <= self.capabilities.limits.commit
        };
        let count = queue.entries.iter().take_while(fits).count();
        let id = self.means.ids.operation();
        let mut commit = Commit::new(self.run.clone(), self.fence, id, writer.version);
        for entry in queue.entries.iter().take(count) {
            commit.records.extend(entry.records.iter().cloned());
            for blob in &entry.blobs {
                if !commit.blobs.iter().any(|carried| carried.name == blob.name) {
                    commit.blobs.push(blob.clone());
                }
            }
            if entry.snapshot.is_some() {
                commit.snapshot.clone_from(&entry.snapshot);
            }
            commit.take.extend(entry.take);
            commit.advances |= entry.advances;
        }
        commit.note = queue.note.take();
        commit = match end {
            None => commit.extend(self.ttl),
            Some(End::Release(wake)) => commit.release(*wake),
            Some(End::Finish(finish)) => {
                Commit { finish: Some(finish.clone()), lease: LeaseChange::Keep, ..commit }.advances()
            }
        };
        (commit, count)
    }

    /// Sends the commit in doubt until it is answered for sure.
    async fn send(&self, writer: &mut Writer, give_up: Option<Duration>) -> Result<()> {
        let mut pauses = pauses();
        let Some((commit, count)) = writer.in_doubt.clone() else { return Ok(()) };
        loop {
            let began = self.means.clock.elapsed();
            let error = match self.means.store.commit(commit.clone()).await {
                Ok(committed) => {
                    writer.version = committed.version;
                    writer.cursor = committed.cursor;
                    writer.in_doubt = None;
                    self.queue().entries.drain(..count);
                    self.durable.fetch_add(count as u64, Ordering::AcqRel);
                    self.extend(began);
                    if commit.advances {
                        self.advance(self.means.clock.elapsed());
                    }
                    return Ok(());
                }
                Err(error) => self.set_back(writer, error),
            };
            let unsettled = error.kind().is_transient() || error.applied() == Some(Applied::Maybe);
            let patient = give_up.is_none_or(|give_up| began < give_up);
            if error.refusal().is_some() || !unsettled || error.kind() == ErrorKind::SetBack || !patient {
                return Err(error);
            }
            warn!(run = %self.run, %error, "the store did not take a commit; it is sent again");
            self.means.clock.sleep(pauses()).await;
        }
    }

    /// A store whose version is below an acknowledged one, or whose fence this one came after, has lost data.
    fn set_back(&self, writer: &Writer, error: Error) -> Error {
        let found = match error.refusal() {
            Some(Refusal::Conflict { head, clash: Clash::Version }) if head.version < writer.version => {
                format!("the run is at version {}, it was at {}", head.version, writer.version)
            }
            Some(Refusal::Fenced { current }) if self.fence.supersedes(*current) => {
                format!("the run is at epoch {}, it was at {}", current.epoch, self.fence.epoch)
            }
            _ => return error,
        };
        Error::new(ErrorKind::SetBack, format!("the store has lost acknowledged data: {found}"))
            .with_source(error)
    }

    /// The lease was extended by a write that began at `elapsed`.
    pub(crate) fn extend(&self, elapsed: Duration) {
        self.extended.fetch_max(micros(elapsed), Ordering::AcqRel);
    }

    /// Work was finished at `elapsed`, or there was none.
    pub(crate) fn advance(&self, elapsed: Duration) {
        self.advanced.fetch_max(micros(elapsed), Ordering::AcqRel);
    }

    /// When work was last finished, on the clock's monotonic time.
    pub(crate) fn advanced(&self) -> Duration {
        Duration::from_micros(self.advanced.load(Ordering::Acquire))
    }

    /// When the lease was last extended, on the clock's monotonic time.
    pub(crate) fn extended(&self) -> Duration {
        Duration::from_micros(self.extended.load(Ordering::Acquire))
    }
}

impl Entry {
    /// With blobs that its records name.
    pub(crate) fn blobs(mut self, blobs: Vec<Blob>) -> Self {
        self.blobs = blobs;
        self
    }

    /// Takes a message from the inbox.
    pub(crate) fn take(mut self, number: u64) -> Self {
        self.take = Some(number);
        self
    }

    fn size(&self) -> u64 {
        let records = self.records.iter().map(|record| record.body.len());
        let blobs = self.blobs.iter().map(|blob| blob.body.len());
        let snapshot = self.snapshot.iter().map(|snapshot| snapshot.body.len());
        records.chain(blobs).chain(snapshot).map(|size| size as u64).sum()
    }
}

fn finish_size(finish: &Finish) -> u64 {
    match &finish.outcome {
        milepost_core::Outcome::Completed { output } => output.len() as u64,
        milepost_core::Outcome::Failed { failure } => failure.message.len() as u64,
    }
}

/// What an error of a write that is no accident means for who drives the run.
pub(crate) fn verdict(error: Error) -> Halt {
    match error.kind() {
        ErrorKind::Fenced | ErrorKind::NotFound | ErrorKind::Finished => Halt::Lost(error),
        _ => Halt::Broken(error),
    }
}

/// Longer and longer pauses between attempts to reach the store, 20 ms to 5 s, jittered.
pub(crate) fn pauses() -> impl FnMut() -> Duration + Send {
    const LONGEST: Duration = Duration::from_secs(5);
    let mut pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(20))
        .with_max_delay(LONGEST)
        .without_max_times()
        .with_jitter()
        .build();
    move || pauses.next().unwrap_or(LONGEST)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
