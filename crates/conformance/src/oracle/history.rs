//! What concurrent clients asked a store and were answered, written down while they do.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use milepost_core::{
    Applied, At, BlobInfo, BoxStream, Bytes, Capabilities, Clock, Commit, Committed, Delete, Digest, Error,
    Head, Message, NewMessage, Open, Opened, Query, Record, Renew, Result, RunId, Sent, Snapshot, Span,
    Store, SystemClock,
};
use milepost_store_memory::{Answer, Write};

use super::{
    ask::{Ask, Told},
    checker::{Found, linearize},
    portable::Portable,
    resolve::UNKNOWN,
};
use crate::{Failure, Verdict};

/// What concurrent clients of a store asked and were answered, to be checked for linearizability run by run.
///
/// Clients work through [`History::record`]; [`History::check`] then looks for one order of the operations of each run
/// in which every one stands at a moment between its call and its answer, and in which the reference model answers as
/// the store did. A write whose answer was lost ([`Applied::Maybe`], a dropped future) may stand at any later moment, or
/// nowhere. A cheap clone.
///
/// - It begins before the runs that it tells of were created.
/// - No lease runs out while it lasts: clients take over by [`milepost_core::Takeover::Over`], not by waiting.
/// - Clients of several processes of one machine each keep their own, made by [`History::by_clock`]; [`History::merged`]
///   makes one of them.
/// - Listings, and streams that follow or are dropped early, are not written down.
/// - A stream counts as one read, which it is not while something is trimmed, taken or dropped between two of its pages:
///   clients that do so read no streams of these runs.
///
/// ```
/// use milepost_conformance::History;
/// use milepost_core::{Ids, Manifest, Open, RunId, RunInfo, Store, SystemIds};
/// use milepost_store_memory::MemoryStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::new();
/// let history = History::new();
/// let (one, other) = (history.record(store.clone()), history.record(store.clone()));
///
/// let run = RunId::new("import")?;
/// let open = || Open::create(SystemIds.operation(), RunInfo::named("import"), Manifest::of(b"orders.csv"));
/// let _ = tokio::join!(one.open(&run, open()), other.open(&run, open()), other.head(&run));
///
/// let checked = history.check(&store.capabilities()).unwrap_or_else(|why| panic!("{why}"));
/// assert_eq!((checked.runs, checked.operations, checked.undecided), (1, 3, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct History(Arc<Log>);

#[derive(Debug, Default)]
struct Log {
    moments: Moments,
    clients: AtomicU64,
    operations: Mutex<Vec<Operation>>,
}

/// When something was asked or answered.
#[derive(Debug)]
enum Moments {
    /// Every moment is another one.
    Counted(AtomicU64),
    /// Microseconds of the wall clock: what happened within the same one happened at once.
    Clock(SystemClock),
}

impl Default for Moments {
    fn default() -> Self {
        Moments::Counted(AtomicU64::new(0))
    }
}

/// How a history did that has an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Checked {
    /// How many runs it tells of.
    pub runs: usize,
    /// How many operations.
    pub operations: usize,
    /// Of how many runs the search gave up before it had found an order or shown that there is none.
    pub undecided: usize,
}

/// One operation: what was asked, what was told, and when. It took effect at some moment in between.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// Who asked.
    pub(crate) client: u64,
    /// When, as a count of the moments of the history.
    pub(crate) invoked: u64,
    /// When the answer had come; `u64::MAX` if it was lost.
    pub(crate) answered: u64,
    /// What was asked.
    pub(crate) ask: Ask,
    /// What was told.
    pub(crate) told: Told,
}

impl History {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty one that tells moments by the clock of this machine, to be [merged](History::merged) with those of other
    /// processes. The clock must not be set while they last.
    pub fn by_clock() -> Self {
        let moments = Moments::Clock(SystemClock::default());
        Self(Arc::new(Log { moments, clients: AtomicU64::new(0), operations: Mutex::default() }))
    }

