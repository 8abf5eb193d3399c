//! Fault injection: a store that fails as networks, servers and processes do.

mod plan;
mod trail;

use std::{
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{
    StreamExt,
    future::{Either, select},
    stream,
};
use milepost_core::{
    Applied, BoxStream, Clock, Commit, Committed, Error, ErrorKind, Operation, Result, RunId, Store,
    SystemClock,
};
use tokio::sync::watch;

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
///   answered [`ErrorKind::Unavailable`], until it is [revived](Faults::revive).
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

/// The plan and how far it has come.
#[derive(Debug)]
struct Book {
    plan: FaultPlan,
    writes: u64,
    reads: u64,
    /// The write that dies is under way, and none may pass it.
    doomed: bool,
    trail: Trail,
}

impl Book {
    fn new(plan: FaultPlan) -> Self {
        Self { trail: Trail::new(plan.clone()), plan, writes: 0, reads: 0, doomed: false }
    }
}

/// Where stalled writes wait.
#[derive(Clone, Copy, Debug, Default)]
struct Gate {
    held: usize,
    thaws: u64,
}

/// One write, and what will become of it.
struct Turn {
    operation: Operation,
    run: Option<RunId>,
    fate: Fate,
    dies: bool,
    /// The layer was dead already, or is about to be.
    dead: bool,
    stalls: bool,
    delay: Duration,
    /// Its name in the trail.
    deed: u64,
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

    /// Starts over with another plan: alive, counting from 1, with an empty trail.
    pub fn arm(&self, plan: FaultPlan) {
        self.book(|book| *book = Book::new(plan));
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

    /// The turn of the next write.
    fn turn(&self, operation: Operation, run: Option<&RunId>) -> Turn {
        let mut turn = Turn {
            operation,
            run: run.cloned(),
            fate: Fate::Lost,
            dies: false,
            dead: true,
            stalls: false,
            delay: Duration::ZERO,
            deed: u64::MAX,
        };
        self.book(|book| {
            if book.doomed {
                return;
            }
            book.writes += 1;
            (turn.fate, turn.dies) = book.plan.fate(book.writes);
            (turn.dead, book.doomed) = (false, turn.dies);
            turn.stalls = book.plan.stalls(book.writes);
            turn.delay = book.plan.delay(book.writes);
            turn.deed = book.trail.add(Deed {
                number: book.writes,
                operation,
                run: turn.run.clone(),
                fate: turn.fate,
                died: turn.dies,
                stalled: turn.stalls,
                delay: turn.delay,
                answer: None,
            });
        });
        turn
    }

    /// Lets the turns come to what they are fated to; `work` is asked for the answers of those that happen.
    async fn perform<T>(&self, turns: &[Turn], work: impl Future<Output = Vec<Result<T>>>) -> Vec<Result<T>> {
        let last = turns.iter().any(|turn| turn.dies).then(|| Last(self));
        let answers = self.until_death(async {
            self.hold(turns).await;
            work.await
        });
        let answers = answers.await;
        let dead = last.is_some() || answers.is_none();
        let mut answers = answers.into_iter().flatten();
        let report = |turn: &Turn| {
            let answer = if turn.fate.happens() { answers.next() } else { None };
            if let Some(answer) = &answer {
                let said = answer.as_ref().map(drop).map_err(Error::kind);
                self.book(|book| book.trail.answered(turn.deed, said));
            }
            match (answer, turn.fate) {
                _ if dead || turn.dead => Err(dead_error().with_applied(Applied::Maybe)),
                (Some(answer), Fate::Done) => return answer,
                (_, Fate::Refused) => {
                    Err(Error::new(ErrorKind::Unavailable, "injected: the store was not reached")
                        .with_applied(Applied::No))
                }
                _ => Err(Error::new(ErrorKind::TimedOut, "injected: no answer").with_applied(Applied::Maybe)),
            }
            .map_err(|error: Error| error.during(LAYER, turn.operation, turn.run.as_ref()))
        };
        turns.iter().map(report).collect()
    }

    /// Delays, and stalls.
    async fn hold(&self, turns: &[Turn]) {
        let delay = turns.iter().map(|turn| turn.delay).max().unwrap_or_default();
        if !delay.is_zero() {
            self.0.clock.sleep(delay).await;
        }
        if turns.iter().any(|turn| turn.stalls) {
            let mut held = Held::enter(&self.0.gate);
            let thaws = held.thaws;
            let _ = held.gate.wait_for(|gate| gate.thaws > thaws).await;
        }
    }

    /// Whether the next read fails, and after how many items.
    fn read_fails(&self, operation: Operation, run: Option<&RunId>) -> Option<usize> {
        self.book(|book| {
            if book.doomed {
                return None;
            }
            book.reads += 1;
            let after = book.plan.read_fails_after(book.reads)?;
            book.trail.add(Deed {
                number: book.reads,
                operation,
                run: run.cloned(),
                fate: Fate::Refused,
                died: false,
                stalled: false,
                delay: Duration::ZERO,
                answer: None,
            });
            Some(after)
        })
    }

    /// Does the work unless the layer is dead or dies meanwhile.
    async fn until_death<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut dead = self.0.dead.subscribe();
        let death = pin!(async {
            let _ = dead.wait_for(|dead| *dead).await;
        });
        match select(death, pin!(work)).await {
            Either::Left(_) => None,
            Either::Right((done, _)) => Some(done),
        }
    }
}

/// The write with which the layer dies: when it is answered, or when its caller is gone.
struct Last<'a, S>(&'a Faults<S>);

impl<S> Drop for Last<'_, S> {
    fn drop(&mut self) {
        self.0.kill();
    }
}

/// A write at the gate, counted while it is there.
struct Held<'a> {
    count: &'a watch::Sender<Gate>,
    gate: watch::Receiver<Gate>,
    thaws: u64,
}

impl<'a> Held<'a> {
    fn enter(count: &'a watch::Sender<Gate>) -> Self {
        let mut thaws = 0;
        count.send_modify(|gate| {
            gate.held += 1;
            thaws = gate.thaws;
        });
        Self { count, gate: count.subscribe(), thaws }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.count.send_modify(|gate| gate.held -= 1);
    }
}

fn dead_error() -> Error {
    Error::new(ErrorKind::Unavailable, "injected: dead")
}

fn read_error() -> Error {
    Error::new(ErrorKind::Unavailable, "injected: the store was not reached")
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
