//! What came of it: for programs as JSON, for people as Markdown.

use std::fmt::Write;

use milepost_core::{Capabilities, CapabilitySet, Durability};
use serde::{Deserialize, Serialize};

use crate::{Case, cases};

/// How a case ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The store does what the sentence says.
    Passed,
    /// It does not.
    Failed,
    /// The store does not offer what the case is about.
    NotApplicable,
}

impl Outcome {
    /// Its name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::NotApplicable => "not applicable",
        }
    }
}

/// What came of one case.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CaseReport {
    /// Its stable name.
    pub id: String,
    /// The part of the contract that it belongs to.
    pub area: String,
    /// What must be so for it to apply.
    pub needs: Vec<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it failed or does not apply.
    pub reason: Option<String>,
    /// How long it took.
    pub millis: u64,
}

impl CaseReport {
    pub(crate) fn of(case: &Case, outcome: Outcome, reason: Option<String>, millis: u64) -> Self {
        Self {
            id: case.id().to_owned(),
            area: case.area().to_owned(),
            needs: case.needs().iter().map(ToString::to_string).collect(),
            outcome,
            reason,
            millis,
        }
    }
}

/// What came of a backend.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Its name.
    pub backend: String,
    /// What it declares.
    pub capabilities: CapabilitySet,
    /// What a crash can take of it; `None` when it could not be asked.
    pub durability: Option<Durability>,
    /// Every case that was asked for, in the order of the table.
    pub cases: Vec<CaseReport>,
}

impl Report {
    pub(crate) fn new(backend: &str, offered: Option<&Capabilities>, mut reports: Vec<CaseReport>) -> Self {
        reports.sort_by_key(|report| cases().position(|case| case.id() == report.id));
        Self {
            backend: backend.to_owned(),
            capabilities: offered.map_or(CapabilitySet::NONE, |offered| offered.set),
            durability: offered.map(|offered| offered.durability),
            cases: reports,
        }
    }

    /// How many cases ended so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.cases.iter().filter(|case| case.outcome == outcome).count()
    }

    /// Whether something was tried, and nothing failed.
    pub fn is_passed(&self) -> bool {
        self.count(Outcome::Passed) > 0 && self.count(Outcome::Failed) == 0
    }

    /// The report as JSON, which [`serde_json`] reads back.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report holds nothing that JSON cannot")
    }

    /// The report as a table of its cases, the failures told below it.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("# {}\n\n", self.backend);
        let offered: Vec<_> = self.capabilities.iter().map(|capability| capability.as_str()).collect();
        let durability = self.durability.map_or("unknown".to_owned(), |durability| durability.to_string());
        let _ = writeln!(text, "Offers {}; durability {durability}.\n", offered.join(", "));
        text.push_str("| case | outcome | ms | why |\n|---|---|---:|---|\n");
        for case in &self.cases {
            let why = match (case.outcome, &case.reason) {
                (Outcome::NotApplicable, Some(reason)) => reason,
                (Outcome::Failed, _) => "see below",
                _ => "",
            };
            let _ = writeln!(text, "| {} | {} | {} | {why} |", case.id, case.outcome.as_str(), case.millis);
        }
        for case in self.cases.iter().filter(|case| case.outcome == Outcome::Failed) {
            let _ =
                write!(text, "\n## {}\n\n```text\n{}\n```\n", case.id, case.reason.as_deref().unwrap_or(""));
        }
        let _ = writeln!(
            text,
            "\n{} passed, {} failed, {} not applicable",
            self.count(Outcome::Passed),
            self.count(Outcome::Failed),
            self.count(Outcome::NotApplicable)
        );
        text
    }
}
