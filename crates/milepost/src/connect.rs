//! From a URL to a store.

use std::sync::Arc;

use milepost_core::{Error, ErrorKind, Operation, Result, Store};
use milepost_layers::{GroupCommit, GroupCommitConfig};

/// The stores that URLs name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backend {
    Memory,
    Sqlite,
    Postgres,
    Redis,
    Objects,
}

/// The URL's schemes, and by which feature of this crate each is had. Where a store has several, it says itself which of its
/// own features is off.
const SCHEMES: &[(&str, &str, Backend)] = &[
    ("memory", "memory", Backend::Memory),
    ("sqlite", "sqlite", Backend::Sqlite),
    ("postgres", "postgres", Backend::Postgres),
    ("postgresql", "postgres", Backend::Postgres),
    ("redis", "redis", Backend::Redis),
    ("rediss", "redis-tls", Backend::Redis),
    ("redis+cluster", "redis", Backend::Redis),
    ("rediss+cluster", "redis-tls", Backend::Redis),
    ("redis+sentinel", "redis-sentinel", Backend::Redis),
    ("redis+unix", "redis", Backend::Redis),
    ("s3", "s3", Backend::Objects),
    ("gs", "gcs", Backend::Objects),
    ("az", "azure", Backend::Objects),
    ("file", "folder", Backend::Objects),
];

/// Connects to the store that `url` names.
///
/// | URL | store | feature |
/// |---|---|---|
/// | `memory:` | in this process, gone with it; each call makes a new one | `memory` |
/// | `sqlite:path?…` | a file; see [`SqliteConfig::from_url`](crate::SqliteConfig::from_url) for its parameters | `sqlite` |
/// | `postgres://…`, `postgresql://…` | a server, also behind PgBouncer; see [`PostgresConfig::from_url`] for its parameters | `postgres`, `postgres-tls` |
/// | `redis://…`, `rediss://…`, `redis+cluster://…` | a server or a cluster; see [`RedisConfig::from_url`] for these and the others | `redis`, `redis-tls` |
/// | `s3://bucket/prefix?…`, `gs://…`, `az://…` | an object store; see [`S3Config::from_url`] | `s3`, `gcs`, `azure` |
/// | `file:///folder?…` | the same in a local folder | `folder` |
///
/// A store that can write many commits in one trip gets [`GroupCommit`] in front of it, so that runs that commit at the
/// same moment share a trip: one at a time where the backend is embedded, a few side by side where it is a server.
/// `group_commit=off` among the parameters takes it away. Needs a tokio runtime.
///
/// A server must have been made ready with [`prepare`].
///
/// [`PostgresConfig::from_url`]: https://docs.rs/milepost-store-postgres/latest/milepost_store_postgres/struct.PostgresConfig.html
/// [`RedisConfig::from_url`]: https://docs.rs/milepost-store-redis/latest/milepost_store_redis/struct.RedisConfig.html
/// [`S3Config::from_url`]: https://docs.rs/milepost-store-s3/latest/milepost_store_s3/struct.S3Config.html
///
/// # Errors
///
/// [`ErrorKind::Config`]: an unknown scheme (the known ones are listed), one whose feature is off (it is named), an
/// unknown parameter, a wrong value. Whatever the store says when it cannot be reached.
pub async fn connect(url: &str) -> Result<Arc<dyn Store>> {
    let (url, group_commit) = take_group_commit(url)?;
    let backend = backend(&url)?;
    let store = open(backend, &url).await?;
    if group_commit && store.capabilities().supports_batch_commit() {
        let config = GroupCommitConfig { in_flight: in_flight(backend), ..GroupCommitConfig::default() };
        return Ok(Arc::new(GroupCommit::with_config(store, config)));
    }
    Ok(store)
}

/// How many batches are in flight at once: while one is on its way to a server, the next are worked on; an embedded store
/// writes by itself, one thing after another. PostgreSQL pays for each statement more than for a commit in it: with more in
/// flight the batches become small (`cargo xtask bench`).
fn in_flight(backend: Backend) -> usize {
    match backend {
        Backend::Memory | Backend::Sqlite => 1,
        Backend::Postgres => 2,
        Backend::Redis | Backend::Objects => 4,
    }
}

/// Sets up the store that `url` names, so that [`connect`] finds it ready: idempotent, and safe from any number of
/// processes at once. Embedded stores prepare themselves when they are connected to.
///
/// # Errors
///
/// As [`connect`].
pub async fn prepare(url: &str) -> Result<()> {
    let (url, _) = take_group_commit(url)?;
    match backend(&url)? {
        #[cfg(feature = "postgres")]
        Backend::Postgres => milepost_store_postgres::PostgresStore::prepare(&url).await,
        #[cfg(feature = "redis")]
        Backend::Redis => milepost_store_redis::RedisStore::prepare(&url).await,
        #[cfg(feature = "folder")]
        Backend::Objects => milepost_store_s3::S3Store::prepare(&url).await,
        backend => open(backend, &url).await?.close().await,
    }
}

