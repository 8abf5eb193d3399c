//! Steps that are little more than one program.

use std::path::Path;

use anyhow::bail;

use super::Context;
use crate::command::Program;
use crate::tally::Tally;
use crate::{package, words as forbidden};

/// `cargo fmt --all --check`.
pub(super) fn fmt(context: &mut Context<'_>) -> anyhow::Result<Tally> {
    let program = context.cargo(&["fmt", "--all", "--check"]);
    Ok(Tally::check(context.succeeds(program)?))
}

/// The examples, with the features with which the tests run them.
pub(super) fn examples(context: &mut Context<'_>) -> anyhow::Result<Tally> {
    let program = context.cargo(&["build", "--workspace", "--examples", "--all-features"]);
    Ok(Tally::check(context.succeeds(program)?))
}

/// Every published crate as it would be uploaded.
pub(super) fn package(context: &mut Context<'_>) -> anyhow::Result<Tally> {
    let mut ok = context.succeeds(package::pack(context.workspace))?;
    if ok && !context.quick {
        for program in package::compile(context.workspace)? {
            ok = ok && context.succeeds(program)?;
        }
    }
    Ok(Tally::check(ok))
}

/// Looks into every file that is, or would be, under version control.
pub(super) fn words(context: &mut Context<'_>) -> anyhow::Result<Tally> {
    let root = context.workspace.root.clone();
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let mut names = String::new();
    context.counted(Program::other(&root, "git", list), |ran| {
        names.clone_from(&ran.output);
        (Tally::check(ran.ok), None)
    })?;
    let mut looked_into = 0;
    for path in names.split('\0').map(Path::new).filter(|path| forbidden::is_written(path)) {
        // A file that was deleted and is not yet committed as such is still listed.
        let Ok(text) = std::fs::read_to_string(root.join(path)) else { continue };
        looked_into += 1;
        for finding in forbidden::findings(path, &text) {
            context.problem(finding);
        }
    }
    if looked_into == 0 {
        bail!("git lists no files here");
    }
    Ok(Tally::check(!context.has_problems()))
}
