//! What is to go wrong, and when: decided by the number of a call alone, so that a plan replays.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

/// What becomes of a write. It happens or not, and its author is told or not.
///
/// |  | told | not told |
/// |---|---|---|
/// | **happened** | [`Fate::Done`] | [`Fate::AckLost`] |
/// | **did not** | [`Fate::Refused`] | [`Fate::Lost`] |
///
/// Who is not told cannot see which of the two it was: both are [`TimedOut`](milepost_core::ErrorKind::TimedOut) with
/// [`Applied::Maybe`](milepost_core::Applied::Maybe).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fate {
    /// The store gets it, and its answer arrives.
    Done,
    /// The store gets it, and its answer is lost on the way.
    AckLost,
    /// The store cannot be reached: [`Unavailable`](milepost_core::ErrorKind::Unavailable) with
    /// [`Applied::No`](milepost_core::Applied::No).
    Refused,
    /// It is lost on the way.
    Lost,
}

impl Fate {
    /// Every fate.
    pub const ALL: [Fate; 4] = [Self::Done, Self::AckLost, Self::Refused, Self::Lost];

    /// Whether the store gets the write.
    pub const fn happens(self) -> bool {
        matches!(self, Fate::Done | Fate::AckLost)
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fate::Done => "done",
            Fate::AckLost => "acknowledgement lost",
            Fate::Refused => "refused",
            Fate::Lost => "lost",
        })
    }
}

/// What is to go wrong.
///
/// Writes are counted from 1 over all clones of a [`Faults`](crate::Faults): `open`, each commit (also each of a
/// `commit_many`), `renew`, `send`, `delete`. Reads are counted from 1 too. What happens to a call depends on the plan
/// and on its number, on nothing else: the same calls in the same order meet the same faults again.
///
/// ```
/// use milepost_layers::{Fate, FaultPlan};
/// use std::time::Duration;
///
/// // Scripted: the third write happens and nobody hears of it, the fifth never arrives.
/// let scripted = FaultPlan::none().at(3, Fate::AckLost).at(5, Fate::Lost);
///
/// // Random, and the same again for the same seed.
/// let random = FaultPlan::seeded(42).ack_lost(0.1).lost(0.1).reads(0.05).delays(0.2, Duration::from_millis(2));
///
/// // The process dies between having written and hearing of it.
/// let deadly = FaultPlan::none().die_after(7);
/// # let _ = (scripted, random, deadly);
/// ```
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FaultPlan {
    script: BTreeMap<u64, Fate>,
    stalls: BTreeSet<u64>,
    failing_reads: BTreeSet<u64>,
    death: Option<(u64, Fate)>,
    seed: u64,
    ack_lost: f64,
    refused: f64,
    lost: f64,
    reads: f64,
    delays: f64,
    longest_delay: Duration,
}

