//! One connection, from client to server and back.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::Protocol;
use super::conversation::{Conversation, Passed};
use super::faults::Faults;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// As one of its sides wanted.
    Closed,
    /// Reset, both ways.
    Cut,
}

#[derive(Clone, Copy, Debug)]
enum Direction {
    Toward,
    Back,
}

/// What a connection shares between its two directions.
#[derive(Debug)]
struct Shared {
    conversation: Mutex<Conversation>,
    faults: Arc<Faults>,
}

/// Serves one client to its end, or until `cuts` changes.
pub(super) async fn serve(
    mut client: TcpStream,
    behind: SocketAddr,
    protocol: Protocol,
    faults: Arc<Faults>,
    mut cuts: watch::Receiver<u64>,
) {
    faults.count(|counts| counts.connections += 1);
    let Ok(mut server) = TcpStream::connect(behind).await else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = client.set_nodelay(true).and_then(|()| server.set_nodelay(true));
    let conversation = Mutex::new(Conversation::new(protocol.framing(), faults.clone()));
    let shared = Shared { conversation, faults };
    let end = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            end = toward(from_client, to_server, &shared) => end,
            end = carry(from_server, to_client, Direction::Back, &shared) => end,
            _ = cuts.changed() => End::Cut,
        }
    };
    if end == End::Cut {
        let _ = client.set_zero_linger().and_then(|()| server.set_zero_linger());
    }
}

/// A client that has said all may still wait for replies: then the connection ends when the server ends it.
async fn toward(from: ReadHalf<'_>, mut to: WriteHalf<'_>, shared: &Shared) -> End {
    match carry(from, &mut to, Direction::Toward, shared).await {
        End::Cut => End::Cut,
        End::Closed => {
            let _ = to.shutdown().await;
            std::future::pending().await
        }
    }
}

/// Carries bytes one way. Reading goes on while what was read waits for its time, so that a delay is one of the line.
async fn carry(
    from: ReadHalf<'_>,
    to: impl AsyncWriteExt + Unpin,
    direction: Direction,
    shared: &Shared,
) -> End {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (end, ()) = tokio::join!(read(from, sender, direction, shared), write(receiver, to));
    end
}

async fn read(
    mut from: ReadHalf<'_>,
    queue: mpsc::UnboundedSender<(Instant, Vec<u8>)>,
    direction: Direction,
    shared: &Shared,
) -> End {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = match from.read(&mut buffer).await {
            Ok(0) => return End::Closed,
            Ok(read) => read,
            Err(_) => return End::Cut,
        };
        if shared.faults.is_silent() {
            // Bytes are missing now: nothing that comes later can be understood.
            while from.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
            return std::future::pending().await;
        }
        let (passed, delay) = shared.pass(direction, &buffer[..read]);
        if !passed.bytes.is_empty() && queue.send((Instant::now() + delay, passed.bytes)).is_err() {
            return End::Cut;
        }
        if passed.cut {
            return End::Cut;
        }
    }
}

async fn write(mut queue: mpsc::UnboundedReceiver<(Instant, Vec<u8>)>, mut to: impl AsyncWriteExt + Unpin) {
    while let Some((due, bytes)) = queue.recv().await {
        sleep_until(due).await;
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

impl Shared {
    fn pass(&self, direction: Direction, bytes: &[u8]) -> (Passed, Duration) {
        let mut conversation = self.conversation.lock().unwrap_or_else(PoisonError::into_inner);
        let (toward, back) = self.faults.delays();
        match direction {
            Direction::Toward => (conversation.toward(bytes), toward),
            Direction::Back => (conversation.back(bytes), back),
        }
    }
}
