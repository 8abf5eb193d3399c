//! The keys: which there are, and which of them a script is given.
//!
//! ```text
//! PREFIX:format              the version of this layout, set by `prepare`
//! {PREFIX:NNN}X:RUN          a part of a run; X is its letter, NNN the run's shard, 000 to 255
//! {PREFIX:NNN}:INDEX         an index of the shard's runs, a sorted set
//! {PREFIX:NNN}:mark          for a second behind a write that replicas of a cluster confirm
//! ```
//!
//! What stands in braces decides the slot of a cluster, so all keys of a shard share one and a script may change them
//! together. The run id is the end of the key as it is, byte for byte: keys are binary-safe, the first pair of braces is
//! always ours, and no key is ever used as a pattern.

use milepost_core::{Digest, RunId, RunInfo};

/// So many shards; part of the format.
pub(crate) const SHARDS: u16 = 256;

/// The version of the layout and of everything that is packed into values.
pub(crate) const FORMAT: u64 = 1;

/// The letters of a run's parts that stand behind its hash and the index of due runs, in the order of `common.lua`.
const FURTHER_PARTS: [char; 11] = ['c', 'o', 'd', 's', 't', 'b', 'e', 'm', 'n', 'k', 'i'];

/// The indexes that every shard has, in the order of `common.lua`; the runs' ids are their members, but for `new`,
/// whose members begin with the inverted instant of the run's creation.
const INDEXES: [&str; 6] = ["all", "new", "unfinished", "completed", "failed", "expiry"];

/// The shard of a run.
pub(crate) fn shard(run: &RunId) -> u16 {
    Digest::of(run.as_str().as_bytes()).0[0].into()
}

/// The name of an index of a shard.
pub(crate) fn index(prefix: &str, shard: u16, name: &str) -> Vec<u8> {
    format!("{{{prefix}:{shard:03}}}:{name}").into_bytes()
}

pub(crate) fn name_index(name: &str) -> String {
    format!("name:{name}")
}

pub(crate) fn parent_index(parent: &RunId) -> String {
    format!("parent:{parent}")
}

/// The length keeps `a` = `bc` and `ab` = `c` apart.
pub(crate) fn label_index(key: &str, value: &str) -> String {
    format!("label:{}:{key}{value}", key.len())
}

/// What is written in the slot of a key and means nothing.
pub(crate) fn mark(key: &[u8]) -> Vec<u8> {
    let tag = key.iter().position(|byte| *byte == b'}').map_or(key, |end| &key[..=end]);
    [tag, b":mark"].concat()
}

/// Where the version of the layout stands.
pub(crate) fn format_key(prefix: &str) -> String {
    format!("{prefix}:format")
}

/// The keys of one run.
#[derive(Clone)]
pub(crate) struct Keys {
    prefix: String,
    shard: u16,
    run: RunId,
}

impl Keys {
    pub(crate) fn new(prefix: &str, run: &RunId) -> Self {
        Self { prefix: prefix.to_owned(), shard: shard(run), run: run.clone() }
    }

    fn part(&self, letter: char) -> Vec<u8> {
        let (prefix, shard, run) = (&self.prefix, self.shard, &self.run);
        format!("{{{prefix}:{shard:03}}}{letter}:{run}").into_bytes()
    }

    fn index(&self, name: &str) -> Vec<u8> {
        index(&self.prefix, self.shard, name)
    }

    pub(crate) fn shard(&self) -> u16 {
        self.shard
    }

    /// The hash with the row and the records.
    pub(crate) fn run(&self) -> Vec<u8> {
        self.part('r')
    }

    /// The index of due runs of the run's shard.
    pub(crate) fn due(&self) -> Vec<u8> {
        self.index("due")
    }

    pub(crate) fn cold(&self) -> Vec<u8> {
        self.part('c')
    }

    pub(crate) fn info(&self) -> Vec<u8> {
        self.part('i')
    }

    /// Every key that does not depend on the run's info.
    pub(crate) fn all(&self) -> Vec<Vec<u8>> {
        let mut keys = vec![self.run(), self.due()];
        keys.extend(FURTHER_PARTS.iter().map(|letter| self.part(*letter)));
        keys.extend(INDEXES.iter().map(|name| self.index(name)));
        keys
    }

    /// Every key, the indexes of what the run is among them.
    pub(crate) fn with_info(&self, info: Option<&RunInfo>) -> Vec<Vec<u8>> {
        let mut keys = self.all();
        let Some(info) = info else { return keys };
        keys.push(self.index(&name_index(&info.name)));
        keys.extend(info.parent.iter().map(|parent| self.index(&parent_index(parent))));
        keys.extend(info.labels.iter().map(|(key, value)| self.index(&label_index(key, value))));
        keys
    }

    /// What a head is made of.
    pub(crate) fn head(&self) -> Vec<Vec<u8>> {
        vec![self.run(), self.cold(), self.info(), self.part('o'), self.index("all")]
    }

    pub(crate) fn records(&self) -> Vec<Vec<u8>> {
        vec![self.run()]
    }

    pub(crate) fn messages(&self) -> Vec<Vec<u8>> {
        vec![self.run(), self.part('m'), self.part('n')]
    }

    pub(crate) fn snapshots(&self) -> Vec<Vec<u8>> {
        vec![self.run(), self.part('s'), self.part('t')]
    }

    pub(crate) fn blobs(&self) -> Vec<Vec<u8>> {
        vec![self.run(), self.part('b'), self.part('e')]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_run_share_one_tag_whatever_its_id_is() {
        for run in ["a", "{b}", "}{", "*", "x}:due"] {
            let keys = Keys::new("mp", &RunId::from_static(run));
            let tag = format!("{{mp:{:03}}}", keys.shard);
            let mut all = keys.with_info(Some(&RunInfo::named("}{").label("{", "}")));
            assert!(all.iter().all(|key| key.starts_with(tag.as_bytes())), "{run}");
            let count = all.len();
            all.sort();
            all.dedup();
            assert_eq!(all.len(), count, "no key occurs twice");
        }
    }

    #[test]
    fn labels_that_run_into_each_other_stay_apart() {
        assert_ne!(label_index("a", "bc"), label_index("ab", "c"));
    }
}
