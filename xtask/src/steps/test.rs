//! Unit and integration tests through nextest: a process each, so that a hanging or dying test takes no other along.

use anyhow::bail;

use super::Context;
use crate::conformance;
use crate::summary;
use crate::tally::Tally;

/// Every test but the conformance targets, which are a step of their own.
pub(super) fn run(context: &mut Context<'_>) -> anyhow::Result<Tally> {
    let probe = context.cargo(&["nextest", "--version"]);
    if !context.succeeds(probe)? {
        let install = context.cargo(&["install", "--locked", "cargo-nextest"]);
        if !context.succeeds(install)? {
            bail!("cargo-nextest is missing and cannot be installed: `cargo install --locked cargo-nextest`");
        }
    }
    let mut program = context.cargo(&["nextest", "run", "--workspace", "--all-features", "--no-fail-fast"]);
    // nextest refuses a filter with a name that does not occur.
    if let Some(filter) = conformance::not_these(context.workspace) {
        program = program.arg("--filterset").arg(filter);
    }
    for (name, url) in conformance::shared_environment(context.servers)? {
        program = program.secret(name, url);
    }
    let program = context.with_scratch(program);
    context.counted(program, |ran| Tally::of_tests(summary::nextest(&ran.output), ran.ok))
}
