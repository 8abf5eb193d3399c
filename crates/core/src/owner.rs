//! Labels that say who drives a run, and the one question that an embedded store may ask of them.

use std::{fmt, fs};

use serde::{Deserialize, Serialize};

/// Says who drives a run, for people: up to 255 bytes of text. Never an identity: two workers may carry the same one.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Owner(String);

impl Owner {
    /// The most bytes that are kept of a label.
    pub const LIMIT: usize = 255;

    /// Keeps the first 255 bytes of `label`, cut at a character, NULs replaced.
    pub fn new(label: impl Into<String>) -> Self {
        let mut label = label.into().replace('\0', "\u{fffd}");
        label.truncate(label.floor_char_boundary(Self::LIMIT));
        Self(label)
    }

    /// Names host, boot, process and its start, e.g. `web-3 boot 5f0c… pid 4711 start 8812`.
    pub fn current() -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = if host.trim().is_empty() { "localhost" } else { host.trim() };
        Self::new(match Process::current() {
            Some(process) => format!("{host} {process}"),
            None => format!("{host} pid {}", std::process::id()),
        })
    }

    /// The label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Owner {
    fn default() -> Self {
        Self::current()
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A process of one boot of one kernel: enough to say later, on the same host, that it is gone.
///
/// A process id alone is no identity, because ids are reused; with the kernel's boot id, the namespace that the id
/// counts in and the process' start it is one ([proc(5)](https://man7.org/linux/man-pages/man5/proc.5.html)). An
/// embedded store keeps it beside the lease, so that a program killed with -9 goes on when it is started again, not a
/// ttl later.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Process {
    /// The kernel's boot id.
    pub boot: String,
    /// The namespace that `pid` counts in.
    pub namespace: String,
    /// The process id.
    pub pid: u32,
    /// When it started, in ticks since the boot.
    pub start: u64,
}

impl Process {
    /// This process; `None` where the operating system does not tell (anything but Linux).
    pub fn current() -> Option<Self> {
        let pid = std::process::id();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        let namespace = fs::read_link("/proc/self/ns/pid").ok()?.to_str()?.to_owned();
        Some(Self { boot, namespace, pid, start: start_of(pid)? })
    }

    /// Whether this process is certainly gone, as seen from the process `here`.
    ///
    /// `false` whenever that cannot be known: another host, another boot, another container.
    pub fn is_gone(&self, here: &Process) -> bool {
        let visible = self.boot == here.boot && self.namespace == here.namespace;
        visible && start_of(self.pid) != Some(self.start)
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "boot {} pid {} start {}", self.boot, self.pid, self.start)
    }
}

/// The 22nd field of `/proc/PID/stat`. The second, the command's name, may hold spaces and parentheses, so counting
/// begins behind its last parenthesis. A zombie is a process that has ended.
fn start_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_cut_at_a_character() {
        assert_eq!(Owner::new("é".repeat(200)).as_str().len(), 254);
        assert_eq!(Owner::new("a\0b").as_str(), "a\u{fffd}b");
    }

    #[test]
    fn only_a_process_that_can_be_looked_up_is_called_gone() {
        let here = Process::current().unwrap();
        assert!(!here.is_gone(&here));
        let reused = Process { start: here.start + 1, ..here.clone() };
        assert!(reused.is_gone(&here), "the id lives on in another process");
        let elsewhere = Process { boot: "another".into(), ..reused.clone() };
        assert!(!elsewhere.is_gone(&here));
        let contained = Process { namespace: "pid:[1]".into(), ..reused };
        assert!(!contained.is_gone(&here));
    }

    #[test]
    fn a_child_that_has_ended_is_gone() {
        let here = Process::current().unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process { pid: child.id(), start: start_of(child.id()).unwrap(), ..here.clone() };
        assert!(!process.is_gone(&here));
        child.kill().unwrap();
        while !process.is_gone(&here) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(process.is_gone(&here));
    }
}
