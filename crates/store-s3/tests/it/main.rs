//! What the kit does not know of: requests, names, hints, stalls, formats.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

#[path = "../conformance/bucket.rs"]
#[expect(dead_code, reason = "the hooks of the kit are its own")]
mod bucket;
#[path = "../conformance/run.rs"]
mod run;

#[cfg(feature = "aws")]
mod aws;
mod clocks;
mod errors;
mod hints;
mod ids;
mod lost;
mod stalled;
mod support;
mod swept;
mod trips;
