//! Finding a server's programs, or installing them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::account;
use crate::cache;
use crate::run::run;

/// Programs that come together, and what to do when they are missing.
#[derive(Debug)]
pub(crate) struct Tools {
    /// The names of the programs; the folder that is found has all of them.
    pub(crate) programs: &'static [&'static str],
    /// Where they are apart from the search path; a `*` stands for a version, the newest one first.
    pub(crate) folders: &'static [&'static str],
    /// The packages of a Debian, as `apt-get install` takes them.
    pub(crate) debian: &'static [&'static str],
}

impl Tools {
    /// The folder with all the programs, after installing them if need be.
    ///
    /// # Errors
    ///
    /// With the command that installs them, when we may not do it or it fails.
    pub(crate) fn folder(&self) -> anyhow::Result<PathBuf> {
        if let Some(folder) = self.found() {
            return Ok(folder);
        }
        let command = self.install_command();
        let missing = self.programs.join(", ");
        if !account::is_root() || !is_program(Path::new("/usr/bin/apt-get")) {
            bail!("{missing}: not on this machine; install with `{command}`");
        }
        self.install().with_context(|| format!("{missing}: cannot be installed with `{command}`"))?;
        self.found().with_context(|| format!("{missing}: still missing after `{command}`"))
    }

    /// One of the programs.
    pub(crate) fn program(&self, name: &str) -> anyhow::Result<PathBuf> {
        Ok(self.folder()?.join(name))
    }

    /// The folder with all the programs, if there is one.
    pub(crate) fn found(&self) -> Option<PathBuf> {
        let path = env::var_os("PATH").unwrap_or_default();
        let on_path: Vec<_> = env::split_paths(&path).collect();
        let elsewhere = self.folders.iter().flat_map(|pattern| versions(Path::new(pattern)));
        let complete =
            |folder: &PathBuf| self.programs.iter().all(|program| is_program(&folder.join(program)));
        on_path.into_iter().chain(elsewhere).find(complete)
    }

    fn install_command(&self) -> String {
        format!("apt-get install -y --no-install-recommends {}", self.debian.join(" "))
    }

    fn install(&self) -> anyhow::Result<()> {
        let _one_at_a_time = cache::lock("apt")?;
        if self.found().is_some() {
            return Ok(());
        }
        if self.apt_get(&["install", "-y", "--no-install-recommends"], self.debian).is_err() {
            // The usual reason on a fresh machine: the lists of packages are missing or old.
            self.apt_get(&["update", "-qq"], &[])?;
            self.apt_get(&["install", "-y", "--no-install-recommends"], self.debian)?;
        }
        Ok(())
    }

    /// `RUNLEVEL=1` keeps the packages from starting their services: the tests start their own.
    fn apt_get(&self, arguments: &[&str], packages: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
        run(command.args(["-o", "DPkg::Lock::Timeout=300"]).args(arguments).args(packages)).map(drop)
    }
}

/// The folders that a pattern with at most one `*` means, the highest version first.
fn versions(pattern: &Path) -> Vec<PathBuf> {
    let mut parts = pattern.components();
    let base: PathBuf = parts.by_ref().take_while(|part| part.as_os_str() != "*").collect();
    let rest = parts.as_path();
    if base == pattern {
        return vec![base];
    }
    let entries = std::fs::read_dir(&base).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries.map(|entry| entry.path()).collect();
    found.sort_by_key(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        std::cmp::Reverse(name.split('.').next().and_then(|major| major.parse::<u32>().ok()))
    });
    found.into_iter().map(|path| path.join(rest)).collect()
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["9.6", "15", "17", "common"] {
            std::fs::create_dir_all(folder.path().join(version).join("bin")).unwrap();
        }
        let found = versions(&folder.path().join("*/bin"));
        let expected = ["17", "15", "9.6", "common"].map(|version| folder.path().join(version).join("bin"));
        assert_eq!(found, expected);
        assert_eq!(versions(Path::new("/usr/sbin")), [PathBuf::from("/usr/sbin")]);
    }

    #[test]
    fn what_is_missing_is_named_with_the_command_that_installs_it() {
        let nowhere =
            Tools { programs: &["no-such-server"], folders: &["/nowhere"], debian: &["no-such-package"] };
        assert!(nowhere.found().is_none());
        assert_eq!(nowhere.install_command(), "apt-get install -y --no-install-recommends no-such-package");
        let shell = Tools { programs: &["sh"], folders: &[], debian: &[] };
        assert!(shell.folder().unwrap().join("sh").is_file());
    }
}
