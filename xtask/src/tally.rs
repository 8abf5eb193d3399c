//! How a step counts.

use std::ops::AddAssign;

/// What passed, failed, did not apply or was left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    pub(crate) not_applicable: u64,
}

impl Tally {
    /// A step that is no test counts as one.
    pub(crate) fn check(ok: bool) -> Self {
        Self { passed: u64::from(ok), failed: u64::from(!ok), ..Self::default() }
    }

    /// Whether nothing failed.
    pub(crate) fn ok(&self) -> bool {
        self.failed == 0
    }

    /// Makes a test program's own count honest: no test at all is a failure where tests are expected, and so is an exit
    /// status that the count does not explain (a target that did not compile, a crashed harness).
    pub(crate) fn of_tests(counted: Option<Self>, exited_ok: bool) -> (Self, Option<&'static str>) {
        let mut tally = counted.unwrap_or_default();
        let problem = if tally.passed + tally.failed == 0 {
            Some("no test was run")
        } else if !exited_ok && tally.failed == 0 {
            Some("ended with an error that no test accounts for")
        } else {
            None
        };
        tally.failed += u64::from(problem.is_some());
        (tally, problem)
    }

    /// The line for people: `milepost: 3 passed, 0 failed, 1 not applicable`.
    pub(crate) fn summary(&self) -> String {
        format!(
            "milepost: {} passed, {} failed, {} not applicable",
            self.passed, self.failed, self.not_applicable
        )
    }

    /// The line for the CI: `3 passed, 0 failed`, and how many were skipped, if any were.
    pub(crate) fn plain(&self) -> String {
        let mut line = format!("{} passed, {} failed", self.passed, self.failed);
        if self.skipped > 0 {
            line.push_str(&format!(", {} skipped", self.skipped));
        }
        line
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.not_applicable += other.not_applicable;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_form_that_the_ci_reads() {
        let tally = Tally { passed: 12, failed: 1, skipped: 0, not_applicable: 3 };
        assert_eq!(tally.summary(), "milepost: 12 passed, 1 failed, 3 not applicable");
        assert_eq!(tally.plain(), "12 passed, 1 failed");
        assert_eq!(Tally { skipped: 2, ..tally }.plain(), "12 passed, 1 failed, 2 skipped");
    }

    #[test]
    fn tests_that_did_not_run_are_a_failure() {
        assert_eq!(Tally::of_tests(None, true).0.failed, 1);
        assert_eq!(Tally::of_tests(Some(Tally::default()), true).0.failed, 1);
        let only_skipped = Tally { skipped: 4, ..Tally::default() };
        assert_eq!(Tally::of_tests(Some(only_skipped), true).0.failed, 1);
    }

    #[test]
    fn an_unexplained_exit_status_is_a_failure_and_an_explained_one_counts_once() {
        let passed = Tally { passed: 5, ..Tally::default() };
        assert_eq!(Tally::of_tests(Some(passed), false).0.failed, 1);
        assert_eq!(Tally::of_tests(Some(passed), true), (passed, None));
        let failed = Tally { failed: 2, ..passed };
        assert_eq!(Tally::of_tests(Some(failed), false), (failed, None));
    }
}
