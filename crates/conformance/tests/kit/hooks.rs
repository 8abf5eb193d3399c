//! The hooks: what is missing is told, and what lies is caught.

use std::sync::atomic::{AtomicUsize, Ordering};

use milepost_conformance::{Hook, Outcome, Part, Report, check, harness};
use milepost_store_memory::MemoryStore;

fn outcomes(report: &Report, id: &str) -> Vec<Outcome> {
    report.cases.iter().filter(|case| case.id.ends_with(id)).map(|case| case.outcome).collect()
}

fn unproven(report: &Report) -> Vec<&str> {
    report.unproven.iter().map(|unproven| unproven.hook.as_str()).collect()
}

/// Handles that close by themselves, in real time.
fn plain() -> milepost_conformance::Harness {
    harness("memory", |scope| async move { Ok(scope.shared(MemoryStore::new).handle()) })
}

#[test]
fn what_is_missing_is_told_with_what_it_would_have_proven() {
    let report = check(&plain(), "");
    // Another process sees nothing of this one's memory, and no hook changes that.
    assert_eq!(unproven(&report), ["clock", "parts", "flip", "removal", "server", "secret"]);
    for unproven in &report.unproven {
        assert!(unproven.cases > 0 && !unproven.proves.is_empty(), "{unproven}");
        assert!(report.to_markdown().contains(&unproven.to_string()), "{unproven}");
    }
    for missing in report.cases.iter().filter(|case| case.outcome == Outcome::NotApplicable) {
        assert!(missing.reason.is_some(), "{} is skipped silently", missing.id);
    }
    let read: Report = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(read.unproven, report.unproven);
}

#[test]
fn a_backend_without_a_server_leaves_nothing_about_one_unproven() {
    let report = check(&plain().with_clock().embedded(), "errors/");
    assert_eq!(unproven(&report), [""; 0]);
    let reason = report.cases.iter().find(|case| case.id == "errors/reads-fail-while-the-server-is-down");
    assert!(reason.unwrap().reason.as_deref().unwrap().contains("this store has none"));
}

#[test]
fn handles_that_are_clones_of_one_are_told() {
    let clones = harness("clones", |scope| async move { Ok(scope.shared(MemoryStore::new)) });
    let report = check(&clones, "open/creates");
    assert!(report.is_passed(), "{}", report.to_markdown());
    assert_eq!(unproven(&report), ["closing"]);
}

#[test]
fn hooks_that_lie_fail_their_cases() {
    let lying = plain()
        .with_parts(|_, run| async move { Ok(vec![Part::new(format!("row of {run}"), 64)]) })
        .with_flip(|_, _, _| async { Ok(()) })
        .with_removal(|_, _| async { Ok(()) });
    assert!(lying.supplies(Hook::Flip) && lying.supplies(Hook::Removal));
    let report = check(&lying, "corruption/");
    for id in [
        "corruption/a-deletion-leaves-nothing-behind",
        "corruption/an-unknown-run-has-no-parts",
        "corruption/what-is-refused-stores-nothing",
        "corruption/a-changed-byte-is-told-or-harmless",
        "corruption/a-resume-from-changed-bytes-is-true-or-told",
        "corruption/a-part-that-is-gone-is-told",
        "corruption/a-resume-without-a-part-is-true-or-told",
    ] {
        assert!(outcomes(&report, id).contains(&Outcome::Failed), "{id}:\n{}", report.to_markdown());
    }
}

#[test]
fn what_a_refusal_leaves_behind_is_told() {
    let asked = AtomicUsize::new(0);
    // One more each time that it is looked at, as a store leaves them that writes before it judges.
    let leaving = plain().with_parts(move |_, run| {
        let rows = asked.fetch_add(1, Ordering::Relaxed);
        async move { Ok((0..=rows).map(|row| Part::new(format!("row {row} of {run}"), 64)).collect()) }
    });
    let report = check(&leaving, "corruption/what-is-refused");
    let reasons = report.cases.iter().filter_map(|case| case.reason.as_deref());
    let told = reasons.filter(|reason| reason.contains("what is stored after Invalid")).count();
    assert!(told > 0, "{}", report.to_markdown());
}

#[test]
fn a_second_process_takes_part_when_the_kit_is_a_function_too() {
    let sqlite = harness("sqlite", |scope| async move {
        let path = scope.dir()?.join("runs.db");
        milepost::connect(&format!("sqlite:{}", path.display())).await
    })
    .with_processes();
    let report = check(&sqlite, "crash/another-process-sees");
    assert!(report.is_passed(), "{}", report.to_markdown());
    assert_eq!(report.count(Outcome::Passed), 2);
}
