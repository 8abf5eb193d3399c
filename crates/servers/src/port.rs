//! Ports for servers.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use anyhow::bail;

/// Where ports are looked for: below those that the system gives to outgoing connections, so that nobody takes a
/// server's port while it is down, and with as many free numbers 10,000 above, where Redis Cluster has its bus.
const FIRST: u64 = 11_000;
const COUNT: u64 = 10_000;

/// The distance from a Redis Cluster node's port to that of its bus.
pub(crate) const BUS: u16 = 10_000;

/// A port that nobody listens on now, begun at random, so that processes that look at the same time do not meet.
pub(crate) fn free() -> anyhow::Result<u16> {
    let random = RandomState::new().hash_one(std::process::id());
    for step in 0..COUNT {
        let port = u16::try_from(FIRST + (random.wrapping_add(step)) % COUNT)?;
        if [port, port + BUS].into_iter().all(is_free) {
            return Ok(port);
        }
    }
    bail!("no port is free on loopback")
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_can_be_listened_on_and_is_then_not_given_again() {
        let port = free().unwrap();
        let _held = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert!((0..100).all(|_| free().unwrap() != port));
    }
}
