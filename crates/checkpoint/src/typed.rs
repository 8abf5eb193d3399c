//! Handles over a checkpointer that know the type of the state.

use bytes::Bytes;
use milepost_core::{
    Checkpointer, Cursor, Failure, Fence, NewRecord, Outcome, Record, Restored, Result, Saved, Wake,
};
use serde::{Serialize, de::DeserializeOwned};
use tracing::warn;

use crate::{
    appender::Appender,
    checkpointer::StoreCheckpointer,
    codec::{Codec, Compact},
    engine::{End, SnapshotWish},
};

/// The answer to beginning a run by a typed handle. A run that was asked to keep nothing is driven by a handle that
/// keeps nothing.
#[derive(Debug)]
pub enum Started<H> {
    /// The run is this caller's to drive.
    Driving(H),
    /// It has finished already: there is nothing to do.
    Finished(Outcome),
}

/// What both handles hold: the checkpointer, the codec, and whether a newer state is owed to the store.
#[derive(Debug)]
struct Link<C> {
    codec: C,
    /// `None` when the user asked for a run without durability.
    checkpointer: Option<Box<StoreCheckpointer>>,
    owing: bool,
}

impl<C> Link<C> {
    /// Whether the newest state is not durable: kept for later, or under way in the background.
    fn owes(&self) -> bool {
        self.owing || self.checkpointer.as_ref().is_some_and(|checkpointer| checkpointer.is_behind())
    }
}

impl<C: Codec> Link<C> {
    /// Whether a save now would be kept for later. Then a newer state is owed.
    fn holds(&mut self) -> Result<bool> {
        self.owing = self.checkpointer.is_some();
        match &self.checkpointer {
            Some(checkpointer) => checkpointer.holds(),
            None => Ok(false),
        }
    }

    /// Saves a state that the throttle has let through.
    async fn save<T: Serialize>(&mut self, state: &T) -> Result<Saved> {
        let Some(checkpointer) = &mut self.checkpointer else { return Ok(Saved::Unchanged) };
        let saved = checkpointer.persist(self.codec.encode(state)?).await?;
        self.owing = saved == Saved::Throttled;
        Ok(saved)
    }

    /// Saves a state before it returns.
    async fn save_now<T: Serialize>(&mut self, state: &T, wish: SnapshotWish) -> Result<Saved> {
        let Some(checkpointer) = &mut self.checkpointer else { return Ok(Saved::Unchanged) };
        self.owing = true;
        let saved = checkpointer.persist_now(self.codec.encode(state)?, wish).await?;
        self.owing = saved == Saved::Throttled;
        Ok(saved)
    }

    async fn release<T: Serialize>(&mut self, state: &T, wake: Wake) -> Result<()> {
        let Some(checkpointer) = &mut self.checkpointer else { return Ok(()) };
        self.owing = true;
        checkpointer.finish(Some(self.codec.encode(state)?), End::Release(wake)).await?;
        self.owing = false;
        Ok(())
    }

    async fn finish<T: Serialize>(&mut self, state: &T, outcome: Outcome) -> Result<()> {
        let Some(checkpointer) = &mut self.checkpointer else { return Ok(()) };
        self.owing = true;
        checkpointer.finish_with(Some(self.codec.encode(state)?), outcome).await?;
        self.owing = false;
        Ok(())
    }

    async fn complete<T: Serialize, O: Serialize>(&mut self, state: &T, output: &O) -> Result<()> {
        let output = self.codec.encode(output)?;
        self.finish(state, Outcome::Completed { output }).await
    }

    async fn append(&mut self, records: Vec<NewRecord>) -> Result<Cursor> {
        match &mut self.checkpointer {
            Some(checkpointer) => checkpointer.append(records).await,
            None => Ok(0),
        }
    }

