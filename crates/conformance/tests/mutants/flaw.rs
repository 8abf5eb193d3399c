//! What is broken, one row a mutant: its name, a sentence, and the case that must catch it.

mod blobs;
mod commit;
mod deletion;
mod duels;
mod fencing;
mod inbox;
mod leases;
mod limits;
mod listing;
mod names;
mod open;
mod races;
mod refused;
mod replay;
mod snapshots;
mod streams;

pub(crate) use self::{
    blobs::*, commit::*, deletion::*, duels::*, fencing::*, inbox::*, leases::*, limits::*, listing::*,
    names::*, open::*, races::*, refused::*, replay::*, snapshots::*, streams::*,
};
use milepost_core::{Capabilities, Capability, Durability, Limits};

/// The name of what is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Flaw(&'static str);

/// A mutant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) flaw: Flaw,
    /// What is broken, in a sentence.
    pub(crate) what: &'static str,
    /// The case that must catch it.
    pub(crate) case: &'static str,
}

impl Row {
    pub(crate) fn name(&self) -> &'static str {
        self.flaw.0
    }
}

/// The tables, in the order of the contract.
const TABLES: &[&[Row]] = &[
    OPEN, FENCING, COMMIT, REPLAY, REFUSED, LEASES, INBOX, STREAMS, SNAPSHOTS, BLOBS, LISTING, DELETION,
    NAMES, LIMITS, RACES, DUELS,
];

/// Every mutant of the store.
pub(crate) fn rows() -> impl Iterator<Item = Row> {
    TABLES.iter().copied().flatten().copied()
}

/// Those that only two writes of one instant tell from a good store.
pub(crate) fn duels() -> impl Iterator<Item = Row> {
    DUELS.iter().copied()
}

/// Those whose racers have to meet.
pub(crate) fn races() -> impl Iterator<Item = Row> {
    RACES.iter().copied()
}

/// The rows of a file. A name reads like a variant, so that rules can match on it.
macro_rules! flaws {
    ($Rows:ident: $($(#[doc = $what:literal])+ $Name:ident => $case:literal,)+) => {
        $(
            $(#[doc = $what])+
            pub(crate) const $Name: $crate::flaw::Flaw = $crate::flaw::Flaw(stringify!($Name));
        )+
        pub(crate) const $Rows: &[$crate::flaw::Row] = &[$(
            $crate::flaw::Row { flaw: $Name, what: concat!($($what),+).trim_ascii_start(), case: $case },
        )+];
    };
}
pub(crate) use flaws;

impl Flaw {
    /// What a store with this flaw declares.
    pub(crate) fn offered(self) -> Capabilities {
        let all = Capabilities::all(Durability::Process);
        let small =
            Limits { record: 4 << 10, commit: 40 << 10, snapshot: 8 << 10, blob: 8 << 10, ..Limits::DEFAULT };
        match self {
            UndeclaredLogWorks => all.without(Capability::Log),
            UndeclaredTailStreamWorks => all.without(Capability::TailStream),
            UndeclaredSnapshotsWork => all.without(Capability::Snapshots),
            UndeclaredHistoryWorks | OlderSnapshotsWin | ThreeSnapshotsAreKept | DroppedSnapshotsCount => {
                all.without(Capability::History)
            }
            UndeclaredRecordIdsWork => all.without(Capability::RecordIds),
            UndeclaredInboxWorks | UnsupportedTellsAnotherCapability => all.without(Capability::Inbox),
            UndeclaredBlobsWork
            | UndeclaredPartsAreIgnored
            | UnsupportedIsInvalid
            | ChecksComeAfterTheRun => all.without(Capability::Blobs),
            UndeclaredListWorks => all.without(Capability::List),
            UndeclaredFollowWorks => all.without(Capability::Follow),
            RecordsMayBeOneByteOver
            | RecordsMustBeOneByteUnder
            | SnapshotsMayBeOneByteOver
            | SnapshotsMustBeOneByteUnder
            | BlobsMayBeOneByteOver
            | BlobsMustBeOneByteUnder
            | CommitsHaveNoLimit
            | CommitsMustBeOneByteUnder
            | RefusedRecordsAreLeftOut
            | OutcomesHaveNoLimit
            | FailuresHaveNoLimit
            | OnlyRecordsCountForACommit
            | MessagesHaveNoLimit => all.limits(small),
            RunIdsMayBeOneByteOver | RunIdsMustBeOneByteUnder => {
                all.limits(Limits { run_id: 100, ..Limits::DEFAULT })
            }
            ThreeHundredKeysAreKnown => all.limits(Limits { message_keys: 65_536, ..Limits::DEFAULT }),
            ShortestLeaseIsIgnored => {
                all.limits(Limits { min_ttl: std::time::Duration::from_secs(3), ..Limits::DEFAULT })
            }
            _ => all,
        }
    }
}
