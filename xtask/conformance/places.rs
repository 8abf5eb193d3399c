//! A place of its own for each case, below or beside what the URL names, and its removal in the end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use milepost::{GroupCommit, MemoryStore, Store};
use milepost_conformance::Scope;
use tokio::runtime::Builder;

use crate::scheme::Scheme;

/// The places of this run. A cheap clone.
#[derive(Clone, Debug)]
pub(crate) struct Places(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    scheme: Scheme,
    url: String,
    /// The URLs that were connected to and are to be removed.
    used: Mutex<BTreeSet<String>>,
}

impl Places {
    pub(crate) fn new(scheme: Scheme, url: String) -> Self {
        Self(Arc::new(Inside { scheme, url, used: Mutex::default() }))
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.0.scheme
    }

    /// A handle on the place of this scope.
    pub(crate) async fn connect(&self, scope: &Scope) -> milepost::Result<Arc<dyn Store>> {
        if self.0.scheme == Scheme::Memory {
            // Each `connect` would make a new store; two handles of a scope share their data.
            let store = scope.shared(MemoryStore::new).handle();
            return Ok(Arc::new(GroupCommit::new(Arc::new(store))));
        }
        milepost::connect(&self.place(scope.name())).await
    }

    /// Connects once, so that a URL that leads nowhere is told once.
    pub(crate) fn try_one(&self) -> anyhow::Result<()> {
        let url = match self.0.scheme {
            Scheme::Memory => self.0.url.clone(),
            _ => self.place("mp_first"),
        };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let tried = runtime.block_on(async { milepost::connect(&url).await?.close().await });
        tried.context("the kit cannot be run there")
    }

    /// Removes every place. What cannot be removed is told and left.
    #[expect(clippy::print_stderr, reason = "the cases have been told already, this stands beside them")]
    pub(crate) fn remove(&self) {
        let used = std::mem::take(&mut *self.0.used.lock().unwrap_or_else(PoisonError::into_inner));
        if let Err(error) = self.0.scheme.remove(&used) {
            eprintln!("warning: something is left: {error:#}");
        }
    }

    fn place(&self, scope: &str) -> String {
        let url = self.0.scheme.place(&self.0.url, scope);
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner).insert(url.clone());
        url
    }
}
