//! The README's capability matrix: made from the kit's reports, so that it says what was proven and nothing else.

use std::path::Path;

use anyhow::{Context, bail};

use crate::command::Program;
use crate::conformance::{self, Backend};
use crate::console::Console;
use crate::programs::Programs;
use crate::report::{Outcome, Report};
use crate::servers::Servers;
use crate::workspace::Workspace;

const README: &str = "README.md";
const BEGIN: &str = "<!-- matrix:begin -->";
const END: &str = "<!-- matrix:end -->";

/// `cargo xtask matrix`: runs the kit on every backend, then writes or compares the table.
pub(crate) fn run(console: &Console, check: bool) -> anyhow::Result<bool> {
    let workspace = Workspace::load()?;
    let folder = workspace.fresh_folder("matrix")?;
    let servers = Servers::default();
    let backends: Vec<_> = Backend::usual().collect();
    let programs = Programs::build(&workspace, &backends, Program::run_visibly)?;
    for backend in backends {
        let program = backend.program(&workspace, &programs, &folder, &servers)?;
        let ran = program.run(&console.progress(backend.name))?;
        let (tally, problem) = conformance::tally(&ran);
        if let Some(problem) = problem {
            bail!("conformance of {}: {problem}\n{}", backend.name, ran.output);
        }
        console.line(&format!("{}: {}", backend.name, tally.plain()));
    }
    let expected = expected(&workspace, &folder)?;
    if expected == workspace.read(README)? {
        console.line(&format!("{README}: the capability matrix is up to date"));
        return Ok(true);
    }
    if check {
        console
            .line(&format!("{README}: the capability matrix is out of date: `cargo xtask matrix` writes it"));
        return Ok(false);
    }
    std::fs::write(workspace.root.join(README), expected)
        .with_context(|| format!("cannot write {README}"))?;
    console.line(&format!("{README}: the capability matrix is written"));
    Ok(true)
}

/// Whether the README says what the reports in the folder say.
pub(crate) fn is_up_to_date(workspace: &Workspace, folder: &Path) -> anyhow::Result<bool> {
    Ok(expected(workspace, folder)? == workspace.read(README)?)
}

/// The README with the table that belongs into it.
fn expected(workspace: &Workspace, folder: &Path) -> anyhow::Result<String> {
    // A package that is run on several servers reports one name: that of the table tells them apart.
    let reports = Backend::usual().map(|backend| {
        Report::read(&backend.report(folder))
            .map(|report| Report { backend: backend.name.to_owned(), ..report })
    });
    splice(&workspace.read(README)?, &table(&reports.collect::<anyhow::Result<Vec<_>>>()?)?)
}

/// The text with whatever stood between the two markers replaced.
fn splice(text: &str, table: &str) -> anyhow::Result<String> {
    let once = |marker: &str| match text.match_indices(marker).map(|(at, _)| at).collect::<Vec<_>>()[..] {
        [at] => Ok(at),
        _ => bail!("{README} must hold `{marker}` exactly once"),
    };
    let (begin, end) = (once(BEGIN)? + BEGIN.len(), once(END)?);
    if begin > end {
        bail!("{README}: `{BEGIN}` must come before `{END}`");
    }
    Ok(format!("{}\n{table}{}", &text[..begin], &text[end..]))
}

/// The reports as a Markdown table, a column each: capabilities, durability, and the cases of each area.
fn table(reports: &[Report]) -> anyhow::Result<String> {
    for report in reports {
        let failed: Vec<_> = report.failed().collect();
        if !failed.is_empty() {
            bail!("{} fails {}: no matrix is made from that", report.backend, failed.join(", "));
        }
    }
    let mut table = Table::default();
    table.row("", reports, |report| report.backend.clone());
    table.text.push_str(&format!("|---|{}\n", "---|".repeat(reports.len())));
    for name in in_order(reports, |report| report.capabilities.iter()) {
        let yes = |report: &Report| report.capabilities.contains(name);
        table.row(&words(name), reports, |report| if yes(report) { "yes" } else { "–" }.to_owned());
    }
    let durability = |report: &Report| report.durability.as_deref().map_or_else(|| "–".to_owned(), words);
    table.row("durability", reports, durability);
    for area in in_order(reports, |report| report.cases.iter().map(|case| &case.area)) {
        table.row(&format!("cases: {}", words(area)), reports, |report| cases(report, Some(area)));
    }
    table.row("**cases**", reports, |report| cases(report, None));
    Ok(table.text)
}

