//! Fault injection: a store that fails as networks, servers and processes do.

mod plan;
mod trail;
mod turn;

use std::sync::{Arc, Mutex};

use futures_util::{StreamExt, stream};
use milepost_core::{
    BoxStream, Clock, Commit, Committed, Error, Operation, Result, RunId, Store, SystemClock,
};
use tokio::sync::watch;

use self::turn::{Book, Gate, dead_error, read_error};
pub use self::{
    plan::{Fate, FaultPlan},
    trail::{Deed, Trail},
};
use crate::{Layer, forward_store};

const LAYER: &str = "faults";

/// A store whose calls fail as a [`FaultPlan`] says: for tests.
///
/// - A write meets one of four [fates](Fate): it happens or not, and its author is told or not.
/// - A write may be delayed by the injected clock, or held until it is [thawed](Faults::thaw).
/// - A read may fail; a stream also in its middle.
/// - The layer may die at a write. From then on nothing reaches the store, and everything, also what was under way, is
///   answered [`Unavailable`](milepost_core::ErrorKind::Unavailable), until it is [revived](Faults::revive).
///
/// What it did is kept in a [trail](Faults::trail). Clones share plan, counts and trail.
///
/// ```
/// use milepost_core::{Applied, Ids, Manifest, Open, RunId, RunInfo, Store, SystemIds};
/// use milepost_layers::{Fate, FaultPlan, Faults};
/// use milepost_store_memory::MemoryStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> milepost_core::Result<()> {
/// let store = Faults::new(MemoryStore::new(), FaultPlan::none().at(1, Fate::AckLost));
/// let run = RunId::new("import")?;
/// let open = Open::create(SystemIds.operation(), RunInfo::named("import"), Manifest::of(b"orders.csv"));
///
/// let unsure = store.open(&run, open.clone()).await.unwrap_err();
/// assert_eq!(unsure.applied(), Some(Applied::Maybe));
/// assert!(store.open(&run, open).await?.created, "it had happened: the same id settles it");
/// println!("{}", store.trail());
/// # Ok(())
/// # }
/// ```
///
/// Killing a program at every write in turn, without a process:
///
/// ```
/// # use milepost_core::{Ids, Manifest, Open, Result, RunId, RunInfo, Store, SystemIds};
/// use milepost_layers::{FaultPlan, Faults};
/// use milepost_store_memory::MemoryStore;
///
/// # async fn program(store: &impl Store) -> Result<()> {
/// #     let open = Open::create(SystemIds.operation(), RunInfo::named("import"), Manifest::of(b""));
/// #     store.open(&RunId::new("import")?, open).await.map(drop)
/// # }
/// # async fn audit(store: &impl Store) {}
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// for write in 1.. {
///     let store = MemoryStore::new();
///     let mortal = Faults::new(store.clone(), FaultPlan::none().die_after(write));
///     let finished = program(&mortal).await.is_ok();
///     audit(&store).await;
///     if finished {
///         break; // it has fewer writes than that
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Faults<S>(Arc<Shared<S>>);

#[derive(Debug)]
struct Shared<S> {
    inner: S,
    clock: Arc<dyn Clock>,
    book: Mutex<Book>,
    dead: watch::Sender<bool>,
    gate: watch::Sender<Gate>,
}

impl<S> Clone for Faults<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> Faults<S> {
    /// Faults in front of `inner`.
    pub fn new(inner: S, plan: FaultPlan) -> Self {
        Self::with_clock(inner, plan, Arc::new(SystemClock::default()))
    }

