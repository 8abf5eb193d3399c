//! The second process, seen from the first: started, stopped, thawed, killed.

use std::{
    collections::HashMap,
    env, fmt,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use milepost_core::{Capabilities, Clock, Error, ErrorKind, Result};
use tokio::sync::mpsc;

use super::{
    VARIABLE, is_second,
    wire::{Ask, Fault, MARK, Reply, Request},
};
use crate::{Harness, Scope};

/// What comes of one request.
pub(super) type Replies = mpsc::UnboundedReceiver<Result<Option<String>, Box<Fault>>>;

/// A process that takes part in a scope. Killed when nobody holds it any more.
pub(crate) struct Process {
    scope: Scope,
    child: Mutex<Child>,
    input: Mutex<ChildStdin>,
    waiting: Arc<Mutex<Waiting>>,
    requests: AtomicU64,
    pub(super) capabilities: Capabilities,
}

/// Who waits for answers; `None` once there will be none.
type Waiting = Option<HashMap<u64, mpsc::UnboundedSender<Result<Option<String>, Box<Fault>>>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unavailable, message.into())
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("id", &lock(&self.child).id()).finish_non_exhaustive()
    }
}

impl Process {
    /// Starts this program again, as a process that has connected to `scope`.
    ///
    /// # Errors
    ///
    /// When it does not come to the kit, or cannot connect.
    pub(crate) async fn start(harness: &Harness, scope: &Scope) -> Result<Self> {
        if is_second() {
            return Err(failed("a second process starts no third one"));
        }
        let spawned = env::current_exe().and_then(|program| {
            Command::new(program)
                .args(harness.entry.arguments())
                .env(VARIABLE, harness.name())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
        });
        let mut child =
            spawned.map_err(|error| failed("this program cannot be started again").with_source(error))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed("a child process came without its pipes"));
        };
        let (ready, mut connected) = mpsc::unbounded_channel();
        let waiting = Arc::new(Mutex::new(Some(HashMap::from([(0, ready)]))));
        let heard = waiting.clone();
        thread::spawn(move || listen(output, &heard));
        let mut this = Self {
            scope: scope.clone(),
            child: Mutex::new(child),
            input: Mutex::new(input),
            waiting,
            requests: AtomicU64::new(1),
            capabilities: Capabilities::new(milepost_core::Durability::Process),
        };
        this.write(&serde_json::to_string(&scope.attachment()?).map_err(unwritable)?)?;
        let answer = tokio::time::timeout(harness.tuning().timeout / 2, connected.recv()).await;
        let Ok(Some(answer)) = answer else {
            return Err(failed(
                "the second process did not answer; a program that does other things before it comes to the kit \
                 calls milepost_conformance::worker first",
            ));
        };
        this.capabilities = value(answer?)?;
        Ok(this)
    }

    fn write(&self, line: &str) -> Result<()> {
        let written = writeln!(lock(&self.input), "{line}");
        written.map_err(|error| failed("the second process has ended").with_source(error))
    }

    /// Asks it something, now by the scope's clock; what it answers comes one after another.
    pub(super) fn ask(&self, ask: Ask) -> Result<(u64, Replies)> {
        let id = self.requests.fetch_add(1, Ordering::Relaxed);
        let (sender, replies) = mpsc::unbounded_channel();
        match &mut *lock(&self.waiting) {
            Some(waiting) => waiting.insert(id, sender),
            None => return Err(failed("the second process has ended")),
        };
        let request = Request { id, now: self.scope.clock().now(), ask };
        self.write(&serde_json::to_string(&request).map_err(unwritable)?)?;
        Ok((id, replies))
    }

    /// Forgets a stream that nobody reads any more. One whose process has ended needs no word of it.
    pub(super) fn forget(&self, stream: u64) {
        if let Some(waiting) = &mut *lock(&self.waiting) {
            waiting.remove(&stream);
        }
        let _ = self.ask(Ask::Drop(stream));
    }

    /// Kills it with -9 and waits until it is gone.
    ///
    /// # Errors
    ///
    /// When the operating system does not.
    pub(crate) fn kill(&self) -> Result<()> {
        let mut child = lock(&self.child);
        let killed = child.kill().and_then(|()| child.wait().map(drop));
        killed.map_err(|error| failed("the second process cannot be killed").with_source(error))
    }

    /// Stops it wherever it is, as a machine that is overloaded, suspended or migrated would.
    ///
    /// # Errors
    ///
    /// When the operating system does not.
    pub(crate) async fn stop(&self) -> Result<()> {
        self.signal("STOP")?;
        // The signal is on its way; what is still running on another core stops within this.
        let stat = format!("/proc/{}/stat", lock(&self.child).id());
        for _ in 0..200 {
            let state = std::fs::read_to_string(&stat).unwrap_or_default();
            if state.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T')) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Lets it go on.
    ///
    /// # Errors
    ///
    /// When the operating system does not.
    pub(crate) fn thaw(&self) -> Result<()> {
        self.signal("CONT")
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let id = lock(&self.child).id();
        let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {id}")]).status();
        match sent {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(failed(format!("kill -{signal} ended with {status}"))),
            Err(error) => Err(failed("there is no shell to send signals with").with_source(error)),
        }
    }
}

impl Drop for Process {
    /// It may be stopped, and then it would never see that its input has ended.
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Other, "a request cannot be written as JSON").with_source(error)
}

/// The value of an answer.
pub(super) fn value<T: serde::de::DeserializeOwned>(answer: Option<String>) -> Result<T> {
    let read = serde_json::from_str(&answer.unwrap_or_default());
    read.map_err(|error| {
        Error::new(ErrorKind::Other, "the second process answered what was not asked").with_source(error)
    })
}

/// Hands each answer to who waits for it, until the process has ended.
fn listen(output: ChildStdout, waiting: &Mutex<Waiting>) {
    for line in BufReader::new(output).lines().map_while(std::io::Result::ok) {
        let Some((_, reply)) = line.split_once(MARK) else { continue };
        let Ok(Reply { id, told }) = serde_json::from_str(reply) else { continue };
        if let Some(waiting) = &*lock(waiting)
            && let Some(sender) = waiting.get(&id)
        {
            // Who does not wait any more has been dropped.
            let _ = sender.send(told);
        }
    }
    lock(waiting).take();
}
