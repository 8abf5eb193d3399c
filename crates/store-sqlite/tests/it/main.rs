//! The SQLite store, from the outside.

mod basics;
mod support;