    /// Takes what the run starts from. A run that cannot be decoded is let go, so that it shows as interrupted.
    async fn restored<T: DeserializeOwned>(&mut self) -> Result<(Option<T>, Restored)> {
        let restored =
            self.checkpointer.as_mut().and_then(|checkpointer| checkpointer.restored()).unwrap_or_default();
        let decoded = restored.state.as_ref().map(|state: &Bytes| self.codec.decode(state)).transpose();
        if let (Err(_), Some(checkpointer)) = (&decoded, &mut self.checkpointer)
            && let Err(error) = checkpointer.release(Wake::now()).await
        {
            warn!(%error, "the run could not be released again");
        }
        Ok((decoded?, restored))
    }
}

impl<C> Drop for Link<C> {
    fn drop(&mut self) {
        if let (true, Some(checkpointer)) = (self.owes(), &self.checkpointer) {
            warn!(run = ?checkpointer.run(), "dropped with a state that is not durable; flush, release or end the run first");
        }
    }
}

macro_rules! common {
    () => {
        /// Appends the program's own records; see [`Checkpointer::append`].
        ///
        /// # Errors
        ///
        /// As [`Checkpointer::append`].
        pub async fn append(&mut self, records: Vec<NewRecord>) -> Result<Cursor> {
            self.link.append(records).await
        }

        /// For appending from several tasks at once; `None` when nothing is kept.
        pub fn appender(&self) -> Option<Appender> {
            self.link.checkpointer.as_ref().map(|checkpointer| checkpointer.appender())
        }

        /// The checkpointer beneath; `None` when nothing is kept.
        pub fn checkpointer(&self) -> Option<&StoreCheckpointer> {
            self.link.checkpointer.as_deref()
        }

        /// The fence, for effects that can check it; `None` when nothing is kept.
        pub fn fence(&self) -> Option<Fence> {
            self.checkpointer().and_then(Checkpointer::fence)
        }

        /// The run's newest acknowledged record.
        pub fn cursor(&self) -> Cursor {
            self.checkpointer().map_or(0, Checkpointer::cursor)
        }

        /// Whether the newest state is not durable yet.
        pub fn is_owing(&self) -> bool {
            self.link.owes()
        }

        /// The program's own records after the restored state, once.
        pub fn restored_records(&mut self) -> Vec<Record> {
            std::mem::take(&mut self.records)
        }
    };
}

/// A run whose state the handle owns, so that every exit can write the newest whole state: flush, release, complete and
/// fail do, each in one commit.
#[derive(Debug)]
pub struct Stateful<T, C: Codec = Compact> {
    state: T,
    records: Vec<Record>,
    /// The cursor as of which the run was resumed.
    resumed: Option<Cursor>,
    link: Link<C>,
}

impl<T: Serialize + DeserializeOwned, C: Codec> Stateful<T, C> {
    pub(crate) async fn restore(
        codec: C,
        checkpointer: Option<Box<StoreCheckpointer>>,
        initial: impl FnOnce() -> T,
    ) -> Result<Self> {
        let mut link = Link { codec, checkpointer, owing: false };
        let (state, restored) = link.restored().await?;
        let resumed = state.is_some().then_some(restored.cursor);
        Ok(Self { state: state.unwrap_or_else(initial), records: restored.records, resumed, link })
    }

    common!();

    /// The state.
    pub fn state(&self) -> &T {
        &self.state
    }

    /// The cursor of the state from which the run was resumed; `None` for one that starts afresh.
    pub fn resumed_at(&self) -> Option<Cursor> {
        self.resumed
    }

    /// Changes the state in one synchronous step, then saves it unless the throttle keeps it for later.
    ///
    /// # Errors
    ///
    /// As [`Checkpointer::save`]. The change stays in the handle and goes with the next save.
    pub async fn update(&mut self, change: impl FnOnce(&mut T)) -> Result<Saved> {
        change(&mut self.state);
        if self.link.holds()? { Ok(Saved::Throttled) } else { self.link.save(&self.state).await }
    }

