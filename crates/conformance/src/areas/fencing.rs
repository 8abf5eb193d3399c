//! Fencing: who may no longer write.

pub(crate) mod dead;
pub(crate) mod race;
pub(crate) mod stale;
