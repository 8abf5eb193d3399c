//! What an author supplies: a name, a way to connect, and what the kit may do to time, to processes and to what is
//! stored.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use milepost_checkpoint::Checkpoints;
use milepost_core::{CheckpointerFactory, Clock, Result, RunId, Store, Timestamp};

use crate::{
    Hook, Part, Scope,
    entry::Entry,
    hooks::{Call, Clocked, Hooks},
};

type Checkpointers = dyn Fn(Checkpoints) -> Arc<dyn CheckpointerFactory> + Send + Sync;
type Connect = dyn Fn(Scope) -> BoxFuture<'static, Result<Arc<dyn Store>>> + Send + Sync;

/// A backend under test.
#[derive(Clone)]
pub struct Harness {
    name: String,
    connect: Arc<Connect>,
    hooks: Hooks,
    tuning: Tuning,
    /// How this program came to the kit, and comes to it again.
    pub(crate) entry: Entry,
    checkpointers: Option<Arc<Checkpointers>>,
}

/// The backend `name`, whose handles `connect` makes.
///
/// `connect` is called at least twice for each case with the same [`Scope`]: two handles on the same data, empty at
/// first. Different scopes must not see each other's data.
///
/// ```
/// use milepost_conformance::harness;
/// use milepost_store_memory::MemoryStore;
///
/// let memory = harness("memory", |scope| async move {
///     Ok(scope.shared(|| MemoryStore::builder().clock(scope.clock()).build()).handle())
/// })
/// .with_clock();
/// # assert_eq!(memory.name(), "memory");
/// ```
pub fn harness<S, F, Connected>(name: impl Into<String>, connect: F) -> Harness
where
    S: Store,
    F: Fn(Scope) -> Connected + Send + Sync + 'static,
    Connected: Future<Output = Result<S>> + Send + 'static,
{
    let connect = move |scope| -> BoxFuture<'static, Result<Arc<dyn Store>>> {
        let connected = connect(scope);
        Box::pin(async move { Ok(Arc::new(connected.await?) as Arc<dyn Store>) })
    };
    Harness {
        name: name.into(),
        connect: Arc::new(connect),
        hooks: Hooks::default(),
        tuning: Tuning::default(),
        entry: Entry::default(),
        checkpointers: None,
    }
}

/// # Hooks
///
/// Each is optional and stands for itself; what its absence leaves unproven is told by the report.
///
/// ```
/// use std::{collections::BTreeMap, sync::{Arc, Mutex}};
/// use milepost_conformance::{Hook, Part, Scope, harness};
/// # use milepost_store_memory::MemoryStore as Acme;
///
/// /// What the backend really stores its bytes in.
/// #[derive(Clone, Default)]
/// struct Disk(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);
///
/// fn disk(scope: &Scope) -> Disk {
///     scope.shared(Disk::default)
/// }
///
/// let acme = harness("acme", |scope| async move { Ok(scope.shared(Acme::new).handle()) })
///     .with_parts(|scope, run| async move {
///         let disk = disk(&scope);
///         let disk = disk.0.lock().unwrap();
///         let parts = disk.iter().filter(|(key, _)| key.starts_with(run.as_str()));
///         Ok(parts.map(|(key, value)| Part::new(key, value.len() as u64)).collect())
///     })
///     .with_flip(|scope, part, byte| async move {
///         let disk = disk(&scope);
///         if let Some(value) = disk.0.lock().unwrap().get_mut(&part.name) {
///             value[byte as usize] ^= 1;
///         }
///         Ok(())
///     })
///     .with_removal(|scope, part| async move {
///         disk(&scope).0.lock().unwrap().remove(&part.name);
///         Ok(())
///     })
///     .embedded();
/// assert!(acme.supplies(Hook::Removal) && !acme.supplies(Hook::Processes));
/// ```
impl Harness {
    /// Says that `connect` builds its stores with [`Scope::clock`], so that the kit moves time instead of waiting.
    pub fn with_clock(mut self) -> Self {
        self.hooks.clock = Some(Clocked::Given);
        self
    }

