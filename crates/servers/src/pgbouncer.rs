//! PgBouncer in transaction mode: what finds every piece of session state.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::Context;

use crate::account::Account;
use crate::daemon::{Daemon, Launch};
use crate::home::{Home, Left};
use crate::kind::Server;
use crate::run::run;
use crate::tools::Tools;
use crate::{Postgres, answer, port};

const TOOLS: Tools =
    Tools { programs: &["pgbouncer"], folders: &["/usr/sbin", "/usr/local/sbin"], debian: &["pgbouncer"] };

/// The first version that carries prepared statements from one server connection to another.
const PREPARES: (u32, u32) = (1, 21);

/// A PgBouncer in transaction mode, in front of a PostgreSQL.
///
/// Prepared statements are carried over where its version can (1.21 and newer); Debian 12's 1.18 cannot.
#[derive(Debug)]
pub struct PgBouncer {
    daemon: Daemon,
    home: Arc<Home>,
    behind: Arc<Postgres>,
    address: SocketAddr,
    prepares: bool,
}

impl PgBouncer {
    /// One in front of a PostgreSQL of its own.
    ///
    /// # Errors
    ///
    /// When one of them cannot be had, with the command that installs it; when it does not come up, with what it said.
    pub fn start() -> anyhow::Result<Self> {
        Self::before(Arc::new(Postgres::start()?))
    }

    /// One in front of this PostgreSQL, which must trust its clients (no password).
    ///
    /// # Errors
    ///
    /// As [`PgBouncer::start`].
    pub fn before(behind: Arc<Postgres>) -> anyhow::Result<Self> {
        let program = TOOLS.program("pgbouncer")?;
        let said = run(Command::new(&program).arg("--version"))?;
        let prepares = version(&said).with_context(|| format!("no version: {said:?}"))? >= PREPARES;
        let account = Account::unprivileged()?;
        let home = Arc::new(Home::new("pgbouncer")?);
        account.own(home.path())?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()?));
        let settings = home.path().join("pgbouncer.ini");
        let users = home.path().join("users.txt");
        fs::write(&settings, configuration(address, behind.address(), &users, prepares))?;
        fs::write(&users, "\"postgres\" \"\"\n")?;
        account.own(&settings)?;
        account.own(&users)?;
        let launch = Launch {
            name: "pgbouncer".to_owned(),
            program,
            arguments: vec![OsString::from(settings)],
            environment: Vec::new(),
            account,
        };
        let daemon = Daemon::start(home.clone(), launch, move |_| answer::postgres(address))?;
        Ok(Self { daemon, home, behind, address, prepares })
    }

    /// The PostgreSQL behind it.
    pub fn behind(&self) -> &Arc<Postgres> {
        &self.behind
    }

    /// Whether prepared statements survive a change of the server connection.
    pub fn carries_prepared_statements(&self) -> bool {
        self.prepares
    }
}

/// Fewer server connections than clients, so that transactions of one client do move between them. A server that is down is
/// looked for each second, not each 15, and waited for so long as people wait, not for two minutes. A session of the server
/// lives 20 seconds, not an hour: the kit sets up and drops a schema a case, and each of those makes every old session look
/// through all that it has ever planned, in the end for 18 seconds. sqlx sends `extra_float_digits`, which PgBouncer does not
/// know.
fn configuration(address: SocketAddr, behind: SocketAddr, users: &Path, prepares: bool) -> String {
    let prepared = if prepares { "max_prepared_statements = 200\n" } else { "" };
    format!(
        "[databases]\n\
         * = host={} port={}\n\
         [pgbouncer]\n\
         listen_addr = {}\n\
         listen_port = {}\n\
         unix_socket_dir =\n\
         auth_type = trust\n\
         auth_file = {}\n\
         pool_mode = transaction\n\
         default_pool_size = 20\n\
         max_client_conn = 1000\n\
         server_login_retry = 1\n\
         query_wait_timeout = 3\n\
         server_lifetime = 20\n\
         ignore_startup_parameters = extra_float_digits\n\
         {prepared}",
        behind.ip(),
        behind.port(),
        address.ip(),
        address.port(),
        users.display(),
    )
}

/// `PgBouncer 1.18.0` as two numbers.
fn version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.lines().next()?.split(' ').nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

impl Server for PgBouncer {
    fn url(&self) -> String {
        format!("postgres://postgres@{}/postgres", self.address)
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    /// Only the PgBouncer itself: see [`PgBouncer::behind`].
    fn kill(&self) -> anyhow::Result<()> {
        self.daemon.kill()
    }

    fn restart(&self) -> anyhow::Result<()> {
        self.daemon.restart()
    }

    /// With the PostgreSQL behind it.
    fn leave(&self) -> Left {
        self.home.leave();
        let mut left = self.behind.leave();
        left.processes.extend(self.daemon.leave());
        left.folders.push(self.home.path().to_owned());
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prepared_statements_are_asked_of_versions_that_have_them() {
        assert_eq!(version("PgBouncer 1.18.0\nlibevent 2.1.12\n"), Some((1, 18)));
        assert!(version("PgBouncer 1.21.0").unwrap() >= PREPARES);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 6432));
        let asks = |prepares| {
            configuration(address, address, Path::new("users"), prepares).contains("max_prepared_statements")
        };
        assert!(asks(true) && !asks(false));
    }
}
