//! Places on a Redis or a cluster: a prefix each, and their removal key by key.

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use redis::{Client, Connection, Value};

const PREFIX: &str = "milepost";

/// The URL of the place of a scope: the prefix is that of the URL with the scope behind it.
pub(crate) fn place(base: &str, parameters: &str, scope: &str) -> String {
    let (prefixes, mut others): (Vec<_>, Vec<_>) = parameters
        .split('&')
        .filter(|parameter| !parameter.is_empty() && !parameter.starts_with("prepare="))
        .partition(|parameter| parameter.starts_with("prefix="));
    let prefix = prefixes.last().and_then(|prefix| prefix.strip_prefix("prefix=")).unwrap_or(PREFIX);
    let prefix = format!("prefix={prefix}.{scope}");
    others.extend([&*prefix, "prepare=1"]);
    format!("{base}?{}", others.join("&"))
}

fn prefix(url: &str) -> Option<&str> {
    url.split(['?', '&']).find_map(|parameter| parameter.strip_prefix("prefix="))
}

/// Removes the keys of the places of these URLs, which are on one server, in one pass over all its keys.
pub(crate) fn remove(urls: &BTreeSet<String>) -> anyhow::Result<()> {
    let Some(first) = urls.first() else { return Ok(()) };
    let prefixes: BTreeSet<&str> = urls.iter().filter_map(|url| prefix(url)).collect();
    let own = |key: &[u8]| {
        let key = key.strip_prefix(b"{").unwrap_or(key);
        let end = key.iter().position(|byte| *byte == b':').unwrap_or(0);
        std::str::from_utf8(&key[..end]).is_ok_and(|prefix| prefixes.contains(prefix))
    };
    let mut removed = 0;
    for mut node in nodes(first)? {
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            let (next, keys): (u64, Vec<Vec<u8>>) =
                scan.arg(cursor).arg("COUNT").arg(1000).query(&mut node)?;
            for key in keys.iter().filter(|key| own(key)) {
                let () = redis::cmd("UNLINK").arg(&key[..]).query(&mut node)?;
                removed += 1;
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
    }
    if removed == 0 { bail!("none of the keys was found") } else { Ok(()) }
}

/// The server of a URL, or every master of its cluster.
fn nodes(url: &str) -> anyhow::Result<Vec<Connection>> {
    let (base, _) = url.split_once('?').unwrap_or((url, ""));
    let (scheme, rest) = base.split_once("://").context("the URL has no scheme")?;
    let (user, hosts) = rest.rsplit_once('@').map_or(("", rest), |(user, hosts)| (user, hosts));
    let at = |host: &str| {
        let user = if user.is_empty() { String::new() } else { format!("{user}@") };
        anyhow::Ok(Client::open(format!("redis://{user}{host}"))?.get_connection()?)
    };
    let mut first = at(hosts.split(',').next().unwrap_or_default())?;
    if scheme == "redis" {
        return Ok(vec![first]);
    }
    type Node = (String, u16, String, Value);
    let slots = redis::cmd("CLUSTER").arg("SLOTS").query::<Vec<(u16, u16, Node)>>(&mut first)?;
    let masters: BTreeSet<String> =
        slots.into_iter().map(|(_, _, (host, port, ..))| format!("{host}:{port}")).collect();
    masters.iter().map(|host| at(host)).collect()
}
