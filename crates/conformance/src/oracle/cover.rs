//! Which answers were seen: the table of every operation and every outcome that a store's capabilities admit.

use std::{collections::BTreeMap, fmt};

use milepost_core::{Capabilities, Capability};

use super::{draw::Focus, resolve::LONG};

/// What a pair needs to occur at all.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum When {
    /// Nothing.
    Always,
    /// All of these.
    Offers(&'static [Capability]),
    /// Not all of these.
    Lacks(&'static [Capability]),
    /// A clock to move.
    Clock,
    /// A limit on bodies that a message can exceed.
    Narrow,
}

use Capability::{Blobs, Follow, History, Inbox, List, Log, RecordIds, Snapshots, TailStream};
use When::{Always, Clock, Lacks, Narrow, Offers};

/// Every operation with every outcome, by the names that [`super::label::labels`] gives.
pub(crate) const PAIRS: &[(&str, When)] = &[
    ("open: created", Always),
    ("open: created a draft", Offers(&[Snapshots])),
    ("open: resumed a released run", Always),
    ("open: took a live lease over", Always),
    ("open: took a dead lease over", Clock),
    ("open: reopened a failed run", Always),
    ("open: repeated", Always),
    ("open: Invalid", Always),
    ("open: TooLarge", Always),
    ("open: Unsupported", Lacks(&[Snapshots])),
    ("open: AlreadyExists", Always),
    ("open: NotFound", Always),
    ("open: ManifestMismatch", Always),
    ("open: Finished", Always),
    ("open: LeaseHeld by an owner", Always),
    ("open: LeaseHeld by the owner of a draft", Offers(&[Snapshots])),
    ("open: LeaseHeld until an instant", Always),
    ("open: LeaseHeld until a message", Offers(&[Inbox])),
    ("commit: held", Always),
    ("commit: held with records", Offers(&[Log])),
    ("commit: held with record ids", Offers(&[Log, RecordIds])),
    ("commit: held with blobs", Offers(&[Blobs])),
    ("commit: held with a blob that a record names", Offers(&[Log, Blobs])),
    ("commit: held and dropped a blob", Offers(&[Blobs])),
    ("commit: held with a snapshot", Offers(&[Snapshots])),
    ("commit: held and dropped its old snapshot", Offers(&[Log, Snapshots])),
    ("commit: held and ended a draft", Offers(&[Snapshots])),
    ("commit: held and trimmed", Offers(&[Log, Snapshots])),
    ("commit: held and took a message", Offers(&[Inbox])),
    ("commit: held with a note", Always),
    ("commit: held and reset the lapses", Always),
    ("commit: held and extended the lease", Clock),
    ("commit: held and released, due at once", Always),
    ("commit: held and released until an instant", Always),
    ("commit: held and released until a message", Offers(&[Inbox])),
    ("commit: held and released, woken by a message already", Offers(&[Inbox])),
    ("commit: held and completed", Always),
    ("commit: held and failed", Always),
    ("commit: held though the lease had run out", Clock),
    ("commit: replayed", Always),
    ("commit: replayed after a takeover", Always),
    ("commit: replayed after its release", Always),
    ("commit: replayed after its outcome", Always),
    ("commit: Invalid", Always),
    ("commit: TooLarge", Always),
    ("commit: Unsupported", Lacks(&[Log, RecordIds, Snapshots, Inbox, Blobs])),
    ("commit: NotFound, no run", Always),
    ("commit: NotFound, another life", Always),
    ("commit: IdReused", Always),
    ("commit: Fenced by a newer one", Always),
    ("commit: Fenced, released", Always),
    ("commit: Fenced, another token", Always),
    ("commit: Finished", Always),
    ("commit: Conflict, Version", Always),
    ("commit: Conflict, NotWaiting", Offers(&[Inbox])),
    ("commit: Conflict, MissingBlob", Offers(&[Log, Blobs])),
    ("commit: Conflict, SnapshotCursor", Offers(&[Snapshots])),
    ("commit: Conflict, Trim", Offers(&[Snapshots])),
    ("commit: Duplicate of the run's", Offers(&[Log, RecordIds])),
    ("commit: Duplicate within", Offers(&[Log, RecordIds])),
    ("commit_many: all held", Always),
    ("commit_many: one held, one did not", Always),
    ("commit_many: a run twice", Always),
    ("renew: Ok", Always),
    ("renew: extended", Clock),
    ("renew: never shortens", Clock),
    ("renew: Invalid", Always),
    ("renew: TooLarge", Always),
    ("renew: NotFound, no run", Always),
    ("renew: NotFound, another life", Always),
    ("renew: Fenced by a newer one", Always),
    ("renew: Fenced, released", Always),
    ("renew: Fenced, another token", Always),
    ("renew: Finished", Always),
    ("send: Accepted", Offers(&[Inbox])),
    ("send: Accepted, and woke the run", Offers(&[Inbox])),
    ("send: Accepted, and did not wake the run", Offers(&[Inbox])),
    ("send: Repeated", Offers(&[Inbox])),
    ("send: Repeated after the outcome", Offers(&[Inbox])),
    ("send: Conflicting", Offers(&[Inbox])),
    ("send: TooLarge", Narrow),
    ("send: NotFound, no run", Offers(&[Inbox])),
    ("send: NotFound, another life", Offers(&[Inbox])),
    ("send: Finished", Offers(&[Inbox])),
    ("send: Unsupported", Lacks(&[Inbox])),
    ("delete: a finished run", Always),
    ("delete: a driven run", Always),
    ("delete: a released run", Always),
    ("delete: no run", Always),
    ("delete: NotFound, another life", Always),
    ("delete: Conflict, NotFinished", Always),
    ("delete: Conflict, Driven", Always),
    ("head: none", Always),
    ("head: running", Always),
    ("head: waiting", Always),
    ("head: interrupted", Always),
    ("head: completed", Always),
    ("head: failed", Always),
    ("snapshot: the newest", Offers(&[Snapshots])),
    ("snapshot: at or before", Offers(&[Snapshots, History])),
    ("snapshot: none", Offers(&[Snapshots])),
    ("snapshot: NotFound, no run", Offers(&[Snapshots])),
    ("snapshot: Unsupported", Lacks(&[Snapshots, History])),
    ("stream: records", Offers(&[Log])),
    ("stream: records, newest first", Offers(&[Log])),
    ("stream: records after the first ones", Offers(&[Log, TailStream])),
    ("stream: records after the first ones, newest first", Offers(&[Log, TailStream])),
    ("stream: records until the last ones", Offers(&[Log])),
    ("stream: records until the last ones, newest first", Offers(&[Log])),
    ("stream: records up to a limit", Offers(&[Log])),
    ("stream: records up to a limit, newest first", Offers(&[Log])),
    ("stream: followed", Offers(&[Log, Follow])),
    ("stream: followed to its end", Offers(&[Log, Follow])),
    ("stream: nothing", Offers(&[Log])),
    ("stream: Trimmed", Offers(&[Log, Snapshots])),
    ("stream: Invalid", Offers(&[Log, Follow])),
    ("stream: NotFound, no run", Offers(&[Log])),
    ("stream: NotFound, another life", Offers(&[Log])),
    ("stream: Unsupported", Lacks(&[Log, TailStream, Follow])),
    ("inbox: messages", Offers(&[Inbox])),
    ("inbox: messages, newest first", Offers(&[Inbox])),
    ("inbox: messages after the first ones", Offers(&[Inbox])),
    ("inbox: messages after the first ones, newest first", Offers(&[Inbox])),
    ("inbox: messages until the last ones", Offers(&[Inbox])),
    ("inbox: messages until the last ones, newest first", Offers(&[Inbox])),
    ("inbox: messages up to a limit", Offers(&[Inbox])),
    ("inbox: messages up to a limit, newest first", Offers(&[Inbox])),
    ("inbox: followed", Offers(&[Inbox, Follow])),
    ("inbox: followed to its end", Offers(&[Inbox, Follow])),
    ("inbox: nothing", Offers(&[Inbox])),
    ("inbox: Invalid", Offers(&[Inbox, Follow])),
    ("inbox: NotFound, no run", Offers(&[Inbox])),
    ("inbox: NotFound, another life", Offers(&[Inbox])),
    ("inbox: Unsupported", Lacks(&[Inbox, Follow])),
    ("blob: found", Offers(&[Blobs])),
    ("blob: none", Offers(&[Blobs])),
    ("blob: NotFound, no run", Offers(&[Blobs])),
    ("blob: Unsupported", Lacks(&[Blobs])),
    ("blobs: some", Offers(&[Blobs])),
    ("blobs: nothing", Offers(&[Blobs])),
    ("blobs: NotFound, no run", Offers(&[Blobs])),
    ("blobs: Unsupported", Lacks(&[Blobs])),
    ("list: every run", Offers(&[List])),
    ("list: by status", Offers(&[List])),
    ("list: by due", Offers(&[List])),
    ("list: by name", Offers(&[List])),
    ("list: by label", Offers(&[List])),
    ("list: by parent", Offers(&[List])),
    ("list: by failure", Offers(&[List])),
    ("list: by idleness", Offers(&[List])),
    ("list: expired", Offers(&[List])),
    ("list: the newest first", Offers(&[List])),
    ("list: cut at a limit", Offers(&[List])),
    ("list: nothing", Offers(&[List])),
    ("list: Unsupported", Lacks(&[List])),
];

impl When {
    fn holds(self, offered: &Capabilities, exact: bool) -> bool {
        let offers = |capability: &Capability| offered.set.contains(*capability);
        match self {
            Always => true,
            Offers(needed) => needed.iter().all(offers),
            Lacks(needed) => !needed.iter().all(offers),
            Clock => exact,
            Narrow => offers(&Inbox) && (offered.limits.record as usize) < LONG,
        }
    }
}

/// How often each pair that can occur has been seen.
#[derive(Debug)]
pub(crate) struct Coverage(BTreeMap<&'static str, u64>);

impl Coverage {
    /// Nothing is seen yet of what `focus` wants and the store admits.
    pub(crate) fn new(focus: &Focus, offered: &Capabilities, exact: bool) -> Self {
        let wanted = |label: &str| focus.wants.iter().any(|want| label.starts_with(want));
        let admitted = PAIRS.iter().filter(|(label, when)| wanted(label) && when.holds(offered, exact));
        Self(admitted.map(|(label, _)| (*label, 0)).collect())
    }

    /// Counts what was seen.
    pub(crate) fn saw(&mut self, labels: &[&'static str]) {
        for label in labels {
            if let Some(seen) = self.0.get_mut(label) {
                *seen += 1;
            }
        }
    }

    /// Whether one of `labels` has never been seen.
    pub(crate) fn is_news(&self, labels: &[&'static str]) -> bool {
        labels.iter().any(|label| self.0.get(label) == Some(&0))
    }

    /// Whether every pair has been seen.
    pub(crate) fn is_complete(&self) -> bool {
        self.missing().next().is_none()
    }

    /// What has never been seen.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().filter(|(_, seen)| **seen == 0).map(|(label, _)| *label)
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(label, seen)| write!(f, "\n  {seen:6}  {label}"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_pair_is_there_once() {
        let mut seen = HashSet::new();
        for (label, _) in PAIRS {
            assert!(seen.insert(label), "{label} is there twice");
        }
    }
}
