//! The conformance kit on each backend of this workspace, and the table of those backends.
//!
//! A backend's test target `conformance` is a program of the kit (`harness = false`): it prints what libtest prints, a
//! case that does not apply as ignored, and writes its report to the file that `MILEPOST_REPORT` names.

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::command::{Program, Ran};
use crate::summary;
use crate::tally::Tally;
use crate::workspace::Workspace;

/// The name of the test target that every backend has.
pub(crate) const TARGET: &str = "conformance";

/// A backend that the kit runs on.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    package: &'static str,
}

/// Every backend, in the order of the README's columns.
pub(crate) const BACKENDS: &[Backend] = &[
    Backend { name: "memory", package: "milepost-store-memory" },
    Backend { name: "sqlite", package: "milepost-store-sqlite" },
    Backend { name: "template", package: "milepost-store-template" },
];

impl Backend {
    /// The backend of this name; the error lists those that there are.
    pub(crate) fn named(name: &str) -> anyhow::Result<&'static Self> {
        let Some(backend) = BACKENDS.iter().find(|backend| backend.name == name) else {
            let known: Vec<_> = BACKENDS.iter().map(|backend| backend.name).collect();
            bail!("there is no backend `{name}`: it is one of {}", known.join(", "));
        };
        Ok(backend)
    }

    /// Where its report goes.
    pub(crate) fn report(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.json", self.name))
    }

    /// The kit on this backend, reporting into the folder.
    pub(crate) fn program(&self, workspace: &Workspace, folder: &Path) -> Program {
        Program::cargo(&workspace.root, ["test", "--package", self.package, "--test", TARGET])
            .env("MILEPOST_REPORT", self.report(folder))
    }
}

/// How the kit's run counts, and what is wrong with the run itself: ignored cases are those that do not apply.
pub(crate) fn tally(ran: &Ran) -> (Tally, Option<&'static str>) {
    let counted = summary::libtest(&ran.output).map(|tally| Tally {
        not_applicable: tally.skipped,
        skipped: 0,
        ..tally
    });
    Tally::of_tests(counted, ran.ok)
}

/// Members with a conformance target that the table above does not know: nothing would run it.
pub(crate) fn forgotten(workspace: &Workspace) -> Vec<&str> {
    let known = |name: &str| BACKENDS.iter().any(|backend| backend.package == name);
    let members = workspace.packages().filter(|package| package.has_target("test", TARGET));
    members.map(|package| package.name.as_str()).filter(|name| !known(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_cases_are_those_that_do_not_apply() {
        let output =
            "test result: ok. 61 passed; 0 failed; 4 ignored; 0 measured; 0 filtered out; finished in 1.9s\n";
        let ran = Ran { line: String::new(), ok: true, output: output.to_owned() };
        let expected = Tally { passed: 61, not_applicable: 4, ..Tally::default() };
        assert_eq!(tally(&ran), (expected, None));
    }

    #[test]
    fn an_unknown_backend_is_refused_with_the_known_ones() {
        let error = Backend::named("paper").unwrap_err().to_string();
        assert!(error.ends_with("memory, sqlite, template"), "{error}");
    }
}
