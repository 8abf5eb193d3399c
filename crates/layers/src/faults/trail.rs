//! What a fault layer did, for printing when a test has failed.

use std::{collections::VecDeque, fmt, time::Duration};

use milepost_core::{ErrorKind, Operation, RunId};

use crate::{Fate, FaultPlan};

/// So many of the newest deeds are kept.
const KEPT: usize = 10_000;

/// Every write in order and every read that was made to fail, as [`Faults::trail`](crate::Faults::trail) gives it: the
/// newest 10,000. Printed, it says a line each, under the plan that brings the same about again.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Trail {
    plan: FaultPlan,
    deeds: VecDeque<Deed>,
    /// How many older ones are no longer kept.
    forgotten: u64,
}

/// What was done with one call.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Deed {
    /// Its number among the writes, or among the reads, since the plan began.
    pub number: u64,
    /// What was called.
    pub operation: Operation,
    /// For which run.
    pub run: Option<RunId>,
    /// What became of it; a read that was made to fail is [`Fate::Refused`].
    pub fate: Fate,
    /// Whether the layer died with it.
    pub died: bool,
    /// Whether it was held until a thaw.
    pub stalled: bool,
    /// How long it waited.
    pub delay: Duration,
    /// What the store said, whether or not its author was told; `None` when it said nothing: it was not asked, or the
    /// caller was gone before.
    pub answer: Option<Result<(), ErrorKind>>,
}

impl Trail {
    pub(crate) fn new(plan: FaultPlan) -> Self {
        Self { plan, ..Self::default() }
    }

    /// The deeds, oldest first.
    pub fn deeds(&self) -> impl ExactSizeIterator<Item = &Deed> {
        self.deeds.iter()
    }

    /// Adds a deed and gives it a name for [`Trail::answered`].
    pub(crate) fn add(&mut self, deed: Deed) -> u64 {
        if self.deeds.len() == KEPT {
            self.deeds.pop_front();
            self.forgotten += 1;
        }
        self.deeds.push_back(deed);
        self.forgotten + self.deeds.len() as u64 - 1
    }

    pub(crate) fn answered(&mut self, name: u64, answer: Result<(), ErrorKind>) {
        let position = name.checked_sub(self.forgotten).and_then(|position| usize::try_from(position).ok());
        if let Some(deed) = position.and_then(|position| self.deeds.get_mut(position)) {
            deed.answer = Some(answer);
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>5} {}", self.number, self.operation)?;
        if let Some(run) = &self.run {
            write!(f, " of run {run:?}")?;
        }
        write!(f, ": {}", self.fate)?;
        match self.answer {
            Some(Ok(())) if self.fate == Fate::Done => {}
            Some(Ok(())) => write!(f, ", the store said ok")?,
            Some(Err(kind)) => write!(f, ", the store said {kind:?}")?,
            None if self.fate.happens() => write!(f, ", the store said nothing")?,
            None => {}
        }
        if !self.delay.is_zero() {
            write!(f, ", after {:?}", self.delay)?;
        }
        if self.stalled {
            write!(f, ", after a stall")?;
        }
        if self.died {
            write!(f, ", and died")?;
        }
        Ok(())
    }
}

impl fmt::Display for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.plan)?;
        if self.forgotten > 0 {
            writeln!(f, "      {} older ones are not kept", self.forgotten)?;
        }
        self.deeds.iter().try_for_each(|deed| writeln!(f, "{deed}"))
    }
}
