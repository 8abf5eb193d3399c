//! Clients of a few lines.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Sends bytes and gives what comes back until `end` is in it, or the connection ends.
pub(crate) fn talk(address: SocketAddr, bytes: &[u8], end: &str) -> String {
    talk_until(address, bytes, |said| said.contains(end))
}

fn talk_until(address: SocketAddr, bytes: &[u8], ended: impl Fn(&str) -> bool) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    while !ended(&String::from_utf8_lossy(&said)) {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            read => said.extend_from_slice(&buffer[..read]),
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}

pub(crate) fn refuses(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err()
}

/// A session that asks one thing, in the simple protocol.
pub(crate) fn sql(address: SocketAddr, query: &str) -> String {
    let mut bytes = vec![0, 0, 0, 41];
    bytes.extend_from_slice(&196_608_u32.to_be_bytes());
    bytes.extend_from_slice(b"user\0postgres\0database\0postgres\0\0");
    bytes.push(b'Q');
    bytes.extend_from_slice(&u32::try_from(query.len() + 5).unwrap().to_be_bytes());
    bytes.extend_from_slice(query.as_bytes());
    bytes.push(0);
    // Ready for a query, and ready again after it.
    talk_until(address, &bytes, |said| said.matches("Z\0\0\0\x05I").count() == 2)
}
