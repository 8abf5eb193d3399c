//! The tests of the run loop, on every store that this crate can reach.

mod support;

mod draws;
mod faults;
mod finalize;
mod kill;
mod parallel;
mod recover;
mod steps;
mod wait;
