use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, TryStreamExt};
use milepost_core::{
    At, Commit, Delete, Digest, Ids, Kind, ManualClock, MessageKey, NewMessage, NewRecord, Query, Renew,
    RunId, Snapshot, Span, Store, SystemIds, Timestamp,
};
use milepost_layers::{Fate, FaultPlan, Faults, Traced};
use milepost_store_memory::MemoryStore;
use tracing::{Event, Metadata, Subscriber, field, span, subscriber::DefaultGuard};

use crate::world::{Writer, creation, orphan, poll_once};

/// Keeps what each span says, in the order in which they began.
#[derive(Clone, Default)]
pub(crate) struct Spans {
    next: Arc<AtomicU64>,
    kept: Arc<Mutex<BTreeMap<u64, Said>>>,
    /// Without it, nothing is kept.
    keeps: bool,
}

#[derive(Default, Clone)]
struct Said {
    fields: BTreeMap<&'static str, String>,
    entered: u32,
    closed: bool,
}

impl field::Visit for Said {
    fn record_str(&mut self, field: &field::Field, value: &str) {
        self.fields.insert(field.name(), value.into());
    }

    fn record_debug(&mut self, field: &field::Field, value: &dyn fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }
}

impl Spans {
    /// Listens to this thread.
    fn listen() -> (Self, DefaultGuard) {
        let spans = Self { keeps: true, ..Self::default() };
        let guard = tracing::subscriber::set_default(spans.clone());
        (spans, guard)
    }

    fn with(&self, span: &span::Id, change: impl FnOnce(&mut Said)) {
        if let Some(said) = self.kept.lock().unwrap().get_mut(&span.into_u64()) {
            change(said);
        }
    }

    /// What was said since it was asked last, a line a span: every field but the time that it took.
    fn take(&self) -> Vec<String> {
        let kept = std::mem::take(&mut *self.kept.lock().unwrap());
        let line = |said: Said| {
            assert!(said.closed && said.entered > 0, "{:?}", said.fields);
            assert!(said.fields.contains_key("elapsed_us"), "{:?}", said.fields);
            assert_eq!(said.fields["otel.name"], format!("store.{}", said.fields["operation"]));
            let mut fields = said.fields;
            let operation = fields.remove("operation").unwrap();
            fields.retain(|name, _| !["otel.name", "elapsed_us"].contains(name));
            let fields = fields.iter().map(|(name, value)| format!(" {name}={value}"));
            operation + &fields.collect::<String>()
        };
        kept.into_values().map(line).collect()
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "milepost::store"
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        if self.keeps {
            assert_eq!(attributes.metadata().name(), "store");
            let mut said = Said::default();
            attributes.record(&mut said);
            self.kept.lock().unwrap().insert(id, said);
        }
        span::Id::from_u64(id)
    }

    fn record(&self, span: &span::Id, values: &span::Record<'_>) {
        self.with(span, |said| values.record(said));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, span: &span::Id) {
        self.with(span, |said| said.entered += 1);
    }

    fn exit(&self, _: &span::Id) {}

    fn try_close(&self, span: span::Id) -> bool {
        self.with(&span, |said| said.closed = true);
        true
    }

    fn clone_span(&self, span: &span::Id) -> span::Id {
        span.clone()
    }
}

/// A store that is listened to.
fn traced() -> (Traced<Faults<MemoryStore>>, Faults<MemoryStore>, Spans, DefaultGuard) {
    let faults = Faults::new(MemoryStore::new(), FaultPlan::none());
    let (spans, guard) = Spans::listen();
    (Traced::new(faults.clone()), faults, spans, guard)
}

#[tokio::test]
async fn each_operation_is_a_span_that_says_what_came_of_it() {
    let (store, _, spans, _guard) = traced();
    let mut writer = Writer::open(&store, "a").await;
    let run = writer.run.clone();
    let secret = "s3cr3t";
    let commit = writer.next(secret).record(NewRecord::new(Kind::from_static("k"), "more"));
    store.commit(commit.snapshot(Snapshot::new(2, "state"))).await.unwrap();
    store.renew(&run, Renew::new(writer.fence, Duration::from_secs(1))).await.unwrap();
    let message = NewMessage::new(
        SystemIds.operation(),
        MessageKey::from_static("key"),
        Kind::from_static("k"),
        secret,
    );
    store.send(&run, message).await.unwrap();
    store.head(&run).await.unwrap();
    store.snapshot(&run, At::Latest).await.unwrap();
    store.blob(&run, &Digest::of(b"")).await.unwrap();
    assert_eq!(store.stream(&run, Span::all()).count().await, 2);
    assert_eq!(store.inbox(&run, Span::all()).count().await, 1);
    assert_eq!(store.blobs(&run).count().await, 0);
    assert_eq!(store.list(Query::all()).count().await, 1);
    store.delete(&run, Delete::Any).await.unwrap();
    store.close().await.unwrap();
    let said = spans.take();
    assert_eq!(
        said,
        [
            "open outcome=ok run=a",
            "commit bytes=15 outcome=ok records=2 run=a",
            "renew outcome=ok run=a",
            "send bytes=6 outcome=ok run=a",
            "head outcome=ok run=a",
            "snapshot outcome=ok run=a",
            "blob outcome=ok run=a",
            "stream items=2 outcome=ok run=a",
            "inbox items=1 outcome=ok run=a",
            "blobs items=0 outcome=ok run=a",
            "list items=1 outcome=ok",
            "delete outcome=ok run=a",
            "close outcome=ok",
        ]
    );
    assert!(!said.concat().contains(secret), "what is stored is nobody's business");
}

