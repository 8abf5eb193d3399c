//! Committing: the one atomic write of a run's owner.

pub(crate) mod atomic;
pub(crate) mod bodies;
pub(crate) mod every;
pub(crate) mod finish;
pub(crate) mod ids;
pub(crate) mod limits;
pub(crate) mod log;
pub(crate) mod many;
pub(crate) mod refused;
pub(crate) mod verdicts;
