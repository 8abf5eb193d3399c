//! The kit, tried on stores and checkpointers that are broken on purpose, each in one way: the case that is named for a
//! mutant must catch it, and pass where nothing is broken.
//!
//! A mutant that no case catches is a case that is missing. To add one: a row in `flaw/` and the rule that it breaks.

#![allow(non_upper_case_globals, reason = "flaws are constants that rules match on like variants")]

mod blind;
mod check;
mod checkpointers;
mod contract;
mod fault;
mod flaw;
mod list;
mod narrow;
mod read;
mod rules;
mod store;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use blind::{BLIND, Blind::*, shipped};
use checkpointers::Faulty;
use fault::{FAULTS, Fault};
use flaw::{Flaw, Row, duels, races, rows};
use milepost_conformance::{CaseReport, Harness, Outcome, Tuning, cases, check, harness};
use store::Broken;

/// Mutants that wait for what never comes, or never end: their cases run out of time.
const ENDLESS: [Flaw; 9] = [
    flaw::AfterIsIgnored,
    flaw::FollowersHearNoBatches,
    flaw::FollowersIgnoreUntil,
    flaw::FollowersMissWakeups,
    flaw::FollowersNeverEnd,
    flaw::FollowersOfFailedRunsNeverEnd,
    flaw::PagesCountFromTheirStart,
    flaw::PagesRepeatEqualTimes,
    flaw::UndeclaredFollowWorks,
];

/// A store by the rules, with at most one of them broken.
fn store(flaw: Option<Flaw>) -> Harness {
    let mut tuning = Tuning::default();
    match flaw {
        Some(flaw) if ENDLESS.contains(&flaw) => tuning.timeout = Duration::from_secs(2),
        Some(_) => tuning.timeout = Duration::from_secs(8),
        None => {}
    }
    let connect = move |scope| async move { Ok(Broken::connect(&scope, flaw)) };
    harness("mutant", connect).with_clock().with_tuning(tuning)
}

/// A good store with a broken checkpointer over it.
fn checkpointer(fault: Fault) -> Harness {
    let memory = Arc::default();
    store(None).with_checkpointers(move |good| Arc::new(Faulty::over(good, fault, Arc::clone(&memory))))
}

/// What came of one case.
fn tried(harness: &Harness, case: &str) -> CaseReport {
    let report = check(harness, case);
    report.cases.into_iter().find(|report| report.id == case).expect("the kit has the case")
}

/// Tries every mutant, several at a time; gives those that their case did not catch.
fn survivors<T: Sync>(mutants: &[T], caught: impl Fn(&T) -> Result<(), String> + Sync) -> Vec<String> {
    let (next, survivors) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(told) = caught(mutant) {
                        survivors.lock().unwrap_or_else(PoisonError::into_inner).push(told);
                    }
                }
            });
        }
    });
    survivors.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The mutant's own case must have failed, and not for want of time unless the mutant is an endless one.
fn caught(name: &str, what: &str, endless: bool, report: &CaseReport) -> Result<(), String> {
    let reason = report.reason.as_deref().unwrap_or_default();
    match report.outcome {
        Outcome::Failed if endless || !reason.contains("timed out:") => Ok(()),
        outcome => Err(format!("{name} ({what}): {} {}: {reason}", report.id, outcome.as_str())),
    }
}

#[test]
fn with_nothing_broken_every_case_passes() {
    let report = check(&store(None), "");
    assert!(report.is_passed(), "{}", report.to_markdown());
}

