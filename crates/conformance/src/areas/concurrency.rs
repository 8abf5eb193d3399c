//! Many at once: nothing lost, nothing twice, and one order that explains every answer.

pub(crate) mod checker;
pub(crate) mod history;
pub(crate) mod linear;
pub(crate) mod many;
