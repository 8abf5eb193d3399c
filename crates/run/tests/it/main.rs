//! The tests of the run loop, on every store that this crate can reach.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

mod agents;
mod budget;
mod deaths;
mod draws;
mod faults;
mod finalize;
mod fork;
mod golden;
mod golden_phases;
mod golden_tree;
mod guard;
mod parallel;
mod phases;
mod recover;
mod sessions;
mod slices;
mod steps;
mod tree;
mod tree_down;
mod tree_view;
mod undurable;
mod wait;
mod watch;
