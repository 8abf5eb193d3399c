//! Runs another program to its end: its output in one piece, progress meanwhile, and none of its children left over.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::console::Progress;
use crate::interrupt;
use crate::stopwatch::Stopwatch;

/// How long an interrupted program may take to end by itself.
const GRACE: Duration = Duration::from_secs(15);
/// How often progress is shown and an end is looked for.
const TICK: Duration = Duration::from_millis(100);

/// A program to run in the workspace's root: no input, no colours, no progress bars of its own.
#[derive(Debug)]
pub(crate) struct Program {
    command: Command,
    line: String,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The command line, as one would type it.
    pub(crate) line: String,
    /// Whether it ended with success.
    pub(crate) ok: bool,
    /// Standard output and standard error, in the order in which they were written.
    pub(crate) output: String,
}

impl Program {
    /// The cargo that started us.
    pub(crate) fn cargo<I>(root: &Path, args: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Self::new(root, "cargo", cargo.as_ref(), args)
    }

    /// Any other program of the search path.
    pub(crate) fn other<I>(root: &Path, name: &str, args: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        Self::new(root, name, name.as_ref(), args)
    }

    fn new<I>(root: &Path, name: &str, program: &OsStr, args: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        let mut command = Command::new(program);
        command.current_dir(root).stdin(Stdio::null());
        // What cargo says of this program itself: builds that look at it would be made anew.
        for (name, _) in std::env::vars_os() {
            let says = |start: &str| name.to_str().is_some_and(|name| name.starts_with(start));
            if says("CARGO_PKG_") || says("CARGO_MANIFEST_") {
                command.env_remove(&name);
            }
        }
        Self { command, line: name.to_owned() }.args(args)
    }

    /// Adds an argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.line.push(' ');
        self.line.push_str(&arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub(crate) fn args<I>(self, args: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        args.into_iter().fold(self, Self::arg)
    }

    /// Sets a variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.line = format!("{name}={} {}", value.as_ref().to_string_lossy(), self.line);
        self.command.env(name, value);
        self
    }

    /// Sets a variable whose value is in no log: a URL may hold a password.
    pub(crate) fn secret(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.line = format!("{name}=… {}", self.line);
        self.command.env(name, value);
        self
    }

    /// Runs it and keeps its output.
    pub(crate) fn run(mut self, progress: &Progress) -> anyhow::Result<Ran> {
        let (reader, writer) = io::pipe()?;
        self.command
            .env("CARGO_TERM_COLOR", "never")
            .env("CARGO_TERM_PROGRESS_WHEN", "never")
            .env("NO_COLOR", "1")
            .stdout(writer.try_clone()?)
            .stderr(writer);
        let line = self.line.clone();
        // Ends with `self`, so that the pipe's only writers are the program's own.
        let mut child = self.spawn()?;
        let lines = read_lines(reader);
        let mut output = String::new();
        let ok = wait(&mut child, |ended| follow(&lines, &mut output, progress, ended))?;
        Ok(Ran { line, ok, output })
    }

    /// What it writes to its standard output goes to our standard error, because ours is for something else.
    pub(crate) fn aside(mut self) -> Self {
        self.command.stdout(io::stderr());
        self
    }

    /// Runs it on our own terminal; `true` if it ended with success.
    pub(crate) fn run_visibly(self) -> anyhow::Result<bool> {
        let mut child = self.spawn()?;
        wait(&mut child, |ended| {
            if !ended {
                thread::sleep(TICK);
            }
        })
    }

    fn spawn(mut self) -> anyhow::Result<Child> {
        if interrupt::requested() {
            bail!("interrupted");
        }
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut self.command, 0);
        let child = self.command.spawn().with_context(|| format!("cannot start `{}`", self.line))?;
        interrupt::watch(child.id());
        Ok(child)
    }
}

/// Calls `idle(false)` until the child has ended and `idle(true)` once when its group is gone.
fn wait(child: &mut Child, mut idle: impl FnMut(bool)) -> anyhow::Result<bool> {
    let mut asked = None;
    while !has_ended(child)? {
        if interrupt::requested() && asked.get_or_insert_with(Stopwatch::start).elapsed() > GRACE {
            interrupt::kill(child.id());
        }
        idle(false);
    }
    interrupt::sweep(child.id());
    let status = child.wait()?;
    idle(true);
    Ok(status.success() && !interrupt::requested())
}

/// Looks without reaping, so that the group's number stays ours until it is swept.
#[cfg(unix)]
fn has_ended(child: &Child) -> anyhow::Result<bool> {
    use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
    use nix::unistd::Pid;

    let id = Id::Pid(Pid::from_raw(i32::try_from(child.id())?));
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    match waitid(id, flags) {
        Ok(status) => Ok(status != WaitStatus::StillAlive),
        Err(nix::errno::Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(unix))]
fn has_ended(child: &mut Child) -> anyhow::Result<bool> {
    Ok(child.try_wait()?.is_some())
}

/// Moves what was written into `output`: for a tick while it runs, to the end of the pipe once it has ended.
fn follow(lines: &Receiver<String>, output: &mut String, progress: &Progress, ended: bool) {
    let watch = Stopwatch::start();
    // A process that left the group may hold the pipe for ever; a few seconds are enough for the rest.
    let patience = if ended { Duration::from_secs(5) } else { TICK };
    let mut newest = None;
    while let Some(left) = patience.checked_sub(watch.elapsed()) {
        match lines.recv_timeout(left) {
            Ok(line) => {
                output.push_str(&line);
                newest = Some(line);
            }
            Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) if ended => break,
            // The pipe may be closed well before the program ends.
            Err(RecvTimeoutError::Disconnected) => {
                thread::sleep(left);
                break;
            }
        }
    }
    let newest = newest.as_deref().or_else(|| output.lines().next_back()).unwrap_or_default();
    progress.tick(newest);
}

/// Reads on a thread of its own; lines keep their end, and bytes that are no UTF-8 are replaced.
fn read_lines(reader: io::PipeReader) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut bytes = Vec::new();
        while reader.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
            if sender.send(String::from_utf8_lossy(&bytes).into_owned()).is_err() {
                return;
            }
            bytes.clear();
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Console;

    fn sh(script: &str) -> Ran {
        let program = Program::other(Path::new("."), "sh", ["-c", script]);
        program.run(&Console::new().progress("test")).unwrap()
    }

    #[cfg(unix)]
    #[test]
    fn programs_are_run_to_their_end_and_leave_nothing() {
        let ran = sh("echo one; echo two >&2; printf three");
        assert!(ran.ok);
        assert_eq!(ran.output, "one\ntwo\nthree");

        assert!(!sh("exit 3").ok);

        let watch = Stopwatch::start();
        let ran = sh("sleep 60 & echo $!");
        assert!(ran.ok);
        assert!(watch.elapsed() < Duration::from_secs(30), "waited for a child that was left over");
        let left: i32 = ran.output.trim().parse().unwrap();
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{left}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        assert!(
            (0..50).any(|_| gone() || {
                thread::sleep(TICK);
                false
            }),
            "{left} is still there"
        );
    }
}
