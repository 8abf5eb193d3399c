//! What the server holds of a run: every string, every field of a hash, every member of a sorted set.

use milepost_conformance::{Part, Scope};
use milepost_core::{Digest, Result, RunId};
use redis::{Cmd, Connection, Value};

use crate::world::{failed, nodes, url};

/// Between the parts of a part's name, all of them hexadecimal but the first.
const BETWEEN: char = ' ';

/// The servers of a scope, each beside the store.
struct Beside(Vec<Connection>);

impl Beside {
    fn new(scope: &Scope) -> Result<Self> {
        let nodes = nodes(&url(scope)?)?;
        let connections = nodes.iter().map(|node| node.get_connection().map_err(failed));
        Ok(Self(connections.collect::<Result<_>>()?))
    }

    /// What the node says that has the key.
    fn ask<T: redis::FromRedisValue>(&mut self, command: &Cmd) -> Result<T> {
        let mut answer = Err(failed("there is no node"));
        for connection in &mut self.0 {
            match command.query::<Value>(connection) {
                Err(error) if error.code() == Some("MOVED") => {}
                Err(error) => return Err(failed(error)),
                Ok(value) => answer = redis::from_redis_value(value).map_err(failed),
            }
        }
        answer
    }

    /// The keys of a shard.
    fn keys(&mut self, prefix: &str) -> Result<Vec<Vec<u8>>> {
        let mut all = Vec::new();
        for connection in &mut self.0 {
            // Nothing in the prefix of a scope means anything in a pattern.
            let keys = redis::cmd("KEYS").arg(format!("{prefix}*")).query::<Vec<Vec<u8>>>(connection);
            all.extend(keys.map_err(failed)?);
        }
        all.sort();
        Ok(all)
    }
}

fn command(name: &str, arguments: &[&[u8]]) -> Cmd {
    let mut command = redis::cmd(name);
    arguments.iter().for_each(|argument| _ = command.arg(*argument));
    command
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap_or_default();
    (0..text.len()).step_by(2).map(digits).collect()
}

/// What one part is: `string KEY`, `field KEY FIELD`, `member KEY MEMBER`, with a readable key behind.
fn name(kind: &str, key: &[u8], within: &[u8]) -> String {
    let readable = String::from_utf8_lossy(key);
    [kind, &hex(key), &hex(within), &readable].join(&BETWEEN.to_string())
}

fn place(part: &Part) -> (String, Vec<u8>, Vec<u8>) {
    let mut words = part.name.splitn(4, BETWEEN);
    let mut next = || words.next().unwrap_or_default().to_owned();
    (next(), unhex(&next()), unhex(&next()))
}

/// Everything of a run. Record ids and message keys are looked up by writes only, and their loss is told to those that
/// would repeat one; a lost entry of a shard's index is not told.
pub(crate) async fn list(scope: Scope, run: RunId) -> Result<Vec<Part>> {
    let mut beside = Beside::new(&scope)?;
    let shard = Digest::of(run.as_str().as_bytes()).0[0];
    let shard = format!("{{{}:{shard:03}}}", scope.name());
    let mut parts = Vec::new();
    for key in beside.keys(&shard)? {
        let own = &key[shard.len()..];
        if own.first() == Some(&b':') {
            parts.extend(entry(&mut beside, &key, &run)?);
        } else if own.get(2..) == Some(run.as_str().as_bytes()) {
            let guarded = !matches!(own[0], b'd' | b'k');
            let all = of_key(&mut beside, &key)?;
            parts.extend(all.into_iter().map(|part| if guarded { part } else { part.unguarded() }));
        }
    }
    Ok(parts)
}

