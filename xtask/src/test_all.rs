//! `cargo xtask test-all`: the one command that proves everything that is here.
//!
//! The steps run one after another, each to its end, whatever happened before it; what failed shows its output. The last
//! two lines are the totals: one for people, one for the CI.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use milepost_servers::scratch_folder;

use crate::conformance::Backend;
use crate::console::Console;
use crate::interrupt;
use crate::servers::Servers;
use crate::steps::{self, Context, Scope, Step};
use crate::stopwatch::{Pretty, Stopwatch};
use crate::tally::Tally;
use crate::workspace::Workspace;

/// Of a failed program's output, so many last lines are shown; all of it is in the step's log.
const SHOWN: usize = 400;

/// Arguments of `test-all`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only the conformance kit, on this backend
    #[arg(long, value_name = "NAME", conflicts_with = "step")]
    backend: Option<String>,
    /// Only this step; may be given several times
    #[arg(long, value_name = "NAME")]
    step: Vec<String>,
    /// Keep what the run made: logs, reports, and the servers, which go on; say where it is
    #[arg(long)]
    keep: bool,
    /// Leave out what takes long and rarely fails: lints of each single feature, builds from the packages
    #[arg(long)]
    quick: bool,
}

/// A step that is over.
struct Done {
    name: &'static str,
    tally: Tally,
    took: Duration,
}

/// Runs the steps; `true` if nothing failed.
pub(crate) fn run(console: &Console, args: &Args) -> anyhow::Result<bool> {
    let workspace = Workspace::load()?;
    let backends: Vec<&'static Backend> = match &args.backend {
        Some(name) => vec![Backend::named(name)?],
        None => Backend::usual().collect(),
    };
    let steps = chosen(args)?;
    let folder = workspace.fresh_folder("test-all")?;
    let watch = Stopwatch::start();
    let servers = Servers::default();
    let scratch = scratch_folder()?;
    let scope = Scope { quick: args.quick, backends: &backends, servers: &servers, scratch: scratch.path() };
    let mut all = Vec::new();
    for step in steps {
        if interrupt::requested() {
            break;
        }
        all.push(run_step(console, step, &workspace, &folder, &scope)?);
    }
    let total = all.iter().fold(Tally::default(), |mut sum, done| {
        sum += done.tally;
        sum
    });
    console.line(&format!("\n{}", table(&all)));
    if interrupt::requested() {
        console.line("interrupted: the steps after this did not run");
    }
    let ok = total.ok() && !interrupt::requested();
    tidy(console, &folder, args.keep || !ok)?;
    if args.keep {
        servers.leave(console);
    }
    console.line(&format!("all of it took {}\n", Pretty(watch.elapsed())));
    console.line(&total.summary());
    console.line(&total.plain());
    Ok(ok)
}

/// The steps that the arguments ask for, in their usual order.
fn chosen(args: &Args) -> anyhow::Result<Vec<&'static Step>> {
    if args.backend.is_some() {
        return Ok(steps::ALL.iter().filter(|step| step.name == "conformance").collect());
    }
    if let Some(unknown) = args.step.iter().find(|name| steps::ALL.iter().all(|step| step.name != **name)) {
        let known: Vec<_> = steps::ALL.iter().map(|step| step.name).collect();
        bail!("there is no step `{unknown}`: it is one of {}", known.join(", "));
    }
    let asked = |step: &&Step| args.step.is_empty() || args.step.iter().any(|name| name == step.name);
    Ok(steps::ALL.iter().filter(asked).collect())
}

fn run_step(
    console: &Console,
    step: &'static Step,
    workspace: &Workspace,
    folder: &Path,
    scope: &Scope<'_>,
) -> anyhow::Result<Done> {
    console.line(&format!("== {}: {}", step.name, step.about));
    let watch = Stopwatch::start();
    let progress = console.progress(step.name);
    let log = log_file(folder, step.name);
    let mut context = Context::new(workspace, &progress, folder, &log, scope);
    let tally = match (step.run)(&mut context) {
        Ok(tally) => tally,
        Err(error) => {
            context.problem(format!("{error:#}"));
            Tally::check(false)
        }
    };
    let findings = context.into_findings();
    drop(progress);
    let took = watch.elapsed();
    if !tally.ok() {
        for ran in &findings.failed {
            console.line(&shown(&ran.line, &ran.output, &log));
        }
        for problem in &findings.problems {
            console.line(&format!("   {problem}"));
        }
    }
    let verdict = if tally.ok() { "ok" } else { "FAILED" };
    console.line(&format!("   {verdict}, {}: {}\n", Pretty(took), tally.plain()));
    Ok(Done { name: step.name, tally, took })
}

fn log_file(folder: &Path, step: &str) -> PathBuf {
    folder.join(format!("{step}.log"))
}

/// The end of a failed program's output under its command line.
fn shown(line: &str, output: &str, log: &Path) -> String {
    let lines: Vec<_> = output.lines().collect();
    let left_out = lines.len().saturating_sub(SHOWN);
    let mut text = format!("$ {line}\n");
    if left_out > 0 {
        text.push_str(&format!("   ({left_out} lines before this are in {})\n", log.display()));
    }
    text + &lines[left_out..].join("\n")
}

/// The steps as columns.
fn table(all: &[Done]) -> String {
    let mut text = format!(
        "{:<14}{:<8}{:>8}{:>8}{:>16}{:>14}",
        "step", "result", "passed", "failed", "not applicable", "time"
    );
    for Done { name, tally, took } in all {
        let verdict = if tally.ok() { "ok" } else { "FAILED" };
        let Tally { passed, failed, not_applicable, .. } = tally;
        text.push_str(&format!(
            "\n{name:<14}{verdict:<8}{passed:>8}{failed:>8}{not_applicable:>16}{:>14}",
            Pretty(*took)
        ));
    }
    text
}

fn tidy(console: &Console, folder: &Path, keep: bool) -> anyhow::Result<()> {
    if keep {
        console.line(&format!("logs and reports: {}", folder.display()));
        return Ok(());
    }
    std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(backend: Option<&str>, step: &[&str]) -> Args {
        let step = step.iter().map(|name| (*name).to_owned()).collect();
        Args { backend: backend.map(str::to_owned), step, keep: false, quick: false }
    }

    fn names(args: &Args) -> Vec<&'static str> {
        chosen(args).unwrap().iter().map(|step| step.name).collect()
    }

    #[test]
    fn a_backend_narrows_it_to_its_conformance() {
        assert_eq!(names(&args(Some("memory"), &[])), ["conformance"]);
    }

    #[test]
    fn steps_keep_their_order_and_unknown_ones_are_refused() {
        assert_eq!(names(&args(None, &["clippy", "fmt"])), ["fmt", "clippy"]);
        assert_eq!(names(&args(None, &[])).len(), steps::ALL.len());
        assert!(chosen(&args(None, &["polish"])).is_err());
    }

    #[test]
    fn of_a_long_output_the_end_is_shown() {
        let output: String = (0..SHOWN + 7).map(|number| format!("line {number}\n")).collect();
        let text = shown("cargo fmt", &output, Path::new("fmt.log"));
        assert!(text.starts_with("$ cargo fmt\n   (7 lines before this are in fmt.log)\nline 7\n"), "{text}");
        assert!(text.ends_with(&format!("line {}", SHOWN + 6)));
    }
}
