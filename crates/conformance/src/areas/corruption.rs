//! What is stored, counted, changed and taken away behind the store's back.

pub(crate) mod counted;
pub(crate) mod flipped;
pub(crate) mod removed;

use milepost_checkpoint::{Checkpoints, Codec, Json, Settings, state_at};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Failure as Broken, Part,
    areas::{moves::commit_whole, prelude::*},
    expect::told,
};

/// Whether damage was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Read {
    /// All that was read is true.
    True,
    /// Something of it was an error.
    Told,
}

/// A run with something of everything, and the requests whose answers come from what is kept of the past.
struct Furnished {
    driver: Driver,
    /// Its newest commit.
    last: Commit,
    message: Option<NewMessage>,
    truth: Image,
}

/// Makes one.
async fn furnished(ctx: &Context, run: &RunId) -> Verdict<Furnished> {
    let mut driver = ctx.create(run).await?;
    commit_whole(ctx, &mut driver).await?;
    let mut message = None;
    if ctx.capabilities.supports_inbox() {
        for number in 1..=3 {
            let sent = ctx.message(format!("key {number}"), format!("the body of message {number}"));
            ctx.a.send(run, sent.clone()).await?;
            message = Some(sent);
        }
        ctx.commit(&mut driver, |commit| commit.take(1)).await?;
    }
    let last = commit_whole(ctx, &mut driver).await?;
    Ok(Furnished { driver, last, message, truth: ctx.image(run).await? })
}

/// What the head says of a damaged run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Seen {
    /// It is as it was.
    There,
    /// It cannot be read: what hangs on it may be true, told, or not to be found.
    Damaged,
    /// There is no such run: nothing of it may be found.
    Gone,
}

/// An answer to a reading: the truth, or an error that says what happened.
fn judged<T: PartialEq + std::fmt::Debug>(
    what: &str,
    damage: &str,
    answer: Result<T>,
    truth: &T,
    seen: Seen,
) -> Verdict<Read> {
    match answer {
        Ok(answer) if answer == *truth && seen != Seen::Gone => Ok(Read::True),
        Ok(answer) => {
            let expected = match seen == Seen::Gone {
                true => "Corrupt, or NotFound as of the whole run".to_owned(),
                false => format!("Corrupt, or the truth: {truth:?}"),
            };
            Err(Broken::new(format!("{what}, {damage}"), expected, format!("Ok({answer:?})")))
        }
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(Read::Told),
        Err(error) if error.kind() == ErrorKind::NotFound && seen != Seen::There => Ok(Read::Told),
        Err(error) => Err(Broken::new(
            format!("{what}, {damage}"),
            "Corrupt, or the truth, or NotFound as of the whole run",
            told(&error),
        )),
    }
}

/// Reads all of a damaged run, and repeats what must be answered from what is kept of it. `damage` says what was done.
async fn read(store: &dyn Store, furnished: &Furnished, damage: &str) -> Verdict<Read> {
    let Furnished { driver, truth, .. } = furnished;
    let (run, offered) = (&driver.run, store.capabilities());
    let head = store.head(run).await.map(|head| head.map(|head| Head { at: Timestamp::default(), ..head }));
    let seen = match &head {
        Ok(Some(_)) => Seen::There,
        Ok(None) => Seen::Gone,
        Err(_) => Seen::Damaged,
    };
    let mut reads = match head {
        Ok(None) => vec![Read::Told],
        head => vec![judged("the head", damage, head, &truth.head, Seen::There)?],
    };
    if offered.supports_log() {
        let records = collect(store.stream(run, Span::all())).await;
        reads.push(judged("the log", damage, records, &truth.records, seen)?);
    }
    if offered.supports_snapshots() {
        let newest = store.snapshot(run, At::Latest).await;
        reads.push(judged("the newest snapshot", damage, newest, &truth.snapshots.first().cloned(), seen)?);
    }
    if offered.supports_history() {
        for kept in &truth.snapshots {
            let older = store.snapshot(run, At::OrBefore(kept.cursor)).await;
            reads.push(judged("an older snapshot", damage, older, &Some(kept.clone()), seen)?);
        }
    }
    if offered.supports_inbox() {
        let messages = collect(store.inbox(run, Span::all())).await;
        reads.push(judged("the inbox", damage, messages, &truth.messages, seen)?);
    }
    if offered.supports_blobs() {
        let infos: Vec<_> = truth.blobs.iter().map(|(info, _)| *info).collect();
        reads.push(judged("the blobs", damage, collect(store.blobs(run)).await, &infos, seen)?);
        for (info, body) in &truth.blobs {
            reads.push(judged("a blob", damage, store.blob(run, &info.name).await, body, seen)?);
        }
    }
    if offered.supports_list() {
        let query = Query { id_prefix: Some(run.as_str().to_owned()), ..Query::all() };
        reads.push(listed(damage, collect(store.list(query)).await, truth, seen)?);
    }
    reads.push(replayed(store, furnished, damage, seen).await?);
    Ok(if reads.contains(&Read::Told) { Read::Told } else { Read::True })
}

