//! RESP 2 and 3, as far as commands and replies have ends.

use super::conversation::{Framed, Framing, Garbled, Unit};

/// Nothing has to be remembered.
#[derive(Debug)]
pub(super) struct Redis;

impl Framing for Redis {
    fn toward(&mut self, bytes: &[u8]) -> Framed {
        if bytes.first() != Some(&b'*') {
            let Some((line, end)) = line(bytes, 0) else { return Ok(None) };
            let name = line.split(|byte| *byte == b' ').next().unwrap_or_default();
            return Ok(Some((end, Unit::Request(named(name)))));
        }
        let Some(end) = value(bytes, 0)? else { return Ok(None) };
        let (_, name) = line(bytes, 0).ok_or(Garbled)?;
        let (length, name) = line(bytes, name).ok_or(Garbled)?;
        let length = usize::try_from(number(&length[1..])?).map_err(|_| Garbled)?;
        let name = bytes.get(name..name + length).ok_or(Garbled)?;
        Ok(Some((end, Unit::Request(named(name)))))
    }

    fn back(&mut self, bytes: &[u8]) -> Framed {
        let Some(end) = value(bytes, 0)? else { return Ok(None) };
        let unit = match bytes[0] {
            b'>' => Unit::Aside,
            // Attributes of the reply that follows.
            b'|' => Unit::ReplyPart,
            _ => Unit::ReplyEnd,
        };
        Ok(Some((end, unit)))
    }
}

fn named(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_uppercase()
}

/// The line that begins at `at`, without its end, and where the next one begins.
fn line(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(at..)?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    Some((&rest[..end], at + end + 2))
}

fn number(digits: &[u8]) -> Result<i64, Garbled> {
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(Garbled)
}

/// Where the value that begins at `at` ends, once it is whole.
fn value(bytes: &[u8], at: usize) -> Result<Option<usize>, Garbled> {
    let mut end = at;
    // Values still to be read: those inside an array count when its line is read.
    let mut open: i64 = 1;
    while open > 0 {
        let Some((text, next)) = line(bytes, end) else { return Ok(None) };
        let (kind, text) = text.split_first().ok_or(Garbled)?;
        open -= 1;
        end = next;
        match kind {
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => {}
            b'$' | b'!' | b'=' => {
                if let Ok(length) = usize::try_from(number(text)?) {
                    end += length + 2;
                }
                if bytes.len() < end {
                    return Ok(None);
                }
            }
            b'*' | b'~' | b'>' => open += number(text)?.max(0),
            b'%' | b'|' => open += 2 * number(text)?.max(0),
            _ => return Err(Garbled),
        }
    }
    Ok(Some(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(name: &str) -> Unit {
        Unit::Request(name.to_owned())
    }

    #[test]
    fn commands_have_a_name_and_an_end() {
        for (bytes, expected) in [
            (&b"*2\r\n$3\r\nget\r\n$1\r\na\r\n*1\r\n"[..], Some((20, command("GET")))),
            (b"*2\r\n$3\r\nget\r\n$5\r\na\r\nb", None),
            (b"PING\r\n", Some((6, command("PING")))),
            (b"SET a 1\r\nPING\r\n", Some((9, command("SET")))),
            (b"PIN", None),
        ] {
            assert_eq!(Redis.toward(bytes), Ok(expected), "{}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(Redis.toward(b"*1\r\n?\r\n"), Err(Garbled));
    }

    #[test]
    fn replies_of_every_kind_have_an_end() {
        for text in [
            "+OK\r\n",
            "-ERR no\r\n",
            ":12\r\n",
            "$-1\r\n",
            "$0\r\n\r\n",
            "$4\r\na\r\nb\r\n",
            "*-1\r\n",
            "*0\r\n",
            "*2\r\n*1\r\n:1\r\n$1\r\na\r\n",
            "%1\r\n+a\r\n:1\r\n",
            "_\r\n",
            "=5\r\ntxt:a\r\n",
        ] {
            let bytes = text.as_bytes();
            assert_eq!(
                Redis.back(&[bytes, b"+OK"].concat()),
                Ok(Some((bytes.len(), Unit::ReplyEnd))),
                "{text}"
            );
            for length in 0..bytes.len() {
                assert_eq!(Redis.back(&bytes[..length]), Ok(None), "{length} bytes of {text}");
            }
        }
        assert_eq!(Redis.back(b">1\r\n+a\r\n"), Ok(Some((8, Unit::Aside))));
        assert_eq!(Redis.back(b"|1\r\n+a\r\n:1\r\n+OK\r\n"), Ok(Some((12, Unit::ReplyPart))));
    }
}
