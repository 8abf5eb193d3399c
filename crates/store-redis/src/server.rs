//! What the server is set to: read once when the store connects, on every master of a cluster, the weakest counts.

use std::time::Duration;

use milepost_core::{Durability, Error, ErrorKind, Result};
use redis::{RedisError, Value};

use crate::{
    config::RedisConfig,
    error::from_driver,
    layout::{FORMAT, format_key},
    link::{Confirm, Link},
};

/// The oldest server whose scripts and commands this store is written for.
const OLDEST: (u32, u32) = (6, 2);

/// The oldest that knows `WAITAOF`. Valkey says that it is Redis 7.2.
const WAITAOF: (u32, u32) = (7, 2);

fn texts(answers: Vec<Value>) -> Vec<String> {
    let text = |value| match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    };
    answers.into_iter().filter_map(text).collect()
}

/// A field of `INFO`.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

async fn info(link: &Link, section: &str) -> Result<Vec<String>> {
    let mut command = redis::cmd("INFO");
    command.arg(section);
    Ok(texts(link.send_to_masters(&command).await.map_err(|error| from_driver(&error))?))
}

/// Checks the servers and says how durable an acknowledged write is.
///
/// # Errors
///
/// `Config`: too old, evicting, a cluster that is not said to be one. What the driver says.
pub(crate) async fn inspect(link: &Link, confirm: Option<Confirm>) -> Result<Durability> {
    for server in info(link, "server").await? {
        check_server(&server, link.is_cluster())?;
        check_confirm(&server, confirm)?;
    }
    for memory in info(link, "memory").await? {
        check_eviction(&memory)?;
    }
    let mut durability = Durability::Fsync;
    for persistence in info(link, "persistence").await? {
        let writes_log = field(&persistence, "aof_enabled") == Some("1");
        durability = durability.min(if writes_log { Durability::Fsync } else { Durability::Process });
    }
    if durability == Durability::Fsync {
        durability = fsync(link).await?;
    }
    Ok(confirmed(durability, confirm))
}

/// How an acknowledgement of replicas or disks adds to what the server does by itself.
fn confirmed(own: Durability, confirm: Option<Confirm>) -> Durability {
    match confirm {
        Some(Confirm { local: Some(local), replicas, .. }) => {
            let own = if local > 0 { own.max(Durability::Fsync) } else { own };
            if replicas > 0 && own == Durability::Fsync { Durability::Replicated } else { own }
        }
        // A replica that has it in memory only adds nothing to a server that has it in memory only.
        Some(Confirm { local: None, replicas: 1.., .. }) if own == Durability::Fsync => {
            Durability::Replicated
        }
        _ => own,
    }
}

fn check_server(info: &str, is_cluster: bool) -> Result<()> {
    if version(info) < OLDEST {
        let version = field(info, "redis_version").unwrap_or_default();
        let message = format!("this store needs Redis 6.2 or Valkey, and the server is Redis {version}");
        return Err(Error::new(ErrorKind::Config, message));
    }
    if !is_cluster && field(info, "redis_mode") == Some("cluster") {
        let message = "the server is part of a cluster: add cluster=1 to the URL";
        return Err(Error::new(ErrorKind::Config, message));
    }
    Ok(())
}

/// A server that does not know `WAITAOF` would confirm nothing.
fn check_confirm(info: &str, confirm: Option<Confirm>) -> Result<()> {
    if confirm.is_none_or(|confirm| confirm.local.is_none()) || version(info) >= WAITAOF {
        return Ok(());
    }
    let message = "waitaof needs Redis 7.2 or Valkey, and the server is older: leave it out, or set appendfsync to always and \
                   ask for replicas by wait";
    Err(Error::new(ErrorKind::Config, message))
}

