//! The facade as a program uses it: URLs, the README, and the main job under fire.

#![expect(clippy::unwrap_used, reason = "these are tests")]

#[cfg(feature = "run")]
mod agents;
mod budget;
mod example;
#[cfg(feature = "run")]
mod examples_kill;
#[cfg(feature = "run")]
mod forks;
mod job;
mod kill;
#[cfg(feature = "run")]
mod matrix;
#[cfg(all(feature = "run", target_os = "linux"))]
mod memory;
#[cfg(feature = "run")]
mod readers;
#[cfg(feature = "run")]
mod scripted;
mod urls;