impl FaultPlan {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// Nothing goes wrong yet; `seed` decides what the probabilities that are set next come to.
    pub fn seeded(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// The `write`-th write meets `fate`, whatever the probabilities say.
    pub fn at(mut self, write: u64, fate: Fate) -> Self {
        self.script.insert(write, fate);
        self
    }

    /// The `write`-th write is held, before it reaches the store, until [`Faults::thaw`](crate::Faults::thaw): a writer
    /// that stalls and comes back when others have gone on.
    pub fn stall_at(mut self, write: u64) -> Self {
        self.stalls.insert(write);
        self
    }

    /// The `read`-th read fails with [`Unavailable`](milepost_core::ErrorKind::Unavailable); a stream fails at once.
    pub fn fail_read(mut self, read: u64) -> Self {
        self.failing_reads.insert(read);
        self
    }

    /// Dies instead of the `write`-th write: neither it nor any later call reaches the store, and all are answered
    /// [`Unavailable`](milepost_core::ErrorKind::Unavailable), writes with [`Applied::Maybe`](milepost_core::Applied::Maybe).
    pub fn die_before(mut self, write: u64) -> Self {
        self.death = Some((write, Fate::Lost));
        self
    }

    /// Dies with the `write`-th write: it reaches the store, its answer and every later call do not.
    pub fn die_after(mut self, write: u64) -> Self {
        self.death = Some((write, Fate::AckLost));
        self
    }

    /// How many of all writes happen without their author being told: 0.0 to 1.0.
    pub fn ack_lost(mut self, probability: f64) -> Self {
        self.ack_lost = probability;
        self
    }

    /// How many of all writes are refused before they happen: 0.0 to 1.0.
    pub fn refused(mut self, probability: f64) -> Self {
        self.refused = probability;
        self
    }

    /// How many of all writes are lost without their author being told: 0.0 to 1.0.
    pub fn lost(mut self, probability: f64) -> Self {
        self.lost = probability;
        self
    }

    /// How many of all reads fail: 0.0 to 1.0. A stream that fails gives up to three items first.
    pub fn reads(mut self, probability: f64) -> Self {
        self.reads = probability;
        self
    }

    /// How many of all writes wait before they go, and how long at most.
    pub fn delays(mut self, probability: f64, longest: Duration) -> Self {
        self.delays = probability;
        self.longest_delay = longest;
        self
    }

    /// What becomes of the `write`-th write, and whether the process dies with it.
    pub(crate) fn fate(&self, write: u64) -> (Fate, bool) {
        match self.death {
            Some((last, fate)) if last == write => return (fate, true),
            _ => {}
        }
        if let Some(fate) = self.script.get(&write) {
            return (*fate, false);
        }
        let mut drawn = self.draw(Lane::Fate, write);
        for (fate, probability) in
            [(Fate::AckLost, self.ack_lost), (Fate::Refused, self.refused), (Fate::Lost, self.lost)]
        {
            if drawn < probability {
                return (fate, false);
            }
            drawn -= probability;
        }
        (Fate::Done, false)
    }

    pub(crate) fn stalls(&self, write: u64) -> bool {
        self.stalls.contains(&write)
    }

    pub(crate) fn delay(&self, write: u64) -> Duration {
        if self.draw(Lane::WhetherDelayed, write) < self.delays {
            self.longest_delay.mul_f64(self.draw(Lane::Delay, write))
        } else {
            Duration::ZERO
        }
    }

    /// After how many items the `read`-th read fails, if it does.
    pub(crate) fn read_fails_after(&self, read: u64) -> Option<usize> {
        if self.failing_reads.contains(&read) {
            return Some(0);
        }
        (self.draw(Lane::Read, read) < self.reads).then(|| (self.draw(Lane::Items, read) * 4.0) as usize)
    }

    /// A number in `0.0..1.0` that depends on the seed, the lane and the call alone (SplitMix64).
    fn draw(&self, lane: Lane, call: u64) -> f64 {
        let mut z = mix(self.seed);
        z = mix(z ^ call);
        z = mix(z ^ lane as u64);
        (z >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Draws for different purposes are independent.
#[derive(Clone, Copy)]
enum Lane {
    Fate,
    WhetherDelayed,
    Delay,
    Read,
    Items,
}

fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_come_true_and_a_seed_replays() {
        let fates = |seed| {
            let plan = FaultPlan::seeded(seed).ack_lost(0.2).refused(0.1).lost(0.3);
            (1..=10_000).map(|write| plan.fate(write).0).collect::<Vec<_>>()
        };
        let drawn = fates(7);
        for (fate, expected) in
            [(Fate::Done, 4_000), (Fate::AckLost, 2_000), (Fate::Refused, 1_000), (Fate::Lost, 3_000)]
        {
            let count = drawn.iter().filter(|drawn| **drawn == fate).count();
            assert!(count.abs_diff(expected) < 200, "{fate}: {count}");
        }
        assert_eq!(drawn, fates(7));
        assert_ne!(drawn, fates(8));
    }

    #[test]
    fn the_script_goes_before_the_dice_and_death_before_both() {
        let plan = FaultPlan::seeded(1).lost(1.0).at(2, Fate::Done).at(3, Fate::Done).die_after(3);
        assert_eq!(
            [1, 2, 3].map(|write| plan.fate(write)),
            [(Fate::Lost, false), (Fate::Done, false), (Fate::AckLost, true)]
        );
    }

    #[test]
    fn delays_stay_below_the_longest() {
        let plan = FaultPlan::seeded(1).delays(0.5, Duration::from_secs(1));
        let delays: Vec<_> = (1..1_000).map(|write| plan.delay(write)).collect();
        assert!(delays.iter().all(|delay| *delay < Duration::from_secs(1)));
        assert!(delays.iter().filter(|delay| delay.is_zero()).count().abs_diff(500) < 100);
    }
}
