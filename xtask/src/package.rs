//! The crates as they would be uploaded: packaged, unpacked again side by side, and compiled from that.
//!
//! The packages become the members of one workspace, each in the place of what a registry would have under its name, so
//! nothing has to be on one yet. They use what the steps before have built of other crates: `cargo package` would build
//! those for each package anew.

use std::fs;

use anyhow::Context;

use crate::command::Program;
use crate::workspace::{Package, Workspace};

/// Packages the publishable members.
pub(crate) fn pack(workspace: &Workspace) -> Program {
    let program = Program::cargo(&workspace.root, ["package", "--workspace", "--allow-dirty", "--no-verify"]);
    let private = workspace.packages().filter(|package| !package.is_published());
    private.fold(program, |program, package| program.arg("--exclude").arg(&package.name))
}

/// Unpacks what [`pack`] made; these programs are to be run then, in this order.
///
/// # Errors
///
/// When the folder cannot be emptied, or written.
pub(crate) fn compile(workspace: &Workspace) -> anyhow::Result<Vec<Program>> {
    let folder = workspace.fresh_folder("packages")?;
    let made = workspace.target_directory.join("package");
    let published: Vec<_> = workspace.packages().filter(|package| package.is_published()).collect();
    let unpack = |package: &&Package| {
        let file = made.join(format!("{}.crate", directory(package)));
        // All packages have the same old time for every file: cargo would take what it built of the last ones for these.
        Program::other(&folder, "tar", ["-xmzf"]).arg(file)
    };
    let mut programs: Vec<_> = published.iter().map(unpack).collect();

    let root = workspace.read("Cargo.toml")?;
    let lock = workspace.read("Cargo.lock")?;
    fs::write(folder.join("Cargo.toml"), manifest(&published, &root)).context("cannot write the manifest")?;
    fs::write(folder.join("Cargo.lock"), lock).context("cannot write the versions")?;
    let check = Program::cargo(&folder, ["check", "--workspace", "--all-features", "--target-dir"]);
    programs.push(check.arg(&workspace.target_directory));
    Ok(programs)
}

/// The folder that a package unpacks to, and what its file is named by.
fn directory(package: &Package) -> String {
    format!("{}-{}", package.name, package.version)
}

/// Of the workspace that the packages make. It has our profiles: with others, all crates would be compiled anew.
fn manifest(published: &[&Package], root: &str) -> String {
    let members: Vec<_> = published.iter().map(|package| format!("{:?}", directory(package))).collect();
    let patches: String = published
        .iter()
        .map(|package| format!("{} = {{ path = {:?} }}\n", package.name, directory(package)))
        .collect();
    let members = members.join(", ");
    let profiles = profiles(root);
    format!(
        "[workspace]\nresolver = \"3\"\nmembers = [{members}]\n\n[patch.crates-io]\n{patches}\n{profiles}"
    )
}

/// The sections of a manifest that are about profiles.
fn profiles(manifest: &str) -> String {
    let mut wanted = false;
    let lines = manifest.lines().filter(|line| {
        if line.starts_with('[') {
            wanted = line.starts_with("[profile.");
        }
        wanted
    });
    lines.fold(String::new(), |text, line| text + line + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_manifest_the_profiles_are_taken() {
        let text = "[workspace]\nmembers = []\n\n[profile.dev]\ndebug = 0\n\n[features]\na = []\n[profile.release]\nlto = true\n";
        assert_eq!(profiles(text), "[profile.dev]\ndebug = 0\n\n[profile.release]\nlto = true\n");
    }
}
