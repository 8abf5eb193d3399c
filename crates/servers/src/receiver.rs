//! A service outside of Milepost, at which the side effects of tested programs arrive.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
};

use anyhow::Context;

/// What was asked for under each key, in the order in which it came.
type Asked = HashMap<String, Vec<String>>;

/// A service that does what it is told once for each idempotency key, and remembers every call.
///
/// A line of a TCP connection is a request: the key, a blank, what is to be done; the line that comes back is the answer,
/// `done: ` and the same. It serves in a thread of its own until the process ends.
#[derive(Clone, Debug)]
pub struct Receiver {
    port: u16,
    asked: Arc<Mutex<Asked>>,
}

impl Receiver {
    /// Listens on a free port of this machine.
    ///
    /// # Errors
    ///
    /// When no port is free.
    pub fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("no port for the receiver")?;
        let receiver = Self { port: listener.local_addr()?.port(), asked: Arc::default() };
        let serving = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A caller that was killed has sent nothing, or does not hear the answer.
                let _ = serving.serve(&stream);
            }
        });
        Ok(receiver)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn serve(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        if let Some((key, what)) = line.strip_suffix('\n').and_then(|line| line.split_once(' ')) {
            self.asked().entry(key.into()).or_default().push(what.into());
            writeln!(stream, "done: {what}")?;
        }
        Ok(())
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Every call under each key since this was asked last.
    pub fn take(&self) -> HashMap<String, Vec<String>> {
        std::mem::take(&mut *self.asked())
    }

    /// What it has done, once for each key, sorted.
    ///
    /// # Panics
    ///
    /// When a key was given for two things.
    pub fn done(&self) -> Vec<String> {
        let asked = self.asked();
        let each = asked.iter().map(|(key, whats)| {
            assert!(whats.iter().all(|what| *what == whats[0]), "{key} stands for {whats:?}");
            whats[0].clone()
        });
        let mut done: Vec<_> = each.collect();
        done.sort();
        done
    }
}
