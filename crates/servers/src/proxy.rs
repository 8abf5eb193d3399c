//! A proxy between a client and a server that counts what passes and fails on purpose.

mod connection;
mod conversation;
mod counts;
mod faults;
mod http;
mod listener;
mod postgres;
mod redis;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;

pub use counts::Counts;
pub use faults::Loss;

use crate::address::{address_of, protocol_of, with_address};
use conversation::Framing;
use faults::Faults;
use listener::Listener;

/// What the proxy must understand to tell one request from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// PostgreSQL's, version 3, without TLS. A request ends with `Sync` or is a simple `Query`; the start of a session
    /// is one too, named `Startup`.
    Postgres,
    /// RESP 2 and 3. A request is one command.
    Redis,
    /// HTTP/1.1 without TLS. A request is named by its method.
    Http,
}

impl Protocol {
    fn framing(self) -> Box<dyn Framing> {
        match self {
            Self::Postgres => Box::<postgres::Postgres>::default(),
            Self::Redis => Box::new(redis::Redis),
            Self::Http => Box::<http::Http>::default(),
        }
    }
}

/// A TCP proxy on loopback, on a thread of its own: it can be used from any runtime, or from none.
///
/// ```no_run
/// use milepost_servers::{Loss, Proxy, Redis, Server};
///
/// let redis = Redis::start()?;
/// let proxy = Proxy::before(&redis.url())?;
/// let url = proxy.url(); // connect to this
///
/// let before = proxy.counts();
/// // … one commit …
/// assert_eq!(proxy.counts().since(&before).trips, 1);
///
/// proxy.lose(Loss::reply(1).to("EVALSHA")); // the next script runs, and nobody hears of it
/// // … a commit that is retried …
/// assert_eq!(proxy.lost(), 1);
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug)]
pub struct Proxy {
    url: String,
    address: SocketAddr,
    faults: Arc<Faults>,
    /// Gone in `drop`, which ends the thread.
    listener: Option<Listener>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// One before the server of this URL, whose scheme says the protocol.
    ///
    /// # Errors
    ///
    /// When the URL names no host or a protocol that is not spoken here, or loopback has no port.
    pub fn before(url: &str) -> anyhow::Result<Self> {
        let protocol = protocol_of(url)?;
        let behind = address_of(url)?;
        let faults = Arc::new(Faults::default());
        let (listener, serve) = Listener::open(protocol, behind, faults.clone())?;
        let address = listener.address();
        let thread = thread::Builder::new().name("proxy".to_owned()).spawn(serve).context("no thread")?;
        let url = with_address(url, address)?;
        Ok(Self { url, address, faults, listener: Some(listener), thread: Some(thread) })
    }

    /// The URL of the server, with the proxy's address in it.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has passed since it was started.
    pub fn counts(&self) -> Counts {
        self.faults.counts()
    }

    /// Plans a loss. Several plans count on their own; each happens once.
    pub fn lose(&self, loss: Loss) {
        self.faults.plan(loss);
    }

    /// How many planned losses have happened: a test that plans one asserts it.
    pub fn lost(&self) -> u64 {
        self.faults.lost()
    }

    /// Forgets the losses that have not happened.
    pub fn lose_nothing(&self) {
        self.faults.unplan();
    }

    /// Delays whatever passes from now on, by so much toward the server and so much back. Order is kept, and what
    /// follows closely is delayed with it, not after it, as by a long line.
    pub fn delay(&self, toward: Duration, back: Duration) {
        self.faults.delay(toward, back);
    }

    /// Takes and swallows all bytes, of both directions, as a network does that has lost the way: nobody hears of an
    /// error. A connection that has lost bytes stays so until it is [cut](Self::cut), even when the silence is over.
    pub fn silence(&self, silent: bool) {
        self.faults.silence(silent);
    }

    /// Refuses new connections, as a server that is down; those that are open go on. When this returns it is so.
    ///
    /// # Errors
    ///
    /// When the port has been taken by somebody else in the meantime.
    pub fn refuse(&self, refuse: bool) -> anyhow::Result<()> {
        self.listener()?.refuse(refuse)
    }

    /// Resets every open connection. When this returns it is so.
    ///
    /// # Errors
    ///
    /// When the proxy's thread has ended.
    pub fn cut(&self) -> anyhow::Result<()> {
        self.listener()?.cut()
    }

    fn listener(&self) -> anyhow::Result<&Listener> {
        self.listener.as_ref().context("the proxy has ended")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
