//! `cargo package` for every crate that is published, all at once: cargo then resolves what the crates need of each
//! other from the packages that it just made, so that nothing has to be on a registry yet.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::command::Program;
use crate::workspace::Workspace;

/// Packages the publishable members and, if asked, builds each from its package.
///
/// # Errors
///
/// When what an earlier run has left cannot be removed.
pub(crate) fn program(workspace: &Workspace, verify: bool) -> anyhow::Result<Program> {
    forget_earlier_packages(workspace)?;
    let program = Program::cargo(&workspace.root, ["package", "--workspace", "--allow-dirty"]);
    let program = workspace
        .packages()
        .filter(|package| !package.is_published())
        .fold(program, |program, package| program.arg("--exclude").arg(&package.name));
    Ok(program.args((!verify).then_some("--no-verify")))
}

/// To cargo a version of a package never changes: once unpacked or built, it is not looked at again. Ours do change until
/// they are released, so what an earlier run has left would be taken in place of what they are now.
fn forget_earlier_packages(workspace: &Workspace) -> anyhow::Result<()> {
    let packages = || workspace.packages().filter(|package| package.is_published());
    let sources = cargo_home().map(|home| home.join("registry/src")).unwrap_or_default();
    // The folder of a registry is named by its host; the one that cargo makes of the packages has none.
    for registry in folders(&sources).filter(|registry| begins_with(registry, "-")) {
        for package in packages() {
            remove(&registry.join(format!("{}-{}", package.name, package.version)))?;
        }
    }
    for built in folders(&workspace.target_directory.join("debug/.fingerprint")) {
        if packages().any(|package| begins_with(&built, &format!("{}-", package.name))) {
            remove(&built)?;
        }
    }
    Ok(())
}

fn begins_with(path: &Path, start: &str) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(start.as_bytes()))
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

/// As cargo finds it.
fn cargo_home() -> Option<PathBuf> {
    let named = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    named.or_else(|| Some(std::env::home_dir()?.join(".cargo")))
}

/// What stands in a folder, if it is there.
fn folders(path: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(path).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}
