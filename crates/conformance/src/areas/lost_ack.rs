//! Lost acknowledgements: what was done and not heard of is asked for again.

pub(crate) mod again;
pub(crate) mod dropped;
pub(crate) mod reused;
pub(crate) mod still;