    /// Faults in front of `inner`, whose delays wait by `clock`.
    pub fn with_clock(inner: S, plan: FaultPlan, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared {
            inner,
            clock,
            book: Mutex::new(Book::new(plan)),
            dead: watch::Sender::new(false),
            gate: watch::Sender::new(Gate::default()),
        }))
    }

    /// Starts over with another plan: alive, counting from 1, with an empty trail. A write that is under way goes on as
    /// the former plan has it.
    pub fn arm(&self, plan: FaultPlan) {
        self.book(|book| book.start_over(plan));
        self.0.dead.send_replace(false);
    }

    /// How many writes have been asked for since the plan began, those of a dead layer aside.
    pub fn writes(&self) -> u64 {
        self.book(|book| book.writes)
    }

    /// How many reads have been asked for since the plan began, those of a dead layer aside.
    pub fn reads(&self) -> u64 {
        self.book(|book| book.reads)
    }

    /// What was done since the plan began.
    pub fn trail(&self) -> Trail {
        self.book(|book| book.trail.clone())
    }

    /// Whether it has died.
    pub fn is_dead(&self) -> bool {
        *self.0.dead.borrow()
    }

    /// Dies now.
    pub fn kill(&self) {
        self.book(|book| book.doomed = true);
        self.0.dead.send_replace(true);
    }

    /// Lives again; the plan goes on where it was.
    pub fn revive(&self) {
        self.book(|book| book.doomed = false);
        self.0.dead.send_replace(false);
    }

    /// Waits until a write is being held.
    pub async fn stalled(&self) {
        // The sender lives as long as `self`: there is always somebody to wait for.
        let _ = self.0.gate.subscribe().wait_for(|gate| gate.held > 0).await;
    }

    /// Lets the writes that are held go on.
    pub fn thaw(&self) {
        self.0.gate.send_modify(|gate| gate.thaws += 1);
    }

    fn book<T>(&self, f: impl FnOnce(&mut Book) -> T) -> T {
        f(&mut self.0.book.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
}

impl<S: Store> Layer for Faults<S> {
    type Inner = S;

    fn inner(&self) -> &S {
        &self.0.inner
    }

    async fn around<T: Send>(
        &self,
        operation: Operation,
        run: Option<&RunId>,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        use Operation::{Close, Commit, Delete, Open, Renew, Send};
        let answer = match operation {
            Open | Commit | Renew | Send | Delete => {
                let turn = self.turn(operation, run);
                let happens = turn.fate.happens();
                let work = async { if happens { vec![work.await] } else { Vec::new() } };
                self.perform(&[turn], work).await.pop()
            }
            Close => self.until_death(work).await,
            _ if self.read_fails(operation, run).is_some() => Some(Err(read_error())),
            _ => self.until_death(work).await,
        };
        answer.unwrap_or_else(|| Err(dead_error())).map_err(|error| error.during(LAYER, operation, run))
    }

    fn around_stream<T: Send + 'static>(
        &self,
        operation: Operation,
        run: Option<&RunId>,
        stream: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        let context = {
            let run = run.cloned();
            move |error: Error| error.during(LAYER, operation, run.as_ref())
        };
        let stream = match self.read_fails(operation, run) {
            Some(items) => {
                let failure = context(read_error());
                stream.take(items).chain(stream::once(async { Err(failure) })).boxed()
            }
            None => stream,
        };
        let alive = Some((self.clone(), stream, context));
        stream::unfold(alive, |alive| async {
            let (layer, mut stream, context) = alive?;
            match layer.until_death(stream.next()).await {
                Some(item) => Some((item?, Some((layer, stream, context)))),
                None => Some((Err(context(dead_error())), None)),
            }
        })
        .boxed()
    }
}

forward_store! {
    impl<S: Store> Store for Faults<S>;
    forward capabilities, open, commit, renew, send, delete, head, snapshot, stream, inbox, blob, blobs, list, close;

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        let turns: Vec<_> =
            commits.iter().map(|commit| self.turn(Operation::Commit, Some(&commit.run))).collect();
        let arriving: Vec<_> = std::iter::zip(commits, &turns)
            .filter_map(|(commit, turn)| turn.fate.happens().then_some(commit))
            .collect();
        let work = async {
            if arriving.is_empty() { Vec::new() } else { self.0.inner.commit_many(arriving).await }
        };
        self.perform(&turns, work).await
    }
}
