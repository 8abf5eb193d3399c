//! One server: the connection to it that everybody shares, made again when it was cut.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use milepost_core::{Clock, SystemClock};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, IntoConnectionInfo, Pipeline, ProtocolVersion,
    PushInfo, PushKind, RedisError, RedisResult, ServerErrorKind, Value, aio::MultiplexedConnection,
};

use crate::shared::Shared;

/// Who knows where the server is.
enum Way {
    Address(Box<Client>),
    #[cfg(feature = "sentinel")]
    Sentinels(Box<tokio::sync::Mutex<redis::sentinel::SentinelClient>>),
}

/// One server.
pub(crate) struct Node {
    way: Arc<Way>,
    patience: Patience,
    clock: SystemClock,
    shared: Shared<Open>,
}

/// How long is waited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Patience {
    pub(crate) connect: Duration,
    pub(crate) answer: Duration,
}

/// A connection.
struct Open {
    connection: MultiplexedConnection,
    /// Whether the driver has found it cut.
    gone: Arc<AtomicBool>,
    /// When it was used last, in microseconds of the node's clock.
    used: AtomicU64,
}

/// What is sent in one go.
#[derive(Clone, Copy)]
pub(crate) enum Request<'a> {
    One(&'a Cmd),
    All(&'a Pipeline),
}

/// A request that was not answered, or with an error.
pub(crate) struct Failed {
    pub(crate) error: RedisError,
    /// Whether it may have reached the server.
    pub(crate) sent: bool,
    /// Whether a cluster has said so, which knows where to move to.
    pub(crate) moving: bool,
}

impl Failed {
    pub(crate) fn unsent(error: RedisError) -> Self {
        Self { error, sent: false, moving: false }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("patience", &self.patience).finish_non_exhaustive()
    }
}

/// After so many microseconds without a request the driver is given turns before the next one, to find out that it was cut.
/// No server starts again in less.
const QUIET: u64 = 1_000;

/// In the first the runtime hears of it, in the second the driver, whichever of the two tasks runs first.
const TURNS: usize = 3;

impl Way {
    /// Connects; it is `now` by the node's clock.
    async fn connect(&self, patience: Patience, now: u64) -> RedisResult<Open> {
        let gone = Arc::new(AtomicBool::new(false));
        let told = gone.clone();
        let listen = move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                told.store(true, Ordering::Release);
            }
            Ok::<(), ()>(())
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience.connect))
            .set_response_timeout(Some(patience.answer))
            .set_push_sender(listen);
        let connection = match self {
            Self::Address(client) => client.get_multiplexed_async_connection_with_config(&config).await?,
            #[cfg(feature = "sentinel")]
            Self::Sentinels(client) => client.lock().await.get_async_connection_with_config(&config).await?,
        };
        Ok(Open { connection, gone, used: AtomicU64::new(now) })
    }
}

impl Node {
    /// The server at an address.
    pub(crate) fn at(info: ConnectionInfo, patience: Patience) -> RedisResult<Self> {
        // Only this version of the protocol lets the driver tell at once that a connection is gone.
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(settings).into_connection_info()?)?;
        Ok(Self::by(Way::Address(Box::new(client)), patience))
    }

    /// The master that sentinels know.
    #[cfg(feature = "sentinel")]
    pub(crate) fn of_sentinels(client: redis::sentinel::SentinelClient, patience: Patience) -> Self {
        Self::by(Way::Sentinels(Box::new(tokio::sync::Mutex::new(client))), patience)
    }

    fn by(way: Way, patience: Patience) -> Self {
        Self { way: Arc::new(way), patience, clock: SystemClock::default(), shared: Shared::default() }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The shared connection, made if there is none or it was cut.
    async fn open(&self) -> RedisResult<Arc<Open>> {
        if let Some(open) = self.shared.value() {
            let now = self.now();
            if now.saturating_sub(open.used.swap(now, Ordering::Relaxed)) > QUIET {
                for _ in 0..TURNS {
                    tokio::task::yield_now().await;
                }
            }
            if !open.gone.load(Ordering::Acquire) {
                return Ok(open);
            }
            self.shared.give_up(&open);
        }
        let (way, patience, now) = (self.way.clone(), self.patience, self.now());
        self.shared.other_than(None, || async move { way.connect(patience, now).await }).await
    }

    /// Sends a request. What was never sent, because the connection was gone before, is sent by a new one; one that may be
    /// repeated, also after it was cut on its way. The answers of many commands may be errors each.
    pub(crate) async fn ask(&self, request: Request<'_>, repeatable: bool) -> Result<Vec<Value>, Failed> {
        let mut again = repeatable;
        loop {
            let open = self.open().await.map_err(Failed::unsent)?;
            let mut connection = open.connection.clone();
            let answer = match request {
                Request::One(command) => connection
                    .send_packed_command(command)
                    .await
                    .and_then(Value::extract_error)
                    .map(|value| vec![value]),
                Request::All(pipeline) => {
                    let count = pipeline.cmd_iter().count();
                    connection.send_packed_commands(pipeline, 0, count).await
                }
            };
            let Err(error) = answer else { return answer.map_err(Failed::unsent) };
            if !self.drop_cut(&open, &error) || !std::mem::take(&mut again) {
                return Err(Failed { error, sent: true, moving: false });
            }
        }
    }

    /// A connection that was cut makes way for a new one. Says whether it was.
    fn drop_cut(&self, open: &Arc<Open>, error: &RedisError) -> bool {
        let cut = error.is_unrecoverable_error() || error.is_io_error() && !error.is_timeout();
        // A master that became a replica is looked for anew, where somebody knows who is master now.
        let demoted = error.kind() == redis::ErrorKind::Server(ServerErrorKind::ReadOnly);
        if cut || demoted {
            self.shared.give_up(open);
        }
        cut
    }

    /// Forgets the connection. Whoever uses it at this moment is not disturbed.
    pub(crate) fn close(&self) {
        self.shared.clear();
    }
}
