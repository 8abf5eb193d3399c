//! `cargo xtask bench`: runs the benchmark of the budgets and shows which are missed.
//!
//! The measuring is `crates/milepost/benches/budget.rs` (`harness = false`), called with `--json FILE` and maybe
//! `--quick`. It writes a JSON list of rows: `backend`, `row`, `value` and `unit`; beside them, where there are any,
//! `floor` (the raw driver's figure in the same run), `ratio` (value to floor) and `budget` (`">= 0.7"` or `"<= 1.4"`,
//! for the ratio, or for the value of a row without one). A missed budget is an open defect, not a failed build.

use std::fmt;
use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::command::Program;
use crate::console::Console;
use crate::workspace::Workspace;

const PACKAGE: &str = "milepost";
const BENCH: &str = "budget";

/// One measured figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Row {
    backend: String,
    row: String,
    value: f64,
    unit: String,
    floor: Option<f64>,
    ratio: Option<f64>,
    #[serde(default, skip_serializing)]
    budget: Option<Budget>,
}

/// What a figure has to keep to.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "String")]
enum Budget {
    AtLeast(f64),
    AtMost(f64),
}

impl TryFrom<String> for Budget {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bound = |number: &str| number.trim().parse().map_err(|_| format!("`{text}` is no budget"));
        if let Some(number) = text.strip_prefix(">=") {
            bound(number).map(Self::AtLeast)
        } else if let Some(number) = text.strip_prefix("<=") {
            bound(number).map(Self::AtMost)
        } else {
            Err(format!("`{text}` is no budget: it begins with >= or <="))
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, ">= {bound}"),
            Self::AtMost(bound) => write!(f, "<= {bound}"),
        }
    }
}

impl Row {
    /// Whether the budget is missed; a figure that is not a number misses every budget.
    fn is_missed(&self) -> bool {
        let measured = self.ratio.unwrap_or(self.value);
        match self.budget {
            None => false,
            Some(Budget::AtLeast(bound)) => measured.is_nan() || measured < bound,
            Some(Budget::AtMost(bound)) => measured.is_nan() || measured > bound,
        }
    }

    fn cells(&self) -> [String; 7] {
        let optional = |number: Option<f64>| number.map(figure).unwrap_or_default();
        [
            self.backend.clone(),
            self.row.clone(),
            format!("{} {}", figure(self.value), self.unit),
            optional(self.floor),
            self.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
            self.budget.map(|budget| budget.to_string()).unwrap_or_default(),
            if self.is_missed() { "MISSED" } else { "" }.to_owned(),
        ]
    }
}

/// Runs the benchmark, shows its rows and writes them.
pub(crate) fn run(
    console: &Console,
    json: Option<&Path>,
    quick: bool,
    only: &[String],
) -> anyhow::Result<bool> {
    let workspace = Workspace::load()?;
    if !workspace.package(PACKAGE).is_some_and(|package| package.has_target("bench", BENCH)) {
        bail!("the package {PACKAGE} has no benchmark `{BENCH}`");
    }
    let file = workspace.fresh_folder("bench")?.join("rows.json");
    let program = Program::cargo(
        &workspace.root,
        ["bench", "--package", PACKAGE, "--features", "memory,postgres,redis,s3", "--bench", BENCH, "--"],
    )
    .arg("--json")
    .arg(&file)
    .args(quick.then_some("--quick"))
    .args(only.iter().flat_map(|name| ["--only", name]))
    // Where servers have their files in memory, a sync costs nothing, and every ratio says something else.
    .env("TMPDIR", std::env::temp_dir());
    if !program.run_visibly()? {
        bail!("the benchmark did not end well");
    }
    let text = std::fs::read_to_string(&file).context("the benchmark wrote no rows")?;
    let rows: Vec<Row> = serde_json::from_str(&text).context("cannot read the rows of the benchmark")?;
    if rows.is_empty() {
        bail!("the benchmark measured nothing");
    }
    console.line(&render(&rows));
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&rows)? + "\n";
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(true)
}

/// The rows as columns, and a last line that counts the budgets.
fn render(rows: &[Row]) -> String {
    let head = ["backend", "row", "value", "raw", "ratio", "budget", ""].map(str::to_owned);
    let lines: Vec<_> = std::iter::once(head).chain(rows.iter().map(Row::cells)).collect();
    let width = |column: usize| lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(width);
    let mut text = String::new();
    for cells in &lines {
        let mut line = String::new();
        for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
            // Names to the left, figures to the right.
            match column {
                0 | 1 | 6 => line.push_str(&format!("{cell:<width$}  ")),
                _ => line.push_str(&format!("{cell:>width$}  ")),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let missed = rows.iter().filter(|row| row.is_missed()).count();
    let budgets = rows.iter().filter(|row| row.budget.is_some()).count();
    text + &format!("{missed} of {budgets} budgets missed")
}

/// Three digits that count, and no more decimals than they need.
fn figure(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 || size == 0.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.1}"),
        size if size >= 1.0 => format!("{number:.2}"),
        _ => format!("{number:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ratio: Option<f64>, value: f64, budget: &str) -> Row {
        let budget = Some(Budget::try_from(budget.to_owned()).unwrap());
        let (backend, row, unit) = ("sqlite".to_owned(), "one run".to_owned(), "commits/s".to_owned());
        Row { backend, row, value, unit, floor: Some(7_000.0), ratio, budget }
    }

    #[test]
    fn a_budget_is_for_the_ratio_or_for_the_value_of_a_row_without_one() {
        assert!(!row(Some(0.7), 1.0, ">= 0.7").is_missed());
        assert!(row(Some(0.69), 1e9, ">= 0.7").is_missed());
        assert!(row(None, 3.2, "<= 3").is_missed());
        assert!(row(Some(f64::NAN), 1.0, "<= 3").is_missed());
    }

    #[test]
    fn a_budget_says_its_direction() {
        assert!(Budget::try_from("0.7".to_owned()).is_err());
        assert!(Budget::try_from(">= fast".to_owned()).is_err());
    }

    #[test]
    fn written_rows_have_the_six_agreed_keys() {
        let written = serde_json::to_value(row(None, 4_900.0, ">= 1")).unwrap();
        let keys: Vec<_> = written.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys.len(), 6);
        assert!(["backend", "row", "value", "unit", "floor", "ratio"].iter().all(|key| keys.contains(key)));
    }

    #[test]
    fn the_table_flags_what_is_missed() {
        let text = render(&[row(Some(0.5), 3_500.0, ">= 0.7"), row(Some(5.5), 38_500.0, ">= 5")]);
        assert_eq!(
            text,
            "backend  row                value   raw  ratio  budget\n\
             sqlite   one run   3500 commits/s  7000   0.50  >= 0.7  MISSED\n\
             sqlite   one run  38500 commits/s  7000   5.50    >= 5\n\
             1 of 2 budgets missed"
        );
    }
}
