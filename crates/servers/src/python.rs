//! Python packages: what no Debian has, in virtual environments that are made once a machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::cache;
use crate::run::run;
use crate::tools::Tools;

const PYTHON: Tools =
    Tools { programs: &["python3"], folders: &["/usr/bin"], debian: &["python3", "python3-venv"] };

/// The virtual environment of a package, such as `name==1.2`.
///
/// # Errors
///
/// When it cannot be installed, with the commands that do it.
pub(crate) fn environment(package: &str) -> anyhow::Result<PathBuf> {
    let folder = cache::folder()?.join(package.replace("==", "-"));
    let complete = folder.join("complete");
    if complete.exists() {
        return Ok(folder);
    }
    let _one_at_a_time = cache::lock(package.split("==").next().unwrap_or(package))?;
    if complete.exists() {
        return Ok(folder);
    }
    install(&folder, package).with_context(|| {
        format!(
            "{package} cannot be installed with `python3 -m venv` and `pip install {package}` \
             (on a Debian: `apt-get install -y python3-venv`)"
        )
    })?;
    fs::write(&complete, package)?;
    Ok(folder)
}

fn install(folder: &Path, package: &str) -> anyhow::Result<()> {
    let python = PYTHON.program("python3")?;
    run(Command::new(python).args(["-m", "venv", "--clear"]).arg(folder))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package];
    run(Command::new(folder.join("bin").join("python")).args(pip)).map(drop)
}