#[derive(Default)]
struct Table {
    text: String,
}

impl Table {
    fn row(&mut self, head: &str, reports: &[Report], cell: impl Fn(&Report) -> String) {
        let cells: Vec<_> = reports.iter().map(cell).collect();
        self.text.push_str(&format!("| {head} | {} |\n", cells.join(" | ")));
    }
}

/// Every name that any report has, in the order in which they occur first.
fn in_order<'a, I>(reports: &'a [Report], names: impl Fn(&'a Report) -> I) -> Vec<&'a String>
where
    I: Iterator<Item = &'a String>,
{
    let mut found = Vec::new();
    for name in reports.iter().flat_map(names) {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// How many passed, and how many did not apply: nothing else gets here.
fn cases(report: &Report, area: Option<&str>) -> String {
    match (report.count(area, Outcome::Passed), report.count(area, Outcome::NotApplicable)) {
        (0, 0) => "–".to_owned(),
        (passed, 0) => passed.to_string(),
        (0, not) => format!("{not} n/a"),
        (passed, not) => format!("{passed}, {not} n/a"),
    }
}

/// `TailStream` and `tail_stream` as `tail stream`.
fn words(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(if matches!(letter, '_' | '-') { vec![' '] } else { letter.to_lowercase().collect() });
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(backend: &str, set: &[&str], outcome: &str) -> Report {
        let json = serde_json::json!({
            "backend": backend,
            "capabilities": set,
            "durability": "Fsync",
            "cases": [
                { "id": "open.creates", "area": "open", "needs": [], "outcome": "passed" },
                { "id": "inbox.first-wins", "area": "inbox", "needs": ["Inbox"], "outcome": outcome, "reason": "-" },
            ],
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn reports_become_a_table() {
        let reports = [
            report("memory", &["Log", "TailStream"], "passed"),
            report("sqlite", &["Log"], "not-applicable"),
        ];
        let expected = "\
|  | memory | sqlite |
|---|---|---|
| log | yes | yes |
| tail stream | yes | – |
| durability | fsync | fsync |
| cases: open | 1 | 1 |
| cases: inbox | 1 | 1 n/a |
| **cases** | 2 | 1, 1 n/a |
";
        assert_eq!(table(&reports).unwrap(), expected);
    }

    #[test]
    fn no_table_is_made_from_a_failure() {
        let error = table(&[report("sqlite", &[], "failed")]).unwrap_err().to_string();
        assert!(error.contains("sqlite fails inbox.first-wins"), "{error}");
    }

    #[test]
    fn the_table_replaces_what_stood_between_the_markers() {
        let text = format!("# Title\n{BEGIN}\nold\n{END}\nrest\n");
        let spliced = splice(&text, "| new |\n").unwrap();
        assert_eq!(spliced, format!("# Title\n{BEGIN}\n| new |\n{END}\nrest\n"));
        assert_eq!(splice(&spliced, "| new |\n").unwrap(), spliced);
    }

    #[test]
    fn markers_that_are_missing_doubled_or_swapped_are_refused() {
        let table =
            ["nothing".to_owned(), BEGIN.to_owned(), format!("{BEGIN}{END}{END}"), format!("{END}{BEGIN}")];
        for text in table {
            assert!(splice(&text, "").is_err(), "{text}");
        }
    }
}
