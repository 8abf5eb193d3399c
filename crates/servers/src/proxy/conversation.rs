//! One connection as requests and replies: what is passed on, and when it is cut.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use super::faults::{Fate, Faults};

/// What the first bytes of a buffer are, with their length. Requests and replies keep the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// From a client: a whole request, or the last part of one, and its name.
    Request(String),
    /// From a client: a part of a request that is not its end, and its name if it is counted.
    Part(Option<&'static str>),
    /// From the server: a part of the reply to the oldest request that waits for one.
    ReplyPart,
    /// From the server: the end of that reply.
    ReplyEnd,
    /// From the server: nothing that was asked for.
    Aside,
}

/// Bytes that are not of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Garbled;

/// The first unit and its length; `None` when more bytes are needed to tell.
pub(super) type Framed = Result<Option<(usize, Unit)>, Garbled>;

/// Cuts the bytes of a connection into units. Only a unit that is returned changes what is remembered.
pub(super) trait Framing: Send {
    /// From the client.
    fn toward(&mut self, bytes: &[u8]) -> Framed;
    /// From the server.
    fn back(&mut self, bytes: &[u8]) -> Framed;
}

/// One connection's state.
pub(super) struct Conversation {
    framing: Box<dyn Framing>,
    faults: Arc<Faults>,
    /// The requests without a whole reply, oldest first, and whether the reply is to be lost.
    waiting: VecDeque<bool>,
    toward: Vec<u8>,
    back: Vec<u8>,
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

/// What is passed on of the bytes that came, and whether the connection is reset after that.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) bytes: Vec<u8>,
    pub(super) cut: bool,
}

impl Conversation {
    pub(super) fn new(framing: Box<dyn Framing>, faults: Arc<Faults>) -> Self {
        Self { framing, faults, waiting: VecDeque::new(), toward: Vec::new(), back: Vec::new() }
    }

    /// Bytes from the client. Nothing of a request that is lost is passed on, except what came in earlier calls.
    pub(super) fn toward(&mut self, bytes: &[u8]) -> Passed {
        self.faults.count(|counts| counts.bytes_toward += bytes.len() as u64);
        self.toward.extend_from_slice(bytes);
        let mut at = 0;
        // The end of the last whole request: what is behind it goes with the next one.
        let mut request_end = 0;
        loop {
            match self.framing.toward(&self.toward[at..]) {
                Ok(None) => break,
                Err(Garbled) => return self.garbled(),
                Ok(Some((length, unit))) => {
                    at += length;
                    let name = match unit {
                        Unit::Request(name) => name,
                        Unit::Part(name) => {
                            self.faults.count(|counts| {
                                name.into_iter().for_each(|name| {
                                    *counts.messages.entry(name.to_owned()).or_default() += 1;
                                });
                            });
                            continue;
                        }
                        Unit::ReplyPart | Unit::ReplyEnd | Unit::Aside => return self.garbled(),
                    };
                    match self.faults.request(&name, self.waiting.is_empty()) {
                        Fate::IsLost => {
                            self.toward.truncate(request_end);
                            return Passed { bytes: std::mem::take(&mut self.toward), cut: true };
                        }
                        fate => self.waiting.push_back(fate == Fate::LosesReply),
                    }
                    request_end = at;
                }
            }
        }
        let rest = self.toward.split_off(at);
        Passed { bytes: std::mem::replace(&mut self.toward, rest), cut: false }
    }

    /// Bytes from the server.
    pub(super) fn back(&mut self, bytes: &[u8]) -> Passed {
        self.faults.count(|counts| counts.bytes_back += bytes.len() as u64);
        self.back.extend_from_slice(bytes);
        let mut passed = Passed::default();
        let mut at = 0;
        loop {
            let (length, unit) = match self.framing.back(&self.back[at..]) {
                Ok(None) => break,
                Err(Garbled) => return self.garbled(),
                Ok(Some(framed)) => framed,
            };
            let lost = self.waiting.front() == Some(&true) && unit != Unit::Aside;
            if unit == Unit::ReplyEnd && self.waiting.pop_front().is_some() {
                self.faults.count(|counts| counts.replies += 1);
                if lost {
                    passed.cut = true;
                    return passed;
                }
            }
            if !lost {
                passed.bytes.extend_from_slice(&self.back[at..at + length]);
            }
            at += length;
        }
        self.back.drain(..at);
        passed
    }

    fn garbled(&self) -> Passed {
        self.faults.count(|counts| counts.garbled += 1);
        Passed { bytes: Vec::new(), cut: true }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Loss, redis::Redis};
    use super::*;

    fn conversation() -> (Conversation, Arc<Faults>) {
        let faults = Arc::new(Faults::default());
        (Conversation::new(Box::new(Redis), faults.clone()), faults)
    }

    fn passes(bytes: &[u8]) -> Passed {
        Passed { bytes: bytes.to_vec(), cut: false }
    }

    const SET: &[u8] = b"*2\r\n$3\r\nSET\r\n$1\r\na\r\n";
    const GET: &[u8] = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n";

    #[test]
    fn whole_requests_and_replies_pass_and_are_counted() {
        let (mut conversation, faults) = conversation();
        assert_eq!(conversation.toward(&[SET, GET, &GET[..7]].concat()), passes(&[SET, GET].concat()));
        assert_eq!(conversation.back(b"+OK\r\n$1\r"), passes(b"+OK\r\n"));
        assert_eq!(conversation.back(b"\nx\r\n"), passes(b"$1\r\nx\r\n"));
        assert_eq!(conversation.toward(&GET[7..]), passes(GET));
        let counts = faults.counts();
        assert_eq!((counts.requests, counts.trips, counts.replies), (3, 2, 2));
        assert_eq!((counts.of("SET"), counts.of("GET")), (1, 2));
    }

    #[test]
    fn a_lost_reply_is_cut_when_it_has_come_whole_and_those_before_it_pass() {
        let (mut conversation, faults) = conversation();
        faults.plan(Loss::reply(2));
        assert_eq!(conversation.toward(&[SET, GET, SET].concat()), passes(&[SET, GET, SET].concat()));
        assert_eq!(conversation.back(b"+OK\r\n$2\r\n"), passes(b"+OK\r\n"));
        assert_eq!(conversation.back(b"xy\r\n+OK\r\n"), Passed { bytes: Vec::new(), cut: true });
        assert_eq!(faults.counts().replies, 2);
    }

    #[test]
    fn of_a_lost_request_nothing_passes() {
        let (mut conversation, faults) = conversation();
        faults.plan(Loss::request(2));
        assert_eq!(conversation.toward(&[SET, GET, SET].concat()), Passed { bytes: SET.to_vec(), cut: true });
        assert_eq!(faults.counts().requests, 2);
    }

    #[test]
    fn what_is_not_of_the_protocol_is_cut_and_counted() {
        let (mut conversation, faults) = conversation();
        assert!(conversation.toward(b"*x\r\n").cut);
        assert_eq!(faults.counts().garbled, 1);
    }
}