    /// For stores whose clock lives on a server: `set` tells the scope's part of it each new instant of
    /// [`Scope::clock`], once before the first `connect` of a scope and after each move. The clock must stand still in
    /// between.
    ///
    /// ```
    /// # use std::sync::{Arc, Mutex};
    /// # use milepost_conformance::harness;
    /// # use milepost_core::Timestamp;
    /// # use milepost_store_memory::MemoryStore as Acme;
    /// /// Stands for the server: PostgreSQL would keep it in the one row that its clock function reads.
    /// #[derive(Clone, Default)]
    /// struct Now(Arc<Mutex<Timestamp>>);
    ///
    /// let acme = harness("acme", |scope| async move { Ok(scope.shared(Acme::new).handle()) })
    ///     .with_server_clock(|scope, now| async move {
    ///         *scope.shared(Now::default).0.lock().unwrap() = now;
    ///         Ok(())
    ///     });
    /// ```
    pub fn with_server_clock<F, Told>(mut self, set: F) -> Self
    where
        F: Fn(Scope, Timestamp) -> Told + Send + Sync + 'static,
        Told: Future<Output = Result<()>> + Send + 'static,
    {
        self.hooks.clock = Some(Clocked::Told(Call::new(move |(scope, now)| set(scope, now))));
        self
    }

    /// Says that another process which connects to the same scope sees the same data. The kit starts this very program
    /// again for that: [`crate::main`] and [`crate::check`] notice it, and whoever does other things before them calls
    /// [`crate::worker`] first.
    ///
    /// The second process finds the scope's name, folder and instant as they are; [`Scope::shared`] is of a process.
    pub fn with_processes(mut self) -> Self {
        self.hooks.processes = true;
        self
    }

    /// Lists what the backend stores of a run: rows, keys, objects; nothing for a run that is not there. Between two
    /// writes the list is the same.
    pub fn with_parts<F, Listed>(mut self, list: F) -> Self
    where
        F: Fn(Scope, RunId) -> Listed + Send + Sync + 'static,
        Listed: Future<Output = Result<Vec<Part>>> + Send + 'static,
    {
        self.hooks.parts = Some(Call::new(move |(scope, run)| list(scope, run)));
        self
    }

    /// Flips the lowest bit of a byte of a stored part; the same again undoes it. An error says that the backend itself
    /// cannot hold such a byte there, and that nothing was changed.
    pub fn with_flip<F, Flipped>(mut self, flip: F) -> Self
    where
        F: Fn(Scope, Part, u64) -> Flipped + Send + Sync + 'static,
        Flipped: Future<Output = Result<()>> + Send + 'static,
    {
        self.hooks.flip = Some(Call::new(move |(scope, part, byte)| flip(scope, part, byte)));
        self
    }

    /// Removes a stored part, behind the store's back.
    pub fn with_removal<F, Removed>(mut self, remove: F) -> Self
    where
        F: Fn(Scope, Part) -> Removed + Send + Sync + 'static,
        Removed: Future<Output = Result<()>> + Send + 'static,
    {
        self.hooks.removal = Some(Call::new(move |(scope, part)| remove(scope, part)));
        self
    }