#[tokio::test]
async fn a_failure_says_its_kind_and_whether_it_happened() {
    let (store, faults, spans, _guard) = traced();
    let mut writer = Writer::open(&store, "a").await;
    let refused = store.open(&writer.run, creation()).await.unwrap_err();
    assert_eq!(refused.run(), Some(&writer.run), "the error is the store's");
    faults.arm(FaultPlan::none().at(1, Fate::Lost).fail_read(1));
    store.commit(writer.next("x")).await.unwrap_err();
    store.head(&writer.run).await.unwrap_err();
    let gone = RunId::from_static("gone");
    assert!(store.stream(&gone, Span::all()).try_next().await.is_err());
    assert_eq!(
        spans.take(),
        [
            "open outcome=ok run=a",
            "open applied=No outcome=AlreadyExists run=a",
            "commit applied=Maybe bytes=1 outcome=TimedOut records=1 run=a",
            "head outcome=Unavailable run=a",
            "stream applied=No items=0 outcome=NotFound run=gone",
        ]
    );
}

#[tokio::test]
async fn a_batch_is_one_span() {
    let (store, _, spans, _guard) = traced();
    let mut writers = Writer::open_many(&store, 2).await;
    spans.take();
    let commits: Vec<Commit> = writers.iter_mut().map(|writer| writer.next("xy")).collect();
    assert!(store.commit_many(commits.clone()).await.iter().all(Result::is_ok));
    let answers = store.commit_many(vec![orphan("nobody"), commits[0].clone(), orphan("else")]).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_err()).count(), 2);
    assert_eq!(
        spans.take(),
        [
            "commit bytes=4 commits=2 outcome=ok records=2",
            "commit applied=No bytes=2 commits=3 failed=2 outcome=NotFound records=1",
        ]
    );
}

#[tokio::test]
async fn who_waits_no_longer_is_seen() {
    let (store, faults, spans, _guard) = traced();
    let mut writer = Writer::open(&store, "a").await;
    for _ in 0..3 {
        store.commit(writer.next("x")).await.unwrap();
    }
    spans.take();
    faults.arm(FaultPlan::none().stall_at(1));
    let mut commit = Box::pin(store.commit(writer.next("x")));
    assert!(poll_once(&mut commit).await.is_none());
    drop(commit);
    let mut records = store.stream(&writer.run, Span::all());
    records.try_next().await.unwrap();
    drop(records);
    assert_eq!(
        spans.take(),
        ["commit bytes=1 outcome=dropped records=1 run=a", "stream items=1 outcome=dropped run=a"]
    );
}

#[tokio::test]
async fn the_time_is_that_of_the_injected_clock() {
    let clock = Arc::new(ManualClock::new(Timestamp(0)));
    let faults = Faults::new(MemoryStore::new(), FaultPlan::none().stall_at(1));
    let (spans, _guard) = Spans::listen();
    let store = Traced::with_clock(faults.clone(), clock.clone());
    let run = RunId::from_static("a");
    let mut open = Box::pin(store.open(&run, creation()));
    assert!(poll_once(&mut open).await.is_none());
    clock.advance(Duration::from_millis(5));
    faults.thaw();
    open.await.unwrap();
    let kept = spans.kept.lock().unwrap();
    assert_eq!(kept.values().next().unwrap().fields["elapsed_us"], "5000");
}

#[tokio::test]
async fn while_nobody_listens_nothing_is_there() {
    let store = Traced::new(MemoryStore::new());
    let mut writer = Writer::open(&store, "a").await;
    store.commit(writer.next("x")).await.unwrap();
    assert_eq!(store.stream(&writer.run, Span::all()).count().await, 1);
    assert_eq!(store.capabilities(), MemoryStore::new().capabilities());
    let (spans, guard) = Spans::listen();
    assert!(store.head(&writer.run).await.unwrap().is_some());
    drop(guard);
    assert!(store.head(&writer.run).await.unwrap().is_some());
    assert_eq!(spans.take().len(), 1);
}
