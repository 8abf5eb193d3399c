//! The way to the server: one connection that everybody shares, made again when it was cut, or the cluster's.

use std::{fmt, time::Duration};

use futures_util::future::BoxFuture;
use milepost_core::{Applied, Error, ErrorKind, Result};
use redis::{
    AsyncConnectionConfig, Client, Cmd, Pipeline, RedisError, RedisResult, ServerErrorKind, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
};
use tokio::sync::Mutex;

use crate::{error, scripts::Script};

/// Where connections are made to.
pub(crate) enum Target {
    Single(Box<Client>),
    Cluster(Box<ClusterClient>),
    #[cfg(feature = "sentinel")]
    Sentinel(Box<Mutex<redis::sentinel::SentinelClient>>),
}

/// How many replicas, and whose disks, have to have a write before it is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Confirm {
    /// `WAITAOF`'s first number: whether the server's own disk has to have it; `None`: `WAIT`.
    pub(crate) local: Option<u32>,
    pub(crate) replicas: u32,
    pub(crate) timeout: Duration,
}

/// The way to the server.
pub(crate) struct Link {
    target: Target,
    timeout: Duration,
    confirm: Option<Confirm>,
    /// The connection with its number, so that who finds it cut does not drop a newer one.
    shared: Mutex<(u64, Option<Connection>)>,
}

#[derive(Clone)]
enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    async fn send(&mut self, command: &Cmd) -> RedisResult<Value> {
        let answer = match self {
            Connection::Single(connection) => connection.send_packed_command(command).await,
            Connection::Cluster(connection) => connection.req_packed_command(command).await,
        };
        answer.and_then(Value::extract_error)
    }

    async fn send_all(&mut self, pipeline: &Pipeline, count: usize) -> RedisResult<Vec<Value>> {
        match self {
            Connection::Single(connection) => connection.send_packed_commands(pipeline, 0, count).await,
            Connection::Cluster(connection) => connection.req_packed_commands(pipeline, 0, count).await,
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("timeout", &self.timeout)
            .field("confirm", &self.confirm)
            .finish_non_exhaustive()
    }
}

/// What is asked of a script.
pub(crate) struct Call<'a> {
    pub(crate) script: &'a Script,
    pub(crate) keys: Vec<Vec<u8>>,
    pub(crate) args: Vec<Vec<u8>>,
    /// Whether it may write: then its failure says whether it has.
    pub(crate) writes: bool,
}

impl Call<'_> {
    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(self.keys.len());
        for part in self.keys.iter().chain(&self.args) {
            command.arg(&part[..]);
        }
        command
    }

    fn failed(&self, failure: &RedisError) -> Error {
        let told = error::from_driver(failure);
        if self.writes { told.with_applied(error::applied(failure)) } else { told }
    }
}

