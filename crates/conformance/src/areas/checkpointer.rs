//! The checkpointer over the store: that a backend carries one.
//!
//! Its throttle runs by a clock of the case's own, so these cases move no clock of the store.

pub(crate) mod chain;
pub(crate) mod codec;
pub(crate) mod degrade;
pub(crate) mod ends;
pub(crate) mod fallback;
pub(crate) mod faults;
pub(crate) mod handles;
pub(crate) mod lease;
pub(crate) mod modes;
pub(crate) mod patches;
pub(crate) mod policy;
pub(crate) mod recover;
pub(crate) mod resume;
pub(crate) mod throttle;

use std::{fmt::Debug, sync::Arc};

use milepost_checkpoint::{
    Availability, Checkpoints, Codec, Compact, Json, Keep, SaveMode, Settings, SnapshotPolicy, Started,
    state_at, verify,
};
use milepost_layers::{Fate, FaultPlan, Faults};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    areas::prelude::*,
    expect::{Failure as Broken, told},
    wrapped::{Counted, Lying, Reduced},
};

/// Checkpoints over `store`, with ids that replay and leases that outlast the case; nothing renews them.
fn over(ctx: &Context, store: impl Store) -> Checkpoints {
    let settings = Settings { ttl: ctx.long(), renew: false, ..Settings::default() };
    Checkpoints::new(store).settings(settings).ids(Arc::new(SeededIds::new(ctx.ids().bits() as u64)))
}

/// Checkpoints over the case's first handle.
fn checkpoints(ctx: &Context) -> Checkpoints {
    over(ctx, ctx.a.clone())
}

/// A clock for a checkpointer alone.
fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp(1_800_000_000_000_000)))
}

/// Begins the run, or goes on with it.
fn begin(run: &RunId) -> Begin {
    Begin::new(run.clone(), RunInfo::named("case"), Manifest::of(b"case")).or_resume()
}

/// A run that was begun must be driven.
#[track_caller]
fn driven(begun: Begun) -> Verdict<Box<dyn Checkpointer>> {
    match begun {
        Begun::Driving(checkpointer) => Ok(checkpointer),
        other => Err(Broken::new("a run that was begun", "Driving", format!("{other:?}"))),
    }
}

/// A run that was begun by a typed handle must be driven.
#[track_caller]
fn started<H: Debug>(started: Started<H>) -> Verdict<H> {
    match started {
        Started::Driving(handle) => Ok(handle),
        other => Err(Broken::new("a run that was begun", "Driving", format!("{other:?}"))),
    }
}

/// Drives a run whose states are bytes.
async fn drive(ctx: &Context, checkpoints: &Checkpoints, run: &RunId) -> Verdict<Box<dyn Checkpointer>> {
    driven(ctx.checkpointers(checkpoints.clone()).begin(begin(run)).await?)
}

/// What a run starts from that must have been there before.
#[track_caller]
fn restored(checkpointer: &mut dyn Checkpointer) -> Verdict<Restored> {
    checkpointer.restored().ok_or_else(|| Broken::new("what a resumed run starts from", "something", "None"))
}

/// `result` must fail with this kind, refused or not.
#[track_caller]
fn fails<T: Debug>(what: &str, result: Result<T>, kind: ErrorKind) -> Verdict<Error> {
    match result {
        Err(error) if error.kind() == kind => Ok(error),
        Err(error) => Err(Broken::new(what, format!("an error of kind {kind:?}"), told(&error))),
        Ok(value) => Err(Broken::new(what, format!("an error of kind {kind:?}"), format!("Ok({value:?})"))),
    }
}

/// The codec of the states that these cases save as bytes: JSON, under the id of bytes.
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

/// A state as bytes.
fn state(number: u64) -> Bytes {
    number.to_string().into()
}

/// The newest state that is stored, read by the other handle.
async fn newest(ctx: &Context, run: &RunId) -> Verdict<Option<u64>> {
    Ok(state_at(&*ctx.b, run, None, Raw).await?)
}

/// The cursor after so many records; a store without a log stays at the origin.
fn cursor(ctx: &Context, records: u64) -> Cursor {
    if ctx.capabilities.supports_log() { records } else { 0 }
}

/// The answer to a save that was persisted with so many records in all.
fn persisted(ctx: &Context, records: u64) -> Saved {
    Saved::Persisted { cursor: cursor(ctx, records) }
}

/// The bodies of the program's own records, in order.
async fn own_records(ctx: &Context, run: &RunId) -> Verdict<Vec<Bytes>> {
    if !ctx.capabilities.supports_log() {
        return Ok(vec![]);
    }
    let records = collect(ctx.b.stream(run, Span::all())).await?;
    let own = records.into_iter().filter(|record| !record.kind.as_str().starts_with("milepost/"));
    Ok(own.map(|record| record.body).collect())
}

/// A size of state that the store takes with room to spare: `wanted`, or less.
fn room(ctx: &Context, wanted: usize) -> usize {
    let limits = ctx.capabilities.limits;
    let most = limits.record.min(limits.snapshot).min(limits.commit / 4) / 2;
    wanted.min(usize::try_from(most).unwrap_or(wanted))
}

/// Draws numbers that replay.
struct Dice<'a>(&'a Context);

impl Dice<'_> {
    /// A number below `sides`.
    fn below(&self, sides: usize) -> usize {
        (self.0.ids().bits() as usize) % sides.max(1)
    }

    /// So many bytes that nothing compresses.
    fn bytes(&self, count: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.0.ids().bits().to_le_bytes());
        words.flatten().take(count).collect()
    }
}