/// The run's entry in an index of its shard; the one by instant of creation begins with that.
fn entry(beside: &mut Beside, key: &[u8], run: &RunId) -> Result<Option<Part>> {
    let members: Vec<Vec<u8>> = beside.ask(&command("ZRANGE", &[key, b"0", b"-1"]))?;
    let by_instant = key.ends_with(b"}:new");
    let of_run = |member: &Vec<u8>| {
        let id = if by_instant { member.get(8..) } else { Some(&member[..]) };
        id == Some(run.as_str().as_bytes())
    };
    let member = members.into_iter().find(of_run);
    Ok(member.map(|member| Part::new(name("member", key, &member), member.len() as u64).unguarded()))
}

fn of_key(beside: &mut Beside, key: &[u8]) -> Result<Vec<Part>> {
    let kind: String = beside.ask(&command("TYPE", &[key]))?;
    Ok(match kind.as_str() {
        "string" => {
            let length: u64 = beside.ask(&command("STRLEN", &[key]))?;
            vec![Part::new(name("string", key, &[]), length)]
        }
        "hash" => {
            let fields: Vec<(Vec<u8>, Vec<u8>)> = beside.ask(&command("HGETALL", &[key]))?;
            let part = |(field, value): (Vec<u8>, Vec<u8>)| {
                Part::new(name("field", key, &field), value.len() as u64)
            };
            let mut parts: Vec<Part> = fields.into_iter().map(part).collect();
            parts.sort_by(|one, other| one.name.cmp(&other.name));
            parts
        }
        _ => {
            let members: Vec<Vec<u8>> = beside.ask(&command("ZRANGE", &[key, b"0", b"-1"]))?;
            members.iter().map(|member| Part::new(name("member", key, member), member.len() as u64)).collect()
        }
    })
}

/// Flips a bit of a value, or of a score beside the member that it is of: a changed member would be another part.
pub(crate) async fn flip(scope: Scope, part: Part, byte: u64) -> Result<()> {
    let mut beside = Beside::new(&scope)?;
    let (kind, key, within) = place(&part);
    let at = usize::try_from(byte).map_err(failed)?;
    let flipped = |mut value: Vec<u8>| {
        let byte = value.get_mut(at).ok_or_else(|| failed("the part has no such byte"))?;
        *byte ^= 1;
        Ok::<_, milepost_core::Error>(value)
    };
    match kind.as_str() {
        "string" => {
            let value = flipped(beside.ask(&command("GET", &[&key]))?)?;
            beside.ask(&command("SET", &[&key, &value]))
        }
        "field" => {
            let value = flipped(beside.ask(&command("HGET", &[&key, &within]))?)?;
            beside.ask::<Value>(&command("HSET", &[&key, &within, &value])).map(drop)
        }
        _ => {
            let score: f64 = beside.ask(&command("ZSCORE", &[&key, &within]))?;
            let other = if (score as i64) % 2 == 0 { score + 1.0 } else { score - 1.0 };
            beside.ask::<Value>(&command("ZADD", &[&key, other.to_string().as_bytes(), &within])).map(drop)
        }
    }
}

pub(crate) async fn remove(scope: Scope, part: Part) -> Result<()> {
    let mut beside = Beside::new(&scope)?;
    let (kind, key, within) = place(&part);
    let command = match kind.as_str() {
        "string" => command("DEL", &[&key]),
        "field" => command("HDEL", &[&key, &within]),
        _ => command("ZREM", &[&key, &within]),
    };
    beside.ask::<Value>(&command).map(drop)
}

/// Removes every key of a scope, whose name has nothing that means anything in a pattern. A server of the scope's own goes by
/// itself.
pub(crate) async fn clear(scope: Scope) -> Result<()> {
    if scope.own_server() {
        return Ok(());
    }
    let pattern = format!("*{}*", scope.name());
    for connection in &mut Beside::new(&scope)?.0 {
        let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg(&pattern).query(connection).map_err(failed)?;
        // One by one: on a cluster a command has keys of one slot.
        let mut all = redis::pipe();
        keys.iter().for_each(|key| _ = all.unlink(key).ignore());
        all.query::<()>(connection).map_err(failed)?;
    }
    Ok(())
}
