//! Phase one: which files there are.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::path::RelPath;
use crate::state::{Found, FoundFile, Problem};

/// Walks everything below `root` and lists the regular files, ordered by path.
///
/// All regular files count, hidden ones too: what is left out silently is what one looks for later. Symbolic links
/// are not followed, so nothing is met twice and no circle is walked; they and other special files are counted as
/// skipped. What cannot be looked into is a [`Problem`] in the list, not the end of the scan. `ours` are the files
/// that this program itself writes to while it runs: no index can hold them.
///
/// `seen` hears the number of files now and then and answers whether to go on; `None` if it said no.
pub(crate) fn scan(root: &Path, ours: &[PathBuf], mut seen: impl FnMut(usize) -> bool) -> Option<Found> {
    let mut files = Vec::new();
    let mut problems = Vec::new();
    let mut skipped = 0;
    for entry in WalkDir::new(root).min_depth(1) {
        if !seen(files.len()) {
            return None;
        }
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                problems.push(problem(root, &error));
                continue;
            }
        };
        if entry.file_type().is_dir() || ours.iter().any(|ours| ours == entry.path()) {
            continue;
        }
        if !entry.file_type().is_file() {
            skipped += 1;
            continue;
        }
        let length = entry.metadata().as_ref().map_or(0, Metadata::len);
        match relative(root, entry.path()) {
            Some(path) => files.push(FoundFile { path, length }),
            None => {
                problems.push(Problem { path: lossy(entry.path()), reason: "its name is not Unicode".into() })
            }
        }
    }
    files.sort_by(|a: &FoundFile, b| a.path.cmp(&b.path));
    problems.sort();
    Some(Found { files: files.into(), problems, skipped })
}

/// What an error of the system means to a reader: the same words on every platform where there are some.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::NotFound => "vanished while the job ran".into(),
        _ => error.to_string(),
    }
}

fn problem(root: &Path, error: &walkdir::Error) -> Problem {
    let path = error.path().and_then(|path| relative(root, path));
    let reason = error.io_error().map_or_else(|| error.to_string(), reason);
    Problem { path: path.unwrap_or_else(|| lossy(root)), reason }
}

/// The folder itself is `.`.
fn relative(root: &Path, path: &Path) -> Option<RelPath> {
    let below = path.strip_prefix(root).unwrap_or(path);
    RelPath::new(if below.as_os_str().is_empty() { Path::new(".") } else { below })
}

/// A path to show where none can be written down exactly.
fn lossy(path: &Path) -> RelPath {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    RelPath::new(Path::new(&name)).unwrap_or_else(|| lossy(Path::new("?")))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn all(root: &Path) -> Found {
        scan(root, &[], |_| true).unwrap()
    }

    fn paths(found: &Found) -> Vec<&str> {
        found.files.iter().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn files_are_ordered_by_the_bytes_of_their_paths() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["a/z", "a.b", "a-b", "B", "é", ".hidden", "a/b/c"] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "four").unwrap();
        }
        fs::create_dir(folder.path().join("empty")).unwrap();
        let found = all(folder.path());
        assert_eq!(paths(&found), [".hidden", "B", "a-b", "a.b", "a/b/c", "a/z", "é"]);
        assert!(found.files.iter().all(|file| file.length == 4));
    }

    #[test]
    fn what_the_job_writes_itself_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "").unwrap();
        fs::write(folder.path().join("milepost.db"), "").unwrap();
        let found = scan(folder.path(), &[folder.path().join("milepost.db")], |_| true).unwrap();
        assert_eq!(paths(&found), ["a"]);
    }

    #[test]
    fn a_scan_can_be_stopped() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "").unwrap();
        assert_eq!(scan(folder.path(), &[], |_| false), None);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed_and_any_name_is_kept() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("circle")).unwrap();
        std::os::unix::fs::symlink("/nowhere", folder.path().join("dangling")).unwrap();
        fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"\xff\n")), "").unwrap();
        let found = all(folder.path());
        assert_eq!(paths(&found), [r"\xff\x0a"]);
        assert_eq!((found.skipped, found.problems), (2, vec![]));
    }

    #[cfg(unix)]
    #[test]
    fn a_closed_folder_is_a_problem_and_the_rest_is_found() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let closed = folder.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::write(folder.path().join("open"), "").unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
        let found = all(folder.path());
        assert_eq!(paths(&found), ["open"]);
        // The superuser may look into every folder.
        if fs::read_dir(&closed).is_err() {
            let reason = "permission denied".into();
            assert_eq!(
                found.problems,
                [Problem { path: RelPath::new(Path::new("closed")).unwrap(), reason }]
            );
        }
    }
}
