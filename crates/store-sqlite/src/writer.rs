//! The one writing connection of a handle and its clones, and the task that owns it.
//!
//! Writes wait in a queue, so that dropping a caller's future cancels nothing. While a transaction runs, further ones
//! gather; the next transaction takes everything that waits, and all of it shares one wait for the disk.

use std::{collections::HashSet, sync::Arc};

use milepost_core::{Applied, Capabilities, Error, ErrorKind, Result, RunId};
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use crate::{
    SqliteConfig,
    connection::{self, Patience},
    error::{closed, from_driver},
    follow::Followers,
    image::Here,
    job::{Answer, Context, Job},
    needs::{Found, Needs},
    plan::{self, Write},
    sql::Script,
};

/// A transaction takes no further message once it has so many requests, or writes so many bytes.
const MOST_JOBS: usize = 256;
const MOST_BYTES: usize = 8 << 20;

/// What the task is asked.
#[derive(Debug)]
pub(crate) enum Message {
    /// Go into one transaction together.
    Jobs(Vec<Job>),
    /// Everything before is done; end.
    Close(oneshot::Sender<()>),
}

/// What the task lives on.
pub(crate) struct Writer {
    pub(crate) config: SqliteConfig,
    pub(crate) capabilities: Capabilities,
    pub(crate) here: Here,
    pub(crate) followers: Arc<Followers>,
    /// `None` after an error that left its state unknown; the next transaction opens another one.
    pub(crate) connection: Option<SqliteConnection>,
}

/// Why a transaction did not hold.
struct Failure {
    error: Error,
    /// Whether one request may be what spoiled it for the others.
    one_spoils: bool,
}

/// The answers to the requests of a batch, each held back until the transaction has ended.
type Answers = Vec<Result<Answer>>;

impl Writer {
    /// Works until `close`, or until every handle is gone and the queue is empty.
    pub(crate) async fn work(mut self, mut queue: mpsc::Receiver<Message>) {
        let mut waiting = None;
        let mut closing = None;
        while closing.is_none() {
            let message = match waiting.take() {
                Some(message) => Some(message),
                None => queue.recv().await,
            };
            match message {
                Some(Message::Jobs(jobs)) => {
                    let batch = gather(jobs, &mut queue, &mut waiting);
                    self.process(batch).await;
                }
                Some(Message::Close(done)) => closing = Some(done),
                None => break,
            }
        }
        if let Some(connection) = self.connection.take() {
            // Closing tidies up the log; what was acknowledged is durable without.
            let _ = connection.close().await;
        }
        queue.close();
        while let Ok(message) = queue.try_recv() {
            match message {
                Message::Jobs(jobs) => {
                    jobs.into_iter().for_each(|job| job.settle(Err(closed().with_applied(Applied::No))));
                }
                Message::Close(done) => drop(done.send(())),
            }
        }
        drop(queue);
        if let Some(done) = closing {
            let _ = done.send(());
        }
    }

    /// Gives every request of a batch its verdict.
    async fn process(&mut self, jobs: Vec<Job>) {
        match self.transact(&jobs).await {
            Ok(answers) => jobs.into_iter().zip(answers).for_each(|(job, answer)| job.settle(answer)),
            Err(failure) if failure.one_spoils && jobs.len() > 1 => {
                for job in jobs {
                    Box::pin(self.process(vec![job])).await;
                }
            }
            Err(failure) => jobs.into_iter().for_each(|job| job.settle(Err(failure.error.repeat()))),
        }
    }

