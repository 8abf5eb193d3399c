//! From a URL to a store.

use std::sync::Arc;

use milepost_core::{Error, ErrorKind, Operation, Result, Store};
use milepost_layers::{GroupCommit, GroupCommitConfig};

/// What the URL's schemes are, and by which feature of this crate each is had.
const SCHEMES: &[(&str, &str)] = &[
    ("memory", "memory"),
    ("sqlite", "sqlite"),
    ("postgres", "postgres"),
    ("postgresql", "postgres"),
    ("redis", "redis"),
    ("rediss", "redis-tls"),
    ("redis+cluster", "redis"),
    ("rediss+cluster", "redis-tls"),
    ("redis+sentinel", "redis-sentinel"),
    ("redis+unix", "redis"),
    ("s3", "s3"),
    ("gs", "gcs"),
    ("az", "azure"),
    ("file", "folder"),
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
    let store = open(&url).await?;
    if group_commit && store.capabilities().supports_batch_commit() {
        let in_flight = if is_embedded(&url) { 1 } else { SERVER_IN_FLIGHT };
        let config = GroupCommitConfig { in_flight, ..GroupCommitConfig::default() };
        return Ok(Arc::new(GroupCommit::with_config(store, config)));
    }
    Ok(store)
}

/// How many batches are in flight at once where a server takes them: while one is on its way, the next are worked on.
const SERVER_IN_FLIGHT: usize = 4;

/// Whether the store writes by itself, one thing after another.
fn is_embedded(url: &str) -> bool {
    matches!(url.split_once(':'), Some(("memory" | "sqlite", _)))
}

/// Sets up the store that `url` names, so that [`connect`] finds it ready: idempotent, and safe from any number of
/// processes at once. Embedded stores prepare themselves when they are connected to.
///
/// # Errors
///
/// As [`connect`].
pub async fn prepare(url: &str) -> Result<()> {
    #[cfg(feature = "postgres")]
    if is_postgres(url) {
        let (url, _) = take_group_commit(url)?;
        return milepost_store_postgres::PostgresStore::prepare(&url).await;
    }
    #[cfg(feature = "redis")]
    if is_redis(url) {
        let (url, _) = take_group_commit(url)?;
        return milepost_store_redis::RedisStore::prepare(&url).await;
    }
    #[cfg(feature = "folder")]
    if is_object_store(url) {
        let (url, _) = take_group_commit(url)?;
        return milepost_store_s3::S3Store::prepare(&url).await;
    }
    connect(url).await?.close().await
}

/// Whether the scheme is one of the PostgreSQL store's.
#[cfg(feature = "postgres")]
fn is_postgres(url: &str) -> bool {
    matches!(url.split_once(':'), Some(("postgres" | "postgresql", _)))
}

/// Whether the scheme is one of those that the object store knows, the ones whose feature is off among them: it says so
/// itself.
#[cfg(feature = "folder")]
fn is_object_store(url: &str) -> bool {
    url.split_once(':').is_some_and(|(scheme, _)| matches!(scheme, "s3" | "gs" | "az" | "file"))
}

/// Whether the scheme is one of those that the Redis store knows, the ones whose feature is off among them: it says so
/// itself.
#[cfg(feature = "redis")]
fn is_redis(url: &str) -> bool {
    url.split_once(':').is_some_and(|(scheme, _)| {
        SCHEMES.iter().any(|(known, feature)| *known == scheme && feature.starts_with("redis"))
    })
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

async fn open(url: &str) -> Result<Arc<dyn Store>> {
    #[cfg(feature = "postgres")]
    if is_postgres(url) {
        return Ok(Arc::new(milepost_store_postgres::PostgresStore::connect(url).await?));
    }
    #[cfg(feature = "redis")]
    if is_redis(url) {
        return Ok(Arc::new(milepost_store_redis::RedisStore::connect(url).await?));
    }
    #[cfg(feature = "folder")]
    if is_object_store(url) {
        return Ok(Arc::new(milepost_store_s3::S3Store::connect(url).await?));
    }
    let scheme = url.split_once(':').map(|(scheme, _)| scheme);
    match scheme {
        #[cfg(feature = "memory")]
        Some("memory") => {
            if url != "memory:" {
                return Err(config("memory: takes no path and no parameters"));
            }
            Ok(Arc::new(milepost_store_memory::MemoryStore::new()))
        }
        #[cfg(feature = "sqlite")]
        Some("sqlite") => Ok(Arc::new(milepost_store_sqlite::SqliteStore::connect(url).await?)),
        _ => Err(unknown(scheme)),
    }
}

fn unknown(scheme: Option<&str>) -> Error {
    let known: Vec<String> = SCHEMES.iter().map(|(scheme, _)| format!("{scheme}:")).collect();
    let known = known.join(", ");
    let Some(scheme) = scheme else {
        return config(format!("a store's URL begins with its scheme, one of {known}"));
    };
    match SCHEMES.iter().find(|(known, _)| *known == scheme) {
        Some((scheme, feature)) => config(format!(
            "{scheme}: needs the feature {feature:?} of the crate milepost, which is off; add it in Cargo.toml"
        )),
        None => config(format!("unknown scheme {scheme:?}; the known ones are {known}")),
    }
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
        for (scheme, says) in [
            (None, "one of memory:, sqlite:"),
            (Some("mysql"), "unknown scheme \"mysql\"; the known ones are memory:, sqlite:"),
            (Some("memory"), "needs the feature \"memory\""),
        ] {
            let error = unknown(scheme);
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
