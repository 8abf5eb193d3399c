//! PostgreSQL.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use anyhow::Context;

use crate::account::Account;
use crate::certificates::Certificates;
use crate::daemon::{Daemon, Launch};
use crate::home::{Home, Left};
use crate::kind::Server;
use crate::run::run;
use crate::tools::Tools;
use crate::{answer, port};

const TOOLS: Tools = Tools {
    programs: &["initdb", "postgres"],
    folders: &["/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin"],
    debian: &["postgresql"],
};

/// The superuser, whose name is also that of the database in [`Postgres::url`].
const USER: &str = "postgres";

/// A PostgreSQL with a cluster of its own: the newest one on this machine.
#[derive(Debug)]
pub struct Postgres {
    daemon: Daemon,
    home: Arc<Home>,
    address: SocketAddr,
    password: Option<String>,
}

/// What is different from the usual: `fsync=on`, 200 connections, everybody on loopback is trusted.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    settings: Vec<(String, String)>,
    password: Option<String>,
    certificates: Option<Certificates>,
}

impl PostgresOptions {
    /// Sets a parameter of the server, such as `fsync` or `max_connections`.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Asks every client for this password, by SCRAM.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Speaks TLS with clients that ask for it.
    pub fn tls(mut self, certificates: &Certificates) -> Self {
        self.certificates = Some(certificates.clone());
        self
    }

    /// Makes the cluster, starts the server, and waits until it answers.
    ///
    /// # Errors
    ///
    /// When there is no PostgreSQL, with the command that installs it; when it does not come up, with what it said.
    pub fn start(mut self) -> anyhow::Result<Postgres> {
        let tools = TOOLS.folder()?;
        let account = Account::unprivileged()?;
        let home = Arc::new(Home::new("postgres")?);
        account.own(home.path())?;
        let data = home.path().join("data");
        self.init(&tools, account, &home, &data)?;
        if let Some(certificates) = &self.certificates {
            let [certificate, key] = certificates.give(home.path(), account)?;
            self = self
                .setting("ssl", "on")
                .setting("ssl_cert_file", &certificate.display().to_string())
                .setting("ssl_key_file", &key.display().to_string());
        }
        let port = port::free()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let launch = Launch {
            name: "postgres".to_owned(),
            program: tools.join("postgres"),
            arguments: self.arguments(&home, &data, port),
            environment: Vec::new(),
            account,
        };
        let lock = data.join("postmaster.pid");
        // The lock file of one that was killed still says `ready`: the first line must name ours.
        let ready = move |process: u32| {
            let text = fs::read_to_string(&lock).unwrap_or_default();
            text.lines().next() == Some(process.to_string().as_str()) && answer::postgres(address)
        };
        let daemon = Daemon::start(home.clone(), launch, ready)?;
        Ok(Postgres { daemon, home, address, password: self.password })
    }

    fn init(
        &self,
        tools: &std::path::Path,
        account: Account,
        home: &Home,
        data: &PathBuf,
    ) -> anyhow::Result<()> {
        let mut command = Command::new(tools.join("initdb"));
        command.current_dir(home.path()).arg("--pgdata").arg(data);
        command.args(["--username", USER, "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"]);
        if let Some(password) = &self.password {
            let file = home.path().join("password");
            fs::write(&file, password)?;
            account.own(&file)?;
            command.args(["--auth", "scram-sha-256", "--pwfile"]).arg(file);
        } else {
            command.args(["--auth", "trust"]);
        }
        account.apply(&mut command);
        run(&mut command).context("cannot make a cluster").map(drop)
    }

    fn arguments(&self, home: &Home, data: &PathBuf, port: u16) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["-D".into(), data.into()];
        let usual = [
            ("listen_addresses", Ipv4Addr::LOCALHOST.to_string()),
            ("port", port.to_string()),
            ("unix_socket_directories", home.path().display().to_string()),
            ("max_connections", "200".to_owned()),
            // In the folder, and so gone with it: what a killed server leaves of the other kind stays until the next boot.
            ("dynamic_shared_memory_type", "mmap".to_owned()),
            // After a kill: one call instead of one for each of a thousand files.
            ("recovery_init_sync_method", "syncfs".to_owned()),
        ];
        let usual = usual.iter().map(|(name, value)| format!("{name}={value}"));
        let asked = self.settings.iter().map(|(name, value)| format!("{name}={value}"));
        for setting in usual.chain(asked) {
            arguments.extend(["-c".into(), setting.into()]);
        }
        arguments
    }
}

impl Postgres {
    /// The usual one.
    ///
    /// # Errors
    ///
    /// As [`PostgresOptions::start`].
    pub fn start() -> anyhow::Result<Self> {
        Self::options().start()
    }

    /// One with other settings: finish with [`PostgresOptions::start`].
    pub fn options() -> PostgresOptions {
        PostgresOptions::default()
    }

    /// The number of its first process, while it runs.
    pub fn process(&self) -> Option<u32> {
        self.daemon.process()
    }
}

impl Server for Postgres {
    fn url(&self) -> String {
        let secret = self.password.as_ref().map(|password| format!(":{password}")).unwrap_or_default();
        format!("postgres://{USER}{secret}@{}/{USER}", self.address)
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
