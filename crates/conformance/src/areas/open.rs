//! Opening: create, resume, take over.

pub(crate) mod again;
pub(crate) mod create;
pub(crate) mod draft;
pub(crate) mod takeover;
