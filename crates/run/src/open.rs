//! From a run in the store to one that a handler can drive.

use std::{sync::Arc, time::Duration};

use futures_util::TryStreamExt;
use milepost_core::{
    Applied, Commit, Error, ErrorKind, Failure, FailureKind, Finish, Head, Open, Opened, Outcome, Refusal,
    Result, Retain, RunId, Snapshot, Span, Store, Timestamp, Wake,
};
use serde_json::value::RawValue;
use tracing::{error, warn};

use crate::{
    Ended, Happened, Runner,
    aside::Guest,
    base::{self, Base},
    event::Event,
    history::History,
    inbox::Inbox,
    log::{End, Log, Means, pauses},
    meta::Meta,
    run::{Core, Parts},
    runner::Shared,
    stop::Stop,
    store_clock::StoreClock,
    tree::cascade,
};

/// How long a store that does not answer is asked again when a run is opened.
const PATIENCE: Duration = Duration::from_secs(2);

/// A run that this process drives.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) core: Arc<Core>,
    pub(crate) input: Box<RawValue>,
    pub(crate) deadline: Option<Timestamp>,
    /// Of a run without durability that was begun here.
    pub(crate) guest: Option<Arc<Guest>>,
}

/// What came of opening a run.
#[derive(Debug)]
pub(crate) enum Entered {
    Ready(Box<Ready>),
    /// It has ended before, or just now as poison.
    Finished(Outcome),
}

impl Ready {
    /// Lets go of it, due at once.
    pub(crate) async fn let_go(self) -> Result<()> {
        self.core.log.end(End::Release(Wake::now()), None, PATIENCE).await
    }
}

/// Opens a run and reads its log, once. `base` is the large input of a run that is created.
///
/// # Errors
///
/// Those of [`milepost_core::Store::open`], but `Finished`; and those of reading the run, which is then let go of.
pub(crate) async fn enter(
    runner: &Runner,
    run: &RunId,
    open: Open,
    base: Option<Box<RawValue>>,
) -> Result<Entered> {
    let shared = runner.shared();
    let began = shared.means.clock.elapsed();
    let reopens = open.reopen_failed;
    let opened = match ask(&shared.means, || shared.means.store.open(run, open.clone())).await {
        Ok(opened) => opened,
        Err(error) => match error.refusal() {
            Some(Refusal::Finished { outcome }) => return Ok(Entered::Finished(outcome.clone())),
            _ => return Err(error),
        },
    };
    let head = found(&shared.means, opened, base).await?;
    let clock = StoreClock::new(shared.means.clock.clone(), head.at, began);
    let stop = Arc::<Stop>::default();
    let ttl = shared.settings.ttl.max(shared.means.store.capabilities().limits.min_ttl);
    let log = Log::new(shared.means.clone(), head.fence, &head, ttl, stop.clone());
    if head.lapses >= shared.settings.poison_after {
        return end_as_poison(shared, &log, &head).await;
    }
    let poll = shared.settings.poll;
    let inbox = Inbox::new(shared.means.clone(), run.clone(), head.fence, poll, stop.clone());
    let read = async {
        let read = read(shared, &head).await?;
        inbox.load(&head).await.map(|()| read)
    };
    match read.await {
        Ok(Reading { history, snapshot, input, meta }) => {
            log.has_read(history.weight, snapshot);
            shared
                .observers
                .tell(run, || Happened::Opened { epoch: head.fence.epoch, cursor: history.cursor });
            let ready = Ready {
                input,
                deadline: meta.deadline(&head),
                guest: None,
                core: Arc::new(Core::new(Parts {
                    id: run.clone(),
                    runner: runner.clone(),
                    parent: meta.parent(&head),
                    budget: meta.budget,
                    is_aside: shared.aside.holds(run),
                    log: Arc::new(log),
                    history,
                    inbox: Arc::new(inbox),
                    stop,
                    stopping: shared.stopping.clone(),
                    clock,
                    settings: shared.settings.clone(),
                    observers: shared.observers.clone(),
                })),
            };
            if reopens {
                reopen(&ready.core);
            }
            Ok(Entered::Ready(Box::new(ready)))
        }
        Err(error) => {
            // Somebody else may be able to read it, a newer program for one; not at once, or it would go round in circles.
            let release = End::Release(Wake::at(clock.now() + ttl));
            if let Err(second) = log.end(release, None, PATIENCE).await {
                error!(%run, error = %second, "a run that cannot be read could not be let go of");
            }
            Err(error)
        }
    }
}

