//! The README's capability matrix: made from the kit's reports, so that it says what was proven and nothing else.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::command::Program;
use crate::conformance::{self, BACKENDS, Backend};
use crate::console::Console;
use crate::programs::Programs;
use crate::report::{Outcome, Report};
use crate::servers::Servers;
use crate::workspace::Workspace;

const README: &str = "README.md";
const BEGIN: &str = "<!-- matrix:begin -->";
const END: &str = "<!-- matrix:end -->";

/// What a cell says where there is nothing to say.
const NOTHING: &str = "–";

/// Arguments of `matrix`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only compare; fail when the README says something else
    #[arg(long)]
    check: bool,
    /// The column of this backend; may be given several times. Without it those of all that `test-all` runs
    #[arg(long, value_name = "NAME")]
    backend: Vec<String>,
    /// Take the reports that are in this folder, and run nothing
    #[arg(long, value_name = "FOLDER", conflicts_with = "backend")]
    reports: Option<PathBuf>,
}

/// `cargo xtask matrix`: runs the kit on backends, then writes or compares their columns.
pub(crate) fn run(console: &Console, args: &Args) -> anyhow::Result<bool> {
    let workspace = Workspace::load()?;
    let (folder, backends) = match &args.reports {
        Some(folder) => (folder.clone(), reported(folder)?),
        None => report(console, &workspace, &args.backend)?,
    };
    let expected = expected(&workspace, &folder, &backends)?;
    if expected == workspace.read(README)? {
        console.line(&format!("{README}: the capability matrix is up to date"));
        return Ok(true);
    }
    if args.check {
        console
            .line(&format!("{README}: the capability matrix is out of date: `cargo xtask matrix` writes it"));
        return Ok(false);
    }
    std::fs::write(workspace.root.join(README), expected)
        .with_context(|| format!("cannot write {README}"))?;
    console.line(&format!("{README}: the capability matrix is written"));
    Ok(true)
}

/// The backends that have a report in the folder.
fn reported(folder: &Path) -> anyhow::Result<Vec<&'static Backend>> {
    let backends: Vec<_> = BACKENDS.iter().filter(|backend| backend.report(folder).exists()).collect();
    if backends.is_empty() {
        bail!(
            "{} has no report such as sqlite.json: `cargo xtask test-all --keep` leaves them",
            folder.display()
        );
    }
    Ok(backends)
}

/// Runs the kit on the named backends, or on the usual ones; their reports are in the folder that it gives.
fn report(
    console: &Console,
    workspace: &Workspace,
    named: &[String],
) -> anyhow::Result<(PathBuf, Vec<&'static Backend>)> {
    let folder = workspace.fresh_folder("matrix")?;
    let servers = Servers::default();
    let backends: Vec<&'static Backend> = if named.is_empty() {
        Backend::usual().collect()
    } else {
        named.iter().map(|name| Backend::named(name)).collect::<anyhow::Result<_>>()?
    };
    let programs = Programs::build(workspace, &backends, Program::run_visibly)?;
    for backend in &backends {
        let program = backend.program(workspace, &programs, &folder, &servers)?;
        let ran = program.run(&console.progress(backend.name))?;
        let (tally, problem) = conformance::tally(&ran);
        if let Some(problem) = problem {
            bail!("conformance of {}: {problem}\n{}", backend.name, ran.output);
        }
        console.line(&format!("{}: {}", backend.name, tally.plain()));
    }
    Ok((folder, backends))
}

/// Whether the README says what the reports of these backends say, which are in the folder.
///
/// # Errors
///
/// When one of them has left no report.
pub(crate) fn is_up_to_date(
    workspace: &Workspace,
    folder: &Path,
    backends: &[&Backend],
) -> anyhow::Result<bool> {
    Ok(expected(workspace, folder, backends)? == workspace.read(README)?)
}

