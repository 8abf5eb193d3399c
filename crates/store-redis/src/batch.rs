//! Sends commits: those of a shard in one call, the calls side by side, and reads their verdicts.

use std::collections::{BTreeMap, HashSet};

use futures_util::future::join_all;
use milepost_core::{
    Applied, Clash, Commit, Committed, Error, ErrorKind, Fence, Operation, Refusal, Result, RunId,
};
use redis::Value;

use crate::{
    answer::{self, Answer},
    commit::Packed,
    error::{BACKEND, closed},
    layout::Keys,
    link::Call,
    read,
    row::Row,
    scripts,
    seen::Floor,
    store::Inner,
};

/// A call has at most so many commits, and no further one once its bodies have so many bytes: no script takes long.
const MOST_COMMITS: usize = 64;
const MOST_BYTES: usize = 1 << 20;

/// How often a commit is sent again whose refusal was gone when it was looked for.
const ATTEMPTS: usize = 16;

/// A commit that was sent, and what is needed to read its verdict.
struct Sent<'a> {
    commit: &'a Commit,
    keys: Keys,
    packed: Packed,
    floor: Floor,
}

impl<'a> Sent<'a> {
    fn new(inner: &Inner, commit: &'a Commit) -> Self {
        let keys = inner.keys(&commit.run);
        let packed = Packed::new(&keys, commit, commit.digest(), inner.capabilities.limits.min_ttl);
        Self { commit, keys, packed, floor: inner.seen.floor(&commit.run) }
    }
}

/// What the script says of a commit.
enum Verdict {
    Holds(Committed),
    /// It has its outcome, which is read in a second trip.
    Finished,
    /// The head to go with it is read in a second trip.
    Clashes(Clash),
}

/// Sends one commit until it is settled.
pub(crate) async fn commit(inner: &Inner, commit: &Commit) -> Result<Committed> {
    for _ in 0..ATTEMPTS {
        let sent = Sent::new(inner, commit);
        let verdict = call(inner, std::slice::from_ref(&sent)).await.pop().unwrap_or_else(|| Err(closed()))?;
        if let Some(committed) = settle(inner, commit, verdict).await? {
            return Ok(committed);
        }
    }
    Err(Error::new(ErrorKind::Busy, "the run changes faster than a refusal can be told").with_applied(Applied::No))
}

