//! PostgreSQL's protocol, version 3, as far as its requests and replies have ends.

use super::conversation::{Framed, Framing, Garbled, Unit};

const CANCEL: u32 = 80_877_102;
const TLS: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

/// A session.
#[derive(Debug, Default)]
pub(super) struct Postgres {
    started: bool,
    /// Questions for encryption that the server has not answered: with one byte each.
    asked: u32,
}

impl Framing for Postgres {
    fn toward(&mut self, bytes: &[u8]) -> Framed {
        if !self.started {
            return self.start(bytes);
        }
        let Some(length) = message(bytes)? else { return Ok(None) };
        let unit = match bytes[0] {
            b'S' => Unit::Request("Sync".to_owned()),
            b'Q' => Unit::Request("Query".to_owned()),
            b'F' => Unit::Request("FunctionCall".to_owned()),
            b'P' => Unit::Part(Some("Parse")),
            b'B' => Unit::Part(Some("Bind")),
            b'D' => Unit::Part(Some("Describe")),
            b'E' => Unit::Part(Some("Execute")),
            b'C' => Unit::Part(Some("Close")),
            b'H' => Unit::Part(Some("Flush")),
            b'X' => Unit::Part(Some("Terminate")),
            b'p' | b'd' | b'c' | b'f' => Unit::Part(None),
            _ => return Err(Garbled),
        };
        Ok(Some((length, unit)))
    }

    fn back(&mut self, bytes: &[u8]) -> Framed {
        match bytes.first() {
            Some(b'N') if self.asked > 0 => {
                self.asked -= 1;
                return Ok(Some((1, Unit::Aside)));
            }
            // What follows is encrypted.
            Some(b'S') if self.asked > 0 => return Err(Garbled),
            _ => {}
        }
        let unit = if bytes.first() == Some(&b'Z') { Unit::ReplyEnd } else { Unit::ReplyPart };
        Ok(message(bytes)?.map(|length| (length, unit)))
    }
}

impl Postgres {
    /// The messages before a session have no letter.
    fn start(&mut self, bytes: &[u8]) -> Framed {
        let Some(length) = number(bytes, 0) else { return Ok(None) };
        let length = usize::try_from(length).map_err(|_| Garbled)?;
        if !(8..=1 << 16).contains(&length) {
            return Err(Garbled);
        }
        let (Some(code), true) = (number(bytes, 4), bytes.len() >= length) else { return Ok(None) };
        let unit = match code {
            TLS | GSS => {
                self.asked += 1;
                Unit::Part(None)
            }
            CANCEL => Unit::Part(Some("Cancel")),
            _ => {
                self.started = true;
                Unit::Request("Startup".to_owned())
            }
        };
        Ok(Some((length, unit)))
    }
}

/// The length of a message with a letter, once it is whole.
fn message(bytes: &[u8]) -> Result<Option<usize>, Garbled> {
    let Some(length) = number(bytes, 1) else { return Ok(None) };
    if length < 4 {
        return Err(Garbled);
    }
    let length = 1 + usize::try_from(length).map_err(|_| Garbled)?;
    Ok((bytes.len() >= length).then_some(length))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(code: u32) -> Vec<u8> {
        [8_u32.to_be_bytes(), code.to_be_bytes()].concat()
    }

    #[test]
    fn a_session_is_asked_for_encryption_started_and_used() {
        let mut session = Postgres::default();
        assert_eq!(session.toward(&start(TLS)), Ok(Some((8, Unit::Part(None)))));
        assert_eq!(session.back(b"N"), Ok(Some((1, Unit::Aside))));
        assert_eq!(session.toward(&start(196_608)), Ok(Some((8, Unit::Request("Startup".to_owned())))));
        assert_eq!(session.back(b"N\0\0\0\x06ab"), Ok(Some((7, Unit::ReplyPart))));
        assert_eq!(session.back(b"Z\0\0\0\x05"), Ok(None));
        assert_eq!(session.back(b"Z\0\0\0\x05I"), Ok(Some((6, Unit::ReplyEnd))));
        assert_eq!(session.toward(b"P\0\0\0\x04S\0\0\0\x04"), Ok(Some((5, Unit::Part(Some("Parse"))))));
        assert_eq!(session.toward(b"S\0\0\0\x04"), Ok(Some((5, Unit::Request("Sync".to_owned())))));
        assert_eq!(session.toward(b"*1\r\n$4\r\n"), Ok(None));
    }

    #[test]
    fn encryption_and_nonsense_are_refused() {
        let mut session = Postgres::default();
        session.toward(&start(TLS)).unwrap();
        assert_eq!(session.back(b"S"), Err(Garbled));
        assert_eq!(Postgres::default().toward(b"GET / HTTP/1.1\r\n"), Err(Garbled));
    }
}
