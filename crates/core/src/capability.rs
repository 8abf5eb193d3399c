//! What a store offers beyond the contract, as one plain value.
//!
//! Fences, leases, atomic commits and replay are no capabilities: a store without them is none. Optional is what is
//! listed here, and the law is: *declared means it works; undeclared means `Unsupported` before any effect.*

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Error, Refusal};

/// Something that a store may offer.
///
/// Held by: `capabilities/without-*`, `capabilities/every-declared-part-holds-in-one-commit`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
#[repr(u8)]
pub enum Capability {
    /// Commits with records, and `stream`.
    Log,
    /// `stream` with `after` above 0.
    TailStream,
    /// Commits with a snapshot, `snapshot`, `trim` and `origin`.
    Snapshots,
    /// `At::OrBefore`; without it only the newest two snapshots are kept.
    History,
    /// Records with a record id.
    RecordIds,
    /// `send`, `inbox`, `take`, and a wake by message.
    Inbox,
    /// Commits with blobs, `blob` and `blobs`.
    Blobs,
    /// `list`.
    List,
    /// `follow: true`.
    Follow,
    /// One trip for `commit_many`; without it the commits go one by one.
    BatchCommit,
}

impl Capability {
    /// Every capability.
    pub const ALL: [Capability; 10] = [
        Self::Log,
        Self::TailStream,
        Self::Snapshots,
        Self::History,
        Self::RecordIds,
        Self::Inbox,
        Self::Blobs,
        Self::List,
        Self::Follow,
        Self::BatchCommit,
    ];

    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Capability::Log => "Log",
            Capability::TailStream => "TailStream",
            Capability::Snapshots => "Snapshots",
            Capability::History => "History",
            Capability::RecordIds => "RecordIds",
            Capability::Inbox => "Inbox",
            Capability::Blobs => "Blobs",
            Capability::List => "List",
            Capability::Follow => "Follow",
            Capability::BatchCommit => "BatchCommit",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of capabilities.
///
/// Held by: `capabilities/predicates-agree-with-the-set`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Capability>", into = "Vec<Capability>")]
pub struct CapabilitySet(u16);

impl CapabilitySet {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// All of them.
    pub const ALL: Self = Self((1 << Capability::ALL.len()) - 1);

    /// This set and `capability`.
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | 1 << capability as u8)
    }

    /// This set without `capability`.
    pub const fn without(self, capability: Capability) -> Self {
        Self(self.0 & !(1 << capability as u8))
    }

    /// Whether `capability` is in this set.
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u8) != 0
    }

    /// Its members, in the order of [`Capability::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.into_iter().filter(move |capability| self.contains(*capability))
    }
}

impl From<Vec<Capability>> for CapabilitySet {
    fn from(capabilities: Vec<Capability>) -> Self {
        capabilities.into_iter().fold(Self::NONE, Self::with)
    }
}

impl From<CapabilitySet> for Vec<Capability> {
    fn from(set: CapabilitySet) -> Self {
        set.iter().collect()
    }
}

impl fmt::Debug for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// What a crash can take of what was acknowledged. A setting that is in force, read back from the backend, not a hope.
///
/// Held by: `crash/*`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Durability {
    /// Everything: it lives in the process.
    Process,
    /// A suffix, when the machine dies; nothing, when only the process does.
    Buffered,
    /// Nothing that the disk has confirmed.
    Fsync,
    /// Nothing, also when a machine is lost with its disk.
    Replicated,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Durability::Process => "process",
            Durability::Buffered => "buffered",
            Durability::Fsync => "fsync",
            Durability::Replicated => "replicated",
        })
    }
}

