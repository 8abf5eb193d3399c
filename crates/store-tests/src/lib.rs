//! What the own tests of Milepost's stores have in common: a driven run, the run that golden data tells of, and writes that
//! are lost on their way. What every store has to do is proven by the conformance kit; this is for what only one can know.
//!
//! All of it panics where a test would fail.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod driver;
pub mod golden;
pub mod lost;

pub use driver::{Driver, create, operation, record, run};

use milepost_servers::Proxy;

/// A proxy before the server of a URL. It has a runtime of its own, which cannot be started on a thread of another.
pub fn proxy(url: &str) -> Proxy {
    let url = url.to_owned();
    std::thread::spawn(move || Proxy::before(&url).unwrap()).join().unwrap()
}
