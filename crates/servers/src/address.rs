//! The server's address inside a URL.

use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, bail};

/// The address that a URL connects to: of `postgres://user@127.0.0.1:5432/db`, of a Redis URL, and of an object store's
/// URL that names its endpoint (`s3://bucket?endpoint=http://127.0.0.1:9000`).
///
/// # Errors
///
/// When the URL names no host, or one that cannot be looked up.
///
/// ```
/// let address = milepost_servers::address_of("postgres://postgres@127.0.0.1/postgres")?;
/// assert_eq!(address.to_string(), "127.0.0.1:5432");
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn address_of(url: &str) -> anyhow::Result<SocketAddr> {
    // The last one: an object store's own scheme is followed by its bucket, its endpoint's by the host.
    let (before, after) = url.rsplit_once("//").with_context(|| format!("{url:?} names no host"))?;
    let authority = after.split(['/', '?', '#', '&']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let scheme = before.trim_end_matches(':');
    let scheme = scheme.rsplit(['=', '+']).next().unwrap_or(scheme);
    let port = match scheme {
        "postgres" | "postgresql" => 5432,
        "redis" | "rediss" | "cluster" => 6379,
        "http" => 80,
        "https" => 443,
        _ => bail!("{url:?}: the scheme {scheme:?} has no host"),
    };
    let has_port =
        host.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let named = if has_port { host.to_owned() } else { format!("{host}:{port}") };
    let found = named.to_socket_addrs().with_context(|| format!("cannot look up {named:?}"))?.next();
    found.with_context(|| format!("{named:?} has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_every_kind_of_url() {
        for (url, address) in [
            ("postgres://u:p%40@127.0.0.1:6000/db?schema=x", "127.0.0.1:6000"),
            ("postgresql://127.0.0.1", "127.0.0.1:5432"),
            ("redis://:secret@127.0.0.1:7000/0", "127.0.0.1:7000"),
            ("redis://127.0.0.1?prefix=a", "127.0.0.1:6379"),
            ("s3://bucket/a?endpoint=http://127.0.0.1:9000&region=x", "127.0.0.1:9000"),
            ("http://[::1]:80/", "[::1]:80"),
        ] {
            assert_eq!(address_of(url).unwrap().to_string(), address, "{url}");
        }
        assert!(address_of("memory:").is_err());
        assert!(address_of("s3://bucket/prefix").is_err());
    }
}
