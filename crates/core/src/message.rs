//! What an outsider tells a run: messages in its inbox.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Incarnation, Kind, MessageKey, OperationId, Timestamp, record::Size};

/// A message for a run's inbox.
///
/// Held by: `inbox/the-same-content-again-is-repeated`, `inbox/other-content-is-conflicting`,
/// `ids/odd-messages-come-back`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewMessage {
    /// Names this attempt to send; kept with the message that wins its key, so that a sender can find its own.
    pub id: OperationId,
    /// The first message of a key wins.
    pub key: MessageKey,
    /// What it is, in the words of its sender.
    pub kind: Kind,
    /// What it says: opaque to the store, may be empty.
    pub body: Bytes,
    /// Only for this life of the run.
    pub incarnation: Option<Incarnation>,
}

impl NewMessage {
    /// A message for whichever run bears the id.
    pub fn new(id: OperationId, key: MessageKey, kind: Kind, body: impl Into<Bytes>) -> Self {
        Self { id, key, kind, body: body.into(), incarnation: None }
    }

    /// Only for this life of the run.
    pub fn incarnation(mut self, incarnation: Incarnation) -> Self {
        self.incarnation = Some(incarnation);
        self
    }
}

impl fmt::Debug for NewMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewMessage")
            .field("id", &self.id)
            .field("key", &self.key)
            .field("kind", &self.kind)
            .field("body", &Size(&self.body))
            .field("incarnation", &self.incarnation)
            .finish()
    }
}

/// A message in a run's inbox, kept until the run takes it.
///
/// Held by: `inbox/messages-are-numbered-gaplessly`, `inbox/bodies-are-any-bytes`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Numbered gaplessly from 1 in the order of acceptance; never reused.
    pub number: u64,
    /// Of the attempt that was accepted.
    pub id: OperationId,
    /// Its key.
    pub key: MessageKey,
    /// What it is.
    pub kind: Kind,
    /// What it says.
    pub body: Bytes,
    /// When the store accepted it, by the store's clock.
    pub at: Timestamp,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("number", &self.number)
            .field("id", &self.id)
            .field("key", &self.key)
            .field("kind", &self.kind)
            .field("body", &Size(&self.body))
            .field("at", &self.at)
            .finish()
    }
}

/// The answer to a message. All three name the message that holds the key.
///
/// Held by: `inbox/of-16-racing-senders-one-wins`, `inbox/the-same-content-again-is-repeated`,
/// `inbox/other-content-is-conflicting`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Sent {
    /// It is in the inbox under this number.
    Accepted {
        /// Its number.
        number: u64,
    },
    /// The key has been sent before with the same kind and body (its sender's lost acknowledgement included). Nothing
    /// has changed.
    Repeated {
        /// The first one's number.
        number: u64,
    },
    /// The key has been sent before with another kind or body. Nothing has changed.
    Conflicting {
        /// The first one's number.
        number: u64,
    },
}
