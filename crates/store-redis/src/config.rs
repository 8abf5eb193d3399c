//! Where the server is and how it is used: builder methods, or a URL.

#[cfg(feature = "tls")]
use std::path::PathBuf;
use std::{fmt, sync::Arc, time::Duration};

use milepost_core::{Clock, Error, ErrorKind, Ids, Operation, Result, SystemIds};
use redis::{ConnectionInfo, IntoConnectionInfo};

use crate::{
    RedisStore,
    cluster::Cluster,
    error::{BACKEND, from_driver},
    link::{Confirm, Link, Target},
    node::{Node, Patience},
    server,
};

/// Where the server is and how it is used.
///
/// ```
/// use milepost_store_redis::RedisConfig;
///
/// let config = RedisConfig::from_url("redis://worker:secret@localhost:6379/0?prefix=jobs&timeout=2s")?;
/// assert!(!format!("{config:?}").contains("secret"));
/// assert!(RedisConfig::from_url("redis://localhost?perfix=jobs").is_err());
/// # Ok::<(), milepost_core::Error>(())
/// ```
#[derive(Clone)]
pub struct RedisConfig {
    /// With their secrets; one, but for a cluster or sentinels.
    nodes: Vec<String>,
    kind: Kind,
    pub(crate) prefix: String,
    prepare: bool,
    timeout: Duration,
    #[cfg(feature = "tls")]
    root: Option<PathBuf>,
    wait: Option<u32>,
    wait_aof: Option<(u32, u32)>,
    wait_timeout: Duration,
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) ids: Arc<dyn Ids>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Kind {
    Single,
    Cluster,
    #[cfg(feature = "sentinel")]
    Sentinel(Sentinels),
}

/// What stands in a sentinel URL beside the sentinels.
#[cfg(feature = "sentinel")]
#[derive(Clone, PartialEq, Eq)]
struct Sentinels {
    master: String,
    user: Option<String>,
    password: Option<String>,
}

#[cfg(feature = "sentinel")]
impl fmt::Debug for Sentinels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sentinels").field("master", &self.master).finish_non_exhaustive()
    }
}

/// The parameters of a URL, for the error that lists them.
const PARAMETERS: &str = "cluster, prefix, prepare, timeout, sslrootcert, wait, waitaof, wait_timeout";

/// A prefix has at most so many bytes.
const LONGEST_PREFIX: usize = 64;

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<&str> = self.nodes.iter().map(|node| without_secret(node)).collect();
        f.debug_struct("RedisConfig")
            .field("nodes", &nodes)
            .field("kind", &self.kind)
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .field("wait", &self.wait)
            .field("wait_aof", &self.wait_aof)
            .finish_non_exhaustive()
    }
}