    /// Kills the server that a scope is connected to, as `kill -9` does, and starts it again on what it has left. Only
    /// asked for scopes that have a server of their own ([`Scope::own_server`]). `kill` returns when it is dead, `restart`
    /// when it can be connected to; handles of before must work again then.
    ///
    /// ```
    /// # use milepost_conformance::{Scope, harness};
    /// # use milepost_core::Result;
    /// # use milepost_store_memory::MemoryStore as Acme;
    /// # #[derive(Clone, Default)]
    /// # struct Server;
    /// # impl Server {
    /// #     fn kill(&self) -> Result<()> { Ok(()) }
    /// #     fn start(&self) -> Result<()> { Ok(()) }
    /// # }
    /// /// The scope's server: its own where it asks for one, the one of all scopes otherwise.
    /// fn server(scope: &Scope) -> Server {
    ///     if scope.own_server() { scope.shared(Server::default) } else { Server }
    /// }
    ///
    /// let acme = harness("acme", |scope| async move { Ok(scope.shared(Acme::new).handle()) })
    ///     .with_server(
    ///         |scope| async move { server(&scope).kill() },
    ///         |scope| async move { server(&scope).start() },
    ///     );
    /// ```
    pub fn with_server<K, R, Killed, Restarted>(mut self, kill: K, restart: R) -> Self
    where
        K: Fn(Scope) -> Killed + Send + Sync + 'static,
        R: Fn(Scope) -> Restarted + Send + Sync + 'static,
        Killed: Future<Output = Result<()>> + Send + 'static,
        Restarted: Future<Output = Result<()>> + Send + 'static,
    {
        self.hooks.server = Some((Call::new(kill), Call::new(restart)));
        self
    }

    /// Removes what a scope has stored, once its case is over, however that ended: for a server that is there for others
    /// too, or gets slower by what lies around. Its handles are closed by then, unless the case failed. An error fails
    /// the case.
    ///
    /// ```
    /// # use std::{collections::BTreeMap, sync::{Arc, Mutex}};
    /// # use milepost_conformance::{check, harness};
    /// # use milepost_store_memory::MemoryStore as Acme;
    /// /// Stands for the server: what is in it by the name of a scope.
    /// #[derive(Clone, Default)]
    /// struct Server(Arc<Mutex<BTreeMap<String, Acme>>>);
    ///
    /// let server = Server::default();
    /// let other = server.clone();
    /// let acme = harness("acme", move |scope| {
    ///     let acme = server.0.lock().unwrap().entry(scope.name().to_owned()).or_default().handle();
    ///     async move { Ok(acme) }
    /// })
    /// .with_teardown(move |scope| {
    ///     other.0.lock().unwrap().remove(scope.name());
    ///     async { Ok(()) }
    /// });
    /// assert!(check(&acme, "open/begun-but-empty-is-known").is_passed());
    /// ```
    pub fn with_teardown<F, Removed>(mut self, remove: F) -> Self
    where
        F: Fn(Scope) -> Removed + Send + Sync + 'static,
        Removed: Future<Output = Result<()>> + Send + 'static,
    {
        self.hooks.teardown = Some(Call::new(remove));
        self
    }

    /// Says that the backend has no server: the cases that kill one do not apply, and nothing stays unproven by that.
    pub fn embedded(mut self) -> Self {
        self.hooks.embedded = true;
        self
    }

    /// A word that `connect` uses and that nobody must be shown, such as a password: no `Debug` and no error may have it.
    pub fn with_secret(mut self, word: impl Into<String>) -> Self {
        self.hooks.secrets.push(word.into());
        self
    }

    /// Sets times and sizes for a slower backend.
    pub fn with_tuning(mut self, tuning: Tuning) -> Self {
        self.tuning = tuning;
        self
    }

    /// Tries the checkpointers that `make` puts over the kit's own: the cases of the area `checkpointer` that drive runs
    /// whose states are bytes go through it. By default there is nothing over them.
    ///
    /// ```
    /// use std::sync::Arc;
    /// # use milepost_conformance::{check, harness};
    /// # use milepost_store_memory::MemoryStore;
    /// # let memory = harness("memory", |scope| async move { Ok(scope.shared(MemoryStore::new)) });
    /// let layered = memory.with_checkpointers(|checkpoints| Arc::new(checkpoints));
    /// assert!(check(&layered, "checkpointer/the-first-save").is_passed());
    /// ```
    pub fn with_checkpointers<F>(mut self, make: F) -> Self
    where
        F: Fn(Checkpoints) -> Arc<dyn CheckpointerFactory> + Send + Sync + 'static,
    {
        self.checkpointers = Some(Arc::new(make));
        self
    }

