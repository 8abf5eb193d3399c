//! Steps of which nobody knows whether they have happened, and what can be said about them.

use std::fmt;

use milepost_core::{Result, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{canonical::to_json, place::Place};

/// A step that was declared [`once`](crate::Step::once), has begun, and of which nobody knows whether it has happened.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct InDoubt {
    /// Its name.
    pub step: String,
    /// The attempt in doubt, counted from 0.
    pub attempt: u32,
    /// The key with which the outside may know it.
    pub key: String,
    /// When its intent was recorded, by the store's clock.
    pub began: Timestamp,
    pub(crate) place: Place,
}

/// What somebody who has looked says about a step in doubt.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Answer {
    /// It has not happened: run it again.
    Retry,
    /// It has happened, and this is what it returned, as JSON; see [`Answer::adopt`].
    Adopt(Box<RawValue>),
    /// It is to count as failed, for this reason.
    GiveUp(String),
}

impl Answer {
    /// It has happened, and this is what it returned.
    ///
    /// # Errors
    ///
    /// [`milepost_core::ErrorKind::Invalid`]: the value has no form in JSON.
    pub fn adopt<T: Serialize + ?Sized>(result: &T) -> Result<Self> {
        to_json(result).map(Self::Adopt)
    }

    /// It is to count as failed.
    pub fn give_up(reason: impl Into<String>) -> Self {
        Self::GiveUp(reason.into())
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Retry => f.write_str("Retry"),
            Answer::Adopt(json) => write!(f, "Adopt({} B)", json.get().len()),
            Answer::GiveUp(reason) => f.debug_tuple("GiveUp").field(reason).finish(),
        }
    }
}

/// The inbox key of the answer to an attempt: there is one answer.
pub(crate) fn answer_key(place: &Place, attempt: u32) -> String {
    let key = format!("answer:{attempt}:{place}");
    if key.len() <= milepost_core::MessageKey::LIMIT {
        return key;
    }
    format!("answer:{attempt}:{}", milepost_core::Digest::of(place.to_string().as_bytes()))
}