/// What stands behind the user and the password.
fn without_secret(node: &str) -> &str {
    let authority = node.split_once("://").map_or(node, |(_, rest)| rest);
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

impl RedisConfig {
    /// Reads `redis://[user:password@]host[:port][/database]?parameter=value&…`.
    ///
    /// `rediss://` is the same over TLS (the feature `tls`), `redis+unix:///path` a socket. `redis+cluster://` and
    /// `rediss+cluster://` are clusters, and so is `cluster=1`; several nodes may be named, `host:port,host:port`.
    /// `redis+sentinel://[user:password@]host:port,…/MASTER` asks sentinels for the master (the feature `sentinel`).
    ///
    /// | parameter | values | default |
    /// |---|---|---|
    /// | `cluster` | `1`, `0` | `0` |
    /// | `prefix` | letters, digits, `_`, `-`, `.`: what the names of all keys begin with | `milepost` |
    /// | `prepare` | `1`, `0`: whether the place is made ready if it is not | `0` |
    /// | `timeout` | a duration such as `500ms`, `5s`: how long an answer is waited for | `10s` |
    /// | `sslrootcert` | the path of a PEM file: who must have signed the server's certificate, with `rediss://` | Mozilla's list |
    /// | `wait` | how many replicas have to have a write before it is acknowledged (`WAIT`) | none |
    /// | `waitaof` | `LOCAL,REPLICAS`: how many disks (`WAITAOF`, Redis 7.2, Valkey) | none |
    /// | `wait_timeout` | how long replicas and disks are waited for | `1s` |
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`]: another scheme, an unknown parameter, a value that is none, a feature that is off.
    pub fn from_url(url: &str) -> Result<Self> {
        let (base, parameters) = url.split_once('?').unwrap_or((url, ""));
        let (scheme, rest) =
            base.split_once("://").ok_or_else(|| config("a URL of this store begins with redis://"))?;
        let tls = scheme.starts_with("rediss");
        if tls && cfg!(not(feature = "tls")) {
            return Err(config(
                "rediss:// needs the feature \"tls\" of the crate milepost-store-redis, which is off",
            ));
        }
        let plain = if tls { "rediss" } else { "redis" };
        let (kind, nodes) = match scheme {
            "redis" | "rediss" => (Kind::Single, nodes(plain, rest)),
            "redis+unix" => (Kind::Single, vec![base.to_owned()]),
            "redis+cluster" | "rediss+cluster" => (Kind::Cluster, nodes(plain, rest)),
            #[cfg(feature = "sentinel")]
            "redis+sentinel" => sentinels(rest)?,
            #[cfg(not(feature = "sentinel"))]
            "redis+sentinel" => {
                return Err(config(
                    "redis+sentinel:// needs the feature \"sentinel\" of the crate milepost-store-redis, which is off",
                ));
            }
            _ => return Err(config("a URL of this store begins with redis:// or rediss://")),
        };
        let mut this = Self {
            nodes,
            kind,
            prefix: "milepost".to_owned(),
            prepare: false,
            timeout: Duration::from_secs(10),
            #[cfg(feature = "tls")]
            root: None,
            wait: None,
            wait_aof: None,
            wait_timeout: Duration::from_secs(1),
            clock: None,
            ids: Arc::new(SystemIds),
        };
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            this = this.parameter(name, value)?;
        }
        this.check()?;
        Ok(this)
    }

    fn parameter(mut self, name: &str, value: &str) -> Result<Self> {
        let wrong = |takes: &str| config(format!("{name} takes {takes}, not {value:?}"));
        let flag = || match value {
            "1" | "true" => Ok(true),
            "0" | "false" => Ok(false),
            _ => Err(wrong("1 or 0")),
        };
        let time = || duration(value).ok_or_else(|| wrong("a duration such as 500ms or 5s"));
        match name {
            "cluster" => {
                if flag()? {
                    self.kind = Kind::Cluster;
                }
            }
            "prefix" => return self.prefix(value),
            "prepare" => self.prepare = flag()?,
            "timeout" => self.timeout = time()?,
            "wait_timeout" => self.wait_timeout = time()?,
            #[cfg(feature = "tls")]
            "sslrootcert" => self.root = Some(value.into()),
            #[cfg(not(feature = "tls"))]
            "sslrootcert" => {
                return Err(config(
                    "sslrootcert needs the feature \"tls\" of the crate milepost-store-redis, which is off",
                ));
            }
            "wait" => self.wait = Some(value.parse().map_err(|_| wrong("a number of replicas"))?),
            "waitaof" => {
                let both = value.split_once(',').and_then(|(local, replicas)| {
                    Some((local.parse().ok().filter(|local| *local <= 1)?, replicas.parse().ok()?))
                });
                self.wait_aof = Some(both.ok_or_else(|| wrong("two numbers such as 1,0"))?);
            }
            _ => return Err(config(format!("unknown parameter {name:?}; this store knows {PARAMETERS}"))),
        }
        Ok(self)
    }

    /// What stands between the parameters, and what only the driver knows.
    fn check(&self) -> Result<()> {
        if self.wait.is_some() && self.wait_aof.is_some() {
            return Err(config("wait and waitaof exclude each other"));
        }
        #[cfg(feature = "tls")]
        if self.root.is_some() && !self.nodes.iter().all(|node| node.starts_with("rediss://")) {
            return Err(config("sslrootcert goes with rediss:// and rediss+cluster://"));
        }
        if self.kind == Kind::Single && self.nodes.len() > 1 {
            return Err(config("several nodes are a cluster: add cluster=1"));
        }
        // Its text may repeat the URL, and with it the password, so it is not told.
        let known = |node: &String| node.as_str().into_connection_info().is_ok();
        if !self.nodes.iter().all(known) {
            return Err(config("the URL is not of the form redis://[user:password@]host[:port][/database]"));
        }
        Ok(())
    }

    /// What the names of all keys begin with: up to 64 letters, digits, `_`, `-` and `.`; by default `milepost`. Stores
    /// of different prefixes share a server and know nothing of each other.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`]: empty, too long, another character.
    pub fn prefix(mut self, prefix: &str) -> Result<Self> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if prefix.is_empty() || prefix.len() > LONGEST_PREFIX || !prefix.bytes().all(known) {
            return Err(config("a prefix has 1 to 64 letters, digits, underscores, hyphens and dots"));
        }
        self.prefix = prefix.to_owned();
        Ok(self)
    }

    /// Whether the server is a node of a cluster; by default it is not.
    pub fn cluster(mut self, cluster: bool) -> Self {
        self.kind = if cluster { Kind::Cluster } else { Kind::Single };
        self
    }

    /// Whether connecting makes the place ready if it is not; by default it does not.
    pub fn prepare_on_connect(mut self, prepare: bool) -> Self {
        self.prepare = prepare;
        self
    }

    /// How long an answer is waited for; by default 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Trusts only certificates that one of those in this file has signed, which is in PEM; by default those of Mozilla's list
    /// are trusted. It is read when the store connects.
    #[cfg(feature = "tls")]
    pub fn root_certificate(mut self, file: impl Into<PathBuf>) -> Self {
        self.root = Some(file.into());
        self
    }

    /// Tells the time by `clock` in place of the server's own; for tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Draws incarnations and tokens from `ids`; by default [`SystemIds`].
    pub fn ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }

    fn confirm(&self) -> Option<Confirm> {
        let timeout = self.wait_timeout;
        match (self.wait, self.wait_aof) {
            (_, Some((local, replicas))) => Some(Confirm { local: Some(local), replicas, timeout }),
            (Some(replicas), None) => Some(Confirm { local: None, replicas, timeout }),
            (None, None) => None,
        }
    }

    fn link(&self) -> Result<Link> {
        // Whoever has chosen a provider for the whole process is not overruled.
        #[cfg(feature = "tls")]
        let _ = rustls::crypto::ring::default_provider().install_default();
        let each = self.nodes.iter().map(|node| node.as_str().into_connection_info());
        let infos = each.collect::<redis::RedisResult<Vec<_>>>().map_err(|error| from_driver(&error))?;
        #[cfg(feature = "tls")]
        let infos = match &self.root {
            Some(root) => crate::tls::trusting(root, infos)?,
            None => infos,
        };
        let target = self.target(infos).map_err(|error| from_driver(&error))?;
        Ok(Link::new(target, self.confirm()))
    }

    fn target(&self, mut infos: Vec<ConnectionInfo>) -> redis::RedisResult<Target> {
        let waits = self.confirm().map_or(Duration::ZERO, |confirm| confirm.timeout);
        let patience = Patience { connect: self.timeout, answer: self.timeout + waits };
        match &self.kind {
            Kind::Single => Ok(Target::Single(Node::at(infos.remove(0), patience)?)),
            Kind::Cluster => Ok(Target::Cluster(Cluster::new(infos, patience))),
            #[cfg(feature = "sentinel")]
            Kind::Sentinel(sentinels) => {
                Ok(Target::Single(Node::of_sentinels(sentinel_client(infos, sentinels)?, patience)))
            }
        }
    }

    /// Makes the place ready: idempotent, and safe from any number of processes at once.
    ///
    /// # Errors
    ///
    /// Those of [`RedisConfig::connect`] but `NotPrepared`.
    pub async fn prepare(&self) -> Result<()> {
        let during = |error: Error| error.during(BACKEND, Operation::Prepare, None);
        let link = self.link().map_err(during)?;
        server::prepare(&link, self).await.map_err(during)?;
        link.close();
        Ok(())
    }

    /// Connects, checks the server's settings and what they promise. Needs a Tokio runtime.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `TimedOut` · `Denied` (user, password, rights) · `Config` (too old a server, one that evicts, a
    /// cluster that is not said to be one) · `NotPrepared` · `Newer`.
    pub async fn connect(self) -> Result<RedisStore> {
        let during = |error: Error| error.during(BACKEND, Operation::Connect, None);
        let link = self.link().map_err(during)?;
        let confirm = self.confirm();
        let durability = server::inspect(&link, confirm).await.map_err(during)?;
        if self.prepare {
            server::prepare(&link, &self).await.map_err(during)?;
        } else {
            server::check_prepared(&link, &self).await.map_err(during)?;
        }
        Ok(RedisStore::new(self, link, durability))
    }
}

