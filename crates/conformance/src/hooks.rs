//! What an author may supply beyond a way to connect, and what stays unproven without it.

use std::{fmt, future::Future, sync::Arc};

use futures_util::future::BoxFuture;
use milepost_core::{Capabilities, Durability, Result, RunId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Scope;

/// Something that a harness may supply, each by itself. A case that needs what is missing does not apply, and the
/// report says what stays unproven by that.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Hook {
    /// A clock to move: [`crate::Harness::with_clock`] or [`crate::Harness::with_server_clock`].
    Clock,
    /// A second process: [`crate::Harness::with_processes`].
    Processes,
    /// What is stored of a run, counted: [`crate::Harness::with_parts`].
    Parts,
    /// A stored byte changed: [`crate::Harness::with_flip`].
    Flip,
    /// A stored part removed: [`crate::Harness::with_removal`].
    Removal,
    /// A server killed and started again: [`crate::Harness::with_server`].
    Server,
    /// A word that nobody must be shown: [`crate::Harness::with_secret`].
    Secret,
}

impl Hook {
    /// Every hook.
    pub const ALL: [Hook; 7] =
        [Hook::Clock, Hook::Processes, Hook::Parts, Hook::Flip, Hook::Removal, Hook::Server, Hook::Secret];

    /// Its stable name, which a case says that it needs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Hook::Clock => "clock",
            Hook::Processes => "processes",
            Hook::Parts => "parts",
            Hook::Flip => "flip",
            Hook::Removal => "removal",
            Hook::Server => "server",
            Hook::Secret => "secret",
        }
    }

    /// What nobody knows of a store whose harness does not supply it.
    pub const fn proves(self) -> &'static str {
        match self {
            Hook::Clock => {
                "that instants are kept to the microsecond, and ends of leases without real waiting"
            }
            Hook::Processes => {
                "what a killed, a stopped and a second process find: nothing acknowledged lost, one owner, streams followed"
            }
            Hook::Parts => "that a deletion leaves nothing behind, and a refusal stores nothing",
            Hook::Flip => "that a stored byte which changed is told, and never read as other data",
            Hook::Removal => "that a stored part which is gone is told, and never read as less data",
            Hook::Server => {
                "that what was acknowledged outlives the server, and what a caller is told while it is down"
            }
            Hook::Secret => "that no handle and no error shows what it was connected with",
        }
    }

    /// How a harness supplies it.
    pub(crate) const fn supplied_by(self) -> &'static str {
        match self {
            Hook::Clock => "with_clock or with_server_clock",
            Hook::Processes => "with_processes",
            Hook::Parts => "with_parts",
            Hook::Flip => "with_parts and with_flip",
            Hook::Removal => "with_parts and with_removal",
            Hook::Server => "with_server",
            Hook::Secret => "with_secret",
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that a backend stores of a run, as the backend sees it: a row, a key, an object, a column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// What the hooks find it by again, and a failure tells.
    pub name: String,
    /// How many bytes of it can be changed.
    pub size: u64,
    /// Whether the store claims to notice its loss and every change of it.
    pub guarded: bool,
}

impl Part {
    /// A part.
    pub fn new(name: impl Into<String>, size: u64) -> Self {
        Self { name: name.into(), size, guarded: true }
    }

    /// A part that is counted and not damaged, because the store does not claim to notice that. Say why where this is
    /// called.
    pub fn unguarded(mut self) -> Self {
        self.guarded = false;
        self
    }
}

/// An asynchronous closure that an author gave.
pub(crate) struct Call<A, T>(Arc<dyn Fn(A) -> BoxFuture<'static, Result<T>> + Send + Sync>);

impl<A, T> Call<A, T> {
    pub(crate) fn new<Called>(call: impl Fn(A) -> Called + Send + Sync + 'static) -> Self
    where
        Called: Future<Output = Result<T>> + Send + 'static,
    {
        Self(Arc::new(move |asked| Box::pin(call(asked))))
    }

    pub(crate) async fn ask(&self, asked: A) -> Result<T> {
        (self.0)(asked).await
    }
}

impl<A, T> Clone for Call<A, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// How the kit moves a store's clock.
#[derive(Clone)]
pub(crate) enum Clocked {
    /// It is the scope's own.
    Given,
    /// It is told each instant.
    Told(Call<(Scope, Timestamp), ()>),
}

/// What a harness supplies.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) clock: Option<Clocked>,
    pub(crate) processes: bool,
    pub(crate) parts: Option<Call<(Scope, RunId), Vec<Part>>>,
    pub(crate) flip: Option<Call<(Scope, Part, u64), ()>>,
    pub(crate) removal: Option<Call<(Scope, Part), ()>>,
    /// How to kill it, and how to start it again.
    pub(crate) server: Option<(Call<Scope, ()>, Call<Scope, ()>)>,
    /// How to remove what a scope has left.
    pub(crate) teardown: Option<Call<Scope, ()>>,
    /// There is no server that could be killed.
    pub(crate) embedded: bool,
    /// Words that nobody must be shown.
    pub(crate) secrets: Vec<String>,
}

impl Hooks {
    /// Whether a hook is there, with what it needs itself.
    pub(crate) fn have(&self, hook: Hook) -> bool {
        match hook {
            Hook::Clock => self.clock.is_some(),
            Hook::Processes => self.processes,
            Hook::Parts => self.parts.is_some(),
            Hook::Flip => self.parts.is_some() && self.flip.is_some(),
            Hook::Removal => self.parts.is_some() && self.removal.is_some(),
            Hook::Server => self.server.is_some(),
            Hook::Secret => !self.secrets.is_empty(),
        }
    }

    /// Why nobody could supply a hook for this store; `None` where somebody could.
    pub(crate) fn pointless(&self, hook: Hook, offered: &Capabilities) -> Option<&'static str> {
        match hook {
            Hook::Processes if offered.durability == Durability::Process => {
                Some("is about other processes, and this store's data lives in its own")
            }
            Hook::Server | Hook::Secret if self.embedded => {
                Some("is about a server and who may use it, and this store has none")
            }
            _ => None,
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let supplied = Hook::ALL.into_iter().filter(|hook| self.have(*hook));
        f.debug_set().entries(supplied.map(Hook::as_str)).finish()
    }
}
