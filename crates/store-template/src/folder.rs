//! A map in a folder: a file a key, for any number of processes of one host.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use milepost_core::{Bytes, Digest, Durability, Error, ErrorKind, Result};

use crate::{Kv, Revision, error};

/// Files named by the hexadecimal digits of their keys: any key is a good file name, and none is a way out of the
/// folder.
///
/// A put is atomic because it holds the lock of the folder while it compares, and because a rename replaces a file whole
/// or not at all. It is durable because file and folder are synchronized before it returns. Readers need no lock.
#[derive(Clone, Debug)]
pub struct FolderKv(PathBuf);

impl FolderKv {
    /// A map in `folder`, which is made if it is missing.
    ///
    /// # Errors
    ///
    /// What the operating system says to that.
    pub fn new(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(error::io)?;
        Ok(Self(folder))
    }

    /// Does `work` where it may block. Once begun it ends, also if whoever waits for it is dropped.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let folder = self.0.clone();
        let done = tokio::task::spawn_blocking(move || work(&folder).map_err(error::io)).await;
        done.unwrap_or_else(|died| Err(Error::new(ErrorKind::Other, "the work was ended").with_source(died)))
    }
}

/// A digest never comes again for another value, so it is a revision.
fn revision(value: &[u8]) -> Revision {
    Revision(Bytes::copy_from_slice(&Digest::of(value).0))
}

fn file_name(key: &str) -> String {
    key.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// The key of a file; `None` for the lock and for a file that is being written.
fn key_of(name: &str) -> Option<String> {
    let digits = name.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    let bytes = digits.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect::<Option<Vec<u8>>>();
    String::from_utf8(bytes?).ok()
}

/// The bytes of a file; `None` if it is not there.
fn read(path: &Path) -> io::Result<Option<Bytes>> {
    match fs::read(path) {
        Ok(value) => Ok(Some(value.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn put_if(folder: &Path, key: &str, expected: Option<&Revision>, value: Option<&Bytes>) -> io::Result<bool> {
    let lock = File::options().create(true).append(true).open(folder.join("lock"))?;
    lock.lock()?; // until it is dropped
    let path = folder.join(file_name(key));
    if read(&path)?.map(|value| revision(&value)).as_ref() != expected {
        return Ok(false);
    }
    match value {
        Some(value) => {
            let new = folder.join("new");
            let mut file = File::create(&new)?;
            file.write_all(value)?;
            file.sync_all()?;
            fs::rename(new, path)?;
        }
        None if expected.is_some() => fs::remove_file(path)?,
        None => {}
    }
    File::open(folder)?.sync_all()?;
    Ok(true)
}

fn scan(folder: &Path, prefix: &str, after: &str, limit: usize) -> io::Result<Vec<(String, Bytes)>> {
    let mut first = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let key = entry.file_name().to_str().and_then(key_of);
        if let Some(key) = key.filter(|key| key.starts_with(prefix) && key.as_str() > after) {
            first.insert(key, entry.path());
            if first.len() > limit {
                first.pop_last();
            }
        }
    }
    let values = first.into_iter().map(|(key, path)| Ok(read(&path)?.map(|value| (key, value))));
    values.filter_map(Result::transpose).collect()
}

#[async_trait]
impl Kv for FolderKv {
    fn durability(&self) -> Durability {
        Durability::Fsync
    }

    /// Two digits a byte, and 255 bytes are what a file name may have.
    fn longest_key(&self) -> u64 {
        127
    }

    async fn get(&self, key: &str) -> Result<Option<(Bytes, Revision)>> {
        let name = file_name(key);
        let value = self.blocking(move |folder| read(&folder.join(name))).await?;
        Ok(value.map(|value| (value.clone(), revision(&value))))
    }

    async fn put_if(&self, key: &str, expected: Option<&Revision>, value: Option<Bytes>) -> Result<bool> {
        let (key, expected) = (key.to_owned(), expected.cloned());
        self.blocking(move |folder| put_if(folder, &key, expected.as_ref(), value.as_ref())).await
    }

    async fn scan(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<(String, Bytes)>> {
        let (prefix, after) = (prefix.to_owned(), after.to_owned());
        self.blocking(move |folder| scan(folder, &prefix, &after, limit)).await
    }
}
