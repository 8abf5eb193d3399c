//! The server's address inside a URL.

use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::Range;

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
    let Place { scheme, host, has_port } = place_of(url)?;
    let host = &url[host];
    let named = match (has_port, scheme) {
        (true, _) => host.to_owned(),
        (false, "postgres" | "postgresql") => format!("{host}:5432"),
        (false, "redis") => format!("{host}:6379"),
        (false, "http") => format!("{host}:80"),
        (false, _) => bail!("{scheme}: the host has no port"),
    };
    let found = named.to_socket_addrs().with_context(|| format!("cannot look up {named:?}"))?.next();
    found.with_context(|| format!("{named:?} has no address"))
}

/// The protocol that is spoken there.
#[cfg(feature = "proxy")]
pub(crate) fn protocol_of(url: &str) -> anyhow::Result<crate::Protocol> {
    Ok(match place_of(url)?.scheme {
        "postgres" | "postgresql" => crate::Protocol::Postgres,
        "redis" => crate::Protocol::Redis,
        "http" => crate::Protocol::Http,
        scheme => bail!("{scheme}: no protocol that a proxy here can follow"),
    })
}

/// The same URL with another address.
#[cfg(feature = "proxy")]
pub(crate) fn with_address(url: &str, address: SocketAddr) -> anyhow::Result<String> {
    let host = place_of(url)?.host;
    Ok(format!("{}{address}{}", &url[..host.start], &url[host.end..]))
}

/// Where in a URL its host stands, with the port.
struct Place<'a> {
    scheme: &'a str,
    host: Range<usize>,
    has_port: bool,
}

fn place_of(url: &str) -> anyhow::Result<Place<'_>> {
    // The last one: an object store's own scheme is followed by its bucket, its endpoint's by the host.
    let slashes = url.rfind("://").context("the URL names no host")?;
    let scheme = url[..slashes].rsplit(['=', '&', '?']).next().unwrap_or_default();
    // As with `redis+cluster`: what stands before the sign is the protocol.
    let scheme = scheme.split('+').next().unwrap_or_default();
    if !["postgres", "postgresql", "redis", "http"].contains(&scheme) {
        bail!("{scheme}: a URL of this scheme names no host");
    }
    let start = slashes + 3;
    let end = url[start..].find(['/', '?', '#', '&']).map_or(url.len(), |length| start + length);
    let start = url[start..end].rfind('@').map_or(start, |at| start + at + 1);
    let port = url[start..end].rsplit_once(':').map(|(_, port)| port);
    let has_port =
        port.is_some_and(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    Ok(Place { scheme, host: start..end, has_port })
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

    #[cfg(feature = "proxy")]
    #[test]
    fn the_address_is_replaced_where_it_stands() {
        let address = "127.0.0.1:4711".parse().unwrap();
        for (url, replaced) in [
            ("postgres://u:p@localhost/db?schema=x", "postgres://u:p@127.0.0.1:4711/db?schema=x"),
            ("redis+cluster://127.0.0.1:7000", "redis+cluster://127.0.0.1:4711"),
            ("s3://b/a?endpoint=http://127.0.0.1:9000&x=y", "s3://b/a?endpoint=http://127.0.0.1:4711&x=y"),
        ] {
            assert_eq!(with_address(url, address).unwrap(), replaced);
        }
    }
}
