//! Whether a server really answers: each probe speaks a little of its protocol.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(2);

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    Ok(stream)
}

/// Whether a PostgreSQL, or what stands in front of one, would serve a session of `postgres`: it asks for a password, or
/// is ready for a query. A server that is still starting says so with an error.
pub(crate) fn postgres(address: SocketAddr) -> bool {
    ask_postgres(address).unwrap_or(false)
}

fn ask_postgres(address: SocketAddr) -> io::Result<bool> {
    let parameters = b"user\0postgres\0database\0postgres\0\0";
    let mut stream = connect(address)?;
    stream.write_all(&u32::try_from(8 + parameters.len()).unwrap_or(u32::MAX).to_be_bytes())?;
    stream.write_all(&196_608_u32.to_be_bytes())?;
    stream.write_all(parameters)?;
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]).saturating_sub(4);
        let mut body = vec![0; usize::try_from(length.min(1 << 16)).unwrap_or_default()];
        stream.read_exact(&mut body)?;
        match head[0] {
            b'R' if body == [0; 4] => {}
            b'R' | b'Z' => return Ok(true),
            b'E' => return Ok(false),
            _ => {}
        }
    }
}

/// Sends a Redis one command, its words without blanks, and gives the whole answer as it came: one line, or the text of
/// a bulk string.
pub(crate) fn redis(address: SocketAddr, password: Option<&str>, command: &str) -> io::Result<String> {
    let mut stream = connect(address)?;
    if let Some(password) = password {
        stream.write_all(format!("AUTH {password}\r\n").as_bytes())?;
        line(&mut stream)?;
    }
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let first = line(&mut stream)?;
    let Some(length) = first.strip_prefix('$').and_then(|length| length.parse().ok()) else {
        return Ok(first);
    };
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

fn line(stream: &mut TcpStream) -> io::Result<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n") {
        stream.read_exact(&mut byte)?;
        bytes.push(byte[0]);
    }
    bytes.truncate(bytes.len() - 2);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Sends a request without a body and gives the status of the answer.
pub(crate) fn http(address: SocketAddr, method: &str, path: &str) -> io::Result<u16> {
    let mut stream = connect(address)?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let status = line(&mut stream)?;
    let number = status.split(' ').nth(1).and_then(|number| number.parse().ok());
    number.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no status: {status:?}")))
}