    /// What was written down until now, as text.
    ///
    /// # Errors
    ///
    /// When something of it cannot be written as JSON.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let operations = self.0.operations.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::to_string(&operations.iter().filter_map(Portable::of).collect::<Vec<_>>())
    }

    /// One history of what several processes have written down.
    ///
    /// # Errors
    ///
    /// When a part is no such text.
    pub fn merged<'a>(parts: impl IntoIterator<Item = &'a str>) -> serde_json::Result<Self> {
        let history = Self::by_clock();
        for (number, part) in (0..).zip(parts) {
            let operations: Vec<Portable> = serde_json::from_str(part)?;
            operations.into_iter().for_each(|operation| history.add(operation.operation(number)));
        }
        Ok(history)
    }

    /// A client's handle: `store`, with everything written down that is asked of it.
    pub fn record<S: Store>(&self, store: S) -> Recorded<S> {
        let client = self.0.clients.fetch_add(1, Ordering::Relaxed);
        Recorded { inner: store, history: self.clone(), client }
    }

    /// Looks for the order of each run's operations. `offered` is what the store declares.
    ///
    /// # Errors
    ///
    /// A run whose operations have no order, told with all of them.
    pub fn check(&self, offered: &Capabilities) -> Verdict<Checked> {
        let operations = self.0.operations.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut checked = Checked { runs: 0, operations: operations.len(), undecided: 0 };
        let mut runs: BTreeMap<RunId, Vec<Operation>> = BTreeMap::new();
        for operation in operations {
            if let Some(run) = operation.ask.run() {
                runs.entry(run.clone()).or_default().push(operation);
            }
        }
        for (run, mut operations) in runs {
            checked.runs += 1;
            operations.sort_by_key(|operation| operation.invoked);
            own_tokens(&operations)?;
            match linearize(offered, &operations) {
                Found::Order => {}
                Found::GivenUp => checked.undecided += 1,
                Found::Nothing { longest } => return Err(no_order(&run, &operations, longest)),
            }
        }
        Ok(checked)
    }

    /// The moment of a call.
    fn moment(&self) -> u64 {
        match &self.0.moments {
            Moments::Counted(count) => count.fetch_add(1, Ordering::SeqCst),
            Moments::Clock(clock) => clock.now().0.try_into().unwrap_or(0),
        }
    }

    /// The moment of an answer: what was called within the same microsecond was not called after it.
    fn end(&self) -> u64 {
        self.moment() + u64::from(matches!(self.0.moments, Moments::Clock(_)))
    }

    fn add(&self, operation: Operation) {
        self.0.operations.lock().unwrap_or_else(PoisonError::into_inner).push(operation);
    }
}

fn no_order(run: &RunId, operations: &[Operation], longest: usize) -> Failure {
    let lines: String = operations.iter().map(|operation| format!("\n  {operation}")).collect();
    Failure::new(
        format!("the history of {run} ([called … answered])"),
        "one order of its operations in which the reference model answers as the store did",
        format!("the longest order explains {longest} of {}:{lines}", operations.len()),
    )
}

/// No token may be minted twice.
fn own_tokens(operations: &[Operation]) -> Verdict {
    let mut minted = BTreeMap::new();
    for Operation { ask, told, .. } in operations {
        let (Ask::Write(_, write), Some(opened)) = (ask, told.opened()) else { continue };
        let Write::Open(open, _) = &**write else { continue };
        let first = minted.entry(opened.fence.token).or_insert(open.id);
        if *first != open.id {
            let came = format!("{} for the opens {first} and {}", opened.fence, open.id);
            return Err(Failure::new("the tokens of two opens", "each has its own", came));
        }
    }
    Ok(())
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, invoked, answered, ask, told } = self;
        match answered {
            &u64::MAX => write!(f, "[{invoked:3} …    ] client {client}: {ask}\n              = {told}"),
            answered => {
                write!(f, "[{invoked:3} … {answered:3}] client {client}: {ask}\n              = {told}")
            }
        }
    }
}

/// A store that writes down in a [`History`] what is asked of it and what it answers.
#[derive(Clone, Debug)]
pub struct Recorded<S> {
    inner: S,
    history: History,
    client: u64,
}

/// A call that is under way. One that is dropped is a lost answer.
struct Call<'a, S> {
    recorded: &'a Recorded<S>,
    ask: Option<Ask>,
    invoked: u64,
    writes: bool,
}

impl<S> Recorded<S> {
    fn call(&self, ask: Ask) -> Call<'_, S> {
        let writes = matches!(ask, Ask::Write(..));
        Call { recorded: self, ask: Some(ask), invoked: self.history.moment(), writes }
    }

    fn write(&self, run: &RunId, write: Write) -> Call<'_, S> {
        self.call(Ask::Write(run.clone(), Box::new(write)))
    }

    fn read<T: Clone + Send + 'static>(
        &self,
        ask: Option<Ask>,
        stream: impl FnOnce() -> BoxStream<'static, Result<T>>,
        tell: fn(Vec<T>) -> Told,
    ) -> BoxStream<'static, Result<T>> {
        let Some(ask) = ask else { return stream() };
        let (history, client) = (self.history.clone(), self.client);
        // It may be read as soon as it is made.
        let reading = Reading { invoked: history.moment(), history, client, ask, items: vec![], tell };
        stream::unfold((stream(), Some(reading)), |(mut stream, mut reading)| async move {
            let item = stream.next().await;
            match &item {
                Some(Ok(item)) => reading.iter_mut().for_each(|reading| reading.items.push(item.clone())),
                ended => {
                    if let Some(reading) = reading.take() {
                        reading.end(ended.as_ref().and_then(|item| item.as_ref().err()));
                    }
                }
            }
            Some((item?, (stream, reading)))
        })
        .boxed()
    }
}

