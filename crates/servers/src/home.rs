//! A server's folder, and the watchdog that clears up when nobody else can.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use tempfile::TempDir;

use crate::scratch::scratch;

/// Reads what is to be watched, a line each, to the end of its input; then kills those processes and their children and
/// removes the folder. `leave` ends it without either.
const WATCHDOG: &str = r#"
folder=$1
watched=
while read -r word pid; do
    case $word in
        watch) watched="$watched $pid" ;;
        forget)
            kept=
            for one in $watched; do [ "$one" = "$pid" ] || kept="$kept $one"; done
            watched=$kept ;;
        leave) exit 0 ;;
    esac
done
for one in $watched; do
    children=$(cat "/proc/$one/task/"*/children 2>/dev/null)
    kill -KILL "-$one" $children 2>/dev/null
done
# What was killed may still be writing its last file.
rm -rf -- "$folder" 2>/dev/null || { sleep 1; rm -rf -- "$folder"; }
"#;

/// Where a server lives. Dropped, it removes the folder; what runs in it must be dropped before.
#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct Inside {
    folder: Option<TempDir>,
    watchdog: Child,
    /// Its end is what the watchdog waits for. Closed on exec, so that no child of ours holds it.
    line: Option<ChildStdin>,
}

/// A server that goes on after us, and how to end it by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its processes.
    pub processes: Vec<u32>,
    /// Its folders.
    pub folders: Vec<PathBuf>,
}

impl Left {
    /// The command that stops it and removes what it stored.
    pub fn stop_command(&self) -> String {
        let processes: Vec<_> = self.processes.iter().map(u32::to_string).collect();
        let folders: Vec<_> = self.folders.iter().map(|folder| folder.display().to_string()).collect();
        format!("kill -9 {}; rm -rf {}", processes.join(" "), folders.join(" "))
    }
}

impl Home {
    /// A fresh one for a server of this name.
    pub(crate) fn new(name: &str) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix_in(format!("milepost-{name}-"), scratch())
            .context("cannot make a temporary folder")?;
        let path = folder.path().to_owned();
        let mut command = Command::new("sh");
        command.args(["-c", WATCHDOG, "watchdog"]).arg(&path).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Not in our group: who kills that, as a terminal does or a test runner, must not kill the watchdog too.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut watchdog = command.spawn().context("cannot start the watchdog, a shell")?;
        let line = watchdog.stdin.take();
        Ok(Self { path, inside: Mutex::new(Inside { folder: Some(folder), watchdog, line }) })
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// From now on the process ends with us.
    pub(crate) fn watch(&self, process: u32) -> anyhow::Result<()> {
        self.inside().tell(&format!("watch {process}\n"))
    }

    /// The process has been killed and is about to be reaped, after which its number may be somebody else's.
    pub(crate) fn forget(&self, process: u32) -> anyhow::Result<()> {
        self.inside().tell(&format!("forget {process}\n"))
    }

    /// Lets the folder and what runs in it outlive us.
    pub(crate) fn leave(&self) {
        let mut inside = self.inside();
        if let Some(folder) = inside.folder.take() {
            let _ = inside.tell("leave\n");
            let _ = folder.keep();
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn tell(&mut self, line: &str) -> anyhow::Result<()> {
        let pipe = self.line.as_mut().context("the watchdog is gone")?;
        pipe.write_all(line.as_bytes()).context("the watchdog does not listen")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let inside = self.inside.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Nothing runs any more: the watchdog has nothing to kill, and the folder goes either way.
        inside.line = None;
        let _ = inside.watchdog.wait();
        inside.folder = None;
    }
}