    /// Writes the newest state.
    ///
    /// # Errors
    ///
    /// As [`Checkpointer::save`].
    pub async fn flush(&mut self) -> Result<Saved> {
        self.link.save_now(&self.state, SnapshotWish::Policy).await
    }

    /// Writes the newest state with a snapshot where the store has them.
    ///
    /// # Errors
    ///
    /// As [`Checkpointer::checkpoint`].
    pub async fn checkpoint(&mut self) -> Result<Cursor> {
        self.link.save_now(&self.state, SnapshotWish::Always).await?;
        Ok(self.cursor())
    }

    /// Writes the newest state and lets go of the run.
    ///
    /// # Errors
    ///
    /// As [`Checkpointer::release`].
    pub async fn release(&mut self, wake: Wake) -> Result<()> {
        self.link.release(&self.state, wake).await
    }

    /// Writes the newest state and completes the run. The output is stored in the codec of the states.
    ///
    /// # Errors
    ///
    /// As [`Checkpointer::complete`].
    pub async fn complete<O: Serialize>(&mut self, output: &O) -> Result<()> {
        self.link.complete(&self.state, output).await
    }

    /// Writes the newest state and fails the run.
    ///
    /// # Errors
    ///
    /// As [`Checkpointer::fail`].
    pub async fn fail(&mut self, failure: Failure) -> Result<()> {
        self.link.finish(&self.state, Outcome::Failed { failure }).await
    }
}

/// A run whose program keeps the state itself and hands it over to be saved.
///
/// What the throttle has kept for later is owed: the handle does not hold the state, so `flush` and its kin take it.
#[derive(Debug)]
pub struct Saver<C: Codec = Compact> {
    records: Vec<Record>,
    link: Link<C>,
}

impl<C: Codec> Saver<C> {
    pub(crate) async fn restore<T: DeserializeOwned>(
        codec: C,
        checkpointer: Option<Box<StoreCheckpointer>>,
    ) -> Result<(Self, Option<T>)> {
        let mut link = Link { codec, checkpointer, owing: false };
        let (state, restored) = link.restored().await?;
        Ok((Self { records: restored.records, link }, state))
    }

    common!();

    /// Saves the state unless the throttle keeps it for later; it is not even encoded then.
    ///
    /// # Errors
    ///
    /// As [`Checkpointer::save`].
    pub async fn save<T: Serialize>(&mut self, state: &T) -> Result<Saved> {
        if self.link.holds()? { Ok(Saved::Throttled) } else { self.link.save(state).await }
    }

    /// Saves the state now.
    ///
    /// # Errors
    ///
    /// As [`Checkpointer::flush`].
    pub async fn flush<T: Serialize>(&mut self, state: &T) -> Result<Saved> {
        self.link.save_now(state, SnapshotWish::Policy).await
    }

    /// Saves the state now, with a snapshot where the store has them.
    ///
    /// # Errors
    ///
    /// As [`Checkpointer::checkpoint`].
    pub async fn checkpoint<T: Serialize>(&mut self, state: &T) -> Result<Cursor> {
        self.link.save_now(state, SnapshotWish::Always).await?;
        Ok(self.cursor())
    }

    /// Saves the state and lets go of the run.
    ///
    /// # Errors
    ///
    /// As [`Checkpointer::release`].
    pub async fn release<T: Serialize>(&mut self, state: &T, wake: Wake) -> Result<()> {
        self.link.release(state, wake).await
    }

    /// Saves the state and completes the run. The output is stored in the codec of the states.
    ///
    /// # Errors
    ///
    /// As [`Checkpointer::complete`].
    pub async fn complete<T: Serialize, O: Serialize>(&mut self, state: &T, output: &O) -> Result<()> {
        self.link.complete(state, output).await
    }

    /// Saves the state and fails the run.
    ///
    /// # Errors
    ///
    /// As [`Checkpointer::fail`].
    pub async fn fail<T: Serialize>(&mut self, state: &T, failure: Failure) -> Result<()> {
        self.link.finish(state, Outcome::Failed { failure }).await
    }
}
