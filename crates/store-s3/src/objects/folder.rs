//! Objects as files of a local folder.
//!
//! A file is written under a name of its own, synchronized, and then linked to its name, which fails if that is taken: so
//! it is there whole or not at all, and of two that create it one does. `Ok` comes after the folder is synchronized too.
//! Whoever finds a name taken synchronizes the folder before anything is built on that, because the winner may not have
//! got to it.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::UNIX_EPOCH,
};

use async_trait::async_trait;
use bytes::Bytes;
use milepost_core::{Error, ErrorKind, Result, Timestamp};

use crate::objects::{Folders, Listed, Objects};

/// Where files are written before they have their names.
const NEW: &str = "new";

/// A part of a name that is longer goes into folders, because 255 bytes are what a file name may have.
const LONGEST: usize = 200;

/// Behind the name of a folder that only begins the part of a name.
const CONTINUED: char = '+';

#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// The objects in `folder`, which is made if it is missing.
    pub(crate) async fn new(folder: PathBuf) -> Result<Self> {
        blocking(move || {
            fs::create_dir_all(folder.join(NEW))?;
            sync(&folder)?;
            if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                sync(parent)?;
            }
            Ok(Self(folder))
        })
        .await
    }

    /// What tells this file system from others.
    pub(crate) fn file_system(&self) -> u64 {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            fs::metadata(&self.0).map_or(0, |folder| folder.dev())
        }
        #[cfg(not(unix))]
        0
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let folder = self.0.clone();
        blocking(move || work(&folder)).await
    }
}

/// Does `work` where it may block. Once begun it ends, also if whoever waits for it is dropped.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(error),
        Err(died) => Err(Error::new(ErrorKind::Other, "the work on a file was ended").with_source(died)),
    }
}

/// The operating system's errors by their kind, never by their text.
fn error(error: io::Error) -> Error {
    let (kind, message) = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            (ErrorKind::Denied, "the folder may not be used; check its rights")
        }
        io::ErrorKind::ReadOnlyFilesystem => (ErrorKind::ReadOnly, "the folder takes no writes"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (ErrorKind::Full, "the disk is full"),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            (ErrorKind::Unavailable, "the folder is not there")
        }
        io::ErrorKind::Unsupported | io::ErrorKind::CrossesDevices => {
            (ErrorKind::Config, "the file system knows no hard links; choose a folder on another one")
        }
        _ => (ErrorKind::Other, "the folder cannot be used"),
    };
    Error::new(kind, message).with_source(error)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The parts of a name as names of folders, and of a file in the end.
fn pieces(name: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    for part in name.split('/') {
        let mut rest = part;
        while rest.len() > LONGEST {
            let (begin, end) = rest.split_at(LONGEST);
            pieces.push(format!("{begin}{CONTINUED}"));
            rest = end;
        }
        pieces.push(rest.to_owned());
    }
    pieces
}

fn path(root: &Path, name: &str) -> PathBuf {
    let mut path = root.to_owned();
    path.extend(pieces(name));
    path
}

/// Writes a file that has no name yet.
fn write_new(root: &Path, body: &[u8]) -> io::Result<PathBuf> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = root.join(NEW).join(format!("{}-{count}", std::process::id()));
        match File::create_new(&path) {
            Ok(mut file) => {
                file.write_all(body)?;
                file.sync_data()?;
                return Ok(path);
            }
            // Of a process of the same number that was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::remove_file(&path)?,
            Err(error) => return Err(error),
        }
    }
}

/// Makes the folder of a file, each one synchronized into its parent.
fn make_parent(root: &Path, file: &Path) -> io::Result<()> {
    let Some(parent) = file.parent() else { return Ok(()) };
    fs::create_dir_all(parent)?;
    for folder in parent.ancestors().skip(1) {
        sync(folder)?;
        if folder == root {
            break;
        }
    }
    Ok(())
}

/// Gives a written file its name by `name_it`, whose folder is made if it is missing.
fn settle(
    root: &Path,
    new: &Path,
    path: &Path,
    name_it: impl Fn(&Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    match name_it(new, path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_parent(root, path)?;
            name_it(new, path)
        }
        done => done,
    }
}

fn create(root: &Path, name: &str, body: &[u8]) -> io::Result<bool> {
    let (new, path) = (write_new(root, body)?, path(root, name));
    let linked = settle(root, &new, &path, |new, path| fs::hard_link(new, path));
    fs::remove_file(&new)?;
    let created = match linked {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(error),
    };
    path.parent().map_or(Ok(()), sync)?;
    Ok(created)
}

fn put(root: &Path, name: &str, body: &[u8]) -> io::Result<()> {
    let (new, path) = (write_new(root, body)?, path(root, name));
    settle(root, &new, &path, |new, path| fs::rename(new, path))?;
    path.parent().map_or(Ok(()), sync)
}

/// Nothing, if what was looked for is not there.
fn there<T: Default>(found: io::Result<T>) -> io::Result<T> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        found => found,
    }
}

