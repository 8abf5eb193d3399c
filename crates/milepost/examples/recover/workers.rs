//! The workers: this program, started again.

use std::{
    env,
    io::Read,
    process::{Child, Command, Stdio},
};

use milepost::{BoxError, CancellationToken};

use crate::{Options, deadly};

/// Worker processes. Dropped, they are killed.
pub(crate) struct Workers {
    arguments: Vec<String>,
    children: Vec<Child>,
}

impl Workers {
    pub(crate) fn start(options: &Options, url: &str, port: u16) -> Result<Self, BoxError> {
        let (pace, ttl) = (humantime::format_duration(options.pace), humantime::format_duration(options.ttl));
        let arguments = ["--worker", &port.to_string(), "--store", url]
            .into_iter()
            .chain(["--pace", &pace.to_string(), "--ttl", &ttl.to_string()])
            .map(String::from)
            .collect();
        let mut workers = Self { arguments, children: Vec::new() };
        for _ in 0..options.workers {
            let mut worker = workers.worker();
            // For the tests: the first ones may be asked to die.
            if let Ok(dies) = env::var("MILEPOST_EXAMPLE_WORKER_DIES") {
                worker.env(deadly::DIES, dies);
            }
            workers.children.push(worker.spawn()?);
        }
        Ok(workers)
    }

    fn worker(&self) -> Command {
        let mut worker = Command::new(env::current_exe().unwrap_or_else(|_| "recover".into()));
        // It ends when the pipe does, so that no worker outlives this process.
        worker.args(&self.arguments).stdin(Stdio::piped()).env_remove(deadly::DIES);
        worker
    }

    /// Kills one and starts another; gives the process id of the one that is gone.
    pub(crate) fn kill(&mut self, turn: usize) -> Result<u32, BoxError> {
        let index = turn % self.children.len();
        let pid = self.children[index].id();
        self.children[index].kill()?;
        self.children[index].wait()?;
        self.children[index] = self.worker().spawn()?;
        Ok(pid)
    }

    /// Starts another one for each that has died by itself; gives the process ids of those.
    pub(crate) fn replace_the_dead(&mut self) -> Result<Vec<u32>, BoxError> {
        let mut dead = Vec::new();
        for index in 0..self.children.len() {
            if self.children[index].try_wait()?.is_some() {
                dead.push(self.children[index].id());
                self.children[index] = self.worker().spawn()?;
            }
        }
        Ok(dead)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.children {
            // One that is gone already needs no killing.
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }
}

/// Stops this worker in good order when the process that started it is gone.
pub(crate) fn stop_with_parent(shutdown: CancellationToken) {
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        shutdown.cancel();
    });
}
