//! The server: a store in memory, and a log of all that was asked of it, from which it starts again.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use milepost_core::*;
use milepost_store_memory::MemoryStore;

use super::Flaw;

/// A write as it stands in the log.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Open(RunId, Open),
    Commit(Commit),
    Renew(RunId, Renew),
    Send(RunId, NewMessage),
    Delete(RunId, Delete),
}

/// The answer to one.
#[derive(Debug)]
pub(super) enum Reply {
    Opened(Box<Opened>),
    Committed(Committed),
    Renewed,
    Sent(Sent),
    Deleted(bool),
}

/// A server that can be killed. A cheap clone.
#[derive(Clone)]
pub(super) struct Server(Arc<World>);

struct World {
    flaw: Flaw,
    durability: Durability,
    /// The case's clock.
    clock: Arc<ManualClock>,
    /// One write at a time, in the order of the log.
    writing: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

struct State {
    up: bool,
    /// Counts starts: a connection is with one of them.
    life: u32,
    log: Vec<(Timestamp, Entry)>,
    store: MemoryStore,
    /// The server's own clock, which a replay sets to what it was.
    clock: Arc<ManualClock>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Server")
    }
}

/// A store that draws the same ids for the same log.
fn fresh(clock: &Arc<ManualClock>, durability: Durability) -> MemoryStore {
    MemoryStore::builder()
        .clock(clock.clone())
        .ids(Arc::new(SeededIds::new(7)))
        .capabilities(Capabilities::all(durability))
        .build()
}

/// Asks the store in memory.
async fn apply(store: &MemoryStore, entry: Entry) -> Result<Reply> {
    Ok(match entry {
        Entry::Open(run, open) => Reply::Opened(Box::new(store.open(&run, open).await?)),
        Entry::Commit(commit) => Reply::Committed(store.commit(commit).await?),
        Entry::Renew(run, renew) => store.renew(&run, renew).await.map(|()| Reply::Renewed)?,
        Entry::Send(run, message) => Reply::Sent(store.send(&run, message).await?),
        Entry::Delete(run, guard) => Reply::Deleted(store.delete(&run, guard).await?),
    })
}

impl Server {
    /// One whose log is on disk when it answers.
    pub(super) fn start(clock: Arc<ManualClock>, flaw: Flaw) -> Self {
        Self::with(clock, flaw, Durability::Fsync)
    }

    /// One that does not promise that.
    pub(super) fn buffered(clock: Arc<ManualClock>, flaw: Flaw) -> Self {
        Self::with(clock, flaw, Durability::Buffered)
    }

    fn with(clock: Arc<ManualClock>, flaw: Flaw, durability: Durability) -> Self {
        let own = Arc::new(ManualClock::new(clock.now()));
        let store = fresh(&own, durability);
        let state = State { up: true, life: 1, log: Vec::new(), store, clock: own };
        Self(Arc::new(World {
            flaw,
            durability,
            clock,
            writing: tokio::sync::Mutex::default(),
            state: Mutex::new(state),
        }))
    }

    pub(super) fn has(&self, flaw: Flaw) -> bool {
        self.0.flaw == flaw
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        Capabilities::all(self.0.durability)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of the server that stands now; `None` while it is down.
    pub(super) fn life(&self) -> Option<u32> {
        let state = self.state();
        state.up.then_some(state.life)
    }

    /// What stands in the server's memory, as of the case's now.
    pub(super) fn store(&self) -> MemoryStore {
        let state = self.state();
        state.clock.jump(self.0.clock.now());
        state.store.clone()
    }

    /// Logs and applies a write; `None` if the server died before it did, or before it could say so.
    pub(super) async fn write(&self, entry: Entry) -> Option<Result<Reply>> {
        let life = self.life()?;
        let _one = self.0.writing.lock().await;
        let store = {
            let mut state = self.state();
            if !state.up || state.life != life {
                return None;
            }
            let now = self.0.clock.now();
            state.clock.jump(now);
            state.log.push((now, entry.clone()));
            state.store.clone()
        };
        let reply = apply(&store, entry).await;
        // The answer is on its way for as long as others have their turn.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        (self.life() == Some(life)).then_some(reply)
    }

    /// Kills it: what is on its way is lost, and what is in memory too. False if it was down already.
    pub(super) fn kill(&self) -> bool {
        std::mem::replace(&mut self.state().up, false)
    }

    /// Starts it again on what its disk has. False if it is up.
    pub(super) async fn restart(&self) -> bool {
        let (mut log, clock) = {
            let state = self.state();
            if state.up {
                return false;
            }
            (state.log.clone(), Arc::new(ManualClock::new(self.0.clock.now())))
        };
        self.lose(&mut log);
        let store = fresh(&clock, self.0.durability);
        for (then, entry) in log.iter().cloned() {
            clock.jump(then);
            let _ = apply(&store, entry).await;
        }
        let mut state = self.state();
        state.life += 1;
        (state.up, state.store, state.clock, state.log) = (true, store, clock, log);
        true
    }

    /// What the disk of a broken server does not have.
    fn lose(&self, log: &mut Vec<(Timestamp, Entry)>) {
        let commits = |(_, entry): &(Timestamp, Entry)| matches!(entry, Entry::Commit(_));
        match self.0.flaw {
            Flaw::NewestAreLost => log.truncate(log.len().saturating_sub(20)),
            Flaw::OneIsLost => {
                let middle = log.iter().rposition(commits).map_or(0, |last| last / 2);
                if log.get(middle).is_some_and(commits) {
                    log.remove(middle);
                }
            }
            Flaw::MessagesAreLost => log.retain(|(_, entry)| !matches!(entry, Entry::Send(..))),
            Flaw::TakeoversAreLost => log.retain(|(_, entry)| match entry {
                Entry::Open(_, open) => open.takeover == Takeover::IfDue,
                _ => true,
            }),
            Flaw::CommitIdsAreLost => {
                for (_, entry) in log {
                    if let Entry::Commit(commit) = entry {
                        commit.id = OperationId(commit.id.0 ^ 1);
                    }
                }
            }
            Flaw::UnderWayIsDoneTwice => {
                let mut again = Vec::new();
                for (then, entry) in log.iter().rev() {
                    let Entry::Commit(commit) = entry else { continue };
                    let newer = again.iter().any(|(_, newer)| match newer {
                        Entry::Commit(newer) => newer.run == commit.run,
                        _ => false,
                    });
                    if !newer {
                        let (id, expect) = (OperationId(commit.id.0 ^ 1), commit.expect + 1);
                        again.push((*then, Entry::Commit(Commit { id, expect, ..commit.clone() })));
                    }
                }
                log.extend(again);
            }
            _ => {}
        }
    }
}
