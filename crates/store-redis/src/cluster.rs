//! A cluster: which node has which slot, learned from the nodes themselves, and learned again when one says that it moved.
//!
//! A request goes to one node and is sent again only when that node has surely not executed it: it said that the slot is
//! another one's, or it could not be connected to and others know better. So what a write has done is as certain as on one
//! server.

use std::{collections::BTreeMap, fmt, sync::Arc};

use redis::{ConnectionAddr, ConnectionInfo, RedisError, RedisResult, ServerErrorKind, Value};

use crate::{
    error::no_cluster,
    node::{Failed, Node, Patience, Request},
    shared::Shared,
};

const SLOTS: u16 = 16_384;

/// A request follows so many moves at most.
const MOVES: usize = 8;

/// The nodes of a cluster.
pub(crate) struct Cluster {
    seeds: Arc<Seeds>,
    map: Shared<Map>,
}

/// What the configuration says.
struct Seeds {
    /// Where nodes are.
    nodes: Vec<ConnectionInfo>,
    patience: Patience,
}

/// A node's host and port.
type At = (String, u16);

/// Who has which slots.
#[derive(Default)]
struct Map {
    nodes: BTreeMap<At, Arc<Node>>,
    /// The last slot of each range with its master, in order.
    ranges: Vec<(u16, Arc<Node>)>,
}

impl Map {
    fn master(&self, slot: u16) -> Option<&Arc<Node>> {
        let at = self.ranges.partition_point(|(last, _)| *last < slot);
        self.ranges.get(at).map(|(_, node)| node)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("patience", &self.seeds.patience).finish_non_exhaustive()
    }
}

/// The slot of a key: that of what stands in its first braces, if anything does.
pub(crate) fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let tail = &key[open + 1..];
        let close = tail.iter().position(|byte| *byte == b'}')?;
        (close > 0).then(|| &tail[..close])
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8)
            .fold(crc ^ u16::from(*byte) << 8, |crc, _| (crc << 1) ^ if crc >> 15 == 1 { 0x1021 } else { 0 })
    })
}

/// Whether the node has not executed it because the slot is another one's, or it is no master any more.
fn moved(error: &RedisError) -> bool {
    let elsewhere = [ServerErrorKind::Moved, ServerErrorKind::ReadOnly].map(redis::ErrorKind::Server);
    elsewhere.contains(&error.kind())
}

/// The first answer of a node that refuses a whole request.
fn first_error(answers: &[Value]) -> Option<RedisError> {
    answers.first()?.clone().extract_error().err()
}

fn nobody() -> RedisError {
    RedisError::from((redis::ErrorKind::Io, "no node of the cluster serves the slot"))
}

impl Cluster {
    pub(crate) fn new(nodes: Vec<ConnectionInfo>, patience: Patience) -> Self {
        Self { seeds: Arc::new(Seeds { nodes, patience }), map: Shared::default() }
    }

    /// Sends a request whose keys are all of one slot.
    pub(crate) async fn ask(
        &self,
        slot: u16,
        request: Request<'_>,
        repeatable: bool,
    ) -> Result<Vec<Value>, Failed> {
        let mut moves = 0;
        loop {
            let map = self.map().await.map_err(Failed::unsent)?;
            let node = map.master(slot).ok_or_else(|| Failed::unsent(nobody()))?;
            let answer = match node.ask(request, repeatable).await {
                Ok(answers) => match first_error(&answers) {
                    Some(error) => Err(Failed { error, sent: true, moving: false }),
                    None => return Ok(answers),
                },
                Err(failed) => Err(failed),
            };
            let failed = match answer {
                Err(failed) if (moved(&failed.error) || !failed.sent) && moves < MOVES => failed,
                answer => return answer.map_err(|failed| Failed { moving: true, ..failed }),
            };
            moves += 1;
            let learned = self.learn(&map).await;
            let other = learned.is_ok_and(|map| map.master(slot).is_some_and(|now| !Arc::ptr_eq(now, node)));
            if !other && !moved(&failed.error) {
                return Err(failed);
            }
        }
    }

    /// A node for each of some slots, so that what goes to one node goes in one trip.
    pub(crate) async fn nodes_of(&self, slots: &[u16]) -> RedisResult<Vec<Arc<Node>>> {
        let map = self.map().await?;
        slots.iter().map(|slot| map.master(*slot).cloned().ok_or_else(nobody)).collect()
    }

