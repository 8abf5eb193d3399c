//! A service outside of Milepost: it does what it is told once for each idempotency key, and remembers the answer.
//!
//! A line of a TCP connection is a request: the key, a blank, what is to be done. The line that comes back is the answer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use milepost::BoxError;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// What it has done.
#[derive(Clone, Default)]
pub(crate) struct Receiver(Arc<Mutex<HashMap<String, Done>>>);

struct Done {
    what: String,
    /// How often it was asked for.
    asked: usize,
}

impl Receiver {
    /// Listens on a free port of this machine; gives that.
    pub(crate) async fn listen(&self) -> Result<u16, BoxError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let receiver = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let receiver = receiver.clone();
                // Whoever was killed while it asked does not hear the answer.
                tokio::spawn(async move { receiver.serve(stream).await });
            }
        });
        Ok(port)
    }

    async fn serve(&self, stream: TcpStream) -> Result<(), BoxError> {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        while let Some(line) = lines.next_line().await? {
            let (key, what) = line.split_once(' ').ok_or("no key")?;
            let answer = self.ask(key, what);
            write.write_all(format!("{answer}\n").as_bytes()).await?;
        }
        Ok(())
    }

    fn done(&self) -> MutexGuard<'_, HashMap<String, Done>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn ask(&self, key: &str, what: &str) -> String {
        let mut done = self.done();
        let entry = done.entry(key.into()).or_insert_with(|| Done { what: what.into(), asked: 0 });
        entry.asked += 1;
        format!("done: {}", entry.what)
    }

    /// How many things it has done, and how often it was asked for one again.
    pub(crate) fn count(&self) -> (usize, usize) {
        let done = self.done();
        (done.len(), done.values().map(|done| done.asked - 1).sum())
    }
}

/// Asks the receiver at `port` to do `what`, once for this key; gives its answer.
pub(crate) async fn ask(port: u16, key: &str, what: &str) -> Result<String, BoxError> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(format!("{key} {what}\n").as_bytes()).await?;
    let answer = BufReader::new(stream).lines().next_line().await?;
    answer.ok_or_else(|| "the receiver said nothing".into())
}
