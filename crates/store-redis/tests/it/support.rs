//! The world that the tests live in.

use milepost_core::{
    Commit, Committed, Fence, Ids, Incarnation, Kind, Manifest, NewRecord, Open, OperationId, RunId, RunInfo,
    Store, SystemIds,
};
use milepost_servers::Proxy;
use milepost_store_redis::{RedisConfig, RedisStore};
use redis::{FromRedisValue, aio::MultiplexedConnection};

/// A server and a prefix of its own on it.
pub(crate) struct World {
    pub(crate) url: String,
    pub(crate) prefix: String,
}

impl World {
    /// On the server that all tests share.
    pub(crate) fn new() -> Self {
        Self::on(milepost_servers::redis().unwrap().url())
    }

    pub(crate) fn on(url: &str) -> Self {
        Self { url: url.to_owned(), prefix: format!("it{:x}", SystemIds.bits() as u64) }
    }

    pub(crate) fn config(&self) -> RedisConfig {
        self.config_at(&self.url)
    }

    /// The same place by another way, such as through a proxy.
    pub(crate) fn config_at(&self, url: &str) -> RedisConfig {
        RedisConfig::from_url(url).unwrap().prefix(&self.prefix).unwrap().prepare_on_connect(true)
    }

    pub(crate) async fn store(&self) -> RedisStore {
        self.config().connect().await.unwrap()
    }

    pub(crate) async fn raw(&self) -> Raw {
        let client = redis::Client::open(self.url.as_str()).unwrap();
        Raw {
            connection: client.get_multiplexed_async_connection().await.unwrap(),
            prefix: self.prefix.clone(),
        }
    }
}

/// A proxy before the server of a URL. It has a runtime of its own, which cannot be started on a thread of another.
pub(crate) fn proxy(url: &str) -> Proxy {
    let url = url.to_owned();
    std::thread::spawn(move || Proxy::before(&url).unwrap()).join().unwrap()
}

/// The server without the store.
pub(crate) struct Raw {
    connection: MultiplexedConnection,
    prefix: String,
}

impl Raw {
    pub(crate) async fn ask<T: FromRedisValue>(&mut self, parts: &[&[u8]]) -> T {
        let mut command = redis::cmd(std::str::from_utf8(parts[0]).unwrap());
        for part in &parts[1..] {
            command.arg(*part);
        }
        command.query_async(&mut self.connection).await.unwrap()
    }

    /// Every key of the prefix, in order.
    pub(crate) async fn keys(&mut self) -> Vec<Vec<u8>> {
        let keys: Vec<Vec<u8>> = self.ask(&[b"KEYS", b"*"]).await;
        let (tagged, plain) = (format!("{{{}:", self.prefix), format!("{}:", self.prefix));
        let own = |key: &Vec<u8>| key.starts_with(tagged.as_bytes()) || key.starts_with(plain.as_bytes());
        let mut keys: Vec<_> = keys.into_iter().filter(own).collect();
        keys.sort();
        keys
    }

    pub(crate) async fn kind(&mut self, key: &[u8]) -> String {
        self.ask(&[b"TYPE", key]).await
    }
}

pub(crate) fn run(id: &str) -> RunId {
    RunId::new(id).unwrap()
}

pub(crate) fn operation() -> OperationId {
    SystemIds.operation()
}

pub(crate) fn create() -> Open {
    Open::create(operation(), RunInfo::named("job"), Manifest::of(b"input"))
}

pub(crate) fn record(body: impl Into<milepost_core::Bytes>) -> NewRecord {
    NewRecord::new(Kind::from_static("state"), body)
}

/// A created run with what its next commit needs.
pub(crate) struct Driver {
    pub(crate) store: RedisStore,
    pub(crate) run: RunId,
    pub(crate) fence: Fence,
    pub(crate) version: u64,
}

impl Driver {
    pub(crate) async fn create(store: &RedisStore, id: &str) -> Self {
        let opened = store.open(&run(id), create()).await.unwrap();
        Self { store: store.clone(), run: run(id), fence: opened.fence, version: opened.head.version }
    }

    pub(crate) fn incarnation(&self) -> Incarnation {
        self.fence.incarnation
    }

    /// An empty commit that fits.
    pub(crate) fn next(&self) -> Commit {
        Commit::new(self.run.clone(), self.fence, operation(), self.version)
    }

    pub(crate) async fn commit(&mut self, commit: Commit) -> Committed {
        let committed = self.store.commit(commit).await.unwrap();
        self.version = committed.version;
        committed
    }
}
