//! The SQLite store, from the outside.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod basics;
mod corruption;
mod crash;
mod golden;
mod listing;
mod refusing;
mod sharing;
mod space;
mod support;
mod url;
