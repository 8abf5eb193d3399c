//! Reads the counts out of what test programs print at their end. Pure text in, counts out.

use crate::tally::Tally;

/// The sum of all `test result: ok. 3 passed; 0 failed; 1 ignored; …` lines (libtest, libtest-mimic, doc tests), its
/// `ignored` as skipped. `None` without any such line.
pub(crate) fn libtest(output: &str) -> Option<Tally> {
    let mut sum = None;
    for line in output.lines() {
        let Some(counts) = line.trim_start().strip_prefix("test result: ") else { continue };
        // After the verdict, which ends with a full stop.
        let Some((_, counts)) = counts.split_once(". ") else { continue };
        let sum = sum.get_or_insert_with(Tally::default);
        for (count, what) in counts.split(';').filter_map(counted) {
            match what {
                "passed" => sum.passed += count,
                "failed" => sum.failed += count,
                "ignored" => sum.skipped += count,
                _ => {}
            }
        }
    }
    sum
}

/// nextest's last `Summary [ 0.1s] 5/6 tests run: 3 passed (1 slow), 1 failed, 1 timed out, 2 skipped` line. What was
/// announced and never run (`5/6`) counts as failed.
pub(crate) fn nextest(output: &str) -> Option<Tally> {
    let line = output.lines().rev().find(|line| line.trim_start().starts_with("Summary ["))?;
    let (_, rest) = line.split_once(']')?;
    let (announced, counts) = rest.split_once(':')?;
    let mut tally = Tally::default();
    for (count, what) in without_remarks(counts).split(',').filter_map(counted) {
        match what {
            "passed" => tally.passed += count,
            "skipped" => tally.skipped += count,
            // Every other word is a way to fail: failed, exec failed, timed out, aborted.
            _ => tally.failed += count,
        }
    }
    let announced = announced.trim().split(' ').next()?;
    if let Some((run, of)) = announced.split_once('/') {
        tally.failed += of.parse::<u64>().ok()?.saturating_sub(run.parse().ok()?);
    }
    Some(tally)
}

/// `3 timed out` as a number and what it counts.
fn counted(text: &str) -> Option<(u64, &str)> {
    let (count, what) = text.trim().split_once(' ')?;
    Some((count.parse().ok()?, what.trim()))
}

/// Without what stands in brackets: `3 passed (1 slow, 1 flaky), 1 failed` has three commas and two counts.
fn without_remarks(text: &str) -> String {
    let mut depth = 0_usize;
    let mut kept = String::new();
    for letter in text.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => kept.push(letter),
            _ => {}
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(passed: u64, failed: u64, skipped: u64) -> Option<Tally> {
        Some(Tally { passed, failed, skipped, not_applicable: 0 })
    }

    #[test]
    fn nextest_summaries() {
        let table = [
            ("     Summary [   0.097s] 2 tests run: 1 passed, 1 failed, 1 skipped", tally(1, 1, 1)),
            ("     Summary [   0.006s] 1 test run: 1 passed, 3 skipped", tally(1, 0, 3)),
            ("Summary [  61.006s] 9 tests run: 9 passed (2 slow, 1 flaky), 0 skipped", tally(9, 0, 0)),
            (
                " Summary [ 9.1s] 4/6 tests run: 1 passed (1 leaky), 2 failed, 1 timed out, 0 skipped",
                tally(1, 5, 0),
            ),
            ("     Summary [   0.000s] 0 tests run: 0 passed, 4 skipped", tally(0, 0, 4)),
            ("   Compiling a v0.1.0\nerror: could not compile `a`", None),
        ];
        for (text, expected) in table {
            assert_eq!(nextest(text), expected, "{text}");
        }
    }

    #[test]
    fn only_the_last_nextest_summary_counts() {
        let text = "Summary [ 1s] 1 test run: 1 passed, 0 skipped\n  FAIL x\nSummary [ 1s] 2 tests run: 2 passed, 0 skipped\n";
        assert_eq!(nextest(text), tally(2, 0, 0));
    }

    #[test]
    fn libtest_results_are_summed_over_crates() {
        let text = "\
running 2 tests
test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.05s
all doctests ran in 0.62s; merged doctests compilation took 0.56s
";
        assert_eq!(libtest(text), tally(4, 2, 1));
    }

    #[test]
    fn text_without_a_result_counts_nothing() {
        assert_eq!(libtest("test result of my own\n"), None);
        assert_eq!(libtest(""), None);
    }
}
