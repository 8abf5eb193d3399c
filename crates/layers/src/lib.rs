//! Layers
mod faults;
mod forward;
mod group_commit;

pub use faults::{Deed, Fate, FaultPlan, Faults, Trail};
pub use forward::Layer;
pub use group_commit::{GroupCommit, GroupCommitConfig};

#[doc(hidden)]
pub mod contract {
    pub use async_trait::async_trait;
    pub use milepost_core::*;
}
