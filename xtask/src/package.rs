//! `cargo package` for every crate that is published, all at once: cargo then resolves what the crates need of each
//! other from the packages that it just made, so that nothing has to be on a registry yet.

use crate::command::Program;
use crate::workspace::Workspace;

/// Packages the publishable members and, if asked, builds each from its package.
pub(crate) fn program(workspace: &Workspace, verify: bool) -> Program {
    let program = Program::cargo(&workspace.root, ["package", "--workspace", "--allow-dirty"]);
    let program = workspace
        .packages()
        .filter(|package| !package.is_published())
        .fold(program, |program, package| program.arg("--exclude").arg(&package.name));
    program.args((!verify).then_some("--no-verify"))
}
