//! The JSON report of the conformance kit, as far as the automation reads it: the one place that knows its shape.

use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

/// What the kit found out about one backend.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    pub(crate) backend: String,
    /// The capabilities that it declares, by name.
    pub(crate) capabilities: Vec<String>,
    /// What a crash can take of it; absent when it could not be asked.
    pub(crate) durability: Option<String>,
    pub(crate) cases: Vec<Case>,
}

/// One case of the table.
#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) area: String,
    pub(crate) outcome: Outcome,
}

/// What came of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    Passed,
    Failed,
    NotApplicable,
}

impl Report {
    /// Reads a report that the kit wrote.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the conformance kit wrote no report to {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("cannot read the report {}", path.display()))
    }

    /// How many cases of an area (of all, for `None`) ended so.
    pub(crate) fn count(&self, area: Option<&str>, outcome: Outcome) -> usize {
        let of_area = |case: &&Case| area.is_none_or(|area| case.area == area);
        self.cases.iter().filter(of_area).filter(|case| case.outcome == outcome).count()
    }

    /// The ids of the cases that failed.
    pub(crate) fn failed(&self) -> impl Iterator<Item = &str> {
        self.cases.iter().filter(|case| case.outcome == Outcome::Failed).map(|case| case.id.as_str())
    }
}
