//! The way to the server or to the nodes of a cluster.

use std::time::Duration;

use futures_util::future::try_join_all;
use milepost_core::{Applied, Error, ErrorKind, Result};
use redis::{Cmd, RedisError, ServerErrorKind, Value};

use crate::{
    cluster::{Cluster, slot},
    error,
    layout::mark,
    node::{Failed, Node, Request},
    scripts::Script,
};

/// For so many milliseconds the mark stands that a wait needs on a cluster.
const MARKED: u64 = 1000;

/// Where requests go to.
#[derive(Debug)]
pub(crate) enum Target {
    Single(Node),
    Cluster(Cluster),
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
#[derive(Debug)]
pub(crate) struct Link {
    target: Target,
    confirm: Option<Confirm>,
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

    /// By the digest that the server knows the script by.
    fn known(&self) -> Cmd {
        self.command("EVALSHA", &self.script.sha)
    }

    fn slot(&self) -> u16 {
        self.keys.first().map_or(0, |key| slot(key))
    }

    fn failed(&self, failed: &Failed) -> Error {
        let told = match failed.error.kind() {
            redis::ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask) if failed.moving => {
                Error::new(ErrorKind::Busy, "a part of the cluster is being moved")
                    .with_source(failed.error.to_string())
            }
            _ => error::from_driver(&failed.error),
        };
        let applied = if failed.sent { error::applied(&failed.error) } else { Applied::No };
        if self.writes { told.with_applied(applied) } else { told }
    }
}

fn is_unknown(error: &RedisError) -> bool {
    error.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript)
}

