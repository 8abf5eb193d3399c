//! What differs from one scheme to the next: how a place is derived from a URL, and how it is removed.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Context, bail};
use milepost::SqliteConfig;
use milepost_conformance::Tuning;

use crate::{bucket, postgres, redis};

/// What stands before the path of a folder.
const FILE: &str = "file://";

/// A kind of URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Memory,
    Sqlite,
    Postgres,
    Redis,
    RedisCluster,
    S3,
    Gcs,
    Azure,
    File,
}

/// Every scheme, as it stands in a URL.
const SCHEMES: &[(&str, Scheme)] = &[
    ("memory", Scheme::Memory),
    ("sqlite", Scheme::Sqlite),
    ("postgres", Scheme::Postgres),
    ("postgresql", Scheme::Postgres),
    ("redis", Scheme::Redis),
    ("redis+cluster", Scheme::RedisCluster),
    ("s3", Scheme::S3),
    ("gs", Scheme::Gcs),
    ("az", Scheme::Azure),
    ("file", Scheme::File),
];

impl Scheme {
    /// That of a URL; the error lists those that there are.
    pub(crate) fn of(url: &str) -> anyhow::Result<Self> {
        let name = url.split_once(':').map_or(url, |(name, _)| name);
        let Some((_, scheme)) = SCHEMES.iter().find(|(known, _)| *known == name) else {
            let known: Vec<_> = SCHEMES.iter().map(|(known, _)| format!("{known}:")).collect();
            bail!("the scheme of the URL is none of {}", known.join(", "));
        };
        Ok(*scheme)
    }

    /// Its name in the report.
    pub(crate) fn name(self) -> &'static str {
        SCHEMES.iter().find(|(_, scheme)| *scheme == self).map_or("", |(name, _)| name)
    }

    /// Whether there is a server, which could be killed.
    pub(crate) fn is_server(self) -> bool {
        match self {
            Self::Memory | Self::Sqlite | Self::File => false,
            Self::Postgres | Self::Redis | Self::RedisCluster => true,
            Self::S3 | Self::Gcs | Self::Azure => true,
        }
    }

    /// How patient the kit is: a server may be far away, and a folder on a busy disk. A lease in a bucket lasts a minute at
    /// least and is judged two seconds late, nobody moves its clock here, and some cases wait for the end of several.
    pub(crate) fn tuning(self) -> Tuning {
        let mut tuning = Tuning::default();
        tuning.timeout = Duration::from_secs(if self.is_bucket() { 600 } else { 180 });
        if self.is_bucket() {
            tuning.slack = Duration::from_millis(2_500);
            tuning.runs = 300;
            tuning.rounds = 30;
        }
        tuning
    }

    fn is_bucket(self) -> bool {
        matches!(self, Self::S3 | Self::Gcs | Self::Azure)
    }

    /// The URL of a case's own place.
    pub(crate) fn place(self, url: &str, scope: &str) -> String {
        let (base, parameters) = url.split_once('?').map_or((url, ""), |(base, rest)| (base, rest));
        let base = match self {
            Self::Postgres => return postgres::place(base, parameters, scope),
            Self::Redis | Self::RedisCluster => return redis::place(base, parameters, scope),
            Self::Memory => base.to_owned(),
            Self::Sqlite => format!("{base}.{scope}"),
            Self::S3 | Self::Gcs | Self::Azure | Self::File => {
                format!("{}/{scope}", base.trim_end_matches('/'))
            }
        };
        if self.is_bucket() && !parameters.contains("prepare=") {
            let and = if parameters.is_empty() { "" } else { "&" };
            return format!("{base}?{parameters}{and}prepare=1");
        }
        if parameters.is_empty() { base } else { format!("{base}?{parameters}") }
    }

    /// Removes the places of these URLs.
    pub(crate) fn remove(self, urls: &BTreeSet<String>) -> anyhow::Result<()> {
        match self {
            Self::Memory => Ok(()),
            Self::Sqlite => urls.iter().try_for_each(|url| remove_sqlite(url)),
            Self::Postgres => postgres::remove(urls),
            Self::Redis | Self::RedisCluster => redis::remove(urls),
            Self::File => urls.iter().try_for_each(|url| remove_folder(url)),
            Self::S3 | Self::Gcs | Self::Azure => bucket::remove(urls),
        }
    }
}

/// The folder of a case; its name is our own, without anything to decode.
fn remove_folder(url: &str) -> anyhow::Result<()> {
    let path = url.split('?').next().and_then(|base| base.strip_prefix(FILE)).unwrap_or_default();
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {path}"))
        }
        _ => Ok(()),
    }
}

/// The file, and the two that SQLite keeps beside it while it is open.
fn remove_sqlite(url: &str) -> anyhow::Result<()> {
    let config = SqliteConfig::from_url(url)?;
    for suffix in ["", "-wal", "-shm"] {
        let mut path = config.path().as_os_str().to_owned();
        path.push(suffix);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.to_string_lossy()));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_case_has_a_place_beside_what_the_url_names() {
        let place = |url: &str| Scheme::of(url).unwrap().place(url, "mp_1");
        assert_eq!(place("sqlite:a/runs.db?synchronous=normal"), "sqlite:a/runs.db.mp_1?synchronous=normal");
        assert_eq!(place("sqlite:runs.db"), "sqlite:runs.db.mp_1");
        assert_eq!(place("postgres://h/d"), "postgres://h/d?schema=mp_1&prepare=1");
        assert_eq!(
            place("postgres://h/d?schema=mine&timeout=5s"),
            "postgres://h/d?timeout=5s&schema=mp_1&prepare=1"
        );
        let redis = "redis://h:1/2?prefix=milepost.mp_1&prepare=1";
        assert_eq!(place("redis://h:1/2"), redis);
        assert_eq!(
            place("redis+cluster://a,b?wait=1&prefix=x"),
            "redis+cluster://a,b?wait=1&prefix=x.mp_1&prepare=1"
        );
        assert_eq!(place("file:///a/runs"), "file:///a/runs/mp_1");
        assert_eq!(place("s3://b/jobs?region=x"), "s3://b/jobs/mp_1?region=x&prepare=1");
        assert_eq!(place("s3://b"), "s3://b/mp_1?prepare=1");
        assert_eq!(place("az://c/jobs?account=a"), "az://c/jobs/mp_1?account=a&prepare=1");
    }

    #[test]
    fn an_unknown_scheme_is_refused_with_the_known_ones_and_without_the_url() {
        let error = Scheme::of("mysql://user:secret@host/db").unwrap_err().to_string();
        assert!(error.contains("memory:, sqlite:") && !error.contains("secret"), "{error}");
    }
}
