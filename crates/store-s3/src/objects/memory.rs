//! Objects in memory, for tests of what stands above them: as they ought to be, or careless on purpose.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use milepost_core::{Result, Timestamp};

use crate::objects::{Folders, Listed, Objects};

/// How a place treats the condition of a create.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Care {
    /// It keeps it.
    #[default]
    Keeps,
    /// It puts the object in any case and says that it created it.
    Ignores,
    /// It looks first and puts later: whoever asks in between looks, too.
    Races,
}

#[derive(Debug, Default)]
pub(crate) struct Memory {
    care: Care,
    objects: Mutex<BTreeMap<String, Bytes>>,
}

impl Memory {
    pub(crate) fn with(care: Care) -> Self {
        Self { care, ..Self::default() }
    }

    pub(crate) fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Objects for Memory {
    async fn create(&self, name: &str, body: Bytes) -> Result<bool> {
        let taken = self.objects().contains_key(name);
        if self.care == Care::Races {
            tokio::task::yield_now().await;
        }
        if self.care == Care::Ignores || !taken {
            self.objects().insert(name.to_owned(), body);
            return Ok(true);
        }
        Ok(false)
    }

    async fn put(&self, name: &str, body: Bytes) -> Result<()> {
        self.objects().insert(name.to_owned(), body);
        Ok(())
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>> {
        Ok(self.objects().get(name).cloned())
    }

    async fn list(&self, prefix: &str, until: Option<&str>, most: usize) -> Result<Vec<Listed>> {
        let objects = self.objects();
        let below = objects.range(prefix.to_owned()..).take_while(|(name, _)| name.starts_with(prefix));
        let listed = below.map(|(name, body)| Listed {
            name: name.clone(),
            size: body.len() as u64,
            modified: Timestamp::default(),
        });
        Ok(listed.take_while(|listed| until.is_none_or(|until| *listed.name <= *until)).take(most).collect())
    }

    async fn folders(&self, folder: &str, begin: &str, _: Option<String>) -> Result<Folders> {
        let objects = self.objects();
        let prefix = format!("{folder}{begin}");
        let below = objects.keys().filter_map(|name| {
            name.starts_with(&prefix).then(|| name[folder.len()..].split_once('/').map(|(name, _)| name))?
        });
        let mut names: Vec<_> = below.map(str::to_owned).collect();
        names.dedup();
        Ok(Folders { names, next: None })
    }

    async fn delete(&self, names: Vec<String>) -> Result<()> {
        names.iter().for_each(|name| drop(self.objects().remove(name)));
        Ok(())
    }
}
