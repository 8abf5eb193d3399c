//! The servers, for real. Each test starts its own.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod lifetime;
#[cfg(feature = "proxy")]
mod proxy;
mod servers;
mod talk;
