//! Remembers what a case did, so that a failure can tell it.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use futures_util::StreamExt;
use milepost_core::{
    At, BlobInfo, BoxStream, Bytes, Capabilities, Commit, Committed, Delete, Digest, Finish, Head,
    LeaseChange, Message, NewMessage, Open, Opened, Outcome, Query, Record, Renew, Result, RunId, Sent,
    Snapshot, Span, Store,
};

use crate::expect::told;

/// The last steps of a case, and the calls that have no answer yet.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Steps>);

#[derive(Debug, Default)]
struct Steps {
    /// How many there were.
    count: u64,
    newest: VecDeque<String>,
    /// How many calls were made.
    calls: u64,
    waiting: BTreeMap<u64, String>,
}

/// A step in as many bytes as a failure tells of it.
fn brief(mut step: String) -> String {
    if step.len() > Journal::WIDTH {
        step.truncate(step.floor_char_boundary(Journal::WIDTH));
        step.push('…');
    }
    step
}

impl Journal {
    /// How many steps a failure tells.
    const KEPT: usize = 16;
    /// How much it tells of each.
    const WIDTH: usize = 300;

    fn steps(&self) -> MutexGuard<'_, Steps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a step.
    pub(crate) fn note(&self, step: String) {
        let mut steps = self.steps();
        steps.count += 1;
        if steps.newest.len() == Self::KEPT {
            steps.newest.pop_front();
        }
        steps.newest.push_back(brief(step));
    }

    /// Remembers a call until it is answered. One that is dropped before stays, until newer ones push it out.
    fn ask(&self, call: String) -> u64 {
        let mut steps = self.steps();
        steps.calls += 1;
        let number = steps.calls;
        steps.waiting.insert(number, brief(call));
        if steps.waiting.len() > Self::KEPT {
            steps.waiting.pop_first();
        }
        number
    }

    /// The call is no longer without an answer.
    fn answered(&self, call: u64) {
        self.steps().waiting.remove(&call);
    }
}

impl fmt::Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = self.steps();
        let first = steps.count - steps.newest.len() as u64 + 1;
        if first > 1 {
            writeln!(f, "  … {} earlier steps", first - 1)?;
        }
        (first..).zip(&steps.newest).try_for_each(|(number, step)| writeln!(f, "  {number}. {step}"))?;
        steps.waiting.values().try_for_each(|call| writeln!(f, "  without an answer: {call}"))
    }
}

/// A store that writes down what is asked of it and what it answers.
#[derive(Debug)]
pub(crate) struct Traced {
    name: &'static str,
    store: Arc<dyn Store>,
    journal: Arc<Journal>,
}

impl Traced {
    /// `store`, called `name` in the journal.
    pub(crate) fn over(store: Arc<dyn Store>, name: &'static str, journal: &Arc<Journal>) -> Arc<dyn Store> {
        Arc::new(Self { name, store, journal: journal.clone() })
    }

    async fn tell<T>(
        &self,
        asked: String,
        call: impl Future<Output = Result<T>>,
        show: impl FnOnce(&T) -> String,
    ) -> Result<T> {
        let asked = format!("{}.{asked}", self.name);
        let number = self.journal.ask(asked.clone());
        let answer = call.await;
        self.journal.answered(number);
        self.told(asked, answer, show)
    }

    fn told<T>(&self, asked: String, answer: Result<T>, show: impl FnOnce(&T) -> String) -> Result<T> {
        let answered = match &answer {
            Ok(value) => show(value),
            Err(error) => told(error),
        };
        self.journal.note(format!("{asked} = {answered}"));
        answer
    }

    /// A stream is told when it is made, and once more if it ends with an error.
    fn tell_stream<T: Send + 'static>(
        &self,
        asked: String,
        stream: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        let (name, journal) = (self.name, self.journal.clone());
        journal.note(format!("{name}.{asked}"));
        let failed = move |item: &Result<T>| {
            if let Err(error) = item {
                journal.note(format!("{name}.{asked} ended with {}", told(error)));
            }
        };
        stream.inspect(failed).boxed()
    }
}

fn opening(run: &RunId, open: &Open) -> String {
    let mut text = format!("open({run:?}, {:?}, ttl {:?}, {:?}", open.mode, open.ttl, open.takeover);
    if open.reopen_failed {
        text.push_str(", reopen_failed");
    }
    if let Some(origin) = &open.origin {
        let _ = write!(text, ", origin at {}", origin.cursor);
    }
    text + ")"
}