    pub(crate) fn checkpointers(&self, checkpoints: Checkpoints) -> Arc<dyn CheckpointerFactory> {
        match &self.checkpointers {
            Some(make) => make(checkpoints),
            None => Arc::new(checkpoints),
        }
    }

    /// The backend's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Times and sizes.
    pub fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    /// Whether the kit can move the stores' clock.
    pub fn moves_clock(&self) -> bool {
        self.supplies(Hook::Clock)
    }

    /// Whether this harness supplies a hook.
    pub fn supplies(&self, hook: Hook) -> bool {
        self.hooks.have(hook)
    }

    /// The same, remembering how the program came to the kit.
    pub(crate) fn entered(self, entry: Entry) -> Self {
        Self { entry, ..self }
    }

    pub(crate) fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// A handle on the scope's data; its clock is told first, where it is told.
    pub(crate) async fn connect(&self, scope: &Scope) -> Result<Arc<dyn Store>> {
        scope.begun().get_or_try_init(|| self.tell_clock(scope)).await?;
        (self.connect)(scope.clone()).await
    }

    /// Moves the clock of a scope.
    pub(crate) async fn advance(&self, scope: &Scope, duration: Duration) -> Result<()> {
        scope.clock().advance(duration);
        self.tell_clock(scope).await
    }

    /// Removes what a scope and those beside it have stored, as far as the harness knows how to.
    pub(crate) async fn tear_down(&self, scope: &Scope) -> Result<()> {
        let Some(teardown) = &self.hooks.teardown else { return Ok(()) };
        for scope in scope.beside().into_iter().chain([scope.clone()]) {
            if scope.begun().initialized() {
                teardown.ask(scope).await?;
            }
        }
        Ok(())
    }

    async fn tell_clock(&self, scope: &Scope) -> Result<()> {
        match &self.hooks.clock {
            Some(Clocked::Told(set)) => set.ask((scope.clone(), scope.clock().now())).await,
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness")
            .field("name", &self.name)
            .field("hooks", &self.hooks)
            .field("tuning", &self.tuning)
            .finish_non_exhaustive()
    }
}

/// How patient the kit is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tuning {
    /// The lease of a case that waits for its end, where no clock can be moved: 400 ms. Raised to the store's
    /// `min_ttl`.
    pub ttl: Duration,
    /// How late the store may judge that an instant has come: 20 ms.
    pub slack: Duration,
    /// How long a case may take: 20 s.
    pub timeout: Duration,
    /// The largest body that a case writes, where the store declares a higher limit: 8 MiB.
    pub body: u64,
    /// How often a race is run that a broken store loses only now and then: 1,000 times.
    pub rounds: u32,
    /// How many runs the largest listing has: 10,000. A slow backend is given fewer, as many as half of the timeout
    /// allows.
    pub runs: u32,
    /// How long the re-opens of a handle may take in the whole of a case: 400 ms. Once that is used up the handle stays, so
    /// that a backend to which connecting is slow is re-opened less often, not for ever.
    pub reopening: Duration,
}

impl Tuning {
    /// Less of everything that is large, for the cases in which every operation has a handle of its own.
    pub(crate) fn reopened(&self) -> Self {
        let mut less = self.clone();
        less.body = less.body.min(64 << 10);
        less.rounds = less.rounds.min(20);
        less.runs = less.runs.min(100);
        less
    }
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            ttl: Duration::from_millis(400),
            slack: Duration::from_millis(20),
            timeout: Duration::from_secs(20),
            body: 8 << 20,
            rounds: 1000,
            runs: 10_000,
            reopening: Duration::from_millis(400),
        }
    }
}