/// The README with the table that belongs into it: a column for each of these backends, and those of the others as they are.
fn expected(workspace: &Workspace, folder: &Path, backends: &[&Backend]) -> anyhow::Result<String> {
    let mut reports = Vec::new();
    for backend in backends {
        // A package that is run on several servers reports one name: that of the table tells them apart.
        reports.push(Report { backend: backend.name.to_owned(), ..Report::read(&backend.report(folder))? });
    }
    let readme = workspace.read(README)?;
    let before = Table::read(between(&readme)?);
    let made = Table::of(&reports)?.with_the_others_of(&before)?;
    splice(&readme, &made.to_string())
}

/// Where the table stands in the text, without its markers.
fn place(text: &str) -> anyhow::Result<Range<usize>> {
    let once = |marker: &str| match text.match_indices(marker).map(|(at, _)| at).collect::<Vec<_>>()[..] {
        [at] => Ok(at),
        _ => bail!("{README} must hold `{marker}` exactly once"),
    };
    let (begin, end) = (once(BEGIN)? + BEGIN.len(), once(END)?);
    if begin > end {
        bail!("{README}: `{BEGIN}` must come before `{END}`");
    }
    Ok(begin..end)
}

/// What stands between the two markers.
fn between(text: &str) -> anyhow::Result<&str> {
    Ok(&text[place(text)?])
}

/// The text with whatever stood between the two markers replaced.
fn splice(text: &str, table: &str) -> anyhow::Result<String> {
    let Range { start, end } = place(text)?;
    Ok(format!("{}\n{table}{}", &text[..start], &text[end..]))
}

/// The row that counts all cases.
const ALL_CASES: &str = "**cases**";

/// A row: its head, and what each column says.
type Row = (String, Vec<String>);

/// The matrix: a column for each backend.
#[derive(Debug, Default, PartialEq, Eq)]
struct Table {
    backends: Vec<String>,
    rows: Vec<Row>,
}

impl Table {
    /// Capabilities, durability, and the cases of each area.
    fn of(reports: &[Report]) -> anyhow::Result<Self> {
        for report in reports {
            let failed: Vec<_> = report.failed().collect();
            if !failed.is_empty() {
                bail!("{} fails {}: no matrix is made from that", report.backend, failed.join(", "));
            }
        }
        let row = |head: String, cell: &dyn Fn(&Report) -> String| (head, reports.iter().map(cell).collect());
        let mut rows = Vec::new();
        for name in in_order(reports, |report| report.capabilities.iter()) {
            let yes = |report: &Report| report.capabilities.contains(name);
            rows.push(row(words(name), &|report| if yes(report) { "yes" } else { NOTHING }.to_owned()));
        }
        let durability =
            |report: &Report| report.durability.as_deref().map_or_else(|| NOTHING.to_owned(), words);
        rows.push(row("durability".to_owned(), &durability));
        for area in in_order(reports, |report| report.cases.iter().map(|case| &case.area)) {
            rows.push(row(format!("cases: {}", words(area)), &|report| cases(report, Some(area))));
        }
        rows.push(row(ALL_CASES.to_owned(), &|report| cases(report, None)));
        Ok(Self { backends: reports.iter().map(|report| report.backend.clone()).collect(), rows })
    }

    /// A table as it was written.
    fn read(text: &str) -> Self {
        let mut lines = text.lines().filter_map(|line| {
            let cells = line.trim().strip_prefix('|')?.strip_suffix('|')?.split('|');
            let mut cells = cells.map(|cell| cell.trim().to_owned());
            Some((cells.next()?, cells.collect::<Vec<_>>()))
        });
        let backends = lines.next().map(|(_, backends)| backends).unwrap_or_default();
        let rows = lines.filter(|(head, _)| head.chars().any(char::is_alphabetic)).collect();
        Self { backends, rows }
    }

    fn cell(&self, backend: &str, head: &str) -> Option<&str> {
        let column = self.backends.iter().position(|name| name == backend)?;
        let (_, cells) = self.rows.iter().find(|(name, _)| name == head)?;
        cells.get(column).map(String::as_str)
    }

