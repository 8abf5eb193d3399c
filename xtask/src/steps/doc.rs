//! Documentation: its examples run as tests, and rustdoc has nothing to say.

use super::Context;
use crate::summary;
use crate::tally::Tally;

/// The doc tests, and one more for the documentation itself.
pub(super) fn run(context: &mut Context<'_>) -> anyhow::Result<Tally> {
    let tests = context.cargo(&["test", "--doc", "--workspace", "--all-features", "--no-fail-fast"]);
    let tests = context.with_scratch(tests);
    let mut tally = context.counted(tests, |ran| Tally::of_tests(summary::libtest(&ran.output), ran.ok))?;
    let pages = context
        .cargo(&["doc", "--workspace", "--all-features", "--no-deps"])
        .env("RUSTDOCFLAGS", "-D warnings");
    tally += Tally::check(context.succeeds(pages)?);
    Ok(tally)
}
