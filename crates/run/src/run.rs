//! What a handler works with.

mod core;
mod parallel;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use milepost_core::{Durability, Fence, Note, RunId, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

pub(crate) use self::core::{Core, Parts, load};
use crate::{
    BoxError, Budget, Effect, Signal, SignalToken, Step,
    event::{Draw, Event},
    history::Entry,
    place::Place,
    value::{Encoded, Stored, decode},
};

/// A run, as its handler sees it: steps, waits, recorded time and randomness.
///
/// Clones are the same run at the same place. What may be done between its methods is said at the
/// [top of this crate](crate).
#[derive(Clone)]
pub struct Run {
    core: Arc<Core>,
    scope: Arc<str>,
    /// The position of the next thing that is asked for in this scope.
    next: Arc<AtomicU32>,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("id", &self.core.id).field("at", &self.here().to_string()).finish()
    }
}

impl Run {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self::in_scope(core, "".into())
    }

    pub(crate) fn in_scope(core: Arc<Core>, scope: Arc<str>) -> Self {
        Self { core, scope, next: Arc::default() }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    fn here(&self) -> Place {
        Place::new(self.scope.clone(), self.next.load(Ordering::Relaxed))
    }

    /// The place of what is asked for now, and what is recorded of it.
    pub(crate) fn arrive(&self) -> (Place, Option<Entry>) {
        let place = Place::new(self.scope.clone(), self.next.fetch_add(1, Ordering::Relaxed));
        let entry = self.core.history().take(&place);
        (place, entry)
    }

    /// Which run it is.
    pub fn id(&self) -> &RunId {
        &self.core.id
    }

    /// By whose right it is driven. An [`Effect`] hands it on.
    pub fn fence(&self) -> Fence {
        self.core.log.fence()
    }

    /// Whether it outlives this process: not if it was begun [without durability](crate::Start::without_durability), nor in
    /// a store that lives in this process itself.
    pub fn is_durable(&self) -> bool {
        !self.core.is_aside && self.core.log.capabilities().durability != Durability::Process
    }

    /// A step: `body` is run until it has succeeded once, however often the process dies, and what it returned is what the
    /// handler gets from then on. Awaited, it gives that, or the [`StepError`](crate::StepError) of its last attempt.
    ///
    /// Steps are told apart by where they stand in the handler; the name is for people, and for noticing that the handler
    /// has changed. `body` is called again for each attempt. Its future is dropped when the run is lost, cancelled or out of
    /// time: what it has done by then is done.
    ///
    /// ```
    /// # use milepost_run::{BoxError, Retry, Run};
    /// # async fn fetch(url: &str) -> Result<String, BoxError> { Ok(url.into()) }
    /// async fn handler(run: Run, url: String) -> Result<usize, BoxError> {
    ///     let page = run.step("fetch", || fetch(&url)).retry(Retry::times(5)).await?;
    ///     Ok(page.len())
    /// }
    /// ```
    pub fn step<'a, T, E, F>(
        &'a self,
        name: impl Into<String>,
        mut body: impl FnMut() -> F + Send + 'a,
    ) -> Step<'a, T>
    where
        T: Serialize + DeserializeOwned + Send + 'a,
        E: Into<BoxError> + 'a,
        F: Future<Output = Result<T, E>> + Send + 'a,
    {
        self.effect(name, move |_| body())
    }

    /// A step whose body gets the [`Effect`], with which its side effect can be made safe where it arrives.
    pub fn effect<'a, T, E, F>(
        &'a self,
        name: impl Into<String>,
        body: impl FnMut(Effect) -> F + Send + 'a,
    ) -> Step<'a, T>
    where
        T: Serialize + DeserializeOwned + Send + 'a,
        E: Into<BoxError> + 'a,
        F: Future<Output = Result<T, E>> + Send + 'a,
    {
        Step::new(self, name.into(), body)
    }

    /// The time, recorded: the same after every crash. It is the store's, and durable before anything that comes of it.
    pub fn now(&self) -> Timestamp {
        self.draw(Draw::Now, || self.core.clock.now())
    }

    /// A random UUID (version 4), recorded.
    pub fn uuid(&self) -> Uuid {
        let random = || uuid::Builder::from_random_bytes(self.core.bits().to_le_bytes()).into_uuid();
        self.draw(Draw::Uuid, random)
    }

    /// 64 random bits, recorded.
    pub fn random(&self) -> u64 {
        self.draw(Draw::Random, || self.core.bits() as u64)
    }

    /// How this run stands with its budget. Recorded: the same after every crash.
    pub fn budget(&self) -> Budget {
        self.draw(Draw::Budget, || self.core.history().family.ledger.read())
    }

    /// Says that something was used, in the units of [`Start::budget`](crate::Start::budget): what a step's result says that
    /// it cost, for one. `None` says that it was used and nobody knows how much, which is not zero: it is told as a
    /// [gap](Budget::gaps).
    ///
    /// ```
    /// # use milepost_run::{BoxError, Run};
    /// # struct Reply { tokens: Option<u64> }
    /// # async fn ask() -> Result<Option<u64>, BoxError> { Ok(Some(7)) }
    /// # async fn handler(run: Run, _: ()) -> Result<(), BoxError> {
    /// let tokens = run.step("model", || ask()).await?;
    /// run.spend("model", tokens);
    /// if run.budget().left() == Some(0) {
    ///     return Err("the budget is used up".into());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn spend(&self, what: &str, units: impl Into<Option<u64>>) {
        let (at, entry) = self.arrive();
        let units = units.into();
        match entry {
            // It is in the books, which were made from the log.
            Some(Entry::Spent(recorded)) if recorded == what => {}
            Some(other) => self.core.diverge(&at, &format!("a use of the budget for {what:?}"), &other),
            None => {
                self.core.history().family.ledger.spend(what, units);
                let entry = self.core.log.entry(&[Event::Spent { at, what: what.into(), units }]);
                self.core.log.push(entry);
            }
        }
    }

    fn draw<T: Serialize + DeserializeOwned>(&self, what: Draw, draw: impl Fn() -> T) -> T {
        let (at, entry) = self.arrive();
        match entry {
            Some(Entry::Drawn(recorded, Stored::Json(json))) if recorded == what => {
                match decode(json.get().as_bytes()) {
                    Ok(value) => return value,
                    Err(error) => self.core.undecodable(&at, what.as_str(), error),
                }
            }
            Some(other) => self.core.diverge(&at, what.as_str(), &other),
            None => {
                let value = draw();
                // Numbers, UUIDs and budgets have a form in JSON.
                if let Ok(encoded) = Encoded::of(&value, usize::MAX) {
                    let entry = self.core.log.entry(&[Event::Drawn { at, what, value: encoded.value }]);
                    self.core.log.push(entry);
                }
                return value;
            }
        }
        // The run is over; the handler is dropped where it awaits next.
        draw()
    }

    /// Waits until it is `instant`, which may have passed. An instant stays what it was over crashes and deploys.
    ///
    /// The process lets go of the run if nothing else is under way; whoever recovers it calls the handler again.
    pub async fn sleep_until(&self, instant: Timestamp) {
        crate::timer::wait(self, |_| instant).await;
    }

    /// Waits for `duration`, which counts from when this was reached first.
    pub async fn sleep(&self, duration: std::time::Duration) {
        crate::timer::wait(self, |now| now + duration).await;
    }

    /// Waits for what [`Runner::signal`](crate::Runner::signal) sends under this name. The first one wins; one that was sent
    /// early is there already, and a second wait for the same name gets the same.
    pub fn signal<T>(&self, name: impl Into<String>) -> Signal<'_, T>
    where
        T: Serialize + DeserializeOwned + Send,
    {
        Signal::new(self, name.into())
    }

    /// Names the wait for a signal of this life of the run, to be handed out: whoever has the token can
    /// [answer](crate::Runner::wake), once. The same after every crash.
    pub fn token(&self, signal: &str) -> SignalToken {
        SignalToken::new(self.core.id.clone(), self.fence().incarnation, signal)
    }

    /// The gate for a change of the handler: gives the newest of `versions` where the run comes here for the first time, and
    /// then always the same. A run that had been here before there was a gate gets the oldest. Gates are told apart by their
    /// names.
    ///
    /// ```
    /// # use milepost_run::{BoxError, Run};
    /// # async fn handler(run: Run, _: ()) -> Result<(), BoxError> {
    /// if run.version("send-receipt", 1..=2) >= 2 {
    ///     run.step("receipt", || async { Ok::<_, BoxError>(()) }).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A run that was recorded with a version out of this range is failed as diverged.
    pub fn version(&self, name: &str, versions: std::ops::RangeInclusive<u32>) -> u32 {
        let mut history = self.core.history();
        let recorded =
            history.gate(name).or_else(|| history.reaches(&self.here()).then_some(*versions.start()));
        let version = recorded.unwrap_or(*versions.end());
        if history.gate(name).is_none() {
            history.pass(name, version);
            drop(history);
            let entry = self.core.log.entry(&[Event::Gate { name: name.into(), version }]);
            self.core.log.push(entry);
        }
        if !versions.contains(&version) {
            self.core.unsupported(name, version, &versions);
        }
        version
    }

    /// Says how far the run is: what a listing shows of it, with the next write. Not recorded.
    ///
    /// A text of more than 1,000 bytes is cut.
    pub fn note(&self, done: u64, total: Option<u64>, text: impl Into<String>) {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(1000));
        self.core.log.note(Note { done, total, text });
    }

    /// Waits until the runner is asked to stop, so that the body of a long step can return
    /// [`Shutdown`](crate::Shutdown) in time.
    pub async fn stopping(&self) {
        self.core.stopping.cancelled().await;
    }
}
