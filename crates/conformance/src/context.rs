//! What a case gets: two handles on the same fresh data, time that it can let pass, names of its own, and the few
//! moves that most cases begin with.

use std::{
    collections::VecDeque,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use milepost_checkpoint::Checkpoints;
use milepost_core::{
    Bytes, Capabilities, CheckpointerFactory, Clock, Commit, Committed, Cursor, Fence, Head, Ids, Kind,
    Manifest, MessageKey, NewMessage, NewRecord, Open, Opened, OperationId, Outcome, Refusal, Retain, RunId,
    RunInfo, SeededIds, Store, SystemClock, Timestamp, Version,
};
use tokio::{sync::Barrier, task::JoinSet};

use crate::{
    Harness, Scope, Tuning, Verdict,
    expect::Failure,
    image::{Image, image},
    reopening::Reopening,
    run::Offered,
    trace::{Journal, Traced},
    trial::Mode,
};

/// How often something is repeated at most when every operation has a handle of its own.
const REOPENED_ROUNDS: u32 = 12;

/// The world of one case.
#[derive(Debug)]
pub struct Context {
    /// A handle.
    pub(crate) a: Arc<dyn Store>,
    /// Another handle on the same data.
    pub(crate) b: Arc<dyn Store>,
    /// What the store offers.
    pub(crate) capabilities: Capabilities,
    pub(crate) harness: Harness,
    pub(crate) scope: Scope,
    mode: Mode,
    closes_alone: bool,
    ids: SeededIds,
    pub(crate) journal: Arc<Journal>,
    /// Both handles, without the journal: it would keep two calls of one instant apart.
    pub(crate) untraced: [Arc<dyn Store>; 2],
    reopened: Mutex<Vec<Arc<dyn Store>>>,
}

/// Who drives a run, as far as it has got: what a commit is made of.
#[derive(Clone, Debug)]
pub(crate) struct Driver {
    /// Which run.
    pub(crate) run: RunId,
    /// By whose right.
    pub(crate) fence: Fence,
    /// As of its last open or commit.
    pub(crate) version: Version,
    /// Its newest record.
    pub(crate) cursor: Cursor,
}

impl Driver {
    /// The driver that an open made.
    pub(crate) fn of(opened: &Opened) -> Self {
        let Head { run, version, cursor, .. } = &opened.head;
        Self { run: run.clone(), fence: opened.fence, version: *version, cursor: *cursor }
    }
}

/// A handle on the data of `scope`, as `mode` has it.
async fn handle(harness: &Harness, scope: &Scope, mode: Mode, closing: bool) -> Verdict<Arc<dyn Store>> {
    Ok(match mode {
        Mode::Plain => harness.connect(scope).await?,
        Mode::Reopened => Arc::new(Reopening::connect(harness, scope, closing).await?),
    })
}

/// A record whose body tells its number.
pub(crate) fn record(number: u64) -> NewRecord {
    NewRecord::new(Kind::from_static("entry"), format!("record {number}"))
}

/// The first of these, and more of them for as long as this lasts.
fn lasting<I: IntoIterator>(enough: Duration, all: I) -> impl Iterator<Item = I::Item> + use<I> {
    let clock = SystemClock::default();
    let in_time = move |(at, _): &(usize, I::Item)| *at == 0 || clock.elapsed() < enough;
    all.into_iter().enumerate().take_while(in_time).map(|(_, one)| one)
}

impl Context {
    /// Connects twice to the scope.
    pub(crate) async fn connect(
        harness: &Harness,
        scope: Scope,
        mode: Mode,
        offered: Offered,
        seed: u64,
        journal: Arc<Journal>,
    ) -> Verdict<Self> {
        let harness = match mode {
            Mode::Plain => harness.clone(),
            Mode::Reopened => harness.clone().with_tuning(harness.tuning().reopened()),
        };
        let closes_alone = offered.closes_alone;
        let a = handle(&harness, &scope, mode, closes_alone).await?;
        let b = handle(&harness, &scope, mode, closes_alone).await?;
        Ok(Self {
            capabilities: a.capabilities(),
            untraced: [a.clone(), b.clone()],
            a: Traced::over(a, "a", &journal),
            b: Traced::over(b, "b", &journal),
            harness,
            scope,
            mode,
            closes_alone,
            ids: SeededIds::new(seed),
            journal,
            reopened: Mutex::default(),
        })
    }

    /// Whether the operations of a handle have handles of their own.
    pub(crate) fn is_reopened(&self) -> bool {
        self.mode == Mode::Reopened
    }

    /// Whether closing one handle leaves the others open.
    pub(crate) fn closes_alone(&self) -> bool {
        self.closes_alone
    }

    /// The same world with `b` as its second handle.
    pub(crate) fn with_other(&self, b: Arc<dyn Store>) -> Self {
        Self {
            a: self.a.clone(),
            untraced: [self.untraced[0].clone(), b.clone()],
            b,
            capabilities: self.capabilities,
            harness: self.harness.clone(),
            scope: self.scope.clone(),
            mode: self.mode,
            closes_alone: self.closes_alone,
            ids: SeededIds::new(self.ids.bits() as u64),
            journal: self.journal.clone(),
            reopened: Mutex::default(),
        }
    }

    /// Closes every handle. Closing what the case has closed already is harmless, says the contract.
    pub(crate) async fn close(&self) -> Verdict {
        let reopened = std::mem::take(&mut *self.reopened.lock().unwrap_or_else(PoisonError::into_inner));
        for store in [self.a.clone(), self.b.clone()].into_iter().chain(reopened) {
            store.close().await?;
        }
        Ok(())
    }

    /// A third handle on the same data.
    pub(crate) async fn reopen(&self) -> Verdict<Arc<dyn Store>> {
        let store = handle(&self.harness, &self.scope, self.mode, self.closes_alone).await?;
        let store = Traced::over(store, "reopened", &self.journal);
        self.reopened.lock().unwrap_or_else(PoisonError::into_inner).push(store.clone());
        Ok(store)
    }

    /// The store's now, where the kit moves its clock.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        self.harness.moves_clock().then(|| self.scope.clock().now())
    }

    /// How many handles have been added to the first two.
    pub(crate) fn reopened(&self) -> usize {
        self.reopened.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// A run id that no other case of any process uses.
    pub(crate) fn run(&self, label: &str) -> RunId {
        RunId::new(format!("{label}-{}", self.scope.name())).expect("labels of cases are short")
    }

    /// The case's source of ids, which replays.
    pub(crate) fn ids(&self) -> &dyn Ids {
        &self.ids
    }

    /// A new name for a write.
    pub(crate) fn id(&self) -> OperationId {
        self.ids.operation()
    }

    /// Times and sizes.
    pub(crate) fn tuning(&self) -> &Tuning {
        self.harness.tuning()
    }

    /// A lease that is live until the case is over.
    pub(crate) fn long(&self) -> Duration {
        (self.brief() * 2).max(self.tuning().timeout * 2)
    }

    /// A lease whose end a case can wait for: [`Context::expire`].
    pub(crate) fn brief(&self) -> Duration {
        let ttl = if self.harness.moves_clock() { Open::DEFAULT_TTL } else { self.tuning().ttl };
        ttl.max(self.capabilities.limits.min_ttl)
    }

    /// Lets time pass: at once where the clock can be moved, otherwise by waiting.
    ///
    /// # Panics
    ///
    /// When the harness fails to tell the clock: that is its fault, and no verdict on the store.
    pub(crate) async fn pass(&self, duration: Duration) {
        self.journal.note(format!("{duration:?} pass"));
        if self.harness.moves_clock() {
            let told = self.harness.advance(&self.scope, duration).await;
            told.unwrap_or_else(|error| panic!("the clock could not be moved: {error}"));
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(duration).await;
        }
    }

    /// Lets every brief lease run out.
    pub(crate) async fn expire(&self) {
        self.pass(self.brief() + self.slack()).await;
    }

    /// Up to `most` rounds, for as long as a fifth of the effort lasts: a slow backend does fewer, but one at least.
    /// Re-opened, a few are enough: what they try again and again is not what a handle keeps.
    pub(crate) fn rounds(&self, most: u32) -> impl Iterator<Item = u32> {
        self.rounds_within(self.tuning().part(5), most)
    }

    /// The same for what is looked for until all has been seen: for as long as half of the timeout lasts. Re-opened it need
    /// not all be seen again.
    pub(crate) fn rounds_until_seen(&self, most: u32) -> impl Iterator<Item = u32> {
        let tuning = self.tuning();
        let enough = if self.mode == Mode::Reopened { tuning.part(5) } else { tuning.timeout / 2 };
        self.rounds_within(enough, most)
    }

    fn rounds_within(&self, enough: Duration, most: u32) -> impl Iterator<Item = u32> {
        lasting(enough, 0..if self.mode == Mode::Reopened { most.min(REOPENED_ROUNDS) } else { most })
    }

    /// All of these, from another one on in each case, for as long as half of the effort lasts: a slow backend is asked
    /// about fewer, but about one at least.
    pub(crate) fn many<T>(&self, all: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
        let mut all: VecDeque<T> = all.into_iter().collect();
        let first = self.ids.bits() as usize % all.len().max(1);
        all.rotate_left(first);
        lasting(self.tuning().part(2), all)
    }

    fn slack(&self) -> Duration {
        if self.harness.moves_clock() { Duration::ZERO } else { self.tuning().slack }
    }

    /// The request that creates a run of this kit, under a long lease.
    pub(crate) fn creating(&self) -> Open {
        Open::create(self.id(), RunInfo::named("case"), Manifest::of(b"case")).ttl(self.long())
    }

    /// The request that resumes a run, under a long lease.
    pub(crate) fn resuming(&self) -> Open {
        Open::resume(self.id()).ttl(self.long())
    }

    /// Creates a run under a long lease.
    pub(crate) async fn create(&self, run: &RunId) -> Verdict<Driver> {
        Ok(Driver::of(&self.a.open(run, self.creating()).await?))
    }

    /// Creates a run under a lease that [`Context::expire`] lets run out.
    pub(crate) async fn create_briefly(&self, run: &RunId) -> Verdict<Driver> {
        Ok(Driver::of(&self.a.open(run, self.creating().ttl(self.brief())).await?))
    }

    /// The checkpointers of the harness over these, which the kit has set up.
    pub(crate) fn checkpointers(&self, checkpoints: Checkpoints) -> Arc<dyn CheckpointerFactory> {
        self.harness.checkpointers(checkpoints)
    }

    /// Opens a run as soon as the store says that it is due.
    pub(crate) async fn open_due(&self, run: &RunId, open: Open) -> Verdict<Opened> {
        let head = self.head(run).await?;
        let Some(due) = head.due else {
            return Err(Failure::new("the due of the run to open", "an instant", format!("{head:?}")));
        };
        let mut left = due.since(head.at);
        loop {
            if !left.is_zero() {
                self.pass(left + self.slack()).await;
            }
            let error = match self.a.open(run, open.clone()).await {
                Ok(opened) => return Ok(opened),
                Err(error) => error,
            };
            left = match error.refusal() {
                Some(Refusal::LeaseHeld { expires_in: Some(left), .. }) if !left.is_zero() => *left,
                _ => return Err(error.into()),
            };
        }
    }

    /// The next commit of `driver`: empty, to be filled and sent.
    pub(crate) fn next(&self, driver: &Driver) -> Commit {
        Commit::new(driver.run.clone(), driver.fence, self.id(), driver.version)
    }

    /// Commits what `fill` puts into the next commit of `driver`, checks the answer's numbers and takes them over.
    pub(crate) async fn commit(
        &self,
        driver: &mut Driver,
        fill: impl FnOnce(Commit) -> Commit,
    ) -> Verdict<Committed> {
        let commit = fill(self.next(driver));
        let version = driver.version + 1;
        let expected =
            Committed { version, cursor: driver.cursor + commit.records.len() as u64, replayed: false };
        let committed = self.a.commit(commit).await?;
        crate::expect::expect_eq("the answer to a commit", committed, expected)?;
        (driver.version, driver.cursor) = (committed.version, committed.cursor);
        Ok(committed)
    }

    /// Commits `count` records whose bodies tell their cursors.
    pub(crate) async fn commit_records(&self, driver: &mut Driver, count: u64) -> Verdict<Committed> {
        let cursors = driver.cursor + 1..=driver.cursor + count;
        self.commit(driver, |commit| commit.records(cursors.map(record))).await
    }

    /// Completes the run of `driver` with an empty output.
    pub(crate) async fn complete(&self, driver: &mut Driver) -> Verdict<Committed> {
        let outcome = Outcome::Completed { output: Bytes::new() };
        self.commit(driver, |commit| commit.finish(outcome, Retain::Keep)).await
    }

    /// Opens a run that is due already.
    pub(crate) async fn resume(&self, run: &RunId) -> Verdict<Driver> {
        Ok(Driver::of(&self.a.open(run, self.resuming()).await?))
    }

    /// A message of the kind `signal`, to be sent.
    pub(crate) fn message(&self, key: impl AsRef<str>, body: impl Into<Bytes>) -> NewMessage {
        let key = MessageKey::new(key).expect("keys of cases are short");
        NewMessage::new(self.id(), key, Kind::from_static("signal"), body)
    }

    /// The head of a run that must be there, read by the other handle.
    pub(crate) async fn head(&self, run: &RunId) -> Verdict<Head> {
        let head = self.b.head(run).await?;
        head.ok_or_else(|| Failure::new(format!("the head of {run}"), "a head", "None"))
    }

    /// Everything that can be read of a run, by the other handle.
    pub(crate) async fn image(&self, run: &RunId) -> Verdict<Image> {
        image(&*self.b, run).await
    }

    /// Does `work`, which is refused, and checks that both handles read of the run what was there before.
    pub(crate) async fn unchanged<T>(
        &self,
        run: &RunId,
        work: impl Future<Output = Verdict<T>>,
    ) -> Verdict<T> {
        let before = self.image(run).await?;
        let answer = work.await?;
        for store in [&self.a, &self.b] {
            before.same_as(&image(&**store, run).await?)?;
        }
        Ok(answer)
    }

    /// Runs `racers` tasks that start at the same moment, on one handle and the other in turn; the answers stand in
    /// the order of their indices.
    pub(crate) async fn race<T, F>(
        &self,
        racers: usize,
        racer: impl Fn(usize, Arc<dyn Store>) -> F,
    ) -> Verdict<Vec<T>>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let barrier = Arc::new(Barrier::new(racers));
        let mut tasks = JoinSet::new();
        for index in 0..racers {
            let store = if index % 2 == 0 { &self.a } else { &self.b };
            let (work, barrier) = (racer(index, store.clone()), barrier.clone());
            tasks.spawn(async move {
                barrier.wait().await;
                (index, work.await)
            });
        }
        let mut answers = Vec::with_capacity(racers);
        while let Some(joined) = tasks.join_next().await {
            answers.push(joined.map_err(|error| Failure::new("a race", "no panic", error.to_string()))?);
        }
        answers.sort_by_key(|(index, _)| *index);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }
}
