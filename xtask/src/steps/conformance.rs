//! The conformance kit on every backend, and the README's table of what it found.

use super::Context;
use crate::conformance::Backend;
use crate::programs::Programs;
use crate::report::Report;
use crate::tally::Tally;
use crate::{conformance, matrix as readme};

/// The kit on each backend; a target that would never be run is a failure too.
pub(super) fn run(context: &mut Context<'_>) -> anyhow::Result<Tally> {
    let mut sum = on(context, context.backends)?;
    for forgotten in conformance::forgotten(context.workspace) {
        context.problem(format!("{forgotten} has a conformance target and is in no table of backends"));
        sum += Tally::check(false);
    }
    Ok(sum)
}

/// So many backends at once: of two, one mostly waits for its server.
const AT_ONCE: usize = 2;

/// The kit on these backends. A server that cannot be had fails its backend and leaves the others to be tried.
fn on(context: &mut Context<'_>, backends: &[&Backend]) -> anyhow::Result<Tally> {
    let mut sum = Tally::default();
    let programs = Programs::build(context.workspace, backends, |build| context.succeeds(build))?;
    let mut ready = Vec::new();
    for backend in backends {
        match backend.program(context.workspace, &programs, context.folder, context.servers) {
            Ok(program) => ready.push(context.with_scratch(program)),
            Err(error) => {
                context.problem(format!("{}: {error:#}", backend.name));
                sum += Tally::check(false);
            }
        }
    }
    sum += context.counted_beside(ready, AT_ONCE, conformance::tally)?;
    Ok(sum)
}

/// Compares the README with the reports that [`run`] left, or with new ones when it was not asked for.
pub(super) fn matrix(context: &mut Context<'_>) -> anyhow::Result<Tally> {
    let unreported = |backend: &&&Backend| Report::read(&backend.report(context.folder)).is_err();
    let missing: Vec<&Backend> = context.backends.iter().filter(unreported).copied().collect();
    if !missing.is_empty() {
        on(context, &missing)?;
    }
    let up_to_date = readme::is_up_to_date(context.workspace, context.folder)?;
    if !up_to_date {
        context.problem("the README's capability matrix is out of date: `cargo xtask matrix` writes it");
    }
    Ok(Tally::check(up_to_date))
}
