//! Where the files of servers and tests lie: in memory, on a machine that has room for that.
//!
//! Tests kill processes, whose files outlive them in memory as they do on a disk; none of them cuts the power. A sync that
//! returns at once changes how long they take, and nothing of what they show.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

/// Linux mounts memory here, on every distribution.
const MEMORY: &str = "/dev/shm";
/// The least room that counts: containers have 64 MiB there unless they are told otherwise.
const ROOM: u128 = 4 << 30;

/// The folder for temporary folders: `TMPDIR` if it is set, else one in memory that has 4 GiB to spare, else the system's
/// own. To have it all on a disk, set `TMPDIR=/tmp`.
#[must_use]
pub fn scratch() -> PathBuf {
    let memory = Path::new(MEMORY);
    let named = env::var_os("TMPDIR").is_some();
    if !named && has_room(memory) { memory.to_owned() } else { env::temp_dir() }
}

/// A folder of [`scratch`] for all that a run of tests leaves lying; dropped, it goes with what is in it. Servers have
/// accounts of their own, which pass through it and see nothing else.
///
/// # Errors
///
/// When it cannot be made.
pub fn scratch_folder() -> anyhow::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("milepost-test-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o711));
    builder.tempdir_in(scratch()).context("cannot make a temporary folder")
}

/// Whether we may write there, and so much.
#[cfg(target_os = "linux")]
fn has_room(folder: &Path) -> bool {
    use nix::sys::statvfs::statvfs;
    use nix::unistd::{AccessFlags, access};

    let room =
        statvfs(folder).map_or(0, |it| u128::from(it.blocks_available()) * u128::from(it.fragment_size()));
    room >= ROOM && access(folder, AccessFlags::W_OK).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn has_room(_folder: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_folders_can_be_made_there() {
        let folder = scratch_folder().unwrap();
        std::fs::write(folder.path().join("a"), "a").unwrap();
    }

    #[test]
    fn a_folder_that_is_not_there_has_no_room() {
        assert!(!has_room(Path::new("/nowhere/at/all")));
    }
}
