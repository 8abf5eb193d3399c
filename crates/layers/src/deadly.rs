//! Real deaths: a store that kills its process.

use std::{
    fmt,
    process::Command,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use milepost_core::{Commit, Committed, Error, ErrorKind, Operation, Result, RunId, Store};

use crate::{Layer, forward_store};

/// At which of its writes a process dies: `before 7`, `after 7`, as it can stand in a variable of the environment.
///
/// Counted are opens, commits, messages and deletions, from 1; renewals come when the clock wants them, and are not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Death {
    /// The write does not reach the store any more.
    Before(u64),
    /// The write has reached the store, and its answer nobody.
    After(u64),
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Death::Before(write) => write!(f, "before {write}"),
            Death::After(write) => write!(f, "after {write}"),
        }
    }
}

impl FromStr for Death {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let death = text.split_once(' ').and_then(|(when, write)| match (when, write.parse().ok()?) {
            ("before", write) => Some(Death::Before(write)),
            ("after", write) => Some(Death::After(write)),
            _ => None,
        });
        let message = || format!("a death is `before 7` or `after 7`, not {text:?}");
        death.ok_or_else(|| Error::new(ErrorKind::Invalid, message()))
    }
}

/// A store that kills its process with SIGKILL at one of its writes: for tests that start a program, let it die at each of
/// its writes in turn, start it again and look what came of it. Nothing in the process is told, no destructor runs.
///
/// [`Faults`](crate::Faults) does the same within a process, faster; this one leaves nothing to be imagined. It needs the
/// command `kill`. Clones count together.
///
/// ```
/// use milepost_layers::{Deadly, Death};
/// use milepost_store_memory::MemoryStore;
///
/// // What a program does with its store before it uses it:
/// let death = std::env::var("DIES").ok().map(|death| death.parse::<Death>()).transpose()?;
/// let store = Deadly::new(MemoryStore::new(), death);
/// # Ok::<(), milepost_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Deadly<S> {
    inner: S,
    death: Option<Death>,
    writes: Arc<AtomicU64>,
}

impl<S> Deadly<S> {
    /// Dies there; without a death, lets everything through.
    pub fn new(inner: S, death: Option<Death>) -> Self {
        Self { inner, death, writes: Arc::default() }
    }

    /// Does the work, unless the process dies of it. Every one of these writes counts.
    async fn survive<T>(&self, writes: u64, work: impl Future<Output = T>) -> T {
        let last = self.writes.fetch_add(writes, Ordering::SeqCst) + writes;
        let is_reached = |write: u64| (last - writes + 1..=last).contains(&write);
        match self.death {
            Some(Death::Before(write)) if is_reached(write) => die(),
            Some(Death::After(write)) if is_reached(write) => {
                work.await;
                die()
            }
            _ => work.await,
        }
    }
}

fn die() -> ! {
    let me = std::process::id().to_string();
    let killed = Command::new("kill").args(["-9", &me]).status();
    unreachable!("this process was killed: {killed:?}");
}

impl<S: Store> Layer for Deadly<S> {
    type Inner = S;

    fn inner(&self) -> &S {
        &self.inner
    }

    async fn around<T: Send>(
        &self,
        operation: Operation,
        _: Option<&RunId>,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        use Operation::{Commit, Delete, Open, Send};
        match operation {
            Open | Commit | Send | Delete => self.survive(1, work).await,
            _ => work.await,
        }
    }
}

forward_store! {
    impl<S: Store> Store for Deadly<S>;
    forward capabilities, open, commit, renew, send, delete, head, snapshot, stream, inbox, blob, blobs, list, close;

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        self.survive(commits.len() as u64, self.inner.commit_many(commits)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_can_stand_in_a_variable() {
        for death in [Death::Before(1), Death::After(70)] {
            assert_eq!(death.to_string().parse::<Death>().ok(), Some(death));
        }
        for wrong in ["", "after", "7", "after -1", "during 7"] {
            assert_eq!(
                wrong.parse::<Death>().map_err(|error| error.kind()),
                Err(ErrorKind::Invalid),
                "{wrong}"
            );
        }
    }
}