    /// One transaction for the whole batch.
    ///
    /// It holds the write lock from its first statement, so what it reads stays true until it ends. All verdicts are
    /// given between the reads and the writes, and a run has one request in a batch, so no verdict depends on a write
    /// of the same transaction: a refused request has written nothing that a savepoint would have to take back. No
    /// answer leaves before COMMIT has succeeded; if anything fails before, nothing of the batch has happened.
    async fn transact(&mut self, jobs: &[Job]) -> Result<Answers, Failure> {
        let mut connection = self.connect().await.map_err(Failure::before)?;
        let read = self.read(jobs, &mut connection).await;
        let mut found = match read {
            Ok(found) => found,
            Err((locked, error)) => {
                if !locked || roll_back(&mut connection).await {
                    self.connection = Some(connection);
                }
                return Err(Failure::before(error));
            }
        };
        let (answers, writes, changed) = self.judge(jobs, &mut found);
        if writes.is_empty() {
            if roll_back(&mut connection).await {
                self.connection = Some(connection);
            }
            return Ok(answers);
        }
        match write(writes, &mut connection).await {
            Ok(()) => {
                self.connection = Some(connection);
                changed.into_iter().for_each(|run| self.followers.notify(run));
                Ok(answers)
            }
            Err(error) => {
                let before = error.applied() == Some(Applied::No);
                if before && roll_back(&mut connection).await {
                    self.connection = Some(connection);
                }
                let one_spoils = before && matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::TooLarge);
                Err(Failure { error, one_spoils })
            }
        }
    }

    /// The connection, opened again after it was given up. The file is there by then, or it was taken away.
    async fn connect(&mut self) -> Result<SqliteConnection> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        tracing::warn!(path = %self.config.path().display(), "the writing connection was lost; opening another one");
        connection::writer(&self.config.clone().create(false)).await
    }

    /// Takes the write lock, waiting for it, and reads. With an error comes whether the lock is held.
    async fn read(&self, jobs: &[Job], connection: &mut SqliteConnection) -> Result<Found, (bool, Error)> {
        let mut needs = Needs::default();
        jobs.iter().for_each(|job| job.request.needs(&mut needs));
        let runs: Vec<&RunId> = jobs.iter().map(|job| job.request.run()).collect();
        let mut patience = Patience::new(self.config.busy_timeout);
        loop {
            match needs.read(&runs, connection).await {
                (_, Ok(found)) => return Ok(found),
                (true, Err(error)) => return Err((true, error)),
                (false, Err(error)) => patience.wait(error).await.map_err(|error| (false, error))?,
            }
        }
    }

    fn judge<'a>(&self, jobs: &'a [Job], found: &mut Found) -> (Answers, Vec<Write>, Vec<&'a RunId>) {
        let context = Context {
            now: self.config.clock.now(),
            here: &self.here,
            ids: &*self.config.ids,
            capabilities: &self.capabilities,
        };
        let (mut writes, mut changed) = (Vec::new(), Vec::new());
        let mut judge = |job: &'a Job| {
            let run = job.request.run();
            let (image, parts) = found.take(run)?;
            let (answer, own) = job.request.judge(image, parts, &context)?;
            if !own.is_empty() {
                changed.push(run);
            }
            writes.extend(own);
            Ok(answer)
        };
        let no = |error: Error| error.with_applied(Applied::No);
        let answers = jobs.iter().map(|job| judge(job).map_err(no)).collect();
        (answers, writes, changed)
    }
}

impl Failure {
    /// Of what failed before anything was written.
    fn before(error: Error) -> Self {
        let one_spoils = error.kind() == ErrorKind::Corrupt;
        Self { error: error.with_applied(Applied::No), one_spoils }
    }
}

/// The batch that begins with `jobs`: with whatever waits and fits. A second request to a run of the batch waits for
/// the next one, so that it is judged by what the first has left.
fn gather(
    mut jobs: Vec<Job>,
    queue: &mut mpsc::Receiver<Message>,
    waiting: &mut Option<Message>,
) -> Vec<Job> {
    let mut bytes: usize = jobs.iter().map(|job| job.request.weight()).sum();
    let mut runs: HashSet<RunId> = HashSet::new();
    while jobs.len() < MOST_JOBS && bytes < MOST_BYTES {
        let next = match queue.try_recv() {
            Ok(Message::Jobs(next)) => next,
            Ok(close) => {
                *waiting = Some(close);
                break;
            }
            Err(_) => break,
        };
        if runs.is_empty() {
            runs.extend(jobs.iter().map(|job| job.request.run().clone()));
        }
        if next.iter().any(|job| runs.contains(job.request.run())) {
            *waiting = Some(Message::Jobs(next));
            break;
        }
        runs.extend(next.iter().map(|job| job.request.run().clone()));
        bytes += next.iter().map(|job| job.request.weight()).sum::<usize>();
        jobs.extend(next);
    }
    jobs
}

/// Writes and commits. The error says [`Applied::No`] when a statement before COMMIT failed, and [`Applied::Maybe`]
/// when COMMIT itself did, or when the driver does not tell which.
async fn write(writes: Vec<Write>, connection: &mut SqliteConnection) -> Result<()> {
    let mut trips = plan::trips(writes).into_iter().peekable();
    while let Some((script, statements)) = trips.next() {
        let (ended, result) = script.run(connection, |_, _| std::ops::ControlFlow::Continue(())).await;
        if let Err(error) = result {
            let told = matches!(error, sqlx::Error::Database(_));
            let before = trips.peek().is_some() || told && ended + 1 < statements;
            let applied = if before { Applied::No } else { Applied::Maybe };
            return Err(from_driver(error).with_applied(applied));
        }
    }
    Ok(())
}

/// Ends the transaction without its writes. `false`: the state of the connection is unknown, give it up; SQLite rolls
/// back when it closes.
async fn roll_back(connection: &mut SqliteConnection) -> bool {
    Script::new("ROLLBACK").execute(connection).await.is_ok()
}