fn config(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Config, message)
}

/// The URL of each node: user, password and database are those of all.
fn nodes(scheme: &str, rest: &str) -> Vec<String> {
    let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
    let (user, hosts) =
        authority.rsplit_once('@').map_or((None, authority), |(user, hosts)| (Some(user), hosts));
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    hosts.split(',').map(|host| format!("{scheme}://{user}{host}/{path}")).collect()
}

#[cfg(feature = "sentinel")]
fn sentinels(rest: &str) -> Result<(Kind, Vec<String>)> {
    let (authority, master) = rest.split_once('/').unwrap_or((rest, ""));
    if master.is_empty() {
        return Err(config("a sentinel URL names the master: redis+sentinel://host:port/MASTER"));
    }
    let (user, hosts) =
        authority.rsplit_once('@').map_or((None, authority), |(user, hosts)| (Some(user), hosts));
    let (user, password) = user.map_or((None, None), |user| match user.split_once(':') {
        Some(("", password)) => (None, Some(password.to_owned())),
        Some((user, password)) => (Some(user.to_owned()), Some(password.to_owned())),
        None => (Some(user.to_owned()), None),
    });
    let kind = Kind::Sentinel(Sentinels { master: master.to_owned(), user, password });
    Ok((kind, hosts.split(',').map(|host| format!("redis://{host}/")).collect()))
}

#[cfg(feature = "sentinel")]
fn sentinel_client(
    infos: Vec<redis::ConnectionInfo>,
    sentinels: &Sentinels,
) -> redis::RedisResult<redis::sentinel::SentinelClient> {
    use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
    let addresses: Vec<_> = infos.iter().map(|info| info.addr().clone()).collect();
    let mut builder =
        SentinelClientBuilder::new(addresses, sentinels.master.clone(), SentinelServerType::Master)?;
    builder = builder.set_client_to_redis_protocol(redis::ProtocolVersion::RESP3);
    if let Some(user) = &sentinels.user {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = &sentinels.password {
        builder = builder.set_client_to_redis_password(password);
    }
    builder.build()
}

fn duration(text: &str) -> Option<Duration> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..end].parse().ok()?;
    match &text[end..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        _ => None,
    }
}
