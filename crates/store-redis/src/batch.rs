//! Sends commits: many in one call, on a cluster those of one shard, the calls side by side, and reads their verdicts.

use std::collections::{BTreeMap, HashSet};

use futures_util::future::join_all;
use milepost_core::{
    Applied, Clash, Commit, Committed, Error, ErrorKind, Floor, Operation, Refusal, Result, RunId,
};
use redis::Value;

use crate::{
    answer::{self, Answer, number},
    commit::Packed,
    error::{BACKEND, closed},
    known::Known,
    layout::Keys,
    link::Call,
    row::{Found, Row},
    scripts,
    store::Inner,
};

/// A call has at most so many commits, and no further one once its bodies have so many bytes: no script takes long.
const MOST_COMMITS: usize = 64;
const MOST_BYTES: usize = 1 << 20;

/// A commit that was sent, and what is needed to read its verdict.
struct Sent<'a> {
    commit: &'a Commit,
    keys: Keys,
    packed: Packed,
    floor: Floor,
}

impl<'a> Sent<'a> {
    fn new(inner: &Inner, commit: &'a Commit, whole: bool) -> Self {
        let keys = inner.keys(&commit.run);
        let known = if whole { None } else { inner.known.get(&commit.run) };
        let packed = Packed::new(&keys, commit, inner.capabilities.limits.min_ttl, known.as_deref());
        Self { commit, keys, packed, floor: inner.seen.floor(&commit.run) }
    }
}

/// What a script says of a commit: its answer, or nothing if the row is not the known one, and the script that knows every
/// commit is to be asked.
type Verdict = Option<Committed>;

/// Sends one commit.
pub(crate) async fn commit(inner: &Inner, commit: &Commit) -> Result<Committed> {
    let first = call(inner, vec![Sent::new(inner, commit, false)]).await.pop();
    settle(inner, commit, first.unwrap_or_else(|| Err(closed()))).await
}

/// The answer to a commit. If the row is another one than this handle knows, because somebody else has written to the run,
/// the script that can refuse is asked: the refusal and the head that goes with it are of one instant.
async fn settle(inner: &Inner, commit: &Commit, verdict: Result<Verdict>) -> Result<Committed> {
    if let Some(committed) = verdict? {
        return Ok(committed);
    }
    let second = call(inner, vec![Sent::new(inner, commit, true)]).await.pop();
    second.unwrap_or_else(|| Err(closed()))?.ok_or_else(closed)
}

/// Sends commits of different runs.
pub(crate) async fn commit_many(inner: &Inner, commits: Vec<Commit>) -> Vec<Result<Committed>> {
    let mut seen = HashSet::new();
    let twice: HashSet<RunId> =
        commits.iter().filter(|commit| !seen.insert(&commit.run)).map(|commit| commit.run.clone()).collect();
    let mut answers: Vec<Option<Result<Committed>>> = commits.iter().map(|_| None).collect();
    let mut groups: BTreeMap<(u16, bool), Vec<(usize, Sent<'_>)>> = BTreeMap::new();
    for (place, commit) in commits.iter().enumerate() {
        match check(inner, commit, &twice) {
            Ok(()) => {
                let sent = Sent::new(inner, commit, false);
                // In a cluster a script keeps to one slot, and with that to one shard.
                let shard = if inner.link.is_cluster() { crate::layout::shard(&commit.run) } else { 0 };
                groups.entry((shard, sent.packed.plain.is_some())).or_default().push((place, sent));
            }
            Err(error) => answers[place] = Some(Err(error.with_applied(Applied::No))),
        }
    }
    let calls = groups.into_values().flat_map(calls).map(|call| perform(inner, &commits, call));
    for (place, answer) in join_all(calls).await.into_iter().flatten() {
        answers[place] = Some(answer);
    }
    let with_context = |(commit, answer): (&Commit, Option<Result<Committed>>)| {
        let answer = answer.unwrap_or_else(|| Err(closed()));
        answer.map_err(|error| error.during(BACKEND, Operation::Commit, Some(&commit.run)))
    };
    commits.iter().zip(answers).map(with_context).collect()
}

fn check(inner: &Inner, commit: &Commit, twice: &HashSet<RunId>) -> Result<()> {
    if twice.contains(&commit.run) {
        return Err(Error::new(ErrorKind::Invalid, "a run occurs at most once in a batch of commits"));
    }
    crate::store::check_commit(commit, &inner.capabilities)?;
    inner.check_open()
}

/// Commits that one script takes, with their places among the answers.
type Batch<'a> = Vec<(usize, Sent<'a>)>;