    /// Every master.
    pub(crate) async fn masters(&self) -> RedisResult<Vec<Arc<Node>>> {
        let map = self.map().await?;
        let mut masters: Vec<Arc<Node>> = Vec::new();
        for (_, node) in &map.ranges {
            if !masters.iter().any(|known| Arc::ptr_eq(known, node)) {
                masters.push(node.clone());
            }
        }
        Ok(masters)
    }

    async fn map(&self) -> RedisResult<Arc<Map>> {
        let learn = || {
            let seeds = self.seeds.clone();
            async move { seeds.learn(&Map::default()).await }
        };
        self.map.other_than(None, learn).await
    }

    /// Asks anew who has which slots, unless somebody has since `before`.
    async fn learn(&self, before: &Arc<Map>) -> RedisResult<Arc<Map>> {
        let (seeds, known) = (self.seeds.clone(), before.clone());
        self.map.other_than(Some(before), || async move { seeds.learn(&known).await }).await
    }

    pub(crate) fn close(&self) {
        for node in self.map.value().iter().flat_map(|map| map.nodes.values()) {
            node.close();
        }
    }
}

impl Seeds {
    /// Asks the nodes that are known, then those of the configuration, who has which slots.
    async fn learn(&self, known: &Map) -> RedisResult<Map> {
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let mut failure = nobody();
        for ((host, _), node) in self.candidates(known)? {
            match node.ask(Request::One(&command), true).await {
                Ok(answers) => {
                    let learned = self.read(known, &host, answers);
                    if let Some(map) = learned.filter(|map| !map.ranges.is_empty()) {
                        return Ok(map);
                    }
                }
                // Of a command that every server knows: it has no slots.
                Err(failed)
                    if failed.error.kind() == redis::ErrorKind::Server(ServerErrorKind::ResponseError) =>
                {
                    failure = no_cluster();
                }
                Err(failed) => failure = failed.error,
            }
        }
        Err(failure)
    }

    /// Whom to ask: the known nodes, then those of the configuration.
    fn candidates(&self, map: &Map) -> RedisResult<Vec<(At, Arc<Node>)>> {
        let mut all: Vec<_> = map.nodes.iter().map(|(at, node)| (at.clone(), node.clone())).collect();
        for seed in &self.nodes {
            let at = match seed.addr() {
                ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                    (host.clone(), *port)
                }
                _ => continue,
            };
            if !map.nodes.contains_key(&at) {
                all.push((at, Arc::new(Node::at(seed.clone(), self.patience)?)));
            }
        }
        Ok(all)
    }

    /// What `CLUSTER SLOTS` says: for each range its first and last slot, then its nodes, the master first; an address that
    /// is not told is the asked node's own.
    fn read(&self, before: &Map, asked: &str, answers: Vec<Value>) -> Option<Map> {
        let mut map = Map::default();
        let Value::Array(ranges) = answers.into_iter().next()? else { return None };
        for range in ranges {
            let Value::Array(parts) = range else { return None };
            let [_, Value::Int(last), Value::Array(master), ..] = &parts[..] else { return None };
            let [host, Value::Int(port), ..] = &master[..] else { return None };
            let host = match host {
                Value::BulkString(host) if !host.is_empty() => String::from_utf8(host.clone()).ok()?,
                Value::SimpleString(host) if !host.is_empty() => host.clone(),
                _ => asked.to_owned(),
            };
            let at = (host, u16::try_from(*port).ok()?);
            let known = map.nodes.get(&at).or_else(|| before.nodes.get(&at)).cloned();
            let node = match known {
                Some(node) => node,
                None => Arc::new(self.node(&at)?),
            };
            map.ranges.push((u16::try_from(*last).ok()?, node.clone()));
            map.nodes.insert(at, node);
        }
        map.ranges.sort_by_key(|(last, _)| *last);
        Some(map)
    }

    /// A node at an address, with whatever else the configuration says of the first one.
    fn node(&self, (host, port): &At) -> Option<Node> {
        let seed = self.nodes.first()?;
        let address = match seed.addr().clone() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure, tls_params }
            }
            _ => ConnectionAddr::Tcp(host.clone(), *port),
        };
        Node::at(seed.clone().set_addr(address), self.patience).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `CLUSTER KEYSLOT` of a real server says.
    #[test]
    fn a_slot_is_that_of_the_tag() {
        for (key, expected) in [
            (&b"123456789"[..], 0x31c3),
            (b"foo", 12182),
            (b"{foo}bar", 12182),
            (b"a{foo}{bar}", 12182),
            (b"{}foo", 9500),
        ] {
            assert_eq!(slot(key), expected, "{key:?}");
        }
    }
}