    /// The columns of this table, and those of the other one that this one has not, in the order of the backends.
    ///
    /// # Errors
    ///
    /// When one of those is of a kit with other cases, and so says nothing of this one.
    fn with_the_others_of(&self, other: &Self) -> anyhow::Result<Self> {
        let all = |table: &Self, backend| table.cell(backend, ALL_CASES).map(sum);
        let count = self.backends.first().and_then(|backend| all(self, backend));
        let (mut backends, mut columns) = (Vec::new(), Vec::new());
        for name in BACKENDS.iter().map(|backend| backend.name) {
            let table = match (self.backends.iter().any(|own| own == name), all(other, name)) {
                (true, _) => self,
                (false, None) => continue,
                (false, before) if before == count || count.is_none() => other,
                (false, Some(before)) => bail!(
                    "{README} has {before} cases for {name}, and the kit has {}: `cargo xtask matrix --backend {name}` makes \
                     the column anew",
                    count.unwrap_or_default()
                ),
            };
            backends.push(name.to_owned());
            columns.push(table);
        }
        let heads = if self.backends.is_empty() { &other.rows } else { &self.rows };
        let cell =
            |at: usize, head: &str| columns[at].cell(&backends[at], head).unwrap_or(NOTHING).to_owned();
        let row = |(head, _): &Row| (head.clone(), (0..backends.len()).map(|at| cell(at, head)).collect());
        Ok(Self { rows: heads.iter().map(row).collect(), backends })
    }
}

/// As Markdown.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "|  | {} |", self.backends.join(" | "))?;
        writeln!(f, "|---|{}", "---|".repeat(self.backends.len()))?;
        for (head, cells) in &self.rows {
            writeln!(f, "| {head} | {} |", cells.join(" | "))?;
        }
        Ok(())
    }
}

/// How many cases a cell speaks of, whatever came of them.
fn sum(cell: &str) -> usize {
    cell.split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|number| number.parse::<usize>().ok())
        .sum()
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
        (0, 0) => NOTHING.to_owned(),
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
        let table = Table::of(&reports).unwrap();
        assert_eq!(table.to_string(), expected);
        assert_eq!(Table::read(expected), table);
    }

    #[test]
    fn columns_of_backends_that_were_not_run_stay() {
        let before = Table::of(&[
            report("memory", &["Log"], "not-applicable"),
            report("sqlite", &["Log", "Old"], "passed"),
            report("s3", &["Log"], "passed"),
        ]);
        let now =
            Table::of(&[report("sqlite", &["Log", "New"], "passed"), report("redis", &["Log"], "passed")]);
        let expected = "\
|  | memory | sqlite | redis | s3 |
|---|---|---|---|---|
| log | yes | yes | yes | yes |
| new | – | yes | – | – |
| durability | fsync | fsync | fsync | fsync |
| cases: open | 1 | 1 | 1 | 1 |
| cases: inbox | 1 n/a | 1 | 1 | 1 |
| **cases** | 1, 1 n/a | 2 | 2 | 2 |
";
        let (before, mut now) = (before.unwrap(), now.unwrap());
        assert_eq!(now.with_the_others_of(&before).unwrap().to_string(), expected);
        assert_eq!(Table::default().with_the_others_of(&before).unwrap(), before, "nothing was run");
        // A kit with a case more.
        for cells in now.rows.iter_mut().filter(|(head, _)| head == ALL_CASES).map(|(_, cells)| cells) {
            cells.fill("3".to_owned());
        }
        let error = now.with_the_others_of(&before).unwrap_err().to_string();
        assert!(
            error.contains("memory, and the kit has 3: `cargo xtask matrix --backend memory`"),
            "{error}"
        );
    }

    #[test]
    fn no_table_is_made_from_a_failure() {
        let error = Table::of(&[report("sqlite", &[], "failed")]).unwrap_err().to_string();
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
