//! The worlds that the tests live in.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use milepost_core::{Ids, ManualClock, RunId, SystemIds, Timestamp};
use milepost_servers::Proxy;
use milepost_store_s3::{S3Config, S3Store};
use tempfile::TempDir;

pub(crate) use milepost_store_tests::{create, operation, record, run};

/// A bucket with a prefix of its own.
pub(crate) struct Bucket {
    pub(crate) url: String,
    pub(crate) prefix: String,
}

impl Bucket {
    /// On the server that all tests share.
    pub(crate) fn new() -> Self {
        let url = milepost_servers::s3().unwrap().url().to_owned();
        Self { url, prefix: format!("it{:x}", SystemIds.bits() as u64) }
    }

    /// The same place by another way, such as through a proxy.
    pub(crate) fn config_at(&self, url: &str) -> S3Config {
        S3Config::from_url(url).unwrap().prefix(&self.prefix).unwrap().prepare_on_connect(true)
    }

    /// A proxy before the server, and the URL through it.
    pub(crate) fn proxy(&self) -> (Proxy, String) {
        let url = self.url.clone();
        let endpoint = url.split("endpoint=").nth(1).unwrap().split('&').next().unwrap().to_owned();
        let proxy = milepost_store_tests::proxy(&endpoint);
        let through = url.replace(&endpoint, proxy.url().trim_end_matches('/'));
        (proxy, through)
    }
}

/// A folder and a clock.
pub(crate) struct Folder {
    home: TempDir,
    pub(crate) clock: Arc<ManualClock>,
}

pub(crate) const START: Timestamp = Timestamp(1_800_000_000_000_000);

impl Folder {
    pub(crate) fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), clock: Arc::new(ManualClock::new(START)) }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.home.path().join("runs")
    }

    pub(crate) fn config(&self) -> S3Config {
        S3Config::folder(self.path()).clock(self.clock.clone())
    }

    pub(crate) async fn store(&self) -> S3Store {
        self.config().connect().await.unwrap()
    }

    /// A handle of a process whose clocks are so much ahead.
    pub(crate) async fn later(&self, by: Duration) -> S3Store {
        use milepost_core::Clock;
        self.config().clock(Arc::new(ManualClock::new(self.clock.now() + by))).connect().await.unwrap()
    }

    /// Every object with its bytes, by its name.
    pub(crate) fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        let mut all = BTreeMap::new();
        walk(&self.path(), &self.path(), &mut all);
        all
    }

    /// Those of a run.
    pub(crate) fn of(&self, run: &RunId) -> BTreeMap<String, Vec<u8>> {
        let folder = format!("run/{}/", crate::run::digits(run));
        self.objects().into_iter().filter(|(name, _)| name.starts_with(&folder)).collect()
    }

    pub(crate) fn hints(&self) -> Vec<String> {
        self.objects().into_keys().filter(|name| name.starts_with("due/")).collect()
    }

    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path().join(name)).unwrap();
    }
}

fn walk(root: &Path, folder: &Path, all: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(root, &path, all);
        } else {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            all.insert(name, fs::read(path).unwrap());
        }
    }
}

/// A run that is driven through this store.
pub(crate) type Driver = milepost_store_tests::Driver<S3Store>;
