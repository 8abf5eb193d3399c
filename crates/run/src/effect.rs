//! What makes a step's side effect safe where it arrives.

use std::fmt::Write as _;

use milepost_core::{Digest, Fence, RunId};

use crate::place::Place;

/// Given to the body of a step, so that whoever receives its side effect can refuse the second one, and that of an owner
/// that was replaced.
///
/// Milepost records exactly once; the world outside has to be told what belongs together. The *key* is the same for every
/// attempt of this step in every process, and no other step of any run has it: a receiver that remembers keys does the
/// effect once. The *fence* grows with each takeover of the run: a receiver that remembers the highest epoch of an
/// incarnation refuses a worker that was thought dead.
#[derive(Clone, Debug)]
pub struct Effect {
    run: RunId,
    fence: Fence,
    step: String,
    key: String,
    attempt: u32,
}

impl Effect {
    pub(crate) fn new(run: &RunId, fence: Fence, step: &str, place: &Place, attempt: u32) -> Self {
        // The place is the step's in this life of the run, whatever the step is called.
        let named = format!("milepost effect {} {place} {run}", fence.incarnation);
        let mut key = Digest::of(named.as_bytes()).to_string();
        key.truncate(32);
        Self { run: run.clone(), fence, step: step.into(), key, attempt }
    }

    /// The idempotency key: 32 hexadecimal digits.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Which attempt this is, counted from 0 over all processes.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// By whose right the run is driven.
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// The run.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The step.
    pub fn step(&self) -> &str {
        &self.step
    }

    /// Key and fence as HTTP headers. Names are those of common practice (`Idempotency-Key`) and Milepost's own; values are
    /// visible ASCII, the run's id percent-encoded.
    pub fn headers(&self) -> [(&'static str, String); 5] {
        [
            ("Idempotency-Key", self.key.clone()),
            ("Milepost-Run", percent_encoded(self.run.as_str())),
            ("Milepost-Incarnation", self.fence.incarnation.to_string()),
            ("Milepost-Epoch", self.fence.epoch.to_string()),
            ("Milepost-Attempt", self.attempt.to_string()),
        ]
    }

    /// For an effect that is a write to a SQL database.
    pub fn sql(&self) -> SqlGuard {
        SqlGuard {
            incarnation: self.fence.incarnation.to_string(),
            epoch: i64::try_from(self.fence.epoch).unwrap_or(i64::MAX),
            key: self.key.clone(),
        }
    }
}

/// Two statements that go before a step's own writes in one transaction, for PostgreSQL and SQLite.
///
/// ```text
/// BEGIN;
/// -- FENCE with (incarnation, epoch): no row changed? An older owner wrote this: ROLLBACK, and return an error.
/// -- ONCE with (key): no row inserted? It was done before: ROLLBACK, and read back what the step returns.
/// -- … the step's own writes …
/// COMMIT;
/// ```
///
/// The first statement locks the fence's row, so of two owners that write at the same moment the older one waits and is
/// refused, or was first and had the right.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SqlGuard {
    /// `$1` of [`SqlGuard::FENCE`]: which life of the run, 32 hexadecimal digits.
    pub incarnation: String,
    /// `$2` of [`SqlGuard::FENCE`].
    pub epoch: i64,
    /// `$1` of [`SqlGuard::ONCE`].
    pub key: String,
}

impl SqlGuard {
    /// Makes the two tables, once.
    pub const CREATE: [&'static str; 2] = [
        "CREATE TABLE IF NOT EXISTS milepost_fence (incarnation TEXT PRIMARY KEY, epoch BIGINT NOT NULL)",
        "CREATE TABLE IF NOT EXISTS milepost_effect (effect_key TEXT PRIMARY KEY)",
    ];

    /// Changes a row unless a newer owner was here.
    pub const FENCE: &'static str = "INSERT INTO milepost_fence (incarnation, epoch) VALUES ($1, $2) \
         ON CONFLICT (incarnation) DO UPDATE SET epoch = excluded.epoch \
         WHERE milepost_fence.epoch <= excluded.epoch";

    /// Inserts a row unless the effect was done.
    pub const ONCE: &'static str =
        "INSERT INTO milepost_effect (effect_key) VALUES ($1) ON CONFLICT (effect_key) DO NOTHING";
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_graphic() && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use milepost_core::{Incarnation, Token};

    use super::*;

    fn effect(epoch: u64, incarnation: u128, position: u32, attempt: u32) -> Effect {
        let fence = Fence { incarnation: Incarnation(incarnation), epoch, token: Token(epoch) };
        let run = RunId::new("a\nb%é").unwrap();
        Effect::new(&run, fence, "charge", &Place::new("".into(), position), attempt)
    }

    #[test]
    fn the_key_is_the_steps_whoever_makes_the_attempt() {
        let first = effect(1, 7, 3, 0);
        assert_eq!(first.key(), effect(9, 7, 3, 5).key());
        assert_ne!(first.key(), effect(1, 7, 4, 0).key(), "another step");
        assert_ne!(first.key(), effect(1, 8, 3, 0).key(), "another life of the run");
    }

    #[test]
    fn headers_are_visible_ascii() {
        let headers = effect(2, 7, 3, 1).headers();
        assert_eq!(headers[1].1, "a%0Ab%25%C3%A9");
        assert!(
            headers
                .iter()
                .all(|(name, value)| (name.to_string() + value).bytes().all(|b| b.is_ascii_graphic()))
        );
    }
}
