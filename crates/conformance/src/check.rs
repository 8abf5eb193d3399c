//! The kit as a function.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::{Harness, Report, entry::Entry, run, trial::trials, worker, worker::is_second};

/// Runs every case whose id contains `filter` (all of them, if it is empty), several at a time, and reports. May be
/// called from anywhere, a runtime included: the kit brings its own threads. Each case is tried twice, the second time
/// with a re-open between any two operations; its id begins with `reopened/` then.
///
/// ```
/// use milepost_conformance::{check, harness};
/// use milepost_store_memory::MemoryStore;
///
/// let memory = harness("memory", |scope| async move { Ok(scope.shared(MemoryStore::new).handle()) });
/// let report = check(&memory, "open/creates");
/// assert!(report.is_passed(), "{}", report.to_markdown());
/// ```
pub fn check(harness: &Harness, filter: &str) -> Report {
    worker(harness);
    if is_second() {
        // Of another harness, which this program comes to later.
        return Report::new(harness, None, Vec::new());
    }
    let harness = &harness.clone().entered(Entry::check());
    let chosen: Vec<_> = trials().filter(|trial| trial.id().contains(filter)).collect();
    let reports: Mutex<Vec<_>> = Mutex::default();
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(2, usize::from).max(2);
    let offered = thread::scope(|scope| {
        let probed = scope.spawn(|| run::probe(harness)).join();
        let offered = probed.unwrap_or_else(|_| Err("the probe panicked".to_owned()));
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(trial) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let report = run::run(harness, *trial, &offered);
                        reports.lock().unwrap_or_else(PoisonError::into_inner).push(report);
                    }
                });
            }
        });
        offered
    });
    let reports = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
    Report::new(harness, offered.ok().as_ref(), reports)
}
