//! The world that the tests live in: a memory store with a clock that they move, behind a spy.

mod spy;

use std::{sync::Arc, time::Duration};

use milepost_checkpoint::{Checkpoints, Codec, Json, Settings, Started, Stateful, state_at};
use milepost_core::*;
use milepost_store_memory::MemoryStore;
use serde::{Serialize, de::DeserializeOwned};

pub(crate) use futures_util::StreamExt;
pub(crate) use spy::{Lie, Spy};

pub(crate) const ALL: Capabilities = Capabilities::all(Durability::Process);
/// One more than the default ttl.
pub(crate) const LAPSE: Duration = Duration::from_secs(31);

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) memory: MemoryStore,
    pub(crate) spy: Spy,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of(ALL)
    }

    pub(crate) fn of(capabilities: Capabilities) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp(1_000_000_000)));
        let memory = MemoryStore::builder().clock(clock.clone()).capabilities(capabilities).build();
        Self { spy: Spy::on(memory.clone()), memory, clock }
    }

    /// Over the spy, by the world's clock.
    pub(crate) fn checkpoints(&self) -> Checkpoints {
        Checkpoints::new(self.spy.clone()).clock(self.clock.clone())
    }

    pub(crate) fn with(&self, settings: Settings) -> Checkpoints {
        self.checkpoints().settings(settings)
    }

    pub(crate) fn pass(&self, duration: Duration) {
        self.clock.advance(duration);
    }

    pub(crate) async fn head(&self) -> Head {
        self.memory.head(&run_id()).await.unwrap().unwrap()
    }

    pub(crate) async fn log(&self) -> Vec<Record> {
        self.memory.stream(&run_id(), Span::all()).map(Result::unwrap).collect().await
    }

    /// The bodies of the program's own records.
    pub(crate) async fn own(&self) -> Vec<String> {
        let own = |record: Record| {
            (!record.kind.as_str().starts_with("milepost/"))
                .then(|| String::from_utf8(record.body.to_vec()).unwrap())
        };
        self.log().await.into_iter().filter_map(own).collect()
    }

    /// The newest durable state of a run whose bytes are JSON.
    pub(crate) async fn raw<T: DeserializeOwned>(&self) -> Option<T> {
        state_at(&self.memory, &run_id(), None, Raw).await.unwrap()
    }
}

pub(crate) fn run_id() -> RunId {
    RunId::from_static("run")
}

pub(crate) fn begin() -> Begin {
    Begin::new(run_id(), RunInfo::named("test"), Manifest::of(b"input")).or_resume()
}

pub(crate) async fn drive(checkpoints: &Checkpoints) -> Box<dyn Checkpointer> {
    match checkpoints.begin(begin()).await.unwrap() {
        Begun::Driving(checkpointer) => checkpointer,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn drive_state<T>(checkpoints: &Checkpoints, initial: T) -> Stateful<T, Json>
where
    T: Serialize + DeserializeOwned + Send + 'static,
{
    driving(checkpoints.begin_state_in(Json, begin(), || initial).await)
}

pub(crate) fn driving<H>(started: Result<Started<H>>) -> H {
    match started.unwrap() {
        Started::Driving(handle) => handle,
        Started::Finished(outcome) => panic!("finished: {outcome:?}"),
    }
}

pub(crate) fn json(state: impl Serialize) -> Bytes {
    serde_json::to_vec(&state).unwrap().into()
}

/// Reads what was saved as bytes, which these tests fill with JSON.
#[derive(Clone, Debug)]
pub(crate) struct Raw;

impl Codec for Raw {
    const ID: u8 = 0;

    fn encode<T: Serialize>(&self, state: &T) -> Result<Bytes> {
        Json.encode(state)
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        Json.decode(bytes)
    }
}

pub(crate) fn note(text: impl Into<String>) -> NewRecord {
    NewRecord::new(Kind::from_static("note"), text.into())
}

pub(crate) fn named(text: &str) -> NewRecord {
    note(text).id(RecordId::new(text).unwrap())
}

pub(crate) fn unavailable() -> Error {
    Error::new(ErrorKind::Unavailable, "for a moment").with_applied(Applied::No)
}

pub(crate) fn done() -> Bytes {
    Bytes::from_static(b"done")
}

pub(crate) fn failure() -> Failure {
    Failure::new(FailureKind::Error, "no luck")
}

/// Lets the tasks in the background do what they can.
pub(crate) async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// Bytes that do not compress, the same for the same seed (SplitMix64).
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend(self.number().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}
