//! `cargo xtask up`: servers for tests that are run by hand.

use std::thread;
use std::time::Duration;

use milepost_servers::Kind;

use crate::console::Console;
use crate::interrupt;
use crate::servers::{self, Servers};

/// How often Ctrl-C is looked for.
const TICK: Duration = Duration::from_millis(100);

/// Starts the named servers (those that need no asking, without names), prints their URLs as lines for a shell, and
/// stops them at Ctrl-C.
pub(crate) fn run(console: &Console, names: &[String]) -> anyhow::Result<bool> {
    let kinds = if names.is_empty() { Kind::USUAL.to_vec() } else { servers::named(names)? };
    let running = Servers::default();
    for kind in kinds {
        let progress = console.progress(kind.name());
        let url = running.url(kind)?;
        drop(progress);
        console.line(&servers::export(kind, &url));
        if interrupt::requested() {
            return Ok(false);
        }
    }
    console.note("Ctrl-C stops them");
    while !interrupt::requested() {
        thread::sleep(TICK);
    }
    Ok(true)
}
