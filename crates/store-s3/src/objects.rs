//! The little that is asked of a place that keeps objects.

mod folder;
#[cfg(feature = "remote")]
mod http;
#[cfg(test)]
mod memory;
#[cfg(feature = "remote")]
mod remote;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use milepost_core::{Result, Timestamp};

pub(crate) use folder::Folder;
#[cfg(feature = "remote")]
pub(crate) use http::{ServerTime, Timed};
#[cfg(test)]
pub(crate) use memory::{Care, Memory};
#[cfg(feature = "remote")]
pub(crate) use remote::{Client, Remote};

/// An object that was listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) size: u64,
    /// By the clock of the place.
    pub(crate) modified: Timestamp,
}

/// A page of folders, and how to get the next one.
#[derive(Debug, Default)]
pub(crate) struct Folders {
    pub(crate) names: Vec<String>,
    pub(crate) next: Option<String>,
}

/// A place that keeps objects under names. Names are parts of `[0-9a-z-]` with slashes between; prefixes end with one,
/// except where it says otherwise.
#[async_trait]
pub(crate) trait Objects: fmt::Debug + Send + Sync + 'static {
    /// Puts an object if nothing has its name. `false` is a guess that something has: only reading it back tells. Durable
    /// when it returns `true`.
    async fn create(&self, name: &str, body: Bytes) -> Result<bool>;

    /// Puts an object, large ones in pieces.
    async fn put(&self, name: &str, body: Bytes) -> Result<()>;

    /// The bytes of an object; `None` if it is not there.
    async fn get(&self, name: &str) -> Result<Option<Bytes>>;

    /// The objects below a prefix in order, up to `until`, at most so many.
    async fn list(&self, prefix: &str, until: Option<&str>, most: usize) -> Result<Vec<Listed>>;

    /// The last parts of the folders right below a folder that begin with `begin`, in order, page by page.
    async fn folders(&self, folder: &str, begin: &str, page: Option<String>) -> Result<Folders>;

    /// Removes objects; one that is not there is no error.
    async fn delete(&self, names: Vec<String>) -> Result<()>;

    /// The place's own time, if it has another one than this machine.
    fn now(&self) -> Option<Timestamp> {
        None
    }

    /// By how much that may be behind what another handle takes for it.
    fn behind(&self) -> Duration {
        Duration::ZERO
    }
}