/// A stream that is being read.
struct Reading<T> {
    history: History,
    client: u64,
    ask: Ask,
    invoked: u64,
    items: Vec<T>,
    tell: fn(Vec<T>) -> Told,
}

impl<T> Reading<T> {
    fn end(self, error: Option<&Error>) {
        let told = match error {
            None => (self.tell)(self.items),
            // Something went wrong on the way, or in the midst of it: nothing that could be compared.
            Some(error) if error.refusal().is_none() || !self.items.is_empty() => return,
            Some(error) => Told::failure(error),
        };
        let Self { history, client, invoked, ask, .. } = self;
        history.add(Operation { client, invoked, answered: history.end(), ask, told });
    }
}

impl<S> Call<'_, S> {
    /// Writes the answer down.
    fn told<T>(mut self, answer: Result<T>, tell: impl FnOnce(&T) -> Told) -> Result<T> {
        let Some(ask) = self.ask.take() else { return answer };
        let told = match &answer {
            Ok(value) => tell(value),
            Err(error) if error.refusal().is_some() => Told::failure(error),
            Err(error) => match (error.kind(), error.applied()) {
                // What nobody can have seen anything of: it did not happen, or it was a read.
                (_, Some(Applied::No)) => return answer,
                _ if !self.writes => return answer,
                (milepost_core::ErrorKind::Invalid | milepost_core::ErrorKind::TooLarge, _) => return answer,
                _ => Told::Lost,
            },
        };
        self.add(ask, told);
        answer
    }

    fn add(&self, ask: Ask, told: Told) {
        let Recorded { history, client, .. } = self.recorded;
        let answered = if told == Told::Lost { u64::MAX } else { history.end() };
        history.add(Operation { client: *client, invoked: self.invoked, answered, ask, told });
    }
}

impl<S> Drop for Call<'_, S> {
    fn drop(&mut self) {
        if let Some(ask) = self.ask.take().filter(|_| self.writes) {
            self.add(ask, Told::Lost);
        }
    }
}

fn answer(answer: Answer) -> Told {
    Told::Answer(Box::new(answer))
}

