//! The conformance kit against whatever a URL names: the program behind `cargo xtask conformance`.
//!
//! It is told by its environment what to connect to, and takes the arguments of a test program.

mod bucket;
mod places;
mod postgres;
mod redis;
mod scheme;

use std::process::ExitCode;
use std::{env, fs};

use anyhow::{Context, bail};
use libtest_mimic::Arguments;
use milepost_conformance::{Harness, REPORT_VARIABLE, Report, cases, harness, worker};

use crate::places::Places;
use crate::scheme::Scheme;

/// Where to.
const URL: &str = "MILEPOST_CONFORMANCE_URL";
/// The file for the report as Markdown, if it is wanted.
const MARKDOWN: &str = "MILEPOST_CONFORMANCE_MARKDOWN";

fn main() -> ExitCode {
    run().unwrap_or_else(|error| complain(&error))
}

#[expect(clippy::print_stderr, reason = "this is the main function of a program")]
fn complain(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}

fn run() -> anyhow::Result<ExitCode> {
    let url =
        env::var(URL).with_context(|| format!("{URL} is not set: `cargo xtask conformance` sets it"))?;
    let scheme = Scheme::of(&url)?;
    let places = Places::new(scheme, url);
    let harness = on(&places);
    // A second process of the kit ends in here: the places that it works in are not its own to remove.
    worker(&harness);
    let arguments = Arguments::from_args();
    check_filter(&arguments)?;
    if arguments.list {
        return Ok(milepost_conformance::main(harness));
    }
    // One refusal that says why, instead of one a case.
    places.try_one()?;
    let removing = places.clone();
    ctrlc::set_handler(move || {
        removing.remove();
        std::process::exit(130);
    })
    .context("cannot listen for Ctrl-C")?;
    let exit = milepost_conformance::main(harness);
    places.remove();
    if let Some(path) = env::var_os(MARKDOWN) {
        let report = env::var_os(REPORT_VARIABLE).context("no file for the report is named")?;
        let report: Report = serde_json::from_str(&fs::read_to_string(report)?)?;
        fs::write(path, report.to_markdown())?;
    }
    Ok(exit)
}

fn on(places: &Places) -> Harness {
    let places = places.clone();
    let scheme = places.scheme();
    let harness = harness(scheme.name(), move |scope| {
        let places = places.clone();
        async move { places.connect(&scope).await }
    });
    let harness = harness.with_tuning(scheme.tuning());
    let harness = if scheme.is_server() { harness } else { harness.embedded() };
    if scheme == Scheme::Memory { harness } else { harness.with_processes() }
}

/// What stands before the name of a case that is tried with a re-open between any two operations.
const REOPENED: &str = "reopened/";

/// A filter that no case matches is a typing error, not a success.
fn check_filter(arguments: &Arguments) -> anyhow::Result<()> {
    let Some(filter) = &arguments.filter else { return Ok(()) };
    let matches = |id: &str| if arguments.exact { id == filter } else { id.contains(filter.as_str()) };
    if cases().any(|case| matches(case.id()) || matches(&format!("{REOPENED}{}", case.id()))) {
        return Ok(());
    }
    let mut areas: Vec<_> = cases().map(|case| case.area()).collect();
    areas.dedup();
    bail!("no case matches `{filter}`; the areas are {}", areas.join(", "))
}
