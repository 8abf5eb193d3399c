//! Redis Cluster: three masters on loopback, every slot served.

use std::fs;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use anyhow::{Context, bail};

use crate::daemon::Daemon;
use crate::home::{Home, Left};
use crate::kind::Server;
use crate::redis::{Node, TOOLS, local};
use crate::wait::{PATIENCE, wait_for};
use crate::{answer, port};

/// The slots of each node.
const SLOTS: [RangeInclusive<u16>; 3] = [0..=5460, 5461..=10922, 10923..=16383];

/// Three Redis nodes without replicas. Each writes to disk before it answers.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<(SocketAddr, Daemon)>,
    home: Arc<Home>,
}

impl RedisCluster {
    /// Starts the nodes, shares the slots out, and waits until every node knows all of them.
    ///
    /// # Errors
    ///
    /// When there is no Redis, with the command that installs it; when the nodes do not come up, with what they said.
    pub fn start() -> anyhow::Result<Self> {
        let home = Arc::new(Home::new("redis-cluster")?);
        let settings = [("cluster-enabled".to_owned(), "yes".to_owned())];
        let mut nodes = Vec::new();
        for number in 1..=SLOTS.len() {
            let name = format!("node-{number}");
            let folder = home.path().join(&name);
            fs::create_dir(&folder)?;
            let port = port::free()?;
            let program = TOOLS.program("redis-server")?;
            let node = Node { program, folder: &folder, port, settings: &settings };
            nodes.push((local(port), node.start(&home, &name, None)?));
        }
        let cluster = Self { nodes, home };
        for (number, ((address, _), slots)) in cluster.nodes.iter().zip(SLOTS).enumerate() {
            let slots: Vec<_> = slots.map(|slot| slot.to_string()).collect();
            tell(*address, &format!("CLUSTER ADDSLOTS {}", slots.join(" ")))?;
            tell(*address, &format!("CLUSTER SET-CONFIG-EPOCH {}", number + 1))?;
        }
        let (first, others) = cluster.nodes.split_first().context("a cluster has nodes")?;
        for (address, _) in others {
            tell(first.0, &format!("CLUSTER MEET {} {}", address.ip(), address.port()))?;
        }
        cluster.settle()?;
        Ok(cluster)
    }

    /// Where each node listens.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|(address, _)| *address).collect()
    }

    /// SIGKILL to one node.
    ///
    /// # Errors
    ///
    /// When there is no such node, or the operating system does not do it.
    pub fn kill_node(&self, number: usize) -> anyhow::Result<()> {
        self.node(number)?.kill()
    }

    /// Starts one node again on its port and its data, and waits until the cluster serves every slot.
    ///
    /// # Errors
    ///
    /// When there is no such node, or it does not come up.
    pub fn restart_node(&self, number: usize) -> anyhow::Result<()> {
        self.node(number)?.restart()?;
        self.settle()
    }

    fn node(&self, number: usize) -> anyhow::Result<&Daemon> {
        self.nodes.get(number).map(|(_, daemon)| daemon).with_context(|| format!("there is no node {number}"))
    }

    /// Waits until every node says that all slots are served and that it knows all nodes.
    fn settle(&self) -> anyhow::Result<()> {
        let known = format!("cluster_known_nodes:{}", self.nodes.len());
        let settled = |address: &SocketAddr| {
            let said = answer::redis(*address, None, "CLUSTER INFO").unwrap_or_default();
            let says = |line: &str| said.lines().any(|said| said == line);
            says("cluster_state:ok") && says(&known)
        };
        let all = || Ok(self.nodes.iter().all(|(address, _)| settled(address)).then_some(()));
        wait_for(PATIENCE, all)?.context("the nodes do not become a cluster")
    }
}

fn tell(address: SocketAddr, command: &str) -> anyhow::Result<()> {
    let said = answer::redis(address, None, command)?;
    if said != "+OK" {
        bail!("{address} refuses `{}`: {said}", command.chars().take(60).collect::<String>());
    }
    Ok(())
}

impl Server for RedisCluster {
    fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    fn address(&self) -> SocketAddr {
        self.nodes[0].0
    }

    fn kill(&self) -> anyhow::Result<()> {
        self.nodes.iter().try_for_each(|(_, daemon)| daemon.kill())
    }

    fn restart(&self) -> anyhow::Result<()> {
        self.nodes.iter().try_for_each(|(_, daemon)| daemon.restart())?;
        self.settle()
    }

    fn leave(&self) -> Left {
        self.home.leave();
        let processes = self.nodes.iter().filter_map(|(_, daemon)| daemon.leave()).collect();
        Left { processes, folders: vec![self.home.path().to_owned()] }
    }
}
