//! What a store says that it offers, and that it keeps to it.

pub(crate) mod closed;
pub(crate) mod declared;
pub(crate) mod undeclared;
