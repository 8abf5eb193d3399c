//! Where the database is and how it is used: builder methods, or a URL.

use std::{path::PathBuf, sync::Arc, time::Duration};

use milepost_core::{Clock, Durability, Error, ErrorKind, Ids, Result, SystemClock, SystemIds};

use crate::SqliteStore;

/// When SQLite waits for the disk, and with that what an `Ok` promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Synchronous {
    /// The disk is waited for at checkpoints of the write-ahead log only: when the machine dies, the last commits may
    /// be gone, always a suffix ([`Durability::Buffered`]). The death of the process alone takes nothing.
    Normal,
    /// Every commit waits for the disk ([`Durability::Fsync`]).
    #[default]
    Full,
    /// As `Full`, and in the rollback journal modes the folder is synced too.
    Extra,
}

impl Synchronous {
    /// The value of `PRAGMA synchronous`, as it is written and as it reads back.
    pub(crate) const fn pragma(self) -> i64 {
        match self {
            Synchronous::Normal => 1,
            Synchronous::Full => 2,
            Synchronous::Extra => 3,
        }
    }

    /// What is declared when the setting is in force.
    pub(crate) const fn durability(self) -> Durability {
        match self {
            Synchronous::Normal => Durability::Buffered,
            Synchronous::Full | Synchronous::Extra => Durability::Fsync,
        }
    }
}

/// Where the database is and how it is used.
///
/// ```
/// use milepost_store_sqlite::{SqliteConfig, Synchronous};
///
/// let by_url = SqliteConfig::from_url("sqlite:runs.db?synchronous=normal&busy_timeout=2s")?;
/// let by_hand = SqliteConfig::new("runs.db").synchronous(Synchronous::Normal);
/// assert_eq!(by_url.path(), by_hand.path());
/// assert!(SqliteConfig::from_url("sqlite:runs.db?sinchronous=normal").is_err());
/// # Ok::<(), milepost_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SqliteConfig {
    path: PathBuf,
    pub(crate) synchronous: Synchronous,
    pub(crate) busy_timeout: Duration,
    pub(crate) readers: usize,
    pub(crate) create: bool,
    pub(crate) max_size: Option<u64>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
}

/// The parameters of a URL, for the error that lists them.
const PARAMETERS: &str = "synchronous, busy_timeout, readers, create, max_size";

/// More read connections than this help nobody.
const MOST_READERS: usize = 64;

impl SqliteConfig {
    /// The database in the file at `path`, with the default settings.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            synchronous: Synchronous::default(),
            busy_timeout: Duration::from_secs(5),
            readers: 4,
            create: true,
            max_size: None,
            clock: Arc::new(SystemClock::default()),
            ids: Arc::new(SystemIds),
        }
    }

    /// Reads `sqlite:PATH?parameter=value&…`; the path is percent-decoded, relative to the working folder unless it
    /// begins with `/`, and may stand behind `//`.
    ///
    /// | parameter | values | default |
    /// |---|---|---|
    /// | `synchronous` | `full`, `normal`, `extra` | `full` |
    /// | `busy_timeout` | a duration such as `500ms`, `5s`, `1m`: how long a locked database is waited for | `5s` |
    /// | `readers` | 1 to 64: connections that read at once | `4` |
    /// | `create` | `true`, `false`: whether a missing file is created | `true` |
    /// | `max_size` | bytes, such as `512MiB`: a larger database is `Full` | unlimited |
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`]: another scheme, no path, `:memory:`, an unknown parameter, a value that is none.
    pub fn from_url(url: &str) -> Result<Self> {
        let Some(rest) = url.strip_prefix("sqlite:") else {
            return Err(config("a URL of this store begins with sqlite:"));
        };
        let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let path = decode(path.strip_prefix("//").unwrap_or(path))?;
        if path == ":memory:" {
            return Err(config(
                "a database in memory dies with the process; use memory: for a store without a file",
            ));
        }
        if path.is_empty() {
            return Err(config("the URL names no file; write sqlite:runs.db"));
        }
        let mut this = Self::new(path);
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            this = this.parameter(&decode(name)?, &decode(value)?)?;
        }
        Ok(this)
    }

    fn parameter(self, name: &str, value: &str) -> Result<Self> {
        let wrong = |takes: &str| config(format!("{name} takes {takes}, not {value:?}"));
        match name {
            "synchronous" => match value {
                "full" => Ok(self.synchronous(Synchronous::Full)),
                "normal" => Ok(self.synchronous(Synchronous::Normal)),
                "extra" => Ok(self.synchronous(Synchronous::Extra)),
                _ => Err(wrong("full, normal or extra")),
            },
            "busy_timeout" => {
                let timeout = duration(value).ok_or_else(|| wrong("a duration such as 500ms or 5s"))?;
                Ok(self.busy_timeout(timeout))
            }
            "readers" => match value.parse() {
                Ok(readers @ 1..=MOST_READERS) => Ok(self.readers(readers)),
                _ => Err(wrong("a number from 1 to 64")),
            },
            "create" => match value {
                "true" => Ok(self.create(true)),
                "false" => Ok(self.create(false)),
                _ => Err(wrong("true or false")),
            },
            "max_size" => {
                let size = size(value).ok_or_else(|| wrong("a number of bytes such as 512MiB"))?;
                Ok(self.max_size(size))
            }
            _ => Err(config(format!("unknown parameter {name:?}; this store knows {PARAMETERS}"))),
        }
    }

    /// When the disk is waited for; by default with every commit.
    pub fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// How long a database that another connection has locked is waited for before an operation is
    /// [`ErrorKind::Busy`]; by default 5 s.
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// How many connections read at once, from 1 to 64; by default 4. Writes have one of their own.
    pub fn readers(mut self, readers: usize) -> Self {
        self.readers = readers.clamp(1, MOST_READERS);
        self
    }

    /// Whether a missing file is created; by default it is. Its folder must exist either way.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// The most bytes that the database may have; a write that needs more is [`ErrorKind::Full`] and changes nothing.
    /// By default as many as the disk holds.
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = Some(bytes);
        self
    }

    /// Tells the time by `clock`; by default [`SystemClock`].
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Draws incarnations and tokens from `ids`; by default [`SystemIds`].
    pub fn ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }

    /// The file.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Opens the database, creating and preparing it when that is needed. Needs a Tokio runtime, which the writing
    /// task of the store lives on.
    ///
    /// # Errors
    ///
    /// `Config` (a missing folder, a database of another program, a file system that cannot hold a write-ahead log) ·
    /// `Newer` · `Corrupt` · `ReadOnly` · `Busy` · `Full`.
    pub async fn connect(self) -> Result<SqliteStore> {
        SqliteStore::start(self).await
    }
}

fn config(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Config, message)
}

/// Undoes percent-encoding; `+` is a plus sign, as it is in paths.
fn decode(text: &str) -> Result<String> {
    let wrong = || config(format!("{text:?} is not percent-encoded UTF-8"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits =
            tail.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit)).ok_or_else(wrong)?;
        let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')).ok_or_else(wrong)
}

/// A number and what stands behind it.
fn number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

fn duration(text: &str) -> Option<Duration> {
    match number(text)? {
        (n, "ms") => Some(Duration::from_millis(n)),
        (n, "s") => Some(Duration::from_secs(n)),
        (n, "m") => Some(Duration::from_secs(n.checked_mul(60)?)),
        _ => None,
    }
}

fn size(text: &str) -> Option<u64> {
    let (n, unit) = number(text)?;
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return None,
    };
    n.checked_mul(1 << shift)
}
