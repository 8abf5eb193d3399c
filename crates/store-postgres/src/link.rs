//! The connections: a few, taken for one statement each and given back.
//!
//! Not the driver's own pool: that one sends a message of its own each time a connection is given back, and a commit is to be
//! one round trip.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use milepost_core::{Applied, Clock, Error, ErrorKind, Result, SystemClock};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection,
    postgres::{PgConnectOptions, PgRow},
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::{
    error::{applied, closed, ends_connection, from_driver, is_to_be_run_again},
    value::{self, Value},
};

/// How often a statement is run that others were in the way of.
const ATTEMPTS: u32 = 20;

/// A connection that was not used for so long may have been forgotten by whatever stands between.
const LONGEST_IDLE: Duration = Duration::from_secs(60);

/// A statement, and how it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) sql: &'a Arc<str>,
    pub(crate) values: &'a [Value],
    pub(crate) writes: bool,
    /// Its best plan depends on the values, or it is one of many: it is not prepared.
    pub(crate) once: bool,
}

impl Call<'_> {
    /// Of a write it is told whether it has happened.
    fn told(&self, error: Error, applied: Applied) -> Error {
        if self.writes { error.with_applied(applied) } else { error }
    }
}

/// The connections of a handle and its clones.
pub(crate) struct Link {
    options: PgConnectOptions,
    /// Whether statements can be prepared, and a session listened in.
    pub(crate) direct: bool,
    connections: u32,
    timeout: Duration,
    permits: Semaphore,
    idle: Mutex<Vec<Idle>>,
    clock: SystemClock,
}

/// A connection that nobody uses, and since when.
struct Idle(PgConnection, Duration);

/// A connection that is used: closed when it is dropped without having been given back, as by a caller who is gone.
struct Used<'a> {
    connection: PgConnection,
    reused: bool,
    permit: SemaphorePermit<'a>,
}

impl Link {
    pub(crate) fn new(options: PgConnectOptions, direct: bool, connections: u32, timeout: Duration) -> Self {
        Self {
            options,
            direct,
            connections,
            timeout,
            permits: Semaphore::new(connections as usize),
            idle: Mutex::default(),
            clock: SystemClock::default(),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Adds a connection that was made elsewhere.
    pub(crate) fn add(&self, connection: PgConnection) {
        self.idle().push(Idle(connection, self.clock.elapsed()));
    }

    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// The connection that was used last: a few do the work, and the others grow old.
    fn take_idle(&self) -> Option<PgConnection> {
        let now = self.clock.elapsed();
        let mut idle = self.idle();
        let Idle(connection, since) = idle.pop()?;
        if now.saturating_sub(since) < LONGEST_IDLE {
            return Some(connection);
        }
        // The others have been idle for even longer.
        idle.clear();
        None
    }

    async fn acquire(&self) -> Result<Used<'_>> {
        let permit = match timeout(self.timeout, self.permits.acquire()).await {
            Ok(permit) => permit.map_err(|_| closed())?,
            Err(_) => {
                return Err(Error::new(
                    ErrorKind::Busy,
                    format!(
                        "all {} connections of this handle were in use for {:?}: give it more with connections=…",
                        self.connections, self.timeout
                    ),
                ));
            }
        };
        if let Some(connection) = self.take_idle() {
            return Ok(Used { connection, reused: true, permit });
        }
        let connection = connect(&self.options, self.timeout).await?;
        Ok(Used { connection, reused: false, permit })
    }

    fn give_back(&self, used: Used<'_>) {
        self.add(used.connection);
        drop(used.permit);
    }

    /// How long an answer is waited for: longer where much is sent.
    fn patience(&self, call: &Call<'_>) -> Duration {
        let bytes: usize = call.values.iter().map(Value::weight).sum();
        self.timeout + Duration::from_micros(bytes as u64)
    }

    async fn send(&self, connection: &mut PgConnection, call: &Call<'_>) -> Result<Vec<PgRow>, sqlx::Error> {
        if self.direct && !call.once {
            let query = sqlx::query_with(AssertSqlSafe(call.sql.clone()), value::bound(call.values)?);
            return connection.fetch_all(query).await;
        }
        let text = value::written(call.sql, call.values);
        connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(text))).await
    }

    /// Runs a statement, again if others were in its way, and a read also if its connection turns out to be of no use.
    ///
    /// # Errors
    ///
    /// What the server says, and for a write whether it has happened.
    pub(crate) async fn call(&self, call: &Call<'_>) -> Result<Vec<PgRow>> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut used = self.acquire().await.map_err(|error| call.told(error, Applied::No))?;
            let failed = match timeout(self.patience(call), self.send(&mut used.connection, call)).await {
                Ok(Ok(rows)) => {
                    self.give_back(used);
                    return Ok(rows);
                }
                Ok(Err(failed)) => failed,
                Err(_) => {
                    let message = format!("the server did not answer within {:?}", self.timeout);
                    return Err(call.told(Error::new(ErrorKind::TimedOut, message), Applied::Maybe));
                }
            };
            let reused = used.reused;
            if ends_connection(&failed) {
                // What ended this one has probably ended the others that wait.
                drop(used);
                self.idle().clear();
            } else {
                self.give_back(used);
            }
            let again = is_to_be_run_again(&failed) && attempt < ATTEMPTS
                || reused && !call.writes && attempt == 1 && ends_connection(&failed);
            if !again {
                return Err(call.told(from_driver(&failed), applied(&failed)));
            }
        }
    }

    /// Runs statements one after another on one connection, each by itself; one that fails ends the connection, and with
    /// that the transaction that they may have begun. Each is waited for as long as an answer is, `times` over.
    pub(crate) async fn script(&self, statements: &[&str], times: u32) -> Result<Vec<PgRow>> {
        let mut used = self.acquire().await?;
        let mut rows = Vec::new();
        for statement in statements {
            let text = AssertSqlSafe((*statement).to_owned());
            let answer = used.connection.fetch_all(sqlx::raw_sql(text));
            match timeout(self.timeout.saturating_mul(times), answer).await {
                Ok(Ok(answer)) => rows.extend(answer),
                Ok(Err(failed)) => return Err(from_driver(&failed)),
                Err(_) => return Err(Error::new(ErrorKind::TimedOut, "the server did not answer in time")),
            }
        }
        self.give_back(used);
        Ok(rows)
    }

    /// Ends the connections that nobody uses; from now on there are no others.
    pub(crate) async fn close(&self) {
        self.permits.close();
        let idle = std::mem::take(&mut *self.idle());
        for Idle(connection, _) in idle {
            // The server notices the end of a connection by itself, too.
            let _ = timeout(self.timeout, connection.close()).await;
        }
    }
}

/// A new connection.
pub(crate) async fn connect(options: &PgConnectOptions, patience: Duration) -> Result<PgConnection> {
    match timeout(patience, options.connect()).await {
        Ok(connected) => connected.map_err(|failed| from_driver(&failed)),
        Err(_) => {
            let message = format!("the server took no connection within {patience:?}");
            Err(Error::new(ErrorKind::TimedOut, message))
        }
    }
}
