//! The inbox of a run, and waiting for it.

pub(crate) mod read;
pub(crate) mod send;
pub(crate) mod take;
pub(crate) mod wait;
pub(crate) mod wake;