fn modified(file: &fs::Metadata) -> Timestamp {
    let since = file.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    since.map_or(Timestamp(i64::MAX), |since| Timestamp::default() + since)
}

/// What is in a folder: its entries by their names.
fn read_dir(folder: &Path) -> io::Result<Vec<(String, fs::DirEntry)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let Some(name) = entry.file_name().to_str() {
            found.push((name.to_owned(), entry));
        }
    }
    Ok(found)
}

/// Every file below a folder whose name begins with `name`.
fn walk(folder: &Path, name: &str, all: &mut Vec<Listed>) -> io::Result<()> {
    for (found, entry) in there(read_dir(folder).map(Some))?.unwrap_or_default() {
        if entry.file_type()?.is_dir() {
            let next = match found.strip_suffix(CONTINUED) {
                Some(begin) => format!("{name}{begin}"),
                None => format!("{name}{found}/"),
            };
            walk(&entry.path(), &next, all)?;
        } else if let Some(file) = there(entry.metadata().map(Some))? {
            all.push(Listed { name: format!("{name}{found}"), size: file.len(), modified: modified(&file) });
        }
    }
    Ok(())
}

/// The parts of names that stand for folders below `folder`.
fn children(folder: &Path, name: &str, all: &mut Vec<String>) -> io::Result<()> {
    for (found, entry) in there(read_dir(folder).map(Some))?.unwrap_or_default() {
        match found.strip_suffix(CONTINUED) {
            Some(begin) => children(&entry.path(), &format!("{name}{begin}"), all)?,
            None if entry.file_type()?.is_dir() => all.push(format!("{name}{found}")),
            None => {}
        }
    }
    Ok(())
}

#[async_trait]
impl Objects for Folder {
    async fn create(&self, name: &str, body: Bytes) -> Result<bool> {
        let name = name.to_owned();
        self.with(move |root| create(root, &name, &body)).await
    }

    async fn put(&self, name: &str, body: Bytes) -> Result<()> {
        let name = name.to_owned();
        self.with(move |root| put(root, &name, &body)).await
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>> {
        // Most often a name is looked up that is not there: that is told in place, in a microsecond or two.
        let Some(mut file) = there(File::open(path(&self.0, name)).map(Some)).map_err(error)? else {
            return Ok(None);
        };
        let read = move || {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map(|_| Some(Bytes::from(bytes)))
        };
        blocking(read).await
    }

    async fn list(&self, prefix: &str, until: Option<&str>, most: usize) -> Result<Vec<Listed>> {
        let (prefix, until) = (prefix.to_owned(), until.map(str::to_owned));
        self.with(move |root| {
            let mut all = Vec::new();
            walk(&path(root, prefix.trim_end_matches('/')), &prefix, &mut all)?;
            all.retain(|listed| until.as_ref().is_none_or(|until| listed.name <= *until));
            all.sort_by(|one, other| one.name.cmp(&other.name));
            all.truncate(most);
            Ok(all)
        })
        .await
    }

    async fn folders(&self, folder: &str, begin: &str, _: Option<String>) -> Result<Folders> {
        let (folder, begin) = (folder.to_owned(), begin.to_owned());
        self.with(move |root| {
            let mut names = Vec::new();
            children(&path(root, folder.trim_end_matches('/')), "", &mut names)?;
            names.retain(|name| name.starts_with(&begin));
            names.sort();
            Ok(Folders { names, next: None })
        })
        .await
    }

    async fn delete(&self, names: Vec<String>) -> Result<()> {
        self.with(move |root| {
            for name in &names {
                let path = path(root, name);
                there(fs::remove_file(&path))?;
                // The folder of a minute goes with its last hint; that of a run has its tombstone.
                if let Some(parent) =
                    path.parent().filter(|parent| parent.file_name() != Some(OsStr::new(NEW)))
                {
                    let _ = fs::remove_dir(parent);
                }
            }
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn long_names_are_found_by_all_of_their_bytes() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path().join("objects")).await.unwrap();
        let long = "a".repeat(LONGEST);
        let names = [
            format!("run/{long}/1"),
            format!("run/{long}{long}/1"),
            format!("run/{long}b/1"),
            "run/aa/1".to_owned(),
        ];
        for name in &names {
            assert!(folder.create(name, Bytes::from(name.clone())).await.unwrap());
            assert!(!folder.create(name, Bytes::from_static(b"another")).await.unwrap());
        }
        for name in &names {
            assert_eq!(folder.get(name).await.unwrap().unwrap(), name);
        }
        let mut sorted = names.to_vec();
        sorted.sort();
        let all = folder.list("run/", None, 9).await.unwrap();
        assert_eq!(all.iter().map(|listed| listed.name.clone()).collect::<Vec<_>>(), sorted);
        let folders = folder.folders("run/", "aaa", None).await.unwrap().names;
        assert_eq!(folders, [long.clone(), format!("{long}{long}"), format!("{long}b")]);
        folder.delete(names.to_vec()).await.unwrap();
        assert_eq!(folder.get(&names[0]).await.unwrap(), None);
        assert!(folder.list("run/", None, 9).await.unwrap().is_empty());
    }
}
