//! Redis.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::account::Account;
use crate::certificates::Certificates;
use crate::daemon::{Daemon, Launch};
use crate::home::{Home, Left};
use crate::kind::Server;
use crate::tools::Tools;
use crate::{answer, port, valkey};

pub(crate) const TOOLS: Tools = Tools {
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
    tls: Option<SocketAddr>,
    password: Option<String>,
}

/// What is different from the usual.
#[derive(Clone, Debug, Default)]
pub struct RedisOptions {
    settings: Vec<(String, String)>,
    password: Option<String>,
    certificates: Option<Certificates>,
    valkey: bool,
}

impl RedisOptions {
    /// Sets a directive of `redis.conf`, such as `appendfsync` to `always`, `everysec` or `no`, `appendonly`, or
    /// `maxmemory-policy`. Several values have blanks between them.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Asks every client for this password, which has no blanks.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self.setting("requirepass", password)
    }

    /// Copies whatever `master` has and gets, and takes no writes.
    pub fn replica_of(self, master: &Redis) -> Self {
        let master = master.address;
        self.setting("replicaof", &format!("{} {}", master.ip(), master.port()))
    }

    /// Listens for TLS, too, at [`Redis::tls`].
    pub fn tls(mut self, certificates: &Certificates) -> Self {
        self.certificates = Some(certificates.clone());
        self
    }

    /// Valkey in the place of Redis: what this machine has, or else a version that is fetched.
    pub fn valkey(mut self) -> Self {
        self.valkey = true;
        self
    }

    /// Starts it and waits until it answers, its data read.
    ///
    /// # Errors
    ///
    /// When there is no Redis, with the command that installs it; when it does not come up, with what it said.
    pub fn start(mut self) -> anyhow::Result<Redis> {
        let home = Arc::new(Home::new("redis")?);
        let port = port::free()?;
        let mut tls = None;
        if let Some(certificates) = &self.certificates {
            let [certificate, key] = certificates.give(home.path(), Account::OWN)?;
            let address = local(port::free()?);
            self = self
                .setting("tls-port", &address.port().to_string())
                .setting("tls-cert-file", &certificate.display().to_string())
                .setting("tls-key-file", &key.display().to_string())
                .setting("tls-auth-clients", "no");
            tls = Some(address);
        }
        let program = if self.valkey { valkey::program()? } else { TOOLS.program("redis-server")? };
        let node = Node { program, folder: home.path(), port, settings: &self.settings };
        let daemon = node.start(&home, "redis", self.password.clone())?;
        Ok(Redis { daemon, home, address: local(port), tls, password: self.password })
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

    /// Where it listens for TLS, if it has certificates.
    pub fn tls(&self) -> Option<SocketAddr> {
        self.tls
    }

    /// The number of its process, while it runs.
    pub fn process(&self) -> Option<u32> {
        self.daemon.process()
    }
}

pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// One Redis process.
pub(crate) struct Node<'a> {
    pub(crate) program: PathBuf,
    /// Where its data is.
    pub(crate) folder: &'a Path,
    pub(crate) port: u16,
    pub(crate) settings: &'a [(String, String)],
}

impl Node<'_> {
    pub(crate) fn start(
        self,
        home: &Arc<Home>,
        name: &str,
        password: Option<String>,
    ) -> anyhow::Result<Daemon> {
        let port = self.port;
        let launch = Launch {
            name: name.to_owned(),
            arguments: self.arguments(),
            program: self.program,
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

    fn arguments(&self) -> Vec<OsString> {
        let own = |name: &str, value: &str| [OsString::from(format!("--{name}")), OsString::from(value)];
        let mut arguments = Vec::new();
        arguments.extend(own("bind", &Ipv4Addr::LOCALHOST.to_string()));
        arguments.extend(own("port", &self.port.to_string()));
        arguments.extend(own("save", ""));
        arguments.extend(own("daemonize", "no"));
        arguments.extend(own("appendonly", "yes"));
        arguments.extend(own("appendfsync", "always"));
        // Whoever asks for a copy is not kept waiting for others that might.
        arguments.extend(own("repl-diskless-sync-delay", "0"));
        arguments.extend([OsString::from("--dir"), self.folder.into()]);
        for (name, values) in self.settings {
            arguments.push(format!("--{name}").into());
            arguments.extend(values.split(' ').map(OsString::from));
        }
        arguments
    }
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
