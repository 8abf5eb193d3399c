//! The kit's programs: built for every backend at once, so that no package builds the drivers with features of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::command::{self, Program};
use crate::conformance::Backend;
use crate::workspace::Workspace;

/// Where cargo has put them, by the manifest of their package and the name of their target.
#[derive(Debug)]
pub(crate) struct Programs(BTreeMap<(PathBuf, String), PathBuf>);

/// What cargo says of something that it made.
#[derive(Debug, Deserialize)]
struct Artifact {
    manifest_path: PathBuf,
    target: Named,
    executable: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

impl Programs {
    /// Builds the programs of these backends by `build`, which says whether that went well. One backend is built by itself,
    /// without the drivers of the others.
    ///
    /// # Errors
    ///
    /// When the build fails, or cargo does not say where it has put something.
    pub(crate) fn build(
        workspace: &Workspace,
        backends: &[&Backend],
        build: impl FnOnce(Program) -> anyhow::Result<bool>,
    ) -> anyhow::Result<Self> {
        let arguments = arguments(backends);
        if !build(Program::cargo(&workspace.root, &arguments))? {
            bail!("the kit's programs cannot be built");
        }
        // Once more for the names: nothing is left to be built.
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = command::plain(&workspace.root, &cargo)
            .args(&arguments)
            .args(["--quiet", "--message-format", "json"])
            .output()
            .context("cannot start cargo")?;
        if !output.status.success() {
            bail!("cargo does not say what it has built:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(Self::read(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Messages of other shapes are about other things.
    fn read(messages: &str) -> Self {
        let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Artifact>(line).ok());
        let of =
            |artifact: Artifact| Some(((artifact.manifest_path, artifact.target.name), artifact.executable?));
        Self(artifacts.filter_map(of).collect())
    }

    /// The program of a backend, in the folder of its package as under `cargo test`.
    ///
    /// # Errors
    ///
    /// When it was not among those that were built.
    pub(crate) fn program(&self, workspace: &Workspace, backend: &Backend) -> anyhow::Result<Program> {
        let found = workspace.package(backend.package).and_then(|package| {
            let path = self.0.get(&(package.manifest_path.clone(), backend.target.to_owned()))?;
            Some((package.manifest_path.parent()?, path))
        });
        let Some((folder, path)) = found else {
            bail!("{} has no test target `{}`", backend.package, backend.target);
        };
        let program = Program::other(folder, &path.to_string_lossy(), [""; 0]);
        Ok(program.env("CARGO_PKG_NAME", backend.package))
    }
}

/// With every backend these are the features of all other steps; what those have built is used again.
fn arguments<'a>(backends: &[&'a Backend]) -> Vec<&'a str> {
    let which = match backends {
        [one] => {
            vec!["--package", one.package, "--features", one.features, "--test", one.target]
        }
        _ => vec!["--workspace", "--all-features", "--test", "conformance*"],
    };
    ["test", "--no-run"].into_iter().chain(which).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_manifest_and_target() {
        let messages = r#"
{"reason":"compiler-artifact","manifest_path":"/w/a/Cargo.toml","target":{"name":"conformance"},"executable":"/t/a-1"}
{"reason":"compiler-artifact","manifest_path":"/w/b/Cargo.toml","target":{"name":"conformance"},"executable":"/t/b-1"}
{"reason":"compiler-artifact","manifest_path":"/w/b/Cargo.toml","target":{"name":"b"},"executable":null}
{"reason":"build-finished","success":true}
"#;
        let programs = Programs::read(messages).0;
        assert_eq!(programs.len(), 2);
        let key = (PathBuf::from("/w/b/Cargo.toml"), "conformance".to_owned());
        assert_eq!(programs[&key], PathBuf::from("/t/b-1"));
    }

    #[test]
    fn one_backend_is_built_by_itself() {
        let memory = Backend::named("memory").unwrap();
        assert!(arguments(&[memory]).contains(&"milepost-store-memory"));
        let all: Vec<_> = Backend::usual().collect();
        assert!(arguments(&all).contains(&"--all-features"));
    }
}
