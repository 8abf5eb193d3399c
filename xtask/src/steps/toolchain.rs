//! The Rust version: declared once, the same in every member, and not newer than the compiler in use. That nothing newer
//! is used when the compiler is newer, clippy's `incompatible_msrv` says.

use anyhow::{Context as _, bail};

use super::Context;
use crate::command::Program;
use crate::tally::Tally;

/// One step for all three.
pub(super) fn run(context: &mut Context<'_>) -> anyhow::Result<Tally> {
    let manifest = context.workspace.read("Cargo.toml")?;
    let declared = declared(&manifest).context("Cargo.toml declares no `rust-version`")?;
    for package in context.workspace.packages() {
        if package.rust_version.as_deref() != Some(declared) {
            let theirs = package.rust_version.as_deref().unwrap_or("none");
            context.problem(format!("{} declares Rust {theirs}, the workspace {declared}", package.name));
        }
    }
    let mut said = String::new();
    let compiler = Program::other(&context.workspace.root, "rustc", ["--version"]);
    context.counted(compiler, |ran| {
        said.clone_from(&ran.output);
        (Tally::check(ran.ok), None)
    })?;
    let used = said.split_whitespace().nth(1).context("rustc says no version")?;
    match (version(used), version(declared)) {
        (Some(used), Some(declared)) if used >= declared => {}
        (Some(_), Some(_)) => context.problem(format!("the compiler is {used}, needed is {declared}")),
        _ => bail!("cannot compare the versions {used} and {declared}"),
    }
    Ok(Tally::check(!context.has_problems()))
}

/// The workspace's version out of the root manifest, where it stands once.
fn declared(manifest: &str) -> Option<&str> {
    let line = manifest.lines().find(|line| line.trim_start().starts_with("rust-version"))?;
    let (_, value) = line.split_once('=')?;
    value.split('"').nth(1)
}

/// `1.95` and `1.95.0-nightly` as numbers.
fn version(text: &str) -> Option<[u32; 3]> {
    let mut parts = text.split('-').next()?.split('.');
    let mut next = || parts.next().map_or(Some(0), |part| part.parse().ok());
    Some([next()?, next()?, next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declared_version_is_read() {
        let manifest = "[workspace.package]\nedition = \"2024\"\nrust-version = \"1.95\"\n";
        assert_eq!(declared(manifest), Some("1.95"));
        assert_eq!(declared("[workspace]\n"), None);
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(version("1.100.0") > version("1.95"));
        assert_eq!(version("1.95.0-nightly"), version("1.95"));
        assert_eq!(version("stable"), None);
    }
}
