//! Placeholder until the crate is written.

#[allow(dead_code, unused_imports)]
mod delta;