impl Link {
    pub(crate) fn new(target: Target, confirm: Option<Confirm>) -> Self {
        Self { target, confirm }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.target, Target::Cluster(_))
    }

    async fn ask(&self, slot: u16, request: Request<'_>, repeatable: bool) -> Result<Vec<Value>, Failed> {
        match &self.target {
            Target::Single(node) => node.ask(request, repeatable).await,
            Target::Cluster(cluster) => cluster.ask(slot, request, repeatable).await,
        }
    }

    /// Sends a command that is no script and may be repeated; on a cluster to the node that has the key.
    pub(crate) async fn send(&self, command: &Cmd, key: &[u8]) -> Result<Value> {
        let answers = self.ask(slot(key), Request::One(command), true).await;
        let answers = answers.map_err(|failed| error::from_driver(&failed.error))?;
        Ok(answers.into_iter().next().unwrap_or(Value::Nil))
    }

    /// Sends such a command to every master of a cluster, or to the one server.
    pub(crate) async fn send_to_masters(&self, command: &Cmd) -> Result<Vec<Value>, RedisError> {
        let masters = match &self.target {
            Target::Single(node) => {
                return node.ask(Request::One(command), true).await.map_err(|failed| failed.error);
            }
            Target::Cluster(cluster) => cluster.masters().await?,
        };
        let each = masters.iter().map(|node| node.ask(Request::One(command), true));
        let answers = try_join_all(each).await.map_err(|failed| failed.error)?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// Runs a script; a server that does not know it yet is told.
    ///
    /// # Errors
    ///
    /// What the driver says; of a call that may write, with whether it has.
    pub(crate) async fn call(&self, call: &Call<'_>) -> Result<Value> {
        let answer = match self.run(call, &call.known()).await {
            Err(failed) if is_unknown(&failed.error) => {
                self.run(call, &call.command("EVAL", &call.script.source)).await
            }
            answer => answer,
        };
        match answer {
            Ok((value, confirmed)) => confirmed.map(|()| value),
            Err(failed) => Err(call.failed(&failed)),
        }
    }

    /// Runs scripts that only read: those of one node in one trip, the nodes side by side.
    ///
    /// # Errors
    ///
    /// What the driver says of the first one that fails.
    pub(crate) async fn call_all(&self, calls: Vec<Call<'_>>) -> Result<Vec<Value>> {
        let Target::Cluster(cluster) = &self.target else {
            return try_join_all(calls.iter().map(|call| self.call(call))).await;
        };
        let slots: Vec<u16> = calls.iter().map(Call::slot).collect();
        let nodes = cluster.nodes_of(&slots).await.map_err(|failure| error::from_driver(&failure))?;
        let mut waiting: Vec<usize> = (0..calls.len()).collect();
        let mut trips = Vec::new();
        while let Some(first) = waiting.first().copied() {
            let own = |at: &usize| std::sync::Arc::ptr_eq(&nodes[*at], &nodes[first]);
            let (trip, others) = waiting.into_iter().partition::<Vec<_>, _>(own);
            waiting = others;
            trips.push((nodes[first].clone(), trip));
        }
        let pipelined = |trip: &Vec<usize>| {
            let mut pipeline = redis::pipe();
            for at in trip {
                pipeline.add_command(calls[*at].known());
            }
            pipeline
        };
        let each = trips.iter().map(|(node, trip)| {
            let pipeline = pipelined(trip);
            async move { node.ask(Request::All(&pipeline), true).await }
        });
        let answers = futures_util::future::join_all(each).await;
        let mut values: Vec<Option<Value>> = calls.iter().map(|_| None).collect();
        for ((_, trip), answers) in trips.iter().zip(answers) {
            for (at, answer) in trip.iter().zip(answers.unwrap_or_default()) {
                values[*at] = answer.extract_error().ok();
            }
        }
        // What has not been answered well is asked by itself: that finds a node that moved, and tells a script.
        let settled = calls.iter().zip(values).map(|(call, value)| async move {
            match value {
                Some(value) => Ok(value),
                None => self.call(call).await,
            }
        });
        try_join_all(settled).await
    }

    /// Sends one script call, and behind it on the same connection the wait for its confirmation if one is asked for: its
    /// answer, and whether it was confirmed.
    async fn run(&self, call: &Call<'_>, command: &Cmd) -> Result<(Value, Result<()>), Failed> {
        let repeatable = !call.writes;
        let Some(confirm) = self.confirm.filter(|_| call.writes) else {
            let answers = self.ask(call.slot(), Request::One(command), repeatable).await?;
            return Ok((answers.into_iter().next().unwrap_or(Value::Nil), Ok(())));
        };
        let mut pipeline = redis::pipe();
        pipeline.add_command(command.clone());
        // A script that only repeats an answer has written nothing, and then newer servers wait for what this connection
        // wrote before, which may be nothing either. So something is put into the stream of replication behind all that
        // was written, by whomever: a message to nobody, or on a cluster, which sends messages another way, a key.
        if self.is_cluster() {
            let key = call.keys.first().map_or_else(Vec::new, |key| mark(key));
            pipeline.cmd("SET").arg(key).arg("").arg("PX").arg(MARKED);
        } else {
            pipeline.cmd("PUBLISH").arg("milepost").arg("");
        }
        let timeout = u64::try_from(confirm.timeout.as_millis()).unwrap_or(u64::MAX);
        match confirm.local {
            None => pipeline.cmd("WAIT").arg(confirm.replicas).arg(timeout),
            Some(local) => pipeline.cmd("WAITAOF").arg(local).arg(confirm.replicas).arg(timeout),
        };
        let mut answers = self.ask(call.slot(), Request::All(&pipeline), false).await?.into_iter();
        let mut next = || answers.next().unwrap_or(Value::Nil).extract_error();
        let value = next().map_err(|error| Failed { error, sent: true, moving: false })?;
        let confirmed = match next().and_then(|_| next()) {
            Ok(answer) if is_confirmed(confirm, &answer) => Ok(()),
            Ok(_) => Err(unconfirmed()),
            Err(error) => Err(unconfirmed().with_source(error.to_string())),
        };
        Ok((value, confirmed))
    }

    /// Forgets the connections. Whoever uses one at this moment is not disturbed.
    pub(crate) fn close(&self) {
        match &self.target {
            Target::Single(node) => node.close(),
            Target::Cluster(cluster) => cluster.close(),
        }
    }
}

/// Whether `WAIT` or `WAITAOF` has counted enough.
fn is_confirmed(confirm: Confirm, answer: &Value) -> bool {
    let (local, replicas) = match answer {
        Value::Int(replicas) => (0, *replicas),
        Value::Array(both) => match both[..] {
            [Value::Int(local), Value::Int(replicas)] => (local, replicas),
            _ => return false,
        },
        _ => return false,
    };
    local >= i64::from(confirm.local.unwrap_or(0)) && replicas >= i64::from(confirm.replicas)
}

fn unconfirmed() -> Error {
    Error::new(
        ErrorKind::TimedOut,
        "the server has the write, but too few replicas or disks confirmed it in time: send it again, or check the \
         replicas and wait_timeout",
    )
    .with_applied(Applied::Maybe)
}