fn config(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message.into()).during("milepost", Operation::Connect, None)
}

/// The URL without the parameter that is this crate's own, and what it says.
fn take_group_commit(url: &str) -> Result<(String, bool)> {
    let Some((base, parameters)) = url.split_once('?') else { return Ok((url.to_owned(), true)) };
    let mut group_commit = true;
    let mut others = Vec::new();
    for parameter in parameters.split('&') {
        match parameter.strip_prefix("group_commit=") {
            Some("on") => group_commit = true,
            Some("off") => group_commit = false,
            Some(other) => return Err(config(format!("group_commit takes on or off, not {other:?}"))),
            None => others.push(parameter),
        }
    }
    let others = others.join("&");
    Ok((if others.is_empty() { base.to_owned() } else { format!("{base}?{others}") }, group_commit))
}

async fn open(backend: Backend, url: &str) -> Result<Arc<dyn Store>> {
    match backend {
        #[cfg(feature = "memory")]
        Backend::Memory if url == "memory:" => Ok(Arc::new(milepost_store_memory::MemoryStore::new())),
        #[cfg(feature = "memory")]
        Backend::Memory => Err(config("memory: takes no path and no parameters")),
        #[cfg(feature = "sqlite")]
        Backend::Sqlite => Ok(Arc::new(milepost_store_sqlite::SqliteStore::connect(url).await?)),
        #[cfg(feature = "postgres")]
        Backend::Postgres => Ok(Arc::new(milepost_store_postgres::PostgresStore::connect(url).await?)),
        #[cfg(feature = "redis")]
        Backend::Redis => Ok(Arc::new(milepost_store_redis::RedisStore::connect(url).await?)),
        #[cfg(feature = "folder")]
        Backend::Objects => Ok(Arc::new(milepost_store_s3::S3Store::connect(url).await?)),
        #[allow(unreachable_patterns, reason = "with every feature there is no other")]
        _ => Err(is_off(url)),
    }
}

/// The store of a URL's scheme, whether its feature is on or off.
fn backend(url: &str) -> Result<Backend> {
    if let Some((_, _, backend)) = named(url) {
        return Ok(*backend);
    }
    let known: Vec<String> = SCHEMES.iter().map(|(scheme, ..)| format!("{scheme}:")).collect();
    let known = known.join(", ");
    Err(match url.split_once(':') {
        Some((scheme, _)) => config(format!("unknown scheme {scheme:?}; the known ones are {known}")),
        None => config(format!("a store's URL begins with its scheme, one of {known}")),
    })
}

fn named(url: &str) -> Option<&'static (&'static str, &'static str, Backend)> {
    let (scheme, _) = url.split_once(':')?;
    SCHEMES.iter().find(|(known, ..)| *known == scheme)
}

/// Why a store that there is cannot be had.
fn is_off(url: &str) -> Error {
    let (scheme, feature) = named(url).map_or(("", ""), |(scheme, feature, _)| (*scheme, *feature));
    config(format!(
        "{scheme}: needs the feature {feature:?} of the crate milepost, which is off; add it in Cargo.toml"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_parameter_is_taken_out_of_the_url() {
        for (url, rest, group_commit) in [
            ("sqlite:a.db", "sqlite:a.db", true),
            ("sqlite:a.db?group_commit=off", "sqlite:a.db", false),
            ("sqlite:a.db?x=1&group_commit=off&y=2", "sqlite:a.db?x=1&y=2", false),
            ("sqlite:a.db?group_commit=on", "sqlite:a.db", true),
        ] {
            assert_eq!(take_group_commit(url).unwrap(), (rest.to_owned(), group_commit), "{url}");
        }
        assert!(take_group_commit("sqlite:a.db?group_commit=maybe").is_err());
    }

    #[test]
    fn an_error_says_which_schemes_there_are_and_which_feature_is_off() {
        for (url, says) in [
            ("here", "one of memory:, sqlite:"),
            ("mysql://here", "unknown scheme \"mysql\"; the known ones are memory:, sqlite:"),
        ] {
            let error = backend(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(says), "{error}");
        }
        let off = is_off("gs://bucket");
        assert!(off.to_string().contains("gs: needs the feature \"gcs\""), "{off}");
    }
}
