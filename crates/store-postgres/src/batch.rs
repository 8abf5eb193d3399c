//! Commits, one or many: the plain ones go together in one statement, which answers those that hold; whatever else there is
//! goes by itself, to the function that can refuse.

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::future::join_all;
use milepost_core::{
    Applied, Clash, Commit, Committed, Error, ErrorKind, Floor, Operation, Refusal, Result, RunId,
};

use crate::{
    answer::{self, Answer, nonsense},
    columns::Columns,
    commit::{self, Records, extension, incarnation, is_plain, op, token, weight},
    error::{corrupt, during},
    link::Call,
    row::Found,
    store::Inner,
    value::{Value, position},
};

/// A statement has at most so many commits, and begins no further one once it has so many bytes.
const MOST_COMMITS: usize = 256;
const MOST_BYTES: usize = 4 << 20;

/// Sends one commit.
pub(crate) async fn commit(inner: &Inner, commit: &Commit) -> Result<Committed> {
    let held = match &commit.records[..] {
        [_] if is_plain(commit) => append_one(inner, commit).await?,
        _ if is_plain(commit) => append(inner, &[commit]).await?.pop().flatten(),
        _ => None,
    };
    match held {
        Some(committed) => Ok(committed),
        None => whole(inner, commit).await,
    }
}

/// Sends commits of different runs.
pub(crate) async fn commit_many(inner: &Inner, commits: &[Commit]) -> Vec<Result<Committed>> {
    let mut seen = HashSet::new();
    let twice: HashSet<&RunId> =
        commits.iter().filter(|commit| !seen.insert(&commit.run)).map(|commit| &commit.run).collect();
    let mut answers: Vec<Option<Result<Committed>>> = commits.iter().map(|_| None).collect();
    let (mut plain, mut others) = (Vec::new(), Vec::new());
    for (place, commit) in commits.iter().enumerate() {
        match check(inner, commit, &twice) {
            Ok(()) if is_plain(commit) => plain.push(place),
            Ok(()) => others.push(place),
            Err(error) => answers[place] = Some(Err(error.with_applied(Applied::No))),
        }
    }
    // In the order of their ids, in which the rows are locked.
    plain.sort_by_key(|place| &commits[*place].run);
    let together = join_all(batches(commits, plain).into_iter().map(|places| batch(inner, commits, places)));
    let alone = join_all(others.into_iter().map(async |place| (place, whole(inner, &commits[place]).await)));
    let (together, alone) = futures_util::future::join(together, alone).await;
    for (place, answer) in together.into_iter().flatten().chain(alone) {
        answers[place] = Some(answer);
    }
    let with_context = |(commit, answer): (&Commit, Option<Result<Committed>>)| {
        let answer = answer.unwrap_or_else(|| Err(nonsense().with_applied(Applied::Maybe)));
        answer.map_err(during(Operation::Commit, &commit.run))
    };
    commits.iter().zip(answers).map(with_context).collect()
}

fn check(inner: &Inner, commit: &Commit, twice: &HashSet<&RunId>) -> Result<()> {
    if twice.contains(&commit.run) {
        return Err(Error::new(ErrorKind::Invalid, "a run occurs at most once in a batch of commits"));
    }
    commit.check(&inner.capabilities)?;
    inner.check_open()
}

/// As few statements as the number of commits and their sizes allow.
fn batches(commits: &[Commit], places: Vec<usize>) -> Vec<Vec<usize>> {
    let (mut batches, mut size) = (Vec::<Vec<usize>>::new(), 0);
    for place in places {
        match batches.last_mut() {
            Some(batch) if batch.len() < MOST_COMMITS && size < MOST_BYTES => batch.push(place),
            _ => {
                batches.push(vec![place]);
                size = 0;
            }
        }
        size += weight(&commits[place]);
    }
    batches
}

/// One statement, and the answers to its commits. Those that it leaves, and all of them if it was refused as a whole, are
/// sent one by one.
async fn batch(inner: &Inner, commits: &[Commit], places: Vec<usize>) -> Vec<(usize, Result<Committed>)> {
    let of_batch: Vec<&Commit> = places.iter().map(|place| &commits[*place]).collect();
    let verdicts = append(inner, &of_batch).await;
    let refused = |error: &Error| error.applied() == Some(Applied::No) && !error.kind().is_transient();
    let answer = async |(index, place): (usize, usize)| {
        let answer = match &verdicts {
            Ok(verdicts) => match verdicts.get(index).copied().flatten() {
                Some(committed) => Ok(committed),
                None => whole(inner, &commits[place]).await,
            },
            Err(error) if places.len() > 1 && refused(error) => whole(inner, &commits[place]).await,
            Err(error) => Err(error.repeat()),
        };
        (place, answer)
    };
    join_all(places.iter().copied().enumerate().map(answer)).await
}

/// A plain commit of one record: the answer if it holds.
async fn append_one(inner: &Inner, commit: &Commit) -> Result<Option<Committed>> {
    let mut records = Records::default();
    records.add(commit);
    let only = |mut column: Vec<Option<Bytes>>| Value::Bytes(column.pop().flatten());
    let values = [
        Value::text(commit.run.as_str()),
        Value::Bytes(Some(incarnation(commit.fence.incarnation))),
        Value::position(commit.fence.epoch),
        Value::Bytes(Some(token(commit.fence.token))),
        Value::Bytes(Some(op(commit))),
        Value::position(commit.expect),
        Value::int(extension(commit, inner.capabilities.limits.min_ttl)),
        Value::flag(commit.advances),
        only(records.kinds),
        only(records.sums),
        only(records.bodies),
    ];
    let call = Call { sql: &inner.statements.append_one, values: &values, writes: true, once: false };
    let rows = inner.link.call(&call).await?;
    let Some(cursor) = Columns::new(rows.first().ok_or_else(nonsense)?).option_int()? else {
        return Ok(None);
    };
    let cursor = u64::try_from(cursor).map_err(|_| nonsense())?;
    Ok(Some(appended(inner, commit, cursor)))
}

