//! The conformance kit on each backend of this workspace, and the table of those backends.
//!
//! A backend's test target `conformance` is a program of the kit (`harness = false`): it prints what libtest prints, a
//! case that does not apply as ignored, and writes its report to the file that `MILEPOST_REPORT` names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::bail;
use milepost_servers::Kind;

use crate::command::{Program, Ran};
use crate::programs::Programs;
use crate::servers::Servers;
use crate::summary;
use crate::tally::Tally;
use crate::workspace::Workspace;

/// The name of the test target that every backend has.
const TARGET: &str = "conformance";

/// A backend that the kit runs on: a test target of a package, and the servers that it is told of.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    pub(crate) target: &'static str,
    /// The features of the package that it needs, with commas.
    pub(crate) features: &'static str,
    /// The environment variables that name a server, and of what kind it is.
    servers: &'static [(&'static str, Kind)],
    /// How many cases are under way at once; `None` is as many as there are processors. Most wait for a server's disk.
    at_once: Option<&'static str>,
    /// Whether it is run only when it is named: what it needs is large.
    on_request: bool,
}

/// A backend without a server; the others are made from it.
const EMBEDDED: Backend = Backend {
    name: "",
    package: "",
    target: TARGET,
    features: "",
    servers: &[],
    at_once: None,
    on_request: false,
};

/// Every backend, in the order of the README's columns.
pub(crate) const BACKENDS: &[Backend] = &[
    Backend { name: "memory", package: "milepost-store-memory", ..EMBEDDED },
    Backend { name: "sqlite", package: "milepost-store-sqlite", ..EMBEDDED },
    Backend {
        name: "postgres",
        package: "milepost-store-postgres",
        servers: &[("MILEPOST_TEST_POSTGRES_URL", Kind::Postgres)],
        at_once: Some("4"),
        ..EMBEDDED
    },
    Backend {
        name: "pgbouncer",
        package: "milepost-store-postgres",
        target: "conformance_pgbouncer",
        servers: &[("MILEPOST_TEST_PGBOUNCER_URL", Kind::PgBouncer)],
        at_once: Some("6"),
        ..EMBEDDED
    },
    Backend {
        name: "redis",
        package: "milepost-store-redis",
        servers: &[("MILEPOST_TEST_REDIS_URL", Kind::Redis)],
        ..EMBEDDED
    },
    Backend {
        name: "redis-cluster",
        package: "milepost-store-redis",
        target: "conformance_cluster",
        servers: &[("MILEPOST_TEST_REDIS_CLUSTER_URL", Kind::RedisCluster)],
        at_once: Some("4"),
        ..EMBEDDED
    },
    Backend {
        name: "s3",
        package: "milepost-store-s3",
        features: "s3",
        servers: &[("MILEPOST_TEST_S3_URL", Kind::S3)],
        ..EMBEDDED
    },
    Backend {
        name: "folder",
        package: "milepost-store-s3",
        target: "conformance_folder",
        at_once: Some("3"),
        ..EMBEDDED
    },
    Backend {
        name: "rgw",
        package: "milepost-store-s3",
        target: "conformance_rgw",
        features: "s3",
        servers: &[("MILEPOST_TEST_RGW_URL", Kind::Radosgw)],
        at_once: Some("4"),
        on_request: true,
    },
    Backend { name: "template", package: "milepost-store-template", ..EMBEDDED },
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

    /// Those that need no asking, in the order of the table.
    pub(crate) fn usual() -> impl Iterator<Item = &'static Self> {
        BACKENDS.iter().filter(|backend| !backend.on_request)
    }

    /// The environment in which its tests find their servers, which are started if need be.
    ///
    /// # Errors
    ///
    /// When a server cannot be had or does not come up: that fails the step, it skips nothing.
    pub(crate) fn environment(&self, servers: &Servers) -> anyhow::Result<Vec<(&'static str, String)>> {
        self.servers.iter().map(|(variable, kind)| Ok((*variable, servers.url(*kind)?))).collect()
    }

    /// Where its report goes.
    pub(crate) fn report(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.json", self.name))
    }

    /// The kit on this backend, reporting into the folder.
    ///
    /// # Errors
    ///
    /// As [`Backend::environment`], and when the program was not built.
    pub(crate) fn program(
        &self,
        workspace: &Workspace,
        programs: &Programs,
        folder: &Path,
        servers: &Servers,
    ) -> anyhow::Result<Program> {
        let program = programs.program(workspace, self)?.env("MILEPOST_REPORT", self.report(folder));
        let threads = self.at_once.map(|count| ["--test-threads", count]);
        let program = program.args(threads.into_iter().flatten());
        let environment = self.environment(servers)?;
        Ok(environment.into_iter().fold(program, |program, (name, value)| program.secret(name, value)))
    }
}

/// The environment for tests of every backend at once: each kind of server under its own variable.
///
/// # Errors
///
/// As [`Backend::environment`].
pub(crate) fn shared_environment(servers: &Servers) -> anyhow::Result<Vec<(&'static str, String)>> {
    let kinds: BTreeSet<_> =
        BACKENDS.iter().flat_map(|backend| backend.servers).map(|(_, kind)| *kind).collect();
    // Large, and nothing but the kit asks for it.
    let kinds = kinds.into_iter().filter(|kind| *kind != Kind::Radosgw);
    kinds.map(|kind| Ok((kind.variable(), servers.url(kind)?))).collect()
}

/// What nextest is not to run because it is run here, as a filter of its own language: the kit's targets, by package.
pub(crate) fn not_these(workspace: &Workspace) -> Option<String> {
    let exists = |backend: &&Backend| {
        workspace.package(backend.package).is_some_and(|package| package.has_target("test", backend.target))
    };
    // Several backends may be one target on several servers.
    let targets: BTreeSet<_> =
        BACKENDS.iter().filter(exists).map(|backend| (backend.package, backend.target)).collect();
    let one = |(package, target)| format!("not (package(={package}) & kind(test) & binary(={target}))");
    let filters: Vec<_> = targets.into_iter().map(one).collect();
    (!filters.is_empty()).then(|| filters.join(" & "))
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
        assert!(error.contains("memory, sqlite"), "{error}");
    }

    #[test]
    fn an_embedded_backend_needs_no_server() {
        let servers = Servers::default();
        assert_eq!(Backend::named("sqlite").unwrap().environment(&servers).unwrap(), []);
    }

    #[test]
    fn backends_have_names_of_their_own() {
        let names: BTreeSet<_> = BACKENDS.iter().map(|backend| backend.name).collect();
        assert_eq!(names.len(), BACKENDS.len());
    }
}
