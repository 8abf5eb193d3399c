//! The facade as a program uses it: URLs, the README, and the main job under fire.

mod job;
mod kill;
mod urls;
