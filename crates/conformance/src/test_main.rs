//! The kit as a test target: the names, filters and flags of `cargo test`.

use std::{
    env, fs,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use milepost_core::Capabilities;

use crate::{
    Case, Harness, Report, cases,
    report::{CaseReport, Outcome},
    run,
};

/// The environment variable that names the file for the JSON report of [`main`].
pub const REPORT_VARIABLE: &str = "MILEPOST_REPORT";

type Reports = Arc<Mutex<Vec<CaseReport>>>;

/// Runs the kit as the `main` of a test target with `harness = false`.
///
/// Takes the arguments of `cargo test` (filters, `--exact`, `--skip`, `--list`, `--test-threads`, …). A case that does
/// not apply is shown as ignored, with what it needs in brackets. When `MILEPOST_REPORT` names a file, the [`Report`] is
/// written there as JSON (under nextest, which runs each case in a process of its own, use [`crate::check`] for that).
pub fn main(harness: Harness) -> ExitCode {
    let arguments = Arguments::from_args();
    let offered = Arc::new(run::probe(&harness));
    let reports = Reports::default();
    let trials = cases().map(|case| trial(&harness, case, &offered, &reports)).collect::<Vec<_>>();
    // What does not apply is not run, but it belongs into the report.
    for (trial, case) in trials.iter().zip(cases()) {
        if trial.has_ignored_flag() && arguments.is_ignored(trial) && !arguments.is_filtered_out(trial) {
            keep(&reports, run::run(&harness, case, &offered));
        }
    }
    let listing = arguments.list;
    let exit = libtest_mimic::run(&arguments, trials).exit_code();
    let Some(path) = env::var_os(REPORT_VARIABLE).filter(|_| !listing) else {
        return exit;
    };
    let reports = std::mem::take(&mut *reports.lock().unwrap_or_else(PoisonError::into_inner));
    let report = Report::new(harness.name(), offered.as_ref().as_ref().ok(), reports);
    match fs::write(&path, report.to_json()) {
        Ok(()) => exit,
        Err(error) => complain(&format!("the report cannot be written to {}: {error}", path.display())),
    }
}

fn keep(reports: &Reports, report: CaseReport) {
    reports.lock().unwrap_or_else(PoisonError::into_inner).push(report);
}

#[expect(clippy::print_stderr, reason = "this is the main function of a test program")]
fn complain(message: &str) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::FAILURE
}

/// One case as a test. Whether it applies is decided when the list is made, because nextest counts a test that says so
/// only when it runs as passed.
fn trial(
    harness: &Harness,
    case: &'static Case,
    offered: &Arc<Result<Capabilities, String>>,
    reports: &Reports,
) -> Trial {
    let unmet = offered.as_ref().as_ref().ok().and_then(|offered| case.unmet(harness, offered));
    let (harness, offered, reports) = (harness.clone(), offered.clone(), reports.clone());
    let trial = Trial::ignorable_test(case.id(), move || {
        let report = run::run(&harness, case, &offered);
        keep(&reports, report.clone());
        let reason = report.reason.unwrap_or_default();
        match report.outcome {
            Outcome::Passed => Ok(Completion::Completed),
            Outcome::NotApplicable => Ok(Completion::ignored_with(reason)),
            Outcome::Failed => Err(Failed::from(reason)),
        }
    });
    match unmet {
        Some(need) => trial.with_kind(format!("not applicable, needs: {need}")).with_ignored_flag(true),
        None => trial,
    }
}
