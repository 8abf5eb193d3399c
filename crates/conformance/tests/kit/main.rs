//! The kit, tried itself: a good store passes, and stores that only look like one fail.

mod docs;
mod hooks;
mod idle;
mod planted;
mod server;
mod traced;
mod yes;

use std::{fmt::Write, time::Duration};

use milepost_conformance::{Harness, Outcome, Report, Scope, cases, check, harness};
use milepost_core::{Capabilities, Durability, Limits};
use milepost_store_memory::MemoryStore;

/// The reference model, by a clock that the kit moves.
fn memory() -> Harness {
    let connect = |scope: Scope| async move {
        Ok(scope.shared(|| MemoryStore::builder().clock(scope.clock()).build()).handle())
    };
    harness("memory", connect).with_clock()
}

fn failures(report: &Report) -> String {
    let failed = report.cases.iter().filter(|case| case.outcome == Outcome::Failed);
    failed.fold(String::new(), |mut text, case| {
        let _ = writeln!(text, "{}\n{}", case.id, case.reason.as_deref().unwrap_or_default());
        text
    })
}

#[test]
fn the_reference_model_passes_every_case() {
    let report = check(&memory(), "");
    assert!(report.is_passed(), "{}", failures(&report));
    assert_eq!(report.cases.len(), 2 * cases().count(), "nothing is skipped silently");
}

#[test]
fn the_reference_model_passes_in_real_time() {
    let real = harness("memory", |scope| async move { Ok(scope.shared(MemoryStore::new).handle()) });
    let report = check(&real, "");
    assert!(report.is_passed(), "{}", failures(&report));
}

#[test]
fn the_reference_model_passes_with_small_limits() {
    let limits = Limits {
        record: 4 << 10,
        commit: 40 << 10,
        snapshot: 8 << 10,
        blob: 8 << 10,
        run_id: 100,
        min_ttl: Duration::from_secs(3),
        ..Limits::DEFAULT
    };
    let capabilities = Capabilities::all(Durability::Process).limits(limits);
    let small = harness("small", move |scope| async move {
        let build = || MemoryStore::builder().clock(scope.clock()).capabilities(capabilities).build();
        Ok(scope.shared(build).handle())
    })
    .with_clock();
    for area in ["commit/", "fencing/", "leases/", "lost-ack/"] {
        let report = check(&small, area);
        assert!(report.is_passed(), "{}", failures(&report));
    }
}

#[test]
fn a_store_that_does_nothing_fails_every_case() {
    let report = check(&harness("idle", |_| async { Ok(idle::Idle) }).with_clock(), "");
    assert_eq!(passed(&report), [""; 0], "these cases assert nothing");
}

#[test]
fn a_store_that_says_yes_to_everything_fails_every_case() {
    let report = check(&harness("yes", |_| async { Ok(yes::Yes) }).with_clock(), "");
    assert_eq!(passed(&report), [""; 0], "these cases assert too little");
}

fn passed(report: &Report) -> Vec<&str> {
    let passed = report.cases.iter().filter(|case| case.outcome == Outcome::Passed);
    passed.map(|case| case.id.as_str()).collect()
}

#[test]
fn a_backend_that_cannot_be_reached_fails_every_case_and_says_why() {
    let down = harness("down", |_| async {
        let kind = milepost_core::ErrorKind::Unavailable;
        Err::<MemoryStore, _>(milepost_core::Error::new(kind, "nobody listens at port 1"))
    });
    let report = check(&down, "open/");
    assert_eq!(report.count(Outcome::Failed), report.cases.len());
    assert!(failures(&report).contains("nobody listens at port 1"));
}

#[test]
fn a_report_reads_back_and_its_failures_teach() {
    let report = check(&harness("idle", |_| async { Ok(idle::Idle) }).with_clock(), "open/creates-with");
    let read: Report = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(read, report);
    let told = report.to_markdown();
    for part in
        ["contract:", "expected:", "came:", "what was done (seed 0x", "a.open(", "replay:", "2 failed"]
    {
        assert!(told.contains(part), "{part} is missing in:\n{told}");
    }
}
