//! The servers, for real. Each test starts its own.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod lifetime;
mod servers;
