//! What came of it: for programs as JSON, for people as Markdown.

use std::{
    collections::{HashMap, HashSet},
    fmt::{self, Write},
};

use milepost_core::{CapabilitySet, Durability};
use serde::{Deserialize, Serialize};

use crate::{
    Harness, Hook,
    run::Offered,
    trial::{Mode, Trial, trials},
};

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
    /// Its stable name; behind `reopened/` where a re-open stood between any two operations.
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
    pub(crate) fn of(trial: &Trial, outcome: Outcome, reason: Option<String>, millis: u64) -> Self {
        Self {
            id: trial.id(),
            area: trial.case.area().to_owned(),
            needs: trial.case.needs().iter().map(ToString::to_string).collect(),
            outcome,
            reason,
            millis,
        }
    }
}

/// Something that nobody knows of a backend, because its harness does not let the kit try it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Unproven {
    /// What is missing: a hook's name, or `closing`.
    pub hook: String,
    /// How it is supplied.
    pub supplied_by: String,
    /// What it would have proven.
    pub proves: String,
    /// How many of the cases that were asked for it takes part in.
    pub cases: usize,
}

impl Unproven {
    fn of(hook: Hook, cases: usize) -> Self {
        let (supplied_by, proves) = (hook.supplied_by().to_owned(), hook.proves().to_owned());
        Self { hook: hook.to_string(), supplied_by, proves, cases }
    }

    /// Handles that are all clones of one: a re-open cannot close them.
    fn closing(cases: usize) -> Self {
        Self {
            hook: "closing".to_owned(),
            supplied_by: "a connect whose handles close by themselves".to_owned(),
            proves: "that nothing is lost when a handle is closed between two operations".to_owned(),
            cases,
        }
    }
}

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hook, supplied_by, proves, cases } = self;
        write!(f, "{hook} ({supplied_by}): {proves}; {cases} cases")
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
    /// Every case that was asked for, in the order of the table, first as it is, then re-opened.
    pub cases: Vec<CaseReport>,
    /// What nobody knows, because the harness does not supply a hook.
    #[serde(default)]
    pub unproven: Vec<Unproven>,
}

impl Report {
    pub(crate) fn new(harness: &Harness, offered: Option<&Offered>, mut reports: Vec<CaseReport>) -> Self {
        let places: HashMap<_, _> = trials().zip(0..).map(|(trial, place)| (trial.id(), place)).collect();
        reports.sort_by_key(|report| places.get(&report.id).copied().unwrap_or(usize::MAX));
        Self {
            backend: harness.name().to_owned(),
            capabilities: offered.map_or(CapabilitySet::NONE, |offered| offered.capabilities.set),
            durability: offered.map(|offered| offered.capabilities.durability),
            unproven: offered.map_or(Vec::new(), |offered| unproven(harness, offered, &reports)),
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
        if !self.unproven.is_empty() {
            text.push_str("\n## Unproven\n\nWhat nobody knows of this backend, because its harness does not supply a hook:\n\n");
            for unproven in &self.unproven {
                let _ = writeln!(text, "- {unproven}");
            }
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

/// What the hooks that are missing would have proven, by how many of the cases in `reports`.
fn unproven(harness: &Harness, offered: &Offered, reports: &[CaseReport]) -> Vec<Unproven> {
    let asked: HashSet<&str> = reports.iter().map(|report| report.id.as_str()).collect();
    let asked: Vec<Trial> = trials().filter(|trial| asked.contains(trial.id().as_str())).collect();
    let plain = || asked.iter().filter(|trial| trial.mode == Mode::Plain);
    let takes_part = |hook: Hook| {
        plain().filter(|trial| trial.case.missing(harness, &offered.capabilities).contains(&hook)).count()
    };
    let hooks = Hook::ALL.into_iter().map(|hook| (hook, takes_part(hook)));
    let mut unproven: Vec<_> =
        hooks.filter(|(_, cases)| *cases > 0).map(|(hook, cases)| Unproven::of(hook, cases)).collect();
    let reopened = asked.len() - plain().count();
    if !offered.closes_alone && reopened > 0 {
        unproven.push(Unproven::closing(reopened));
    }
    unproven
}
