//! The one writing connection of a handle and its clones, and the task that owns it.
//!
//! Writes wait in a queue, so that dropping a caller's future cancels nothing. While a transaction runs, further ones
//! gather; the next transaction takes everything that waits, and all of it shares one wait for the disk.

use std::{collections::HashSet, ops::ControlFlow, sync::Arc};

use milepost_core::{Applied, Capabilities, Error, ErrorKind, Result, RunId};
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use crate::{
    SqliteConfig,
    connection::{self, Patience},
    error::{closed, from_driver},
    follow::Followers,
    image::{Here, Image},
    job::{Answer, Context, Job},
    needs::{Found, Needs, Parts},
    plan::{self, Write},
    recent::{self, GUARDS, Left, Recent},
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
    pub(crate) recent: Recent,
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
    /// given before the first write, and a run has one request in a batch, so no verdict depends on a write of the same
    /// transaction: a refused request has written nothing that a savepoint would have to take back. No answer leaves
    /// before COMMIT has succeeded; if anything fails before, nothing of the batch has happened.
    async fn transact(&mut self, jobs: &[Job]) -> Result<Answers, Failure> {
        let mut connection = self.connect().await.map_err(Failure::before)?;
        if let Some((judged, first)) = self.judge_by_recent(jobs) {
            match write(Some((first, GUARDS)), judged.writes, &mut connection).await {
                Ok(()) => return Ok(self.hold(connection, judged.answers, judged.left)),
                Err(stopped) if stopped.ended < GUARDS && !is_broken(&stopped.error) => {
                    // Not locked, or a row is not as it was left: give the verdicts again by what is read.
                    if stopped.ended > 0 && !roll_back(&mut connection).await {
                        connection = self.connect().await.map_err(Failure::before)?;
                    }
                }
                Err(stopped) => return Err(self.fail(connection, stopped).await),
            }
        }
        let mut found = match self.read(jobs, &mut connection).await {
            Ok(found) => found,
            Err((locked, error)) => {
                let usable =
                    if locked { roll_back(&mut connection).await } else { error.kind() == ErrorKind::Busy };
                self.connection = usable.then_some(connection);
                return Err(Failure::before(error));
            }
        };
        let judged = self.judge(jobs, |run| found.take(run));
        if judged.writes.is_empty() {
            if roll_back(&mut connection).await {
                self.connection = Some(connection);
            }
            return Ok(judged.answers);
        }
        match write(None, judged.writes, &mut connection).await {
            Ok(()) => Ok(self.hold(connection, judged.answers, judged.left)),
            Err(stopped) => Err(self.fail(connection, stopped).await),
        }
    }

    /// The transaction holds: its answers may leave.
    fn hold(
        &mut self,
        connection: SqliteConnection,
        answers: Answers,
        left: Vec<(RunId, Option<Left>)>,
    ) -> Answers {
        self.connection = Some(connection);
        for (run, left) in left {
            self.followers.notify(&run);
            match left {
                Some(left) => self.recent.put(left),
                None => drop(self.recent.take(&run)),
            }
        }
        answers
    }

    /// The transaction does not hold, or nobody knows: after an error of COMMIT the connection is given up.
    async fn fail(&mut self, mut connection: SqliteConnection, stopped: Stopped) -> Failure {
        self.recent = Recent::default();
        let Stopped { error, applied, .. } = stopped;
        if applied == Applied::No && roll_back(&mut connection).await {
            self.connection = Some(connection);
        }
        let error = from_driver(error).with_applied(applied);
        let spoiling = matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::TooLarge);
        Failure { one_spoils: applied == Applied::No && spoiling, error }
    }

    /// Judges the batch by the rows that earlier transactions left, when those are all that it rests on and nothing of
    /// it is refused: a refusal must rest on what is stored. Gives the script that begins the transaction, too.
    fn judge_by_recent(&mut self, jobs: &[Job]) -> Option<(Judged, Script)> {
        let known = |job: &Job| {
            self.recent.get(job.request.run()).is_some_and(|left| job.request.needs_only(&left.row))
        };
        if !jobs.iter().all(known) {
            return None;
        }
        let mut recent = std::mem::take(&mut self.recent);
        let mut rows = Vec::with_capacity(jobs.len());
        let judged = self.judge(jobs, |run| {
            let image = recent.take(run).map(|left| {
                rows.push((left.row.key, left.checksum));
                Image::remembered(left.row)
            });
            Ok((image, Parts::default()))
        });
        self.recent = recent;
        let good = judged.answers.iter().all(Result::is_ok) && judged.left.len() == jobs.len();
        good.then(|| (judged, recent::begin(&rows)))
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

    fn judge(&self, jobs: &[Job], mut take: impl FnMut(&RunId) -> Result<(Option<Image>, Parts)>) -> Judged {
        let context = Context {
            now: self.config.clock.now(),
            here: &self.here,
            ids: &*self.config.ids,
            capabilities: &self.capabilities,
        };
        let (mut writes, mut left) = (Vec::new(), Vec::new());
        let mut judge = |job: &Job| {
            let run = job.request.run();
            let (image, parts) = take(run)?;
            let decided = job.request.judge(image, parts, &context)?;
            if !decided.writes.is_empty() {
                left.push((run.clone(), decided.left));
            }
            writes.extend(decided.writes);
            Ok(decided.answer)
        };
        let no = |error: Error| error.with_applied(Applied::No);
        let answers = jobs.iter().map(|job| judge(job).map_err(no)).collect();
        Judged { answers, writes, left }
    }
}

/// The verdicts on a batch.
struct Judged {
    answers: Answers,
    writes: Vec<Write>,
    /// The runs that change, with the rows that they are left with.
    left: Vec<(RunId, Option<Left>)>,
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

/// Where a transaction stopped.
struct Stopped {
    /// How many statements of its first trip had ended, while that one was running.
    ended: usize,
    error: sqlx::Error,
    /// [`Applied::No`] when a statement before COMMIT failed, [`Applied::Maybe`] when COMMIT itself did, or when the
    /// driver does not tell which.
    applied: Applied,
}

/// Writes and commits, behind `first` with its number of statements, which begins the transaction unless that was done.
async fn write(
    first: Option<plan::Trip>,
    writes: Vec<Write>,
    connection: &mut SqliteConnection,
) -> Result<(), Stopped> {
    let mut trips = plan::trips(first, writes).into_iter().enumerate().peekable();
    while let Some((index, (script, statements))) = trips.next() {
        let (ended, result) = script.run(connection, |_, _| ControlFlow::Continue(())).await;
        if let Err(error) = result {
            let before = trips.peek().is_some() || !is_broken(&error) && ended + 1 < statements;
            let applied = if before { Applied::No } else { Applied::Maybe };
            let ended = if index == 0 { ended } else { usize::MAX };
            return Err(Stopped { ended, error, applied });
        }
    }
    Ok(())
}

/// Whether it is the connection that failed, not a statement.
fn is_broken(error: &sqlx::Error) -> bool {
    !matches!(error, sqlx::Error::Database(_))
}

/// Ends the transaction without its writes. `false`: the state of the connection is unknown, give it up; SQLite rolls
/// back when it closes.
async fn roll_back(connection: &mut SqliteConnection) -> bool {
    Script::new("ROLLBACK").execute(connection).await.is_ok()
}