#[async_trait]
impl<S: Store> Store for Recorded<S> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn open(&self, run: &RunId, open: Open) -> Result<Opened> {
        let call = self.write(run, Write::Open(open.clone(), UNKNOWN));
        let told = |opened: &Opened| answer(Answer::Opened(Box::new(opened.clone())));
        call.told(self.inner.open(run, open).await, told)
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        let call = self.write(&commit.run, Write::Commit(commit.clone()));
        call.told(self.inner.commit(commit).await, |committed| answer(Answer::Committed(*committed)))
    }

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        let calls: Vec<_> =
            commits.iter().map(|commit| self.write(&commit.run, Write::Commit(commit.clone()))).collect();
        let answers = self.inner.commit_many(commits).await;
        let told = |committed: &Committed| answer(Answer::Committed(*committed));
        calls.into_iter().zip(answers).map(|(call, answer)| call.told(answer, told)).collect()
    }

    async fn renew(&self, run: &RunId, renew: Renew) -> Result<()> {
        let call = self.write(run, Write::Renew(renew.clone()));
        call.told(self.inner.renew(run, renew).await, |()| answer(Answer::Renewed))
    }

    async fn send(&self, run: &RunId, message: NewMessage) -> Result<Sent> {
        let call = self.write(run, Write::Send(message.clone()));
        call.told(self.inner.send(run, message).await, |sent| answer(Answer::Sent(*sent)))
    }

    async fn delete(&self, run: &RunId, guard: Delete) -> Result<bool> {
        let call = self.write(run, Write::Delete(guard));
        call.told(self.inner.delete(run, guard).await, |deleted| answer(Answer::Deleted(*deleted)))
    }

    async fn head(&self, run: &RunId) -> Result<Option<Head>> {
        let call = self.call(Ask::Head(run.clone()));
        call.told(self.inner.head(run).await, |head| Told::Head(head.clone().map(Box::new)))
    }

    async fn snapshot(&self, run: &RunId, at: At) -> Result<Option<Snapshot>> {
        let call = self.call(Ask::Snapshot(run.clone(), at));
        call.told(self.inner.snapshot(run, at).await, |snapshot| Told::Snapshot(snapshot.clone()))
    }

    fn stream(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Record>> {
        let ask = (!span.follow).then(|| Ask::Stream(run.clone(), span));
        self.read(ask, || self.inner.stream(run, span), Told::Records)
    }

    fn inbox(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Message>> {
        let ask = (!span.follow).then(|| Ask::Inbox(run.clone(), span));
        self.read(ask, || self.inner.inbox(run, span), Told::Messages)
    }

    async fn blob(&self, run: &RunId, name: &Digest) -> Result<Option<Bytes>> {
        let call = self.call(Ask::Blob(run.clone(), *name));
        call.told(self.inner.blob(run, name).await, |body| Told::Blob(body.clone()))
    }

    fn blobs(&self, run: &RunId) -> BoxStream<'static, Result<BlobInfo>> {
        self.read(Some(Ask::Blobs(run.clone())), || self.inner.blobs(run), Told::Blobs)
    }

    fn list(&self, query: Query) -> BoxStream<'static, Result<Head>> {
        self.inner.list(query)
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

#[cfg(test)]
mod tests {
    use milepost_core::{Durability, Fence, Incarnation, Manifest, OperationId, RunInfo, Token};
    use milepost_store_memory::MemoryStore;

    use super::*;

    const RUN: &str = "r";

    fn creation(id: u128) -> Open {
        Open::create(OperationId(id), RunInfo::named("n"), Manifest::of(b""))
    }

    /// What two clients of two processes do, written down by each.
    async fn two_processes(store: &MemoryStore) -> [String; 2] {
        let run = RunId::from_static(RUN);
        let histories = [History::by_clock(), History::by_clock()];
        let (one, other) = (histories[0].record(store.clone()), histories[1].record(store.clone()));
        let opened = one.open(&run, creation(1)).await.unwrap();
        other.open(&run, creation(2)).await.unwrap_err();
        let commit = Commit::new(run.clone(), opened.fence, OperationId(3), 1);
        one.commit(commit.clone().snapshot(Snapshot::new(0, "state"))).await.unwrap();
        other.commit(Commit { id: OperationId(4), ..commit }).await.unwrap_err();
        other.snapshot(&run, At::Latest).await.unwrap();
        let stranger = Fence { incarnation: Incarnation(9), epoch: 1, token: Token(9) };
        one.renew(&run, Renew::new(stranger, Open::DEFAULT_TTL)).await.unwrap_err();
        other.delete(&run, Delete::Any).await.unwrap();
        other.head(&run).await.unwrap();
        histories.map(|history| history.to_json().unwrap())
    }

    #[tokio::test]
    async fn histories_of_two_processes_are_one() {
        let store = MemoryStore::new();
        let parts = two_processes(&store).await;
        let merged = History::merged(parts.iter().map(String::as_str)).unwrap();
        let checked = merged.check(&store.capabilities()).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(checked, Checked { runs: 1, operations: 8, undecided: 0 });
    }

    #[tokio::test]
    async fn a_part_alone_is_no_whole() {
        let parts = two_processes(&MemoryStore::new()).await;
        let half = History::merged([parts[1].as_str()]).unwrap();
        let why = half.check(&Capabilities::all(Durability::Process)).unwrap_err().to_string();
        assert!(why.contains("the longest order explains"), "{why}");
    }

    #[tokio::test]
    async fn a_dropped_write_may_have_happened() {
        let (store, history) = (MemoryStore::new(), History::new());
        let run = RunId::from_static(RUN);
        let recorded = history.record(Never(store.clone()));
        tokio::select! {
            biased;
            _ = recorded.open(&run, creation(1)) => panic!("it is never answered"),
            () = std::future::ready(()) => {}
        }
        history.record(store.clone()).head(&run).await.unwrap();
        let checked = history.check(&store.capabilities()).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!((checked.operations, checked.undecided), (2, 0));
    }

    /// Does what it is asked, and never answers.
    #[derive(Debug)]
    struct Never(MemoryStore);

    impl milepost_layers::Layer for Never {
        type Inner = MemoryStore;

        fn inner(&self) -> &MemoryStore {
            &self.0
        }

        async fn around<T: Send>(
            &self,
            _: milepost_core::Operation,
            _: Option<&RunId>,
            work: impl Future<Output = Result<T>> + Send,
        ) -> Result<T> {
            let _ = work.await;
            std::future::pending().await
        }
    }

    milepost_layers::forward_store! {
        impl Store for Never;
        forward capabilities, open, commit, renew, send, delete, head, snapshot, stream, inbox, blob, blobs, list, close;

        async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
            self.0.commit_many(commits).await
        }
    }
}