/// Sends commits of different runs.
pub(crate) async fn commit_many(inner: &Inner, commits: Vec<Commit>) -> Vec<Result<Committed>> {
    let mut seen = HashSet::new();
    let twice: HashSet<RunId> = commits
        .iter()
        .filter(|commit| !seen.insert(&commit.run))
        .map(|commit| commit.run.clone())
        .collect();
    let mut answers: Vec<Option<Result<Committed>>> = commits.iter().map(|_| None).collect();
    let mut shards: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
    for (place, commit) in commits.iter().enumerate() {
        match check(inner, commit, &twice) {
            Ok(()) => shards.entry(crate::layout::shard(&commit.run)).or_default().push(place),
            Err(error) => answers[place] = Some(Err(error.with_applied(Applied::No))),
        }
    }
    let shards = join_all(shards.into_values().map(|places| shard(inner, &commits, places))).await;
    for (place, answer) in shards.into_iter().flatten() {
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

/// The commits of one shard, in as few calls as their sizes allow, one after another: what waits for the second
/// does not make the first take longer.
async fn shard(inner: &Inner, commits: &[Commit], places: Vec<usize>) -> Vec<(usize, Result<Committed>)> {
    let mut answers = Vec::with_capacity(places.len());
    let mut waiting = places.into_iter().peekable();
    while waiting.peek().is_some() {
        let (mut batch, mut chosen, mut size) = (Vec::new(), Vec::new(), 0);
        while batch.len() < MOST_COMMITS && size < MOST_BYTES {
            let Some(place) = waiting.next() else { break };
            let sent = Sent::new(inner, &commits[place]);
            size += sent.packed.size();
            batch.push(sent);
            chosen.push(place);
        }
        let verdicts = call(inner, &batch).await;
        for (place, verdict) in chosen.into_iter().zip(verdicts) {
            answers.push((place, finish(inner, &commits[place], verdict).await));
        }
    }
    answers
}

/// What comes of a verdict; a commit whose refusal has gone is sent again.
async fn finish(inner: &Inner, one: &Commit, verdict: Result<Verdict>) -> Result<Committed> {
    match settle(inner, one, verdict?).await? {
        Some(committed) => Ok(committed),
        None => commit(inner, one).await,
    }
}

/// One call of the script, with the commits' verdicts in their order.
async fn call(inner: &Inner, batch: &[Sent<'_>]) -> Vec<Result<Verdict>> {
    let mut args = vec![inner.now()];
    args.extend(batch.iter().flat_map(|sent| sent.packed.args.iter().cloned()));
    let keys = batch.iter().flat_map(|sent| sent.packed.keys.iter().cloned()).collect();
    let call = Call { script: &scripts::COMMIT, keys, args, writes: true };
    let answers = inner.link.call(&call).await.and_then(answer::list);
    match answers {
        Ok(answers) if answers.len() == batch.len() => {
            batch.iter().zip(answers).map(|(sent, answer)| read_verdict(inner, sent, answer)).collect()
        }
        Ok(_) => batch.iter().map(|_| Err(closed().with_applied(Applied::Maybe))).collect(),
        Err(error) => batch.iter().map(|_| Err(error.repeat())).collect(),
    }
}

fn read_verdict(inner: &Inner, sent: &Sent<'_>, answer: Value) -> Result<Verdict> {
    let verdict = Answer::read(answer).and_then(|answer| judge(inner, sent, answer));
    // Every refusal of the script, of damaged data too, comes before its first write.
    verdict.map_err(|error| if error.applied().is_none() { error.with_applied(Applied::No) } else { error })
}

fn judge(inner: &Inner, sent: &Sent<'_>, mut answer: Answer) -> Result<Verdict> {
    let commit = sent.commit;
    let run = &commit.run;
    match answer.code {
        answer::OK | answer::REPLAYED => {
            let replayed = answer.code == answer::REPLAYED;
            let committed = Committed { version: answer.unsigned()?, cursor: answer.unsigned()?, replayed };
            inner.seen.saw(run, commit.fence.incarnation, committed.version);
            if !replayed {
                inner.followers.notify(run);
            }
            Ok(Verdict::Holds(committed))
        }
        answer::NOT_FOUND => Err(Refusal::NotFound.into()),
        answer::ID_REUSED => Err(Refusal::IdReused.into()),
        answer::FENCED => Err(Refusal::Fenced { current: row(inner, sent, &mut answer)?.fence }.into()),
        answer::FINISHED => row(inner, sent, &mut answer).map(|_| Verdict::Finished),
        answer::VERSION => row(inner, sent, &mut answer).map(|_| Verdict::Clashes(Clash::Version)),
        code => {
            let number = answer.unsigned()?;
            row(inner, sent, &mut answer)?;
            let index = usize::try_from(number).unwrap_or(0).saturating_sub(1);
            let clash = match code {
                answer::NOT_WAITING => commit.take.get(index).map(|number| Clash::NotWaiting(*number)),
                answer::MISSING_BLOB => sent.packed.named.get(index).map(|name| Clash::MissingBlob(*name)),
                answer::SNAPSHOT_CURSOR => {
                    commit.snapshot.as_ref().map(|snapshot| Clash::SnapshotCursor(snapshot.cursor))
                }
                answer::TRIM => Some(Clash::Trim(number)),
                answer::DUPLICATE => return Err(Refusal::Duplicate { cursor: number }.into()),
                _ => None,
            };
            clash.map(Verdict::Clashes).ok_or_else(|| answer.nonsense())
        }
    }
}

/// The row that goes with a refusal. One below what this handle has seen means that the server lost data.
fn row(inner: &Inner, sent: &Sent<'_>, answer: &mut Answer) -> Result<Row> {
    let row = Row::read(&sent.keys, &answer.bytes()?)?;
    inner.seen.check(&sent.commit.run, sent.floor, &row)?;
    Ok(row)
}

/// The answer to a commit; nothing if what it was refused for is no longer so.
async fn settle(inner: &Inner, commit: &Commit, verdict: Verdict) -> Result<Option<Committed>> {
    let clash = match verdict {
        Verdict::Holds(committed) => return Ok(Some(committed)),
        Verdict::Finished => None,
        Verdict::Clashes(clash) => Some(clash),
    };
    let head = read::head(inner, &commit.run).await.map_err(|error| error.with_applied(Applied::No))?;
    let same = |head: &milepost_core::Head, fence: Fence| head.fence.incarnation == fence.incarnation;
    let Some(head) = head.filter(|head| same(head, commit.fence)) else { return Err(Refusal::NotFound.into()) };
    match (clash, head.outcome.clone()) {
        (Some(clash), _) => Err(Refusal::Conflict { head: Box::new(head), clash }.into()),
        (None, Some(outcome)) => Err(Refusal::Finished { outcome }.into()),
        (None, None) => Ok(None),
    }
}
