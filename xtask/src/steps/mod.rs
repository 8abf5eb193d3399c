//! The steps of `test-all`, one list, and what each of them is given.

mod clippy;
mod conformance;
mod doc;
mod simple;
mod test;
mod toolchain;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::command::{Program, Ran};
use crate::conformance::Backend;
use crate::console::Progress;
use crate::servers::Servers;
use crate::tally::Tally;
use crate::workspace::Workspace;

/// A named step. It fails by what it counts, or with an error that counts as one failure.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn(&mut Context<'_>) -> anyhow::Result<Tally>,
}

/// Every step, in the order in which they run: what is quick and fails often comes first. `examples` comes before
/// `test`, which kills and restarts the built examples; `matrix` reads the reports of `conformance`.
pub(crate) const ALL: &[Step] = &[
    Step {
        name: "rust-version",
        about: "one declared Rust version, and a compiler that is at least that",
        run: toolchain::run,
    },
    Step { name: "words", about: "no markers of unfinished work, no overlong files", run: simple::words },
    Step { name: "fmt", about: "every file is formatted", run: simple::fmt },
    Step { name: "clippy", about: "no lint warns, with any single feature", run: clippy::run },
    Step { name: "examples", about: "every example builds", run: simple::examples },
    Step { name: "test", about: "unit and integration tests, the crash tests among them", run: test::run },
    Step { name: "doc", about: "documentation tests, and documentation without a warning", run: doc::run },
    Step { name: "conformance", about: "the kit on every backend", run: conformance::run },
    Step { name: "matrix", about: "the README says what the kit found", run: conformance::matrix },
    Step {
        name: "package",
        about: "every crate packages, and compiles from its package",
        run: simple::package,
    },
];

/// What a step works with, and where it puts what it found.
pub(crate) struct Context<'a> {
    pub(crate) workspace: &'a Workspace,
    progress: &'a Progress,
    /// Where reports go.
    pub(crate) folder: &'a Path,
    log: &'a Path,
    pub(crate) quick: bool,
    pub(crate) backends: &'a [&'static Backend],
    pub(crate) servers: &'a Servers,
    scratch: &'a Path,
    findings: Findings,
}

/// How much of everything a step does, and on which servers.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) quick: bool,
    pub(crate) backends: &'a [&'static Backend],
    pub(crate) servers: &'a Servers,
    /// Where tests leave what they leave.
    pub(crate) scratch: &'a Path,
}

/// What is shown of a step that failed.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The programs that ended badly.
    pub(crate) failed: Vec<Ran>,
    /// What else is wrong, a line each.
    pub(crate) problems: Vec<String>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        workspace: &'a Workspace,
        progress: &'a Progress,
        folder: &'a Path,
        log: &'a Path,
        scope: &Scope<'a>,
    ) -> Self {
        let Scope { quick, backends, servers, scratch } = *scope;
        let findings = Findings::default();
        Self { workspace, progress, folder, log, quick, backends, servers, scratch, findings }
    }

    /// Notes what is wrong.
    pub(crate) fn problem(&mut self, problem: impl Into<String>) {
        self.findings.problems.push(problem.into());
    }

    /// Whether anything is wrong so far.
    pub(crate) fn has_problems(&self) -> bool {
        !self.findings.problems.is_empty()
    }

    pub(crate) fn into_findings(self) -> Findings {
        self.findings
    }

    /// Cargo with these arguments, to be run here.
    pub(crate) fn cargo(&self, args: &[&str]) -> Program {
        Program::cargo(&self.workspace.root, args)
    }

    /// The same program, with its temporary files where they are quick and go in the end.
    pub(crate) fn with_scratch(&self, program: Program) -> Program {
        program.env("TMPDIR", self.scratch)
    }

    /// Runs a program, logs its output, and has the caller count what is in it.
    pub(crate) fn counted(
        &mut self,
        program: Program,
        count: impl FnOnce(&Ran) -> (Tally, Option<&'static str>),
    ) -> anyhow::Result<Tally> {
        let ran = program.run(self.progress)?;
        self.count(ran, count)
    }

    /// The same for programs of which so many run beside each other, in their order.
    pub(crate) fn counted_beside(
        &mut self,
        programs: Vec<Program>,
        at_once: usize,
        count: impl Fn(&Ran) -> (Tally, Option<&'static str>),
    ) -> anyhow::Result<Tally> {
        let mut sum = Tally::default();
        for ran in beside(programs, at_once, self.progress) {
            sum += self.count(ran?, &count)?;
        }
        Ok(sum)
    }

    fn count(
        &mut self,
        ran: Ran,
        count: impl FnOnce(&Ran) -> (Tally, Option<&'static str>),
    ) -> anyhow::Result<Tally> {
        let mut log = OpenOptions::new().create(true).append(true).open(self.log)?;
        write!(log, "$ {}\n{}\n", ran.line, ran.output)?;
        let (tally, problem) = count(&ran);
        if let Some(problem) = problem {
            self.problem(format!("{}: {problem}", ran.line));
        }
        if !tally.ok() {
            self.findings.failed.push(ran);
        }
        Ok(tally)
    }

    /// Runs a program that only succeeds or fails.
    pub(crate) fn succeeds(&mut self, program: Program) -> anyhow::Result<bool> {
        Ok(self.counted(program, |ran| (Tally::check(ran.ok), None))?.ok())
    }
}

/// Runs the programs, so many at once, each begun in its turn; what came of them stands in their order.
fn beside(programs: Vec<Program>, at_once: usize, progress: &Progress) -> Vec<anyhow::Result<Ran>> {
    let waiting = Mutex::new(programs.into_iter().enumerate());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let mut done = Vec::new();
        while let Some((turn, program)) = next() {
            done.push((turn, program.run(progress)));
        }
        done
    };
    let done: BTreeMap<_, _> = thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        let joined =
            workers.into_iter().flat_map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        joined.collect()
    });
    done.into_values().collect()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::console::Console;

    #[test]
    fn programs_run_beside_each_other_and_answer_in_their_order() {
        // The first one waits for what the second one writes.
        let folder = tempfile::tempdir().unwrap();
        let sh = |script: &str| Program::other(folder.path(), "sh", ["-c", script]);
        let programs = vec![
            sh("while ! test -e there; do sleep 0.01; done; echo one"),
            sh("touch there; echo two"),
            sh("exit 3"),
        ];
        let ran: Vec<_> =
            beside(programs, 2, &Console::new().progress("test")).into_iter().map(Result::unwrap).collect();
        let seen: Vec<_> = ran.iter().map(|ran| (ran.ok, ran.output.trim())).collect();
        assert_eq!(seen, [(true, "one"), (true, "two"), (false, "")]);
    }
}