#[test]
fn every_broken_store_is_caught_by_its_case() {
    let stores = rows().filter(|row| !duels().any(|duel| duel.flaw == row.flaw));
    let (endless, others): (Vec<_>, Vec<_>) = stores.partition(|row| ENDLESS.contains(&row.flaw));
    // The endless ones keep the processors busy, and come last.
    let survivors = [others, endless].map(|rows| {
        survivors(&rows, |row| {
            let once = || {
                let report = tried(&store(Some(row.flaw)), row.case);
                caught(row.name(), row.what, ENDLESS.contains(&row.flaw), &report)
            };
            // Racers on a busy machine may run one after another.
            let races = races().any(|race| race.flaw == row.flaw);
            if races { once().or_else(|_| once()).or_else(|_| once()) } else { once() }
        })
    });
    let survivors = survivors.concat();
    assert_eq!(survivors, [""; 0], "these stores are broken, and their cases passed");
}

/// Duels want two processors to themselves: one at a time, with patience for a loaded machine, and three times, because
/// two threads on a busy one may never meet.
#[test]
fn every_store_that_looks_first_is_caught_by_its_duel() {
    let mut tuning = Tuning::default();
    (tuning.timeout, tuning.effort, tuning.rounds) =
        (Duration::from_secs(200), Duration::from_secs(200), 20_000);
    let duel = |row: &Row| {
        let report = tried(&store(Some(row.flaw)).with_tuning(tuning.clone()), row.case);
        caught(row.name(), row.what, false, &report)
    };
    let tried = duels().map(|row| duel(&row).or_else(|_| duel(&row)).or_else(|_| duel(&row)));
    let survivors: Vec<_> = tried.filter_map(Result::err).collect();
    assert_eq!(survivors, [""; 0], "these stores are broken, and their cases passed");
}

#[test]
fn every_broken_checkpointer_is_caught_by_its_case() {
    let survivors = survivors(FAULTS, |(fault, what, case)| {
        caught(&format!("{fault:?}"), what, false, &tried(&checkpointer(*fault), case))
    });
    assert_eq!(survivors, [""; 0], "these checkpointers are broken, and their cases passed");
}

#[test]
fn every_store_that_was_broken_blindly_is_caught() {
    let survivors = survivors(BLIND, |(blind, case)| {
        let endless = [FollowersIgnoreTheLimit, InboxFollowersGoOnInAnotherLife, DroppedCommitsHoldTheLock];
        caught(&format!("{blind:?}"), case, endless.contains(blind), &tried(&shipped(*blind), case))
    });
    assert_eq!(survivors, [""; 0], "these stores are broken, and their cases passed");
}

#[test]
fn a_case_passes_where_only_what_it_is_not_about_is_missing() {
    // Some mutants declare less than everything: their cases must pass on a good store of that offer.
    let mut offers: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for row in rows() {
        offers.entry(format!("{:?}", row.flaw.offered())).or_default().push(row);
    }
    for rows in offers.into_values() {
        let offered = rows[0].flaw.offered();
        let connect = move |scope| async move { Ok(Broken::offering(&scope, offered)) };
        let good = harness("good", connect).with_clock();
        let failed = survivors(&rows, |row| match tried(&good, row.case) {
            CaseReport { outcome: Outcome::Passed, .. } => Ok(()),
            report => Err(format!("{}: {:?}", row.case, report.reason)),
        });
        assert_eq!(failed, [""; 0], "these cases are not about what is broken");
    }
}

#[test]
fn every_mutant_has_its_own_name_and_a_case_that_exists() {
    let known: BTreeSet<_> = cases().map(|case| case.id()).collect();
    let stores = rows().map(|row| (row.name().to_owned(), row.what, row.case));
    let blind = BLIND.iter().map(|(blind, case)| (format!("{blind:?}"), "Blind.", *case));
    let checkpointers = FAULTS.iter().map(|(fault, what, case)| (format!("{fault:?}"), *what, *case));
    let mut names = BTreeSet::new();
    for (name, what, case) in stores.chain(blind).chain(checkpointers) {
        assert!(known.contains(case), "{name} names the case {case:?}, which is none");
        assert!(what.ends_with('.'), "what {name} breaks is a sentence");
        assert!(names.insert(name.clone()), "{name} is there twice");
    }
}
