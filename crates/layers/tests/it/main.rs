//! The layers over the reference model.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[cfg(all(feature = "deadly", unix))]
mod deadly;
mod faults;
mod group_commit;
mod traced;
mod world;