/// The sizes that a store takes, in bytes, and its windows, in entries.
///
/// Held by: `commit/a-record-at-the-limit-is-taken`, `commit/a-record-over-the-limit-is-refused-with-its-batch`,
/// `capabilities/run-ids-are-as-long-as-declared`, `capabilities/the-shortest-lease-is-as-declared`,
/// `capabilities/at-least-*`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// The body of a record or a message.
    pub record: u64,
    /// All bodies of a commit together.
    pub commit: u64,
    /// The body of a snapshot.
    pub snapshot: u64,
    /// The body of a blob.
    pub blob: u64,
    /// A run id; 255 unless the backend is narrower.
    pub run_id: u64,
    /// The shortest lease; a shorter one is raised to it.
    pub min_ttl: Duration,
    /// How many of a run's newest record ids are remembered: at least 4,096; `u64::MAX` for all.
    pub record_ids: u64,
    /// How many of a run's newest message keys are remembered: at least 65,536; `u64::MAX` for all.
    pub message_keys: u64,
}

impl Limits {
    /// What a store takes that has no reason to be narrower.
    pub const DEFAULT: Self = Self {
        record: 64 << 20,
        commit: 256 << 20,
        snapshot: 256 << 20,
        blob: 256 << 20,
        run_id: 255,
        min_ttl: Duration::from_millis(1),
        record_ids: u64::MAX,
        message_keys: u64::MAX,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What a store offers, how much it takes, and how durable an `Ok` is. Constant for a handle.
///
/// ```
/// use milepost_core::{Capabilities, Capability, Durability};
///
/// const OFFERED: Capabilities =
///     Capabilities::new(Durability::Fsync).with(Capability::Log).with(Capability::TailStream);
/// assert!(OFFERED.supports_tail_stream() && !OFFERED.supports_snapshots());
/// assert!(OFFERED.require(Capability::Snapshots).is_err());
/// ```
///
/// Held by: `capabilities/they-are-constant-over-handles-and-time`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Capabilities {
    /// What is offered.
    pub set: CapabilitySet,
    /// How much is taken.
    pub limits: Limits,
    /// What a crash can take.
    pub durability: Durability,
}

macro_rules! predicates {
    ($($name:ident => $capability:ident),* $(,)?) => {
        impl Capabilities {
            $(
                #[doc = concat!("Whether [`Capability::", stringify!($capability), "`] is offered.")]
                pub const fn $name(&self) -> bool {
                    self.set.contains(Capability::$capability)
                }
            )*
        }
    };
}

predicates! {
    supports_log => Log,
    supports_tail_stream => TailStream,
    supports_snapshots => Snapshots,
    supports_history => History,
    supports_record_ids => RecordIds,
    supports_inbox => Inbox,
    supports_blobs => Blobs,
    supports_list => List,
    supports_follow => Follow,
    supports_batch_commit => BatchCommit,
}

impl Capabilities {
    /// Nothing optional, default limits.
    pub const fn new(durability: Durability) -> Self {
        Self { set: CapabilitySet::NONE, limits: Limits::DEFAULT, durability }
    }

    /// Everything, default limits.
    pub const fn all(durability: Durability) -> Self {
        Self { set: CapabilitySet::ALL, limits: Limits::DEFAULT, durability }
    }

    /// Also `capability`.
    pub const fn with(mut self, capability: Capability) -> Self {
        self.set = self.set.with(capability);
        self
    }

    /// Without `capability`.
    pub const fn without(mut self, capability: Capability) -> Self {
        self.set = self.set.without(capability);
        self
    }

    /// With other limits.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Refuses what is not offered.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unsupported`].
    pub fn require(&self, capability: Capability) -> Result<(), Error> {
        if self.set.contains(capability) { Ok(()) } else { Err(Refusal::Unsupported { capability }.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        for capability in Capability::ALL {
            let set = CapabilitySet::NONE.with(capability);
            assert_eq!(set.iter().collect::<Vec<_>>(), [capability]);
            assert!(!CapabilitySet::ALL.without(capability).contains(capability));
        }
        assert_eq!(CapabilitySet::ALL.iter().count(), Capability::ALL.len());
    }
}
