//! A Redis Sentinel: what tells clients which of several servers is the master, and has another one take over.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::account::Account;
use crate::daemon::{Daemon, Launch};
use crate::home::{Home, Left};
use crate::kind::Server;
use crate::redis::{Redis, TOOLS, local};
use crate::{answer, port};

/// What it calls the master.
const MASTER: &str = "milepost";

/// One sentinel, which decides alone: half a second after a master has fallen silent, one of its replicas is to take over.
#[derive(Debug)]
pub struct RedisSentinel {
    daemon: Daemon,
    home: Arc<Home>,
    address: SocketAddr,
}

impl RedisSentinel {
    /// Watches a master and whatever replicas it has, now or later.
    ///
    /// # Errors
    ///
    /// When there is no Redis, with the command that installs it; when it does not come up, with what it said.
    pub fn watching(master: &Redis) -> anyhow::Result<Self> {
        let home = Arc::new(Home::new("redis-sentinel")?);
        let address = local(port::free()?);
        let file = home.path().join("sentinel.conf");
        let watched = master.address();
        let lines = [
            format!("bind {}", address.ip()),
            format!("port {}", address.port()),
            format!("dir {}", home.path().display()),
            format!("sentinel monitor {MASTER} {} {} 1", watched.ip(), watched.port()),
            format!("sentinel down-after-milliseconds {MASTER} 500"),
            format!("sentinel failover-timeout {MASTER} 3000"),
        ];
        fs::write(&file, lines.join("\n") + "\n")?;
        let launch = Launch {
            name: "redis-sentinel".to_owned(),
            program: TOOLS.program("redis-server")?,
            arguments: vec![file.into(), "--sentinel".into()],
            environment: Vec::new(),
            account: Account::OWN,
        };
        let ready = move |_| answer::redis(address, None, "PING").is_ok_and(|text| text == "+PONG");
        let daemon = Daemon::start(home.clone(), launch, ready)?;
        Ok(Self { daemon, home, address })
    }
}

impl Server for RedisSentinel {
    /// Asks it for the master.
    fn url(&self) -> String {
        format!("redis+sentinel://{}/{MASTER}", self.address)
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
