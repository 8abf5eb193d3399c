//! Who may write: the fence.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Epoch;

macro_rules! random_bits {
    ($(#[$doc:meta])* $Name:ident, $int:ty, $width:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $Name(pub $int);

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{:0", $width, "x}"), self.0)
            }
        }

        impl fmt::Debug for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}
pub(crate) use random_bits;

random_bits! {
    /// Minted by the store when a run is created, so that delete-and-recreate is never mistaken for the old run.
    Incarnation, u128, 32
}
random_bits! {
    /// 64 random bits of each open, so that a store that was rolled back cannot mint an equal fence.
    Token, u64, 16
}

/// Who may write to a run. Every open mints one, every write of an owner carries it, and a store refuses every one but
/// the newest.
///
/// The epoch orders the fences of one incarnation, so that an outside system can do the same: remember the highest
/// epoch seen and refuse lower ones (Kleppmann's *fencing token*, the *sequencer* of Chubby, Burrows 2006).
///
/// ```
/// use milepost_core::{Fence, Incarnation, Token};
///
/// let mine = Fence { incarnation: Incarnation(7), epoch: 1, token: Token(0xa) };
/// let successor = Fence { epoch: 2, token: Token(0xb), ..mine };
/// assert!(successor.supersedes(mine));
/// assert_eq!(mine.to_string(), "00000000000000000000000000000007.1.000000000000000a");
/// ```
///
/// Held by: `fencing/*`, `open/each-open-raises-epoch-and-version`, `deletion/each-life-has-its-own-incarnation`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Fence {
    /// Which life of the run id.
    pub incarnation: Incarnation,
    /// Counts the takeovers within it.
    pub epoch: Epoch,
    /// Tells apart two opens that a rolled-back store gave the same epoch.
    pub token: Token,
}

impl Fence {
    /// Whether this fence was minted after `other` in the same life of the run.
    pub fn supersedes(self, other: Fence) -> bool {
        self.incarnation == other.incarnation && self.epoch > other.epoch
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.incarnation, self.epoch, self.token)
    }
}
