//! Committing: the one atomic write of a run's owner.

pub(crate) mod atomic;
pub(crate) mod log;