fn version(info: &str) -> (u32, u32) {
    let version = field(info, "redis_version").unwrap_or_default();
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// A server that evicts keys when its memory is full would forget acknowledged runs.
fn check_eviction(info: &str) -> Result<()> {
    match field(info, "maxmemory_policy") {
        None | Some("noeviction") => Ok(()),
        Some(policy) => Err(Error::new(
            ErrorKind::Config,
            format!("the server's maxmemory-policy is {policy}, which may forget runs: set it to noeviction"),
        )),
    }
}

/// When the server waits for its disk. Where `CONFIG` is forbidden that is not told, and the weaker is assumed.
async fn fsync(link: &Link) -> Result<Durability> {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg("appendfsync");
    let answers = match link.send_to_masters(&command).await {
        Ok(answers) => answers,
        Err(failure) if is_forbidden(&failure) => return Ok(Durability::Buffered),
        Err(failure) => return Err(from_driver(&failure)),
    };
    let level = |answer: Value| {
        let values = match answer {
            Value::Array(values) => values,
            Value::Map(pairs) => pairs.into_iter().flat_map(|(key, value)| [key, value]).collect(),
            _ => Vec::new(),
        };
        match texts(values).get(1).map(String::as_str) {
            Some("always") => Durability::Fsync,
            _ => Durability::Buffered,
        }
    };
    Ok(answers.into_iter().map(level).min().unwrap_or(Durability::Buffered))
}

/// Managed servers refuse `CONFIG`, or do not know it.
fn is_forbidden(failure: &RedisError) -> bool {
    matches!(failure.code(), Some("NOPERM" | "ERR"))
}

/// Makes the place ready for this store. Idempotent, and safe from any number of processes at once: the first one sets
/// the version, the others find it.
pub(crate) async fn prepare(link: &Link, config: &RedisConfig) -> Result<()> {
    let mut command = redis::cmd("SETNX");
    let key = format_key(&config.prefix);
    command.arg(&key).arg(FORMAT);
    link.send(&command, key.as_bytes()).await?;
    check_prepared(link, config).await
}

/// Refuses a place that is not ready, or that a newer version has made ready.
pub(crate) async fn check_prepared(link: &Link, config: &RedisConfig) -> Result<()> {
    let key = format_key(&config.prefix);
    let stored = link.send(redis::cmd("GET").arg(&key), key.as_bytes()).await?;
    let stored = texts(vec![stored]).pop();
    match stored.as_deref().map(str::parse::<u64>) {
        None => Err(Error::new(
            ErrorKind::NotPrepared,
            format!(
                "nothing is set up under the prefix {:?}: call milepost::prepare once, or add prepare=1 to the URL",
                config.prefix
            ),
        )),
        Some(Ok(FORMAT)) => Ok(()),
        Some(Ok(version)) if version > FORMAT => Err(Error::new(
            ErrorKind::Newer,
            format!(
                "the data is of format {version}, and this version of the library knows formats up to {FORMAT}"
            ),
        )),
        Some(_) => Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "the key {:?} does not hold a version of this store's format",
                format_key(&config.prefix)
            ),
        )),
    }
}

/// The least that a lease lasts: shorter than a trip makes no sense.
pub(crate) const MIN_TTL: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_may_forget_runs_is_refused() {
        for (policy, kind) in [
            ("noeviction", None),
            ("allkeys-lru", Some(ErrorKind::Config)),
            ("volatile-ttl", Some(ErrorKind::Config)),
        ] {
            let info = format!("# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:{policy}\r\n");
            assert_eq!(check_eviction(&info).err().map(|error| error.kind()), kind, "{policy}");
        }
    }

    #[test]
    fn an_old_server_and_an_undeclared_cluster_are_refused() {
        for (version, mode, is_cluster, fine) in [
            ("6.0.16", "standalone", false, false),
            ("6.2.0", "standalone", false, true),
            ("7.0.15", "cluster", false, false),
            ("7.0.15", "cluster", true, true),
            ("7.2.4", "standalone", false, true),
        ] {
            let info = format!("redis_version:{version}\r\nredis_mode:{mode}\r\n");
            assert_eq!(check_server(&info, is_cluster).is_ok(), fine, "{version} {mode}");
        }
    }

    #[test]
    fn a_copy_counts_only_beside_a_disk() {
        use Durability::{Buffered, Fsync, Process, Replicated};
        let wait = |local, replicas| Some(Confirm { local, replicas, timeout: Duration::ZERO });
        for (own, confirm, declared) in [
            (Fsync, None, Fsync),
            (Fsync, wait(None, 1), Replicated),
            (Buffered, wait(None, 1), Buffered),
            (Process, wait(None, 2), Process),
            (Buffered, wait(Some(1), 0), Fsync),
            (Buffered, wait(Some(1), 1), Replicated),
            (Buffered, wait(Some(0), 0), Buffered),
        ] {
            assert_eq!(confirmed(own, confirm), declared, "{own:?} {confirm:?}");
        }
    }
}
