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
    let mut filters = Vec::new();
    // nextest refuses a filter with a name that does not occur.
    for target in conformance::targets(context.workspace) {
        filters.push(format!("not (kind(test) & binary(={target}))"));
    }
    if !filters.is_empty() {
        program = program.arg("--filterset").arg(filters.join(" & "));
    }
    for (name, url) in conformance::shared_environment(context.servers)? {
        program = program.secret(name, url);
    }
    context.counted(program, |ran| Tally::of_tests(summary::nextest(&ran.output), ran.ok))
}
