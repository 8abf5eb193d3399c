//! A process of a server: started, awaited, killed, started again.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::account::Account;
use crate::home::Home;
use crate::wait::{PATIENCE, wait_for};

/// Waits for a word before it becomes the server: when we die between starting it and telling the watchdog of it, its
/// input ends and it never begins.
const GATE: &str = r#"read -r go && exec "$@" </dev/null"#;

/// Of a log, as much as an error shows.
const SHOWN: usize = 40;

/// How a process is started.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    /// What it is called in errors and in the name of its log.
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(&'static str, OsString)>,
    pub(crate) account: Account,
}

/// Whether the process of this number is the one that answers.
type Ready = Box<dyn Fn(u32) -> bool + Send + Sync>;

/// A process that is killed when this is dropped.
pub(crate) struct Daemon {
    home: Arc<Home>,
    launch: Launch,
    ready: Ready,
    running: Mutex<Option<Child>>,
}

impl std::fmt::Debug for Daemon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Daemon").field("launch", &self.launch).finish_non_exhaustive()
    }
}

impl Daemon {
    /// Starts it and waits until it answers.
    pub(crate) fn start(
        home: Arc<Home>,
        launch: Launch,
        ready: impl Fn(u32) -> bool + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let daemon = Self { home, launch, ready: Box::new(ready), running: Mutex::new(None) };
        daemon.run()?;
        Ok(daemon)
    }

    /// Kills it, if it runs, and starts it again.
    pub(crate) fn restart(&self) -> anyhow::Result<()> {
        self.kill()?;
        self.run()
    }

    /// SIGKILL to it and its children, and waits until they are gone. Nothing, if it does not run.
    pub(crate) fn kill(&self) -> anyhow::Result<()> {
        let Some(mut child) = self.running().take() else { return Ok(()) };
        let pid = child.id();
        let children = children_of(pid);
        signal_group(pid);
        let killed = child.kill();
        for one in &children {
            signal(*one);
        }
        self.home.forget(pid)?;
        killed.and_then(|()| child.wait()).with_context(|| format!("cannot kill {}", self.launch.name))?;
        let gone = || Ok(children.iter().all(|one| is_gone(*one)).then_some(()));
        wait_for(Duration::from_secs(10), gone)?
            .with_context(|| format!("the children of {} do not end", self.launch.name))
    }

    /// Its number, while it runs.
    pub(crate) fn process(&self) -> Option<u32> {
        self.running().as_ref().map(Child::id)
    }

    /// Lets it outlive us.
    pub(crate) fn leave(&self) -> Option<u32> {
        self.running().take().map(|child| child.id())
    }

    fn run(&self) -> anyhow::Result<()> {
        *self.running() = Some(self.spawn()?);
        let result = self.await_answer();
        if result.is_err() {
            self.kill()?;
        }
        result
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let Launch { name, program, arguments, environment, account } = &self.launch;
        let log = OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut command = Command::new("sh");
        command.args(["-c", GATE, "gate"]).arg(program).args(arguments);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.home.path());
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        account.apply(&mut command);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let opened = self.home.watch(child.id()).and_then(|()| {
            let gate = child.stdin.take().context("the gate has no handle")?.write_all(b"go\n");
            gate.with_context(|| format!("cannot start {name}"))
        });
        if let Err(error) = opened {
            let _ = child.kill().and_then(|()| child.wait());
            return Err(error);
        }
        Ok(child)
    }

    fn await_answer(&self) -> anyhow::Result<()> {
        let name = &self.launch.name;
        let answered = wait_for(PATIENCE, || {
            let mut running = self.running();
            let child = running.as_mut().context("killed while it was starting")?;
            let pid = child.id();
            if let Some(status) = child.try_wait()? {
                running.take();
                self.home.forget(pid)?;
                bail!("{name} ended at once ({status}):\n{}", self.tail());
            }
            drop(running);
            Ok((self.ready)(pid).then_some(()))
        })?;
        answered.with_context(|| format!("{name} does not answer after {PATIENCE:?}:\n{}", self.tail()))
    }

    fn log(&self) -> PathBuf {
        self.home.path().join(format!("{}.log", self.launch.name))
    }

    fn tail(&self) -> String {
        let text = fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(SHOWN)..].join("\n")
    }

    fn running(&self) -> MutexGuard<'_, Option<Child>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// The direct children of a process, where the system tells: PostgreSQL's lead groups of their own.
fn children_of(process: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|one| one.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Whether a process has ended, reaped by whoever has inherited it or not.
fn is_gone(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ") || stat.contains(") X ")
}

/// What is gone already is what was wanted, here and below.
#[cfg(unix)]
fn signal(process: u32) {
    use nix::{sys::signal, unistd::Pid};
    let _ = i32::try_from(process).map(|pid| signal::kill(Pid::from_raw(pid), signal::Signal::SIGKILL));
}

#[cfg(unix)]
fn signal_group(leader: u32) {
    use nix::{sys::signal, unistd::Pid};
    let _ = i32::try_from(leader).map(|pid| signal::killpg(Pid::from_raw(pid), signal::Signal::SIGKILL));
}

#[cfg(not(unix))]
fn signal(_process: u32) {}

#[cfg(not(unix))]
fn signal_group(_leader: u32) {}
