//! Where the server is and how it is used: builder methods, or a URL.

use std::{fmt, fs::File, str::FromStr, sync::Arc, time::Duration};

use milepost_core::{Error, ErrorKind, Ids, Operation, Result, SystemIds};
use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};

use crate::{PostgresStore, error::BACKEND, schema, server, template::Place};

/// Where the server is and how it is used.
///
/// ```
/// use milepost_store_postgres::PostgresConfig;
///
/// let config = PostgresConfig::from_url("postgres://worker:secret@localhost/jobs?schema=milepost&timeout=5s")?;
/// assert!(!format!("{config:?}").contains("secret"));
/// assert!(PostgresConfig::from_url("postgres://localhost?shcema=jobs").is_err());
/// # Ok::<(), milepost_core::Error>(())
/// ```
#[derive(Clone)]
pub struct PostgresConfig {
    pub(crate) options: PgConnectOptions,
    pub(crate) place: Place,
    pub(crate) pooler: Pooler,
    pub(crate) connections: u32,
    pub(crate) timeout: Duration,
    pub(crate) ids: Arc<dyn Ids>,
    prepare: bool,
}

/// Whether a pooler stands before the server that gives a connection for a transaction at a time, such as PgBouncer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Pooler {
    /// Found out when the store connects, by a setting that only a connection of one's own keeps.
    #[default]
    Detect,
    /// There is one: nothing is prepared, nothing stays in a session, and followers look again now and then.
    Transaction,
    /// There is none, or it gives each client a connection of its own.
    None,
}

/// The parameters of a URL that are this store's, for the error that lists them.
const PARAMETERS: &str = "schema, prepare, connections, timeout, pooler, application_name, host, sslmode, sslrootcert, \
    sslcert, sslkey";

/// A schema's name has at most so many bytes, so that the channel that is named after it fits.
const LONGEST_SCHEMA: usize = 48;

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("host", &self.options.get_host())
            .field("port", &self.options.get_port())
            .field("database", &self.options.get_database())
            .field("schema", &self.place.schema)
            .field("pooler", &self.pooler)
            .field("connections", &self.connections)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

fn config(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Config, message)
}