/// What a plain commit that holds has come to.
fn appended(inner: &Inner, commit: &Commit, cursor: u64) -> Committed {
    let committed = Committed { version: commit.expect + 1, cursor, replayed: false };
    inner.acknowledged(commit, &committed);
    committed
}

/// Plain commits in the order of their runs' ids: the answers to those that hold.
async fn append(inner: &Inner, commits: &[&Commit]) -> Result<Vec<Option<Committed>>> {
    let min_ttl = inner.capabilities.limits.min_ttl;
    let (mut records, mut owners, mut places) = (Records::default(), Vec::new(), Vec::new());
    let mut bytes = Vec::with_capacity(commits.len());
    for (owner, commit) in (1..).zip(commits) {
        let before = records.bytes;
        records.add(commit);
        bytes.push(records.bytes - before);
        owners.extend(commit.records.iter().map(|_| owner));
        places.extend((1..).take(commit.records.len()));
    }
    let ints = |of: &dyn Fn(&Commit) -> i64| Value::Ints(commits.iter().map(|commit| of(commit)).collect());
    let many =
        |of: &dyn Fn(&Commit) -> Bytes| Value::Many(commits.iter().map(|commit| Some(of(commit))).collect());
    let values = [
        many(&|commit| Bytes::copy_from_slice(commit.run.as_str().as_bytes())),
        many(&|commit| incarnation(commit.fence.incarnation)),
        ints(&|commit| position(commit.fence.epoch)),
        many(&|commit| token(commit.fence.token)),
        many(&op),
        ints(&|commit| position(commit.expect)),
        ints(&|commit| commit.records.len() as i64),
        Value::Ints(bytes),
        ints(&|commit| extension(commit, min_ttl)),
        ints(&|commit| commit.advances.into()),
        Value::Ints(owners),
        Value::Ints(places),
        Value::Many(records.kinds),
        Value::Many(records.sums),
        Value::Many(records.bodies),
    ];
    let call = Call { sql: &inner.statements.append, values: &values, writes: true, once: false };
    let rows = inner.link.call(&call).await?;
    let mut answers = vec![None; commits.len()];
    for row in &rows {
        let mut columns = Columns::new(row);
        let index = usize::try_from(columns.int()?).ok().and_then(|place| place.checked_sub(1));
        let (index, cursor) =
            (index.filter(|index| *index < commits.len()).ok_or_else(nonsense)?, columns.unsigned()?);
        answers[index] = Some(appended(inner, commits[index], cursor));
    }
    Ok(answers)
}

/// A commit by itself, judged in full.
async fn whole(inner: &Inner, commit: &Commit) -> Result<Committed> {
    let floor = inner.seen.floor(&commit.run);
    let values = commit::whole(commit, inner.capabilities.limits.min_ttl);
    let call = Call { sql: &inner.statements.commit, values: &values, writes: true, once: false };
    let rows = inner.link.call(&call).await?;
    // Every refusal of the function, of damaged data too, comes before its first write.
    judge(inner, commit, floor, Answer::read(&rows))
        .map_err(|error| if error.applied().is_none() { error.with_applied(Applied::No) } else { error })
}

fn judge(inner: &Inner, commit: &Commit, floor: Floor, answer: Result<Answer>) -> Result<Committed> {
    let answer = answer?;
    let run = &commit.run;
    match answer.code {
        answer::OK | answer::REPLAYED => {
            let replayed = answer.code == answer::REPLAYED;
            let cursor = u64::try_from(answer.b).map_err(|_| nonsense())?;
            let committed = Committed { version: answer.number()?, cursor, replayed };
            inner.acknowledged(commit, &committed);
            return Ok(committed);
        }
        answer::ID_REUSED => return Err(Refusal::IdReused.into()),
        _ => {}
    }
    if let Some(row) = answer.row(run)? {
        inner.seen.check(run, floor, row.stand(), false)?;
    }
    Err(refusal(commit, answer)?)
}

fn refusal(commit: &Commit, answer: Answer) -> Result<Error> {
    let (code, number) = (answer.code, answer.number()?);
    let index = usize::try_from(number).unwrap_or(0).saturating_sub(1);
    let clash = match code {
        answer::DUPLICATE => return Ok(Refusal::Duplicate { cursor: number }.into()),
        answer::NOT_WAITING => commit.take.get(index).map(|number| Clash::NotWaiting(*number)),
        answer::MISSING_BLOB => commit::named(commit).get(index).map(|name| Clash::MissingBlob(*name)),
        answer::SNAPSHOT_CURSOR => {
            commit.snapshot.as_ref().map(|snapshot| Clash::SnapshotCursor(snapshot.cursor))
        }
        answer::TRIM => Some(Clash::Trim(number)),
        _ => return answer.refusal(&commit.run),
    };
    let clash = clash.ok_or_else(|| corrupt("a verdict does not fit its commit"))?;
    let Found { head, .. } = answer.found(&commit.run)?;
    Ok(Refusal::Conflict { head: Box::new(head), clash }.into())
}
