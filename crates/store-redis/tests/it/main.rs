//! The Redis store, from the outside: what the conformance kit cannot know.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod corruption;
mod crash;
mod errors;
mod golden;
mod ids;
mod listing;
mod lost;
mod prepare;
mod reconnect;
mod replicas;
#[cfg(feature = "sentinel")]
mod sentinel;
mod support;
#[cfg(feature = "tls")]
mod tls;
mod trips;
mod url;
