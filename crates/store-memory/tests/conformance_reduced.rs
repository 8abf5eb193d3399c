//! The other half of the law: the reference model, offering less, refuses what it does not offer, and holds to the rest.

use std::{collections::BTreeSet, fmt::Write};

use milepost_conformance::{Case, Harness, Hook, Need, Outcome, Report, cases, check, harness};
use milepost_core::{
    Capabilities,
    Capability::{self, Follow, History, Inbox, Log, Snapshots, TailStream},
    CapabilitySet, Durability,
};
use milepost_store_memory::MemoryStore;

/// Offers: everything, everything but one capability, and the few that others degrade to.
fn variants() -> Vec<CapabilitySet> {
    let few: [&[Capability]; 6] = [
        &[Log],
        &[Snapshots],
        &[Log, TailStream],
        &[Log, Snapshots],
        &[Log, TailStream, Snapshots],
        &[Snapshots, History, Inbox, Follow],
    ];
    let few = few.map(|few| few.iter().fold(CapabilitySet::NONE, |set, capability| set.with(*capability)));
    let but_one = Capability::ALL.map(|capability| CapabilitySet::ALL.without(capability));
    [CapabilitySet::ALL].into_iter().chain(but_one).chain(few).collect()
}

fn memory(set: CapabilitySet) -> Harness {
    let capabilities = Capabilities { set, ..Capabilities::new(Durability::Process) };
    harness(format!("memory offering {set:?}"), move |scope| async move {
        let build = || MemoryStore::builder().clock(scope.clock()).capabilities(capabilities).build();
        Ok(scope.shared(build).handle())
    })
    .with_clock()
}

/// How a variant did, and what failed.
fn told(report: &Report) -> String {
    let count = |outcome| report.count(outcome);
    let (passed, failed) = (count(Outcome::Passed), count(Outcome::Failed));
    let not_applicable = count(Outcome::NotApplicable);
    let mut text =
        format!("{}: {passed} passed, {failed} failed, {not_applicable} not applicable\n", report.backend);
    for case in report.cases.iter().filter(|case| case.outcome == Outcome::Failed) {
        let _ = writeln!(text, "\n{}\n{}", case.id, case.reason.as_deref().unwrap_or_default());
    }
    text
}

#[test]
#[expect(clippy::print_stdout, reason = "the counts, shown with --nocapture and after a failure")]
fn it_keeps_the_contract_with_less_to_offer_and_leaves_no_case_untried() {
    let mut tried = BTreeSet::new();
    let mut broken = String::new();
    for offered in variants() {
        let report = check(&memory(offered), "");
        let text = told(&report);
        print!("{text}");
        if !report.is_passed() {
            broken.push_str(&text);
        }
        let silent =
            report.cases.iter().find(|case| case.outcome == Outcome::NotApplicable && case.reason.is_none());
        assert!(silent.is_none(), "left out without a word: {silent:?}");
        let passed = report.cases.into_iter().filter(|case| case.outcome == Outcome::Passed);
        tried.extend(passed.map(|case| case.id));
    }
    assert!(broken.is_empty(), "{broken}");
    // What another process, a stored part or a server shows is nothing that memory has.
    let elsewhere = |case: &&Case| {
        case.needs().iter().any(|need| matches!(need, Need::Hook(hook) if *hook != Hook::Clock))
    };
    let here = cases().filter(|case| !elsewhere(case));
    let untried: Vec<_> = here.map(|case| case.id()).filter(|id| !tried.contains(*id)).collect();
    assert_eq!(untried, [""; 0], "these cases have run nowhere");
}