/// Commits for one script, in as few calls as their number and sizes allow.
fn calls(waiting: Batch<'_>) -> Vec<Batch<'_>> {
    let (mut calls, mut size) = (Vec::<Batch<'_>>::new(), 0);
    for (place, sent) in waiting {
        let own = sent.packed.size();
        match calls.last_mut() {
            Some(call) if call.len() < MOST_COMMITS && size < MOST_BYTES => {
                call.push((place, sent));
                size += own;
            }
            _ => {
                calls.push(vec![(place, sent)]);
                size = own;
            }
        }
    }
    calls
}

/// One call, and the answers to its commits.
async fn perform(inner: &Inner, commits: &[Commit], batch: Batch<'_>) -> Vec<(usize, Result<Committed>)> {
    let (places, batch): (Vec<usize>, Vec<Sent<'_>>) = batch.into_iter().unzip();
    let verdicts = call(inner, batch).await;
    let mut answers = Vec::with_capacity(places.len());
    let several = places.len() > 1;
    for (place, verdict) in places.into_iter().zip(verdicts) {
        // A key of another type ends a script where it stands. Each by itself, the other commits are settled.
        let ended =
            |error: &Error| error.kind() == ErrorKind::Corrupt && error.applied() == Some(Applied::Maybe);
        let answer = match verdict {
            Err(error) if several && ended(&error) => commit(inner, &commits[place]).await,
            verdict => settle(inner, &commits[place], verdict).await,
        };
        answers.push((place, answer));
    }
    answers
}

/// One call of the script that they take, with the commits' verdicts in their order.
async fn call(inner: &Inner, mut batch: Vec<Sent<'_>>) -> Vec<Result<Verdict>> {
    let (mut args, mut keys) = (vec![inner.now()], Vec::new());
    let plain = batch.iter().all(|sent| sent.packed.plain.is_some());
    let script = if plain { &scripts::APPEND } else { &scripts::COMMIT };
    for sent in &mut batch {
        args.append(&mut sent.packed.args);
        keys.append(&mut sent.packed.keys);
    }
    let answers = inner.link.call(&Call { script, keys, args, writes: true }).await.and_then(answer::list);
    match answers {
        Ok(answers) if answers.len() == batch.len() => {
            batch.into_iter().zip(answers).map(|(sent, answer)| read_verdict(inner, sent, answer)).collect()
        }
        Ok(_) => batch.iter().map(|_| Err(closed().with_applied(Applied::Maybe))).collect(),
        Err(error) => batch.iter().map(|_| Err(error.repeat())).collect(),
    }
}

fn read_verdict(inner: &Inner, mut sent: Sent<'_>, answer: Value) -> Result<Verdict> {
    let verdict = match sent.packed.plain.take() {
        Some(next) => number(&answer).map(|done| appended(inner, sent.commit, next, done == 1)),
        None => Answer::read(answer).and_then(|answer| judge(inner, &sent, answer)),
    };
    // Every refusal of the script, of damaged data too, comes before its first write.
    verdict.map_err(|error| if error.applied().is_none() { error.with_applied(Applied::No) } else { error })
}

/// What the script of plain commits says: the row is the one that the commit leads to, or it was another one before.
fn appended(inner: &Inner, commit: &Commit, next: Known, done: bool) -> Verdict {
    if !done {
        inner.known.forget(&commit.run);
        return None;
    }
    let committed = next.committed();
    inner.known.learn(&commit.run, next.into());
    inner.seen.saw(&commit.run, (commit.fence.incarnation, committed.version));
    inner.followers.notify(&commit.run);
    Some(committed)
}

fn judge(inner: &Inner, sent: &Sent<'_>, mut answer: Answer) -> Result<Verdict> {
    let commit = sent.commit;
    let run = &commit.run;
    match answer.code {
        answer::OK | answer::REPLAYED => {
            let replayed = answer.code == answer::REPLAYED;
            let committed = Committed { version: answer.unsigned()?, cursor: answer.unsigned()?, replayed };
            inner.seen.saw(run, (commit.fence.incarnation, committed.version));
            if !replayed {
                match answer.bytes().and_then(|stored| Row::read(&sent.keys, &stored)) {
                    Ok(row) => inner.known.read(run, &row),
                    Err(_) => inner.known.forget(run),
                }
                inner.followers.notify(run);
            }
            Ok(Some(committed))
        }
        answer::NOT_FOUND => Err(Refusal::NotFound.into()),
        answer::ID_REUSED => Err(Refusal::IdReused.into()),
        answer::FENCED => {
            let row = Row::read(&sent.keys, &answer.bytes()?)?;
            inner.seen.check(run, sent.floor, row.stand(), false)?;
            Err(Refusal::Fenced { current: row.fence }.into())
        }
        _ => Err(refusal(inner, sent, answer)?),
    }
}

/// A refusal that comes with the head. A head below what this handle has seen means that the server lost data.
fn refusal(inner: &Inner, sent: &Sent<'_>, mut answer: Answer) -> Result<Error> {
    let commit = sent.commit;
    let Found { row, head, .. } = Found::read(&sent.keys, &commit.run, &mut answer)?;
    inner.seen.check(&commit.run, sent.floor, row.stand(), false)?;
    let number = answer.unsigned()?;
    let index = usize::try_from(number).unwrap_or(0).saturating_sub(1);
    let clash = match answer.code {
        answer::FINISHED => {
            let outcome = head.outcome.ok_or_else(|| answer.nonsense())?;
            return Ok(Refusal::Finished { outcome }.into());
        }
        answer::DUPLICATE => return Ok(Refusal::Duplicate { cursor: number }.into()),
        answer::VERSION => Some(Clash::Version),
        answer::NOT_WAITING => commit.take.get(index).map(|number| Clash::NotWaiting(*number)),
        answer::MISSING_BLOB => sent.packed.named.get(index).map(|name| Clash::MissingBlob(*name)),
        answer::SNAPSHOT_CURSOR => {
            commit.snapshot.as_ref().map(|snapshot| Clash::SnapshotCursor(snapshot.cursor))
        }
        answer::TRIM => Some(Clash::Trim(number)),
        _ => None,
    };
    let clash = clash.ok_or_else(|| answer.nonsense())?;
    Ok(Refusal::Conflict { head: Box::new(head), clash }.into())
}
