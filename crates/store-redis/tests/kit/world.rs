//! Where a scope's server is, and how it is killed.

use std::{process::ExitCode, sync::Arc};

use milepost_conformance::{Harness, Scope};
use milepost_core::{Error, ErrorKind, Result};
use milepost_servers::{Kind, Own, Server};
use milepost_store_redis::{RedisConfig, RedisStore};

use crate::CLUSTER;

/// The user that the store connects as, and a password that nobody must be shown.
const USER: &str = "kit";
pub(crate) const SECRET: &str = "open-sesame-4711";

pub(crate) fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Config, format!("{error:#}"))
}

/// What the scopes work on.
const KIND: Kind = if CLUSTER { Kind::RedisCluster } else { Kind::Redis };

/// The server that scopes share.
fn shared() -> anyhow::Result<String> {
    Ok(if CLUSTER {
        milepost_servers::redis_cluster()?.url().to_owned()
    } else {
        milepost_servers::redis()?.url().to_owned()
    })
}

/// The URL of the scope's server, as whoever may do everything there.
pub(crate) fn url(scope: &Scope) -> Result<String> {
    if !scope.own_server() {
        return shared().map_err(failed);
    }
    own(scope).url(KIND, &scope.dir()?.join("url")).map_err(failed)
}

/// Runs the kit on a server that its second processes find, too.
pub(crate) fn main(kit: Harness) -> ExitCode {
    milepost_servers::for_all_processes(KIND, || milepost_conformance::main(kit))
}

/// Where each node of the server at a URL is.
pub(crate) fn nodes(url: &str) -> Result<Vec<redis::Client>> {
    let client = redis::Client::open(url).map_err(failed)?;
    if !CLUSTER {
        return Ok(vec![client]);
    }
    let mut asked = client.get_connection().map_err(failed)?;
    type Node = (String, u16, String, redis::Value);
    let ranges: Vec<(u16, u16, Node)> =
        redis::cmd("CLUSTER").arg("SLOTS").query(&mut asked).map_err(failed)?;
    let authority = url.rsplit_once('/').map_or(url, |(_, authority)| authority);
    let user = authority.rsplit_once('@').map_or(String::new(), |(user, _)| format!("{user}@"));
    ranges
        .into_iter()
        .map(|(_, _, (host, port, ..))| redis::Client::open(format!("redis://{user}{host}:{port}")))
        .collect::<redis::RedisResult<_>>()
        .map_err(failed)
}

/// Makes the kit's user known to every node. No server remembers it over a restart.
fn introduce(url: &str) -> Result<()> {
    for node in nodes(url)? {
        let mut command = redis::cmd("ACL");
        command.arg("SETUSER").arg(USER).arg("on").arg(format!(">{SECRET}"));
        command.arg("~*").arg("&*").arg("+@all");
        let mut connection = node.get_connection().map_err(failed)?;
        let () = command.query(&mut connection).map_err(failed)?;
    }
    Ok(())
}

/// A handle on the scope's keys.
pub(crate) async fn connect(scope: Scope) -> Result<RedisStore> {
    let url = url(&scope)?;
    // A server that is down is told by the store.
    let _ = introduce(&url);
    let authority = url.trim_start_matches("redis://");
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let config = RedisConfig::from_url(&format!("redis://{USER}:{SECRET}@{host}"))?;
    let config = config.prefix(scope.name())?.prepare_on_connect(true).clock(scope.clock());
    config.cluster(CLUSTER).connect().await
}

/// The server that the scope has for itself, if its case kills it.
fn own(scope: &Scope) -> Arc<Own> {
    scope.shared(Arc::default)
}

pub(crate) async fn kill(scope: Scope) -> Result<()> {
    own(&scope).with(Server::kill).map_err(failed)
}

pub(crate) async fn restart(scope: Scope) -> Result<()> {
    own(&scope).with(Server::restart).map_err(failed)?;
    introduce(&url(&scope)?)
}