impl Link {
    pub(crate) fn new(target: Target, timeout: Duration, confirm: Option<Confirm>) -> Self {
        Self { target, timeout, confirm, shared: Mutex::new((0, None)) }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.target, Target::Cluster(_))
    }

    /// The shared connection, made if there is none.
    async fn connection(&self) -> RedisResult<(u64, Connection)> {
        let mut shared = self.shared.lock().await;
        let (number, slot) = &mut *shared;
        if slot.is_none() {
            *slot = Some(self.connect().await?);
            *number += 1;
        }
        Ok((*number, slot.clone().expect("it has just been made")))
    }

    fn connect(&self) -> BoxFuture<'_, RedisResult<Connection>> {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(self.timeout)).set_response_timeout(
                Some(self.timeout + self.confirm.map_or(Duration::ZERO, |confirm| confirm.timeout)),
            );
        Box::pin(async move {
            match &self.target {
                Target::Single(client) => {
                    let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
                    Ok(Connection::Single(connection))
                }
                Target::Cluster(client) => Ok(Connection::Cluster(client.get_async_connection().await?)),
                #[cfg(feature = "sentinel")]
                Target::Sentinel(client) => {
                    let connection = client.lock().await.get_async_connection_with_config(&config).await?;
                    Ok(Connection::Single(connection))
                }
            }
        })
    }

    /// A connection that was cut makes way for a new one.
    async fn drop_cut(&self, number: u64, failure: &RedisError) {
        let cut = failure.is_unrecoverable_error() || failure.is_io_error() && !failure.is_timeout();
        // A master that became a replica is looked for anew, where somebody knows who is master now.
        let demoted = failure.kind() == redis::ErrorKind::Server(ServerErrorKind::ReadOnly);
        if !(cut || demoted) || self.is_cluster() {
            return;
        }
        let mut shared = self.shared.lock().await;
        if shared.0 == number {
            shared.1 = None;
        }
    }

    /// Sends a command that is no script.
    pub(crate) async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        let (number, mut connection) = self.connection().await?;
        let answer = connection.send(command).await;
        if let Err(failure) = &answer {
            self.drop_cut(number, failure).await;
        }
        answer
    }

    /// Sends a command to every master of a cluster, or to the one server.
    pub(crate) async fn send_to_masters(&self, command: &Cmd) -> RedisResult<Vec<Value>> {
        use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
        let (_, connection) = self.connection().await?;
        let Connection::Cluster(mut connection) = connection else {
            return Ok(vec![self.send(command).await?]);
        };
        let routing = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
        let answer = connection.route_command(command.clone(), routing).await?;
        Ok(match answer {
            Value::Map(nodes) => nodes.into_iter().map(|(_, answer)| answer).collect(),
            Value::Array(answers) => answers,
            other => vec![other],
        })
    }

    /// Runs a script; a server that does not know it yet is told.
    ///
    /// # Errors
    ///
    /// What the driver says; of a call that may write, with whether it has.
    pub(crate) async fn call(&self, call: &Call<'_>) -> Result<Value> {
        let connected = self.connection().await;
        let (number, mut connection) = connected.map_err(|failure| {
            let told = error::from_driver(&failure);
            if call.writes { told.with_applied(Applied::No) } else { told }
        })?;
        let answer = match self.run(&mut connection, &call.command("EVALSHA", &call.script.sha)).await {
            Err(failure) if failure.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.run(&mut connection, &call.command("EVAL", &call.script.source)).await
            }
            answer => answer,
        };
        match answer {
            Ok((value, confirmed)) => {
                if call.writes && !confirmed {
                    return Err(unconfirmed());
                }
                Ok(value)
            }
            Err(failure) => {
                self.drop_cut(number, &failure).await;
                Err(call.failed(&failure))
            }
        }
    }

    /// Sends one script call, and behind it on the same connection the wait for its confirmation if one is asked for.
    async fn run(&self, connection: &mut Connection, command: &Cmd) -> RedisResult<(Value, bool)> {
        let Some(confirm) = self.confirm else { return Ok((connection.send(command).await?, true)) };
        let mut pipeline = redis::pipe();
        let timeout = u64::try_from(confirm.timeout.as_millis()).unwrap_or(u64::MAX);
        pipeline.add_command(command.clone());
        if !self.is_cluster() {
            // A script that only repeats an answer has written nothing, and then newer servers wait for what this
            // connection wrote before, which may be nothing either. A message to nobody stands in the stream of
            // replication behind everything that was written, by whomever.
            pipeline.cmd("PUBLISH").arg("milepost").arg("");
        }
        match confirm.local {
            None => pipeline.cmd("WAIT").arg(confirm.replicas).arg(timeout),
            Some(local) => pipeline.cmd("WAITAOF").arg(local).arg(confirm.replicas).arg(timeout),
        };
        let count = pipeline.cmd_iter().count();
        let mut answers = connection.send_all(&pipeline, count).await?.into_iter();
        let value = answers.next().unwrap_or(Value::Nil).extract_error()?;
        let enough = match answers.next_back().unwrap_or(Value::Nil).extract_error()? {
            Value::Int(replicas) => replicas >= i64::from(confirm.replicas),
            Value::Array(both) => match both[..] {
                [Value::Int(local), Value::Int(replicas)] => {
                    local >= i64::from(confirm.local.unwrap_or(0)) && replicas >= i64::from(confirm.replicas)
                }
                _ => false,
            },
            _ => false,
        };
        Ok((value, enough))
    }

    /// Forgets the connection. Whoever uses it at this moment is not disturbed.
    pub(crate) async fn close(&self) {
        self.shared.lock().await.1 = None;
    }
}

fn unconfirmed() -> Error {
    Error::new(
        ErrorKind::TimedOut,
        "the server has the write, but too few replicas or disks confirmed it in time",
    )
    .with_applied(Applied::Maybe)
}
