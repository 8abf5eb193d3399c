//! What a proxy has seen.

use std::collections::BTreeMap;

/// Counts of what passed through a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that were taken.
    pub connections: u64,
    /// Requests.
    pub requests: u64,
    /// Requests that were sent while the connection waited for nothing: what a client that sends several at once pays
    /// for one round trip counts as one.
    pub trips: u64,
    /// Replies that came back whole.
    pub replies: u64,
    /// Bytes from clients.
    pub bytes_toward: u64,
    /// Bytes from the server.
    pub bytes_back: u64,
    /// Connections that were cut because what they carried was not of the protocol.
    pub garbled: u64,
    pub(super) messages: BTreeMap<String, u64>,
}

impl Counts {
    /// How many messages of this name clients have sent: a Redis command (`EVALSHA`), an HTTP method (`PUT`), a message
    /// of PostgreSQL (`Sync`, `Query`, `Startup`, `Parse`, `Bind`, `Describe`, `Execute`, `Close`).
    pub fn of(&self, name: &str) -> u64 {
        self.messages.get(name).copied().unwrap_or(0)
    }

    /// Every name that occurred, with its count.
    pub fn messages(&self) -> impl Iterator<Item = (&str, u64)> {
        self.messages.iter().map(|(name, count)| (name.as_str(), *count))
    }

    /// What has come since an earlier count of the same proxy.
    #[must_use]
    pub fn since(&self, earlier: &Counts) -> Counts {
        let messages = self.messages.iter().map(|(name, count)| (name.clone(), count - earlier.of(name)));
        Counts {
            connections: self.connections - earlier.connections,
            requests: self.requests - earlier.requests,
            trips: self.trips - earlier.trips,
            replies: self.replies - earlier.replies,
            bytes_toward: self.bytes_toward - earlier.bytes_toward,
            bytes_back: self.bytes_back - earlier.bytes_back,
            garbled: self.garbled - earlier.garbled,
            messages: messages.filter(|(_, count)| *count > 0).collect(),
        }
    }
}
