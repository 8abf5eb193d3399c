//! Where random identities come from: injected, so that a test can replay them.

use std::{fmt, sync::Mutex};

use serde::{Deserialize, Serialize};

use crate::{Incarnation, Token, fence::random_bits};

random_bits! {
    /// Names one write, made by its author before the first attempt and kept over every retry of it.
    ///
    /// Held by: `lost-ack/the-same-id-with-other-content-is-reused`, `lost-ack/an-id-belongs-to-its-run`.
    OperationId, u128, 32
}

/// The source of operation ids, incarnations and tokens.
pub trait Ids: fmt::Debug + Send + Sync + 'static {
    /// 128 bits that no other call of any process returns.
    fn bits(&self) -> u128;

    /// A new name for a write.
    fn operation(&self) -> OperationId {
        OperationId(self.bits())
    }

    /// A new life of a run.
    fn incarnation(&self) -> Incarnation {
        Incarnation(self.bits())
    }

    /// The random part of a new fence.
    fn token(&self) -> Token {
        Token(self.bits() as u64)
    }
}

/// Random bits of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemIds;

impl Ids for SystemIds {
    /// # Panics
    ///
    /// When the operating system has no source of randomness: a program that needs unique ids cannot go on without.
    fn bits(&self) -> u128 {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).expect("the operating system gives random bits");
        u128::from_le_bytes(bits)
    }
}

/// The same ids for the same seed, for tests that must replay (SplitMix64, Steele, Lea and Flood 2014).
#[derive(Debug)]
pub struct SeededIds(Mutex<u64>);

impl SeededIds {
    /// A source that starts at `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }
}

impl Ids for SeededIds {
    fn bits(&self) -> u128 {
        let mut state = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut next = || {
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = *state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        (u128::from(next()) << 64) | u128::from(next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_replays_and_another_differs() {
        let draw = |seed| {
            let ids = SeededIds::new(seed);
            [ids.bits(), ids.bits(), ids.bits()]
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_ne!(draw(1)[0], draw(1)[1]);
    }
}
