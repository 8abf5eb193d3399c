//! A child, before it is awaited: what it is asked to do, and within which bounds.

use std::{error::Error as StdError, fmt, marker::PhantomData, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use milepost_core::{Digest, Incarnation, Result as StoreResult, RunId};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{
    family::Known,
    kept::{ChildCause, ChildEnd, Identity, Kept},
    spawned::Spawned,
    watch::{Spec, Watch},
};
use crate::{
    Run, activity::Busy, canonical::to_json, event::Event, history::Entry, meta::manifest, place::Place,
    run::Core,
};

/// A child, made by [`Run::child`]. Awaited, it is begun and waited for; [`Child::spawn`] only begins it.
#[must_use = "a child is not begun until it is awaited or spawned"]
pub struct Child<'a, T> {
    run: &'a Run,
    place: Place,
    entry: Option<Entry>,
    key: String,
    name: String,
    input: StoreResult<Box<RawValue>>,
    grant: Option<u64>,
    within: Option<Duration>,
    restarts: Option<(u32, Duration)>,
    output: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Child<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, name, place, grant, .. } = self;
        f.debug_struct("Child")
            .field("key", key)
            .field("name", name)
            .field("at", &place.to_string())
            .field("grant", grant)
            .finish_non_exhaustive()
    }
}

/// A child that gave no output, for good.
///
/// It is recorded, so the handler gets the same one after every crash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChildError {
    pub(super) key: String,
    pub(super) run: RunId,
    pub(super) cause: ChildCause,
    pub(super) message: String,
}

impl ChildError {
    /// The child's key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The child.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// Why it gave no output.
    pub fn cause(&self) -> ChildCause {
        self.cause
    }

    /// What its failure says.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ChildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, message, cause, .. } = self;
        match cause {
            ChildCause::Failed(kind) => write!(f, "child {key:?} failed ({kind}): {message}"),
            _ => write!(f, "child {key:?}: {message}"),
        }
    }
}

impl StdError for ChildError {}

impl Run {
    /// A run of its own, begun and waited for by this one: `name` is its handler, `key` tells it from the other children of
    /// this run. It is driven like any run, by this process or another one, and goes on when this process dies; what it
    /// returned is recorded here, so it is never asked for twice.
    ///
    /// A key stands for one child of this run, wherever in the handler it is asked for: the same again gives what the first
    /// one gave, and is refused as [`ChildCause::Duplicate`] before that has ended, and as [`ChildCause::Conflict`] with
    /// another handler or input. When this run ends, children that have not are cancelled, and waited for.
    ///
    /// ```
    /// # use milepost_run::{BoxError, Run};
    /// async fn parent(run: Run, orders: Vec<u64>) -> Result<u64, BoxError> {
    ///     let totals = run.map(orders, 4, u64::to_string, |run, order| async move {
    ///         run.child::<u64>(format!("order {order}"), "bill", &order).await
    ///     });
    ///     Ok(totals.await?.iter().sum())
    /// }
    /// ```
    pub fn child<T>(
        &self,
        key: impl Into<String>,
        name: impl Into<String>,
        input: &(impl Serialize + ?Sized),
    ) -> Child<'_, T> {
        let (place, entry) = self.arrive();
        let (key, name, input) = (key.into(), name.into(), to_json(input));
        let (grant, within, restarts, output) = (None, None, None, PhantomData);
        Child { run: self, place, entry, key, name, input, grant, within, restarts, output }
    }
}

