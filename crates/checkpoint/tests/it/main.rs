//! The checkpointer against the reference store, with faults, lies and a clock that the tests move.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod append;
mod budget;
mod chain;
mod degrade;
mod ending;
mod golden;
mod history;
mod lease;
mod lost_ack;
mod modes;
mod policy;
mod support;
mod throttle;
