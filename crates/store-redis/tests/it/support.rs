//! The world that the tests live in.

use milepost_core::{Ids, SystemIds};
use milepost_store_redis::{RedisConfig, RedisStore};
use redis::{FromRedisValue, aio::MultiplexedConnection};

pub(crate) use milepost_store_tests::{create, operation, proxy, record, run};

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

/// A run that is driven through this store.
pub(crate) type Driver = milepost_store_tests::Driver<RedisStore>;
