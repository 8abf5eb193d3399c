//! Many at once: nothing lost, nothing twice, and one order that explains every answer.

pub(crate) mod lasting;
pub(crate) mod linear;
pub(crate) mod many;
