//! The PostgreSQL store, from the outside: what the conformance kit cannot know.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod cost;
mod crash;
mod errors;
mod golden;
mod ids;
mod lost;
mod prepare;
mod support;
#[cfg(feature = "tls")]
mod tls;
mod trips;
mod url;
mod waited;
