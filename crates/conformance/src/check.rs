//! The kit as a function.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::{Harness, Report, cases, run};

/// Runs every case whose id contains `filter` (all of them, if it is empty), several at a time, and reports. May be
/// called from anywhere, a runtime included: the kit brings its own threads.
///
/// ```
/// use milepost_conformance::{check, harness};
/// use milepost_store_memory::MemoryStore;
///
/// let memory = harness("memory", |scope| async move { Ok(scope.shared(MemoryStore::new)) });
/// let report = check(&memory, "open/creates");
/// assert!(report.is_passed(), "{}", report.to_markdown());
/// ```
pub fn check(harness: &Harness, filter: &str) -> Report {
    let chosen: Vec<_> = cases().filter(|case| case.id().contains(filter)).collect();
    let reports: Mutex<Vec<_>> = Mutex::default();
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(2, usize::from).max(2);
    let offered = thread::scope(|scope| {
        let probed = scope.spawn(|| run::probe(harness)).join();
        let offered = probed.unwrap_or_else(|_| Err("the probe panicked".to_owned()));
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(case) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let report = run::run(harness, case, &offered);
                        reports.lock().unwrap_or_else(PoisonError::into_inner).push(report);
                    }
                });
            }
        });
        offered
    });
    Report::new(
        harness.name(),
        offered.ok().as_ref(),
        reports.into_inner().unwrap_or_else(PoisonError::into_inner),
    )
}