/// Does what may fail in passing until it works, for a while. What is asked is the same each time, so a lost answer is
/// settled by asking again.
pub(crate) async fn ask<T, F>(means: &Means, ask: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let began = means.clock.elapsed();
    let mut pauses = pauses();
    let mut unsure = false;
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        unsure |= error.applied() == Some(Applied::Maybe);
        let in_passing = error.kind().is_transient() || error.applied() == Some(Applied::Maybe);
        let patient = means.clock.elapsed().saturating_sub(began) < PATIENCE;
        if error.refusal().is_some() || !in_passing || !patient {
            // That the last attempt did not happen says nothing of the one before.
            return Err(if unsure { error.with_applied(Applied::Maybe) } else { error });
        }
        means.clock.sleep(pauses()).await;
    }
}

/// Puts the large input of a run that was just created at its origin, which makes it a run that can be due.
async fn found(means: &Means, opened: Opened, base: Option<Box<RawValue>>) -> Result<Head> {
    let mut head = opened.head;
    let Some(input) = base.filter(|_| head.draft) else { return Ok(head) };
    let body = serde_json::to_vec(&Base::of_input(input))
        .map_err(|error| Error::new(ErrorKind::Invalid, format!("the input has no form in JSON: {error}")))?;
    let commit = Commit::new(head.run.clone(), opened.fence, means.ids.operation(), head.version)
        .snapshot(Snapshot::new(0, body));
    head.version = ask(means, || means.store.commit(commit.clone())).await?.version;
    head.draft = false;
    Ok(head)
}

async fn end_as_poison(shared: &Shared, log: &Log, head: &Head) -> Result<Entered> {
    let message = format!(
        "{} owners in a row died driving it, without any work finished in between; \
         find out why, then reopen the run",
        head.lapses
    );
    let failure = Failure::new(FailureKind::Poison, message);
    error!(run = %head.run, %failure, "a run is poison");
    let outcome = Outcome::Failed { failure: failure.clone() };
    let finish = Finish { outcome: outcome.clone(), retain: Retain::Keep };
    cascade::ask_down(shared, head).await;
    log.end(End::Finish(finish), None, PATIENCE).await?;
    if let Ok(Some(parent)) = Meta::of(head).map(|meta| meta.parent(head)) {
        cascade::tell_parent(&shared.means, &parent, head.run.clone(), head.fence.epoch).await;
    }
    shared.observers.tell(&head.run, || Happened::Ended(Ended::Failed(failure)));
    Ok(Entered::Finished(outcome))
}

/// What is recorded of a run, and of what size the snapshot is that it begins with.
struct Reading {
    history: History,
    snapshot: (u64, u64),
    input: Box<RawValue>,
    meta: Meta,
}

async fn read(shared: &Shared, head: &Head) -> Result<Reading> {
    let store = &*shared.means.store;
    let mut meta = Meta::of(head)?;
    let begins = !head.snapshots.is_empty() || meta.input.is_none();
    let newest = async { if begins { base::newest(store, &head.run).await } else { Ok(None) } };
    let (base, after, size) = match newest.await {
        Ok(newest) => newest.unwrap_or_default(),
        // The log is whole, and says the same.
        Err(error) if error.kind() == ErrorKind::Undecodable && meta.input.is_some() && head.first <= 1 => {
            warn!(run = %head.run, %error, "a snapshot cannot be read; the whole log is read instead");
            Default::default()
        }
        Err(error) => return Err(error),
    };
    let input = meta.input.take().or_else(|| base.input.clone()).ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, "the run's input is not where its info says that it is")
    })?;
    let snapshot = (base.weight, size);
    let mut history = History::default();
    history.begin(base, after)?;
    let span = Span::after(after).until(head.cursor).incarnation(head.fence.incarnation);
    let mut records = store.stream(&head.run, span);
    while let Some(record) = records.try_next().await? {
        history.read(&record)?;
    }
    Ok(Reading { history, snapshot, input, meta })
}

/// The input of a run.
pub(crate) async fn input_of(store: &dyn Store, head: &Head) -> Result<Box<RawValue>> {
    let input = match Meta::of(head)?.input {
        Some(input) => Some(input),
        None => base::newest(store, &head.run).await?.and_then(|(base, ..)| base.input),
    };
    input.ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, "the run's input is not where its info says that it is")
    })
}

/// The failures upon which the handler has not acted are tried again.
fn reopen(core: &Core) {
    let mut history = core.history();
    let forgotten = history.newest_failures();
    history.forget(forgotten.clone());
    drop(history);
    let entry = core.log.entry(&[Event::Reopened { forgotten }]);
    core.log.push(entry);
}
