//! HTTP/1.1, as far as requests and replies have ends.

use std::collections::VecDeque;

use super::conversation::{Framed, Framing, Garbled, Unit};

/// A connection.
#[derive(Debug, Default)]
pub(super) struct Http {
    /// The methods of the requests without a reply: a reply to `HEAD` has no body.
    waiting: VecDeque<String>,
    /// A request whose head has passed alone, because its client waits for a word before it sends the body.
    begun: Option<(String, Body)>,
    /// The reply has no length: it ends with the connection.
    endless: bool,
}

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Bytes(usize),
    Chunks,
    /// To the end of the connection.
    Rest,
}

impl Framing for Http {
    fn toward(&mut self, bytes: &[u8]) -> Framed {
        if let Some((method, body)) = &self.begun {
            let Some(end) = body_end(bytes, 0, *body)? else { return Ok(None) };
            let method = method.clone();
            self.begun = None;
            return Ok(Some((end, Unit::Request(method))));
        }
        let Some((head, end)) = head(bytes)? else { return Ok(None) };
        let method = head.lines().next().and_then(|line| line.split(' ').next()).ok_or(Garbled)?;
        if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(Garbled);
        }
        let body = body_of(head)?.unwrap_or(Body::Bytes(0));
        let method = method.to_owned();
        if let Some(end) = body_end(bytes, end, body)? {
            self.waiting.push_back(method.clone());
            return Ok(Some((end, Unit::Request(method))));
        }
        if !header(head, "expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            return Ok(None);
        }
        self.waiting.push_back(method.clone());
        self.begun = Some((method, body));
        Ok(Some((end, Unit::Part(None))))
    }

    fn back(&mut self, bytes: &[u8]) -> Framed {
        if self.endless {
            return Ok((!bytes.is_empty()).then_some((bytes.len(), Unit::ReplyPart)));
        }
        let Some((head, end)) = head(bytes)? else { return Ok(None) };
        let status: u16 =
            head.split(' ').nth(1).and_then(|status| status.get(..3)?.parse().ok()).ok_or(Garbled)?;
        if (100..200).contains(&status) {
            return Ok(Some((end, Unit::Aside)));
        }
        let bodiless =
            matches!(status, 204 | 304) || self.waiting.front().is_some_and(|method| method == "HEAD");
        let body = if bodiless { Body::Bytes(0) } else { body_of(head)?.unwrap_or(Body::Rest) };
        if body == Body::Rest {
            self.endless = true;
            return Ok(Some((end, Unit::ReplyPart)));
        }
        let Some(end) = body_end(bytes, end, body)? else { return Ok(None) };
        self.waiting.pop_front();
        Ok(Some((end, Unit::ReplyEnd)))
    }
}

/// The first line and the headers, and where the body begins.
fn head(bytes: &[u8]) -> Result<Option<(&str, usize)>, Garbled> {
    const LONGEST: usize = 1 << 16;
    let Some(end) = bytes.windows(4).take(LONGEST).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() > LONGEST { Err(Garbled) } else { Ok(None) };
    };
    Ok(Some((std::str::from_utf8(&bytes[..end]).map_err(|_| Garbled)?, end + 4)))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut headers = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    headers.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn body_of(head: &str) -> Result<Option<Body>, Garbled> {
    if header(head, "transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        return Ok(Some(Body::Chunks));
    }
    let length = header(head, "content-length").map(|value| value.parse().map(Body::Bytes));
    length.transpose().map_err(|_| Garbled)
}

/// Where the body that begins at `start` ends, once it is whole.
fn body_end(bytes: &[u8], start: usize, body: Body) -> Result<Option<usize>, Garbled> {
    let mut at = start;
    match body {
        Body::Bytes(length) => at += length,
        Body::Rest => return Ok(None),
        Body::Chunks => loop {
            let Some(line) =
                bytes.get(at..).and_then(|rest| rest.windows(2).position(|pair| pair == b"\r\n"))
            else {
                return Ok(None);
            };
            let text = std::str::from_utf8(&bytes[at..at + line]).map_err(|_| Garbled)?;
            let size = text.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| Garbled)?;
            at += line + 2 + size + 2;
            if size == 0 {
                break;
            }
        },
    }
    Ok((bytes.len() >= at).then_some(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str) -> Unit {
        Unit::Request(method.to_owned())
    }

    #[test]
    fn requests_end_with_their_body() {
        for (text, length) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27),
            ("PUT /a HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc", 41),
            ("PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", 59),
        ] {
            let method = &text[..3];
            let more = format!("{text}GET");
            assert_eq!(
                Http::default().toward(more.as_bytes()),
                Ok(Some((length, request(method)))),
                "{text}"
            );
            for cut in 0..length {
                assert_eq!(
                    Http::default().toward(&text.as_bytes()[..cut]),
                    Ok(None),
                    "{cut} bytes of {text}"
                );
            }
        }
        assert_eq!(Http::default().toward(b"\x16\x03\x01\r\n\r\n"), Err(Garbled));
    }

    #[test]
    fn a_client_that_waits_to_be_asked_for_the_body_is_asked() {
        let mut http = Http::default();
        let head = "PUT /a HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
        assert_eq!(http.toward(head.as_bytes()), Ok(Some((head.len(), Unit::Part(None)))));
        assert_eq!(http.back(b"HTTP/1.1 100 Continue\r\n\r\n"), Ok(Some((25, Unit::Aside))));
        assert_eq!(http.toward(b"ab"), Ok(None));
        assert_eq!(http.toward(b"abcGET"), Ok(Some((3, request("PUT")))));
    }

    #[test]
    fn replies_end_as_their_request_and_status_say() {
        for (method, text, expected) in [
            ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", Some((40, Unit::ReplyEnd))),
            ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", None),
            ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", Some((38, Unit::ReplyEnd))),
            ("DELETE", "HTTP/1.1 204 No Content\r\n\r\n", Some((27, Unit::ReplyEnd))),
            ("GET", "HTTP/1.1 200 OK\r\n\r\nab", Some((19, Unit::ReplyPart))),
        ] {
            let mut http = Http::default();
            http.toward(format!("{method} / HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
            assert_eq!(http.back(text.as_bytes()), Ok(expected), "{method}: {text}");
        }
    }
}
