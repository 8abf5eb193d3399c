//! The kit as a test target: the names, filters and flags of `cargo test`.

use std::{
    env, fs,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use libtest_mimic::{Arguments, Completion, Failed};

use crate::{
    Harness, Report,
    report::{CaseReport, Outcome},
    run::{self, Offered},
    trial::{Trial, trials},
    worker,
};

/// The environment variable that names the file for the JSON report of [`main`].
pub const REPORT_VARIABLE: &str = "MILEPOST_REPORT";

type Reports = Arc<Mutex<Vec<CaseReport>>>;

/// Runs the kit as the `main` of a test target with `harness = false`.
///
/// Takes the arguments of `cargo test` (filters, `--exact`, `--skip`, `--list`, `--test-threads`, …). A case that does
/// not apply is shown as ignored, with what it needs in brackets, and what stays unproven for want of a hook is told at
/// the end. Each case is tried twice, the second time with a re-open between any two operations: `reopened/…`, which
/// `--skip reopened/` leaves out. When `MILEPOST_REPORT` names a file, the [`Report`] is
/// written there as JSON (under nextest, which runs each case in a process of its own, use [`crate::check`] for that).
pub fn main(harness: Harness) -> ExitCode {
    worker(&harness);
    let arguments = Arguments::from_args();
    let offered = Arc::new(run::probe(&harness));
    let reports = Reports::default();
    let tests = trials().map(|trial| test(&harness, trial, &offered, &reports)).collect::<Vec<_>>();
    // What does not apply is not run, but it belongs into the report.
    for (test, trial) in tests.iter().zip(trials()) {
        if test.has_ignored_flag() && arguments.is_ignored(test) && !arguments.is_filtered_out(test) {
            keep(&reports, run::run(&harness, trial, &offered));
        }
    }
    let listing = arguments.list;
    let exit = libtest_mimic::run(&arguments, tests).exit_code();
    if listing {
        return exit;
    }
    let reports = std::mem::take(&mut *reports.lock().unwrap_or_else(PoisonError::into_inner));
    let report = Report::new(&harness, offered.as_ref().as_ref().ok(), reports);
    for unproven in &report.unproven {
        say(&format!("unproven: {unproven}"));
    }
    let Some(path) = env::var_os(REPORT_VARIABLE) else {
        return exit;
    };
    match fs::write(&path, report.to_json()) {
        Ok(()) => exit,
        Err(error) => {
            say(&format!("error: the report cannot be written to {}: {error}", path.display()));
            ExitCode::FAILURE
        }
    }
}

fn keep(reports: &Reports, report: CaseReport) {
    reports.lock().unwrap_or_else(PoisonError::into_inner).push(report);
}

#[expect(clippy::print_stderr, reason = "this is the main function of a test program")]
fn say(line: &str) {
    eprintln!("{line}");
}

/// One case as a test. Whether it applies is decided when the list is made, because nextest counts a test that says so
/// only when it runs as passed.
fn test(
    harness: &Harness,
    trial: Trial,
    offered: &Arc<Result<Offered, String>>,
    reports: &Reports,
) -> libtest_mimic::Trial {
    let unmet =
        offered.as_ref().as_ref().ok().and_then(|offered| trial.unmet(harness, &offered.capabilities));
    let (harness, offered, reports) = (harness.clone(), offered.clone(), reports.clone());
    let test = libtest_mimic::Trial::ignorable_test(trial.id(), move || {
        let report = run::run(&harness, trial, &offered);
        keep(&reports, report.clone());
        let reason = report.reason.unwrap_or_default();
        match report.outcome {
            Outcome::Passed => Ok(Completion::Completed),
            Outcome::NotApplicable => Ok(Completion::ignored_with(reason)),
            Outcome::Failed => Err(Failed::from(reason)),
        }
    });
    match unmet {
        Some(reason) => test.with_kind(reason).with_ignored_flag(true),
        None => test,
    }
}
