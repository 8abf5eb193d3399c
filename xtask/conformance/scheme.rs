//! What differs from one scheme to the next: how a place is derived from a URL, and how it is removed.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;

use anyhow::{Context, bail};
use milepost::SqliteConfig;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::runtime::Builder;

/// A kind of URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Memory,
    Sqlite,
    Postgres,
}

/// Every scheme, as it stands in a URL.
const SCHEMES: &[(&str, Scheme)] = &[
    ("memory", Scheme::Memory),
    ("sqlite", Scheme::Sqlite),
    ("postgres", Scheme::Postgres),
    ("postgresql", Scheme::Postgres),
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
            Self::Memory | Self::Sqlite => false,
            Self::Postgres => true,
        }
    }

    /// The URL of a case's own place.
    pub(crate) fn place(self, url: &str, scope: &str) -> String {
        let (base, parameters) = url.split_once('?').map_or((url, ""), |(base, rest)| (base, rest));
        let base = match self {
            Self::Memory => base.to_owned(),
            Self::Sqlite => format!("{base}.{scope}"),
            // A schema of its own; one that the URL names is left alone.
            Self::Postgres => {
                let parameters =
                    parameters.split('&').filter(|one| !one.is_empty() && !one.starts_with("schema="));
                let own = format!("schema={scope}");
                let all: Vec<&str> = parameters.chain([own.as_str(), "prepare=1"]).collect();
                return format!("{base}?{}", all.join("&"));
            }
        };
        if parameters.is_empty() { base } else { format!("{base}?{parameters}") }
    }

    /// Removes the places of these URLs.
    pub(crate) fn remove(self, urls: &BTreeSet<String>) -> anyhow::Result<()> {
        match self {
            Self::Memory => Ok(()),
            Self::Sqlite => urls.iter().try_for_each(|url| remove_sqlite(url)),
            Self::Postgres => remove_schemas(urls),
        }
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

/// Drops the schemas that these URLs name, each in a transaction of its own.
fn remove_schemas(urls: &BTreeSet<String>) -> anyhow::Result<()> {
    let Some(url) = urls.first() else { return Ok(()) };
    let base = url.split_once('?').map_or(url.as_str(), |(base, _)| base);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection =
            PgConnection::connect(base).await.context("cannot connect to remove the schemas")?;
        for url in urls {
            let schema = url.split(['?', '&']).find_map(|part| part.strip_prefix("schema="));
            let drop = format!("DROP SCHEMA IF EXISTS \"{}\" CASCADE", schema.unwrap_or_default());
            connection.execute(sqlx::raw_sql(AssertSqlSafe(drop))).await.context("cannot remove a schema")?;
        }
        Ok(())
    })
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
    }

    #[test]
    fn an_unknown_scheme_is_refused_with_the_known_ones_and_without_the_url() {
        let error = Scheme::of("mysql://user:secret@host/db").unwrap_err().to_string();
        assert!(error.contains("memory:, sqlite:") && !error.contains("secret"), "{error}");
    }
}
