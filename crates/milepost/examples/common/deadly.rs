//! For the tests of an example, which kill it at each of its durable writes in turn. Your program needs none of this.

use std::sync::Arc;

use milepost::{Result, Store};
use milepost_layers::{Deadly, Death};

/// At which write this process dies: `before 7`, or `after 7`.
pub(crate) const DIES: &str = "MILEPOST_EXAMPLE_DIES";

/// The store as it is; or one that kills the process at a write, if the environment asks for that.
pub(crate) fn deadly(store: Arc<dyn Store>) -> Result<Arc<dyn Store>> {
    Ok(match std::env::var(DIES) {
        Ok(death) => Arc::new(Deadly::new(store, Some(death.parse::<Death>()?))),
        Err(_) => store,
    })
}
