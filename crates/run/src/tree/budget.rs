//! What a run may use up, and what it has.

use std::collections::BTreeMap;

use milepost_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::place::Place;

/// How a run stands with its budget, in units that are the program's own: tokens, cents, requests.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Budget {
    /// What it was granted: by [`Start::budget`](crate::Start::budget) or, a slice of its parent's, by
    /// [`Child::budget`](crate::Child::budget). `None`: there is no bound.
    pub granted: Option<u64>,
    /// What it is known to have used, its settled children included.
    pub spent: u64,
    /// What children that have not settled were granted.
    pub reserved: u64,
    /// What was used without anybody knowing how much. Unknown is not zero: a parent is charged the whole slice of a child
    /// with gaps.
    pub gaps: Vec<String>,
}

impl Budget {
    /// What may still be used or granted; `None` where there is no bound. 0 once it is overdrawn.
    pub fn left(&self) -> Option<u64> {
        self.granted.map(|granted| granted.saturating_sub(self.spent).saturating_sub(self.reserved))
    }
}

/// The books of a run, made from its log.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    granted: Option<u64>,
    spent: u64,
    gaps: Vec<String>,
    reserved: BTreeMap<Place, u64>,
    /// The slices that were closed: how large each was, and what was charged for it.
    closed: BTreeMap<Place, (u64, u64)>,
}

impl Ledger {
    /// What may be used up.
    pub(crate) fn grant(&mut self, granted: Option<u64>) {
        self.granted = granted;
    }

    pub(crate) fn read(&self) -> Budget {
        let (granted, spent, gaps) = (self.granted, self.spent, self.gaps.clone());
        Budget { granted, spent, gaps, reserved: self.reserved.values().sum() }
    }

    /// Something was used; how much may be unknown.
    pub(crate) fn spend(&mut self, what: &str, units: Option<u64>) {
        match units {
            Some(units) => self.spent = self.spent.saturating_add(units),
            None => self.gaps.push(what.into()),
        }
    }

    /// Sets a slice aside for the child that begins at `at`. Without room for it, what is left.
    pub(crate) fn reserve(&mut self, at: &Place, units: u64) -> std::result::Result<(), u64> {
        match self.read().left() {
            Some(left) if left < units => Err(left),
            _ => {
                self.restore(at, units);
                Ok(())
            }
        }
    }

    /// A slice that was set aside before.
    pub(crate) fn restore(&mut self, at: &Place, units: u64) {
        self.reserved.insert(at.clone(), units);
    }

    /// Closes a slice: what was used is spent, the rest comes back. What nobody knows is charged in full. Gives what came
    /// back.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`]: it was closed before, or never set aside.
    pub(crate) fn reconcile(&mut self, at: &Place, used: Option<u64>) -> Result<u64> {
        let Some(slice) = self.reserved.remove(at) else {
            let what = if self.closed.contains_key(at) { "closed twice" } else { "never set aside" };
            return Err(Error::new(ErrorKind::Corrupt, format!("the slice of the child at {at} was {what}")));
        };
        let used = used.unwrap_or(slice);
        self.closed.insert(at.clone(), (slice, used));
        self.spent = self.spent.saturating_add(used);
        Ok(slice.saturating_sub(used))
    }

    /// A closed slice is used again, and will be closed with all that was used of it.
    pub(crate) fn reopen(&mut self, at: &Place) {
        if let Some((slice, used)) = self.closed.remove(at) {
            self.spent = self.spent.saturating_sub(used);
            self.restore(at, slice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(granted: u64) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.grant(Some(granted));
        ledger
    }

    fn at(position: u32) -> Place {
        Place::new("".into(), position)
    }

    #[test]
    fn a_slice_is_set_aside_and_what_was_not_used_comes_back() {
        let mut ledger = ledger(100);
        ledger.reserve(&at(0), 60).unwrap();
        assert_eq!(ledger.reserve(&at(1), 41), Err(40));
        ledger.reserve(&at(1), 40).unwrap();
        assert_eq!(ledger.read().left(), Some(0));
        assert_eq!(ledger.reconcile(&at(0), Some(25)).unwrap(), 35);
        assert_eq!((ledger.read().spent, ledger.read().left()), (25, Some(35)));
    }

    #[test]
    fn what_nobody_knows_is_charged_in_full() {
        let mut ledger = ledger(100);
        ledger.reserve(&at(0), 60).unwrap();
        assert_eq!(ledger.reconcile(&at(0), None).unwrap(), 0);
        assert_eq!(ledger.read().left(), Some(40));
        ledger.spend("model", None);
        assert_eq!(ledger.read().gaps, ["model"]);
    }

    #[test]
    fn a_slice_is_closed_once() {
        let mut ledger = ledger(100);
        ledger.reserve(&at(0), 60).unwrap();
        ledger.reconcile(&at(0), Some(1)).unwrap();
        let twice = ledger.reconcile(&at(0), Some(1)).unwrap_err();
        assert!(twice.to_string().contains("closed twice"), "{twice}");
        let never = ledger.reconcile(&at(7), None).unwrap_err();
        assert!(never.to_string().contains("never set aside"), "{never}");
        assert_eq!(ledger.read().spent, 1, "and nothing is charged twice");
    }

    #[test]
    fn a_slice_that_is_used_again_is_charged_once() {
        let mut ledger = ledger(100);
        ledger.reserve(&at(0), 60).unwrap();
        ledger.reconcile(&at(0), Some(20)).unwrap();
        ledger.reopen(&at(0));
        assert_eq!((ledger.read().spent, ledger.read().reserved), (0, 60));
        ledger.reconcile(&at(0), Some(35)).unwrap();
        assert_eq!(ledger.read().spent, 35);
    }

    #[test]
    fn who_overdraws_has_nothing_left() {
        let mut ledger = ledger(10);
        ledger.spend("model", Some(25));
        assert_eq!(ledger.read().left(), Some(0));
        assert_eq!(ledger.reserve(&at(0), 1), Err(0));
        assert_eq!(Ledger::default().read().left(), None);
    }
}
