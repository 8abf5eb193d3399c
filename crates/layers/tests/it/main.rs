//! The layers over the reference model.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod faults;
mod group_commit;
mod world;
