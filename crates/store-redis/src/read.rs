//! Reads of one run: its head, a snapshot, a blob.

use std::collections::BTreeMap;

use bytes::Bytes;
use milepost_core::{At, BlobInfo, Digest, Floor, Head, Refusal, Result, RunId, Snapshot};

use redis::Value;

use crate::{
    answer::{self, Answer, list, number, option},
    entry::{unpack_blob, unpack_snapshot},
    error::{corrupt, damaged},
    layout::Keys,
    link::Call,
    row::{Found, Row},
    scripts::{self, Script},
    store::Inner,
};

/// What a script gives that begins with the run's row.
pub(crate) struct Read {
    pub(crate) row: Row,
    pub(crate) answer: Answer,
}

/// Runs a script that reads; `None` if there is no such run.
pub(crate) async fn read(
    inner: &Inner,
    run: &RunId,
    script: &Script,
    keys: Vec<Vec<u8>>,
    more: Vec<Vec<u8>>,
) -> Result<Option<Read>> {
    let floor = inner.seen.floor(run);
    let mut args = vec![inner.now()];
    args.extend(more);
    let value = inner.link.call(&Call { script, keys, args, writes: false }).await?;
    let mut answer = Answer::read(value)?;
    if answer.code == answer::NOT_FOUND {
        return Ok(None);
    }
    let row = Row::read(&inner.keys(run), &answer.bytes()?)?;
    inner.seen.check(run, floor, row.stand(), false)?;
    Ok(Some(Read { row, answer }))
}

/// A page of heads ends early once it has so many bytes, so that memory does not depend on their size.
const HEADS_BYTES: u32 = 1 << 20;

/// Asks for what the heads of runs are made of; the runs are of one shard on a cluster.
fn heads_call<'a>(inner: &Inner, runs: impl Iterator<Item = &'a Keys>) -> Call<'static> {
    let args = vec![inner.now(), HEADS_BYTES.to_string().into()];
    Call { script: &scripts::HEADS, keys: runs.flat_map(Keys::head).collect(), args, writes: false }
}

/// What the script has found of a run; `None` if there is no such run.
fn found(answer: Value) -> Result<Option<Answer>> {
    let answer = Answer::read(answer)?;
    Ok((answer.code != answer::NOT_FOUND).then_some(answer))
}

/// The parts that a head is made of, as one script has found them; `None` if there is no such run.
pub(crate) async fn parts(inner: &Inner, keys: &Keys) -> Result<Option<Answer>> {
    let answers = list(inner.link.call(&heads_call(inner, std::iter::once(keys))).await?)?;
    found(answers.into_iter().next().ok_or_else(damaged)?)
}

/// The heads of the first of some runs, in their order: so many as one trip gives, at least one. `None` stands for a run
/// that is not there.
pub(crate) async fn heads(inner: &Inner, runs: &[RunId]) -> Result<Vec<Option<Head>>> {
    let keys: Vec<Keys> = runs.iter().map(|run| inner.keys(run)).collect();
    let floors: Vec<Floor> = runs.iter().map(|run| inner.seen.floor(run)).collect();
    let mut heads: Vec<Option<Option<Head>>> = runs.iter().map(|_| None).collect();
    // In a cluster a script keeps to one slot, and with that to one shard.
    let mut groups = BTreeMap::<u16, Vec<usize>>::new();
    for (at, keys) in keys.iter().enumerate() {
        groups.entry(if inner.link.is_cluster() { keys.shard() } else { 0 }).or_default().push(at);
    }
    let calls = groups.values().map(|group| heads_call(inner, group.iter().map(|at| &keys[*at])));
    let answers = inner.link.call_all(calls.collect()).await?;
    for (group, answer) in groups.values().zip(answers) {
        let answers = list(answer)?;
        if answers.is_empty() {
            return Err(damaged());
        }
        for (at, answer) in group.iter().copied().zip(answers) {
            let Some(mut answer) = found(answer)? else {
                heads[at] = Some(None);
                continue;
            };
            let found = Found::read(&keys[at], &runs[at], &mut answer)?;
            inner.seen.check(&runs[at], floors[at], found.row.stand(), false)?;
            heads[at] = Some(Some(found.head));
        }
    }
    Ok(heads.into_iter().map_while(|head| head).collect())
}

pub(crate) async fn head(inner: &Inner, run: &RunId) -> Result<Option<Head>> {
    let (keys, floor) = (inner.keys(run), inner.seen.floor(run));
    let Some(mut answer) = parts(inner, &keys).await? else { return Ok(None) };
    let found = Found::read(&keys, run, &mut answer)?;
    inner.seen.check(run, floor, found.row.stand(), false)?;
    Ok(Some(found.head))
}

pub(crate) async fn snapshot(inner: &Inner, run: &RunId, at: At) -> Result<Option<Snapshot>> {
    let until = match at {
        At::Latest => "+inf".to_owned(),
        At::OrBefore(cursor) => cursor.to_string(),
    };
    let keys = inner.keys(run).snapshots();
    let read =
        read(inner, run, &scripts::SNAPSHOT, keys, vec![until.into()]).await?.ok_or(Refusal::NotFound)?;
    let mut rest = read.answer.rest();
    let (Some(cursor), Some(body)) = (rest.next(), rest.next()) else { return Ok(None) };
    let (cursor, body) = (option(cursor)?.ok_or_else(damaged)?, option(body)?.ok_or_else(damaged)?);
    let cursor =
        std::str::from_utf8(&cursor).ok().and_then(|cursor| cursor.parse().ok()).ok_or_else(damaged)?;
    if cursor > read.row.cursor {
        return Err(corrupt("a snapshot stands past the newest record"));
    }
    let snapshot = unpack_snapshot(run, read.row.fence.incarnation, cursor, body);
    snapshot.map(Some).ok_or_else(|| corrupt("a snapshot is not as it was written"))
}

pub(crate) async fn blob(inner: &Inner, run: &RunId, name: &Digest) -> Result<Option<Bytes>> {
    let keys = inner.keys(run).blobs();
    let read = read(inner, run, &scripts::BLOB, keys, vec![name.0.to_vec()]).await?;
    let Read { row, mut answer } = read.ok_or(Refusal::NotFound)?;
    let Some(raw) = answer.option()? else { return Ok(None) };
    let body = unpack_blob(run, row.fence.incarnation, *name, raw);
    body.map(Some).ok_or_else(|| corrupt("a blob is not as it was written"))
}

/// How many blobs are listed at once.
const BLOBS: u32 = 1024;

/// A page of a run's blobs, by their names, after `last`.
pub(crate) async fn blobs(inner: &Inner, run: &RunId, last: Option<Digest>) -> Result<Vec<BlobInfo>> {
    let after = last.map_or_else(|| b"-".to_vec(), |last| [b"(", &last.0[..]].concat());
    let keys = inner.keys(run).blobs();
    let args = vec![after, BLOBS.to_string().into()];
    let read = read(inner, run, &scripts::BLOBS, keys, args).await?.ok_or(Refusal::NotFound)?;
    let mut rest = read.answer.rest();
    let mut page = Vec::with_capacity(rest.len() / 2);
    while let (Some(name), Some(length)) = (rest.next(), rest.next()) {
        let name = option(name)?.and_then(|name| name.as_ref().try_into().ok()).ok_or_else(damaged)?;
        let size = u64::try_from(number(&length)?).ok().and_then(|length| length.checked_sub(16));
        page.push(BlobInfo { name: Digest(name), size: size.ok_or_else(damaged)? });
    }
    Ok(page)
}
