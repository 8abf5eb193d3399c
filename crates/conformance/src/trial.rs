//! A case tried in one of the two ways: as it is, and with a re-open between any two operations.

use milepost_core::Capabilities;

use crate::{Case, Harness, cases};

/// What stands before the name of a case that is tried with a re-open between any two operations.
pub(crate) const REOPENED: &str = "reopened/";

/// How a case is tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// As it is.
    Plain,
    /// Each of its handles is another one for each operation.
    Reopened,
}

/// A case, tried in one way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trial {
    /// What is tried.
    pub(crate) case: &'static Case,
    /// How.
    pub(crate) mode: Mode,
}

/// Every case in every way; there is one list of cases, and this reads it twice.
pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    [Mode::Plain, Mode::Reopened].into_iter().flat_map(|mode| cases().map(move |case| Trial { case, mode }))
}

impl Trial {
    /// Its name: the case's, behind what tells the way.
    pub(crate) fn id(&self) -> String {
        match self.mode {
            Mode::Plain => self.case.id().to_owned(),
            Mode::Reopened => format!("{REOPENED}{}", self.case.id()),
        }
    }

    /// Why it does not apply to a store that offers this; `None` if it does.
    pub(crate) fn not_applicable(&self, harness: &Harness, offered: &Capabilities) -> Option<String> {
        self.case.not_applicable(harness, offered).or_else(|| {
            let reason = self.once()?;
            Some(format!("is not tried re-opened: {reason}"))
        })
    }

    /// The same in few words, for a list.
    pub(crate) fn unmet(&self, harness: &Harness, offered: &Capabilities) -> Option<String> {
        let need = self.case.unmet(harness, offered).map(|need| format!("not applicable, needs: {need}"));
        need.or_else(|| self.once().map(|reason| format!("not applicable re-opened: {reason}")))
    }

    fn once(&self) -> Option<&'static str> {
        self.case.not_reopened().filter(|_| self.mode == Mode::Reopened)
    }
}