/// What a listing shows of a damaged run.
fn listed(damage: &str, listed: Result<Vec<Head>>, truth: &Image, seen: Seen) -> Verdict<Read> {
    let heads = listed.map(|heads| {
        heads.into_iter().map(|head| Head { at: Timestamp::default(), ..head }).collect::<Vec<_>>()
    });
    match &heads {
        Ok(found) if found.is_empty() && seen != Seen::There => Ok(Read::Told),
        Ok(found) if found.iter().map(Some).eq([truth.head.as_ref()]) => Ok(Read::True),
        _ => judged("the listing", damage, heads, &truth.head.iter().cloned().collect(), Seen::There),
    }
}

/// The newest commit and a message again: answered as they were, or told.
async fn replayed(store: &dyn Store, furnished: &Furnished, damage: &str, seen: Seen) -> Verdict<Read> {
    let Furnished { driver, last, message, .. } = furnished;
    let again = Committed { version: driver.version, cursor: driver.cursor, replayed: true };
    let mut read = judged("the newest commit again", damage, store.commit(last.clone()).await, &again, seen)?;
    if let Some(message) = message {
        let sent = store.send(&driver.run, message.clone()).await;
        let again = judged("a message again", damage, sent, &Sent::Repeated { number: 3 }, seen)?;
        read = if again == Read::Told { again } else { read };
    }
    Ok(read)
}

/// The parts that a store claims to watch over.
async fn guarded(ctx: &Context, run: &RunId) -> Verdict<Vec<Part>> {
    let mut parts = ctx.parts(run).await?;
    parts.retain(|part| part.guarded);
    expect("what is stored of a run that has something of everything", !parts.is_empty(), &parts)?;
    Ok(parts)
}

/// The codec of the states that these cases save: JSON, under the id of bytes.
#[derive(Clone, Debug)]
struct Raw;

impl Codec for Raw {
    const ID: u8 = 0;

    fn encode<T: Serialize>(&self, state: &T) -> Result<Bytes> {
        Json.encode(state)
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        Json.decode(bytes)
    }
}

/// A run whose checkpointer has saved a few states; the newest one.
async fn checkpointed(ctx: &Context, run: &RunId) -> Verdict<u64> {
    const NEWEST: u64 = 6_000_006;
    let settings = Settings { ttl: ctx.long(), renew: false, ..Settings::default() };
    let ids = std::sync::Arc::new(SeededIds::new(ctx.ids().bits() as u64));
    let checkpoints = Checkpoints::new(ctx.a.clone()).settings(settings).ids(ids);
    let begin = Begin::new(run.clone(), RunInfo::named("case"), Manifest::of(b"case"));
    let Begun::Driving(mut driver) = checkpoints.begin(begin).await? else {
        return Err(Broken::new("a run that was begun", "Driving", "another answer"));
    };
    for step in 1..=6u64 {
        let state = Bytes::from((step * 1_000_001).to_string());
        match step % 3 {
            0 => driver.checkpoint(state).await.map(drop),
            _ => driver.save(state).await.map(drop),
        }?;
    }
    driver.flush().await?;
    Ok(NEWEST)
}

/// What a resume of a damaged run would go on from: the newest state, or an error; never an older one, and never none.
async fn resumed(store: &dyn Store, run: &RunId, newest: u64, damage: &str) -> Verdict<Read> {
    let what = || format!("the state that a resume goes on from, {damage}");
    let state: Result<Option<u64>> = state_at(store, run, None, Raw).await;
    match state {
        Ok(Some(state)) if state == newest => Ok(Read::True),
        Ok(state) => Err(Broken::new(what(), format!("{newest}, or an error"), format!("{state:?}"))),
        Err(error) => {
            let told = [ErrorKind::Corrupt, ErrorKind::NotFound, ErrorKind::Undecodable];
            expect(&what(), told.contains(&error.kind()), crate::expect::told(&error))?;
            Ok(Read::Told)
        }
    }
}
