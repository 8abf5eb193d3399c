//! The kit on the reference model behind the layers that a program puts before its store, while somebody listens.

use std::sync::atomic::{AtomicU64, Ordering};

use milepost_conformance::{Scope, check, harness};
use milepost_layers::{GroupCommit, Traced};
use milepost_store_memory::MemoryStore;
use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

use crate::failures;

/// Wants to hear everything, and counts the spans.
struct Listener;

static SPANS: AtomicU64 = AtomicU64::new(0);

impl Subscriber for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1 + SPANS.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn the_kit_passes_through() {
    tracing::subscriber::set_global_default(Listener).expect("nobody else listens in this process");
    let connect = |scope: Scope| async move {
        let store = scope.shared(|| MemoryStore::builder().clock(scope.clock()).build()).handle();
        Ok(Traced::new(GroupCommit::new(store)))
    };
    let report = check(&harness("traced", connect).with_clock(), "");
    assert!(report.is_passed(), "{}", failures(&report));
    assert!(SPANS.load(Ordering::Relaxed) > 10_000, "each operation is a span");
}