impl<'a, T: 'a> Child<'a, T> {
    /// Grants it a slice of this run's budget: set aside when it is begun, and what it has not used comes back when it ends.
    /// Of a child that nobody knows the use of (it died, or has [gaps](crate::Budget::gaps)) nothing comes back. A child
    /// without a slice is not accounted for.
    pub fn budget(mut self, units: u64) -> Self {
        self.grant = Some(units);
        self
    }

    /// Fails the child as timed out when it has not ended `within` this time from its creation.
    pub fn deadline(mut self, within: Duration) -> Self {
        self.within = Some(within);
        self
    }

    /// Reopens it when it has failed, at most `times` within `window`: one more failure is then its end. Every restart is
    /// recorded here before it is made, so the count survives the death of this run's process. A child that was cancelled
    /// is not reopened.
    pub fn restarts(mut self, times: u32, window: Duration) -> Self {
        self.restarts = Some((times, window));
        self
    }

    /// Begins it, and does not wait for its end: once this is there, the child exists. [`Spawned::join`] and
    /// [`Children::next`](crate::Children::next) wait.
    pub fn spawn(self) -> BoxFuture<'a, Spawned<T>> {
        self.begin().boxed()
    }

    async fn begin(mut self) -> Spawned<T> {
        let core = self.run.core().clone();
        let mut busy = core.activity.begin();
        let id = child_id(&core.id, core.log.fence().incarnation, &self.key);
        let (input, unrecordable) = match std::mem::replace(&mut self.input, Ok(Box::default())) {
            Ok(input) => (input, None),
            Err(error) => (Box::default(), Some(error)),
        };
        let identity = Identity {
            manifest: manifest(&id, &self.name, &input).0,
            run: id,
            key: std::mem::take(&mut self.key),
            name: std::mem::take(&mut self.name),
        };
        let spec =
            Spec { at: self.place.clone(), identity, input, within: self.within, restarts: self.restarts };
        let watch = match self.entry.take() {
            Some(Entry::Child(kept)) if kept.identity.is_asked_for_by(&spec.identity) => recorded(*kept),
            Some(other) => {
                core.diverge(&spec.at, &asked(&spec.identity), &other);
                core.over(&mut busy).await
            }
            None => {
                core.admit(&mut busy).await;
                let refused = unrecordable.map(|error| (ChildCause::Invalid, error.to_string()));
                self.fresh(&core, &mut busy, &spec, refused).await
            }
        };
        drop(busy);
        Spawned::new(core, spec, watch)
    }

    /// Records the intent and makes the child, or records why there is none.
    async fn fresh(
        &self,
        core: &Core,
        busy: &mut Busy<'_>,
        spec: &Spec,
        refused: Option<(ChildCause, String)>,
    ) -> Watch {
        let (identity, grant) = (spec.identity.clone(), self.grant);
        let known = core.history().family.look(&identity);
        let end = match (refused, known) {
            (Some((cause, message)), _) => Some(Arc::new(ChildEnd::Failed { cause, message })),
            (None, Known::Ended(end)) => Some(end),
            (None, Known::Live) => Some(Arc::new(duplicate(&identity))),
            (None, Known::Other(other)) => Some(Arc::new(conflict(&identity, &other))),
            (None, Known::New) => {
                let reserved =
                    grant.map_or(Ok(()), |units| core.history().family.ledger.reserve(&spec.at, units));
                reserved.err().map(|left| Arc::new(over_budget(grant.unwrap_or_default(), left)))
            }
        };
        let began = Event::ChildBegan { at: spec.at.clone(), child: identity.clone(), grant };
        let began_at = core.clock.now();
        match end {
            Some(end) => {
                let settled = Event::ChildSettled { at: spec.at.clone(), end: end.clone(), used: Some(0) };
                let number = core.log.write_entry(core.log.entry(&[began, settled])).await;
                Watch::settled(number, end)
            }
            None => {
                // Known from now on, so that whoever asks for the key at the same moment is refused.
                core.history().family.begin(&spec.at, &identity, grant);
                core.log.write_entry(core.log.entry(&[began])).await;
                super::watch::plant(core, busy, spec, grant).await;
                Watch::live(grant, began_at, Vec::new(), false).begun(core)
            }
        }
    }
}

/// A child that the log knows.
fn recorded(kept: Kept) -> Watch {
    let Kept { grant, began, restarts, reopen, settled, .. } = kept;
    match settled {
        Some((cursor, end)) => Watch::settled(cursor, end),
        None => Watch::live(grant, began, restarts, reopen),
    }
}

impl<'a, T: DeserializeOwned + Send + 'a> IntoFuture for Child<'a, T> {
    type Output = Result<T, ChildError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async { self.begin().await.join().await }.boxed()
    }
}

/// What is asked for, for the message of a divergence.
pub(super) fn asked(child: &Identity) -> String {
    format!("child {:?} of handler {:?}", child.key, child.name)
}

fn duplicate(child: &Identity) -> ChildEnd {
    let message =
        format!("run {} has been begun under this key and has not ended; wait for that one", child.run);
    ChildEnd::Failed { cause: ChildCause::Duplicate, message }
}

fn conflict(child: &Identity, other: &Identity) -> ChildEnd {
    let (asked, other) = (&child.name, &other.name);
    let message = format!(
        "handler {asked:?} with this input was asked for under a key that stands for {other:?} with its own; \
         give it another key"
    );
    ChildEnd::Failed { cause: ChildCause::Conflict, message }
}

fn over_budget(units: u64, left: u64) -> ChildEnd {
    let message = format!("a slice of {units} was asked for, and {left} are left of the budget");
    ChildEnd::Failed { cause: ChildCause::OverBudget, message }
}

/// The id of a child: `parent/key~` and eight digits that are this life's of its parent, so that a parent that is deleted and
/// begun again does not meet the children of its former life. One that would be too long is cut, and told apart by more
/// digits.
pub(crate) fn child_id(parent: &RunId, incarnation: Incarnation, key: &str) -> RunId {
    let digest = Digest::of(format!("milepost child {incarnation} {parent}\n{key}").as_bytes()).to_string();
    let mut readable = format!("{parent}/{key}").replace('\0', " ");
    let digits = if readable.len() + 9 <= RunId::LIMIT { 8 } else { 32 };
    readable.truncate(readable.floor_char_boundary(RunId::LIMIT - digits - 1));
    match RunId::new(format!("{readable}~{}", &digest[..digits])) {
        Ok(id) => id,
        // Within the limit and without NUL, every string is an id.
        Err(error) => unreachable!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_child_says_whose_it_is_and_is_its_own() {
        let parent = RunId::new("orders-7").unwrap();
        let id = |life, key: &str| child_id(&parent, Incarnation(life), key);
        assert!(id(1, "bill").as_str().starts_with("orders-7/bill~"), "{}", id(1, "bill"));
        assert_eq!(id(1, "bill"), id(1, "bill"));
        assert_ne!(id(1, "bill"), id(2, "bill"), "another life of the parent");
        let long = "é".repeat(200);
        assert_ne!(id(1, &long), id(1, &(long.clone() + "x")), "cut, and still told apart");
        assert!(id(1, &long).as_str().len() <= RunId::LIMIT);
        let deep = (0..50).fold(parent.clone(), |parent, _| child_id(&parent, Incarnation(1), "child"));
        assert!(deep.as_str().len() <= RunId::LIMIT);
        assert!(child_id(&parent, Incarnation(1), "a\0b").as_str().starts_with("orders-7/a b~"));
    }
}
