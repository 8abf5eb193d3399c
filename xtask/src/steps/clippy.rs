//! Lints: the whole workspace, then the facade with each of its features alone and with none, which nothing else builds.

use super::Context;
use crate::command::Program;
use crate::tally::Tally;

const FACADE: &str = "milepost";
const DENY: [&str; 3] = ["--", "--deny", "warnings"];

/// One step, whatever the number of builds.
pub(super) fn run(context: &mut Context<'_>) -> anyhow::Result<Tally> {
    let all = context.cargo(&["clippy", "--workspace", "--all-targets", "--all-features"]).args(DENY);
    let mut ok = context.succeeds(all)?;
    if !context.quick {
        for program in alone(context) {
            ok &= context.succeeds(program)?;
        }
    }
    Ok(Tally::check(ok))
}

fn alone(context: &Context<'_>) -> Vec<Program> {
    let none = || context.cargo(&["clippy", "--package", FACADE, "--lib", "--no-default-features"]);
    let facade = context.workspace.package(FACADE);
    let features = facade.into_iter().flat_map(|package| package.features());
    let each = features.map(|feature| none().arg("--features").arg(feature));
    std::iter::once(none()).chain(each).map(|program| program.args(DENY)).collect()
}
