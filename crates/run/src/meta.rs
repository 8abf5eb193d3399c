//! What a run was asked to do, as it is kept with it.

use std::time::Duration;

use milepost_core::{
    Error, ErrorKind, Head, INFO_LIMIT, Incarnation, Manifest, Result, RunId, RunInfo, Timestamp,
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::canonical::canonical;

/// The opaque part of a run's info.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Meta {
    v: u32,
    /// The handler's input; a large one is in the snapshot at the run's origin.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub(crate) input: Option<Box<RawValue>>,
    /// How long after its creation the run may take, in microseconds.
    within: Option<u64>,
    /// What it may use up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) budget: Option<u64>,
    /// Which life of its parent began it, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
}

/// What a run is begun with, beside its input.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    /// How long after its creation it may take.
    pub(crate) within: Option<Duration>,
    pub(crate) budget: Option<u64>,
    /// Which life of its parent begins it.
    pub(crate) parent: Option<Incarnation>,
}

/// An input of `null` is one.
pub(crate) fn given<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Box<RawValue>>, D::Error> {
    Box::deserialize(deserializer).map(Some)
}

/// Adds the meta to an info. Gives back an input that does not fit.
pub(crate) fn describe(info: RunInfo, input: &RawValue, bounds: Bounds) -> (RunInfo, Option<Box<RawValue>>) {
    let Bounds { within, budget, parent } = bounds;
    let within = within.map(|within| u64::try_from(within.as_micros()).unwrap_or(u64::MAX));
    let with = |input: Option<Box<RawValue>>| {
        // Numbers and JSON have a form in JSON.
        let parent = parent.map(|incarnation| incarnation.to_string());
        let meta = serde_json::to_vec(&Meta { v: 1, input, within, budget, parent }).unwrap_or_default();
        info.clone().meta(meta)
    };
    let inline = with(Some(input.to_owned()));
    if size(&inline) <= INFO_LIMIT { (inline, None) } else { (with(None), Some(input.to_owned())) }
}

fn size(info: &RunInfo) -> usize {
    let labels: usize = info.labels.iter().map(|(key, value)| key.len() + value.len()).sum();
    info.name.len()
        + info.parent.as_ref().map_or(0, |parent| parent.as_str().len())
        + labels
        + info.meta.len()
}

impl Meta {
    /// # Errors
    ///
    /// [`ErrorKind::Undecodable`]: the run was not begun by this crate, or by a newer one.
    pub(crate) fn of(head: &Head) -> Result<Self> {
        let meta: Option<Meta> = serde_json::from_slice(&head.info.meta).ok();
        meta.filter(|meta| meta.v == 1).ok_or_else(|| {
            let message =
                "the run's info is none of this version of the run loop; was it begun by another program?";
            Error::new(ErrorKind::Undecodable, message)
        })
    }

    /// The run that began it, and which life of that.
    pub(crate) fn parent(&self, head: &Head) -> Option<(RunId, Incarnation)> {
        let incarnation = u128::from_str_radix(self.parent.as_ref()?, 16).ok()?;
        Some((head.info.parent.clone()?, Incarnation(incarnation)))
    }

    /// How long the run may take.
    pub(crate) fn within(&self) -> Option<Duration> {
        self.within.map(Duration::from_micros)
    }

    /// By when the run must have ended. It counts from the creation, by the store's clock, so no resume moves it.
    pub(crate) fn deadline(&self, head: &Head) -> Option<Timestamp> {
        self.within.map(|within| head.created_at + Duration::from_micros(within))
    }
}

/// The digest of what a run is asked to do: its id, its handler and its input, whatever the order of the input's keys.
pub(crate) fn manifest(run: &RunId, name: &str, input: &RawValue) -> Manifest {
    let identity = serde_json::json!(["milepost-run", run.as_str(), name]).to_string();
    let mut bytes = identity.into_bytes();
    bytes.extend(canonical(input));
    Manifest::of(&bytes)
}