fn committing(commit: &Commit) -> String {
    let mut text = format!("commit({:?}, epoch {}, expect {}", commit.run, commit.fence.epoch, commit.expect);
    for (count, what) in [
        (commit.records.len(), "records"),
        (commit.blobs.len(), "blobs"),
        (commit.drop_blobs.len(), "blobs dropped"),
    ] {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    let lease = Some(commit.lease).filter(|lease| *lease != LeaseChange::Keep);
    for part in [
        commit.snapshot.as_ref().map(|snapshot| format!("{snapshot:?}")),
        commit.trim.map(|through| format!("trim through {through}")),
        Some(&commit.take).filter(|take| !take.is_empty()).map(|take| format!("take {take:?}")),
        commit.note.as_ref().map(|note| format!("{note:?}")),
        commit.advances.then(|| "advances".to_owned()),
        lease.map(|lease| format!("{lease:?}")),
        commit.finish.as_ref().map(finishing),
    ]
    .into_iter()
    .flatten()
    {
        let _ = write!(text, ", {part}");
    }
    text + ")"
}

/// How a run ends; of a failure that has more to say than a step has room, its length.
fn finishing(finish: &Finish) -> String {
    match &finish.outcome {
        Outcome::Failed { failure } if failure.message.len() > Journal::WIDTH => {
            format!("{:?}, told in {} bytes, {:?}", failure.kind, failure.message.len(), finish.retain)
        }
        _ => format!("{finish:?}"),
    }
}

fn committed(answer: &Committed) -> String {
    let replayed = if answer.replayed { ", replayed" } else { "" };
    format!("version {}, cursor {}{replayed}", answer.version, answer.cursor)
}

#[async_trait]
impl Store for Traced {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn open(&self, run: &RunId, open: Open) -> Result<Opened> {
        let asked = opening(run, &open);
        self.tell(asked, self.store.open(run, open), |opened| {
            format!("epoch {}, version {}", opened.fence.epoch, opened.head.version)
        })
        .await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        let asked = committing(&commit);
        self.tell(asked, self.store.commit(commit), committed).await
    }

    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        let asked: Vec<_> =
            commits.iter().map(|commit| format!("commit_many: {}", committing(commit))).collect();
        let answers = self.store.commit_many(commits).await;
        let missing = answers.len() != asked.len();
        if missing {
            self.journal.note(format!("{} commits got {} answers", asked.len(), answers.len()));
            return answers;
        }
        let told = asked.into_iter().zip(answers);
        told.map(|(asked, answer)| self.told(format!("{}.{asked}", self.name), answer, committed)).collect()
    }

    async fn renew(&self, run: &RunId, renew: Renew) -> Result<()> {
        let asked = format!("renew({run:?}, epoch {}, ttl {:?})", renew.fence.epoch, renew.ttl);
        self.tell(asked, self.store.renew(run, renew), |()| "Ok".to_owned()).await
    }

    async fn send(&self, run: &RunId, message: NewMessage) -> Result<Sent> {
        let asked = format!("send({run:?}, {:?})", message.key);
        self.tell(asked, self.store.send(run, message), |sent| format!("{sent:?}")).await
    }

    async fn delete(&self, run: &RunId, guard: Delete) -> Result<bool> {
        self.tell(format!("delete({run:?}, {guard:?})"), self.store.delete(run, guard), bool::to_string).await
    }

    async fn head(&self, run: &RunId) -> Result<Option<Head>> {
        self.tell(format!("head({run:?})"), self.store.head(run), |head| match head {
            Some(head) => format!("{}, version {}, cursor {}", head.status(), head.version, head.cursor),
            None => "None".to_owned(),
        })
        .await
    }

    async fn snapshot(&self, run: &RunId, at: At) -> Result<Option<Snapshot>> {
        let asked = format!("snapshot({run:?}, {at:?})");
        self.tell(asked, self.store.snapshot(run, at), |snapshot| format!("{snapshot:?}")).await
    }

    fn stream(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Record>> {
        self.tell_stream(format!("stream({run:?}, {span:?})"), self.store.stream(run, span))
    }

    fn inbox(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Message>> {
        self.tell_stream(format!("inbox({run:?}, {span:?})"), self.store.inbox(run, span))
    }

    async fn blob(&self, run: &RunId, name: &Digest) -> Result<Option<Bytes>> {
        self.tell(format!("blob({run:?}, {name})"), self.store.blob(run, name), |body| {
            body.as_ref().map_or("None".to_owned(), |body| format!("{} B", body.len()))
        })
        .await
    }

    fn blobs(&self, run: &RunId) -> BoxStream<'static, Result<BlobInfo>> {
        self.tell_stream(format!("blobs({run:?})"), self.store.blobs(run))
    }

    fn list(&self, query: Query) -> BoxStream<'static, Result<Head>> {
        self.tell_stream(format!("list({query:?})"), self.store.list(query))
    }

    async fn close(&self) -> Result<()> {
        self.tell("close()".to_owned(), self.store.close(), |()| "Ok".to_owned()).await
    }
}
