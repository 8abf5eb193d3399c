//! What the store needs of a map, and the smallest map there is.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use milepost_core::{Bytes, Durability, Result};

/// Tells a value of a key from every other that the key has ever had: a counter, an entity tag, a digest of the value. It
/// must never come again for another value, also when the key was removed in between: a counter that begins anew with
/// each key lets a stalled writer overwrite the next life of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revision(pub Bytes);

/// A map of keys to values, kept in the order of the keys' bytes.
#[async_trait]
pub trait Kv: fmt::Debug + Send + Sync + 'static {
    /// What a crash can take of a value after [`Kv::put_if`] has returned.
    fn durability(&self) -> Durability;

    /// The most bytes that a key may have.
    fn longest_key(&self) -> u64;

    /// The value of a key, as the last put left it.
    async fn get(&self, key: &str) -> Result<Option<(Bytes, Revision)>>;

    /// Sets the value of a key, or removes it (`None`), if its revision still is `expected` (`None`: the key is not
    /// there), and tells whether it did. This one atomic step carries the whole contract.
    async fn put_if(&self, key: &str, expected: Option<&Revision>, value: Option<Bytes>) -> Result<bool>;

    /// The first `limit` keys behind `after` that begin with `prefix`, with their values.
    async fn scan(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<(String, Bytes)>>;
}

/// A map in the memory of this process.
#[derive(Debug, Default)]
pub struct MapKv(Mutex<Values>);

#[derive(Debug, Default)]
struct Values {
    /// Counts the puts of all keys together.
    puts: u64,
    values: BTreeMap<String, (Bytes, Revision)>,
}

impl MapKv {
    fn lock(&self) -> MutexGuard<'_, Values> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Kv for MapKv {
    fn durability(&self) -> Durability {
        Durability::Process
    }

    fn longest_key(&self) -> u64 {
        255
    }

    async fn get(&self, key: &str) -> Result<Option<(Bytes, Revision)>> {
        Ok(self.lock().values.get(key).cloned())
    }

    async fn put_if(&self, key: &str, expected: Option<&Revision>, value: Option<Bytes>) -> Result<bool> {
        let mut map = self.lock();
        if map.values.get(key).map(|(_, revision)| revision) != expected {
            return Ok(false);
        }
        map.puts += 1;
        let revision = Revision(Bytes::copy_from_slice(&map.puts.to_le_bytes()));
        match value {
            Some(value) => map.values.insert(key.to_owned(), (value, revision)),
            None => map.values.remove(key),
        };
        Ok(true)
    }

    async fn scan(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<(String, Bytes)>> {
        let map = self.lock();
        let begin = if after < prefix { Bound::Included(prefix) } else { Bound::Excluded(after) };
        let behind = map.values.range::<str, _>((begin, Bound::Unbounded));
        let matching = behind.take_while(|(key, _)| key.starts_with(prefix)).take(limit);
        Ok(matching.map(|(key, (value, _))| (key.clone(), value.clone())).collect())
    }
}
