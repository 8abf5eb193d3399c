//! Redis.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use crate::account::Account;
use crate::daemon::{Daemon, Launch};
use crate::home::{Home, Left};
use crate::kind::Server;
use crate::tools::Tools;
use crate::{answer, port};

const TOOLS: Tools = Tools {
    programs: &["redis-server"],
    folders: &["/usr/local/bin", "/usr/sbin"],
    debian: &["redis-server"],
};

/// A Redis that writes every command to its append-only file, and to disk before it answers.
#[derive(Debug)]
pub struct Redis {
    daemon: Daemon,
    home: Arc<Home>,
    address: SocketAddr,
    password: Option<String>,
}

/// What is different from the usual.
#[derive(Clone, Debug, Default)]
pub struct RedisOptions {
    settings: Vec<(String, String)>,
    password: Option<String>,
}

impl RedisOptions {
    /// Sets a directive of `redis.conf`, such as `appendfsync` to `always`, `everysec` or `no`, `appendonly`, or
    /// `maxmemory-policy`.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Asks every client for this password, which has no blanks.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self.setting("requirepass", password)
    }

    /// Starts it and waits until it answers, its data read.
    ///
    /// # Errors
    ///
    /// When there is no Redis, with the command that installs it; when it does not come up, with what it said.
    pub fn start(self) -> anyhow::Result<Redis> {
        let home = Arc::new(Home::new("redis")?);
        let port = port::free()?;
        let daemon = node(&home, "redis", home.path(), port, &self.settings, self.password.clone())?;
        Ok(Redis { daemon, home, address: local(port), password: self.password })
    }
}

impl Redis {
    /// The usual one.
    ///
    /// # Errors
    ///
    /// As [`RedisOptions::start`].
    pub fn start() -> anyhow::Result<Self> {
        Self::options().start()
    }

    /// One with other settings: finish with [`RedisOptions::start`].
    pub fn options() -> RedisOptions {
        RedisOptions::default()
    }
}

pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// One Redis process with its data in `folder`.
pub(crate) fn node(
    home: &Arc<Home>,
    name: &str,
    folder: &Path,
    port: u16,
    settings: &[(String, String)],
    password: Option<String>,
) -> anyhow::Result<Daemon> {
    let own = |name: &str, value: &str| [OsString::from(format!("--{name}")), OsString::from(value)];
    let mut arguments = Vec::new();
    arguments.extend(own("bind", &Ipv4Addr::LOCALHOST.to_string()));
    arguments.extend(own("port", &port.to_string()));
    arguments.extend(own("save", ""));
    arguments.extend(own("daemonize", "no"));
    arguments.extend(own("appendonly", "yes"));
    arguments.extend(own("appendfsync", "always"));
    arguments.extend([OsString::from("--dir"), folder.into()]);
    arguments.extend(settings.iter().flat_map(|(name, value)| own(name, value)));
    let launch = Launch {
        name: name.to_owned(),
        program: TOOLS.program("redis-server")?,
        arguments,
        environment: Vec::new(),
        account: Account::OWN,
    };
    // `INFO` is refused while the data is read, and names the process, which must be ours.
    let ready = move |process: u32| {
        answer::redis(local(port), password.as_deref(), "INFO server")
            .is_ok_and(|text| text.lines().any(|line| line == format!("process_id:{process}")))
            && answer::redis(local(port), password.as_deref(), "PING").is_ok_and(|text| text == "+PONG")
    };
    Daemon::start(home.clone(), launch, ready)
}

impl Server for Redis {
    fn url(&self) -> String {
        let secret = self.password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default();
        format!("redis://{secret}{}", self.address)
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn kill(&self) -> anyhow::Result<()> {
        self.daemon.kill()
    }

    fn restart(&self) -> anyhow::Result<()> {
        self.daemon.restart()
    }

    fn leave(&self) -> Left {
        self.home.leave();
        Left {
            processes: self.daemon.leave().into_iter().collect(),
            folders: vec![self.home.path().to_owned()],
        }
    }
}
