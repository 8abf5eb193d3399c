//! Ctrl-C and SIGTERM: the whole process group of each running program is told, waited for, and nothing new is started.
//!
//! Every program gets a process group of its own, named by its process id. A group is signalled only while its leader
//! has not been reaped, so the number cannot have gone to somebody else's processes.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;

static REQUESTS: AtomicUsize = AtomicUsize::new(0);
/// The leaders of the groups.
static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// After this many requests the group is killed, not asked.
const PATIENCE: usize = 3;

/// Takes over SIGINT, SIGTERM and SIGHUP for the rest of the process.
pub(crate) fn install() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        let requests = REQUESTS.fetch_add(1, Ordering::SeqCst) + 1;
        for leader in &*running() {
            signal_group(*leader, requests >= PATIENCE);
        }
    })
    .context("cannot listen for Ctrl-C")
}

/// Whether somebody asked to stop.
pub(crate) fn requested() -> bool {
    REQUESTS.load(Ordering::SeqCst) > 0
}

/// Names the leader of a group that a signal goes to, and passes on a request that came just before.
pub(crate) fn watch(leader: u32) {
    running().insert(leader);
    if requested() {
        signal_group(leader, false);
    }
}

/// Kills what the ended leader left behind in its group, and forgets the group. To be called before it is reaped.
pub(crate) fn sweep(leader: u32) {
    if running().remove(&leader) {
        signal_group(leader, true);
    }
}

/// Kills the group of a leader, which is still to be reaped.
pub(crate) fn kill(leader: u32) {
    if running().contains(&leader) {
        signal_group(leader, true);
    }
}

fn running() -> MutexGuard<'static, BTreeSet<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(unix)]
fn signal_group(leader: u32, kill: bool) {
    use nix::sys::signal::{Signal, killpg};
    use nix::unistd::Pid;

    let signal = if kill { Signal::SIGKILL } else { Signal::SIGINT };
    if let Ok(leader) = i32::try_from(leader) {
        // A group that is gone already is what was wanted.
        let _ = killpg(Pid::from_raw(leader), signal);
    }
}

/// Elsewhere the console tells every program of Ctrl-C itself.
#[cfg(not(unix))]
fn signal_group(_leader: u32, _kill: bool) {}
