//! The conformance kit on every backend, and the README's table of what it found.

use super::Context;
use crate::conformance::Backend;
use crate::report::Report;
use crate::tally::Tally;
use crate::{conformance, matrix as readme};

/// The kit on each backend; a target that would never be run is a failure too.
pub(super) fn run(context: &mut Context<'_>) -> anyhow::Result<Tally> {
    let mut sum = Tally::default();
    for backend in context.backends {
        sum += on(context, backend)?;
    }
    for forgotten in conformance::forgotten(context.workspace) {
        context.problem(format!("{forgotten} has a conformance target and is in no table of backends"));
        sum += Tally::check(false);
    }
    Ok(sum)
}

/// The kit on one backend. A server that cannot be had fails this backend and leaves the others to be tried.
fn on(context: &mut Context<'_>, backend: &Backend) -> anyhow::Result<Tally> {
    match backend.program(context.workspace, context.folder, context.servers) {
        Ok(program) => context.counted(program, conformance::tally),
        Err(error) => {
            context.problem(format!("{}: {error:#}", backend.name));
            Ok(Tally::check(false))
        }
    }
}

/// Compares the README with the reports that [`run`] left, or with new ones when it was not asked for.
pub(super) fn matrix(context: &mut Context<'_>) -> anyhow::Result<Tally> {
    for backend in context.backends {
        if Report::read(&backend.report(context.folder)).is_err() {
            on(context, backend)?;
        }
    }
    let up_to_date = readme::is_up_to_date(context.workspace, context.folder)?;
    if !up_to_date {
        context.problem("the README's capability matrix is out of date: `cargo xtask matrix` writes it");
    }
    Ok(Tally::check(up_to_date))
}
