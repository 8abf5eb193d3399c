//! The server that one test has for itself, and may kill.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, anyhow};

use crate::{Kind, Server};

/// A server of a test's own: started when it is first asked for, and found by the test's other processes through a file.
#[derive(Debug, Default)]
pub struct Own(Mutex<Option<Box<dyn Server>>>);

impl Own {
    /// Its URL, which `file` says if a process of the test has started it already.
    ///
    /// # Errors
    ///
    /// When it cannot be had or does not come up, and when the file cannot be written.
    pub fn url(&self, kind: Kind, file: &Path) -> anyhow::Result<String> {
        let mut own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(url) = fs::read_to_string(file) {
            return Ok(url);
        }
        let url = own.insert(kind.start()?).url();
        // Whoever finds the file finds all of the URL in it.
        let new = file.with_extension("new");
        fs::write(&new, &url).and_then(|()| fs::rename(&new, file)).context("the server's URL")?;
        Ok(url)
    }

    /// Does something with it, in the process that has started it.
    ///
    /// # Errors
    ///
    /// Those of `work`, and when another process has started it or none.
    pub fn with<T>(&self, work: impl FnOnce(&dyn Server) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(&**own.as_ref().ok_or_else(|| anyhow!("no server of its own was started here"))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_finds_what_the_first_has_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        let (first, second) = (Own::default(), Own::default());
        let url = first.url(Kind::Redis, &file).unwrap();
        assert_eq!(first.url(Kind::Redis, &file).unwrap(), url);
        assert_eq!(second.url(Kind::Redis, &file).unwrap(), url);
        assert_eq!(first.with(|server| Ok(server.url())).unwrap(), url);
        assert!(second.with(|server| server.kill()).is_err(), "it is another process's");
        assert!(!file.with_extension("new").exists());
    }
}