impl PostgresConfig {
    /// Reads `postgres://[user[:password]@]host[:port][/database]?parameter=value&…`; `postgresql://` is the same.
    ///
    /// | parameter | values | default |
    /// |---|---|---|
    /// | `schema` | lower-case letters, digits, `_`: where the tables are | `milepost` |
    /// | `prepare` | `1`, `0`: whether the schema is set up if it is not | `0` |
    /// | `connections` | how many there are at most | `10` |
    /// | `timeout` | a duration such as `500ms`, `5s`: how long a connection and an answer are waited for, each | `10s` |
    /// | `pooler` | `detect`, `transaction`, `none`: see [`Pooler`] | `detect` |
    /// | `host` | the folder of a socket, or a host | that of the URL |
    /// | `application_name` | what the server's administrator sees | |
    /// | `sslmode`, `sslrootcert`, `sslcert`, `sslkey` | as in libpq; encryption needs the feature `tls` | `prefer` |
    ///
    /// What the URL leaves out is taken from the environment, as in libpq: `PGUSER`, `PGPASSWORD`, `PGPASSFILE` and so on.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`]: another scheme, an unknown parameter, a value that is none, a feature that is off.
    pub fn from_url(url: &str) -> Result<Self> {
        let (base, parameters) = url.split_once('?').unwrap_or((url, ""));
        if !(base.starts_with("postgres://") || base.starts_with("postgresql://")) {
            return Err(config("a URL of this store begins with postgres:// or postgresql://"));
        }
        let (mut own, mut drivers) = (Vec::new(), Vec::new());
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name {
                "host" | "application_name" => drivers.push(parameter),
                "sslrootcert" | "sslcert" | "sslkey" => {
                    check_file(name, value)?;
                    drivers.push(parameter);
                }
                "sslmode"
                    if cfg!(not(feature = "tls")) && !matches!(value, "disable" | "allow" | "prefer") =>
                {
                    return Err(config(format!(
                        "sslmode={value} needs the feature \"tls\" of the crate milepost-store-postgres, which is off"
                    )));
                }
                "sslmode" => drivers.push(parameter),
                _ => own.push((name, value)),
            }
        }
        let question = if drivers.is_empty() { "" } else { "?" };
        let options = PgConnectOptions::from_str(&format!("{base}{question}{}", drivers.join("&")));
        // Its text may repeat the URL, and with it the password, so it is not told.
        let options = options.map_err(|_| {
            config("the URL is not of the form postgres://[user[:password]@]host[:port][/database][?parameter=value]")
        })?;
        own.into_iter().try_fold(Self::with(options), |this, (name, value)| this.parameter(name, value))
    }

    fn with(options: PgConnectOptions) -> Self {
        Self {
            options: options.disable_statement_logging(),
            place: Place { schema: "milepost".into() },
            pooler: Pooler::default(),
            connections: 10,
            timeout: Duration::from_secs(10),
            ids: Arc::new(SystemIds),
            prepare: false,
        }
    }

    fn parameter(self, name: &str, value: &str) -> Result<Self> {
        let wrong = |takes: &str| config(format!("{name} takes {takes}, not {value:?}"));
        match name {
            "schema" => self.schema(value),
            "prepare" => match value {
                "1" | "true" => Ok(self.prepare_on_connect(true)),
                "0" | "false" => Ok(self.prepare_on_connect(false)),
                _ => Err(wrong("1 or 0")),
            },
            "connections" => {
                let number = value.parse().ok().filter(|number| *number > 0);
                Ok(self.connections(number.ok_or_else(|| wrong("a number above 0"))?))
            }
            "timeout" => {
                Ok(self.timeout(duration(value).ok_or_else(|| wrong("a duration such as 500ms or 5s"))?))
            }
            "pooler" => Ok(self.pooler(match value {
                "detect" => Pooler::Detect,
                "transaction" => Pooler::Transaction,
                "none" => Pooler::None,
                _ => return Err(wrong("detect, transaction or none")),
            })),
            _ => Err(config(format!("unknown parameter {name:?}; this store knows {PARAMETERS}"))),
        }
    }

    /// The schema that the tables are in: 1 to 48 lower-case letters, digits and underscores, a letter or an underscore
    /// first; by default `milepost`. Stores of different schemas share a database and know nothing of each other.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`]: empty, too long, another character.
    pub fn schema(mut self, schema: &str) -> Result<Self> {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let first = schema.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        if !first || schema.len() > LONGEST_SCHEMA || !schema.bytes().all(known) {
            return Err(config(format!(
                "a schema has 1 to {LONGEST_SCHEMA} lower-case letters, digits and underscores, and begins with no digit"
            )));
        }
        self.place.schema = schema.into();
        Ok(self)
    }

    /// Whether connecting sets the schema up if it is not; by default it does not.
    pub fn prepare_on_connect(mut self, prepare: bool) -> Self {
        self.prepare = prepare;
        self
    }

    /// How many connections there are at most, at least 1; by default 10. One more is held while somebody follows a run.
    pub fn connections(mut self, connections: u32) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// How long a free connection and an answer are waited for, each; by default 10 s. An answer to a large statement
    /// is waited for longer, by a second for each megabyte.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether a pooler stands before the server; by default that is found out.
    pub fn pooler(mut self, pooler: Pooler) -> Self {
        self.pooler = pooler;
        self
    }

    /// Draws incarnations and tokens from `ids`; by default [`SystemIds`].
    pub fn ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }

    /// Sets the schema up: idempotent, and safe from any number of processes at once. The schema itself is created if it
    /// is missing.
    ///
    /// # Errors
    ///
    /// Those of [`PostgresConfig::connect`] but `NotPrepared`.
    pub async fn prepare(&self) -> Result<()> {
        let during = |error: Error| error.during(BACKEND, Operation::Prepare, None);
        let reached = server::reach(self).await.map_err(during)?;
        schema::prepare(&reached.link, &self.place).await.map_err(during)?;
        reached.link.close().await;
        Ok(())
    }

    /// Connects, and reads what the server's settings promise. Needs a Tokio runtime with its timer.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `TimedOut` · `Denied` (user, password, rights) · `Config` (no such database, too old a server) ·
    /// `NotPrepared` · `Newer`.
    pub async fn connect(self) -> Result<PostgresStore> {
        let during = |error: Error| error.during(BACKEND, Operation::Connect, None);
        let reached = server::reach(&self).await.map_err(during)?;
        if self.prepare {
            schema::prepare(&reached.link, &self.place).await.map_err(during)?;
        } else {
            schema::check(&reached.link, &self.place).await.map_err(during)?;
        }
        Ok(PostgresStore::new(self, reached))
    }
}

/// A file that is not there would be told as a server that cannot be reached. One whose name is written with percent signs is
/// left to the driver.
fn check_file(name: &str, value: &str) -> Result<()> {
    if value.contains('%') {
        return Ok(());
    }
    let opened = File::open(value);
    opened.map(drop).map_err(|error| config(format!("{name}: {value}: cannot be read")).with_source(error))
}

fn duration(text: &str) -> Option<Duration> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..end].parse().ok()?;
    match &text[end..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        _ => None,
    }
}
