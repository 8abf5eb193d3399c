//! When a snapshot is written.

use std::num::NonZeroU64;

use milepost_core::Cursor;
use serde::{Deserialize, Serialize};

/// When a snapshot is written beside a saved state. A checkpoint is a save or an append that was persisted; a snapshot
/// that falls due with an append goes with the next save, because only a save says what the state is. On a store without snapshots every policy is inert; on a store that
/// has nothing else every save writes one, whatever the policy: a policy never makes a run less durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum SnapshotPolicy {
    /// None at all; a resume replays the whole log.
    Never,
    /// Only by [`milepost_core::Checkpointer::checkpoint`].
    Manual,
    /// One with the completion.
    OnComplete,
    /// With each saved state.
    EveryCheckpoint,
    /// With the n-th, 2n-th, … checkpoint of this handle.
    EveryNCheckpoints(NonZeroU64),
    /// Once so many records have followed the last one: the tail that a resume replays stays shorter than that plus one
    /// commit.
    AfterRecords(NonZeroU64),
    /// When a resume would read more than twice what the state has: the last snapshot and the records after it, in
    /// bytes and with what each record costs to decode, against the state as it is now.
    ///
    /// So a snapshot of S bytes is written only after as many bytes of records, storage stays linear in what the run
    /// has changed, and a resume reads about twice the state at most.
    #[default]
    Amortized,
}

/// What the store holds that a resume would read, and how many checkpoints this handle has made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Track {
    /// The newest snapshot's cursor.
    pub(crate) newest: Option<Cursor>,
    /// The one before it: what may be trimmed.
    pub(crate) second: Option<Cursor>,
    /// What reading the newest snapshot costs.
    pub(crate) base_weight: u64,
    /// What reading the records after it costs.
    pub(crate) tail_weight: u64,
    pub(crate) checkpoints: u64,
    /// How many checkpoints there were at the last snapshot of this handle.
    pub(crate) snapshot_at: u64,
}

/// What a record costs beside its bytes: a page's share, a checksum, an entry of a stream.
const RECORD_WEIGHT: u64 = 64;

/// Below this a resume is one page anyway.
const LIGHT: u64 = 64 << 10;

/// What reading a record of so many bytes costs.
pub(crate) fn weight(bytes: usize) -> u64 {
    bytes as u64 + RECORD_WEIGHT
}

impl Track {
    /// Whether a checkpoint that leaves the run at `cursor` with a state of `state` bytes writes a snapshot, judged
    /// with that checkpoint counted: its records are in `tail_weight` already.
    pub(crate) fn is_due(&self, policy: SnapshotPolicy, cursor: Cursor, state: u64) -> bool {
        match policy {
            SnapshotPolicy::Never | SnapshotPolicy::Manual | SnapshotPolicy::OnComplete => false,
            SnapshotPolicy::EveryCheckpoint => true,
            SnapshotPolicy::EveryNCheckpoints(n) => self.checkpoints / n > self.snapshot_at / n,
            SnapshotPolicy::AfterRecords(n) => cursor - self.newest.unwrap_or(0) >= n.get(),
            SnapshotPolicy::Amortized => self.base_weight + self.tail_weight > 2 * state.max(LIGHT),
        }
    }

    /// A checkpoint whose records weigh so much.
    pub(crate) fn checkpoint(&mut self, records: u64) {
        self.checkpoints += 1;
        self.tail_weight += records;
    }

    /// A snapshot at `cursor`, of `bytes` bytes, behind which no records stand yet.
    pub(crate) fn snapshot(&mut self, cursor: Cursor, bytes: usize) {
        if self.newest != Some(cursor) {
            self.second = self.newest.replace(cursor);
        }
        self.snapshot_at = self.checkpoints;
        self.base_weight = bytes as u64;
        self.tail_weight = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cursors at which a run that checkpoints one record of `bytes` at a time writes snapshots.
    fn triggers(
        policy: SnapshotPolicy,
        checkpoints: u64,
        bytes: usize,
        state: impl Fn(u64) -> u64,
    ) -> Vec<Cursor> {
        let mut track = Track::default();
        (1..=checkpoints)
            .filter(|cursor| {
                track.checkpoint(weight(bytes));
                let due = track.is_due(policy, *cursor, state(*cursor));
                if due {
                    track.snapshot(*cursor, state(*cursor) as usize);
                }
                due
            })
            .collect()
    }

    #[test]
    fn each_policy_has_its_exact_trigger_points() {
        let n = |n| NonZeroU64::new(n).unwrap();
        for (policy, expected) in [
            (SnapshotPolicy::Never, vec![]),
            (SnapshotPolicy::Manual, vec![]),
            (SnapshotPolicy::OnComplete, vec![]),
            (SnapshotPolicy::EveryCheckpoint, vec![1, 2, 3, 4, 5, 6, 7]),
            (SnapshotPolicy::EveryNCheckpoints(n(3)), vec![3, 6]),
            (SnapshotPolicy::AfterRecords(n(2)), vec![2, 4, 6]),
            (SnapshotPolicy::Amortized, vec![]),
        ] {
            assert_eq!(triggers(policy, 7, 100, |_| 100), expected, "{policy:?}");
        }
    }

    #[test]
    fn amortized_snapshots_cost_no_more_than_the_records() {
        let (checkpoints, bytes) = (10_000, 1_000);
        for (name, state) in [
            ("a state that only changes", (|_| 100_000) as fn(u64) -> u64),
            ("a state that grows by each record", |cursor| cursor * 1_000),
            ("a state that grows slowly", |cursor| 50_000 + cursor * 10),
        ] {
            let snapshots = triggers(SnapshotPolicy::Amortized, checkpoints, bytes, state);
            let written: u64 = snapshots.iter().map(|cursor| state(*cursor)).sum();
            assert!(written <= checkpoints * weight(bytes), "{name}: {written} bytes of snapshots");
        }
    }

    #[test]
    fn a_resume_may_read_twice_the_state_and_empty_records_count() {
        let records = 2 * LIGHT / RECORD_WEIGHT;
        assert_eq!(triggers(SnapshotPolicy::Amortized, records, 0, |_| 0), [0; 0]);
        assert_eq!(triggers(SnapshotPolicy::Amortized, records + 1, 0, |_| 0), [records + 1]);
    }

    #[test]
    fn a_state_that_shrank_is_not_read_back_at_its_old_size() {
        let mut track = Track::default();
        track.snapshot(1, 10 << 20);
        track.checkpoint(weight(20));
        assert!(track.is_due(SnapshotPolicy::Amortized, 2, 1_000));
    }
}
