//! Which map, and what a test replaces.

use std::{sync::Arc, time::Duration};

use milepost_core::{
    Capabilities, Capability, Clock, Ids, Limits, Operation, Result, SystemClock, SystemIds,
};

use crate::{Kv, TemplateStore, error::during};

/// Makes a [`TemplateStore`].
#[derive(Clone, Debug)]
pub struct TemplateConfig {
    pub(crate) kv: Arc<dyn Kv>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    /// Who follows looks again after so long a time.
    pub(crate) poll: Duration,
}

impl TemplateConfig {
    /// A store whose runs are values of `kv`.
    pub fn new(kv: Arc<dyn Kv>) -> Self {
        let (clock, ids) = (Arc::new(SystemClock::default()), Arc::new(SystemIds));
        Self { kv, clock, ids, poll: Duration::from_millis(25) }
    }

    /// Judges leases by `clock`; by default this machine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Draws incarnations and tokens from `ids`; by default the operating system's.
    pub fn ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }

    /// Everything but `BatchCommit`, since the map takes one key at a time, in sizes that suit one value a run.
    pub(crate) fn capabilities(&self) -> Capabilities {
        const MIB: u64 = 1 << 20;
        Capabilities::all(self.kv.durability()).without(Capability::BatchCommit).limits(Limits {
            record: MIB,
            commit: 4 * MIB,
            snapshot: 4 * MIB,
            blob: 4 * MIB,
            run_id: self.kv.longest_key(),
            ..Limits::DEFAULT
        })
    }

    /// The store.
    ///
    /// # Errors
    ///
    /// What the map says when it is asked for anything at all.
    pub async fn connect(self) -> Result<TemplateStore> {
        self.kv.scan("", "", 1).await.map_err(during(Operation::Connect, None))?;
        Ok(TemplateStore::new(self))
    }
}
